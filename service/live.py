"""The Index in use: opened at start, refreshed one run at a time, swapped in one step.

A request takes `live.index` once and ends on it; a swap never waits for requests, and the old snapshot's
files stay readable until the last request on it is done, even where they were pruned from disk.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import structlog

from corpus.folder import Change
from index.build import Progress
from index.encoder import Encoder, EncoderError, OnnxEncoder
from index.models import open_encoder, serving_export
from index.refresh import open_builder, refresh, rehearse
from index.snapshot import Snapshot
from index.store import Locked, NoIndex, Store
from service.answer import Index, NotFound, ask
from service.jobs import Counts, Job, Jobs, Mode, now
from service.settings import Settings

FOLLOW_SECONDS = 0.5
"""How often the server looks whether another process has published a snapshot."""

WAIT_FOR_LOCK_SECONDS = 30.0
"""How long a refresh waits for another process that is writing before it fails."""

log = structlog.get_logger()


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
        self.jobs = Jobs()
        self.index: Index | None = None
        self.last_failure: Failure | None = None
        self.damage: list[str] = []
        self._pointer: tuple[int, int] | None = None
        self._swap = threading.Lock()
        self._stop = threading.Event()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="refresh")
        self._follower = threading.Thread(target=self._follow, name="follow", daemon=True)

    def open(self) -> None:
        """Take up the newest whole snapshot and begin to follow the data folder; once is enough.

        Raises NoIndex when there is none, EncoderError when its encoder is missing.
        """
        if self.index is not None:
            return
        self._take_up()
        self._follower.start()

    def close(self) -> None:
        """Stop following; a refresh under way is cancelled, and the index on disk is as it was."""
        self._stop.set()
        for job in self.jobs.unfinished():
            job.cancel()
        self._worker.shutdown(wait=True)
        if self._follower.is_alive():
            self._follower.join()

    @property
    def current(self) -> Index:
        """Return the Index in use. Raises NoIndex before there is one."""
        if self.index is None:
            raise NoIndex("the index is not open yet; wait until /readyz says so")
        return self.index

    @property
    def building(self) -> bool:
        """Return whether a refresh is under way."""
        return any(job.state == "running" and not job.dry_run for job in self.jobs.unfinished())

    def request_refresh(self, mode: Mode, *, dry_run: bool = False) -> Job:
        """Return the job that will make the index follow every change made until now."""
        waiting = None if dry_run else self.jobs.waiting(mode)
        if waiting is not None:
            return waiting
        job = self.jobs.add(Job(mode, dry_run))
        future = self._worker.submit(self._rehearse if dry_run else self._refresh, job)
        future.add_done_callback(self._note)
        return job

    def _note(self, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self.last_failure = Failure(now(), str(error) or type(error).__name__)
            log.error("refresh failed", problem=self.last_failure.problem)

    def _refresh(self, job: Job) -> None:
        with job.running():
            self._wait_for_lock(job)
            self.last_failure = None

    def _wait_for_lock(self, job: Job) -> None:
        """Run the refresh as soon as no other process is writing."""
        waited = 0.0
        while True:
            try:
                with self.store.writing():
                    self._refresh_now(job)
                return
            except Locked:
                job.progress.tell()
                if waited >= WAIT_FOR_LOCK_SECONDS or self._stop.wait(FOLLOW_SECONDS):
                    raise
                waited += FOLLOW_SECONDS

    def _refresh_now(self, job: Job) -> None:
        self._take_up()  # another process may have published since
        previous = self.current.snapshot
        result = refresh(
            self.store,
            self.settings.corpus,
            previous,
            job.progress,
            encoder=self._builder,
            largest=self.settings.max_document_bytes,
            full=job.mode == "full",
        )
        self._take_up()
        change = result.change
        job.version = result.version
        job.documents = {"added": change.added, "changed": change.changed, "removed": change.removed}
        job.counts = _counts(change, result.skipped, result.passages, job.progress.encoded)
        log.info("index refreshed", version=result.version, published=result.published, **_shown(job.counts))

    def _builder(self, _fresh: bool, _changed: int) -> Encoder:
        """Return the encoder in use: the server builds on the export, never on torch."""
        return self.current.encoder

    def _rehearse(self, job: Job) -> None:
        with job.running():
            index = self.current
            planned, total, encoded = rehearse(
                self.settings.corpus,
                index.snapshot,
                index.encoder,
                largest=self.settings.max_document_bytes,
                full=job.mode == "full",
            )
            change = planned.change
            job.version = planned.version
            job.documents = {"added": change.added, "changed": change.changed, "removed": change.removed}
            job.counts = _counts(change, len(planned.skipped), total, encoded)

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
            if self.index is None or snapshot.version != self.index.snapshot.version:
                index = Index(snapshot, self._encoder_of(snapshot))
                _self_test(index)
                self.index = index
                log.info("index in use", version=snapshot.version, passages=snapshot.passages)
            self.damage = damage
            self._pointer = pointer

    def _encoder_of(self, snapshot: Snapshot) -> Encoder:
        fingerprint = snapshot.manifest.fingerprint
        if self.index is not None and self.index.encoder.export.fingerprint == fingerprint:
            return self.index.encoder
        return open_encoder(self.store, self.settings.model, fingerprint)


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
            "remove its folder and run `pullquote index`"
        )


def build_index(settings: Settings, progress: Progress, *, full: bool = False) -> Counts:
    """Make the index follow the folder from outside the server, and return the counts.

    Raises Locked when another process is writing, and whatever `refresh` raises.
    """
    store = Store(settings.data)
    with store.writing():
        try:
            previous = store.open_current(lambda problem: log.warning("snapshot refused", problem=problem))
        except NoIndex:
            previous = None
        result = refresh(
            store,
            settings.corpus,
            previous,
            progress,
            encoder=open_builder(store, settings.model),
            largest=settings.max_document_bytes,
            full=full,
        )
    return _counts(result.change, result.skipped, result.passages, progress.encoded)


def plan_index(settings: Settings, *, full: bool = False) -> Counts:
    """Return what `build_index` would do; touches nothing.

    Raises EncoderError where no encoder has been exported yet.
    """
    store = Store(settings.data)
    try:
        previous = store.open_current(lambda problem: log.warning("snapshot refused", problem=problem))
    except NoIndex:
        previous = None
    export = serving_export(store, settings.model)
    if export is None:
        raise EncoderError(
            "nothing has been built yet, so there is no encoder to plan with; run `pullquote index`"
        )
    planned, total, encoded = rehearse(
        settings.corpus, previous, OnnxEncoder(export[0]), largest=settings.max_document_bytes, full=full
    )
    return _counts(planned.change, len(planned.skipped), total, encoded)


def open_index(settings: Settings) -> Index:
    """Return the newest whole snapshot with its encoder, for one question from the command line.

    Raises NoIndex or EncoderError.
    """
    store = Store(settings.data)
    snapshot = store.open_current(lambda problem: log.warning("snapshot refused", problem=problem))
    return Index(snapshot, open_encoder(store, settings.model, snapshot.manifest.fingerprint))


def _counts(change: Change, skipped: int, passages: int, encoded: int) -> Counts:
    return Counts(
        added=len(change.added),
        changed=len(change.changed),
        removed=len(change.removed),
        unchanged=len(change.unchanged),
        skipped=skipped,
        passages=passages,
        encoded=encoded,
    )


def _shown(counts: Counts) -> dict[str, int]:
    return {name: getattr(counts, name) for name in Counts.__slots__}
