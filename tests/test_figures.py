"""The figures that answers are measured by keep their laws."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.evaluate import Fitted, fit_threshold, gates, write_threshold
from service.figures import (
    Outcome,
    aurc,
    calibration_error_by_chance,
    curve,
    expected_calibration_error,
    figures,
    latency,
    reliability,
    wilson,
)


def right(confidence: float, **more: Any) -> Outcome:
    return Outcome("fact", True, confidence, True, **more)


def wrong(confidence: float, **more: Any) -> Outcome:
    return Outcome("fact", True, confidence, False, **more)


def no_answer(confidence: float | None, **more: Any) -> Outcome:
    return Outcome("near_miss", False, confidence, False, **more)


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    def one() -> Outcome:
        answerable = draw(st.booleans())
        confidence = draw(st.none() | st.floats(0, 1))
        is_right = answerable and confidence is not None and draw(st.booleans())
        return Outcome(draw(st.sampled_from("abc")), answerable, confidence, is_right)

    return [one() for _ in range(draw(st.integers(1, 30)))]


def test_perfect_answers_and_refusals_give_perfect_figures() -> None:
    found = figures(
        [
            right(0.9, placed=True, rank=1, exact=1.0, f1=1.0),
            right(0.8, placed=True, rank=1, exact=1.0, f1=1.0),
            *(no_answer(0.1), no_answer(None)),
        ],
        0.5,
    )
    assert (found.right_in_all, found.right, found.always, found.wrong) == (1, 1, 1, 0)
    assert (found.recall, found.mrr) == ({1: 1, 3: 1, 5: 1, 10: 1}, 1)
    assert (found.exact, found.f1, found.refusal_precision, found.refusal_recall) == (1, 1, 1, 1)


def test_refusing_everything_gives_the_share_of_unanswerable_questions() -> None:
    found = figures([right(0.9), right(0.9), wrong(0.4), no_answer(0.2)], 1.0)
    assert (found.right_in_all, found.given, found.wrong) == (0.25, 0, None)
    assert (found.refusal_precision, found.refusal_recall) == (0.25, 1)
    assert found.always == pytest.approx(2 / 3)


def test_figures_of_a_small_set_by_hand() -> None:
    found = figures(
        [
            *(right(0.9, placed=True, rank=2), wrong(0.8, placed=True, rank=4), right(0.2, placed=True)),
            *(no_answer(0.7), no_answer(0.1)),
        ],
        0.5,
    )
    assert found.recall == {1: 0, 3: pytest.approx(1 / 3), 5: pytest.approx(2 / 3), 10: pytest.approx(2 / 3)}
    assert found.mrr == pytest.approx((1 / 2 + 1 / 4) / 3)
    assert (found.right_in_all, found.given) == (2 / 5, 3)
    assert found.wrong == pytest.approx(2 / 3)
    assert (found.refusal_precision, found.refusal_recall) == (1 / 2, 1 / 2)


def test_a_share_of_nothing_is_none() -> None:
    found = figures([no_answer(None)], 0.5)
    assert (found.always, found.recall[5], found.mrr, found.wrong, found.aurc, found.ece) == (None,) * 6


@given(outcomes(), st.floats(0, 1))
def test_every_figure_is_a_share(made: list[Outcome], threshold: float) -> None:
    """Every figure is None or between 0 and 1, and the interval holds its share."""
    found = figures(made, threshold)
    shares = (found.right, found.always, found.right_in_all, found.wrong, found.aurc, found.ece)
    assert all(one is None or 0 <= one <= 1 + 1e-12 for one in shares)
    assert found.interval is not None and found.right_in_all is not None
    assert 0 <= found.interval[0] <= found.right_in_all <= found.interval[1] <= 1


@given(outcomes(), st.randoms(use_true_random=False))
def test_the_order_of_the_file_changes_nothing(made: list[Outcome], chance: random.Random) -> None:
    """Figures do not depend on the order of the questions, equally sure ones included."""
    mixed = list(made)
    chance.shuffle(mixed)
    here, there = figures(made, 0.5), figures(mixed, 0.5)
    assert here.right_in_all == there.right_in_all
    for one, other in ((here.aurc, there.aurc), (here.ece, there.ece)):
        assert (one is None) == (other is None) and (
            one is None or math.isclose(one, other or 0, abs_tol=1e-9)
        )


@given(outcomes())
def test_the_curve_begins_sure_and_ends_with_all_candidates(made: list[Outcome]) -> None:
    """Coverage grows and confidence falls along the curve; its last point gives every candidate."""
    points = curve(made)
    assert [one.coverage for one in points] == sorted({one.coverage for one in points})
    assert [one.confidence for one in points] == sorted({one.confidence for one in points}, reverse=True)
    if points:
        candidates = [one for one in made if one.confidence is not None]
        assert points[-1].coverage == pytest.approx(len(candidates) / len(made))


def test_area_under_the_curve() -> None:
    assert aurc([right(0.9), right(0.5)]) == 0
    assert aurc([wrong(0.9), no_answer(0.5)]) == 1
    # Right, then wrong: risks 0 and 1/2. The other way round: 1 and 1/2. Equally sure: drawn at random.
    assert aurc([right(0.9), wrong(0.5)]) == pytest.approx(0.25)
    assert aurc([wrong(0.9), right(0.5)]) == pytest.approx(0.75)
    assert aurc([wrong(0.5), right(0.5)]) == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_what_chance_alone_makes_of_the_calibration_error(sure: list[float], seed: int) -> None:
    """As in draws in which each confidence is exactly the chance to be right; a normal law is near enough."""
    chance = random.Random(seed)
    drawn = [
        expected_calibration_error([right(one) if chance.random() < one else wrong(one) for one in sure])
        for _ in range(300)
    ]
    expected = sum(one or 0.0 for one in drawn) / len(drawn)
    assert calibration_error_by_chance([right(one) for one in sure]) == pytest.approx(expected, abs=0.1)
    assert calibration_error_by_chance([right(0.0), wrong(1.0)]) == 0
    assert calibration_error_by_chance([]) is None


def test_calibrated_confidence_has_no_error_and_overconfidence_has() -> None:
    chance = random.Random(1)
    sure = [chance.random() for _ in range(20_000)]
    calibrated = [right(one) if chance.random() < one else wrong(one) for one in sure]
    assert expected_calibration_error(calibrated) == pytest.approx(0, abs=0.02)
    assert expected_calibration_error([wrong(0.9), wrong(0.9)]) == pytest.approx(0.9)
    bins = reliability(calibrated)
    assert [round(one.low, 1) for one in bins] == [number / 10 for number in range(10)]
    assert sum(one.count for one in bins) == 20_000
    assert [one.high for one in reliability([right(1.0)])] == [1.0]


def test_wilson_interval_by_hand() -> None:
    assert list(wilson(8, 10)) == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert wilson(0, 5)[0] == 0 and wilson(5, 5)[1] == 1


def test_latency_is_of_questions_that_were_asked() -> None:
    times = [right(0.9, milliseconds={"total": float(number)}) for number in range(1, 101)]
    assert latency(times)["total"].p50 == 50 and latency(times)["total"].p95 == 95


@given(outcomes(), st.floats(0, 1), st.floats(0, 1))
def test_a_fitted_threshold_keeps_its_promise(made: list[Outcome], one: float, other: float) -> None:
    """On its own questions at most `max_error` of the answers given are wrong; allowing more lowers it."""
    low, high = min(one, other), max(one, other)
    threshold = fit_threshold(made, low)
    given_here = [each for each in made if each.given(threshold)]
    if threshold < 1:
        assert sum(not each.right for each in given_here) <= low * len(given_here) + 1e-9
    assert fit_threshold(made, high) <= threshold


def test_a_fitted_threshold_gives_as_many_answers_as_it_may() -> None:
    made = [right(0.9), wrong(0.8), right(0.7), right(0.6), no_answer(0.2)]
    assert fit_threshold(made, 0.0) == pytest.approx(0.85)
    assert fit_threshold(made, 0.25) == pytest.approx(0.4)
    assert fit_threshold(made, 1.0) == 0
    assert fit_threshold([wrong(0.9), right(0.1)], 0.1) == 1


def test_the_fitted_threshold_is_kept_whole(tmp_path: Path) -> None:
    fitted = write_threshold(tmp_path, [right(0.9), wrong(0.1)], 0.0)
    kept = json.loads((tmp_path / "threshold.json").read_text())
    assert Fitted(**kept) == fitted
    assert fitted.threshold == 0.5 and fitted.questions == 2
    assert [one.name for one in tmp_path.iterdir()] == ["threshold.json"]


def test_gates_say_which_failed_and_by_how_much() -> None:
    found = figures([right(0.9), wrong(0.9), no_answer(0.1), no_answer(0.1)], 0.5)
    asked = gates(min_right=0.8, max_wrong=0.1, min_recall5=None)
    assert [one.failure(found) for one in asked] == [
        "gate failed: right in all is 0.750, 0.050 below 0.8",
        "gate failed: wrong among answers given is 0.500, 0.400 above 0.1",
    ]
    assert [one.failure(found) for one in gates(min_right=0.75, max_wrong=0.5)] == [None, None]
    assert "cannot be measured" in (gates(min_recall5=0.9)[0].failure(found) or "")
