"""Documents changed over REST: put, removed, read as they are in the folder."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeVar
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response

from corpus.editing import BadId, PreconditionFailed, Taken, Wanted, read_document
from corpus.formats import MEDIA_TYPES, SUFFIXES
from service import bodies, schemas
from service.doors.replies import changing, json_reply, keeper_of, live_of, problems, take_index
from service.jobs import Job
from service.problems import Refused

router = APIRouter(tags=["documents"])

WAIT_SECONDS = 120.0
"""Longest time that a change with `wait=true` waits to be searchable: a large document takes a while."""

LOOK_SECONDS = 0.02
"""How often it looks meanwhile: one that slept in a thread would keep it from those who ask."""

Done = TypeVar("Done")

TAG = re.compile(r'(W/)?"([^"]*)"')


class ChangeQuery(bodies.Request):
    """How long a change is to be waited for."""

    wait: bool = Field(
        default=False, description="Reply when questions see the change, not already when it is on disk."
    )


@router.put(
    "/v1/documents/{document_id:whole_id}",
    response_model=schemas.ChangeReply,
    responses=problems(400, 401, 403, 409, 412, 413, 415, 422, 428, 503, 507)
    | {201: {"model": schemas.ChangeReply, "description": "Created."}},
    operation_id="putDocument",
    openapi_extra={
        "requestBody": {
            "required": False,
            "description": "The document as it is; without a body it is an empty one.",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_document(
    request: Request, document_id: str, query: Annotated[ChangeQuery, Query()]
) -> Response:
    """Create or replace a document by the body as it is; the reply comes when it is on disk."""
    keeper = keeper_of(request)
    wanted = _wanted(request)
    _check_sent(request)
    _check_whole(request.headers)
    _check_media_type(document_id, request.headers.get("content-type", ""))
    data = await request.body()
    status, job = await _changed(lambda: keeper.put_document(document_id, data, wanted))
    return await _reply(request, document_id, status, job, query, await run_in_threadpool(_sha, data))


@router.delete(
    "/v1/documents/{document_id:whole_id}",
    response_model=schemas.ChangeReply,
    responses=problems(400, 401, 403, 404, 409, 412, 413, 422, 428, 503, 507),
    operation_id="deleteDocument",
)
async def delete_document(
    request: Request, document_id: str, query: Annotated[ChangeQuery, Query()]
) -> Response:
    """Remove a document; the reply comes when that is on disk."""
    keeper = keeper_of(request)
    wanted = _wanted(request)
    _check_sent(request)
    job = await _changed(lambda: keeper.remove_document(document_id, wanted))
    if job is None:
        raise Refused(404, "no-such-document", "the folder holds no document with that id")
    return await _reply(request, document_id, "removed", job, query, None)


@router.get(
    "/v1/documents/{document_id:document_id}/raw",
    responses=problems(304, 404, 422, 503) | {200: {"content": {"*/*": {}}}},
    response_class=Response,
    operation_id="getDocumentFile",
)
async def get_raw(request: Request, document_id: str) -> Response:
    """Return the file as it is in the folder now, which may be newer than the index."""
    settings = live_of(request).settings
    try:
        data = await run_in_threadpool(
            read_document, settings.corpus, document_id, largest=settings.max_document_bytes
        )
    except (BadId, Taken):
        data = None
    except OSError as error:
        raise Refused(503, "folder-unreadable", f"the document cannot be read: {error.strerror}") from error
    if data is None:
        raise Refused(404, "no-such-document", "the folder holds no document with that id")
    tag = f'"{await run_in_threadpool(_sha, data)}"'
    headers = {
        "ETag": tag,
        "Cache-Control": "no-cache",
        # Whatever is in the file, a browser takes it for a download and runs nothing of it.
        "Content-Disposition": "attachment",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    given = request.headers.get("if-none-match", "")
    if tag in given or given.strip() == "*":
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=MEDIA_TYPES[_form_of(document_id) or "text"])


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _changed(change: Callable[[], Done]) -> Done:
    """Return what a change of the folder came to, its errors as refusals."""
    try:
        with changing():
            return await run_in_threadpool(change)
    except BadId as error:
        raise Refused(400, "bad-document-id", f"the id {error}") from error
    except Taken as error:
        raise Refused(409, "place-taken", f"{error}; nothing was changed") from error
    except PreconditionFailed as error:
        raise Refused(412, "precondition-failed", f"{error}; nothing was changed") from error


async def _reply(
    request: Request,
    document_id: str,
    status: Literal["created", "replaced", "unchanged", "removed"],
    job: Job | None,
    query: ChangeQuery,
    sha: str | None,
) -> Response:
    """Return what was done; with `wait`, once questions see it."""
    if job is not None and query.wait:
        end = time.monotonic() + WAIT_SECONDS
        while not job.over.is_set() and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        if job.state in ("failed", "cancelled"):
            raise Refused(
                503,
                "not-searchable",
                f"the change is on disk, but the index could not follow it: {job.problem}",
                headers={"Retry-After": "5"},
            )
    snapshot = take_index(request).snapshot
    unread = next((one.reason for one in snapshot.skipped if one.id == document_id), None)
    done = job is None or job.state == "succeeded"
    return json_reply(
        schemas.ChangeReply(
            id=document_id,
            status=status,
            sha256=sha,
            searchable=done and (status == "removed" or unread is None),
            problem=unread if done and status != "removed" else None,
            job=job.id if job else None,
            index_version=snapshot.version,
        ),
        201 if status == "created" else 200,
        headers={"ETag": f'"{sha}"'} if sha else None,
    )


def _wanted(request: Request) -> Wanted:
    """Return the state that the preconditions of a request ask for.

    Raises Refused 428 where none are given and the settings want one.
    """
    match, none_match = (request.headers.getlist(name) for name in ("if-match", "if-none-match"))
    if not match and not none_match and live_of(request).settings.require_if_match:
        raise Refused(
            428,
            "precondition-required",
            "this server wants If-Match with the document's ETag, or `If-None-Match: *` for a new one",
        )
    exists, shas, other_than = None, None, frozenset[str]()
    if match:
        exists, shas = (True, None) if match == ["*"] else (None, _shas(match, weak=False))
    if none_match == ["*"]:
        exists = False
    elif none_match:
        other_than = _shas(none_match, weak=True)
    return Wanted(shas, exists, other_than)


def _shas(lines: list[str], *, weak: bool) -> frozenset[str]:
    # If-Match compares strongly, so that a weak tag never matches, If-None-Match does not: RFC 9110, 13.1.
    return frozenset(sha for mark, sha in TAG.findall(", ".join(lines)) if weak or not mark)


def _check_sent(request: Request) -> None:
    """Raise Refused 400 where the id's bytes are no text, for which the framework would make some up."""
    try:
        unquote_to_bytes(request.scope.get("raw_path", b"")).decode()
    except UnicodeDecodeError as error:
        raise Refused(400, "bad-document-id", "the id is not UTF-8") from error


def _check_whole(headers: Headers) -> None:
    """Raise Refused where the body is not the document as it is: 400 for a part, 415 for a packed one."""
    if "content-range" in headers:
        raise Refused(400, "partial-document", "a document is sent whole, without Content-Range")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "packed-document", "a document is sent as it is, without Content-Encoding")


def _check_media_type(document_id: str, given: str) -> None:
    """Raise Refused 415 where the Content-Type says another format than the id's extension."""
    media_type = given.partition(";")[0].strip().lower()
    of_id = _form_of(document_id)
    said = {form for form, known in MEDIA_TYPES.items() if known == media_type}
    if of_id is not None and said and of_id not in said and said != {"text"}:
        raise Refused(
            415,
            "other-format",
            f"the body is {media_type}, but the id's extension stands for {MEDIA_TYPES[of_id]}",
        )


def _form_of(document_id: str) -> str | None:
    return SUFFIXES.get(PurePosixPath(document_id).suffix.lower())
