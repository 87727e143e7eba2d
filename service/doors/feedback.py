"""Thumbs, and for administrators what the journal holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from service import bodies, journal_schemas
from service.doors.replies import json_reply, live_of, problems, take_index
from service.journal import Feedback, Journal, read_feedback, read_lacking
from service.problems import Refused, invalid
from service.threshold import threshold_of
from service.unanswered import as_csv, report

router = APIRouter(tags=["journal"])

CSV = "text/csv"

PRIVATE = {"Cache-Control": "no-store"}
"""What people typed stays in no browser's and no proxy's store."""

Read = TypeVar("Read")


class UnansweredQuery(bodies.Request):
    """How much of the journal, and how."""

    limit: int = Field(default=100, ge=1, le=500, description="Most groups.")
    format: Literal["json", "csv"] = Field(default="json", description="How they are written.")


class FeedbackQuery(bodies.Request):
    """How much of the journal."""

    limit: int = Field(default=100, ge=1, le=1000, description="Most thumbs.")


def journal_of(request: Request) -> Journal:
    """Return the application's Journal."""
    journal: Journal = request.app.state.journal
    return journal


def _open_journal(request: Request) -> Journal:
    """Return the Journal. Raises Refused 404 where it is off."""
    journal = journal_of(request)
    if not journal.is_on:
        raise Refused(404, "journal-off", "this server keeps no journal; PULLQUOTE_JOURNAL=true makes it")
    return journal


@router.post(
    "/v1/feedback",
    status_code=204,
    response_class=Response,
    responses=problems(404, 413, 422, 503),
    operation_id="giveFeedback",
)
async def post_feedback(request: Request, body: journal_schemas.FeedbackRequest) -> Response:
    """Note whether an answer was good. It is written a moment later."""
    most = live_of(request).settings.max_question_chars
    journal = _open_journal(request)
    if len(body.question) > most:
        raise invalid(("body", "question"), f"a question has at most {most} characters")
    if not journal.add(Feedback(body.question, body.answer, body.passage_id, body.good, body.comment)):
        raise Refused(503, "journal-busy", "too much waits to be written", headers={"Retry-After": "5"})
    return Response(status_code=204)


@router.get(
    "/v1/journal/unanswered",
    response_model=journal_schemas.UnansweredReply,
    responses=problems(401, 403, 404, 422, 503) | {200: {"content": {CSV: {}}}},
    operation_id="listUnanswered",
)
async def get_unanswered(request: Request, query: Annotated[UnansweredQuery, Query()]) -> Response:
    """List the questions that got no answer, or a thumb down, by meaning, the most asked first."""
    journal, index = _open_journal(request), take_index(request)
    threshold = threshold_of(live_of(request).settings)
    found = await _read(lambda: report(index, read_lacking(journal.path.parent), query.limit, threshold))
    if query.format == "json":
        return json_reply(found, headers=PRIVATE)
    named = {"Content-Disposition": 'attachment; filename="unanswered.csv"'}
    return Response(as_csv(found), headers=PRIVATE | named, media_type=f"{CSV}; charset=utf-8")


@router.get(
    "/v1/journal/feedback",
    response_model=journal_schemas.FeedbackReply,
    responses=problems(401, 403, 404, 422, 503),
    operation_id="listFeedback",
)
async def get_feedback(request: Request, query: Annotated[FeedbackQuery, Query()]) -> Response:
    """List what was said of answers, the newest first."""
    journal = _open_journal(request)
    found = await _read(lambda: [*read_feedback(journal.path.parent, query.limit)])
    return json_reply(
        journal_schemas.FeedbackReply(
            feedback=[
                journal_schemas.FeedbackOut(
                    question=one.question,
                    answer=one.answer,
                    passage_id=one.passage_id,
                    good=one.good,
                    comment=one.comment,
                    given_at=one.at,
                )
                for one in found
            ]
        ),
        headers=PRIVATE,
    )


async def _read(reading: Callable[[], Read]) -> Read:
    """Return what is read of the journal, off the event loop. Raises Refused 503 where it is broken."""
    try:
        return await run_in_threadpool(reading)
    except OSError as error:
        raise Refused(503, "journal-unreadable", str(error)) from error
