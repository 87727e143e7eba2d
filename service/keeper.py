"""Keeps the index in step with the folder: changes, refreshes one run at a time, merges, ways back."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import IO

import structlog

from corpus.editing import Status, Wanted, remove_document, sweep, write_document
from corpus.folder import CorpusError, Seen
from index.encoder import Encoder
from index.manifest import SnapshotError
from index.plan import plan
from index.progress import Cancelled
from index.refresh import Reading, merge_due, refresh, rehearse
from index.snapshot import Snapshot
from index.store import Locked, NoIndex
from service.crew import ALONE, Place
from service.finding import Index
from service.gate import GateClosed, gate_of
from service.jobs import Job, Jobs, Mode
from service.live import FOLLOW_SECONDS, Failure, Live
from service.metrics import Metrics
from service.resting import Resting
from service.watching import follow

WAIT_FOR_LOCK_SECONDS = 30.0
"""How long a refresh waits for another process that is writing before it fails."""

BUILDING_NICENESS = 10
"""Of the threads that build and merge: where both want the processor, a question gets it."""

SWITCH_SECONDS = 0.0005
"""How long a thread that builds may keep the interpreter from one that answers; Python's own 5 ms, dozens of
times in one question, were felt."""

ENCODED_PER_SECOND = 60.0
"""Passages, by the export on two cores: what a dry run reckons with until a refresh has shown better."""

RETRY_SECONDS = 10.0
"""After a refresh that failed for what may pass, another one looks at the whole folder."""

REST_SECONDS = 20.0
"""After the last change, what encodes documents is closed. On OpenVINO that gives back 140 MB of 315, and the
next change waits 0.2 s for it."""

PACED_PASSAGES = 16
"""Encoded by a refresh at least, for its pace to be that of the next dry run."""

log = structlog.get_logger()


class ReadOnly(Exception):
    """The server changes nothing."""


class Keeper:
    """The one that writes: whatever changes the folder or the index of a server goes through it."""

    def __init__(self, live: Live, place: Place = ALONE, metrics: Metrics | None = None) -> None:
        """Keep the index that `live` serves; nothing begins before `open`.

        In a process that does not write it only opens the index.
        """
        self.jobs = Jobs(live.settings.data)
        self._live = live
        self._settings = live.settings
        self._place = place
        self._metrics = metrics or Metrics()
        self._store = live.store
        self._seen = Seen()
        self._pace = ENCODED_PER_SECOND
        self._lock: IO[bytes] | None = None
        self._asking = threading.Lock()
        self._editing = threading.Lock()
        self._writing = threading.Lock()
        self._merging = threading.Lock()
        self._stop = threading.Event()
        self._worker = _background("refresh")
        self._merger = _background("merge")
        self._resting = Resting(REST_SECONDS, self._rest)
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._opened = False
        self._refused = ""
        """The version that the gate has refused last."""

    def open(self) -> None:
        """Open the live index, and begin to follow the folder where the settings say so; once is enough.

        Raises AlreadyServed when another server has the data folder, and what `Live.open` raises.
        """
        if self._opened:
            return
        if self._settings.read_only or not self._place.writes:
            self._live.open()
            return
        self._lock = self._store.serving()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._live.open()
        with suppress(OSError):
            sweep(self._settings.corpus)
        missed = self.jobs.open()
        self._opened = True
        if missed and self._store.pinned():
            # Changes on top of what was gone back to, which no look at the whole folder will make.
            self.request_refresh("changed", only=missed)
        if self._settings.watch:
            self._watcher.start()

    def close(self) -> None:
        """Stop following; a refresh under way is cancelled, and the index on disk is as it was."""
        self._stop.set()
        for job in self.jobs.unfinished():
            job.cancel()
        self._worker.shutdown(wait=True)
        self._merger.shutdown(wait=True)
        self._resting.close()
        if self._watcher.is_alive():
            self._watcher.join()
        self.jobs.close()
        self._live.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def follows_folder(self) -> bool:
        """Return whether the index is to follow the folder by itself: not after somebody went back."""
        return self._place.writes and not self._settings.read_only and not self._store.pinned()

    @property
    def building(self) -> bool:
        """Return whether a refresh is under way."""
        return any(job.state == "running" and not job.dry_run for job in self.jobs.unfinished())

    @property
    def _waiting(self) -> int:
        return sum(not job.dry_run for job in self.jobs.unfinished())

    def request_refresh(
        self, mode: Mode, *, dry_run: bool = False, only: Set[str] | None = None, key: str | None = None
    ) -> Job:
        """Return the job that will make the index follow every change made until now.

        Raises ReadOnly on a server that changes nothing.

        With `only`, ids and folders (ending in `/`), nothing else is looked at. The same `key` gives the same
        job. Raises ValueError when the key was used for another kind of job, OSError when none can be kept.
        """
        self._check_writable()
        with self._asking:
            waiting = None if dry_run or key else self.jobs.joined(mode, only)
            if waiting is not None:
                return waiting
            job = Job(mode, dry_run, set(only) if only is not None else None)
            known = self.jobs.add(job, key)
            if known is job:
                self._worker.submit(self._rehearse if dry_run else self._refresh, job)
            self._metrics.unfinished(self._waiting)
            return known

    def put_document(self, document_id: str, data: bytes, wanted: Wanted) -> tuple[Status, Job | None]:
        """Put a document into the folder, durably; return what that was, and the job that takes it up.

        The job is None when the index has this content already. Raises BadId, Taken, PreconditionFailed
        or OSError, after which everything is as it was.
        """
        self._check_writable()
        with self._editing:
            status = write_document(self._settings.corpus, document_id, data, wanted)
        if status == "unchanged" and not self.building:
            number = self._live.current.snapshot.numbers.get(document_id)
            held = None if number is None else self._live.current.snapshot.documents[number].raw_sha
            if held == hashlib.sha256(data).hexdigest():
                return status, None
        return status, self.request_refresh("changed", only={document_id})

    def remove_document(self, document_id: str, wanted: Wanted) -> Job | None:
        """Take a document out of the folder, durably; return the job that takes it up.

        None when there was no such document. Raises as `put_document` does.
        """
        self._check_writable()
        with self._editing:
            there = remove_document(self._settings.corpus, document_id, wanted)
        return self.request_refresh("changed", only={document_id}) if there else None

    def roll_back(self, version: str) -> Index:
        """Make a kept snapshot the one in use until the next refresh that is asked for, and return it.

        Raises NoIndex when it is not kept, SnapshotError when it is damaged, Locked or OSError.
        """
        self._check_writable()
        with self._held():
            if version not in self._store.kept():
                raise NoIndex(f"no snapshot {version} is kept; kept are {', '.join(self._store.kept())}")
            self._store.open(version)
            self._store.point(version, pinned=True)
            self._switch()
        return self._live.current

    def _check_writable(self) -> None:
        if self._settings.read_only:
            raise ReadOnly(
                "this server only reads (PULLQUOTE_READ_ONLY); send changes to the one that writes"
            )

    @contextmanager
    def _running(self, job: Job) -> Iterator[None]:
        """Mark the job as running, then by how it ends; whoever sees that it failed finds the failure."""
        with self.jobs.running(job):
            try:
                yield
            except Cancelled:
                raise
            except Exception as error:
                self._failed(error)
                raise

    def _failed(self, error: Exception) -> None:
        self._live.last_failure = Failure(str(error) or type(error).__name__)
        log.error("refresh failed", problem=self._live.last_failure.problem)
        if isinstance(error, GateClosed):
            self._refused = error.version
        elif isinstance(error, (OSError, SnapshotError, CorpusError, Locked)):
            # A full disk, a folder that has gone for a while: what was asked for is tried again.
            timer = threading.Timer(RETRY_SECONDS, self._retry)
            timer.daemon = True
            timer.start()

    def _retry(self) -> None:
        if not self._stop.is_set() and self.follows_folder and self._live.last_failure is not None:
            with suppress(OSError, RuntimeError):
                self.request_refresh("changed")

    @contextmanager
    def _held(self, job: Job | None = None) -> Iterator[None]:
        """Hold the data folder, waiting for whoever else writes. Raises Locked when that takes too long."""
        with self._writing:
            waited = 0.0
            while True:
                try:
                    held = self._store.writing()
                    held.__enter__()
                    break
                except Locked:
                    if job is not None:
                        job.progress.tell()
                    if waited >= WAIT_FOR_LOCK_SECONDS or self._stop.wait(FOLLOW_SECONDS):
                        raise
                    waited += FOLLOW_SECONDS
            try:
                yield
            finally:
                held.__exit__(None, None, None)

    def _refresh(self, job: Job) -> None:
        begun = time.monotonic()
        try:
            with self._running(job), self._held(job):
                self._refresh_now(job)
                self._live.last_failure = None
        finally:
            self._resting.used()
            self._metrics.refreshed(job, time.monotonic() - begun, time.time())
            self._metrics.unfinished(self._waiting)

    def _refresh_now(self, job: Job) -> None:
        self._live.take_up()  # another process may have published since
        gate = gate_of(self._settings)

        def check(snapshot: Snapshot) -> None:
            if gate is not None:
                current = self._live.current
                job.differences = gate.check(replace(current, snapshot=snapshot), current)

        result = refresh(
            self._store,
            self._reading(job),
            self._live.current.snapshot,
            job.progress,
            encoder=self._builder,
            full=job.mode == "full",
            check=check,
        )
        if job.progress.encoded >= PACED_PASSAGES:
            self._pace = job.progress.per_second or self._pace
        self._switch()
        job.tell(
            result.change,
            result.version,
            skipped=result.skipped,
            passages=result.passages,
            encoded=job.progress.encoded,
        )
        log.info("index refreshed", version=result.version, published=result.published, **_shown(job))
        if result.published:
            self._merger.submit(self._merge)

    def _switch(self) -> None:
        """Take up what is on disk, and wait until the other workers have: then nobody is told too soon."""
        taken = self._place.announce()
        self._live.take_up()
        taken()

    def _reading(self, job: Job) -> Reading:
        # A full rebuild trusts no date, however unlikely it is to be wrong.
        seen = Seen() if job.mode == "full" else self._seen
        only = frozenset(job.only) if job.only is not None else None
        return Reading(self._settings.corpus, self._settings.max_document_bytes, only, seen)

    def _merge(self) -> None:
        """Carry out the merges that are due, holding the folder only to make each one count."""
        if not self._merging.acquire(blocking=False):
            return
        try:
            while not self._stop.is_set():
                commit = merge_due(self._store, self._live.current.snapshot)
                if commit is None:
                    return
                with self._held():
                    fitted = commit()
                    self._live.take_up()
                log.info("segments merged", fitted=fitted, segments=len(self._live.current.snapshot.segments))
        except (OSError, SnapshotError, Locked) as error:
            # Nothing but speed depends on it, and the next refresh tries again.
            log.warning("segments not merged", problem=str(error))
        finally:
            self._merging.release()

    def _builder(self, _fresh: bool, _changed: int) -> Encoder:
        """Return the encoder in use: the server builds on the export, never on torch."""
        return self._live.current.encoder

    def _rest(self) -> None:
        self._live.current.encoder.close_documents()

    def _rehearse(self, job: Job) -> None:
        with self._running(job):
            index = self._live.current
            full = job.mode == "full"
            left = self._store.left_by(index.encoder.export, full=full)
            planned, total, encoded = rehearse(
                self._reading(job), index.snapshot, index.encoder, left, full=full
            )
            job.estimated_seconds = round(encoded / self._pace, 1)
            job.tell(
                planned.change,
                planned.version,
                skipped=len(planned.skipped),
                passages=total,
                encoded=encoded,
            )

    def _watch(self) -> None:
        """Have the index follow what changes in the folder, until `close`."""

        def told(touched: frozenset[str] | None) -> None:
            if not self.follows_folder or (touched is None and self._is_current()):
                return
            with suppress(OSError, RuntimeError):  # jobs that cannot be kept, or a server that is closing
                self.request_refresh("changed", only=touched)

        follow(self._settings.corpus, told, self._stop, but=self._settings.data)

    def _is_current(self) -> bool:
        """Return whether the index has all that is in the folder, looking at dates before contents."""
        snapshot = self._live.current.snapshot
        fingerprint = snapshot.manifest.fingerprint
        reading = Reading(self._settings.corpus, self._settings.max_document_bytes, None, self._seen)
        try:
            found = reading.scan(snapshot, fingerprint)
        except CorpusError:
            return True  # a folder that cannot be listed says nothing of its documents
        return plan(snapshot, found, fingerprint).version in (snapshot.version, self._refused)


def _background(name: str) -> ThreadPoolExecutor:
    """Return one thread that gives way to those that answer."""

    def give_way() -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BUILDING_NICENESS)

    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name, initializer=give_way)


def _shown(job: Job) -> dict[str, int]:
    return {name: getattr(job.counts, name) for name in job.counts.__slots__} if job.counts else {}
