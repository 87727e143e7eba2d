"""Laws of building: from the previous Snapshot as from nothing, and nothing is encoded twice."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from corpus.document import Passage
from corpus.formats import UnreadableDocument, parse
from corpus.passages import passages
from index.build import Progress, build, digest_of, plan
from index.snapshot import DOCUMENTS, Snapshot
from tests.laws.corpora import NAMES, Files, contents, folders, made, share, sources
from tests.laws.standin import WINDOW, StandIn

Step = tuple[str, str, bytes, str]
"""What is done, to which file, with which bytes or under which other name."""


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Return a change to a folder."""
    kind = draw(st.sampled_from(["put", "put", "edit", "remove", "rename", "copy", "touch"]))
    name, other = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
    return kind, name, draw(contents(name)) if kind in ("put", "edit") else b"", other


def changed(files: Files, step: Step) -> Files:
    """Return the folder after a change."""
    kind, name, data, other = step
    after = dict(files)
    if kind == "put":
        after[name] = data
    elif kind == "edit" and name in after:
        after[name] = after[name] + b"\n\n" + data
    elif kind == "remove":
        after.pop(name, None)
    elif kind == "rename" and name in after and Path(name).suffix == Path(other).suffix:
        after[other] = after.pop(name)
    elif kind == "copy" and name in after:
        after[other] = after[name]
    return after


def passages_of(files: Files) -> list[Passage]:
    """Return the passages of every document that can be read."""
    found: list[Passage] = []
    for name, data in sorted(files.items()):
        try:
            found.extend(passages(parse(name, data), StandIn().count_tokens, window=WINDOW))
        except UnreadableDocument:
            continue
    return found


def assert_same(one: Snapshot, two: Snapshot) -> None:
    """Assert that two snapshots are byte for byte the same, but for when they were built."""
    assert replace(one.manifest, built_at="") == replace(two.manifest, built_at="")
    for name in one.manifest.files:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name


@given(folders(), st.lists(steps(), min_size=1, max_size=4))
@example(
    {"a.md": b"# One\n\nalpha beta\n", "z/y/x.md": b"# Two\n\ngamma\n"},
    [("put", "a.md", b"# One\n\nzeta\n", ""), ("rename", "z/y/x.md", b"", "guides/c.md")],
)
@share(0.3)
def test_step_by_step(files: Files, changes: list[Step]) -> None:
    """After any changes the index built step by step is, byte for byte, the one built from nothing."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "first")
        for number, step in enumerate(changes):
            before, files = files, changed(files, step)
            encoder = StandIn()
            held = made(files, Path(aside) / str(number), previous=held, encoder=encoder)
            known = {digest_of(passage) for passage in passages_of(before)}
            unseen = {digest_of(one): one for one in passages_of(files) if digest_of(one) not in known}
            # Each pair of calls is of statements, then of passages.
            assert [text for call in encoder.calls[1::2] for text in call] == [
                passage.embedded for passage in unseen.values()
            ]
            assert_same(held, made(files, Path(aside) / f"fresh-{number}"))


@given(folders(least=1), st.integers(1, 59))
@share(0.1)
def test_dates(files: Files, minute: int) -> None:
    """A file's date changes neither version nor any file of the index but the list of documents."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "held")
        encoder, folder, when = StandIn(), Path(aside) / "later", f"2025-02-03T04:{minute:02}:00Z"
        folder.mkdir()
        planned = plan(held, sources(files, when), encoder.export.fingerprint)
        later = Snapshot(folder, build(planned, held, encoder, folder, Progress()))
        assert later.version == held.version
        assert encoder.calls == []
        assert {one.updated_at for one in later.documents} <= {when}
        listing = json.loads((folder / DOCUMENTS).read_text())
        for one in listing["documents"]:
            one["updated_at"] = "2025-01-01T00:00:00Z"
        (folder / DOCUMENTS).write_text(json.dumps(listing, ensure_ascii=False))
        assert all(
            (held.folder / name).read_bytes() == (folder / name).read_bytes() for name in held.manifest.files
        )


@given(st.data())
@share(0.1)
def test_renaming(data: st.DataObject) -> None:
    """A renamed document with a title of its own is not encoded again, and the index is as if made anew."""
    text = b"# A title of its own\n\n" + data.draw(contents("note.txt"))
    with tempfile.TemporaryDirectory() as aside:
        held = made({"old.md": text, "stays.md": b"# Stays\n\nhere"}, Path(aside) / "held")
        encoder = StandIn()
        files = {"new.md": text, "stays.md": b"# Stays\n\nhere"}
        renamed = made(files, Path(aside) / "renamed", previous=held, encoder=encoder)
        assert encoder.calls == []
        assert_same(renamed, made(files, Path(aside) / "fresh"))


@given(folders(least=1))
@share(0.1)
def test_other_encoder(files: Files) -> None:
    """Vectors of another encoder are never taken over."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "held")
        other = StandIn()
        other.export = replace(other.export, fingerprint="6" * 64)
        after = made(files, Path(aside) / "after", previous=held, encoder=other)
        assert after.version != held.version
        encoded = [text for call in other.calls[1::2] for text in call]
        assert set(encoded) == {passage.embedded for passage in passages_of(files)}
