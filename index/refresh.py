"""The update walk: folder -> Change -> passages -> build -> publish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corpus.folder import Change, Skipped, Source, scan
from index.build import Plan, Progress, build, digest_of, plan, read_source, reusable
from index.encoder import Encoder
from index.models import building_encoder
from index.snapshot import Snapshot
from index.store import Store


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh came to."""

    version: str
    """The snapshot that follows the folder now."""
    change: Change
    passages: int
    skipped: int
    published: bool
    """False when the index followed the folder already, and for a dry run."""


def refresh(
    store: Store,
    corpus: Path,
    previous: Snapshot | None,
    progress: Progress,
    *,
    encoder: Callable[[bool, int], Encoder],
    largest: int,
    full: bool = False,
) -> Refreshed:
    """Make the index follow the folder and return what that took; the caller holds `store.writing()`.

    `encoder` is asked for with (whether the index is new, bytes of changed documents). With `full`
    nothing of `previous` is used again. Raises CorpusError, EncoderError, SnapshotError, Cancelled or
    OSError; whatever happens, the snapshot in use stays in use until the new one is whole on disk.
    """
    found = tuple(scan(corpus, largest=largest))
    progress.tell()
    held = None if full else previous
    chosen = encoder(held is None, _changed_bytes(held, found))
    planned = plan(held, found, chosen.export.fingerprint)
    if held is not None and planned.version == held.version:
        return Refreshed(held.version, planned.change, held.passages, len(held.skipped), published=False)
    with store.draft() as draft:
        manifest = build(planned, held, chosen, draft, progress)
        progress.tell()
        store.publish(draft, manifest)
    counts = manifest.counts
    return Refreshed(manifest.version, planned.change, counts["passages"], counts["skipped"], published=True)


def _changed_bytes(held: Snapshot | None, found: tuple[Source | Skipped, ...]) -> int:
    known = {one.raw_sha for one in held.documents} if held else set()
    return sum(len(one.data) for one in found if isinstance(one, Source) and one.sha not in known)


def rehearse(
    corpus: Path, previous: Snapshot | None, encoder: Encoder, *, largest: int, full: bool
) -> tuple[Plan, int, int]:
    """Return what a refresh would do, how many passages there would be and how many it would encode.

    Touches nothing on disk.
    """
    fingerprint = encoder.export.fingerprint
    held = previous if not full and reusable(previous, fingerprint) else None
    planned = plan(None if full else previous, scan(corpus, largest=largest), fingerprint)
    known = {digest.tobytes() for digest in held.columns.passages["digest"]} if held else set()
    unchanged = set(planned.change.unchanged) if held else set()
    total = (
        sum(held.documents[held.numbers[one]].passages for one in unchanged if one in held.numbers)
        if held
        else 0
    )
    unseen: set[bytes] = set()
    for source in planned.sources:
        if source.id in unchanged:
            continue
        parsed = read_source(source, encoder)
        if not isinstance(parsed, Skipped):
            total += len(parsed[1])
            unseen |= {digest_of(one) for one in parsed[1]} - known
    return planned, total, len(unseen)


def open_builder(store: Store, model: str) -> Callable[[bool, int], Encoder]:
    """Return how a process outside the server picks its encoder: see `building_encoder`."""
    return lambda fresh, changed: building_encoder(store, model, fresh=fresh, changed_bytes=changed)
