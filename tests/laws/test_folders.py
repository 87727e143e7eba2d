"""Laws of the corpus folder: whatever lies in it, there is an index or a named problem."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.folder import Skipped, Source, scan
from index.build import build
from index.plan import plan
from index.progress import Progress
from index.refresh import Reading, rehearse
from index.store import Store
from service.answer import ask
from service.finding import Index
from tests.laws.corpora import LARGEST, Files, folders, laid, made, new_manifest, share, sources
from tests.laws.standin import StandIn

ODD = st.text(
    st.one_of(
        st.sampled_from("a.-_# %?*'\"\\~é字😀\u202e\u0301\n\t\x7f"), st.characters(exclude_characters="/\0")
    ),
    min_size=1,
    max_size=20,
).filter(lambda name: name not in (".", ".."))
SUFFIXES = st.sampled_from([".md", ".MD", ".txt", ".text", ".markdown", ".pdf", ".png", "", ".md.bak"])
NAMES = st.one_of(
    st.tuples(ODD, SUFFIXES).map(lambda both: os.fsencode("".join(both).encode("utf-8", "replace"))),
    st.tuples(st.binary(min_size=1, max_size=8), SUFFIXES).map(
        lambda both: both[0].replace(b"/", b"-").replace(b"\0", b"-") + both[1].encode()
    ),
).filter(lambda name: name not in (b".", b".."))
KINDS = ("file", "file", "file", "file", "folder", "link", "lost link", "pipe", "unreadable")
DATA = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(max_size=60).map(lambda text: text.encode("utf-16", "surrogatepass")),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\n", b"# ", b"> " * 500, b"- " * 500, b"[" * 500]),
    st.sampled_from([b"#" * 70_000, b"|" * 3000, b"a|b\n-|-\n" + b"c|d\n" * 500, b"x" * (LARGEST + 1)]),
)


def put(folder: Path, name: bytes, kind: str, data: bytes) -> None:
    """Put one thing into `folder`, unless its name is taken."""
    path = folder / os.fsdecode(name)
    if os.path.lexists(path):
        return
    if kind == "folder":
        path.mkdir()
        (path / "inner.md").write_bytes(data)
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "lost link":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(data)
        if kind == "unreadable":
            path.chmod(0)


@given(st.lists(st.tuples(NAMES, st.sampled_from(KINDS), DATA), max_size=6))
@share(0.4)
def test_any_folder(things: list[tuple[bytes, str, bytes]]) -> None:
    """Any files under any names are indexed or named with the reason, and the rest can be asked of."""
    with tempfile.TemporaryDirectory() as aside:
        corpus = Path(aside) / "corpus"
        corpus.mkdir()
        for name, kind, data in things:
            put(corpus, name, kind, data)
        found = list(scan(corpus, largest=LARGEST))
        encoder = StandIn()
        planned = plan(None, found, encoder.export.fingerprint)
        store = Store(Path(aside) / "data")
        left = store.left_by(encoder.export, full=False)
        rehearse(Reading(corpus, LARGEST), None, encoder, left, full=False)
        with store.writing():
            store.publish(build(planned, None, encoder, store.add_segment, Progress()))
        snapshot = store.open_current(pytest.fail)
        listed = [one.id for one in snapshot.documents] + [one.id for one in snapshot.skipped]
        assert sorted(listed) == sorted(one.id for one in found)
        assert all(one.reason for one in snapshot.skipped)
        assert not any("could not be parsed" in one.reason for one in snapshot.skipped)
        ask(Index(snapshot, encoder), "What is written in passwd?")
        assert b"root:" not in b"".join(one.data for one in found if isinstance(one, Source))


@given(folders(), st.randoms(use_true_random=False))
@share(0.1)
def test_order_of_files(files: Files, random: object) -> None:
    """The order in which files were made changes neither what is read nor the index."""
    shuffled = dict(reversed(files.items()))
    with tempfile.TemporaryDirectory() as aside:
        one, two = laid(files, Path(aside) / "one"), laid(shuffled, Path(aside) / "two")

        def seen(folder: Path) -> list[tuple[str, str]]:
            return [(one.id, one.reason if isinstance(one, Skipped) else one.sha) for one in scan(folder)]

        assert seen(one) == seen(two) == [(one.id, one.sha) for one in sources(files)]


@given(folders())
@share(0.1)
def test_nothing_changed(files: Files) -> None:
    """A plan for an unchanged folder has the same version and says that nothing changed."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "index")
        planned = plan(held, sources(files), held.manifest.fingerprint)
        assert planned.version == held.version
        assert (planned.change.added, planned.change.changed, planned.change.removed) == ((), (), ())
        assert sorted(planned.change.unchanged) == sorted(files)


@given(folders(), folders())
@share(0.1)
def test_rehearsal(before: Files, after: Files) -> None:
    """A dry run says what the build then does: version, changes, passages, encoded ones."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(before, Path(aside) / "held")
        corpus, encoder, progress = laid(after, Path(aside) / "corpus"), StandIn(), Progress()
        corpus.mkdir(exist_ok=True)
        left = Store(Path(aside) / "data").left_by(encoder.export, full=False)
        planned, total, encoded = rehearse(Reading(corpus, LARGEST), held, encoder, left, full=False)
        store = Store(Path(aside) / "data")
        with store.writing():
            manifest = new_manifest(
                store, plan(held, scan(corpus), encoder.export.fingerprint), held, encoder, progress
            )
        assert (manifest.version, manifest.passages) == (planned.version, total)
        assert progress.encoded == encoded
        assert progress.done == progress.passages <= total
        changed = {name for name in before.keys() & after.keys() if before[name] != after[name]}
        gone = {*planned.change.removed, *(old for old, _ in planned.change.renamed)}
        come = {*planned.change.added, *(new for _, new in planned.change.renamed)}
        assert come == after.keys() - before.keys()
        assert gone == before.keys() - after.keys()
        assert all(before[old] == after[new] for old, new in planned.change.renamed)
        assert set(planned.change.changed) == changed


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="memory mappings are counted in /proc")
def test_documents_take_no_mappings(tmp_path: Path) -> None:
    """As many documents are held as memory has room for, whatever the limit on the largest is."""
    for number in range(300):
        (tmp_path / f"{number}.md").write_text(f"words {number} " * 200, encoding="utf-8")
    before = len(Path("/proc/self/maps").read_text().splitlines())
    found = list(scan(tmp_path, largest=1 << 25))
    after = len(Path("/proc/self/maps").read_text().splitlines())
    assert len(found) == 300 and after - before < 100


def test_a_file_that_grows_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has grown since it was looked at is read to its end, up to the limit."""
    path, stat = tmp_path / "a.md", os.fstat
    for written, limit in ((b"as it was and more", 100), (b"as it was" + b"!" * 200, 100)):
        path.write_bytes(b"as it was")

        def growing(number: int, written: bytes = written) -> os.stat_result:
            about = stat(number)
            path.write_bytes(written)
            return about

        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", growing)
            (found,) = scan(tmp_path, largest=limit)
        if len(written) <= limit:
            assert isinstance(found, Source) and found.data == written
        else:
            assert isinstance(found, Skipped) and "grew" in found.reason
