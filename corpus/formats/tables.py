"""Rows of a table drawn with bars: `| one | two |`."""

from __future__ import annotations

from itertools import pairwise

from markdown_it.common.utils import MD_TRIM_CHARS

from corpus.formats.markdown_notation import Mark


def cells(text: str, start: int, end: int) -> list[Mark]:
    """Return the place of each cell's words in the row `text[start:end]`, empty where a cell is empty.

    As in GitHub Flavored Markdown: a bar behind a backslash is text, the outer bars may be missing.
    """
    first, last = trimmed(text, start, end)
    start, end = trimmed(text, start, end, MD_TRIM_CHARS)
    edges = [start - 1]
    at = text.find("|", start, end)
    while at >= 0:
        if at == start or text[at - 1] != "\\":
            edges.append(at)
        at = text.find("|", at + 1, end)
    edges.append(end)
    raw = [(left + 1, right) for left, right in pairwise(edges)]
    if raw[0][0] == raw[0][1]:
        raw.pop(0)
    if raw and raw[-1][0] == raw[-1][1]:
        raw.pop()
    # White space that Markdown does not trim makes a cell, but is outside the row as we see it.
    return [trimmed(text, min(max(left, first), last), min(max(right, first), last)) for left, right in raw]


def trimmed(text: str, start: int, end: int, space: str | None = None) -> Mark:
    """Return `[start, end)` without the white space around it; an empty place keeps its start."""
    whole = text[start:end]
    words = whole.strip(space)
    if not words:
        return start, start
    first = start + len(whole) - len(whole.lstrip(space))
    return first, first + len(words)
