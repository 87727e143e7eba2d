"""What stands on a PDF's pages beside the text: running heads, page numbers, lines of a contents page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from corpus.formats.pdf_lines import Line

EDGE_LINES = 3
"""Lines from the top and from the bottom of a page that may be running heads."""

FEWEST_PAGES = 3
"""Pages on which the same words in the same place are a running head."""

NEAR_PAGES = 4
"""Pages from one to the next, at most: the head of a chapter stands on every other page of it."""

LARGE = 1.15
"""Times the size of the text: a line so large may be a title."""

MOST_SLIDES = 4
"""Slides in a row, at most, under one title."""

PLACE = 3.0
"""Points within which a place is the same."""

_AT_AN_END = re.compile(r"^\d{1,4}(?=\s|$)|(?<=\s)\d{1,4}$")
_FIGURES = re.compile(r"\d+|\b[ivxlc]+\b")
_NUMBER = re.compile(
    r"[-–—|\s]*+(?:page|seite|p\.)?\s*+(\d{1,4})(?:\s*+(?:of|/|von)\s*+\d{1,4})?[-–—|\s]*+", re.IGNORECASE
)
_LEADERS = re.compile(r"\n?[\divxlc]{1,6}\s*(?:(?:\s?\.){4}|(?:\.\s){3})")
"""Dots and the number of a page, read backwards from the end of the line, which is where they stand."""


def without(pages: Sequence[Sequence[Line]], body_size: float) -> list[list[Line]]:
    """Return the lines of each page without those that only help to get about."""
    edges = [_edges(page) for page in pages]
    large: set[tuple[str, int]] = set()
    counted: dict[tuple[int, int], set[int]] = defaultdict(set)
    seen: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number, edge in enumerate(edges):
        for line in {_key(line): line for line in edge}.values():
            seen[_key(line)].append(number)
            if line.size > LARGE * body_size:
                large.add(_key(line))
            # Whatever else it says: a line that counts the pages, in its place.
            for offset in _offsets(line):
                counted[offset, _place(line)].add(number)
    # The same title may stand above several slides; above a third of all pages it is no title.
    many = max(MOST_SLIDES, len(pages) // 3)
    running = {
        key for key, numbers in seen.items() if _runs(numbers) and (key not in large or len(numbers) > many)
    }
    counting = {key for key, numbers in counted.items() if len(numbers) >= FEWEST_PAGES}
    short = len(pages) < FEWEST_PAGES

    def is_margin(line: Line) -> bool:
        words, place = _key(line)
        near = (place - 1, place, place + 1)
        return (
            any((words, one) in running for one in near)
            or any((offset, one) in counting for offset in _offsets(line) for one in near)
            or (short and _is_number(line))
        )

    return [
        [
            line
            for line in page
            if not _LEADERS.match(line.words[::-1]) and not (line in edge and is_margin(line))
        ]
        for page, edge in zip(pages, edges, strict=True)
    ]


def _edges(page: Sequence[Line]) -> set[Line]:
    """Return the lines at the top and the bottom of a page."""
    level = sorted({round(line.y) for line in page})
    outer = {*level[:EDGE_LINES], *level[-EDGE_LINES:]}
    return {line for line in page if round(line.y) in outer}


def _key(line: Line) -> tuple[str, int]:
    return _FIGURES.sub("#", line.words.casefold()), _place(line)


def _place(line: Line) -> int:
    return round(line.y / PLACE)


def _offsets(line: Line) -> set[int]:
    """Return by how much the numbers at the ends of a line are ahead of its page's."""
    return {int(found[0]) - line.page for found in _AT_AN_END.finditer(line.words)}


def _runs(numbers: Sequence[int]) -> bool:
    """Return whether these pages, in order, are enough and near enough to one another."""
    run = 1
    for before, after in pairwise(numbers):
        run = run + 1 if after - before <= NEAR_PAGES else 1
        if run >= FEWEST_PAGES:
            return True
    return False


def _is_number(line: Line) -> bool:
    """Return whether a line is nothing but the number of its page, counted from 1."""
    found = _NUMBER.fullmatch(line.words)
    return found is not None and int(found[1]) == line.page + 1
