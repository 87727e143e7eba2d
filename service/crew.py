"""What a process is among the workers that answer on one port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SPREAD_SECONDS = 10.0
"""How long a change waits until every worker uses the snapshot with it. That takes some 30 ms, but of a new
index of a million passages each of them reads every byte once. Who takes longer follows by itself."""

Taken = Callable[[], None]
"""Returns when every other process has taken up what was published, or has had its time."""


def _nobody() -> None:
    """Wait for nobody."""


@dataclass(frozen=True, slots=True)
class Place:
    """A process's part: alone where nothing else is said."""

    number: int = 1
    """Which of the workers, from 1."""
    shared: Path | None = None
    """A folder that is the workers' alone, gone when they end; None where there is one process."""
    writes: bool = True
    """Whether it is the one that changes the folder and the index; a server that only reads has none."""
    counter: Path | None = None
    """The Unix socket at which the one that writes takes the requests that are meant for it."""
    announce: Callable[[], Taken] = lambda: _nobody
    """Tells the others that a snapshot was published; what it returns waits until they use it."""
    wait_until_alone: Callable[[float], object] = lambda _: None
    """Waits, so many seconds at most, until no other worker hands in requests any more."""


ALONE = Place()
