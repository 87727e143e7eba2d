"""How far a build is, and the order to stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


class Cancelled(Exception):
    """The build was told to stop; nothing was published."""


@dataclass(slots=True)
class Progress:
    """How far a build is; numbers only grow. Read by other threads, written by the one that builds."""

    passages: int = 0
    """Passages known so far."""
    done: int = 0
    """Passages finished, encoded or taken over."""
    encoded: int = 0
    """Passages the encoder was run for."""
    kept: int = 0
    """Passages that a build which was interrupted has encoded, and this one has not come to yet; shrinks."""
    seconds: float = 0.0
    """Spent encoding."""
    bytes: int = 0
    """Bytes of the documents parsed so far."""
    total_bytes: int = 0
    cancelled: bool = False
    listeners: list[Callable[[Progress], None]] = field(default_factory=list, repr=False)

    @property
    def expected(self) -> int:
        """Return how many passages there will be in all: an estimate until every document is parsed."""
        return max(self.passages, round(self.passages * self.total_bytes / max(self.bytes, 1)))

    @property
    def per_second(self) -> float | None:
        """Return how many passages are encoded in a second; None before the first.

        What is taken over counts neither as work nor as time.
        """
        return self.encoded / self.seconds if self.encoded and self.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Return an estimate of how long the encoding that is left will take; None before the first."""
        pace = self.per_second
        return None if pace is None else max(0, self.expected - self.done - self.kept) / pace

    def tell(self) -> None:
        """Call the listeners; raise Cancelled when the build is to stop."""
        for listener in self.listeners:
            listener(self)
        if self.cancelled:
            raise Cancelled("the build was cancelled; the index is as it was")
