"""The Index in use: opened at start, refreshed one run at a time, swapped in one step.

A request takes `live.index` once and ends on it; a swap never waits for requests, and the old snapshot's
files stay readable until the last request on it is done, even where they were pruned from disk.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import IO, Literal

import structlog

from corpus.editing import Wanted, remove_document, sweep, write_document
from corpus.folder import Seen
from index.encoder import Encoder, EncoderError
from index.manifest import SnapshotError
from index.models import open_encoder
from index.refresh import Reading, merge_due, refresh, rehearse
from index.snapshot import Snapshot
from index.store import Locked, NoIndex, Store
from service.answer import Index, NotFound, ask
from service.jobs import Job, Jobs, Mode, now
from service.settings import Settings

FOLLOW_SECONDS = 0.5
"""How often the server looks whether another process has published a snapshot."""

WAIT_FOR_LOCK_SECONDS = 30.0
"""How long a refresh waits for another process that is writing before it fails."""

BUILDING_NICENESS = 10
"""Of the threads that build and merge: where both want the processor, a question gets it."""

SWITCH_SECONDS = 0.0005
"""How long a thread that builds may keep the interpreter from one that answers; Python's own 5 ms, dozens of
times in one question, were felt."""

ENCODED_PER_SECOND = 60.0
"""Passages, by the export on two cores: what a dry run reckons with until a refresh has shown better."""

log = structlog.get_logger()


class ReadOnly(Exception):
    """The server changes nothing."""


class Failure:
    """The last refresh that failed: when, and why."""

    def __init__(self, at: str, problem: str) -> None:
        self.at = at
        self.problem = problem


class Live:
    """Holds the Index that questions are asked of and keeps it current."""

    def __init__(self, settings: Settings) -> None:
        """Serve the newest whole snapshot of the settings' data folder; `open` takes it up."""
        self.settings = settings
        self.store = Store(settings.data)
        self.jobs = Jobs(settings.data)
        self.index: Index | None = None
        self.last_failure: Failure | None = None
        self.damage: list[str] = []
        self._older: dict[str, Index] = {}
        self._seen = Seen()
        self._pace = ENCODED_PER_SECOND
        self._pointer: tuple[int, int] | None = None
        self._lock: IO[bytes] | None = None
        self._swap = threading.Lock()
        self._asking = threading.Lock()
        self._editing = threading.Lock()
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._worker = _background("refresh")
        self._merger = _background("merge")
        self._merging = threading.Lock()
        self._follower = threading.Thread(target=self._follow, name="follow", daemon=True)

    def open(self) -> None:
        """Take up the newest whole snapshot and begin to follow the data folder; once is enough.

        Raises NoIndex when there is none, EncoderError when its encoder is missing, AlreadyServed when
        another server has the data folder.
        """
        if self.index is not None:
            return
        if not self.settings.read_only:
            self._lock = self.store.serving()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._take_up()
        if not self.settings.read_only:
            with suppress(OSError):
                sweep(self.settings.corpus)
            self.jobs.open()
        self._follower.start()

    def close(self) -> None:
        """Stop following; a refresh under way is cancelled, and the index on disk is as it was."""
        self._stop.set()
        for job in self.jobs.unfinished():
            job.cancel()
        self._worker.shutdown(wait=True)
        self._merger.shutdown(wait=True)
        if self._follower.is_alive():
            self._follower.join()
        self.jobs.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def current(self) -> Index:
        """Return the Index in use. Raises NoIndex before there is one."""
        if self.index is None:
            raise NoIndex("the index is not open yet; wait until /readyz says so")
        return self.index

    def index_of(self, version: str) -> Index | None:
        """Return the Index of a kept version, or None. Raises SnapshotError when it is damaged."""
        current = self.current
        if version == current.snapshot.version:
            return current
        with self._swap:
            kept = self.store.kept()
            self._older = {one: held for one, held in self._older.items() if one in kept}
            if version in kept and version not in self._older:
                snapshot = self.store.open(version)
                self._older[version] = Index(snapshot, self._encoder_of(snapshot))
            return self._older.get(version)

    @property
    def follows_folder(self) -> bool:
        """Return whether the index is to follow the folder by itself: not after somebody went back."""
        return not self.settings.read_only and not self.store.pinned()

    @property
    def building(self) -> bool:
        """Return whether a refresh is under way."""
        return any(job.state == "running" and not job.dry_run for job in self.jobs.unfinished())

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
                future = self._worker.submit(self._rehearse if dry_run else self._refresh, job)
                future.add_done_callback(self._note)
            return known

    def put_document(
        self, document_id: str, data: bytes, wanted: Wanted
    ) -> tuple[Literal["created", "replaced", "unchanged"], Job | None]:
        """Put a document into the folder, durably; return what that was, and the job that takes it up.

        The job is None when the index has this content already. Raises BadId, Taken, PreconditionFailed
        or OSError, after which everything is as it was.
        """
        self._check_writable()
        with self._editing:
            status = write_document(self.settings.corpus, document_id, data, wanted)
        if status == "unchanged" and not self.building:
            number = self.current.snapshot.numbers.get(document_id)
            held = None if number is None else self.current.snapshot.documents[number].raw_sha
            if held == hashlib.sha256(data).hexdigest():
                return status, None
        return status, self.request_refresh("changed", only={document_id})

    def remove_document(self, document_id: str, wanted: Wanted) -> Job | None:
        """Take a document out of the folder, durably; return the job that takes it up.

        None when there was no such document. Raises as `put_document` does.
        """
        self._check_writable()
        with self._editing:
            there = remove_document(self.settings.corpus, document_id, wanted)
        return self.request_refresh("changed", only={document_id}) if there else None

    def roll_back(self, version: str) -> Index:
        """Make a kept snapshot the one in use until the next refresh that is asked for, and return it.

        Raises NoIndex when it is not kept, SnapshotError when it is damaged, Locked or OSError.
        """
        self._check_writable()
        with self._held():
            if version not in self.store.kept():
                raise NoIndex(f"no snapshot {version} is kept; kept are {', '.join(self.store.kept())}")
            self.store.open(version)
            self.store.point(version, pinned=True)
            self._take_up()
        return self.current

    def _check_writable(self) -> None:
        if self.settings.read_only:
            raise ReadOnly(
                "this server only reads (PULLQUOTE_READ_ONLY); send changes to the one that writes"
            )

    def _note(self, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self.last_failure = Failure(now(), str(error) or type(error).__name__)
            log.error("refresh failed", problem=self.last_failure.problem)

    @contextmanager
    def _held(self, job: Job | None = None) -> Iterator[None]:
        """Hold the data folder, waiting for whoever else writes. Raises Locked when that takes too long."""
        with self._writing:
            waited = 0.0
            while True:
                try:
                    held = self.store.writing()
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
        with self.jobs.running(job), self._held(job):
            self._refresh_now(job)
            self.last_failure = None

    def _refresh_now(self, job: Job) -> None:
        self._take_up()  # another process may have published since
        result = refresh(
            self.store,
            self._reading(job),
            self.current.snapshot,
            job.progress,
            encoder=self._builder,
            full=job.mode == "full",
        )
        self._take_up()
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

    def _reading(self, job: Job) -> Reading:
        # A full rebuild trusts no date, however unlikely it is to be wrong.
        seen = Seen() if job.mode == "full" else self._seen
        only = frozenset(job.only) if job.only is not None else None
        return Reading(self.settings.corpus, self.settings.max_document_bytes, only, seen)

    def _merge(self) -> None:
        """Carry out the merges that are due, holding the folder only to make each one count."""
        if not self._merging.acquire(blocking=False):
            return
        try:
            while not self._stop.is_set():
                commit = merge_due(self.store, self.current.snapshot)
                if commit is None:
                    return
                with self._held():
                    fitted = commit()
                    self._take_up()
                log.info("segments merged", fitted=fitted, segments=len(self.current.snapshot.segments))
        except (OSError, SnapshotError, Locked) as error:
            # Nothing but speed depends on it, and the next refresh tries again.
            log.warning("segments not merged", problem=str(error))
        finally:
            self._merging.release()

    def _builder(self, _fresh: bool, _changed: int) -> Encoder:
        """Return the encoder in use: the server builds on the export, never on torch."""
        return self.current.encoder

    def _rehearse(self, job: Job) -> None:
        with self.jobs.running(job):
            index = self.current
            planned, total, encoded = rehearse(
                self._reading(job), index.snapshot, index.encoder, full=job.mode == "full"
            )
            job.estimated_seconds = round(encoded / self._pace, 1)
            job.tell(
                planned.change,
                planned.version,
                skipped=len(planned.skipped),
                passages=total,
                encoded=encoded,
            )

    def _follow(self) -> None:
        """Take up what other processes publish, until `close`."""
        while not self._stop.wait(FOLLOW_SECONDS):
            if self.store.pointer() == self._pointer:
                continue
            try:
                self._take_up()
            except (NoIndex, EncoderError, OSError) as error:
                # The snapshot in use goes on answering; the failure shows in /v1/index.
                self.last_failure = Failure(now(), str(error))

    def _take_up(self) -> None:
        """Make the newest whole snapshot on disk the one in use, unless it is already."""
        with self._swap:
            pointer = self.store.pointer()
            if self.index is not None and pointer == self._pointer:
                return
            damage: list[str] = []
            snapshot = self.store.open_current(damage.append)
            for problem in damage:
                log.error("snapshot refused", problem=problem)
            held = self.index.snapshot if self.index else None
            if held is None or snapshot.manifest != held.manifest:
                if held is not None:
                    snapshot.take_words_of(held)
                index = Index(snapshot, self._encoder_of(snapshot))
                _self_test(index)
                self.index = index
                if held is None or held.version != snapshot.version:
                    log.info("index in use", version=snapshot.version, passages=snapshot.passages)
            self.damage = damage
            self._pointer = pointer

    def _encoder_of(self, snapshot: Snapshot) -> Encoder:
        fingerprint = snapshot.manifest.fingerprint
        if self.index is not None and self.index.encoder.export.fingerprint == fingerprint:
            return self.index.encoder
        return open_encoder(self.store, self.settings.model, fingerprint)


def _background(name: str) -> ThreadPoolExecutor:
    """Return one thread that gives way to those that answer."""

    def give_way() -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BUILDING_NICENESS)

    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name, initializer=give_way)


def _self_test(index: Index) -> None:
    """Ask for a passage in its own words; raise NoIndex when it is not found.

    Nothing is ready before this: a broken part must not look like "not found".
    """
    snapshot = index.snapshot
    if not snapshot.passages:
        return
    words = snapshot.span(0).of(snapshot.text(0))
    reply = ask(index, words[:500])
    found = any(
        words == snapshot.span(hit.passage).of(snapshot.text(snapshot.document_of(hit.passage)))
        for hit in reply.hits
    )
    if not found and not (isinstance(reply.verdict, NotFound) and reply.verdict.reason == "not_a_question"):
        raise NoIndex(
            f"snapshot {snapshot.version} does not find its own first passage; "
            "remove its file and run `pullquote index`"
        )


def _shown(job: Job) -> dict[str, int]:
    return {name: getattr(job.counts, name) for name in job.counts.__slots__} if job.counts else {}
