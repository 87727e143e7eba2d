"""What the doors share: the live index of a request, JSON replies, the errors each route documents."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from service.answer import Index
from service.live import Live
from service.problems import MEDIA_TYPE


def live_of(request: Request) -> Live:
    """Return the application's Live."""
    live: Live = request.app.state.live
    return live


def take_index(request: Request) -> Index:
    """Return the Index in use, for all of this request: it begins and ends on one version."""
    index = live_of(request).current
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
    401: "The admin key is missing or wrong.",
    403: "Not allowed from there.",
    404: "There is no such thing.",
    409: "It cannot be done in its present state.",
    413: "The body is too large.",
    422: "The request is not valid; `errors` says where.",
    500: "Something broke.",
    503: "A part is broken or not ready.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route's errors."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": TEXTS[status]} | ({} if status == 304 else {"content": content})
        for status in sorted({400, 500, *statuses})
    }
