"""The smallest parts that a passage is made of: a sentence, a table row, a line of code."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from corpus.document import Block, BlockKind, Candidate, CandidateKind, Cell, Row, Span
from corpus.formats.plain import plain
from corpus.sentences import blanked, clauses, pieces, sentences

CHARACTERS_PER_TOKEN = 16
"""An atom holds at most this many characters for each token of room. WordPiece makes one unknown token
of a "word" of a megabyte; without this bound such a line would be one endless quotation."""

RECORDS = (BlockKind.TABLE,)
"""Blocks whose parts have little to do with one another: each is embedded for itself, too. In one vector for
a table of nine rows no row can be recognised ("When did TensorFlow come out?" has cosine 0.53 with the
table, 0.79 with `TensorFlow Release Year: 2015`)."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A part of a passage that is never cut: its place, the words to embed, the candidates in it.

    The candidates' `embedded` spans count from the start of `text`.
    """

    span: Span
    kind: BlockKind
    text: str
    candidates: tuple[Candidate, ...]
    tokens: int
    opens_block: bool = False
    opens_line: bool = False


def atoms(text: str, blocks: Sequence[Block], count_tokens: Callable[[str], int], room: int) -> list[Atom]:
    """Return the atoms of `blocks`, in order, each of at most `room` tokens.

    The first atom of a block begins where the block does and the last one ends where it ends, so that
    a block's own markers (bullets, fences, a table's header line) are covered too.
    """
    found: list[Atom] = []
    for block in blocks:
        parts = [part for part in _parts(text, block, count_tokens, room) if part.text]
        if not parts:
            continue
        first, last = parts[0], parts[-1]
        parts[0] = replace(
            first, span=Span(block.span.start, first.span.end), opens_block=True, opens_line=True
        )
        parts[-1] = replace(parts[-1], span=Span(parts[-1].span.start, max(block.span.end, last.span.end)))
        found.extend(parts)
    return found


def _parts(text: str, block: Block, count: Callable[[str], int], room: int) -> Iterator[Atom]:
    if block.kind is BlockKind.TABLE:
        found = [part for row in block.rows for part in _row(text, block, row, count, room)]
        unnamed = any(len(row.cells) == 1 for row in block.rows) or not any(part.text for part in found)
        if block.header is not None and unnamed:
            # Rows whose columns are not known (or none with words): the header's words stand for themselves.
            yield from _prose(text, block.kind, [block.header.span], block.markup, count, room)
        yield from found
    elif block.kind is BlockKind.CODE:
        yield from _prose(text, block.kind, list(_lines(text, block)), (), count, room)
    else:
        spans = sentences(text, block.content, block.markup)
        yield from _prose(text, block.kind, spans, block.markup, count, room)


def _lines(text: str, block: Block) -> Iterator[Span]:
    """Yield the lines of a code block that hold anything, indentation and quote marks kept out."""
    position = block.content.start
    for line in blanked(text, block.content, block.markup).replace("\r", "\n").split("\n"):
        stripped = line.strip()
        if stripped:
            start = position + len(line) - len(line.lstrip())
            yield Span(start, start + len(stripped))
        position += len(line) + 1


def _prose(
    text: str,
    kind: BlockKind,
    spans: Sequence[Span],
    markup: Sequence[Span],
    count: Callable[[str], int],
    room: int,
) -> Iterator[Atom]:
    """Yield an atom a sentence or line; one too long for the window is cut at white space."""
    opens_line = kind in (BlockKind.CODE, BlockKind.TABLE)
    for whole in spans:
        for span in _cut(text, whole, markup, count, room):
            words = plain(text, span, _inside(markup, span))
            statement = words if kind in RECORDS else ""
            found = [Candidate(CandidateKind.SENTENCE, span, Span(0, len(words)), statement, block=kind)]
            if kind is not BlockKind.CODE:
                found.extend(replace(one, block=kind) for one in _clauses(text, span, words, markup))
            yield Atom(span, kind, words, tuple(found), count(words), opens_line=opens_line)


def _clauses(text: str, sentence: Span, words: str, markup: Sequence[Span]) -> Iterator[Candidate]:
    """Yield the parts of a sentence that sets one thing against another, and of one that is very long."""
    for clause in sorted({*clauses(text, sentence), *pieces(text, sentence)}):
        own = plain(text, clause, _inside(markup, clause))
        before = plain(
            text, Span(sentence.start, clause.start), _inside(markup, Span(sentence.start, clause.start))
        )
        at = words.find(own, max(0, len(before) - 1))
        if own and at >= 0:
            yield Candidate(CandidateKind.SPAN, clause, Span(at, at + len(own)))


def _cut(
    text: str, span: Span, markup: Sequence[Span], count: Callable[[str], int], room: int
) -> Iterator[Span]:
    """Yield `span` in pieces of at most `room` tokens, halved at white space where there is any."""
    words = plain(text, span, _inside(markup, span))
    small = len(span) <= 1 or (len(words) <= room * CHARACTERS_PER_TOKEN and count(words) <= room)
    if small:
        yield span
        return
    middle = _white_space_near(text, span)
    for half in (_trimmed(text, Span(span.start, middle)), _trimmed(text, Span(middle, span.end))):
        if len(half):
            yield from _cut(text, half, markup, count, room)


def _white_space_near(text: str, span: Span) -> int:
    """Return a place to halve `span`: the white space nearest its middle, else the middle itself."""
    middle = span.start + len(span) // 2
    reach = len(span) // 4
    for step in range(reach):
        for place in (middle - step, middle + step):
            if span.start < place < span.end and text[place].isspace():
                return place
    return middle


def _trimmed(text: str, span: Span) -> Span:
    words = span.of(text)
    start = span.start + len(words) - len(words.lstrip())
    return Span(start, max(start, span.start + len(words.rstrip())))


def _inside(markup: Sequence[Span], span: Span) -> tuple[Span, ...]:
    """Return the parts of `markup` that lie in `span`, cut to it. `markup` is sorted and disjoint."""
    first = bisect_right(markup, span.start, key=lambda place: place.end)
    behind = bisect_left(markup, span.end, key=lambda place: place.start)
    return tuple(
        Span(max(place.start, span.start), min(place.end, span.end)) for place in markup[first:behind]
    )


def _row(text: str, block: Block, row: Row, count: Callable[[str], int], room: int) -> Iterator[Atom]:
    """Yield a table row as one atom: `label | header: cell | header: cell`.

    Each cell stands beside the words that give it its meaning, because the encoder reads the row
    and not the table's geometry. A row too long for the window goes cell by cell, sentence by sentence.
    """
    cells = [cell for cell in row.cells if len(cell.span)]
    if not cells:
        return
    if len(row.cells) == 1:
        yield from _prose(text, block.kind, [cells[0].span], cells[0].markup, count, room)
        return
    atom = _row_atom(text, block, row)
    tokens = count(atom.text)
    if tokens <= room and len(atom.text) <= room * CHARACTERS_PER_TOKEN:
        yield replace(atom, tokens=tokens)
        return
    for cell in cells:
        spans = sentences(text, cell.span, cell.markup)
        yield from _prose(text, block.kind, spans, cell.markup, count, room)


def _row_atom(text: str, block: Block, row: Row) -> Atom:
    label, *others = row.cells
    header = block.header.cells if block.header else ()
    words = plain(text, label.span, label.markup)
    label_words, label_at = words, Span(0, len(words)) if words else None
    found: list[Candidate] = []
    for number, cell in enumerate(others, start=1):
        cell_words = plain(text, cell.span, cell.markup)
        if not cell_words:
            continue
        name = header[number] if number < len(header) else None
        name_words = plain(text, name.span, name.markup) if name else ""
        words += " | " if words else ""
        name_at = Span(len(words), len(words) + len(name_words)) if name_words else None
        words += f"{name_words}: " if name_words else ""
        place = Span(len(words), len(words) + len(cell_words))
        words += cell_words
        meaning = f"{name_words} {label_words}".strip()
        found.extend(
            Candidate(
                CandidateKind.CELL,
                span,
                at,
                statement=f"{meaning}: {at.of(words)}" if meaning else at.of(words),
                row_label=label.span if label_at else None,
                column_header=_span(name),
                row_label_embedded=label_at,
                column_header_embedded=name_at,
                block=BlockKind.TABLE,
            )
            for span, at in _sentences_of(text, cell, words, place)
        )
    if label_at is not None:
        corner = _span(header[0]) if header else None
        whole_row = Candidate(
            CandidateKind.CELL,
            label.span,
            label_at,
            statement=words,
            column_header=corner,
            block=BlockKind.TABLE,
        )
        found.insert(0, whole_row)
    return Atom(row.span, BlockKind.TABLE, words, tuple(found), 0, opens_line=True)


def _sentences_of(text: str, cell: Cell, words: str, place: Span) -> list[tuple[Span, Span]]:
    """Return the sentences of a cell, each with its place in the words of the row; of one, the cell."""
    spans = sentences(text, cell.span, cell.markup)
    found: list[tuple[Span, Span]] = []
    position = place.start
    for span in spans if len(spans) > 1 else ():
        own = plain(text, span, _inside(cell.markup, span))
        at = words.find(own, position, place.end)
        if not own or at < 0:
            return [(cell.span, place)]
        position = at + len(own)
        found.append((span, Span(at, position)))
    return found or [(cell.span, place)]


def _span(cell: Cell | None) -> Span | None:
    """Return the place of a cell's words; None where there is no cell or nothing in it."""
    return cell.span if cell is not None and len(cell.span) else None
