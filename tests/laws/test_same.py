"""Laws of building: from the previous Snapshot as from nothing, and nothing is encoded twice."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.document import Passage
from corpus.formats import UnreadableDocument, parse
from corpus.passages import passages
from index.analysis import terms
from index.encoded import digest_of, statements_of
from index.plan import plan
from index.progress import Progress
from index.refresh import Reading, merge_all, refresh
from index.snapshot import Snapshot
from index.store import Store
from service.answer import ask
from service.finding import Index
from tests.laws.corpora import (
    LARGEST,
    NAMES,
    Files,
    contents,
    folders,
    laid,
    made,
    published,
    share,
    sources,
)
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


def texts_of(found: Iterable[Passage]) -> set[str]:
    """Return what the encoder is given of passages."""
    return {text for one in found for text in (one.embedded, *statements_of(one))}


QUESTIONS = ("the dynamic graph", "who is Dr. Who?", "pythn 2.13.0", "What does TFX stand for?")


def everything_of(held: Snapshot) -> Iterator[object]:
    """Yield all that a snapshot knows, in an order that does not depend on how it came about."""
    yield held.version
    yield held.skipped
    yield [replace(entry, updated_at="") for entry in held.documents]
    yield [held.text(number) for number in range(len(held.documents))]
    words = held.vocabulary
    yield sorted((form, words.frequency(form), words.spelled(form)) for form in words._forms)
    yield words.names, words.acronyms, words.aliases, [words.rivals(name) for name in sorted(words.names)]
    yield words._correctable
    used = {term for row in range(held.passages) for term in held.terms_of(row).tolist()}
    texts = [held.span(row).of(held.text(held.document_of(row))) for row in range(held.passages)]
    known = sorted({term for text in texts for term in terms(text)})
    yield (
        len(used),
        [(term, held.terms.frequency(term), held.terms.scores([term]).tolist()) for term in known],
    )
    for row in range(held.passages):
        yield held.passage_id(row), held.headings(row), held.rows([row]).tobytes()
        yield held.candidates_of(row).tobytes(), held.tokens_of(row).tobytes(), held.terms_of(row).tobytes()
        yield held.statements_of(row).tobytes()
    for question in QUESTIONS:
        reply = ask(Index(held, StandIn()), question, top_k=20, threshold=0.0)
        yield replace(reply, milliseconds={}, trace=None)


def assert_same(one: Snapshot, two: Snapshot) -> None:
    """Assert that two snapshots know and answer the same, to the last bit."""
    for left, right in zip(everything_of(one), everything_of(two), strict=True):
        assert left == right


@given(
    folders(),
    st.lists(st.tuples(steps(), st.sampled_from(["", "", "due", "everything"])), min_size=1, max_size=5),
)
@example(
    {"a.md": b"# One\n\nalpha beta\n", "z/y/x.md": b"# Two\n\ngamma\n"},
    [
        (("put", "a.md", b"# One\n\nzeta\n", ""), ""),
        (("rename", "z/y/x.md", b"", "guides/c.md"), "everything"),
        (("put", "a.md", b"# One\n\nalpha beta\n", ""), ""),
    ],
)
@share(0.3)
def test_step_by_step(files: Files, changes: list[tuple[Step, str]]) -> None:
    """After any changes and merges the index built step by step knows and answers what one built from nothing
    does, and nothing is encoded that the one before had."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "first")
        for number, (step, merge) in enumerate(changes):
            before, files = files, changed(files, step)
            encoder = StandIn()
            after = made(files, Path(aside) / str(number), previous=held, encoder=encoder)
            known = {digest_of(passage) for passage in passages_of(before)}
            unseen = {digest_of(one): one for one in passages_of(files) if digest_of(one) not in known}
            # What was there earlier need not be encoded again either, as long as it was not merged away.
            encoded = {text for call in encoder.calls for text in call}
            assert encoded <= texts_of(unseen.values())
            if merge:
                store = Store(Path(aside) / str(number))
                with store.writing():
                    merge_all(store, after, everything=merge == "everything")
                after = store.open_current(pytest.fail)
                assert merge == "due" or len(after.segments) == bool(after.documents)
            # As a server does, which keeps the words of what has not changed.
            after.take_words_of(held)
            held = after
            assert_same(held, made(files, Path(aside) / f"fresh-{number}"))


@given(folders(least=1), st.lists(steps(), min_size=1, max_size=4))
@share(0.2)
def test_looking_at_what_changed(files: Files, changes: list[Step]) -> None:
    """A refresh that looks at the changed files alone leads where one that looks at all of them does."""
    with tempfile.TemporaryDirectory() as aside:
        corpus, store = laid(files, Path(aside) / "corpus"), Store(Path(aside) / "data")
        held = published(store, corpus)
        for step in changes:
            before, files = files, changed(files, step)
            touched = {one for one in before.keys() | files.keys() if before.get(one) != files.get(one)}
            laid(files, corpus)
            for name in before.keys() - files.keys():
                (corpus / name).unlink()
            reading = Reading(corpus, LARGEST, frozenset(touched))
            with store.writing():
                refresh(store, reading, held, Progress(), encoder=lambda *_: StandIn())
            held = store.open_current(pytest.fail)
            assert_same(held, published(Store(Path(aside) / "fresh"), corpus))


@given(folders(least=1), st.integers(1, 59))
@share(0.1)
def test_dates(files: Files, minute: int) -> None:
    """A file's date changes nothing: content decides."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "held")
        planned = plan(held, sources(files, f"2025-02-03T04:{minute:02}:00Z"), held.manifest.fingerprint)
        assert (planned.version, planned.sources) == (held.version, ())


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
        change = plan(held, sources(files), held.manifest.fingerprint).change
        assert (change.renamed, change.added, change.removed) == ((("old.md", "new.md"),), (), ())
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
        encoded = {text for call in other.calls for text in call}
        assert encoded == texts_of(passages_of(files))
