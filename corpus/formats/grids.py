"""Merged cells laid out, so that every row stands for itself, and which rows of a table are its header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.formats.writing import Writing

LONGEST_HEADER = 60
"""Characters of a cell that names a column where nothing but its words says that it does."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A cell as its source has it: its words, and over how many columns and rows it goes."""

    words: str
    across: int = 1
    down: int = 1
    strong: bool = False
    """Set in bold, or marked as a header."""


def write(
    writing: Writing, rows: Sequence[Sequence[Slot]], headers: int | None, *, likely: bool = False
) -> None:
    """Write the table of `rows`, the first `headers` of which name the columns (None: not said).

    `likely` says that the source hints at a header without saying so. Merged cells are repeated in
    every row and column they go over: a row then says all that it means. Several header rows become one.
    """
    said = [any(slot.words.strip() for slot in row) for row in rows]
    laid = [row for row, has_words in zip(_laid(rows), said, strict=True) if has_words]
    if not laid:
        return
    count = _guessed(laid, likely=likely) if headers is None else sum(said[:headers])
    count = 0 if count >= len(laid) else count
    # A first header that goes over the whole table is its title.
    while count > 1 and len({slot for slot, _ in laid[0]}) == 1 and len(laid[0]) > 1:
        writing.add_paragraph(laid[0][0][0].words)
        laid, count = laid[1:], count - 1
    body = [_row(row) for row in laid[count:]]
    writing.add_table([_header(laid[:count]), *body] if count else body, headed=count > 0)


_Laid = list[tuple[Slot, bool]]
"""The slots of a row by column, each with whether it begins there."""


def _laid(rows: Sequence[Sequence[Slot]]) -> list[_Laid]:
    """Return the rows with a slot for every column."""
    found: list[_Laid] = []
    below: dict[int, tuple[Slot, bool, int]] = {}  # by column: what comes down from above, for how many rows
    for row in rows:
        made: _Laid = []
        waiting = list(reversed(row))
        above, below = below, {}
        last = max(above, default=-1)
        while waiting or len(made) <= last:
            column = len(made)
            if column in above:
                slot, begins, left = above[column]
                made.append((slot, begins))
                if left > 1:
                    below[column] = (slot, begins, left - 1)
            elif waiting:
                slot = waiting.pop()
                for step in range(slot.across):
                    if step and column + step in above:
                        break
                    made.append((slot, step == 0))
                    if slot.down > 1:
                        below[column + step] = (slot, step == 0, slot.down - 1)
            else:
                made.append((Slot(""), True))
        found.append(made)
    return found


def _row(row: _Laid) -> list[str]:
    """Return the words of a row below the header. One that is a single cell is a line and no record."""
    if len({id(slot) for slot, _ in row}) == 1:
        return [row[0][0].words]
    label = row[0][0]
    return [slot.words if begins or slot is not label else "" for slot, begins in row]


def _header(rows: Sequence[_Laid]) -> list[str]:
    """Return one name for each column: the words above it, from the top down, each once."""
    names: list[str] = []
    for column in range(max(map(len, rows))):
        words = [row[column][0].words.strip() for row in rows if column < len(row)]
        names.append(" ".join(dict.fromkeys(word for word in words if word)))
    return names


def _guessed(rows: Sequence[_Laid], *, likely: bool) -> int:
    """Return whether the first row names the columns, as 1 or 0.

    In a table of two columns, nothing but bold type tells a header from a first pair of name and value.
    """
    if len(rows) < 2:
        return 0
    first = [slot for slot, _ in rows[0]]
    filled = [slot for slot in first if slot.words.strip()]
    blank = [column for column, slot in enumerate(first) if not slot.words.strip()]
    if len(filled) < 2 or blank not in ([], [0]):
        return 0
    if all(slot.strong for slot in filled):
        return int(not all(slot.strong for row in rows[1:] for slot, _ in row if slot.words.strip()))
    if len(first) < 3 or not all(map(_could_name, filled)):
        return 0
    return int(likely or any(_is_number(slot.words) for row in rows[1:] for slot, _ in row[1:]))


def _could_name(slot: Slot) -> bool:
    words = slot.words.strip()
    return (
        len(words) <= LONGEST_HEADER and not words.endswith((":", ".", "!")) and not re.search(r"\d", words)
    )


def _is_number(words: str) -> bool:
    return re.match(r"[-+<>~$€£(]{0,2}\s*\d", words.strip()) is not None
