"""Merging segments, so that they stay few: which ones, and what they become.

Segments are of levels, each MERGE_FACTOR times as large as the one below, as in the log-structured merge tree
(O'Neil et al., 1996) and in Lucene. When a level is full its segments become one: a passage is
written again once for every level it climbs, and never encoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from index.manifest import Manifest, Used
from index.segment import Segment, SegmentFile, merged
from index.snapshot import Snapshot

MERGE_FACTOR = 8
"""Segments of one level that become one. A question costs some 0.05 ms more for each segment."""

SMALLEST = 256
"""Passages: segments below it are of one level. To write as many takes 30 ms, without an fsync."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Some segments of a snapshot that are to become one."""

    names: tuple[str, ...]
    sources: tuple[tuple[Segment, tuple[int, ...]], ...]
    """With each its documents that were there when the merge began."""

    def write(self, path: Path) -> tuple[int, str]:
        """Write the segment they become; return its size and SHA-256."""
        return merged(path, self.sources)


def due(snapshot: Snapshot) -> Merge | None:
    """Return the merge that is due, or None. The smallest come first: they are the cheapest, and most."""
    levels: dict[int, list[int]] = {}
    for at, (segment, used) in enumerate(zip(snapshot.segments, snapshot.manifest.segments, strict=True)):
        dead = int(segment.documents.passages[list(used.deleted)].sum())
        living = segment.passages - dead
        if dead > living:
            return _merge_of(snapshot, [at])
        levels.setdefault(_level(living), []).append(at)
    full = [level for level, members in levels.items() if len(members) >= MERGE_FACTOR]
    return _merge_of(snapshot, levels[min(full)]) if full else None


def whole(snapshot: Snapshot) -> Merge | None:
    """Return the merge of all segments into one; None when that is what there is."""
    used = snapshot.manifest.segments
    if len(used) < 2 and not any(one.deleted for one in used):
        return None
    return _merge_of(snapshot, range(len(used)))


def _level(passages: int) -> int:
    return max(0, math.floor(math.log(max(passages, 1) / SMALLEST, MERGE_FACTOR)) + 1)


def _merge_of(snapshot: Snapshot, chosen: Sequence[int]) -> Merge:
    used = [snapshot.manifest.segments[at] for at in chosen]
    segments = [snapshot.segments[at] for at in chosen]
    return Merge(
        tuple(one.file.name for one in used),
        tuple((segment, _living(segment, one)) for segment, one in zip(segments, used, strict=True)),
    )


def _living(segment: Segment, used: Used) -> tuple[int, ...]:
    gone = {*used.deleted}
    return tuple(number for number in range(len(segment.documents)) if number not in gone)


def applied(manifest: Manifest, merge: Merge, file: SegmentFile) -> Manifest | None:
    """Return `manifest` with the merged segments replaced by `file`; None when they are not all in it.

    What was deleted of them while they were merged is deleted of the new one.
    """
    now = {one.file.name: {*one.deleted} for one in manifest.segments}
    if not now.keys() >= {*merge.names}:
        return None
    origins = [
        (name, number)
        for name, (_, documents) in zip(merge.names, merge.sources, strict=True)
        for number in documents
    ]
    deleted = tuple(at for at, (name, number) in enumerate(origins) if number in now[name])
    stay = [one for one in manifest.segments if one.file.name not in merge.names]
    new = [Used(file, deleted)] if len(deleted) < len(origins) else []
    return replace(manifest, segments=(*stay, *new))
