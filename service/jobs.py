"""Jobs: what is known of each run that makes the index follow the folder."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from index.build import Cancelled, Progress

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Mode = Literal["changed", "full"]

REMEMBERED = 200
"""Finished jobs that can still be asked about."""


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return datetime.now(tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a refresh changes, or would change."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    skipped: int = 0
    passages: int = 0
    encoded: int = 0
    """Passages the encoder was, or would be, run for; the others keep their vectors."""


@dataclass(slots=True)
class Job:
    """One refresh: asked for, under way or over."""

    mode: Mode
    dry_run: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "queued"
    created_at: str = field(default_factory=now)
    finished_at: str | None = None
    progress: Progress = field(default_factory=Progress)
    counts: Counts | None = None
    documents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids by what happens to them: added, changed, removed."""
    version: str | None = None
    """The snapshot in use at its end."""
    problem: str | None = None

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come of it."""
        return self.state in ("succeeded", "failed", "cancelled")

    def cancel(self) -> None:
        """Ask for the job to stop; it does at its next step, and the index is as it was."""
        self.progress.cancelled = True

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark the job as running, then by how the block ends."""
        self.state = "running"
        try:
            if self.progress.cancelled:
                raise Cancelled("the job was cancelled before it began")
            yield
        except Cancelled as error:
            self.problem = str(error)
            self.state = "cancelled"
        except Exception as error:
            self.problem = str(error) or type(error).__name__
            self.state = "failed"
            raise
        else:
            self.state = "succeeded"
        finally:
            self.finished_at = now()


class Jobs:
    """The jobs of this process, the last REMEMBERED of them."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def add(self, job: Job) -> Job:
        """Remember `job` and return it."""
        with self._lock:
            self._jobs[job.id] = job
            over = [one.id for one in self._jobs.values() if one.is_over]
            for old in over[: max(0, len(self._jobs) - REMEMBERED)]:
                del self._jobs[old]
        return job

    def get(self, job_id: str) -> Job | None:
        """Return the job with that id, or None."""
        return self._jobs.get(job_id)

    def unfinished(self) -> list[Job]:
        """Return the jobs that are queued or under way."""
        with self._lock:
            return [one for one in self._jobs.values() if not one.is_over]

    def waiting(self, mode: Mode) -> Job | None:
        """Return a job of this mode that has not begun and will see every change made until now."""
        with self._lock:
            found = [one for one in self._jobs.values() if one.state == "queued" and not one.dry_run]
            return next((one for one in found if one.mode == mode and not one.progress.cancelled), None)
