"""Laws of snapshots on disk: old or new, never a mixture; damage is named and stepped around."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.folder import DATA_MARK
from index.manifest import SnapshotError, read_manifest
from index.refresh import merge_all
from index.sections import SectionsWriter
from index.snapshot import Snapshot
from index.store import KEPT, Locked, NoIndex, Store
from service.answer import ask
from service.finding import Index
from tests.laws.corpora import Files, laid, published, share
from tests.laws.standin import StandIn
from tests.laws.stopping import stopped_after

OLD: Files = {
    "a.md": b"# Old\n\nThe first state of the corpus.\n\n| a | b |\n|---|---|\n| c | 1 |\n",
    "b.txt": b"x y",
}
NEW: Files = {"a.md": b"# New\n\nThe second state.\n", "b.txt": b"x y", "c.md": b"\xff unreadable"}


def texts(snapshot: Snapshot) -> dict[str, str]:
    return {entry.id: snapshot.text(number) for number, entry in enumerate(snapshot.documents)}


def answers(snapshot: Snapshot) -> object:
    """Return what a snapshot answers, apart from how long that took."""
    found = [ask(Index(snapshot, StandIn()), question) for question in ("first state of b", "x", "second")]
    return [replace(one, milliseconds={}, trace=None) for one in found]


@pytest.fixture(name="corpora")
def _corpora(tmp_path: Path) -> tuple[Path, Path]:
    return laid(OLD, tmp_path / "old"), laid(NEW, tmp_path / "new")


@pytest.mark.parametrize("first", [False, True], ids=["update", "first index"])
def test_stopped_anywhere(tmp_path: Path, corpora: tuple[Path, Path], first: bool) -> None:
    """Stop the writer anywhere: open gives the old or the new, and the next writer sweeps and goes on."""
    before, after = tmp_path / "before", Store(tmp_path / "after")
    before.mkdir()
    old = None if first else published(Store(before), corpora[0])
    new = published(after, corpora[1])
    expected = ([answers(old)] if old else []) + [answers(new)]
    seen = []
    for count in range(1, 500):
        folder = tmp_path / f"stopped-{count}"
        shutil.copytree(before, folder)
        store = Store(folder)
        if not stopped_after(count, folder, partial(_publish, store, corpora[1])):
            break
        try:
            found = store.open_current(pytest.fail)
        except NoIndex:
            assert first
        else:
            assert texts(found) == texts(new if found.version == new.version else _not_none(old))
            assert answers(found) in expected
            seen.append(found.version)
        again = _publish(store, corpora[1])
        assert answers(again) == answers(new)
        assert files_of(folder) == files_needed(store)
        shutil.rmtree(folder)
    assert count > 15
    assert seen[-1] == new.version
    assert old is None or seen[0] == old.version


def test_stopped_while_merging(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    """Stop a merge anywhere: the snapshot answers as before, in one segment or in several."""
    before = Store(tmp_path / "before")
    held = published(before, corpora[1], previous=published(before, corpora[0]))
    expected = answers(held)
    assert len(held.segments) > 1
    segments = []
    for count in range(1, 500):
        folder = tmp_path / f"stopped-{count}"
        shutil.copytree(before.folder, folder)
        store = Store(folder)
        died = stopped_after(count, folder, partial(_merge, store))
        found = Store(folder).open_current(pytest.fail)
        assert (found.version, answers(found)) == (held.version, expected)
        segments.append(len(found.segments))
        _merge(store)
        assert files_of(folder) == files_needed(store)
        shutil.rmtree(folder)
        if not died:
            break
    assert count > 10
    assert (segments[0], segments[-1]) == (len(held.segments), 1)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails(tmp_path: Path, corpora: tuple[Path, Path], error: int) -> None:
    """Whatever call fails, the snapshot in use stays in use, and the next try leads where it should."""
    before = Store(tmp_path / "before")
    old = published(before, corpora[0])
    new = published(Store(tmp_path / "expected"), corpora[1])
    for count in range(1, 200):
        folder = tmp_path / f"failing-{count}"
        shutil.copytree(before.folder, folder)
        store, taken, refused = Store(folder), 0, False

        def call(*given: Any, real: Callable[..., Any], last: int = count) -> Any:
            nonlocal taken, refused
            taken += 1
            if taken == last:
                refused = True
                raise OSError(error, os.strerror(error))
            return real(*given)

        with pytest.MonkeyPatch.context() as patch:
            for name in ("fsync", "replace", "mkdir"):
                patch.setattr(os, name, partial(call, real=getattr(os, name)))
            write = SectionsWriter._write
            patch.setattr(SectionsWriter, "_write", lambda *given, real=write: call(*given, real=real))
            with suppress(OSError):
                _publish(store, corpora[1])
        found = store.open_current(pytest.fail)
        assert found.version in ((old.version, new.version) if refused else (new.version,))
        assert answers(found) == answers(old if found.version == old.version else new)
        assert answers(_publish(store, corpora[1])) == answers(new)
        assert files_of(folder) == files_needed(store)
        shutil.rmtree(folder)
        if not refused:
            break
    assert 15 < count < 199


def _merge(store: Store) -> None:
    with store.writing():
        merge_all(store, store.open_current(pytest.fail), everything=True)


def files_of(folder: Path) -> set[str]:
    """Return every file in a data folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def files_needed(store: Store) -> set[str]:
    """Return the files of a data folder that the kept snapshots need."""
    needed = {"current", "lock", DATA_MARK}
    for version in store.kept():
        needed |= {f"snapshots/{version}.json"}
        needed |= {f"segments/{one.file.name}.segment" for one in store.manifest(version).segments}
    return needed


def _publish(store: Store, corpus: Path) -> Snapshot:
    try:
        previous = store.open_current(lambda _: None)
    except NoIndex:
        previous = None
    return published(store, corpus, previous=previous)


def _not_none(snapshot: Snapshot | None) -> Snapshot:
    assert snapshot is not None
    return snapshot


@pytest.fixture(name="data", scope="module")
def _data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with two snapshots, the newer one in use."""
    folder = tmp_path_factory.mktemp("data")
    store = Store(folder)
    old = published(store, laid(OLD, tmp_path_factory.mktemp("old")))
    published(store, laid(NEW, tmp_path_factory.mktemp("new")), previous=old)
    return folder


KINDS = ("flip", "truncate", "delete", "lengthen")


def damaged(path: Path, kind: str, place: int, bit: int) -> bool:
    """Damage a file; return whether there was anything to damage."""
    data = path.read_bytes()
    if kind == "delete":
        path.unlink()
    elif kind == "lengthen":
        path.write_bytes(data + b"\0")
    elif not data:
        return False
    elif kind == "truncate":
        path.write_bytes(data[: place % len(data)])
    else:
        at = place % len(data)
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
    return True


@given(st.data(), st.sampled_from(KINDS), st.integers(0, 10_000), st.integers(0, 7))
@share(0.6)
def test_damage(data: Path, draws: st.DataObject, kind: str, place: int, bit: int) -> None:
    """Flip, cut, lengthen or delete any file: it is named, no snapshot that needs it opens, another does."""
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(shutil.copytree(data, Path(aside) / "data"))
        store = Store(folder)
        expected = {version: answers(Store(folder).open(version)) for version in store.kept()}
        files = sorted(files_needed(store) - {"current", "lock", DATA_MARK})
        name = draws.draw(st.sampled_from(files))
        hit = [
            version
            for version in store.kept()
            if any(f"{one.file.name}." in name for one in store.manifest(version).segments) or version in name
        ]
        if not damaged(folder / name, kind, place, bit):
            return
        for version, before in expected.items():
            if version not in hit:
                assert answers(store.open(version)) == before
            elif kind != "delete" or "segments" in name:
                with pytest.raises(SnapshotError, match=Path(name).name):
                    store.open(version)
        told: list[str] = []
        left = [version for version in expected if version not in hit]
        if left:
            assert answers(store.open_current(told.append)) == expected[left[0]]
        else:
            with pytest.raises(NoIndex, match=Path(name).name):
                store.open_current(told.append)
        assert all(Path(name).name in one for one in told)


def test_damaged_manifest(data: Path, tmp_path: Path) -> None:
    """The manifest vouches for itself: flip a bit of it or cut it anywhere, and it is refused."""
    text = (data / "snapshots" / f"{Store(data).kept()[0]}.json").read_bytes()
    flipped = (
        text[:at] + bytes([text[at] ^ (1 << at % 8)]) + text[at + 1 :] for at in range(0, len(text), 3)
    )
    # Without its last line end it is the same.
    for changed in (*flipped, *(text[:at] for at in range(0, len(text) - 1, 50))):
        (tmp_path / "changed.json").write_bytes(changed)
        with pytest.raises(SnapshotError, match=r"changed\.json"):
            read_manifest(tmp_path / "changed.json")


def test_every_file_is_vouched_for(data: Path) -> None:
    """There is no file that no kept snapshot needs."""
    assert files_of(data) == files_needed(Store(data))


def test_published_while_it_is_opened(tmp_path: Path, corpora: tuple[Path, Path]) -> None:
    """What another process publishes and prunes while a reader opens is not taken for damage."""
    store, reader = Store(tmp_path / "data"), Store(tmp_path / "data")
    last = published(store, corpora[1], previous=published(store, corpora[0]))
    begun: list[str] = []
    first = reader.open

    def slow(version: str) -> Snapshot:
        if not begun:
            begun.append(version)
            for path in (store.folder / "segments").iterdir():
                path.rename(path.with_suffix(".away"))
            with pytest.raises(SnapshotError):
                first(version)
            for path in (store.folder / "segments").iterdir():
                path.rename(path.with_suffix(".segment"))
            _merge(store)
            raise SnapshotError("a segment is gone")
        return first(version)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "open", slow)
        found = reader.open_current(pytest.fail)
    assert begun and found.version == last.version and len(found.segments) == 1


def test_one_writer(tmp_path: Path) -> None:
    """A second writer is told so at once, and the lock goes with the writer however it ends."""
    store = Store(tmp_path / "data")
    with store.writing(), pytest.raises(Locked), Store(tmp_path / "data").writing():
        pass
    with pytest.raises(ZeroDivisionError), store.writing():
        raise ZeroDivisionError
    with store.writing():
        pass


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
@share(0.1)
def test_kept(states: list[int]) -> None:
    """The last KEPT different states are on disk, newest first, and each opens."""
    with tempfile.TemporaryDirectory() as aside:
        store, last = Store(Path(aside) / "data"), None
        versions: list[str] = []
        for number, state in enumerate(states):
            corpus = laid({"a.md": f"# State {state}\n\nwords {state}".encode()}, Path(aside) / str(number))
            last = published(store, corpus, previous=last)
            versions = [last.version, *(one for one in versions if one != last.version)][:KEPT]
            assert store.kept() == versions
            assert files_of(store.folder) == files_needed(store)
            assert [store.open(one).version for one in versions] == versions


def test_old(tmp_path: Path) -> None:
    """A request ends on the Snapshot it began on, even where that was pruned from disk meanwhile."""
    store = Store(tmp_path / "data")
    held = published(store, laid(OLD, tmp_path / "old"))
    expected = answers(store.open(held.version))
    for number in range(KEPT + 1):
        published(store, laid({"a.md": f"# State {number}".encode()}, tmp_path / str(number)))
    assert not held.segments[0].path.exists()
    assert answers(held) == expected
    assert texts(held) == {name: data.decode() for name, data in OLD.items()}
