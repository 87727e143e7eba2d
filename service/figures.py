"""The figures of an evaluation: what a list of outcomes comes to. Pure arithmetic.

A share of nothing is None, never 0: a set without unanswerable questions says nothing of refusals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

DEPTHS = (1, 3, 5, 10)
"""Passages looked at when recall is counted; the last is how many each question is asked for."""

BINS = 10
"""Equal widths of confidence in the reliability table."""

NORMAL_95 = 1.959964
"""How many standard deviations hold 95 % of a normal distribution."""

Verdict = Literal["right answer", "right refusal", "wrong answer", "answer where there is none", "missed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question, before any threshold."""

    type: str
    answerable: bool
    confidence: float | None
    """Of the best candidate; None when there was none, so that no threshold could have given an answer."""
    right: bool
    """Whether the best candidate is a right answer; never for an unanswerable question."""
    placed: bool = False
    """Whether the question says where its answer stands."""
    rank: int | None = None
    """Of the first passage that overlaps a gold place, from 1; None when none of those returned does."""
    exact: float = 0.0
    f1: float = 0.0
    milliseconds: dict[str, float] = field(default_factory=dict)

    def given(self, threshold: float) -> bool:
        """Return whether the best candidate is given as the answer."""
        return self.confidence is not None and self.confidence >= threshold

    def verdict(self, threshold: float) -> Verdict:
        """Return what the reply is worth."""
        if not self.given(threshold):
            return "missed" if self.answerable else "right refusal"
        if not self.answerable:
            return "answer where there is none"
        return "right answer" if self.right else "wrong answer"

    def is_right(self, threshold: float) -> bool:
        """Return whether the reply is what it should be: a right answer or a right refusal."""
        return self.verdict(threshold) in ("right answer", "right refusal")


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the risk-coverage curve: what giving the surest answers alone would come to."""

    coverage: float
    """Share of all questions that get an answer."""
    risk: float
    """Share of wrong ones among these answers."""
    confidence: float
    """The least confidence among them."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The best candidates whose confidence lies in one range: how sure, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean confidence."""
    right: float
    """Share that is right."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is measured of some questions. Shares are from 0 to 1, None where undefined."""

    questions: int
    answerable: int
    recall: dict[int, float | None]
    """Share of the placed questions with a passage at a gold place among the first 1, 3, 5, 10."""
    mrr: float | None
    """Mean of 1/rank of that passage."""
    exact: float | None
    """Of answerable questions: the answer given is a gold span, after SQuAD's normalisation."""
    f1: float | None
    """Of answerable questions: overlap in words with the nearest gold span; 0 where none was given."""
    right: float | None
    """Of answerable questions: a right answer was given."""
    always: float | None
    """Of answerable questions: the best candidate is right, were every question answered."""
    right_in_all: float | None
    """Of all questions: a right answer or a right refusal."""
    interval: tuple[float, float] | None
    """Wilson's 95 % interval of `right_in_all`."""
    given: int
    wrong: float | None
    """Of the answers given: wrong, unanswerable questions counted."""
    refusal_precision: float | None
    """Of the refusals: the question was unanswerable."""
    refusal_recall: float | None
    """Of the unanswerable questions: refused."""
    aurc: float | None
    """Area under the risk-coverage curve; 0 is best."""
    ece: float | None
    """Expected calibration error: how far confidence is from the share that is right, on average."""
    ece_by_chance: float | None
    """What it would come to if every confidence were exactly the chance to be right."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one stage."""

    p50: float
    p95: float


def figures(outcomes: Sequence[Outcome], threshold: float) -> Figures:
    """Return what `outcomes` come to when answers less sure than `threshold` are refused."""
    answerable = [one for one in outcomes if one.answerable]
    placed = [one for one in answerable if one.placed]
    given = [one for one in outcomes if one.given(threshold)]
    refused = [one for one in outcomes if not one.given(threshold)]
    good = sum(one.is_right(threshold) for one in outcomes)
    return Figures(
        questions=len(outcomes),
        answerable=len(answerable),
        recall={
            depth: _mean(one.rank is not None and one.rank <= depth for one in placed) for depth in DEPTHS
        },
        mrr=_mean(1 / one.rank if one.rank else 0.0 for one in placed),
        exact=_mean(one.exact * one.given(threshold) for one in answerable),
        f1=_mean(one.f1 * one.given(threshold) for one in answerable),
        right=_mean(one.verdict(threshold) == "right answer" for one in answerable),
        always=_mean(one.right for one in answerable),
        right_in_all=_share(good, len(outcomes)),
        interval=wilson(good, len(outcomes)) if outcomes else None,
        given=len(given),
        wrong=_mean(not one.right for one in given),
        refusal_precision=_mean(not one.answerable for one in refused),
        refusal_recall=_mean(not one.given(threshold) for one in outcomes if not one.answerable),
        aurc=aurc(outcomes),
        ece=expected_calibration_error(outcomes),
        ece_by_chance=calibration_error_by_chance(outcomes),
    )


def by_type(outcomes: Sequence[Outcome], threshold: float) -> dict[str, Figures]:
    """Return the figures of each type of question, in alphabetical order."""
    return {
        name: figures([one for one in outcomes if one.type == name], threshold)
        for name in sorted({one.type for one in outcomes})
    }


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def wilson(good: int, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson, 1927); it holds for few questions, near 0 and 1."""
    share, z = good / count, NORMAL_95
    middle = share + z * z / (2 * count)
    width = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    # Rounding may put an end a hair beyond the share itself where that is 0 or 1.
    low, high = (middle - width) / whole, (middle + width) / whole
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def curve(outcomes: Sequence[Outcome]) -> list[Point]:
    """Return the risk-coverage curve: a point for each confidence found, the surest first.

    Equally sure answers are given together or not at all, so the order of the file changes nothing.
    """
    points: list[Point] = []
    given = wrong = 0
    for confidence, level in _levels(outcomes):
        given += len(level)
        wrong += sum(not one.right for one in level)
        points.append(Point(given / len(outcomes), wrong / given, confidence))
    return points


def _levels(outcomes: Sequence[Outcome]) -> list[tuple[float, list[Outcome]]]:
    """Return the outcomes that have a candidate, those of one confidence together, the surest first."""
    found = [(one.confidence, one) for one in outcomes if one.confidence is not None]
    found.sort(key=lambda pair: -pair[0])
    return [
        (confidence, [one for _, one in level])
        for confidence, level in groupby(found, key=lambda pair: pair[0])
    ]


def aurc(outcomes: Sequence[Outcome]) -> float | None:
    """Return the area under the risk-coverage curve (Geifman and El-Yaniv, 2017), or None without candidates.

    The mean risk over giving the surest 1, 2, 3 ... answers; among equally sure ones, as if drawn at random.
    """
    risks: list[float] = []
    wrong = 0.0
    for _, level in _levels(outcomes):
        rate = sum(not one.right for one in level) / len(level)
        for _ in level:
            wrong += rate
            risks.append(wrong / (len(risks) + 1))
    return _mean(risks)


def reliability(outcomes: Sequence[Outcome]) -> list[Bin]:
    """Return how often candidates are right in each range of confidence; ranges without any are left out."""
    placed: dict[int, list[tuple[float, bool]]] = {}
    for one in outcomes:
        if one.confidence is not None:
            number = _bin(one.confidence)
            placed.setdefault(number, []).append((one.confidence, one.right))
    return [
        Bin(
            low=number / BINS,
            high=(number + 1) / BINS,
            count=len(inside),
            confidence=sum(confidence for confidence, _ in inside) / len(inside),
            right=sum(right for _, right in inside) / len(inside),
        )
        for number, inside in sorted(placed.items())
    ]


def _bin(confidence: float) -> int:
    return min(BINS - 1, int(confidence * BINS))


def expected_calibration_error(outcomes: Sequence[Outcome]) -> float | None:
    """Return the mean distance of confidence and share right over the bins, weighed by their counts."""
    bins = reliability(outcomes)
    count = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.right) for one in bins) / count if count else None


def calibration_error_by_chance(outcomes: Sequence[Outcome]) -> float | None:
    """Return the expected calibration error of as many questions, were each confidence exactly right.

    Few questions in a bin are seldom right as often as they should be: with 150 questions some 0.06 of the
    error says nothing about the confidences. In a bin the sum of what is right varies by the sum of p(1 - p),
    and a normal deviation is on average sqrt(2 / pi) of its standard deviation.
    """
    spreads: dict[int, float] = {}
    for one in outcomes:
        if one.confidence is not None:
            number = _bin(one.confidence)
            spreads[number] = spreads.get(number, 0.0) + one.confidence * (1 - one.confidence)
    count = sum(one.confidence is not None for one in outcomes)
    return sum(math.sqrt(2 / math.pi * one) for one in spreads.values()) / count if count else None


def latency(outcomes: Sequence[Outcome]) -> dict[str, Latency]:
    """Return the milliseconds of each stage over all questions."""
    stages = dict.fromkeys(stage for one in outcomes for stage in one.milliseconds)
    found = {stage: sorted(one.milliseconds.get(stage, 0.0) for one in outcomes) for stage in stages}
    return {
        stage: Latency(_percentile(times, 0.50), _percentile(times, 0.95)) for stage, times in found.items()
    }


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all are no larger than."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
