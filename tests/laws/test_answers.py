"""Laws of answers: verbatim, calm, sure of themselves alike, and honest about what is broken."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus.document import CandidateKind
from corpus.formats import UnreadableDocument, parse
from corpus.passages import passages
from index.analysis import terms
from index.columns import span_at
from index.search import POOL
from index.segment import Segment, SegmentError
from index.snapshot import Snapshot
from index.store import Store
from index.terms import K1, B, term_numbers
from index.vectors import VectorPart, nearest, similarities
from service.answer import NotFound, Reply, ask
from service.finding import Index
from service.wire import ask_reply
from tests.laws.corpora import PHRASES, Files, folders, laid, made, published, share
from tests.laws.standin import WINDOW, StandIn

ROOT = Path(__file__).parents[2]
QUESTIONS = st.one_of(
    st.lists(st.sampled_from(PHRASES), min_size=1, max_size=3).map(" ".join),
    st.sampled_from(["When was it released?", "C++", "the", "", "?!", "שלום", "how many", "x" * 3000]),
    st.text(max_size=40),
    st.lists(st.sampled_from(PHRASES), min_size=100, max_size=120).map(" ".join),
)


def calm(reply: Reply) -> Reply:
    """Return a Reply without what differs each time: how long it took. (Arrays do not compare; hits do.)"""
    return replace(reply, milliseconds={}, trace=None)


def at_utf16(text: str, start: int, end: int) -> str:
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


def cited(reply: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every citation of a reply as a client reads it."""
    for answer in filter(None, [reply["answer"], *reply["alternatives"]]):
        assert answer["text"] == "; ".join(
            one["quote"] for one in answer["citations"] if one["role"] == "answer"
        )
        yield from answer["citations"]


@given(folders(least=1), QUESTIONS)
@share(0.5)
def test_quotes_are_slices(files: Files, question: str) -> None:
    """What a client reads is the slice of the file, in code points, bytes, UTF-16 units and lines."""
    with tempfile.TemporaryDirectory() as aside:
        folder, encoder = Path(aside), StandIn()
        held = published(Store(folder / "data"), laid(files, folder / "corpus"))
        reply = ask(Index(held, encoder), question, threshold=0.0, top_k=20)
        sent = json.loads(ask_reply(held, question, reply, explain=True).model_dump_json())
        texts = {name: parse(name, files[name]).text for name in held.numbers}
        for one in cited(sent):
            text, quote = texts[one["document_id"]], one["quote"]
            assert quote and text[one["start_char"] : one["end_char"]] == quote
            assert text.encode()[one["start_byte"] : one["end_byte"]].decode() == quote
            assert at_utf16(text, one["start_utf16"], one["end_utf16"]) == quote
            assert one["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()
            lines = [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]
            assert one["start_line"] == 1 + sum(end <= one["start_char"] for end in lines)
            assert one["end_line"] == 1 + sum(end < one["end_char"] for end in lines)
            assert text[: one["start_char"]].endswith(one["prefix"]) and len(one["prefix"]) <= 32
            assert text[one["end_char"] :].startswith(one["suffix"]) and len(one["suffix"]) <= 32
        for one in sent["passages"]:
            text = texts[one["document_id"]]
            assert text[one["start_char"] : one["end_char"]] == one["text"] != ""
            assert one["passage_id"] == f"{one['document_id']}#{one['start_char']}-{one['end_char']}"
            for mark in one["highlights"]:
                assert one["start_char"] <= mark["start_char"] < mark["end_char"] <= one["end_char"]


@given(folders(least=1))
@share(0.25)
def test_snapshot_keeps_places(files: Files) -> None:
    """A snapshot opened from disk has every document's text and the places of all passages and candidates."""
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        held = published(Store(folder / "data"), laid(files, folder / "corpus"))
        for number, entry in enumerate(held.documents):
            document = parse(entry.id, files[entry.id])
            assert (held.text(number), entry.sha) == (document.text, document.sha)
            found = passages(document, StandIn().count_tokens, window=WINDOW)
            assert len(held.passages_of(number)) == len(found)
            for row, passage in zip(held.passages_of(number), found, strict=True):
                assert held.span(row) == passage.span
                names = [" ".join(words.split()) for words in held.headings(row)]
                context = passage.embedded[: passage.context]
                assert all(name in context for name in names[-1:]) or not context
                places = [(one.span, one.row_label, one.column_header) for one in passage.candidates]
                rows = held.candidates_of(row)
                assert [tuple(span_at(one, at) for at in range(3)) for one in rows] == places
                assert held.terms_of(row).tolist() == term_numbers(terms(passage.embedded)).tolist()


@given(folders(least=1), QUESTIONS)
@share(0.08)
def test_repetition_and_threads(files: Files, question: str) -> None:
    """Asking again, and from eight threads at once, gives the same reply."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "one")
        first = calm(ask(Index(held, StandIn()), question))
        again = Snapshot(held.manifest, held.segments)  # nothing of it is in any cache yet
        index = Index(again, StandIn())
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: calm(ask(index, question)), range(8)))
        assert all(reply == first for reply in replies)


@pytest.fixture(name="manuals", scope="module")
def _manuals(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Return some hundreds of passages that share many words."""
    folder = ROOT / "tests" / "data" / "manuals" / "docs"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return Index(made(files, tmp_path_factory.mktemp("manuals") / "index"), StandIn())


def asked() -> list[str]:
    lines = (ROOT / "tests" / "data" / "manuals" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines[::12]]


@pytest.mark.parametrize("most", [20, 50])
def test_top_k(manuals: Index, most: int) -> None:
    """However many passages are wanted, the answer and how sure it is are the same, and fewer begin more."""
    for question in asked():
        longest = calm(ask(manuals, question, top_k=most))
        for count in (1, 5, 19):
            reply = calm(ask(manuals, question, top_k=count))
            assert replace(reply, hits=()) == replace(longest, hits=()), question
            assert reply.hits == longest.hits[:count], question


@given(folders(least=1), QUESTIONS)
@share(0.2)
def test_filter(files: Files, question: str) -> None:
    """A filter keeps to its documents; one that lets all of them in changes nothing."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "one")
        index = Index(held, StandIn())
        assume(held.passages <= POOL)  # beyond it, rankers round their last places in their own ways
        everything = ask(index, question)
        unfiltered = ask(index, question, documents=["", "guides/"])
        assert [one.passage for one in unfiltered.hits] == [one.passage for one in everything.hits]
        assert unfiltered.best_in_passage == everything.best_in_passage
        if isinstance(everything.verdict, NotFound):
            assert unfiltered.verdict == everything.verdict
        else:
            assert not isinstance(unfiltered.verdict, NotFound)
            assert unfiltered.verdict.places == everything.verdict.places
            assert unfiltered.verdict.confidence == pytest.approx(everything.verdict.confidence, abs=1e-4)
        kept = ask(index, question, documents=["guides/"], threshold=0.0)
        assert all(held.passage_id(one.passage).startswith("guides/") for one in kept.hits)


PAGE = (
    b"# Page\n\nThe zebra sleeps in the shed.\n\n| a | b |\n|---|---|\n| zebra | 7 |\n\n- the zebra again\n"
)


@pytest.mark.parametrize("copies", [3, 30, 130])
def test_ties(tmp_path: Path, copies: int) -> None:
    """Of passages that say the same the first comes, and alone: a page kept twice fills one place."""
    held = made({f"{number:03}.md": PAGE for number in range(copies)}, tmp_path / "one")
    each = len(held.passages_of(0))
    for question in ("Where does the zebra sleep?", "zebra 7", "the shed", "again"):
        reply = ask(Index(held, StandIn()), question, top_k=20, threshold=0.0)
        assert sorted(hit.passage for hit in reply.hits) == list(range(each))


@given(st.integers(1, 80), st.sampled_from([5, 64, 384, 768]), st.integers(0, 9))
def test_equal_rows(count: int, dimension: int, seed: int) -> None:
    """Equal vectors have the same similarity to the last bit, wherever they stand and are found."""
    numbers = np.random.default_rng(seed)
    one, question = numbers.standard_normal((2, dimension)).astype(np.float32)
    vectors = np.repeat(one[None, :], count, axis=0)
    cut = int(numbers.integers(0, count + 1))
    order = numbers.permutation(count).astype(np.int32)
    parts = [VectorPart(vectors[:cut], order[:cut]), VectorPart(vectors[cut:], order[cut:])]
    rows, near = nearest(parts, question, count)
    assert rows.tolist() == list(range(count))
    assert len({*near.tolist(), *similarities(vectors, question, rows).tolist()}) == 1


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 40), st.data())
def test_nearest(count: int, wanted: int, dead: int, data: st.DataObject) -> None:
    """The nearest living rows are found, however they are spread and however many between them are dead."""
    numbers = np.random.default_rng(data.draw(st.integers(0, 99)))
    total = count + dead
    vectors = numbers.standard_normal((total, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.concatenate((np.arange(count), np.full(dead, -1))).astype(np.int32)
    numbers.shuffle(names)
    cuts = sorted(data.draw(st.lists(st.integers(0, total), max_size=3)))
    edges = [0, *cuts, total]
    parts = [VectorPart(vectors[a:b], names[a:b]) for a, b in pairwise(edges)]
    question = vectors[0]
    rows, near = nearest(parts, question, wanted)
    every = similarities(vectors, question, np.arange(total))
    best = sorted((-every[at], names[at]) for at in range(total) if names[at] >= 0)[:wanted]
    assert [(-one, row) for one, row in zip(near.tolist(), rows.tolist(), strict=True)] == best


def test_ties_beyond_the_pool(tmp_path: Path) -> None:
    """Where more passages are equal than a ranker keeps, the first one is found, and the others do not hide
    what else there is."""
    copies = 300
    files = {
        f"a{number:03}.md": b"# Same\n\nA zebra among words that say nothing" for number in range(copies)
    }
    files |= {f"b{number:03}.md": b"# Same\n\nabcdef%d abcdef" % number for number in range(60)}
    held = made(files, tmp_path / "one")
    # By meaning the others come first, so that these are found by their one word alone.
    reply = ask(Index(held, StandIn()), "abcdefghi zebra", top_k=100, threshold=0.0)
    assert [hit.passage for hit in reply.hits if hit.passage < copies] == [0]
    assert len(reply.hits) == 61


def embedded_of(files: Files) -> list[str]:
    """Return the embedded text of every passage, in the order of the index."""
    found: list[str] = []
    for name, data in sorted(files.items()):
        try:
            document = parse(name, data)
        except UnreadableDocument:
            continue
        found += [one.embedded for one in passages(document, StandIn().count_tokens, window=WINDOW)]
    return found


@given(folders(least=1))
@share(0.25)
def test_self_by_meaning(files: Files) -> None:
    """By meaning, a passage asked verbatim is first with similarity 1."""
    with tempfile.TemporaryDirectory() as aside:
        held, encoder, texts = made(files, Path(aside) / "one"), StandIn(), embedded_of(files)
        for text in texts:
            rows, similar = nearest(held.by_passage, encoder.encode_question(text).vector, 1)
            assert similar[0] == pytest.approx(1, abs=1e-5)
            assert encoder.tokens(texts[int(rows[0])]) == encoder.tokens(text)


@given(folders(least=1))
@share(0.25)
def test_self_by_words(files: Files) -> None:
    """By words, a term that stands in one passage alone finds that passage and no other."""
    with tempfile.TemporaryDirectory() as aside:
        held, texts = made(files, Path(aside) / "one"), embedded_of(files)
        holders: dict[str, set[int]] = {}
        for row, text in enumerate(texts):
            for term in terms(text):
                holders.setdefault(term, set()).add(row)
        assert {one for row in range(held.passages) for one in held.terms_of(row).tolist()} == {
            *term_numbers(holders).tolist()
        }
        for term, rows in holders.items():
            scores = held.terms.scores([term])
            assert set(np.flatnonzero(scores).tolist()) == rows
            assert held.terms.frequency(term) == len(rows)
            assert scores.max() <= held.terms.idf(term) * (1 + 1e-5)


@given(folders(least=1))
@share(0.2)
def test_bm25(files: Files) -> None:
    """Scores by words are those of bm25s, which made them before postings had to outlive a change."""
    with tempfile.TemporaryDirectory() as aside:
        held, texts = made(files, Path(aside) / "one"), embedded_of(files)
        tokens = [terms(text) for text in texts]
        every = sorted({term for found in tokens for term in found})
        if not every:
            return
        reference = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
        reference.index(tokens, show_progress=False)
        for term in every:
            expected = reference.get_scores([term])
            np.testing.assert_allclose(held.terms.scores([term]), expected, rtol=1e-5, atol=1e-7)
        both = every[:: max(1, len(every) // 4)]
        expected = reference.get_scores(both)
        np.testing.assert_allclose(held.terms.scores(both), expected, rtol=1e-5, atol=1e-6)


def test_not_found_is_said_by_answer_alone() -> None:
    """NotFound is constructed nowhere but in service/answer.py."""
    found = []
    for room in ("corpus", "index", "service"):
        for path in sorted((ROOT / room).rglob("*.py")):
            calls = (one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Call))
            if any(ast.unparse(one.func).split(".")[-1] == "NotFound" for one in calls):
                found.append(path.relative_to(ROOT).as_posix())
    assert found == ["service/answer.py"]


def test_broken_encoder(tmp_path: Path) -> None:
    """An encoder that fails raises; it never looks like NotFound."""
    held = made({"a.md": b"# A\n\nwords of a"}, tmp_path / "one")
    with pytest.raises(RuntimeError, match="broken"):
        ask(Index(held, StandIn(broken=True)), "words of a")
    with pytest.raises(RuntimeError, match="broken"):
        made({"a.md": b"# A\n\nother words"}, tmp_path / "two", previous=held, encoder=StandIn(broken=True))


@pytest.mark.parametrize("share_left", [0.0, 0.001, 0.3, 0.5, 0.9, 0.999])
def test_broken_file(tmp_path: Path, share_left: float) -> None:
    """A segment cut short raises even where nobody verified it; it never looks like NotFound."""
    held = made({"a.md": b"# A\n\nwords of a\n\n- one\n- two"}, tmp_path / "one")
    data = held.segments[0].path.read_bytes()
    (tmp_path / "cut").write_bytes(data[: round(len(data) * share_left)])
    with pytest.raises(SegmentError, match="cut"):
        Segment(tmp_path / "cut", held.manifest.dimension, held.manifest.token_dimension)


@given(folders(least=1), QUESTIONS)
@share(0.2)
def test_kinds(files: Files, question: str) -> None:
    """An answer is a candidate of a passage that was found; a cell brings its label and header along."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "one")
        reply = ask(Index(held, StandIn()), question, threshold=0.0)
        found = [] if isinstance(reply.verdict, NotFound) else [reply.verdict]
        for answer in (*found, *reply.alternatives):
            assert 0 <= answer.confidence <= 1
            roles = [place.role for place in answer.places]
            assert roles[0] == "answer" and roles.count("answer") == 1
            assert answer.kind is CandidateKind.CELL or roles == ["answer"]
            rows = held.candidates_of(answer.places[0].passage)
            assert answer.places[0].span in [span_at(row, 0) for row in rows]
