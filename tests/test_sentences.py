"""Sentences and the parts of them that can be quoted for themselves."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from corpus.document import Span
from corpus.sentences import LONGEST_ANSWER, clauses, pieces


def parts(text: str) -> list[str]:
    return [part.of(text) for part in clauses(text, Span(0, len(text)))]


def test_a_contrast_falls_into_its_sides() -> None:
    text = "Banks prefer the red lamp for reading, whereas shops use the green lamp for display."
    assert parts(text) == [
        "Banks prefer the red lamp for reading",
        "shops use the green lamp for display.",
    ]
    opening = "While the red lamp is bright, the green lamp lasts longer."
    assert parts(opening) == ["the red lamp is bright", "the green lamp lasts longer."]


def test_a_sentence_of_one_piece_and_a_short_contrast_stay_whole() -> None:
    assert parts("The red lamp is bright and lasts long.") == []
    assert parts("It is slow, but safe.") == []


@given(st.lists(st.sampled_from(["lamp", "reads,", "while", "(so)", "–", "light;", "on"]), max_size=130))
def test_pieces(words: list[str]) -> None:
    """The pieces of a long sentence are short, in order, disjoint, and leave out none of its words."""
    text = " ".join(words)
    found = pieces(text, Span(0, len(text)))
    if len(words) <= LONGEST_ANSWER:
        assert found == []
        return
    assert all(len(one.of(text).split()) <= LONGEST_ANSWER for one in found)
    assert all(left.end <= right.start for left, right in pairwise(found))
    kept = " ".join(one.of(text) for one in found)
    letters = [character for character in text if character.isalnum()]
    assert [character for character in kept if character.isalnum()] == letters
