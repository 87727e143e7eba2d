"""Questions that ask the same: how alike two are, and which belong together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.encoder import Vector
from index.matching import best_matches
from index.question import Question

MEANING = 0.6
"""Share of the whole questions' cosine in how alike two are; the rest is how well the word of each that fits
the other worst fits it. Fitted by logistic regression on pairs of questions that may be looked at. Cosine
alone takes two questions about one thing for one: those that ask the same are ranked at an average precision
of 0.80 by it and of 0.84 by both, on questions left out. Shared rare words, shared nearest passages and names
that differ added nothing to both (benchmarks/journal/grouping.py)."""


def alike(questions: Sequence[Question]) -> Vector:
    """Return float32 (questions, questions), symmetric: how alike they are, from about 0 to 1."""
    if not questions:
        return np.zeros((0, 0), dtype=np.float32)
    vectors = np.stack([one.vector for one in questions])
    tokens = np.concatenate([one.tokens for one in questions]).astype(np.float32)
    lengths = [len(one.tokens) for one in questions]
    worst = np.stack([_worst(one, tokens, lengths) for one in questions])
    found = MEANING * (vectors @ vectors.T) + (1 - MEANING) * (worst + worst.T) / 2
    return np.asarray((found + found.T) / 2, dtype=np.float32)


def _worst(question: Question, tokens: Vector, lengths: Sequence[int]) -> Vector:
    """Return float32 (questions,): the fit of the subject word that fits worst in each; 0 without a subject.

    `tokens` are those of all questions, `lengths` of them each, as whole numbers.
    """
    fits = question.groups[question.subject] @ best_matches(question.tokens, tokens, lengths)
    return np.asarray(fits.min(axis=0) if len(fits) else np.zeros(len(lengths)), dtype=np.float32)


def together(questions: Sequence[Question], least: float) -> list[list[int]]:
    """Return the numbers of the questions in groups that are alike by at least `least` on average.

    The two groups that are most alike become one, as long as there are such (average linkage). The most
    typical question of a group comes first in it; ties by number.
    """
    likeness = alike(questions)
    between = likeness.copy()
    np.fill_diagonal(between, -np.inf)
    groups = [[number] for number in range(len(questions))]
    while len(questions):
        one, other = sorted(divmod(int(between.argmax()), len(questions)))
        if between[one, other] < least:
            break
        sizes = len(groups[one]), len(groups[other])
        merged = (between[one] * sizes[0] + between[other] * sizes[1]) / sum(sizes)
        merged[one] = -np.inf
        between[one], between[:, one] = merged, merged
        between[other], between[:, other] = -np.inf, -np.inf
        groups[one] += groups[other]
        groups[other] = []
    return [_typical_first(group, likeness) for group in groups if group]


def _typical_first(group: Sequence[int], likeness: Vector) -> list[int]:
    near = likeness[np.ix_(group, group)].sum(axis=1)
    return [number for _, number in sorted(zip((-near).tolist(), group, strict=True))]
