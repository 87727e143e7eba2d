"""Finding and quoting answers with the real model: each mechanism's hard case, as a law where it can be."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Span
from corpus.sentences import IN_BACKTICKS, sentences
from index.encoder import EncoderError, Encoding, OnnxEncoder
from index.shapes import asks_list, defines, is_yes_no, thing_asked
from index.synonyms import FOUND, synonyms
from service.answer import Answer, NotFound, ask
from service.finding import Index
from tests.indexed import Indexed, words_of

pytest_plugins = ("tests.indexed",)

ROOT = Path(__file__).resolve().parents[1]
ARTICLE = (ROOT / "corpus/texts/pytorch-vs-tensorflow.md").read_bytes()
OTHER = (
    b"# Bread\n\nRye bread keeps for a week in a linen bag. The oven is heated to 240 degrees for an hour.\n"
)

NAMES = [
    ("Quillon", "Marbeck"),
    ("Zephyr", "Cobalt"),
    ("Nimbus Mail", "Carrier"),
    ("PyTorch", "TensorFlow"),
    ("Otter", "Heron"),
]


class Broken(OnnxEncoder):
    """An encoder that encodes no question."""

    def encode_questions(self, _: Sequence[str]) -> list[Encoding]:
        raise EncoderError("out of order")


def compared(one: str, other: str) -> bytes:
    return (
        f"# {one} and {other}\n\n{one} and {other} are two tools for the same work.\n\n"
        f"| Feature | {one} | {other} |\n|---|---|---|\n"
        "| Developer | Orla Labs | Tern Institute |\n"
        "| License | MIT | Apache 2.0 |\n"
        "| First release | 2011 | 2014 |\n\n"
        f"## Storage\n\n{one} keeps its state in a single file, while {other} spreads it over many servers.\n"
    ).encode()


@pytest.mark.parametrize("names", NAMES, ids="-".join)
@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("Who developed {}?", "Orla Labs", "Tern Institute"),
        ("What license does {} have?", "MIT", "Apache 2.0"),
        ("When was the first release of {}?", "2011", "2014"),
        ("Where does {} keep its state?", "a single file", "many servers"),
    ],
)
def test_swapped(indexed: Indexed, names: tuple[str, str], question: str, first: str, second: str) -> None:
    """Swapping two products in question and document swaps the answer; it never holds the other's."""
    for one, other in (names, names[::-1]):
        index = indexed({"tools.md": compared(one, other)})
        for asked, right, wrong in ((one, first, second), (other, second, first)):
            found = " ".join(words_of(index, ask(index, question.format(asked))))
            assert right in found, (asked, found)
            assert wrong not in found, (asked, found)


QUESTIONS = [
    "Who developed PyTorch?",
    "When was TensorFlow released?",
    "Which industries prefer PyTorch?",
    "What is TensorBoard used for?",
    "What is the capital of France?",
    "How do I install PyTorch with conda?",
    "how many people work at Google Brain",
    "Does TensorFlow run on a Commodore 64?",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_unrelated(indexed: Indexed, question: str) -> None:
    """An unrelated document turns no answer into a refusal and no refusal into an answer."""
    alone, both = indexed({"a.md": ARTICLE}), indexed({"a.md": ARTICLE, "bread.md": OTHER})
    before, after = ask(alone, question), ask(both, question)
    assert isinstance(before.verdict, Answer) == isinstance(after.verdict, Answer)
    if isinstance(before.verdict, Answer):
        assert words_of(alone, before) == words_of(both, after)


@pytest.mark.parametrize("question", QUESTIONS)
def test_duplicated(indexed: Indexed, question: str) -> None:
    """A document kept twice answers and refuses what it does alone, and no passage is shown twice."""
    alone, twice = indexed({"a.md": ARTICLE}), indexed({"a.md": ARTICLE, "b.md": ARTICLE})
    before, after = ask(alone, question), ask(twice, question, top_k=50)
    assert isinstance(before.verdict, Answer) == isinstance(after.verdict, Answer)
    if isinstance(before.verdict, Answer):
        assert words_of(alone, before) == words_of(twice, after)
    assert len(after.hits) <= alone.snapshot.passages


@pytest.mark.parametrize("question", ["", "   ", "???", "hello", "thanks a lot!", "who are you", "😀"])
def test_not_a_question(indexed: Indexed, question: str) -> None:
    """What nobody asks of documents is refused as such."""
    assert ask(indexed({"a.md": ARTICLE}), question).verdict == NotFound("not_a_question")


@given(st.lists(st.sampled_from(["One is here. ", "See `a.b. Cd` now. ", "Call ``x! Y?`` then. ", "End"])))
@settings(max_examples=60)
def test_no_end_in_code(parts: list[str]) -> None:
    """No sentence ends between backticks."""
    text = "".join(parts)
    found = sentences(text, Span(0, len(text)))
    for code in IN_BACKTICKS.finditer(text):
        assert sum(one.start <= code.start() and code.end() <= one.end for one in found) == 1


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Which tools support mobile?", True),
        ("what are the limits", True),
        ("list the settings", True),
        ("Which retention rules does it know?", True),
        ("Which framework supports mobile?", False),
        ("what makes it faster", False),
        ("What does the light stand for?", False),
        ("what is a bus", False),
    ],
)
def test_asks_list(question: str, wanted: bool) -> None:
    """A plural behind "which" asks for several things; a verb that ends in s does not."""
    assert asks_list(question) is wanted


@given(st.sampled_from(sorted(FOUND)))
def test_synonyms(term: str) -> None:
    """No word is a synonym of itself, and the verbs of making are not each other's."""
    others = synonyms(term)
    assert others and term not in others
    assert "build" not in synonyms("write") and "author" in synonyms("write")


@pytest.mark.parametrize("aside", ["", " in the table", ", according to the article", ", answer now"])
def test_asides(indexed: Indexed, aside: str) -> None:
    """Where to look and how soon are no part of the subject."""
    index = indexed({"a.md": ARTICLE})
    reply = ask(index, f"Who made PyTorch{aside}?")
    assert isinstance(reply.verdict, Answer)
    assert words_of(index, reply) == ["Facebook AI Research"]


def test_shapes_of_questions() -> None:
    """What a thing is, is said by a sentence that begins with it; yes or no is asked by the verb in front."""
    answers = ["A lease is a time.", "The time of a lease is 120 s.", "lease: how long a worker holds a job"]
    assert defines("lease", answers, [""] * 3).tolist() == [1, -1, 1]
    under = ["The lease", "leaseTime", "lease times"]
    assert defines("lease times used", ["It ends."] * 3, under).tolist() == [-1, 1, 1]
    assert [thing_asked(one) for one in ("What is a lease?", "lease?", "How long is a lease?")] == [
        "lease",
        "lease",
        "",
    ]
    assert is_yes_no("Does it run?") and is_yes_no("and can it fly") and not is_yes_no("What does it do?")


def test_asked_at_the_same_moment(indexed: Indexed) -> None:
    """Whoever else asks, and of which index, each reply is to the last bit the one that comes to it alone."""
    indexes = (indexed({"a.md": ARTICLE}), indexed({"bread.md": OTHER, "a.md": ARTICLE}))
    asked = [
        (index, f"{question}{end}") for index in indexes for question in QUESTIONS for end in ("", " tf")
    ]
    alone = [ask(index, question) for index, question in asked]
    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda one: ask(*one), asked * 2))
    for before, after in zip(alone * 2, together, strict=True):
        assert after.hits == before.hits
        assert (after.verdict, after.alternatives) == (before.verdict, before.alternatives)


def test_an_error_is_of_the_question_that_caused_it(indexed: Indexed, exported_encoder: Path) -> None:
    """Where one question of a batch cannot be understood, the others are answered."""
    index = indexed({"a.md": ARTICLE})
    broken = Index(index.snapshot, Broken(exported_encoder), index.pairs)
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(ask, one, QUESTIONS[0]) for one in (index, broken, index, broken) * 4]
        errors = [one.exception() for one in waiting]
    assert [isinstance(one, EncoderError) for one in errors] == [False, True, False, True] * 4
