"""What stands on a PDF's pages beside the text: running heads, page numbers, lines of a contents page."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from corpus.formats.pdf_lines import Line

EDGE_LINES = 2
"""Lines from the top and from the bottom of a page that may be running heads."""

FEWEST_PAGES = 3
"""Pages on which the same words in the same place are a running head."""

NEAR_PAGES = 4
"""Pages from one to the next, at most: the head of a chapter stands on every other page of it."""

_PLACE = 3.0  # points within which a place is the same
_FIGURES = re.compile(r"\d+|\b[ivxlc]+\b")
_NUMBER = re.compile(
    r"[-–—|\s]*(?:page|seite|p\.)?\s*(\d{1,4})(?:\s*(?:of|/|von)\s*\d{1,4})?[-–—|\s]*", re.IGNORECASE
)
_LEADERS = re.compile(r"(?:\.\s?){4,}\s*[\divxlc]{1,6}$|(?:\s\.){3,}\s*[\divxlc]{1,6}$")


def without(pages: Sequence[Sequence[Line]], body_size: float) -> list[list[Line]]:
    """Return the lines of each page without those that only help to get about."""
    edges = [_edges(page) for page in pages]
    seen: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number, edge in enumerate(edges):
        for line in {_key(line): line for line in edge}.values():
            # On slides the same title may stand above several pages, in larger letters.
            if line.size <= body_size * 1.15:
                seen[_key(line)].append(number)
    running = {key for key, numbers in seen.items() if _runs(numbers)}
    return [
        [
            line
            for line in page
            if not _LEADERS.search(line.words)
            and not (line in edge and (_is_running(line, running) or _is_number(line, number, len(pages))))
        ]
        for number, (page, edge) in enumerate(zip(pages, edges, strict=True))
    ]


def _edges(page: Sequence[Line]) -> set[Line]:
    """Return the lines at the top and the bottom of a page."""
    level = sorted({round(line.y) for line in page})
    outer = {*level[:EDGE_LINES], *level[-EDGE_LINES:]}
    return {line for line in page if round(line.y) in outer}


def _key(line: Line) -> tuple[str, int]:
    return _FIGURES.sub("#", line.words.casefold()), round(line.y / _PLACE)


def _is_running(line: Line, running: set[tuple[str, int]]) -> bool:
    words, place = _key(line)
    return any((words, near) in running for near in (place - 1, place, place + 1))


def _runs(numbers: Sequence[int]) -> bool:
    """Return whether these pages, in order, are enough and near enough to one another."""
    run = 1
    for before, after in pairwise(numbers):
        run = run + 1 if after - before <= NEAR_PAGES else 1
        if run >= FEWEST_PAGES:
            return True
    return False


def _is_number(line: Line, number: int, count: int) -> bool:
    """Return whether a line is the number of its page, in a file too short to see that from others."""
    found = _NUMBER.fullmatch(line.words)
    return found is not None and count < FEWEST_PAGES and int(found[1]) == number + 1
