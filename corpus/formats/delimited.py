"""CSV and TSV: tables whose cells are places in the file's own text.

The standard library's reader says what a cell holds and not where it stands, so the cells are found here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice, pairwise

from corpus.document import Block, BlockKind, Cell, Row, Span
from corpus.formats.encodings import decode
from corpus.formats.reading import Extract, UnreadableDocument

DELIMITERS = (",", ";", "\t", "|")
"""By how common they are: of two that fit equally well the first is taken."""

TRIED_ROWS, TRIED_CHARACTERS = 100, 100_000
"""What is read to find the delimiter, at most: enough that a few odd rows decide nothing."""

LONGEST_NAME = 40
"""Characters of a name in a header; a sentence is longer."""

TITLE_ROWS = 5
"""Rows with one cell above a table, at most, that are its title and not the table."""

MOST_CELLS = 500_000
"""Every cell is encoded by itself: so many take half an hour. A file with more is a database."""

WHITE_SPACE = " \t\u00a0"

_DIRECTIVE = re.compile(r"sep=([^\w\s\"]|\t)[ \t]*(?:\r\n?|\n|\Z)", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n?|\n")
_NUMBER = re.compile(r"[-+(]?\s?[$€£¥]?\s?\d[\d\s.,:/'-]*(?:[eE][-+]?\d+)?\s?[%$€£¥)]?")
_YEAR = re.compile(r"1[89]\d\d|2[01]\d\d")


def read(data: bytes, *, tabs: bool) -> Extract:
    """Return the tables in a CSV file (a TSV file if `tabs`); the text is the file's own."""
    text = decode(data)
    directive = _DIRECTIVE.match(text)  # a first line with which Excel is told the delimiter
    start = directive.end() if directive else 0
    delimiter = directive[1] if directive else _delimiter(text, tabs=tabs)
    blocks: list[Block] = []
    for part in _parts(text, start, delimiter):
        blocks.extend(_blocks(text, part))
    return Extract(text, "", tuple(blocks))


def _delimiter(text: str, *, tabs: bool) -> str:
    """Return what divides the cells: what gives most rows as many of them, or names; "" if nothing does."""
    text = text[:TRIED_CHARACTERS]
    best, best_fit = "", (0.5, 1)  # as many cells in more than half of the rows, and more than one
    for delimiter in DELIMITERS:
        rows = list(islice((row for row in _rows(text, 0, delimiter) if row is not None), TRIED_ROWS))
        widths = [len(row.cells) for row in rows]
        if not widths:
            return delimiter
        (width, count), *_ = Counter(widths).most_common(1)
        fit = (max(count, _named(text, rows)) / len(rows), width)
        if width > 1 and fit > best_fit:
            best, best_fit = delimiter, fit
        if tabs and delimiter == "\t" and width > 1:
            return delimiter
    return best


def _named(text: str, rows: Sequence[Row]) -> int:
    """Return how many rows have cells under the names in the first one; a row may leave its last ones out."""
    names = [cell.span.of(text) for cell in rows[0].cells]
    if len(names) != len(set(names)) or not all(0 < len(name) <= LONGEST_NAME for name in names):
        return 0
    return sum(1 < len(row.cells) <= len(names) for row in rows)


def _parts(text: str, start: int, delimiter: str) -> Iterator[list[Row]]:
    """Yield the rows of each table: a blank line with rows of another width behind it divides two."""
    part: list[Row] = []
    blank = False
    cells = 0
    for row in _rows(text, start, delimiter):
        if row is None:
            blank = True
            continue
        if part and blank and len(row.cells) != len(part[-1].cells):
            yield part
            part = []
        cells += len(row.cells)
        if cells > MOST_CELLS:
            raise UnreadableDocument(f"has more than {MOST_CELLS:,} cells; split it, or leave out columns")
        part.append(row)
        blank = False
    if part:
        yield part


@cache
def _quoted(delimiter: str) -> re.Pattern[str]:
    """Return what matches a field in quotes, up to what ends it.

    Possessive, so that a quote without its partner is looked for once.
    """
    ends = rf"{re.escape(delimiter)}\r\n"
    return re.compile(rf'[ ]*+"((?:[^"]|"")*+)"[ ]*+(?=[{ends}]|\Z)')


@cache
def _ends(delimiter: str) -> re.Pattern[str]:
    """Return what finds the end of a field without quotes."""
    return re.compile(rf"[{re.escape(delimiter)}\r\n]|\Z")


def _rows(text: str, start: int, delimiter: str) -> Iterator[Row | None]:
    """Yield the rows from `start` on, and None for each without words."""
    blank = delimiter + WHITE_SPACE
    at = start
    while at < len(text):
        line_end = _LINE_END.search(text, at)
        end = line_end.start() if line_end else len(text)
        line = text[at:end]
        first = at
        cells: list[Cell] = []
        if '"' in line:
            cells, end = _fields(text, at, delimiter)
            line_end = _LINE_END.match(text, end)
        elif line.strip(blank):
            for piece in line.split(delimiter) if delimiter else [line]:
                cells.append(_cell(at, piece))
                at += len(piece) + 1
        yield _row(text, first, end, cells)
        at = line_end.end() if line_end else len(text)


def _fields(text: str, at: int, delimiter: str) -> tuple[list[Cell], int]:
    """Return the cells of a row in which there are quotes, and where it ends."""
    cells: list[Cell] = []
    ends = _ends(delimiter)
    while True:
        if field := _quoted(delimiter).match(text, at):
            cells.append(_cell(field.start(1), field[1], quoted=True))
            at = field.end()
        else:
            end = ends.search(text, at)
            assert end is not None
            cells.append(_cell(at, text[at : end.start()]))
            at = end.start()
        if not delimiter or not text.startswith(delimiter, at):
            return cells, at
        at += 1


def _cell(at: int, field: str, *, quoted: bool = False) -> Cell:
    """Return the cell whose words are in `field`, which stands at `at`."""
    words = field.strip()
    if not words:
        return Cell(Span(at, at))
    start = at + len(field) - len(field.lstrip())
    span = Span(start, start + len(words))
    if not quoted or '"' not in words:
        return Cell(span)
    doubled = (start + found.start() for found in re.finditer('""', words))
    return Cell(span, tuple(Span(place, place + 1) for place in doubled))


def _row(text: str, start: int, end: int, cells: Sequence[Cell]) -> Row | None:
    """Return the row without the white space around it; None where no cell has words."""
    if not any(len(cell.span) for cell in cells):
        return None
    line = text[start:end]
    start, end = end - len(line.lstrip()), start + len(line.rstrip())
    # In a TSV file that white space may be what divides empty cells.
    kept = (
        cell if start <= cell.span.start <= end else Cell(Span(*[min(max(cell.span.start, start), end)] * 2))
        for cell in cells
    )
    return Row(Span(start, end), tuple(kept))


def _blocks(text: str, rows: list[Row]) -> Iterator[Block]:
    """Yield the lines above a table as paragraphs, then the table."""
    first = next((number for number, row in enumerate(rows) if _filled(row) > 1), 0)
    first = first if first <= TITLE_ROWS else 0
    for row in rows[:first]:
        (cell,) = (cell for cell in row.cells if len(cell.span))
        yield Block(BlockKind.PARAGRAPH, cell.span, cell.span, markup=cell.markup)
    rows = rows[first:]
    headed = _names_columns(text, rows)
    span = Span(rows[0].span.start, rows[-1].span.end)
    header, body = (rows[0], rows[1:]) if headed else (None, rows)
    yield Block(
        BlockKind.TABLE,
        span,
        span,
        markup=tuple(_between(text, span, rows)),
        header=header,
        rows=tuple(body),
    )


def _filled(row: Row) -> int:
    return sum(len(cell.span) > 0 for cell in row.cells)


def _names_columns(text: str, rows: Sequence[Row]) -> bool:
    """Return whether the first row is a header: one without numbers, or with years in a row."""
    if len(rows) < 2:
        return False
    label, *others = (cell.span.of(text) for cell in rows[0].cells)
    if _NUMBER.fullmatch(label):
        return False
    if others and all(map(_YEAR.fullmatch, others)):
        return all(one < two for one, two in pairwise(others)) or all(
            one > two for one, two in pairwise(others)
        )
    return not any(map(_NUMBER.fullmatch, others))


def _between(text: str, span: Span, rows: Sequence[Row]) -> Iterator[Span]:
    """Yield what is not the words of a cell: delimiters and quotes. White space alone needs no mark."""
    at = span.start
    for row in rows:
        for cell in row.cells:
            if text[at : cell.span.start].strip() or "\t" in text[at : cell.span.start]:
                yield Span(at, cell.span.start)
            yield from cell.markup
            at = max(at, cell.span.end)
    if at < span.end:
        yield Span(at, span.end)
