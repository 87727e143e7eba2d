"""Replies in parts, as server-sent events: the stages of a question, and what other doors stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal

from fastapi import Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from index.snapshot import Snapshot
from service import schemas, wire
from service.admission import Turn
from service.answer import Reply
from service.finding import Found
from service.problems import told

MEDIA_TYPE = "text/event-stream"

PING_SECONDS = 15.0
"""Longest silence: proxies take a connection for dead after 30 s or more."""

HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would keep the first events until the last has come
}


class AnswerStage(BaseModel):
    """The event `answer`: what was decided, without the passages."""

    status: Literal["answered", "not_found"]
    reason: str | None
    answer: schemas.AnswerOut | None
    alternatives: list[schemas.AnswerOut]


@dataclass(frozen=True, slots=True)
class Stages:
    """The two halves of a question: the search, and the reading of what it found."""

    finding: Callable[[], Found]
    settling: Callable[[Found], Reply]

    def run(self) -> Reply:
        """Return what both amount to."""
        return self.settling(self.finding())


def is_wanted(request: Request) -> bool:
    """Return whether the sender would rather have events than one JSON reply."""
    weights = {"application/json": 0.0, MEDIA_TYPE: 0.0}
    for part in ",".join(request.headers.getlist("accept")).split(","):
        name, *parameters = (one.strip().lower() for one in part.split(";"))
        if name in weights:
            weights[name] = max(weights[name], _weight(parameters))
    return weights[MEDIA_TYPE] > weights["application/json"]


def _weight(parameters: list[str]) -> float:
    """Return the `q` of a media type's parameters; 1 where it has none, 0 where it cannot be read."""
    given = next((one.removeprefix("q=") for one in parameters if one.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0


def staged(
    request: Request, snapshot: Snapshot, question: str, stages: Stages, turn: Turn, *, explain: bool
) -> Response:
    """Return a reply of the events `passages`, `answer` and `done`; or `error`, whose data is a problem."""
    reply = events(_stages(request, snapshot, question, stages, turn, explain=explain), turn)
    reply.headers["Vary"] = "Accept"
    return reply


class _Events(EventSourceResponse):
    """Events of a question, whose turn ends with them even where none was asked for."""

    def __init__(self, content: AsyncIterator[bytes], turn: Turn) -> None:
        super().__init__(kept_alive(content), headers=HEADERS)
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._turn:
            await super().__call__(scope, receive, send)


def events(content: AsyncIterator[bytes], turn: Turn) -> Response:
    """Return a reply of events that were formatted already; when the client leaves, no more are asked for.

    `content` should leave `turn` once all is worked on: the reader may take its time.
    """
    return _Events(content, turn)


async def _stages(
    request: Request, snapshot: Snapshot, question: str, stages: Stages, turn: Turn, *, explain: bool
) -> AsyncIterator[bytes]:
    """Yield the events of one question."""
    number = 0

    def event(name: str, data: str) -> bytes:
        nonlocal number
        number += 1
        return format_sse_event(event=name, data_str=data, id=str(number))

    try:
        found = await run_in_threadpool(stages.finding)
        yield event("passages", _json(wire.search_reply(snapshot, question, found)))
        reply = await run_in_threadpool(stages.settling, found)
        turn.leave()
        whole = wire.ask_reply(snapshot, question, reply, explain=explain)
        decided = AnswerStage(
            status=whole.status,
            reason=whole.reason,
            answer=whole.answer,
            alternatives=whole.alternatives,
        )
        yield event("answer", _json(decided))
        yield event("done", _json(whole, exclude=None if explain else {"trace"}))
    except Exception as error:  # the reply has begun: what went wrong can only be said in it
        yield event("error", bytes(told(request, error).body).decode())


def _json(body: BaseModel, *, exclude: set[str] | None = None) -> str:
    return body.model_dump_json(by_alias=True, exclude=exclude)


async def kept_alive(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what `content` yields, and a comment whenever it is silent for PING_SECONDS."""
    coming: asyncio.Task[bytes | None] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(content))
            done, _ = await asyncio.wait({coming}, timeout=PING_SECONDS)
            if not done:
                yield KEEPALIVE_COMMENT
                continue
            event, coming = coming.result(), None
            if event is None:
                return
            yield event
    finally:
        # The client has left: a stage that runs is finished in its thread, the next one is not begun.
        if coming is not None:
            coming.cancel()


async def _next(content: AsyncIterator[bytes]) -> bytes | None:
    return await anext(content, None)
