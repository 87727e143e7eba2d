"""What the cross-encoder is trained with: its questions, its loss, and the graph that comes of it."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality.sets import SQUAD_HELD_OUT, article_of
from benchmarks.reader import train as train_module
from benchmarks.reader.graph import write
from benchmarks.reader.network import Network, save
from benchmarks.reader.packed import Asked, Candidate, Packed, pack, read
from benchmarks.reader.pairs import ABOUT_SQUAD, FOLDERS, HERE, OURS, useful
from benchmarks.reader.train import (
    READ_AT_ONCE,
    Plan,
    Rows,
    logits_of,
    loss_of,
    measured,
    steps_of,
    taken,
    taught_loss,
    train,
)
from corpus.formats import parse
from index import reader
from index.cross_encoder import WEIGHTS, CrossEncoder, Said, layout
from index.export import PACKAGED_MODEL, load_model
from index.tokens import load_tokenizer
from service.finding import Index
from service.known import KnownQuestion, read_questions
from tests.laws.corpora import made
from tests.laws.standin import StandIn

FILES = sorted(path.stem for path in (HERE / "questions").iterdir())


def test_every_file_of_questions_is_learned_from() -> None:
    assert sorted((*FOLDERS, *ABOUT_SQUAD)) == FILES
    assert set(OURS) == {path.name for path in (HERE / "docs").iterdir()}


@pytest.mark.parametrize("name", FILES)
def test_questions(name: str) -> None:
    """Each is about its own documents, and a good part of them has no answer there."""
    known = read_questions(HERE / "questions" / f"{name}.jsonl")
    files = {place.file for one in known for place in one.gold_places}
    assert all(file.startswith(FOLDERS.get(name, "")) for file in files), "a document of another file"
    assert not files.intersection(SQUAD_HELD_OUT)
    unanswerable = sum(not one.answerable for one in known) / len(known)
    assert 0.2 < unanswerable < 0.55
    assert len({(one.question, str(one.history)) for one in known}) == len(known)


@pytest.mark.parametrize("name", OURS)
def test_places_hold_the_gold(name: str) -> None:
    texts: dict[str, str] = {}
    for one in read_questions(HERE / "questions" / f"{name}.jsonl"):
        for place in one.gold_places:
            if place.file not in texts:
                path = HERE / "docs" / place.file
                texts[place.file] = parse(path.name, path.read_bytes()).text
            words = " ".join(texts[place.file][place.start : place.end].split()).casefold()
            assert any(span.casefold() in words for span in one.gold_spans), one.id


LOGITS = st.lists(st.floats(-5, 5), min_size=1, max_size=6)


@given(st.lists(st.tuples(LOGITS, st.integers(0, 6)), min_size=1, max_size=4))
def test_loss(questions: list[tuple[list[float], int]]) -> None:
    """-ln of what falls on the right ones, by softmax over all and a logit of 0 for none of them."""
    counts = [len(logits) for logits, _ in questions]
    right = [min(first, len(logits)) for logits, first in questions]
    flat = torch.tensor([one for logits, _ in questions for one in logits], dtype=torch.float64)
    expected = []
    for (logits, _), first in zip(questions, right, strict=True):
        raised = [1.0, *map(math.exp, logits)]
        expected.append(-math.log((sum(raised[1 : 1 + first]) if first else raised[0]) / sum(raised)))
    assert float(loss_of(flat, counts, right)) == pytest.approx(sum(expected) / len(expected), abs=1e-9)


@given(LOGITS, LOGITS, st.floats(0.5, 4))
def test_nothing_is_better_than_to_say_what_the_teachers_say(
    said: list[float], taught: list[float], softened: float
) -> None:
    count = min(len(said), len(taught))
    own, told = (torch.tensor(one[:count], dtype=torch.float64) for one in (said, taught))
    same = float(taught_loss(told, told, [count], softened))
    assert same <= float(taught_loss(own, told, [count], softened)) + 1e-9


def asked(name: str, right: list[bool]) -> Asked:
    candidates = (
        Candidate(Said(f"{name} number {number}", f"{name} > Lamps", "Before."), one, -float(number))
        for number, one in enumerate(right)
    )
    return Asked(f"Which {name}?", tuple(candidates))


TOKENIZER = load_tokenizer(WEIGHTS / "tokenizer.json")


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=16), min_size=1, max_size=60), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_steps(questions: list[list[bool]], seed: int) -> None:
    """Each question comes once; its right candidates first, one or two, and never too many in all."""
    packed = pack({"lamps": [asked(f"lamp {at}", one) for at, one in enumerate(questions)]}, {}, TOKENIZER)
    chance = random.Random(seed)
    steps = steps_of(packed, range(len(questions)), chance)
    assert sorted(one for step in steps for one in step) == list(range(len(questions)))
    for number, right in enumerate(questions):
        shown, first = taken(packed, number, chance)
        assert len(set(shown)) == len(shown) <= READ_AT_ONCE
        assert all(packed.firsts[number] <= one < packed.firsts[number + 1] for one in shown)
        assert [bool(packed.right[one]) for one in shown] == [True] * first + [False] * (len(shown) - first)
        assert (first > 0) == any(right) and first <= min(2, sum(right))


def test_training_looks_for_the_best_as_the_product_does() -> None:
    assert train_module.CROSS_WEIGHT == reader.CROSS_WEIGHT


def test_what_is_packed_is_what_the_product_reads(tmp_path: Path) -> None:
    """From a file of token numbers come the very rows that the cross-encoder lays out from the words."""
    questions = [asked("lamp", [True, False]), asked("tall " * 90, [False])]
    pack({"learned": questions}, {"measured": questions}, TOKENIZER).write(tmp_path / "pairs.npz")
    packed = read(tmp_path / "pairs.npz")
    assert packed.sets == ("learned", "measured") and packed.learned.tolist() == [True, False]
    rows = Rows(packed)
    number = 0
    for one in (*questions, *questions):
        for each in one.candidates:
            expected = layout(TOKENIZER, one.question, each.said)
            assert [row.tolist() for row in rows[number]] == [row.tolist() for row in expected]
            assert (bool(packed.right[number]), float(packed.scores[number])) == (each.right, each.score)
            number += 1
    assert number == len(packed.right)


def test_candidates_are_labelled(tmp_path: Path) -> None:
    """What is learned from are the candidates of the search, the right ones told by place and words."""
    text = b"# Lamps\n\nThe harbour lamp burns whale oil. The harbour lamp is old.\n"
    index = Index(made({"lamps.md": text}, tmp_path / "one"), StandIn())
    place = {"file": "lamps.md", "start": text.index(b"The"), "end": text.index(b" The harbour lamp is")}
    known = {"question": "harbour lamp oil", "answerable": True, "gold_spans": ["whale oil"]}
    one = KnownQuestion.model_validate({**known, "gold_places": [place]})
    (found,) = useful(index, [one])
    assert {each.said.words for each in found.candidates if each.right} == {
        "The harbour lamp burns whale oil."
    }
    assert {each.said.words for each in found.candidates if not each.right} == {"The harbour lamp is old."}
    lost = KnownQuestion.model_validate({**known, "gold_spans": ["petroleum"]})
    assert useful(index, [lost]) == []
    assert article_of(index, one) == "lamps.md" == article_of(index, lost) not in SQUAD_HELD_OUT


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM as transformers keeps it."""
    folder = tmp_path_factory.mktemp("pretrained")
    model = load_model(PACKAGED_MODEL)
    model[0].auto_model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def colours() -> Packed:
    """Questions for a colour: candidates that name one are right, and without them nothing is."""
    right, wrong = ("red", "blue", "green", "white"), ("tall", "old", "heavy", "far")
    made = []
    for thing in ("lamp", "boat", "door", "coat"):
        for words in (right[:2] + wrong[:2], wrong):
            said = (Candidate(Said(f"The {thing} is {one}.", "Things", ""), one in right) for one in words)
            made.append(Asked(f"What colour is the {thing}?", tuple(said)))
    return pack({"learned": made}, {"measured": made}, TOKENIZER)


@pytest.mark.slow
def test_what_is_taught_is_learned(pretrained: Path, tmp_path: Path) -> None:
    """A network comes to say what is right, another one what the first says of it, and both can be kept."""
    packed = colours()
    questions = list(range(len(packed.question_text) // 2))
    candidates = int(packed.firsts[len(questions)])
    plan = Plan(layers=6, epochs=30, seconds=300, seed=1)
    network = train(packed, pretrained, plan)
    said = logits_of(packed, network, questions)
    right = packed.right[:candidates]
    assert said[:candidates][right].min() > 0 > said[:candidates][~right].max()
    assert not said[candidates:].any()
    assert measured(packed, network).startswith("measured 1.000 1.000 0.0")
    other = train(packed, pretrained, replace(plan, layers=4, taught=1.0, seed=2), -said)
    turned = logits_of(packed, other, questions)[:candidates]
    assert turned[right].max() < turned[~right].min(), "the teachers say the opposite of what is right"
    save(other, tmp_path / "network.pt")
    again = train(packed, pretrained, replace(plan, epochs=0), earlier=tmp_path / "network.pt")
    assert logits_of(packed, again, questions)[:candidates] == pytest.approx(turned, abs=0.05)


@pytest.mark.slow
def test_the_graph_says_what_the_network_says(pretrained: Path, tmp_path: Path) -> None:
    """As int8 a logit is near that of the trained network; before training they are all but the same."""
    torch.manual_seed(1)
    network = Network(pretrained, 4).eval()
    write(network, pretrained / "tokenizer.json", tmp_path / "weights")
    graph = CrossEncoder(tmp_path / "weights")
    for question, words in (("Who made it?", "Otto made it."), ("", ""), ("x" * 500, "tall " * 200)):
        said = Said(words, "Lamps > Harbour", "Before.")
        ids, types = layout(TOKENIZER, question, said)
        with torch.no_grad():
            expected = float(network(torch.from_numpy(ids)[None], torch.from_numpy(types)[None]))
        assert graph.score(question, [said]) == pytest.approx([expected], abs=0.1)
