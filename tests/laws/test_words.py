"""Ranking by words: what is left out to save time would never have been found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index import terms as ranking
from index.terms import TermPart, Terms, build_postings, term_numbers
from tests.laws.corpora import share

WORDS = 40
NAMES = [f"w{number}" for number in range(WORDS)]


def corpus(seed: int, sizes: list[int], dead: float) -> Terms:
    """Return passages of words that are as unevenly frequent as those of a language, in several parts."""
    chance = np.random.default_rng(seed)
    weights = 1 / np.arange(1, WORDS + 1) ** 1.3
    numbers = chance.permutation(sum(sizes)).astype(np.int32)
    numbers[chance.random(len(numbers)) < dead] = -1
    living = np.sort(numbers[numbers >= 0])
    numbers[numbers >= 0] = np.searchsorted(living, numbers[numbers >= 0])
    part_of, row_of = np.zeros(len(living), np.int32), np.zeros(len(living), np.int32)
    hashes, at = term_numbers(NAMES), 0
    parts: list[TermPart] = []
    for size in sizes:
        # Of few lengths, so that many passages have the very same score.
        lengths = chance.choice([1, 2, 5, 5, 9], size).astype(np.int32)
        found = hashes[chance.choice(WORDS, int(lengths.sum()), p=weights / weights.sum())]
        own = numbers[at : at + size]
        rows = np.flatnonzero(own >= 0)
        part_of[own[rows]], row_of[own[rows]] = len(parts), rows
        parts.append(TermPart(build_postings(found, lengths), lengths, own, bool((own >= 0).all())))
        at += size
    return Terms(parts, part_of, row_of)


def plainly(
    scores: NDArray[np.float32], count: int, among: NDArray[np.bool_] | None
) -> list[tuple[int, float]]:
    """Return the best by looking at every passage."""
    found = np.flatnonzero(scores if among is None else scores * among)
    found = found[np.lexsort((found, -scores[found]))[:count]]
    return list(zip(found.tolist(), scores[found].tolist(), strict=True))


@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 300), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.3]),
    st.lists(st.sampled_from([*NAMES, "unheard"]), max_size=10),
    st.tuples(st.sampled_from([1, 5, 50]), st.sampled_from([None, 0.7, 0.05])),
)
@share(1)
@pytest.mark.parametrize(
    "tuned",
    [
        (0, 8, 0),
        (0, 8, ranking.LOOKED_UP),
        (0, ranking.SAMPLED, 0),
        (0, ranking.SAMPLED, ranking.LOOKED_UP),
        (ranking.FEW, ranking.SAMPLED, ranking.LOOKED_UP),
    ],
)
def test_the_best_by_words_are_those_of_all_passages(
    tuned: tuple[int, int, int],
    seed: int,
    sizes: list[int],
    dead: float,
    asked: list[str],
    wanted: tuple[int, float | None],
) -> None:
    """The best by words, ties and last bits included, are those found by scoring every passage."""
    held, (count, kept) = corpus(seed, sizes, dead), wanted
    scores = held.scores(asked)
    among = None if kept is None else np.random.default_rng(seed).random(len(scores)) < kept
    with pytest.MonkeyPatch.context() as patch:
        # Of the real ones so few passages would only see one side.
        for name, value in zip(("FEW", "SAMPLED", "LOOKED_UP"), tuned, strict=True):
            patch.setattr(ranking, name, value)
        found, near = held.best(asked, count, among)
    order = np.lexsort((found, -near))[:count]
    best = list(zip(found[order].tolist(), near[order].tolist(), strict=True))
    assert best == plainly(scores, count, among)
    np.testing.assert_array_equal(held.scores_of(asked, found), scores[found])
