"""The Index in use: opened at start, swapped in one step for every newer one.

A request takes `live.index` once and ends on it; a swap never waits for requests, and the old snapshot's
files stay readable until the last request on it is done, even where they were pruned from disk.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import structlog

from index.cross_encoder import PairScorer
from index.encoder import Encoder, EncoderError
from index.models import open_encoder, open_pairs
from index.snapshot import Snapshot
from index.store import NoIndex, Store
from service.answer import settle
from service.finding import Index, cores_each, find
from service.jobs import now
from service.settings import Settings

FOLLOW_SECONDS = 0.5
"""How often the server looks whether another process has published a snapshot."""

TRIED_CHARS = 200
"""Code points of a passage that a new snapshot is asked for: as many as a long question has."""

log = structlog.get_logger()


class Failure:
    """The last refresh that failed: when, and why."""

    def __init__(self, problem: str) -> None:
        self.at = now()
        self.problem = problem


class Live:
    """Holds the Index that questions are asked of, and takes up every newer one on disk."""

    def __init__(self, settings: Settings) -> None:
        """Serve the newest whole snapshot of the settings' data folder; `open` takes it up."""
        self.settings = settings
        self.store = Store(settings.data)
        self.index: Index | None = None
        self.last_failure: Failure | None = None
        self.damage: list[str] = []
        self.ending = False
        """Whether the server was told to end: what is under way is answered, nothing more should come."""
        self._older: dict[str, Index] = {}
        self._pointer: tuple[int, ...] | None = None
        self._swap = threading.Lock()
        self._stop = threading.Event()
        self._follower = threading.Thread(target=self._follow, name="follow", daemon=True)

    def open(self) -> None:
        """Take up the newest whole snapshot and begin to follow the data folder; once is enough.

        Raises NoIndex when there is none, EncoderError when its encoder is missing.
        """
        if self._follower.ident is None:
            self.take_up()
            self._follower.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._follower.is_alive():
            self._follower.join()

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
                self._older[version] = replace(current, snapshot=snapshot, encoder=self._encoder_of(snapshot))
            return self._older.get(version)

    def _follow(self) -> None:
        """Take up what other processes publish, until `close`."""
        while not self._stop.wait(FOLLOW_SECONDS):
            if self.store.pointer() == self._pointer:
                continue
            try:
                self.take_up()
            except (NoIndex, EncoderError, OSError) as error:
                # The snapshot in use goes on answering; the failure shows in /v1/index.
                self.last_failure = Failure(str(error))

    def take_up(self) -> None:
        """Make the newest whole snapshot on disk the one in use, unless it is already.

        Raises NoIndex, EncoderError or OSError; the one in use then stays in use.
        """
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
                pairs = self.index.pairs if self.index else self._pairs()
                index = Index(snapshot, self._encoder_of(snapshot), pairs)
                self_test(index, parts_are_new=self.index is None or index.encoder is not self.index.encoder)
                self.index = index
                if held is None or held.version != snapshot.version:
                    log.info(
                        "index in use",
                        version=snapshot.version,
                        passages=snapshot.passages,
                        runtime=index.encoder.runtime,
                    )
            self.damage = damage
            self._pointer = pointer

    def _pairs(self) -> PairScorer | None:
        return open_pairs(self.settings.reader, cores=cores_each(self.settings.workers))

    def _encoder_of(self, snapshot: Snapshot) -> Encoder:
        fingerprint = snapshot.manifest.fingerprint
        if self.index is not None and self.index.encoder.export.fingerprint == fingerprint:
            return self.index.encoder
        return open_encoder(self.store, self.settings.model, fingerprint, self.settings.runtime)


def self_test(index: Index, *, parts_are_new: bool) -> None:
    """Ask for a passage in its own words; raise NoIndex when they are not found in its document.

    Nothing is ready before this: a broken part must not look like "not found". In which place the passage
    comes is no part of it: a document may say nearly the same fifty times. What reads candidates is tried
    only when it is new, and not for every change: a change takes 45 ms without it and 65 with it.
    """
    snapshot = index.snapshot
    if not snapshot.passages:
        return
    document = snapshot.document_of(0)
    words = snapshot.span(0).of(snapshot.text(document))
    found = find(index, words[:TRIED_CHARS], documents=[snapshot.documents[document].id])
    if parts_are_new:
        settle(index, found)
    if found.question is not None and found.question.subject and not any(hit.words > 0 for hit in found.hits):
        raise NoIndex(
            f"snapshot {snapshot.version} does not find the words of its own first passage; "
            "remove its file and run `pullquote index`"
        )
