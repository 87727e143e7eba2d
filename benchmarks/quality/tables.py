"""Figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from service.figures import Figures

COLUMNS = ("recall@1", "@5", "MRR", "always", "right", "right in all", "wrong of given", "AURC", "ECE")


def number(value: float | None) -> str:
    """Return a share with three digits; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"


def row(found: Figures) -> list[str]:
    """Return a cell for each of COLUMNS."""
    low, high = found.interval or (0.0, 1.0)
    return [
        number(found.recall[1]),
        number(found.recall[5]),
        number(found.mrr),
        number(found.always),
        number(found.right),
        f"{number(found.right_in_all)} ({low:.2f}–{high:.2f})",
        number(found.wrong),
        number(found.aurc),
        f"{number(found.ece)} ({number(found.ece_by_chance)})",
    ]


def main_table(found: Mapping[str, Figures]) -> str:
    """Return a row for each name."""
    return table(("", *COLUMNS), [[name, *row(one)] for name, one in found.items()])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is for numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def lost(whole: Figures, without: Figures) -> list[str]:
    """Return what a mechanism is worth: what the figures are without it, and by how much that is less."""
    pairs = (
        (whole.recall[5], without.recall[5]),
        (whole.always, without.always),
        (whole.right_in_all, without.right_in_all),
        (whole.aurc, without.aurc),
    )
    return [f"{number(here)} ({(here or 0) - (there or 0):+.3f})" for there, here in pairs]
