"""A worker as its supervisor sees it: a process, started again and again, and the line to it."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class Worker:
    """One of the processes, started again and again."""

    number: int
    writes: bool
    process: Process | None = None
    line: asyncio.StreamWriter | None = None
    """Where it is told things; None while it has not opened the index yet, or is gone."""
    ready_at: float | None = None
    problem: str | None = None
    """What it said of its end."""
    code: int | None = None
    """The exit code it said with that."""
    has_served: bool = False
    """Whether any of its lives came so far."""
    asked: dict[int, asyncio.Future[None]] = field(default_factory=dict)
    """Snapshots that it was told to take up."""

    def tell(self, say: str, **values: object) -> None:
        """Send a message, if it is there to hear it."""
        if self.line is not None:
            self.line.write(json.dumps({"say": say, **values}).encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


def shown(status: int) -> str:
    """Return how a process has ended, in words."""
    if status >= 0:
        return f"with exit code {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
