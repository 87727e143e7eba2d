"""What the doors share: the live index of a request, JSON replies, the errors each route documents."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from service.finding import Index
from service.keeper import Keeper
from service.live import Live
from service.problems import MEDIA_TYPE, Refused


class DocumentId(Convertor[str]):
    """An id as it was sent: `path` ends at a line break, and so would stand for another document."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        """Return the id."""
        return value

    def to_string(self, value: str) -> str:
        """Return the address of the id."""
        return value


class WholeId(DocumentId):
    """An id that ends the address; what ends in `/text` or `/raw` asks for a part of another document."""

    regex = r"(?s:(?!.*/(?:text|raw)\Z).*)"


register_url_convertor("document_id", DocumentId())
register_url_convertor("whole_id", WholeId())


def live_of(request: Request) -> Live:
    """Return the application's Live."""
    live: Live = request.app.state.live
    return live


def keeper_of(request: Request) -> Keeper:
    """Return the application's Keeper."""
    keeper: Keeper = request.app.state.keeper
    return keeper


def take_index(request: Request, as_of: str | None = None) -> Index:
    """Return the Index in use, or that of the kept version `as_of`, for all of this request.

    It begins and ends on one version. Raises Refused 404 when that version is not kept.
    """
    live = live_of(request)
    index = live.current if as_of is None else live.index_of(as_of)
    if index is None:
        kept = ", ".join(live.store.kept())
        raise Refused(404, "no-such-version", f"that version is not kept; kept are {kept}")
    request.state.index_version = index.snapshot.version
    return index


def json_reply(
    body: BaseModel,
    status: int = 200,
    *,
    headers: dict[str, str] | None = None,
    exclude: set[str] | None = None,
) -> Response:
    """Return `body` serialized once."""
    content = body.model_dump_json(by_alias=True, exclude=exclude)
    return Response(content, status, headers, "application/json")


TEXTS = {
    304: "Not modified.",
    400: "The request cannot be read.",
    401: "A key is missing, or is not valid.",
    403: "Not allowed from there, or with this key.",
    404: "There is no such thing.",
    412: "The document is not in the state that If-Match or If-None-Match ask for.",
    408: "The body did not come in time.",
    415: "The body is packed, or its Content-Type is not that of the id's extension.",
    428: "This server wants If-Match or If-None-Match.",
    507: "The disk is full.",
    409: "It cannot be done in its present state.",
    413: "The body is too large.",
    429: "Too many requests; `Retry-After` says when to try again.",
    431: "Address and headers are too long.",
    422: "The request is not valid; `errors` says where.",
    500: "Something broke.",
    503: "A part is broken or not ready.",
}


OF_BODIES = (408, 415)
"""What may come of a body, as 413 may."""


@contextmanager
def changing() -> Iterator[None]:
    """Turn what can go wrong with a change on disk into refusals: 507 for a full disk, else 503."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        status, slug = (507, "disk-full") if full else (503, "not-writable")
        reason = error.strerror or str(error)
        raise Refused(
            status, slug, f"nothing could be written ({reason}); everything is as it was"
        ) from error


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route's errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": TEXTS[status]} | ({} if status == 304 else {"content": content})
        for status in sorted({400, 500, *statuses, *(OF_BODIES if 413 in statuses else ())})
    }
