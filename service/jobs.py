"""Jobs: what is known of each run that makes the index follow the folder, kept across restarts."""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import structlog

from corpus.folder import Change
from index.progress import Cancelled, Progress
from service.gate import Difference, Given

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Mode = Literal["changed", "full"]

REMEMBERED = 200
"""Finished jobs that can still be asked about."""

FILE = "jobs.sqlite"

log = structlog.get_logger()

CUT_SHORT = "the server stopped before the job was over; what it had not published is not in the index"


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return datetime.now(tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a refresh changes, or would change."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    renamed: int = 0
    unchanged: int = 0
    skipped: int = 0
    passages: int = 0
    encoded: int = 0
    """Passages the encoder was, or would be, run for; the others keep their vectors."""

    @property
    def changes(self) -> int:
        """Return how many documents are not as they were."""
        return self.added + self.changed + self.removed + self.renamed


@dataclass(slots=True)
class Job:
    """One refresh: asked for, under way or over."""

    mode: Mode
    dry_run: bool = False
    only: set[str] | None = None
    """Ids and folders to look at; everything when None."""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "queued"
    created_at: str = field(default_factory=now)
    finished_at: str | None = None
    progress: Progress = field(default_factory=Progress)
    counts: Counts | None = None
    documents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids by what happens to them: added, changed, removed, and renamed as `old -> new`."""
    version: str | None = None
    """The snapshot in use at its end."""
    problem: str | None = None
    differences: list[Difference] = field(default_factory=list)
    """Where there is a gate: the questions whose answers the new snapshot changes."""
    estimated_seconds: float | None = None
    """Of a dry run: how long the real one would take."""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come of it."""
        return self.state in ("succeeded", "failed", "cancelled")

    def cancel(self) -> None:
        """Ask for the job to stop; it does at its next step, and the index is as it was."""
        self.progress.cancelled = True

    def tell(self, change: Change, version: str, *, skipped: int, passages: int, encoded: int) -> None:
        """Note what the job came to."""
        self.version = version
        self.documents = {
            "added": change.added,
            "changed": change.changed,
            "removed": change.removed,
            "renamed": tuple(f"{old} -> {new}" for old, new in change.renamed),
        }
        self.counts = counts_of(change, skipped=skipped, passages=passages, encoded=encoded)


def counts_of(change: Change, *, skipped: int, passages: int, encoded: int) -> Counts:
    """Return the numbers of a change."""
    return Counts(
        added=len(change.added),
        changed=len(change.changed),
        removed=len(change.removed),
        renamed=len(change.renamed),
        unchanged=len(change.unchanged),
        skipped=skipped,
        passages=passages,
        encoded=encoded,
    )


class Jobs:
    """The jobs of this data folder, the last REMEMBERED of them, in a small database."""

    def __init__(self, folder: Path | None = None) -> None:
        """Keep the jobs in `folder`, or for as long as this object lives where there is none."""
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._path = folder / FILE if folder else None
        self._base: sqlite3.Connection | None = None

    def open(self) -> set[str]:
        """Read what earlier processes left; a job of theirs that was not over has failed.

        Returns the ids and folders that such jobs were to look at. Raises OSError when the database cannot be
        used.
        """
        missed: set[str] = set()
        with self._lock:
            for (text,) in self._run("SELECT job FROM jobs ORDER BY created").fetchall():
                job = _read(json.loads(text))
                if not job.is_over:
                    missed |= job.only or set()
                    job.state, job.problem, job.finished_at = "failed", CUT_SHORT, now()
                    self._write(job)
                job.over.set()
                self._jobs[job.id] = job
        return missed

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            if self._base is not None:
                self._base.close()
                self._base = None

    def add(self, job: Job, key: str | None = None) -> Job:
        """Remember `job` and return it; or the job that was added with the same `key` before.

        Raises ValueError when that one was of another kind, OSError when the key cannot be kept.
        """
        with self._lock:
            if key is not None:
                row = self._run("SELECT id FROM jobs WHERE key = ?", (key,)).fetchone()
                same = self._jobs.get(row[0]) if row else None
                if same is not None:
                    if (same.mode, same.dry_run) != (job.mode, job.dry_run):
                        raise ValueError(f"the key was used for job {same.id}, which is of another kind")
                    return same
            try:
                self._write(job, key)
            except OSError as error:
                if key is not None:
                    raise
                # What it is for can be done all the same; only a restart will not know it.
                log.warning("job not written down", job=job.id, problem=str(error))
            self._jobs[job.id] = job
            over = [one.id for one in self._jobs.values() if one.is_over]
            for old in over[: max(0, len(self._jobs) - REMEMBERED)]:
                del self._jobs[old]
                with contextlib.suppress(OSError):
                    self._run("DELETE FROM jobs WHERE id = ?", (old,))
            return job

    def get(self, job_id: str) -> Job | None:
        """Return the job with that id, or None."""
        return self._jobs.get(job_id)

    def unfinished(self) -> list[Job]:
        """Return the jobs that are queued or under way."""
        with self._lock:
            return [one for one in self._jobs.values() if not one.is_over]

    def joined(self, mode: Mode, only: Iterable[str] | None) -> Job | None:
        """Return a job that has not begun and will now look at `only` too, or None."""
        with self._lock:
            for one in self._jobs.values():
                if one.state != "queued" or one.dry_run or one.mode != mode or one.progress.cancelled:
                    continue
                one.only = None if only is None or one.only is None else one.only | {*only}
                return one
            return None

    @contextmanager
    def running(self, job: Job) -> Iterator[None]:
        """Mark the job as running, then by how the block ends."""
        with self._lock:  # from here on nobody joins it
            job.state = "running"
        state: State = "failed"
        try:
            if job.progress.cancelled:
                raise Cancelled("the job was cancelled before it began")
            yield
            state = "succeeded"
        except Cancelled as error:
            job.problem, state = str(error), "cancelled"
        except Exception as error:
            job.problem = str(error) or type(error).__name__
            raise
        finally:
            job.finished_at = now()
            job.state = state
            with self._lock, contextlib.suppress(OSError):
                # On a full disk the job is over all the same; after a restart it counts as cut short.
                self._write(job)
            job.over.set()

    def _write(self, job: Job, key: str | None = None) -> None:
        values = json.dumps(_written(job))
        self._run(
            "INSERT INTO jobs (id, created, key, job) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET job = excluded.job",
            (job.id, job.created_at, key, values),
        )

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            if self._base is None:
                self._base = self._connect()
            return self._base.execute(statement, values)
        except sqlite3.Error as error:
            raise OSError(f"the list of jobs {self._path} cannot be used: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(
            self._path or ":memory:", isolation_level=None, check_same_thread=False, timeout=10
        )
        base.execute("PRAGMA journal_mode = WAL")
        base.execute(
            "CREATE TABLE IF NOT EXISTS jobs"
            " (id TEXT PRIMARY KEY, created TEXT NOT NULL, key TEXT UNIQUE, job TEXT NOT NULL)"
        )
        return base


def _written(job: Job) -> dict[str, Any]:
    """Return a job as JSON has it; how far it was is not kept."""
    return {
        "mode": job.mode,
        "dry_run": job.dry_run,
        "only": sorted(job.only) if job.only is not None else None,
        "id": job.id,
        "state": job.state,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "counts": asdict(job.counts) if job.counts else None,
        "documents": job.documents,
        "version": job.version,
        "problem": job.problem,
        "differences": [asdict(one) for one in job.differences],
        "estimated_seconds": job.estimated_seconds,
    }


def _read(values: dict[str, Any]) -> Job:
    counts = Counts(**values["counts"]) if values["counts"] else None
    only = {*values["only"]} if values["only"] is not None else None
    documents = {name: tuple(ids) for name, ids in values["documents"].items()}
    found = [
        Difference(**{**one, "before": Given(**one["before"]), "after": Given(**one["after"])})
        for one in values.get("differences", [])
    ]
    job = Job(**{**values, "differences": found, "counts": counts, "only": only, "documents": documents})
    if counts is not None:
        job.progress = Progress(passages=counts.passages, done=counts.passages, encoded=counts.encoded)
    return job
