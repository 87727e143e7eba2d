"""Documents over REST: the list, one document, its text."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from index.snapshot import Snapshot
from service import bodies, schemas
from service.doors.replies import json_reply, problems, take_index
from service.problems import Refused, invalid

router = APIRouter(tags=["documents"])


class ListQuery(bodies.Request):
    """Which part of the list."""

    cursor: str | None = Field(default=None, max_length=2048, description="`next_cursor` of the page before.")
    limit: int = Field(default=100, ge=1, le=1000, description="Most documents on one page.")


@router.get(
    "/v1/documents",
    response_model=schemas.DocumentList,
    responses=problems(422, 503),
    operation_id="listDocuments",
)
async def list_documents(request: Request, query: Annotated[ListQuery, Query()]) -> Response:
    """List the files of the corpus in the order of their ids, unreadable ones with their problem."""
    return json_reply(list_page(take_index(request).snapshot, query))


def list_page(snapshot: Snapshot, query: ListQuery) -> schemas.DocumentList:
    """Return a page of the list. Raises Refused for a cursor that is none."""
    after = _decoded(query.cursor) if query.cursor else ""
    listed = sorted(
        [_document(snapshot, number) for number in range(len(snapshot.documents))] + _problems(snapshot),
        key=lambda one: one.id,
    )
    page = [one for one in listed if one.id > after][: query.limit]
    more = bool(page) and page[-1].id != listed[-1].id
    return schemas.DocumentList(
        documents=page,
        next_cursor=_encoded(page[-1].id) if more else None,
        index_version=snapshot.version,
    )


@router.get(
    "/v1/documents/{document_id:document_id}/text",
    responses=problems(304, 404, 422, 503) | {200: {"content": {"text/plain": {}}}},
    response_class=Response,
    operation_id="getDocumentText",
)
async def get_text(request: Request, document_id: str) -> Response:
    """Return the canonical text that all offsets count in, line ends as in the file."""
    snapshot = take_index(request).snapshot
    number = _number(snapshot, document_id)
    tag = f'"{snapshot.documents[number].sha}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(snapshot.text(number).encode(), headers=headers, media_type="text/plain; charset=utf-8")


@router.get(
    "/v1/documents/{document_id:whole_id}",
    response_model=schemas.DocumentOut,
    responses=problems(404, 422, 503),
    operation_id="getDocument",
)
async def get_document(request: Request, document_id: str) -> Response:
    """Return what is known of one document."""
    snapshot = take_index(request).snapshot
    unread = next((one for one in _problems(snapshot) if one.id == document_id), None)
    found = unread or _document(snapshot, _number(snapshot, document_id))
    return json_reply(found, headers={"ETag": f'"{found.sha256}"'} if found.sha256 else None)


def _number(snapshot: Snapshot, document_id: str) -> int:
    number = snapshot.numbers.get(document_id)
    if number is None:
        raise Refused(
            404, "no-such-document", "the index holds no document with that id; /v1/documents lists them"
        )
    return number


def _document(snapshot: Snapshot, number: int) -> schemas.DocumentOut:
    entry = snapshot.documents[number]
    fields: dict[str, list[str]] = {}
    for name, value in entry.fields:
        fields.setdefault(name, []).append(value)
    return schemas.DocumentOut(
        id=entry.id,
        title=entry.title,
        format=entry.format,
        bytes=entry.bytes,
        text_sha256=entry.sha,
        sha256=entry.raw_sha,
        passages=entry.passages,
        updated_at=entry.updated_at,
        fields=fields,
    )


def _problems(snapshot: Snapshot) -> list[schemas.DocumentOut]:
    return [
        schemas.DocumentOut(
            id=one.id,
            title=None,
            format=None,
            bytes=one.bytes,
            text_sha256=None,
            sha256=one.sha or None,
            passages=0,
            updated_at=None,
            problem=one.reason,
        )
        for one in snapshot.skipped
    ]


def _encoded(document_id: str) -> str:
    return base64.urlsafe_b64encode(document_id.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid(("query", "cursor"), "not a cursor; take it from `next_cursor`") from error
