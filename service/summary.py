"""An evaluation in short: tables for people at a terminal, and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from service.evaluate import Evaluation, Result
from service.figures import Figures, by_type, curve, figures, latency, reliability

FEWEST_POINTS = 200
"""A longer risk-coverage curve is thinned to about as many points in the JSON."""

COLUMNS = (
    "questions",
    "recall@1",
    "@5",
    "MRR",
    "always",
    "right",
    "right in all",
    "wrong of given",
    "AURC",
    "ECE",
)


def printable(text: str) -> str:
    """Return text with � for the control characters, which could steer a terminal."""
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in text)


def number(value: float | None) -> str:
    """Return a share as it is shown; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"


def row(name: str, found: Figures) -> list[str]:
    """Return a row of the table by type: its name and a cell for each of COLUMNS."""
    shares = (
        found.recall[1],
        found.recall[5],
        found.mrr,
        found.always,
        found.right,
        found.right_in_all,
        found.wrong,
        found.aurc,
        found.ece,
    )
    return [name, str(found.questions), *map(number, shares)]


def main_figures(found: Figures) -> list[tuple[str, str, str]]:
    """Return the figures of all questions: name, value, what it says."""
    low, high = found.interval or (0.0, 1.0)
    recall = " · ".join(f"@{depth} {number(share)}" for depth, share in found.recall.items())
    return [
        (
            "right in all",
            f"{number(found.right_in_all)} ({low:.3f}–{high:.3f})",
            "right answers and refusals",
        ),
        ("right", number(found.right), "of the answerable questions, given and right"),
        ("always answering", number(found.always), "of the answerable, were nothing refused"),
        ("wrong of given", f"{number(found.wrong)} ({found.given} given)", "of the answers given"),
        ("refusals", number(found.refusal_precision), "of the refusals, the question was unanswerable"),
        ("refused", number(found.refusal_recall), "of the unanswerable questions"),
        ("recall", recall, "a passage at a gold place"),
        ("MRR", number(found.mrr), "mean of 1/rank of that passage"),
        ("exact match, F1", f"{number(found.exact)}, {number(found.f1)}", "answer and nearest gold span"),
        ("AURC", number(found.aurc), "area under the risk-coverage curve; 0 is best"),
        (
            "ECE",
            f"{number(found.ece)} ({number(found.ece_by_chance)} by chance)",
            "distance of confidence and share right; 0 is best",
        ),
    ]


def show(console: Console, done: Evaluation) -> None:
    """Print an evaluation."""
    outcomes, whole = done.outcomes, figures(done.outcomes, done.threshold)
    console.print(
        f"[bold]{escape(printable(done.source))}[/bold]: {whole.questions} questions, "
        f"{whole.answerable} answerable; index {escape(printable(done.index_version))}; "
        f"threshold {done.threshold:.3f}"
    )
    _print(console, ("figure", "value", "of what"), main_figures(whole), numbers=False)
    types = [row(name, found) for name, found in by_type(outcomes, done.threshold).items()]
    if len(types) > 1:
        _print(console, ("type", *COLUMNS), types, numbers=True)
    bins = [
        (f"{one.low:.1f}–{one.high:.1f}", str(one.count), number(one.confidence), number(one.right))
        for one in reliability(outcomes)
    ]
    _print(console, ("confidence", "candidates", "mean", "share right"), bins, numbers=True)
    stages = [(name, f"{one.p50:.1f}", f"{one.p95:.1f}") for name, one in latency(outcomes).items()]
    _print(console, ("stage, ms", "p50", "p95"), stages, numbers=True)


def _print(console: Console, header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool) -> None:
    """Print a table at its own width: a figure cut short to fit a narrow window says nothing."""
    table = [[printable(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    console.print()
    for number, line in enumerate(table):
        padded = [
            " " * (width - cell_len(cell)) + cell if numbers and at else set_cell_size(cell, width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        console.print(Text("  ".join(padded).rstrip(), style="dim" if not number else ""), soft_wrap=True)


def as_json(done: Evaluation, failures: list[str]) -> dict[str, object]:
    """Return an evaluation as JSON values; `failures` are the gates that failed."""
    outcomes = done.outcomes
    points = curve(outcomes)
    step = max(1, len(points) // FEWEST_POINTS)
    return {
        "source": done.source,
        "index_version": done.index_version,
        "threshold": done.threshold,
        "fitted": asdict(done.fitted) if done.fitted else None,
        "figures": asdict(figures(outcomes, done.threshold)),
        "by_type": {name: asdict(one) for name, one in by_type(outcomes, done.threshold).items()},
        "reliability": [asdict(one) for one in reliability(outcomes)],
        "curve": [asdict(one) for one in points[::step]],
        "latency_ms": {name: asdict(one) for name, one in latency(outcomes).items()},
        "failed_gates": failures,
        "misses": [_miss(one, done.threshold) for one in done.misses],
    }


def _miss(result: Result, threshold: float) -> dict[str, object]:
    known, answer = result.known, result.reply.answer
    return {
        "number": result.number,
        "id": known.id,
        "type": known.type,
        "question": known.question,
        "verdict": result.outcome.verdict(threshold),
        "expected": known.gold_spans,
        "got": answer.text if answer else None,
        "confidence": result.outcome.confidence,
    }
