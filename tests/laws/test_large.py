"""Large segments: opened when a sample is whole, verified behind that, and never answered from in silence."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import entries, sections, segment
from index.manifest import SnapshotError
from index.refresh import merge_all
from index.segment import SegmentFile
from index.store import Store
from index.verifying import LARGE
from tests.laws.corpora import laid, published, share
from tests.laws.test_whole import KINDS, NEW, OLD, answers, damaged


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with two snapshots, the newer one in use, its files of many blocks."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "BLOCK", 256)
        store = Store(folder)
        old = published(store, laid(OLD, tmp_path_factory.mktemp("old")))
        published(store, laid(NEW, tmp_path_factory.mktemp("new")), previous=old)
    return folder


def newest(store: Store) -> Path:
    """Return the file of the segment that the newest snapshot alone uses."""
    new, old = (store.manifest(version) for version in store.kept())
    (name,) = {one.file.name for one in new.segments} - {one.file.name for one in old.segments}
    return store.folder / "segments" / f"{name}.segment"


def test_whole_segments_are_vouched_for(data: Path) -> None:
    """A large segment that is whole answers as any other, and is vouched for in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "BLOCK", 256)
        large, plain = Store(data, large=0), Store(data)
        for version in plain.kept():
            held = large.open(version)
            assert answers(held) == answers(plain.open(version))
            for one in held.segments:
                one.vouched()


@given(st.sampled_from(KINDS), st.integers(0, 100_000), st.integers(0, 7), st.sampled_from([0, 2, 64]))
@share(0.6)
def test_damage_behind_the_opening(data: Path, kind: str, place: int, bit: int, spread: int) -> None:
    """Damage is found at opening or behind it: then the mark changes, and the snapshot before is opened."""
    with tempfile.TemporaryDirectory() as aside, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "BLOCK", 256)
        patch.setattr(segment, "SPREAD", spread)
        folder = Path(shutil.copytree(data, Path(aside) / "data"))
        expected = answers(Store(folder).open(Store(folder).kept()[1]))
        store = Store(folder, large=0)
        path = newest(store)
        assert damaged(path, kind, place, bit)
        before = store.pointer()
        held = None
        with suppress(SnapshotError):
            held = store.open(store.kept()[0])
        if held is not None:
            (hit,) = (one for one in held.segments if one.path == path)
            with pytest.raises(SnapshotError, match=path.name):
                hit.vouched()
            assert store.pointer() != before
        told: list[str] = []
        assert answers(store.open_current(told.append)) == expected
        assert [path.name in one for one in told] == [True]


def test_nothing_is_copied_out_of_a_damaged_segment(data: Path, tmp_path: Path) -> None:
    """A merge of a segment that turns out to be damaged makes no new one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "BLOCK", 256)
        patch.setattr(segment, "SPREAD", 0)
        patch.setattr(segment, "CHECKED", {})
        folder = Path(shutil.copytree(data, tmp_path / "data"))
        store = Store(folder, large=0)
        path = newest(store)
        whole = sections.Sections(path)
        at = whole._directory["vectors"][0]
        raw = path.read_bytes()
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        held = store.open(store.kept()[0])
        there = {one.name for one in (folder / "segments").iterdir()}
        with pytest.raises(SnapshotError, match="is damaged"), store.writing():
            merge_all(store, held, everything=True)
        assert {one.name for one in (folder / "segments").iterdir()} == there
        # Written again, the same file is as good as any.
        time.sleep(0.01)
        path.unlink()
        path.write_bytes(raw)
        assert answers(store.open(store.kept()[0])) == answers(Store(data).open(store.kept()[0]))


def as_before(path: Path) -> None:
    """Write a segment as it was before it could be checked in parts: without the sections that came since."""
    held = sections.Sections(path)
    since = {*segment.CELLS.values(), segment.SPELLING_COUNTS, sections.BLOCKS, *entries.SINCE}
    data, directory = bytearray(sections.MAGIC), {}
    for name in held._directory:
        if name not in since:
            data += bytes(-len(data) % sections.ALIGNMENT)
            own = held.array(name, np.dtype("u1")).tobytes()
            directory[name] = (len(data), len(own))
            data += own
    listing = json.dumps({"sections": directory, "about": held.about}).encode()
    path.write_bytes(data + listing + len(listing).to_bytes(8, "little") + sections.MAGIC)


def test_segments_of_before(data: Path, tmp_path: Path) -> None:
    """A segment written before there were blocks, counts and columns of entries answers as one of now."""
    folder = Path(shutil.copytree(data, tmp_path / "data"))
    store = Store(folder)
    manifest = store.manifest(store.kept()[0])
    used = []
    for one in manifest.segments:
        path = one.file.path(folder / "segments")
        as_before(path)
        size, sha = sections.file_digest(path)
        file = SegmentFile(sha[:32], size, sha)
        path.rename(file.path(folder / "segments"))
        used.append(replace(one, file=file))
    before = replace(manifest, segments=tuple(used))
    expected = Store(data).open(manifest.version)
    for large in (0, LARGE):
        held = Store(folder, large=large).view(before)
        assert answers(held) == answers(expected)
        assert held.raw_shas == expected.raw_shas and [*held.documents] == [*expected.documents]
