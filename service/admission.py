"""One gate for all questions, by whichever door they come: so many are worked on, so many wait, for so long.

What comes beyond that is told so at once, while those let in are answered in good time; without a gate all
would wait, and all in vain. A question comes here when its body has been read, so that nobody holds a place
by sending slowly, and leaves when it has been worked on, so that nobody holds one by reading slowly.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from types import TracebackType

from fastapi import Request
from starlette.types import Receive

from service.metrics import Metrics, Turned
from service.problems import Refused
from service.settings import Settings

CLIENT_LEFT = 499
"""Status in the log where nobody waits for the reply any more."""


QUESTIONS = ("/v1/ask", "/v1/search", "/v1/chat/completions", "/v1/responses", "/v1/embeddings")
"""Where nothing but questions comes: while the gate is full they are refused at the door, by service.access
after all else it looks at, for some 0.4 ms of a core each instead of 1.1."""


class Turn:
    """A question's place among those that are worked on, until it leaves."""

    def __init__(self, gate: Admission) -> None:
        self._gate: Admission | None = gate

    def leave(self) -> None:
        """Make room for the next one; again, it does nothing."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.left()

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class Admission:
    """The gate of one process; it belongs to its event loop."""

    def __init__(self, *, at_once: int, waiting: int, seconds: float, metrics: Metrics | None = None) -> None:
        """Let `at_once` questions in, and have `waiting` more wait for at most `seconds`."""
        self._metrics = metrics or Metrics()
        self.at_once = at_once
        self._most = waiting
        self._seconds = seconds
        self.under_way = 0
        self._queue: dict[asyncio.Future[None], None] = {}

    @property
    def waiting(self) -> int:
        """Return how many questions wait."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Return whether whoever comes now is refused."""
        return self.under_way >= self.at_once and len(self._queue) >= self._most

    def refuse(self, reason: Turned = "full") -> Refused:
        """Count one that is not let in, and return what it is told."""
        self._metrics.turned_away(reason)
        return Refused(
            503,
            "too-many-questions",
            "more questions come than can be answered; try again in a moment",
            headers={"Retry-After": str(max(1, math.ceil(self._seconds)))},
        )

    async def enter(self, receive: Receive) -> Turn:
        """Return a turn, of those that wait the one that came first having the next.

        `receive` is that of a request whose body was read; it tells when the client leaves. Raises Refused:
        503 where too many wait, or for too long, and CLIENT_LEFT.
        """
        if self.under_way < self.at_once:
            self.under_way += 1
            return Turn(self)
        if self.is_full:
            raise self.refuse()
        return await self._wait(receive)

    def left(self) -> None:
        """Hand the place of one that is done to the next."""
        for turn in self._queue:
            del self._queue[turn]
            turn.set_result(None)
            return
        self.under_way -= 1

    async def _wait(self, receive: Receive) -> Turn:
        turn = asyncio.get_running_loop().create_future()
        self._queue[turn] = None
        self._metrics.waiting(len(self._queue))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({turn, gone}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if turn.done():
                self.left()
            raise
        finally:
            self._queue.pop(turn, None)
            self._metrics.waiting(len(self._queue))
            if not gone.done():
                gone.cancel()
                with suppress(asyncio.CancelledError):
                    await gone
        if turn.done():
            return Turn(self)
        if gone.done() and not gone.cancelled():
            raise Refused(CLIENT_LEFT, "client-left", "nobody waits for the reply any more")
        raise self.refuse("late")


async def _gone(receive: Receive) -> None:
    """Return when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


def admission_of(settings: Settings, metrics: Metrics) -> Admission:
    """Return the gate that the settings want, which counts in `metrics`."""
    return Admission(
        at_once=settings.max_questions,
        waiting=settings.max_waiting_questions,
        seconds=settings.waiting_seconds,
        metrics=metrics,
    )


async def admitted(request: Request) -> Turn:
    """Return the turn of a request at the gate of its application; see `Admission.enter`."""
    gate: Admission = request.app.state.admission
    return await gate.enter(request.receive)
