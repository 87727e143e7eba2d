"""Fits the reader's weights and the calibration of confidence; prints the constants and what they come to.

    python benchmarks/quality/fit.py [--projects FOLDER] [--squad FOLDER] [--work FOLDER] [--keep-weights]

Fitted and measured on the looked-at halves alone, every family of sets with the same weight, however many
questions and sets it has: what is scored is left to run.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy.optimize import minimize  # type: ignore[import-untyped]

from benchmarks.quality import tables
from benchmarks.quality.mechanisms import Patch, constant, patched
from benchmarks.quality.run import arguments, folder, outcomes
from benchmarks.quality.sets import Set, open_sets
from corpus.sentences import pieces
from index.quoting import Reading
from index.reader import CROSS_WEIGHT, FEATURES, WEIGHTS
from index.snapshot import Snapshot
from service import answer
from service.answer import Calibration
from service.askers import put_here
from service.figures import figures
from service.known import KnownQuestion, holds_gold, is_short

WEIGHTS_L2 = 0.003
"""Times the squared weights, beside the mean loss of a question in each family of sets."""

CALIBRATION_L2 = 1e-3
"""The same for the calibration, whose inputs are divided by their standard deviation before."""

Floats = NDArray[np.float64]
out = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Read:
    """The candidates of one question."""

    features: Floats
    """float64 (candidates, features)."""
    logits: Floats
    """float64 (candidates,): of the cross-encoder; NaN where it did not read."""
    right: NDArray[np.bool_]
    """bool (candidates,)."""


def read_all(one: Set, questions: Sequence[KnownQuestion]) -> list[Read]:
    """Return every candidate of every question, right or not."""
    with patched(constant("index.reader", "KEPT", sys.maxsize)):
        return [_read(one, known) for known in questions]


def read_families(sets: Sequence[Set]) -> dict[str, list[Read]]:
    """Return for each family the candidates of its looked-at questions, those of all its sets together."""
    found: dict[str, list[Read]] = {}
    for one in sets:
        found.setdefault(one.family, []).extend(read_all(one, one.look))
    return found


def _read(one: Set, known: KnownQuestion) -> Read:
    trace = put_here(one.index, known).trace
    readings = trace.readings if trace else ()
    features = np.array([reading.features for reading in readings], dtype=np.float64)
    logits = np.array([reading.crossed for reading in readings], dtype=np.float64)  # None becomes NaN
    right = [is_right(one.index.snapshot, known, reading) for reading in readings]
    return Read(features.reshape(-1, len(FEATURES)), logits, np.array(right, dtype=bool))


def is_right(snapshot: Snapshot, known: KnownQuestion, reading: Reading) -> bool:
    """Return whether a candidate would be a right answer, whole or, where it is very long, in part."""
    number, span = snapshot.document_of(reading.hit.passage), reading.span
    words = span.of(snapshot.text(number))
    placed = not known.gold_places or known.is_at_gold(snapshot.documents[number].id, span.start, span.end)
    parts = [one.of(snapshot.text(number)) for one in pieces(snapshot.text(number), span)] or [words]
    return known.answerable and placed and any(holds_gold(known, one) and is_short(one) for one in parts)


def fit_weights(families: Mapping[str, Sequence[Read]]) -> Floats:
    """Return float64 (features,): the weights under which right candidates are likeliest to come first.

    Listwise softmax over the candidates of a question; questions without a right one say nothing.
    """
    useful = {name: [one for one in reads if one.right.any()] for name, reads in families.items()}

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, gradient = WEIGHTS_L2 * float(weights @ weights), 2 * WEIGHTS_L2 * weights
        for reads in useful.values():
            for one in reads:
                scores = one.features @ weights
                every, right = softmax(scores), np.where(one.right, softmax(scores, one.right), 0.0)
                total -= float(np.log(every[one.right].sum())) / len(reads)
                gradient = gradient + (every - right) @ one.features / len(reads)
        return total, gradient

    return np.asarray(minimize(loss, np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B").x)


def softmax(scores: Floats, among: NDArray[np.bool_] | None = None) -> Floats:
    """Return float64 (candidates,) that sums to 1; candidates not `among` get 0."""
    kept = scores if among is None else np.where(among, scores, -np.inf)
    raised = np.exp(kept - kept.max())
    return np.asarray(raised / raised.sum())


def winners(
    reads: Sequence[Read], weights: Floats, inputs: Sequence[str], cross_weight: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return what the calibration sees, float64 (questions, inputs), and bool (questions,): right or not."""
    rows, right = [], []
    for one in reads:
        if len(one.features):
            scores = one.features @ weights
            crossed = np.isfinite(one.logits)
            if cross_weight and crossed.any():
                scores = scores + cross_weight * np.where(crossed, one.logits, one.logits[crossed].min())
            best = int(scores.argmax())
            values = dict(zip(FEATURES, one.features[best], strict=True))
            values |= {"share": softmax(scores)[best], "crossed": one.logits[best]}
            rows.append([values[name] for name in inputs])
            right.append(bool(one.right[best]))
    return np.array(rows), np.array(right, dtype=bool)


def fit_calibration(
    families: Mapping[str, Sequence[Read]], weights: Floats, calibration: Calibration, cross_weight: float
) -> Calibration:
    """Return the calibration with the same inputs that a logistic regression finds."""
    found = [winners(reads, weights, tuple(calibration.weights), cross_weight) for reads in families.values()]
    inputs = np.concatenate([np.column_stack([rows, np.ones(len(rows))]) for rows, _ in found])
    spread = np.append(inputs[:, :-1].std(axis=0) + 1e-9, 1.0)
    inputs = inputs / spread
    signs = np.concatenate([np.where(right, 1.0, -1.0) for _, right in found])
    counts = np.concatenate([np.full(len(rows), 1 / len(rows) / len(found)) for rows, _ in found])

    def loss(values: Floats) -> tuple[float, Floats]:
        margins = signs * (inputs @ values)
        penalty = CALIBRATION_L2 * np.append(values[:-1], 0.0)
        slope = -counts * signs / (1 + np.exp(np.clip(margins, -500, 500)))
        total = float(counts @ np.logaddexp(0, -margins) + penalty @ values)
        return total, inputs.T @ slope + 2 * penalty

    values = np.asarray(minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x)
    rounded = np.round(values[:-1] / spread[:-1], 2).tolist()
    return Calibration(dict(zip(calibration.weights, rounded, strict=True)), round(float(values[-1]), 2))


def show(title: str, sets: Sequence[Set]) -> None:
    """Print the figures of the looked-at halves, under the constants in force."""
    out.print(f"\n{title}")
    found = {one.name: figures(outcomes(one, one.look), answer.THRESHOLD) for one in sets}
    out.print(tables.main_table(found), markup=False)


def main() -> None:
    """Fit, print, measure."""
    given = arguments("--keep-weights")
    with folder(given.work) as work:
        sets = open_sets(work, given.model, squad=given.squad, projects=given.projects)
        looked = read_families(sets)
        weights = np.array(tuple(WEIGHTS.values()))
        if not given.keep_weights:
            weights = np.round(fit_weights(looked), 1)
        crossed = fit_calibration(looked, weights, answer.CROSSED, CROSS_WEIGHT)
        plain = fit_calibration(looked, weights, answer.PLAIN, 0.0)
        out.print("WEIGHTS = {")
        for name, value in zip(FEATURES, weights.tolist(), strict=True):
            out.print(f'    "{name}": {value + 0.0:g},')
        out.print(f"}}\nCROSSED = {crossed}\nPLAIN = {plain}", markup=False)
        show("as it is", sets)
        fitted: tuple[Patch, ...] = (
            constant("index.reader", "_WEIGHTS", weights),
            constant("service.answer", "CROSSED", crossed),
            constant("service.answer", "PLAIN", plain),
        )
        with patched(*fitted):
            show("with these", sets)


if __name__ == "__main__":
    main()
