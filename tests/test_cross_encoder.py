"""The cross-encoder: what it reads, that nothing else moves it, and what comes of it in an answer."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.cross_encoder import (
    BEFORE_TOKENS,
    CANDIDATE_TOKENS,
    GRAPH_FILE,
    HEADINGS_TOKENS,
    QUESTION_TOKENS,
    WEIGHTS,
    CrossEncoder,
    Said,
    layout,
)
from index.encoder import EncoderError
from index.models import open_pairs
from index.reader import CROSSED
from index.saying import said_of
from index.tokens import load_tokenizer
from service.answer import Answer, ask
from service.finding import Index
from tests.laws.corpora import Files, folders, made, share
from tests.laws.standin import StandIn

TOKENIZER = load_tokenizer(WEIGHTS / "tokenizer.json")
BEGIN, END = TOKENIZER.token_to_id("[CLS]"), TOKENIZER.token_to_id("[SEP]")
WORDS = st.text(max_size=300)
KNOWN = 6.26
LAMP = Said("The harbour lamp burns whale oil.", "Lamps > Harbour", "It stands on the mole.")


@pytest.fixture(scope="module")
def pairs() -> CrossEncoder:
    return CrossEncoder()


class Telling:
    """Gives each candidate a logit by its words, and keeps what it was asked."""

    def __init__(self, logits: dict[str, float], other: float = 0.0) -> None:
        self.logits, self.other = logits, other
        self.read: list[Said] = []

    def score(self, _: str, said: Sequence[Said]) -> list[float]:
        self.read += said
        return [self.logits.get(one.words, self.other) for one in said]


@given(WORDS, WORDS, WORDS, WORDS)
@share(0.3)
def test_layout(question: str, words: str, headings: str, before: str) -> None:
    """Four parts, each ended, none longer than its room; the candidate alone has type 1."""
    ids, types = layout(TOKENIZER, question, Said(words, headings, before))
    assert ids[0] == BEGIN and ids[-1] == END and len(ids) == len(types)
    ends = [at for at, one in enumerate(ids.tolist()) if one == END]
    assert len(ends) >= 4
    most = QUESTION_TOKENS + CANDIDATE_TOKENS + HEADINGS_TOKENS + BEFORE_TOKENS + 5
    assert len(ids) <= most
    typed = [at for at, one in enumerate(types.tolist()) if one]
    assert typed == list(range(typed[0], typed[-1] + 1)) and ids[typed[0] - 1] == END == ids[typed[-1]]


def test_known_logit(pairs: CrossEncoder) -> None:
    """The weights that the constants beside it were fitted with."""
    assert pairs.score("What does the harbour lamp burn?", [LAMP]) == pytest.approx([KNOWN], abs=0.05)


def test_answers_are_told_from_what_is_near(pairs: CrossEncoder) -> None:
    (right,) = pairs.score("What does the harbour lamp burn?", [LAMP])
    for question in ("How tall is the harbour lamp?", "Who owns the fish market?", "When is high tide?"):
        assert pairs.score(question, [LAMP])[0] < right - 1, question


@given(st.lists(WORDS, min_size=1, max_size=4), WORDS)
@share(0.05)
def test_a_score_depends_on_nothing_else(others: list[str], question: str) -> None:
    """What is read before, and at the same time from other threads, changes no logit."""
    pairs = CrossEncoder()
    (first,) = pairs.score(question, [LAMP])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda other: pairs.score(other, [Said(other, "", ""), LAMP]), others))
        company = [Said(other, "", "") for other in others]
        found = pool.map(lambda _: pairs.score(question, [*company, LAMP])[-1], range(8))
        assert set(found) == {first}


@pytest.mark.parametrize("name", [GRAPH_FILE, "cross_encoder.weights", "tokenizer.json"])
def test_missing_or_damaged_weights(name: str, tmp_path: Path) -> None:
    """What cannot be opened says what to do; it is never left out in silence."""
    shutil.copytree(WEIGHTS, tmp_path / "weights")
    (tmp_path / "weights" / name).write_bytes(b"{")
    with pytest.raises(EncoderError, match="PULLQUOTE_READER=plain"):
        CrossEncoder(tmp_path / "weights")
    (tmp_path / "weights" / name).unlink()
    with pytest.raises(EncoderError, match="install Pullquote again"):
        CrossEncoder(tmp_path / "weights")


def test_the_setting() -> None:
    assert open_pairs("plain") is None
    assert isinstance(open_pairs("cross-encoder"), CrossEncoder)


TEXT = b"""# Lamps

The mole is long. The harbour lamp burns whale oil. The harbour lamp is old. The harbour lamp is red.

What is needed:

- oil
- a wick

| lamp | fuel | keeper |
|---|---|---|
| harbour | whale oil | Otto |
"""


def test_what_is_read_of_a_candidate(tmp_path: Path) -> None:
    held = made({"lamps.md": TEXT}, tmp_path / "one")
    said = [
        said_of(held, passage, row) for passage in range(held.passages) for row in held.candidates_of(passage)
    ]
    read = {one.words: one for one in said}
    assert read["The harbour lamp is old."].before == "The harbour lamp burns whale oil."
    assert read["a wick"].before == "What is needed: oil"
    assert read["fuel harbour: whale oil"].before == ""
    assert {one.headings for one in said} == {"Lamps"}


def test_its_logits_decide(tmp_path: Path) -> None:
    """The logits are added to the weighted sum: a candidate that is told to be right comes first."""
    held = made({"lamps.md": TEXT}, tmp_path / "one")
    for wanted in ("The harbour lamp is old.", "The harbour lamp is red."):
        index = Index(held, StandIn(), Telling({wanted: 50.0}, -50.0))
        reply = ask(index, "harbour lamp", threshold=0.0)
        assert isinstance(reply.verdict, Answer)
        assert reply.verdict.places[0].span.of(held.text(0)) == wanted
        assert reply.trace is not None and reply.trace.readings[0].crossed == 50.0


@given(folders(least=1), st.floats(-20, 20))
@share(0.1)
def test_a_logit_that_all_share_changes_no_order(files: Files, logit: float) -> None:
    """The same for every candidate leaves the candidates as the weighted sum has them."""
    with tempfile.TemporaryDirectory() as aside:
        held = made(files, Path(aside) / "one")
        telling = Telling({}, logit)
        plain = ask(Index(held, StandIn()), "words of the first", threshold=0.0)
        crossed = ask(Index(held, StandIn(), telling), "words of the first", threshold=0.0)
        assert plain.trace is None or crossed.trace is not None
        if plain.trace and crossed.trace:
            assert [one.span for one in plain.trace.readings] == [one.span for one in crossed.trace.readings]
        assert len(telling.read) == len(set(telling.read)) <= CROSSED


def test_a_broken_one_raises(tmp_path: Path) -> None:
    """It never looks like NotFound."""

    class Broken:
        def score(self, *_: object) -> list[float]:
            raise RuntimeError("broken")

    held = made({"lamps.md": TEXT}, tmp_path / "one")
    with pytest.raises(RuntimeError, match="broken"):
        ask(Index(held, StandIn(), Broken()), "harbour lamp")
