"""Asking over REST: ask, search, verify."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from corpus.document import Span
from index.snapshot import Snapshot
from service import __version__, bodies, schemas, wire
from service.admission import admitted
from service.answer import Reply
from service.doors import streaming
from service.doors.feedback import journal_of
from service.doors.replies import json_reply, live_of, problems, take_index
from service.filters import IN_ADDRESS, Pairs, wanted_of
from service.finding import Found
from service.followup import Turn
from service.problems import invalid
from service.remembered import find, settle
from service.settings import Settings
from service.threshold import threshold_of

router = APIRouter(tags=["ask"])


class AskQuery(bodies.Request):
    """A question in the address, so that replies can be cached."""

    q: str = Field(min_length=1, description="The question.")
    top_k: int = Field(default=5, ge=1, description="How many passages to return.")
    documents: list[str] = Field(default=[], max_length=100, description="Prefixes of document ids.")
    field: Pairs = Field(default=[])
    as_of: str | None = Field(default=None, max_length=64, description="A kept version to ask instead.")


@router.post(
    "/v1/ask",
    response_model=schemas.AskReply,
    responses=problems(404, 413, 422, 503) | {200: {"content": {streaming.MEDIA_TYPE: {}}}},
    operation_id="ask",
)
async def post_ask(request: Request, body: schemas.AskRequest) -> Response:
    """Answer a question with a verbatim quotation and its exact place, or say that there is none.

    With `Accept: text/event-stream` it comes in stages: the events `passages`, `answer` and `done`.
    """
    settings = _settings(request)
    top_k = _top_k(settings, body)
    _check(settings, ("body", "question"), body.question, top_k)
    index = await run_in_threadpool(take_index, request, body.as_of)
    threshold = threshold_of(settings) if body.min_confidence is None else body.min_confidence
    finding = partial(
        find,
        index,
        body.question,
        history=[Turn(one.role, one.content) for one in body.history],
        top_k=top_k,
        documents=body.filter.documents,
        fields=body.filter.wanted,
    )
    note = partial(journal_of(request).note, body.question)

    def settling(found: Found) -> Reply:
        return note(settle(index, found, top_k=top_k, threshold=threshold))

    stages = streaming.Stages(finding, settling)
    turn = await admitted(request)
    if streaming.is_wanted(request):
        return streaming.staged(request, index.snapshot, body.question, stages, turn, explain=body.explain)
    with turn:
        return await run_in_threadpool(
            lambda: _replied(index.snapshot, body.question, stages.run(), explain=body.explain)
        )


@router.get(
    "/v1/ask",
    response_model=schemas.AskReply,
    responses=problems(304, 404, 422, 503) | {200: {"content": {streaming.MEDIA_TYPE: {}}}},
    operation_id="askByAddress",
)
async def get_ask(request: Request, query: Annotated[AskQuery, Query()]) -> Response:
    """Answer as POST does, cacheable: the ETag changes with the index and the question alone.

    With `Accept: text/event-stream` it comes in stages, as from POST, and is not cached.
    """
    settings = _settings(request)
    top_k = _top_k(settings, query)
    _check(settings, ("query", "q"), query.q, top_k)
    index = await run_in_threadpool(take_index, request, query.as_of)
    threshold = threshold_of(settings)
    fields = wanted_of(query.field, IN_ADDRESS)
    finding = partial(find, index, query.q, top_k=top_k, documents=query.documents, fields=fields)
    note = partial(journal_of(request).note, query.q)
    stages = streaming.Stages(
        finding, lambda found: note(settle(index, found, top_k=top_k, threshold=threshold))
    )
    if streaming.is_wanted(request):
        turn = await admitted(request)
        return streaming.staged(request, index.snapshot, query.q, stages, turn, explain=False)
    tag = _tag(index.snapshot.version, threshold, query.q, top_k, query.documents, query.field)
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    with await admitted(request):
        return await run_in_threadpool(
            lambda: _replied(index.snapshot, query.q, stages.run(), headers=headers)
        )


@router.get(
    "/v1/search", response_model=schemas.SearchReply, responses=problems(404, 422, 503), operation_id="search"
)
async def get_search(request: Request, query: Annotated[AskQuery, Query()]) -> Response:
    """Return the passages nearest to a question, by the search alone: nothing of them is read.

    So it takes a fraction of the time of `ask`, whose passages come with those first that answer best, and
    with the place in them that does.
    """
    settings = _settings(request)
    top_k = _top_k(settings, query)
    _check(settings, ("query", "q"), query.q, top_k)
    fields = wanted_of(query.field, IN_ADDRESS)

    def searched() -> Response:
        index = take_index(request, query.as_of)
        found = find(index, query.q, top_k=top_k, documents=query.documents, fields=fields)
        return json_reply(wire.search_reply(index.snapshot, query.q, found))

    with await admitted(request):
        return await run_in_threadpool(searched)


@router.post(
    "/v1/verify", response_model=schemas.VerifyReply, responses=problems(413, 422, 503), operation_id="verify"
)
async def post_verify(request: Request, body: schemas.VerifyRequest) -> Response:
    """Say for each citation whether it holds in the current index, has moved, or is gone."""
    snapshot = take_index(request).snapshot
    results = await run_in_threadpool(lambda: [verdict(snapshot, one) for one in body.citations])
    return json_reply(schemas.VerifyReply(results=results, index_version=snapshot.version))


def _settings(request: Request) -> Settings:
    return live_of(request).settings


def _top_k(settings: Settings, asked: schemas.AskRequest | AskQuery) -> int:
    """Return how many passages are asked for; the default gives way to the settings' limit."""
    return asked.top_k if "top_k" in asked.model_fields_set else min(asked.top_k, settings.max_top_k)


def _check(settings: Settings, place: tuple[str, str], question: str, top_k: int) -> None:
    """Raise Refused where the settings' limits are passed."""
    if len(question) > settings.max_question_chars:
        raise invalid(place, f"a question has at most {settings.max_question_chars} characters")
    if top_k > settings.max_top_k:
        raise invalid((place[0], "top_k"), f"at most {settings.max_top_k}")


def _replied(
    snapshot: Snapshot,
    question: str,
    reply: Reply,
    *,
    explain: bool = False,
    headers: dict[str, str] | None = None,
) -> Response:
    body = wire.ask_reply(snapshot, question, reply, explain=explain)
    return json_reply(body, headers=headers, exclude=None if explain else {"trace"})


def _tag(*parts: object) -> str:
    return f'"{hashlib.sha256(repr((__version__, *parts)).encode()).hexdigest()[:32]}"'


def _matches(header: str, tag: str) -> bool:
    """Return whether an If-None-Match header names `tag` (weak comparison, as RFC 9110 asks for here)."""
    given = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in given or given == ["*"]


def verdict(snapshot: Snapshot, cited: schemas.CitedPlace) -> schemas.Verdict:
    """Return whether a citation holds in `snapshot`, and where it stands now."""
    gone = schemas.Verdict(status="gone", start_char=None, end_char=None, url=None)
    number = snapshot.numbers.get(cited.document_id)
    if number is None:
        return gone
    text = snapshot.text(number)
    if text[cited.start_char : cited.end_char] == cited.quote:
        place = Span(cited.start_char, cited.end_char)
    else:
        found = _nearest(text, cited.quote, cited.start_char)
        if found is None:
            return gone
        place = Span(found, found + len(cited.quote))
    return schemas.Verdict(
        status="holds" if place.start == cited.start_char else "moved",
        start_char=place.start,
        end_char=place.end,
        url=wire.url_of(cited.document_id, place),
    )


def _nearest(text: str, words: str, start: int) -> int | None:
    """Return where `words` stand nearest to `start`, or None."""
    after = text.find(words, start)
    before = text.rfind(words, 0, start + len(words))
    found = [at for at in (before, after) if at >= 0]
    return min(found, key=lambda at: abs(at - start), default=None)
