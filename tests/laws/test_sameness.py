"""Laws of grouping questions: whatever they are, each is in one group, and their order changes nothing."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index.analysis import words
from index.encoder import quantize
from index.question import Question
from index.sameness import alike, together

DIMENSION = 6

AS_INT8 = 0.02
"""How far a token's similarity to itself may be from 1: in so few dimensions rounding shows."""


def question(seed: int) -> Question:
    """Return a question of words that point anywhere; seeds that are near do not mean near questions."""
    chance = np.random.default_rng(seed)
    found = tuple(words(" ".join(chance.choice(["lamp", "oil", "whale", "the", "is"], 1 + seed % 4))))
    tokens = chance.normal(size=(len(found) + 1, DIMENSION)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    vector = tokens.mean(axis=0)
    groups = np.eye(len(found), len(tokens), dtype=np.float32)
    return Question(
        text=" ".join(word.text for word in found),
        vector=vector / np.linalg.norm(vector),
        tokens=quantize(tokens),
        words=found,
        weights=np.ones(len(found), dtype=np.float32),
        token_weights=np.full(len(tokens), 1 / len(tokens), dtype=np.float32),
        groups=groups,
        unknown=0.0,
        unknown_names=0,
        unknown_dates=0,
    )


SEEDS = st.lists(st.integers(0, 500), max_size=12, unique=True)


@given(SEEDS)
def test_alike(seeds: list[int]) -> None:
    """Likeness is symmetric, and nothing is more like a question with a subject than itself."""
    asked = [question(seed) for seed in seeds]
    found = alike(asked)
    assert found.shape == (len(asked), len(asked))
    assert np.allclose(found, found.T)
    for at, one in enumerate(asked):
        if one.subject:
            assert found[at, at] >= found[at].max() - AS_INT8
            assert abs(found[at, at] - 1) < AS_INT8


@given(SEEDS, st.floats(-1, 1.1), st.randoms())
def test_together(seeds: list[int], least: float, chance: random.Random) -> None:
    """Every question is in exactly one group, and the order in which they are asked changes no group."""
    asked = [question(seed) for seed in seeds]
    groups = together(asked, least)
    assert sorted(number for group in groups for number in group) == [*range(len(asked))]
    mixed = [*range(len(asked))]
    chance.shuffle(mixed)
    again = together([asked[number] for number in mixed], least)
    assert {frozenset(mixed[number] for number in group) for group in again} == {
        frozenset(group) for group in groups
    }


@given(SEEDS, st.floats(-1, 1.1))
def test_least(seeds: list[int], least: float) -> None:
    """The questions of a group are alike by at least the least, in the mean of the two that became one."""
    asked = [question(seed) for seed in seeds]
    likeness = alike(asked)
    for group in together(asked, least):
        if len(group) == 2:
            assert likeness[group[0], group[1]] >= least - 1e-5
    assert len(together(asked, 2)) == len(asked)
    assert len(together(asked, -2)) == min(1, len(asked))
