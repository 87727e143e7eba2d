"""The update walk: folder -> Plan -> passages -> segments -> publish; and merges, which change no answer."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from pathlib import Path

from corpus.folder import Change, Seen, Skipped, Source, Unread, scan
from index.build import build, read_source
from index.encoded import digest_of
from index.encoder import Encoder
from index.manifest import SnapshotError
from index.merge import applied, due, whole
from index.models import building_encoder
from index.plan import Plan, known_shas, plan, reusable
from index.progress import Progress
from index.runtimes import Runtime
from index.snapshot import Snapshot
from index.store import Store
from index.unfinished import Unfinished


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh came to."""

    version: str
    """The snapshot that follows the folder now."""
    change: Change
    passages: int
    skipped: int
    published: bool
    """False when the index followed the folder already."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a refresh looks at the folder."""

    folder: Path
    largest: int
    """Bytes of the largest document read."""
    only: Set[str] | None = None
    """Ids and folders (ending in `/`) to look at; everything when None."""
    seen: Seen | None = None

    def scan(self, held: Snapshot | None, fingerprint: str) -> list[Source | Unread | Skipped]:
        """Return the files looked at; the content of those that `held` has is dropped at once."""
        known = known_shas(held, fingerprint)
        found = scan(self.folder, largest=self.largest, only=self.only, seen=self.seen, known=known)
        return [
            Unread(one.id, one.sha) if isinstance(one, Source) and known.get(one.id) == one.sha else one
            for one in found
        ]


def refresh(
    store: Store,
    reading: Reading,
    previous: Snapshot | None,
    progress: Progress,
    *,
    encoder: Callable[[bool, int], Encoder],
    full: bool = False,
    check: Callable[[Snapshot], None] | None = None,
) -> Refreshed:
    """Make the index follow the folder and return what that took; the caller holds `store.writing()`.

    `encoder` is asked for with (whether the index is new, bytes of changed documents). With `full`
    nothing of `previous` is used again, nor what an interrupted refresh without `full` has left; one with
    `full` that was interrupted is gone on with. `check` sees the new snapshot before anybody else does, and
    keeps it from being published by raising. Raises CorpusError, EncoderError, SnapshotError, Cancelled or
    OSError; whatever happens, the snapshot in use stays in use until the new one is whole on disk.
    """
    held = None if full else previous
    if held is None:
        reading = replace(reading, only=None)
    found = reading.scan(held, held.manifest.fingerprint if held else "")
    progress.tell()
    chosen = encoder(held is None, sum(len(one.data) for one in found if isinstance(one, Source)))
    if held is not None and not reusable(held, chosen.export.fingerprint):
        reading = replace(reading, only=None)
        found = reading.scan(None, "")
    planned = plan(held, found, chosen.export.fingerprint, reading.only)
    unfinished = store.unfinished(chosen.export, full=full)
    everything = reading.only is None
    if held is not None and planned.version == held.version:
        if reading.only is None and store.pinned():
            store.point(held.version)  # the folder is what was gone back to: it may be followed again
        unfinished.finish(everything=everything)
        return Refreshed(held.version, planned.change, held.passages, len(held.skipped), published=False)
    manifest = build(planned, held, chosen, store.add_segment, progress, unfinished=unfinished)
    progress.tell()
    if check is not None:
        check(store.view(manifest))
    # A change of single documents on top of an older state that was chosen leaves it chosen.
    store.publish(manifest, pinned=reading.only is not None and store.pinned())
    unfinished.finish(everything=everything)
    skipped = len(manifest.skipped)
    return Refreshed(manifest.version, planned.change, manifest.passages, skipped, published=True)


def rehearse(
    reading: Reading, previous: Snapshot | None, encoder: Encoder, unfinished: Unfinished, *, full: bool
) -> tuple[Plan, int, int]:
    """Return what a refresh would do, how many passages there would be and how many it would encode.

    Touches nothing on disk.
    """
    fingerprint = encoder.export.fingerprint
    held = previous if not full and reusable(previous, fingerprint) else None
    planned = plan(previous if not full else None, reading.scan(held, fingerprint), fingerprint, reading.only)
    total = sum(len(held.passages_of(held.numbers[one])) for one in planned.stay) if held else 0
    unseen: set[bytes] = set()
    for source in planned.sources:
        parsed = read_source(source, encoder)
        if not isinstance(parsed, Skipped):
            total += len(parsed[1])
            digests = {digest_of(one) for one in parsed[1]}
            fresh = {one for one in digests if held is None or held.row_with(one) is None}
            unseen |= {one for one in fresh if unfinished.get(one) is None}
    return planned, total, len(unseen)


def merge_due(store: Store, snapshot: Snapshot, *, everything: bool = False) -> Callable[[], bool] | None:
    """Write the merge that is due and return what makes it count, or None when none is due.

    The writing takes long and needs no lock; the returned function is called while holding
    `store.writing()` and says whether the merge fitted the snapshot then in use.
    """
    wanted = whole(snapshot) if everything else due(snapshot)
    if wanted is None:
        return None
    file = store.add_segment(wanted.write, reserved=True)

    def commit() -> bool:
        try:
            current = store.manifest(store.kept()[0])
            manifest = applied(current, wanted, file)
            if manifest is None:
                return False
            store.publish(manifest, pinned=store.pinned())
        except (SnapshotError, IndexError):
            return False
        finally:
            store.release(file)
        return True

    return commit


def merge_all(store: Store, snapshot: Snapshot, *, everything: bool) -> None:
    """Carry out every merge that is due; the caller holds `store.writing()`.

    With `everything` one segment is left: for an index that was built from nothing.
    """
    while True:
        commit = merge_due(store, snapshot, everything=everything)
        if commit is None or not commit():
            return
        snapshot = store.open(snapshot.version)


def open_builder(store: Store, model: str, runtime: Runtime = "auto") -> Callable[[bool, int], Encoder]:
    """Return how a process outside the server picks its encoder: see `building_encoder`."""
    return lambda fresh, changed: building_encoder(
        store, model, fresh=fresh, changed_bytes=changed, runtime=runtime
    )
