"""Laws of snapshots on disk: old or new, never a mixture; damage is named and stepped around."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.snapshot import MANIFEST, Snapshot, SnapshotError, read_manifest
from index.store import KEPT, Locked, NoIndex, Store
from service.answer import Index, ask
from tests.laws.corpora import Files, laid, published, share
from tests.laws.standin import StandIn

OLD: Files = {
    "a.md": b"# Old\n\nThe first state of the corpus.\n\n| a | b |\n|---|---|\n| c | 1 |\n",
    "b.txt": b"x y",
}
NEW: Files = {"a.md": b"# New\n\nThe second state.\n", "b.txt": b"x y", "c.md": b"\xff unreadable"}
STEPS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "shutil.rmtree", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def stopped_after(count: int, folder: Path, work: Callable[[], object]) -> bool:
    """Run `work` in a process that dies at its step number `count` in `folder`; return whether it died.

    A step is anything the operating system is asked to change. A machine that loses its power also loses
    what was not made durable: every such file is left cut in half.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (0, 9), "the child failed by itself"
        return os.waitstatus_to_exitcode(status) == 9
    code = 1
    try:
        durable = {path.stat().st_ino for path in folder.rglob("*")}
        taken = 0

        def step() -> None:
            nonlocal taken
            taken += 1
            if taken != count:
                return
            for path in folder.rglob("*"):
                if path.is_file() and path.stat().st_ino not in durable:
                    os.truncate(path, path.stat().st_size // 2)
            os._exit(9)

        def fsync(fd: Any) -> None:
            step()
            durable.add(os.fstat(fd).st_ino)

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if event not in STEPS or taken >= count or not str(arguments[0]).startswith(str(folder)):
                return
            if event != "open" or (arguments[2] or 0) & WRITES:
                step()

        setattr(os, "fsync", fsync)  # noqa: B010 (mypy knows another signature)
        sys.addaudithook(watch)
        work()
        code = 0
    finally:
        os._exit(code)


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
        assert sorted(path.name for path in (folder / "snapshots").iterdir()) == sorted(store.kept())
        assert {path.name for path in folder.iterdir()} == {"current", "encoders", "lock", "snapshots"}
        shutil.rmtree(folder)
    assert count > 30
    assert seen[-1] == new.version
    assert old is None or seen[0] == old.version


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
    """Flip, cut, lengthen or delete any file: it is named, its snapshot refused, the previous one opens."""
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(shutil.copytree(data, Path(aside) / "data"))
        store = Store(folder)
        newest, previous = store.kept()
        expected = answers(store.open(previous))
        target = folder / "snapshots" / newest
        name = draws.draw(st.sampled_from(sorted(path.name for path in target.iterdir())))
        if not damaged(target / name, kind, place, bit):
            return
        with pytest.raises(SnapshotError) as refusal:
            store.open(newest)
        assert name in str(refusal.value)
        told: list[str] = []
        assert answers(store.open_current(told.append)) == expected
        assert len(told) == 1 and name in told[0]


def test_damaged_manifest(data: Path, tmp_path: Path) -> None:
    """The manifest vouches for itself: flip a bit of it or cut it anywhere, and it is refused."""
    text = (data / "snapshots" / Store(data).kept()[0] / MANIFEST).read_bytes()
    flipped = (
        text[:at] + bytes([text[at] ^ (1 << at % 8)]) + text[at + 1 :] for at in range(0, len(text), 3)
    )
    for changed in (*flipped, *(text[:at] for at in range(0, len(text), 50))):
        (tmp_path / MANIFEST).write_bytes(changed)
        with pytest.raises(SnapshotError, match=MANIFEST):
            read_manifest(tmp_path)


def test_every_file_is_vouched_for(data: Path) -> None:
    """A snapshot has no file that its manifest does not list."""
    for folder in (data / "snapshots").iterdir():
        snapshot = Store(data).open(folder.name)
        assert {path.name for path in folder.iterdir()} == {MANIFEST, *snapshot.manifest.files}


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
            assert {path.name for path in (store.folder / "snapshots").iterdir()} == {*versions}
            assert [store.open(one).version for one in versions] == versions


def test_old(tmp_path: Path) -> None:
    """A request ends on the Snapshot it began on, even where that was pruned from disk meanwhile."""
    store = Store(tmp_path / "data")
    held = published(store, laid(OLD, tmp_path / "old"))
    expected = answers(store.open(held.version))
    for number in range(KEPT + 1):
        published(store, laid({"a.md": f"# State {number}".encode()}, tmp_path / str(number)))
    assert not held.folder.exists()
    assert answers(held) == expected
    assert texts(held) == {name: data.decode() for name, data in OLD.items()}
