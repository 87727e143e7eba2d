"""Laws of follow-ups: what is whole stays, what is changed is told, a refusal is a source of nothing."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from index.analysis import words
from index.vocabulary import Vocabulary
from service.followup import LONGEST_COMPLETED, Turn, complete

NAMES = ("PyTorch", "TensorFlow")
VOCABULARY = Vocabulary({"PyTorch": 5, "TensorFlow": 5, "Linux": 2}, rivals=[NAMES])

ANY_TURNS = st.lists(
    st.builds(Turn, st.sampled_from(["user", "assistant"]), st.text(max_size=400)),
    max_size=12,
)
WHOLE = st.sampled_from(
    [
        "Who made {}?",
        "When was {} released?",
        "How much does {} cost per month?",
        "Which operating systems does {} run on?",
        "Is {} free?",
        "and why is {} popular?",
        "Does {} support Linux?",
    ]
)
FOLLOWING = st.sampled_from(
    [
        "and {}?",
        "what about {}?",
        "why?",
        "who made it?",
        "and the other one?",
        "and on mobile?",
        "is it faster than {}?",
        "which one is older?",
        "when?",
        "how do I install?",
        "do both run on Linux?",
        "and its license?",
    ]
)
SMALL = (
    "and but what about why how what when who it its they that this those one other the both there is does",
    "was former latter which of for in on lamp lamps PyTorch TensorFlow 3.2.1 5 I ? , . ' ß 東京 🙂",
)
PIECES = st.lists(st.sampled_from(" ".join(SMALL).split()), max_size=12).map(" ".join)


def turns_of(texts: list[str]) -> list[Turn]:
    return [Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)]


@given(st.one_of(st.text(), PIECES))
def test_alone(question: str) -> None:
    """Without a history a question is left as it is, and nothing is reported."""
    assert complete(question, [], VOCABULARY) == (question, [])


@given(WHOLE, st.sampled_from(NAMES), st.lists(st.one_of(PIECES, st.text(max_size=80)), max_size=8))
def test_whole(template: str, name: str, said: list[str]) -> None:
    """A complete question with a name of its own and no pronoun is left as it is."""
    question = template.format(name)
    assert complete(question, turns_of(said), VOCABULARY) == (question, [])


@given(st.one_of(st.text(max_size=800), PIECES), ANY_TURNS)
@example("and", [Turn("user", "?"), Turn("assistant", "?")])
@example("it" * 400, [Turn("user", "PyTorch"), Turn("user", "")])
def test_bounded(question: str, history: list[Turn]) -> None:
    """Any text is answered with a question that is no longer than the limit or the question itself."""
    completed, changes = complete(question, history, VOCABULARY)
    assert len(completed) <= max(LONGEST_COMPLETED, len(question))
    assert bool(changes) == (completed != question)


@given(PIECES, st.lists(PIECES, max_size=8))
def test_told(question: str, said: list[str]) -> None:
    """Every change is reported as words of the question and what stands in their place."""
    completed, changes = complete(question, turns_of(said), VOCABULARY)
    for change in changes:
        assert change.kind == "follow-up"
        assert change.old in question
        assert change.new in completed


@given(PIECES, st.lists(PIECES, max_size=8))
def test_same(question: str, said: list[str]) -> None:
    """The same question after the same history is completed in the same way."""
    first = complete(question, turns_of(said), VOCABULARY)
    assert complete(question, turns_of(said), VOCABULARY) == first


def swapped(text: str) -> str:
    return re.sub("|".join(NAMES), lambda match: NAMES[match.group() == NAMES[0]], text)


@given(
    st.lists(st.tuples(WHOLE, st.sampled_from(NAMES)), min_size=1, max_size=4),
    FOLLOWING,
    st.sampled_from(NAMES),
)
def test_swapped(said: list[tuple[str, str]], following: str, name: str) -> None:
    """With two rivals swapped in question and history, they are swapped in the result."""
    history = [text for template, one in said for text in (template.format(one), "2016")]
    question = following.format(name)
    completed, _ = complete(question, turns_of(history), VOCABULARY)
    other, _ = complete(swapped(question), turns_of([swapped(text) for text in history]), VOCABULARY)
    assert other == swapped(completed)


@given(
    st.lists(st.one_of(PIECES, WHOLE), max_size=4),
    st.one_of(FOLLOWING, PIECES),
    st.sampled_from(
        [
            "",
            "Not in the documents: {}.",
            "I could not find anything about {}.",
            "No answer: {}",
            "Sorry, {}.",
        ]
    ),
)
def test_refused(said: list[str], question: str, refusal: str) -> None:
    """No word of a refusal is in the result unless the user said it."""
    history = [text for one in said for text in (one, refusal.format("Zorblax invented Quuxite"))]
    completed, _ = complete(question, turns_of(history), VOCABULARY)
    assert not {"Zorblax", "Quuxite", "invented"} & {word.text for word in words(completed)}
