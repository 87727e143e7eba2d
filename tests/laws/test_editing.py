"""Laws of changing the corpus folder: as a dict of documents, durable, whole, and never outside."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.editing import (
    ANY,
    BadId,
    PreconditionFailed,
    Taken,
    Wanted,
    check_id,
    read_document,
    remove_document,
    sweep,
    write_document,
)
from corpus.folder import Source, scan
from corpus.formats import SUFFIXES
from tests.laws.corpora import Files, laid
from tests.laws.stopping import failing_at, stopped_after

Tree = dict[str, bytes | None]
"""Everything in a folder by its path; None for what is no file."""

# Names that meet: in case, in composition, as a file and as a folder.
SAME = {"A.md": "a.md", "D": "d", "u\u0308.md": "ü.md", "STRASSE.txt": "straße.txt"}
"""Names that some file systems take for others, and those others."""
IDS = [
    *("a.md", "A.md", "a.md/b.txt", "a.md/b.txt/c.md", "d/ü.md", "D/a.md", "d/u\u0308.md", "d/e/f/g.md"),
    *("straße.txt", "STRASSE.txt"),
]
CONTENTS = [b"", b"one", b"two\r\n", b"\xff\0"]
TAGS = [hashlib.sha256(one).hexdigest() for one in CONTENTS]

shas = st.frozensets(st.sampled_from(TAGS), max_size=3)
wanted = st.just(ANY) | st.builds(Wanted, st.none() | shas, st.none() | st.booleans(), shas)
steps = st.tuples(st.sampled_from(IDS), st.sampled_from([*CONTENTS, None]), wanted)


def tree(folder: Path) -> Tree:
    """Return everything in a folder, hidden or not."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in folder.rglob("*")
    }


def tree_of(files: Files) -> Tree:
    """Return what a folder with these documents, and nothing else, is to look like."""
    parents = {str(above) for one in files for above in Path(one).parents} - {"."}
    return {**dict.fromkeys(parents), **files}


def refusals(held: Files, document_id: str, want: Wanted, *, put: bool) -> set[type[Exception]]:
    """Return why a change is to be refused; nothing where it is to be made."""
    found: set[type[Exception]] = set()
    there = tree_of(held)
    *parents, _ = (str(one) for one in reversed([Path(document_id), *Path(document_id).parents]))
    places = [one for one in (*parents, document_id) if one != "."]
    for place in places:
        beside = [Path(one) for one in there if Path(one).parent == Path(place).parent]
        name = Path(place).name
        if put and any(one.name != name and same(one.name) == same(name) for one in beside):
            found.add(BadId)
        if place in there and (place in held) != (place == document_id):
            found.add(Taken)
    sha = hashlib.sha256(held[document_id]).hexdigest() if document_id in held else None
    right = (
        (want.shas is None or sha in want.shas)
        and (want.exists is None or want.exists == (sha is not None))
        and (sha is None or sha not in want.other_than)
    )
    return found if right else {*found, PreconditionFailed}


def same(name: str) -> str:
    return SAME.get(name, name)


@given(st.lists(steps, min_size=5, max_size=20))
def test_model(changes: list[tuple[str, bytes | None, Wanted]]) -> None:
    """Any puts and removals, with any preconditions, do to the folder what they do to a dict; no more."""
    with tempfile.TemporaryDirectory() as aside:
        folder, held = Path(aside), Files()
        for document_id, data, want in changes:
            reasons = refusals(held, document_id, want, put=data is not None)
            if reasons:
                with pytest.raises(tuple(reasons)):
                    _change(folder, document_id, data, want)
            elif data is None:
                assert _change(folder, document_id, data, want) is (document_id in held)
                held.pop(document_id, None)
            else:
                before = held.get(document_id)
                named = {None: "created", data: "unchanged"}.get(before, "replaced")
                assert _change(folder, document_id, data, want) == named
                held[document_id] = data
            assert tree(folder) == tree_of(held)
            if Taken not in refusals(held, document_id, ANY, put=False):
                assert read_document(folder, document_id) == held.get(document_id)


def _change(folder: Path, document_id: str, data: bytes | None, want: Wanted = ANY) -> object:
    if data is None:
        return remove_document(folder, document_id, want)
    return write_document(folder, document_id, data, want)


PARTS = [
    *("", ".", "..", "...", "a", "a.md", ".a", "~", "-", " ", "\\", "C:", "a\\b", "a:b", "a\0", "\n"),
    *("\x7f", "\x85", "\u202e", "\ufeff", "\ufffd", "\ud800", "\udcff", "%2e%2e", "字" * 80, "x" * 229),
    *("x" * 228, "nul", "\u2215", "\uff0e\uff0e"),
]
parts = st.sampled_from(PARTS) | st.text(st.characters(), min_size=1, max_size=6)
endings = st.sampled_from(["", ".md", ".TXT", ".png", "."])
ids = st.tuples(st.lists(parts, max_size=3).map("/".join), endings).map("".join)


@given(ids, st.sampled_from(CONTENTS))
@example(".a.md", b"")
@example("a/.b/c.md", b"")
@example("x/" * 510 + "a.md", b"")
@example("x/" * 511 + "a.md", b"")
@example("字" * 75 + ".md", b"")
@example("字" * 76 + ".md", b"")
def test_ids(document_id: str, data: bytes) -> None:
    """Any string is refused as an id, or is exactly that file in the folder; nothing else is ever touched."""
    with tempfile.TemporaryDirectory() as aside:
        folder = laid({"kept.md": b"kept"}, Path(aside) / "corpus")
        laid({"outside.md": b"outside", "a.md": b"outside"}, Path(aside))
        before = tree(Path(aside))
        try:
            check_id(document_id)
        except BadId:
            for change in (partial(write_document, data=data), read_document, remove_document):
                with pytest.raises(BadId) as refused:
                    change(folder, document_id)
                assert str(refused.value).isprintable()
            assert tree(Path(aside)) == before
            return
        assert write_document(folder, document_id, data) == "created"
        parents = {f"corpus/{one}" for one in Path(document_id).parents if str(one) != "."}
        assert tree(Path(aside)) == {**before, **dict.fromkeys(parents), f"corpus/{document_id}": data}
        assert read_document(folder, document_id) == data
        found = {one.id: one for one in scan(folder)}
        source = found.pop(document_id)
        assert isinstance(source, Source) and source.sha == hashlib.sha256(data).hexdigest()
        assert [*found] == ["kept.md"]
        assert remove_document(folder, document_id)
        assert tree(Path(aside)) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_formats(suffix: str, tmp_path: Path) -> None:
    """Every extension that stands for a format can be put, in any case."""
    for name in (f"a{suffix}", f"b{suffix.upper()}"):
        assert write_document(tmp_path, name, b"x") == "created"


@given(st.sampled_from([name for name in IDS if "/" in name]), st.sampled_from(["replace", "remove"]))
def test_links(document_id: str, kind: str) -> None:
    """Whatever part of an id is a link, nothing is read, written or removed through it."""
    parts = document_id.split("/")
    for depth in range(1, len(parts) + 1):
        with tempfile.TemporaryDirectory() as aside:
            folder, target = Path(aside) / "corpus", Path(aside) / "target"
            laid({"/".join(parts[depth:]) or "file": b"target"}, target)
            link = folder.joinpath(*parts[:depth])
            link.parent.mkdir(parents=True)
            link.symlink_to(target if depth < len(parts) else target / "file")
            before = tree(Path(aside))
            with pytest.raises(Taken):
                read_document(folder, document_id)
            with pytest.raises(Taken):
                _change(folder, document_id, b"other" if kind == "replace" else None)
            assert tree(Path(aside)) == before and link.is_symlink()


def _stand(kind: str, place: Path) -> None:
    """Put something at a place that is no document."""
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.fsencode(place))
    else:
        place.symlink_to("nowhere")


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "broken link"])
def test_taken(kind: str, tmp_path: Path) -> None:
    """What is no file at a document's place is neither opened for long, replaced nor removed."""
    folder = laid({"b.md": b"b"}, tmp_path / "c")
    _stand(kind, folder / "a.md")
    before, handles = tree(folder), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a folder of handles)
    for change in (read_document, partial(write_document, data=b"x"), remove_document):
        with pytest.raises(Taken, match=r"^a\.md is "):
            change(folder, "a.md")
        with pytest.raises(Taken, match=r"^b\.md is not a folder$"):
            change(folder, "b.md/c.md")
    assert tree(folder) == before
    assert len(os.listdir("/proc/self/fd")) == handles  # noqa: PTH208


def test_one_of_them(tmp_path: Path) -> None:
    """Whoever reads while others write one document reads what one of them wrote, whole."""
    contents = [bytes([letter]) * 300_000 for letter in b"ab"]
    write_document(tmp_path, "a.md", contents[0])
    seen: set[bytes] = set()

    def write(data: bytes) -> None:
        for _ in range(60):
            write_document(tmp_path, "a.md", data)

    writers = [threading.Thread(target=write, args=(data,)) for data in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen.add(read_document(tmp_path, "a.md") or b"")
    for writer in writers:
        writer.join()
    assert seen <= {*contents}
    assert tree(tmp_path).keys() == {"a.md"}


# ---------------------------------------------------------------- what goes wrong


BEFORE: Files = {"a.md": b"old " * 3000, "d/e/b.md": b"old " * 3000, "z.txt": b"x"}
WORK: dict[str, tuple[str, bytes | None]] = {
    "create": ("new.md", b"new " * 5000),
    "create in new folders": ("d/new/er/b.md", b"new " * 5000),
    "replace": ("a.md", b"new " * 5000),
    "write the same": ("a.md", BEFORE["a.md"]),
    "remove": ("a.md", None),
    "remove with its folders": ("d/e/b.md", None),
}


def after(document_id: str, data: bytes | None) -> Files:
    """Return the documents once the change is made."""
    files = BEFORE if data is None else {**BEFORE, document_id: data}
    return {one: found for one, found in files.items() if data is not None or one != document_id}


def files_of(folder: Path) -> Files:
    """Return the documents in a folder, and fail where a scan and the folder differ."""
    found = {one: data for one, data in tree(folder).items() if data is not None}
    visible = {one: data for one, data in found.items() if not Path(one).name.startswith(".")}
    assert [(one.id, one.sha) for one in scan(folder) if isinstance(one, Source)] == [
        (one, hashlib.sha256(visible[one]).hexdigest()) for one in sorted(visible)
    ]
    return visible


@pytest.mark.parametrize("work", WORK)
def test_stopped_anywhere(work: str, tmp_path: Path) -> None:
    """Stop the writer anywhere: every document is the old or the new, and what was left aside is swept."""
    document_id, data = WORK[work]
    change: Callable[[Path], object] = partial(_change, document_id=document_id, data=data)
    seen = []
    for count in range(1, 100):
        folder = laid(BEFORE, tmp_path / str(count))
        died = stopped_after(count, folder, partial(change, folder))
        seen.append(files_of(folder))
        assert seen[-1] in (BEFORE, after(document_id, data))
        sweep(folder)
        assert {one for one in tree(folder) if Path(one).name.startswith(".")} == set()
        assert files_of(folder) == seen[-1]
        if not died:
            break
        change(folder)
        assert files_of(folder) == after(document_id, data)
        shutil.rmtree(folder)
    assert 2 < count < 99
    # At one of the steps it becomes true, and stays so.
    assert seen[0] == BEFORE and seen[-1] == after(document_id, data)
    assert seen == sorted(seen, key=[BEFORE, after(document_id, data)].index)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("work", WORK)
def test_refused_anywhere(work: str, error: int, tmp_path: Path) -> None:
    """Whichever step the system refuses, the change is made whole or all is as it was; then it works."""
    document_id, data = WORK[work]
    for count in range(1, 100):
        folder = laid(BEFORE, tmp_path / str(count))
        raised = False
        with failing_at(count, error, ever_after=False) as refused:
            try:
                _change(folder, document_id, data)
            except OSError as seen:
                raised = seen.errno == error
        sweep(folder)
        if raised:
            assert tree(folder) == tree_of(BEFORE), refused
        else:  # but for a folder that could not be removed
            assert files_of(folder) == after(document_id, data), refused
        _change(folder, document_id, data)
        assert files_of(folder) == after(document_id, data)
        shutil.rmtree(folder)
        if not refused:
            break
    assert 1 < count < 99


@pytest.mark.parametrize("work", WORK)
def test_refused_for_good(work: str, tmp_path: Path) -> None:
    """Where the system refuses everything from a step on, every document is the old or the new, whole."""
    document_id, data = WORK[work]
    for count in range(1, 100):
        folder = laid(BEFORE, tmp_path / str(count))
        with failing_at(count, errno.EROFS, ever_after=True) as refused, suppress(OSError):
            _change(folder, document_id, data)
        assert files_of(folder) in (BEFORE, after(document_id, data))
        sweep(folder)
        _change(folder, document_id, data)
        assert files_of(folder) == after(document_id, data)
        shutil.rmtree(folder)
        if not refused:
            break
    assert 1 < count < 99


def test_permissions(tmp_path: Path) -> None:
    """A document that is replaced keeps who may read it; a new one may be read by all."""
    path = laid({"a.md": b"old"}, tmp_path) / "a.md"
    path.chmod(0o600)
    write_document(tmp_path, "a.md", b"new")
    assert path.stat().st_mode & 0o777 == 0o600
    write_document(tmp_path, "b.md", b"new")
    assert (tmp_path / "b.md").stat().st_mode & 0o777 == 0o644


def test_sweep(tmp_path: Path) -> None:
    """Sweeping removes what was written aside, at any depth, and follows no link."""
    folder = laid({".pullquote-1": b"", "d/.pullquote-2": b"", "d/a.md": b"", ".other": b""}, tmp_path / "c")
    laid({".pullquote-3": b"kept"}, tmp_path / "outside")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / ".pullquote-link").symlink_to(tmp_path / "outside/.pullquote-3")
    sweep(folder)
    assert tree(folder) == {"d": None, "d/a.md": b"", ".other": b"", "link": None, ".pullquote-link": None}
    assert (tmp_path / "outside/.pullquote-3").read_bytes() == b"kept"


def test_deep_sweep(tmp_path: Path) -> None:
    """Folders may be nested deeper than Python's calls can be."""
    folder, depth = tmp_path / "deep", sys.getrecursionlimit() + 100
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("x", dir_fd=handle)
        handle, above = os.open("x", os.O_RDONLY, dir_fd=handle), handle
        os.close(above)
    os.close(os.open(".pullquote-1", os.O_CREAT, dir_fd=handle))
    sweep(folder)
    assert os.listdir(handle) == []  # noqa: PTH208 (only by its handle)
    os.close(handle)
    # What removes the folders of tests cannot go as deep.
    subprocess.run(["rm", "-r", folder], check=True)
