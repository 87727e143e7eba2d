"""Tables in plain text: drawn with bars, aligned in columns, or flattened to one line a row.

A flattened table has lost its columns. They are given back only where a row allows one reading;
any other row is one cell, because a wrong cell would be a wrong answer.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from corpus.document import Block, BlockKind, Cell, Row, Span
from corpus.formats import tables
from corpus.formats.plaintext_lines import Line

_ROW_LENGTH = 100
_MOST_COLUMNS = 8
_PAIR = re.compile(r"[^\s:][^:]{0,40}:\s+\S")
_PAIR_LENGTH = 160
_WORD = re.compile(r"\S+")
_GAP = re.compile(r"\s{2,}|\t")
_VALUE = re.compile(
    r"[-+~<>≈±]{0,2}[$€£¥]?\d[\d.,:/-]*(?:%|[A-Za-z]{1,2})?|yes|no|n/a|[✓✔✗✘—–-]", re.IGNORECASE
)

_Cells = list[tuple[int, int]]


def table(lines: Sequence[Line], cells: list[_Cells], *, headed: bool) -> Block:
    """Return the table of `lines` with the places of their `cells`; drawn lines have none."""
    span = Span(lines[0].start, lines[-1].end)
    rows = [
        Row(Span(line.start, line.end), tuple(Cell(Span(*place)) for place in places))
        for line, places in zip(lines, cells, strict=True)
        if places
    ]
    header, body = (rows[0], rows[1:]) if headed and len(rows) > 1 else (None, rows)
    return Block(BlockKind.TABLE, span, span, markup=_between(lines, cells), header=header, rows=tuple(body))


def _between(lines: Sequence[Line], cells: list[_Cells]) -> tuple[Span, ...]:
    """Return the bars and drawn lines between cells; white space alone needs no mark."""
    found: list[Span] = []
    for line, places in zip(lines, cells, strict=True):
        edges = [line.start, *(edge for place in places for edge in place), line.end]
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if line.words[start - line.start : end - line.start].strip():
                found.append(Span(start, end))
    return tuple(found)


def barred(lines: Sequence[Line]) -> Block | None:
    """Return the table drawn with bars that `lines` are, or None."""
    written = [line for line in lines if not line.is_rule()]
    if len(lines) < 2 or not written or not all("|" in line.words for line in written):
        return None
    fenced = all(line.words[0] == "|" and line.words[-1] == "|" for line in written)
    ruled = len(lines) > 2 and lines[1].is_rule() and "-" in lines[1].words
    if not (ruled or (fenced and len(written) > 1)):
        return None
    cells = [
        []
        if line.is_rule()
        else [_moved(place, line) for place in tables.cells(line.words, 0, len(line.words))]
        for line in lines
    ]
    first = next(place for place, line in enumerate(lines) if not line.is_rule())
    return table(lines, cells, headed=first + 1 < len(lines) and lines[first + 1].is_rule())


def _moved(place: tuple[int, int], line: Line) -> tuple[int, int]:
    return place[0] + line.start, place[1] + line.start


def columns(lines: Sequence[Line]) -> tuple[int, int, Block] | None:
    """Return the table in aligned columns among `lines`, between the two line numbers, or None."""
    split = [[] if line.is_rule() else _gapped(line) for line in lines]
    many = [number for number, cells in enumerate(split) if len(cells) > 1]
    if len(many) < 2:
        return None
    first, last = many[0], many[-1] + 1
    others = [
        line for line, cells in zip(lines[first:last], split[first:last], strict=True) if len(cells) == 1
    ]
    if len(many) <= len(others) or any(len(line.words) > 2 * _ROW_LENGTH for line in others):
        return None
    table_lines, rows = lines[first:last], split[first:last]
    if all("\t" in lines[number].words for number in many):
        rows = _tabbed(table_lines, rows)
    elif _aligned([lines[n] for n in many], [split[n] for n in many]):
        rows = _filled(table_lines, rows)
    else:
        return None
    return first, last, table(table_lines, rows, headed=_give_header(table_lines, rows))


def _gapped(line: Line) -> _Cells:
    """Return the places between the wide gaps of a line."""
    if line.bullet():
        return [(line.start, line.end)]
    edges = [line.start]
    for gap in _GAP.finditer(line.words):
        # Two spaces behind a sentence are typing, not a column.
        if gap[0] != "  " or line.words[gap.start() - 1] not in ".!?:;":
            edges += [line.start + gap.start(), line.start + gap.end()]
    edges.append(line.end)
    return list(zip(edges[::2], edges[1::2], strict=True))


def _tabbed(lines: Sequence[Line], rows: list[_Cells]) -> list[_Cells]:
    """Return `rows`, with a cell between any two tabs where that gives every row as many cells."""
    strict = [
        _pieces(line, line.words.split("\t")) if cells and not line.is_rule() else []
        for line, cells in zip(lines, rows, strict=True)
    ]
    counts = {len(cells) for cells in strict if cells}
    return strict if len(counts) == 1 else rows


def _pieces(line: Line, pieces: list[str]) -> _Cells:
    """Return the places of the words of `pieces`, which stand one character apart."""
    places, at = [], line.start
    for piece in pieces:
        start = at + len(piece) - len(piece.lstrip()) if piece.strip() else at
        places.append((start, start + len(piece.strip())))
        at += len(piece) + 1
    return places


def _aligned(lines: list[Line], rows: list[_Cells]) -> bool:
    """Return whether each row has a cell that begins or ends in the same column as one of the row before."""
    edges = []
    for line, cells in zip(lines, rows, strict=True):
        behind = [(start - line.begin, end - line.begin) for start, end in cells[1:]]
        edges.append(({start for start, _ in behind}, {end for _, end in behind}))
    return all(before[0] & after[0] or before[1] & after[1] for before, after in pairwise(edges))


def _filled(lines: Sequence[Line], rows: list[_Cells]) -> list[_Cells]:
    """Return `rows`, with the cells divided whose words fill their column up to the next one."""
    most = max(map(len, rows))
    begins = Counter(
        start - line.begin for line, cells in zip(lines, rows, strict=True) for start, _ in cells[1:]
    )
    columns = sorted(column for column, count in begins.items() if count > 1)
    return [
        _divided(line, cells, columns) if 1 < len(cells) < most else cells
        for line, cells in zip(lines, rows, strict=True)
    ]


def _divided(line: Line, cells: _Cells, columns: list[int]) -> _Cells:
    """Return `cells`, divided where a word begins at one of `columns`."""
    result: _Cells = []
    for first, end in cells:
        start = first
        inside = slice(bisect_right(columns, start - line.begin), bisect_left(columns, end - line.begin))
        for column in columns[inside]:
            at = line.begin + column
            if line.words[at - line.start - 1] == " ":
                result.append((start, at - 1))
                start = at
        result.append((start, end))
    return result


def _give_header(lines: Sequence[Line], rows: list[_Cells]) -> bool:
    """Return whether the first row names the columns; a corner left blank gets its empty cell."""
    body = [cells for cells in rows[1:] if cells]
    if not body:
        return False
    if len(rows[0]) + 1 == len(body[0]) and lines[0].column > lines[-1].column:
        rows[0].insert(0, (lines[0].start, lines[0].start))
        return True
    if len(lines) > 2 and lines[1].is_rule():
        return True
    words = [lines[0].words[start - lines[0].start : end - lines[0].start] for start, end in rows[0]]
    if len(rows[0]) != len(body[0]) or words[0].endswith(":") or _has_digit(" ".join(words)):
        return False
    return any(
        _has_digit(line.words[start - line.start : end - line.start])
        for line, cells in zip(lines[1:], rows[1:], strict=True)
        for start, end in cells[1:]
    )


def _has_digit(words: str) -> bool:
    return any(character.isdigit() for character in words)


def flattened(lines: Sequence[Line]) -> Block | None:
    """Return the table whose rows `lines` are, or None where they read as wrapped prose."""
    if len(lines) < 2 or not (all(map(_is_row, lines)) or all(map(_is_pair, lines))):
        return None
    count = len(lines[0].words.split())
    whole: list[_Cells] = [[(line.start, line.end)] for line in lines]
    if not 2 <= count <= _MOST_COLUMNS or _has_digit(lines[0].words) or _is_pair(lines[0]):
        return table(lines, whole, headed=False)
    found = [_recovered(line, count) for line in lines[1:]]
    # With two columns a number at the end may as well belong to the label, unless all rows have one.
    if not any(found) or (count == 2 and (len(found) < 2 or not all(found))):
        return table(lines, whole, headed=False)
    rows = [cells or single for cells, single in zip(found, whole[1:], strict=True)]
    return table(lines, [_placed(lines[0], 1), *rows], headed=True)


def _is_row(line: Line) -> bool:
    return len(line.words) <= _ROW_LENGTH and not line.ends_sentence() and not line.words[0].islower()


def _is_pair(line: Line) -> bool:
    """Return whether the line is a name, a colon and a value."""
    return len(line.words) <= _PAIR_LENGTH and _PAIR.match(line.words) is not None


def _recovered(line: Line, count: int) -> _Cells:
    """Return the `count` cells of a row that can be read in one way only, else none."""
    tokens = line.words.split()
    values = count - 1
    readings: list[int] = []  # words per value
    if len(tokens) > values and all(map(_VALUE.fullmatch, tokens[-values:])):
        # A value before the values could be a value too.
        readings += [1] if not _VALUE.fullmatch(tokens[-values - 1]) else []
    elif values > 1:
        readings += [
            width
            for width in range(1, (len(tokens) - 1) // values + 1)
            if tokens[-width * values :] == tokens[-width:] * values
        ]
    return _placed(line, readings[0], values) if len(readings) == 1 else []


def _placed(line: Line, width: int, values: int | None = None) -> _Cells:
    """Return the label and `values` cells of `width` words each at the end of a line (all, if None)."""
    words = [(line.start + match.start(), line.start + match.end()) for match in _WORD.finditer(line.words)]
    values = len(words) - 1 if values is None else values
    first = len(words) - width * values
    starts = range(first, len(words), width)
    return [(line.start, words[first - 1][1]), *((words[at][0], words[at + width - 1][1]) for at in starts)]
