"""What the cross-encoder is trained with: its questions, its loss, and the graph that comes of it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality.sets import SQUAD_HELD_OUT, article_of
from benchmarks.reader.pairs import FOLDERS, HERE, OURS, Asked, Candidate, useful
from benchmarks.reader.train import READ_AT_ONCE, Batches, Model, loss_of, write
from corpus.formats import parse
from index.cross_encoder import WEIGHTS, CrossEncoder, Said, layout
from index.encoder import load_tokenizer
from index.export import PACKAGED_MODEL, load_model
from service.answer import Index
from service.known import KnownQuestion, read_questions
from tests.laws.corpora import made
from tests.laws.standin import StandIn

FILES = sorted(path.stem for path in (HERE / "questions").iterdir())


def test_every_file_of_questions_is_learned_from() -> None:
    assert sorted(FOLDERS) == FILES
    assert set(OURS) == {path.name for path in (HERE / "docs").iterdir()}


@pytest.mark.parametrize("name", FILES)
def test_questions(name: str) -> None:
    """Each is about its own documents, and a good part of them has no answer there."""
    known = read_questions(HERE / "questions" / f"{name}.jsonl")
    assert all(place.file.startswith(FOLDERS[name]) for one in known for place in one.gold_places), (
        "a document of another file"
    )
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


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.integers(0, 6))
def test_loss(logits: list[float], right: int) -> None:
    """-ln of what falls on the right ones, by softmax over all and a logit of 0 for none of them."""
    right = min(right, len(logits))
    found = float(loss_of(torch.tensor(logits, dtype=torch.float64), [len(logits)], [right]))
    raised = [1.0, *map(math.exp, logits)]
    share = sum(raised[1 : 1 + right]) if right else raised[0]
    assert found == pytest.approx(-math.log(share / sum(raised)), abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=16), st.integers(0, 1000))
@settings(max_examples=30)
def test_batches(right: list[bool], seed: int) -> None:
    """The right candidates of a question come first, one or two of them, and never too many in all."""
    said = [Said(f"candidate {number}", "Lamps", "") for number in range(len(right))]
    asked = Asked("Which?", tuple(Candidate(*pair) for pair in zip(said, right, strict=True)))
    tokenizer = load_tokenizer(WEIGHTS / "tokenizer.json")
    ((ids, types, mask, counts, first),) = Batches([asked], tokenizer, random.Random(seed))
    assert ids.shape == types.shape == mask.shape and len(ids) == counts[0] <= READ_AT_ONCE
    assert (first[0] > 0) == any(right) and first[0] <= min(2, sum(right))


def test_candidates_are_labelled(tmp_path: Path) -> None:
    """What is learned from are the candidates of the search, the right ones told by place and words."""
    text = b"# Lamps\n\nThe harbour lamp burns whale oil. The harbour lamp is old.\n"
    index = Index(made({"lamps.md": text}, tmp_path / "one"), StandIn())
    place = {"file": "lamps.md", "start": text.index(b"The"), "end": text.index(b" The harbour lamp is")}
    known = {"question": "harbour lamp oil", "answerable": True, "gold_spans": ["whale oil"]}
    one = KnownQuestion.model_validate({**known, "gold_places": [place]})
    (asked,) = useful(index, [one])
    assert {each.said.words for each in asked.candidates if each.right} == {
        "The harbour lamp burns whale oil."
    }
    assert {each.said.words for each in asked.candidates if not each.right} == {"The harbour lamp is old."}
    lost = KnownQuestion.model_validate({**known, "gold_spans": ["petroleum"]})
    assert useful(index, [lost]) == []
    assert article_of(index, one) == "lamps.md" == article_of(index, lost) not in SQUAD_HELD_OUT


@pytest.mark.slow
def test_the_graph_says_what_the_model_says(tmp_path: Path) -> None:
    """As int8 a logit is near that of the trained network; before training they are all but the same."""
    torch.manual_seed(1)
    pretrained = load_model(PACKAGED_MODEL)
    pretrained.tokenizer.save_pretrained(tmp_path)
    model = Model(pretrained).eval()
    write(model, tmp_path / "tokenizer.json", tmp_path / "weights")
    graph, tokenizer = CrossEncoder(tmp_path / "weights"), load_tokenizer(tmp_path / "tokenizer.json")
    for question, words in (("Who made it?", "Otto made it."), ("", ""), ("x" * 500, "tall " * 200)):
        said = Said(words, "Lamps > Harbour", "Before.")
        ids, types = layout(tokenizer, question, said)
        with torch.no_grad():
            expected = float(model(torch.from_numpy(ids)[None], torch.from_numpy(types)[None]))
        assert graph.score(question, said) == pytest.approx(expected, abs=0.1)
