"""What is known of one request while it is served: for the log, the metrics and the traces.

The envelope begins an Observation; whatever works for the request, in whichever thread, finds it in its
context and tells it what happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

STAGES = ("encode", "search", "read")
"""Of a question, in their order."""

ANSWERED = "answered"

_CURRENT: ContextVar[Observation | None] = ContextVar("observation", default=None)


class Counting(Protocol):
    """Counts what requests tell; service.metrics does."""

    def looked(self, memory: str, *, hit: bool) -> None:
        """Count whether something was remembered."""

    def stages(self, milliseconds: Mapping[str, float]) -> None:
        """Count how many milliseconds the stages took."""

    def decided(self, outcome: str) -> None:
        """Count what came of a question."""

    def encoded(self, questions: int) -> None:
        """Count questions that were encoded together."""


@dataclass(slots=True)
class Observation:
    """What is told of a request."""

    metrics: Counting
    question: str | None = None
    outcome: str | None = None
    """`answered`, or the reason why not."""
    stages: list[tuple[str, int, float]] = field(default_factory=list)
    """Name, end in nanoseconds since 1970, milliseconds."""

    def asked(self, question: str) -> None:
        """Note what is asked."""
        self.question = question

    def looked(self, memory: str, *, hit: bool) -> None:
        """Note whether it was remembered."""
        self.metrics.looked(memory, hit=hit)

    def worked(self, *names: str, took: Mapping[str, float]) -> None:
        """Note that stages have ended just now, the last of them at this moment."""
        end = time.time_ns()
        done = {name: took[name] for name in names if name in took}
        self.metrics.stages(done)
        for name in reversed(STAGES):
            if name in done:
                self.stages.append((name, end, done[name]))
                end -= int(done[name] * 1e6)

    def decided(self, reason: str | None) -> None:
        """Note what came of the question: an answer, or none for a reason."""
        self.outcome = reason or ANSWERED
        self.metrics.decided(self.outcome)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be the one that is told, in the block and whatever is begun in it."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)


def current() -> Observation | None:
    """Return the observation of the request that is served, None where none is."""
    return _CURRENT.get()


def encoded(questions: int) -> None:
    """Count questions that were encoded together, where a request is served."""
    seen = _CURRENT.get()
    if seen is not None:
        seen.metrics.encoded(questions)
