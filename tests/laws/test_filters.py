"""Laws of filters: exactly the documents that match, and nothing else about an answer changes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus.formats import parse
from index.fields import FieldTable, Value
from index.search import POOL
from index.snapshot import Snapshot
from index.store import Store
from service.answer import Answer, NotFound, ask
from service.finding import Index
from tests.laws.corpora import PHRASES, Files, laid, made, published, share
from tests.laws.standin import StandIn


@dataclass(frozen=True, slots=True)
class Same:
    """Spellings that are one and the same: as front matter has them, and as they are asked for."""

    written: tuple[str, ...]
    asked: tuple[Value, ...]


VALUES = [
    Same(("en", "EN", '"en"', "' En '"), ("en", "eN", " en\n")),
    Same(("café", "CAFE\u0301"), ("cafe\u0301", "CAFÉ")),
    Same(("Straße", "STRASSE"), ("strasse", "STRAẞE")),
    Same(("2024", '"2024"'), (2024, 2024.0, "2024")),
    Same(("2024-05-01",), ("2024-05-01",)),
    Same(("true", "True"), (True, "TRUE", "true")),
    Same(("1",), (1, 1.0, "1")),
    Same(("-0.5",), (-0.5, "-0.5")),
    Same(("1.10",), ("1.10",)),
    Same(("two words",), ("Two Words",)),
    Same((), ("nowhere", False, 0, 10**400, 1e308, "", "2024.0")),
]
NAMES = [Same(("lang", "Lang"), ("lang", "LANG")), Same(("tags",), ("tags",)), Same((), ("colour",))]
PAGES = [f"{folder}{number}.md" for folder in ("", "guides/") for number in range(3)]

Fields = dict[str, list[int]]
"""The numbers of the values that a document has in each field, by the name as it is written."""


@st.composite
def front_matters(draw: st.DrawFn) -> tuple[Fields, str]:
    """Return what a front matter says, and how it says it."""
    lines, meant = ["---"], {}
    for name in draw(st.lists(st.sampled_from(["lang", "Lang", "tags", "title"]), unique=True)):
        numbers = draw(st.lists(st.integers(0, len(VALUES) - 2), max_size=3))
        written = [draw(st.sampled_from(VALUES[number].written)) for number in numbers]
        alone = len(written) == 1 and draw(st.booleans())
        block = draw(st.booleans())
        if alone:
            lines.append(f"{name}: {written[0]}")
        elif block:
            lines += [f"{name}:", *(f"  - {one}" for one in written)]
        else:
            lines.append(f"{name}: [{', '.join(written)}]")
        meant[name] = numbers
    return meant, "\n".join([*lines, "---", ""])


@st.composite
def shelves(draw: st.DrawFn) -> tuple[Files, dict[str, Fields]]:
    """Return a folder of documents with front matter, and what each of them says there."""
    files, meant = {}, {}
    for name in draw(st.lists(st.sampled_from(PAGES), min_size=1, unique=True)):
        meant[name], head = draw(front_matters())
        words = draw(st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3))
        files[name] = f"{head}\n# Page\n\n{'. '.join(words)}.\n\nThe zebra sleeps in the shed.\n".encode()
    return files, meant


@st.composite
def filters(draw: st.DrawFn) -> tuple[dict[str, list[Value]], list[tuple[Same, list[int]]]]:
    """Return a filter as it is asked for, and what it means."""
    asked: dict[str, list[Value]] = {}
    means = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)):
        numbers = draw(st.lists(st.integers(0, len(VALUES) - 1), min_size=1, max_size=3))
        called = str(draw(st.sampled_from(name.asked)))
        asked[called] = [draw(st.sampled_from(VALUES[number].asked)) for number in numbers]
        means.append((name, numbers))
    return asked, means


def fits(document: Fields, means: list[tuple[Same, list[int]]]) -> bool:
    """Return whether a document has, in every field, one of the values."""
    return all(
        any(number in numbers for written in name.written for number in document.get(written, []))
        for name, numbers in means
    )


def in_filter(held: Snapshot, wanted: dict[str, list[Value]]) -> set[str]:
    """Return the documents of the passages that a filter leaves, all of their passages or none."""
    rows = held.rows_where((), wanted)
    assert len(rows) == held.passages
    for number in range(len(held.documents)):
        own = held.passages_of(number)
        assert len({bool(rows[row]) for row in own}) <= 1
    return {held.documents[held.document_of(row)].id for row in range(held.passages) if rows[row]}


@given(shelves(), filters())
@share(0.5)
def test_exactly_the_matching(
    shelf: tuple[Files, dict[str, Fields]],
    asked: tuple[dict[str, list[Value]], list[tuple[Same, list[int]]]],
) -> None:
    """A filter leaves the documents that have one of the values in every field named, and no others."""
    (files, meant), (wanted, means) = shelf, asked
    expected = {name for name, fields in meant.items() if fits(fields, means)}
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "one")
        assert in_filter(held, wanted) == expected
        reply = ask(Index(held, StandIn()), "Where does the zebra sleep?", top_k=50, fields=wanted)
        found = {held.documents[held.document_of(hit.passage)].id for hit in reply.hits}
        assert found <= expected
        # One document stands for those that say the same.
        rows = {one: held.passages_of(held.numbers[one]) for one in expected}
        shown = {said(held, hit.passage) for hit in reply.hits}
        assert all(said(held, row) in shown for one in expected for row in rows[one])
        if not expected:
            assert reply.verdict == NotFound("no_candidate") and reply.alternatives == ()
        under = held.rows_where(["guides/"], wanted)
        ids = [held.documents[held.document_of(row)].id for row in range(held.passages)]
        assert [bool(one) for one in under] == [
            name in expected and name.startswith("guides/") for name in ids
        ]


def said(held: Snapshot, passage: int) -> tuple[int, ...]:
    """Return the terms of a passage's own words."""
    return tuple(held.own_terms_of(passage).tolist())


@given(shelves(), filters(), st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3).map(" ".join))
@share(0.3)
def test_only_the_choice_changes(
    shelf: tuple[Files, dict[str, Fields]],
    asked: tuple[dict[str, list[Value]], list[tuple[Same, list[int]]]],
    question: str,
) -> None:
    """A filter changes which passages are found, but neither their scores by meaning and by words (the words'
    weights are the whole corpus's) nor how sure an answer must be."""
    (files, _), (wanted, _) = shelf, asked
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "one")
        assume(held.passages <= POOL)
        index = Index(held, StandIn())
        everything = {hit.passage: hit for hit in ask(index, question, top_k=POOL).hits}
        reply = ask(index, question, top_k=POOL, fields=wanted)
        for hit in reply.hits:
            whole = everything.get(hit.passage)
            if whole is None:  # a copy outside the choice stood for it
                assert said(held, hit.passage) in {said(held, other) for other in everything}
                continue
            assert hit.words == whole.words
            assert hit.similarity == pytest.approx(whole.similarity, abs=1e-5)
        whole_trace, trace = ask(index, question).trace, reply.trace
        assert trace is not None and whole_trace is not None and trace.threshold == whole_trace.threshold
        if isinstance(reply.verdict, Answer):
            assert reply.verdict.confidence >= trace.threshold


@given(shelves())
@share(0.3)
def test_kept(shelf: tuple[Files, dict[str, Fields]]) -> None:
    """Front matter is in the snapshot as it was parsed, opened again from disk and copied into the next."""
    files, _ = shelf
    with tempfile.TemporaryDirectory() as aside:
        store, corpus = Store(Path(aside) / "data"), Path(aside) / "corpus"
        first = published(store, laid(files, corpus))
        second = published(store, laid({"more.md": b"# More\n\nwords"}, corpus), previous=first)
        for held in (first, second):
            of = {entry.id: entry.fields for entry in held.documents}
            assert {name: of[name] for name in files} == {
                name: parse(name, data).fields for name, data in files.items()
            }


@pytest.mark.parametrize("same", VALUES, ids=lambda one: str(one.written[:1]))
def test_spellings(same: Same) -> None:
    """Every spelling of a value finds every other spelling of it, and nothing else."""
    heads = [f"---\nx: {written}\n---\n" for one in VALUES for written in one.written]
    table = FieldTable([parse("a.md", head.encode()).fields for head in heads])
    for asked in same.asked:
        assert table.matching({"X": [asked]}).tolist() == [one is same for one in VALUES for _ in one.written]


@pytest.mark.parametrize(
    ("written", "asked", "found"),
    [
        ("2024.0", 2024, True),
        ("2.024e3", 2024, True),
        ("2024.0", "2024", False),
        ("0.1", 0.1, True),
        ("-0", 0, True),
        ("12345678901234567891", 12345678901234567890, False),
        ("007", 7, False),
        ("1_000", 1000, False),
        ("\u0661", 1, False),
        ("nan", "nan", True),
        ("yes", True, False),
        ("1", True, False),
        ("true", 1, False),
        ("9" * 1000, 10**999, False),
        ("1e999999999", 1, False),
        ("", "", True),
    ],
)
def test_values(written: str, asked: Value, found: bool) -> None:
    """A number is what is written with its value, a text what is written with its letters."""
    table = FieldTable([[("x", written)], [("x", "other")], []])
    assert table.matching({"x": [asked]}).tolist() == [found, False, False]
