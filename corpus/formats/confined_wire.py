"""What goes between a server and the child that parses for it: an Extract as JSON, all of it checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from corpus.document import Block, BlockKind, Cell, Row, Span
from corpus.formats.reading import Extract

PROBLEM = "problem"
"""The name under which a reply says why there is no Extract."""


def packed(extract: Extract) -> bytes:
    """Return an Extract as the bytes that `unpacked` reads."""
    blocks = [
        [
            *(block.kind.value, block.level, *_flat([block.span, block.content])),
            *(_flat(block.markup), block.header and _row(block.header), [_row(row) for row in block.rows]),
        ]
        for block in extract.blocks
    ]
    reply = {"text": extract.text, "title": extract.title, "pages": extract.pages, "blocks": blocks}
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def packed_problem(reason: str) -> bytes:
    """Return the reply that says why there is no Extract."""
    return json.dumps({PROBLEM: reason}).encode("utf-8")


def _row(row: Row) -> list[Any]:
    return [*_flat([row.span]), [_flat([cell.span, *cell.markup]) for cell in row.cells]]


def _flat(spans: Iterable[Span]) -> list[int]:
    return [edge for span in spans for edge in (span.start, span.end)]


def unpacked(data: bytes | bytearray) -> Extract | str:
    """Return the Extract in a reply, or the reason why there is none.

    Raises ValueError where the reply is anything but places in order inside its own text: a child
    that a document has broken can say what it likes.
    """
    try:
        reply = json.loads(data)
        if PROBLEM in reply:
            return str(reply[PROBLEM])
        text, title = reply["text"], reply["title"]
        if not isinstance(text, str) or not isinstance(title, str):
            raise TypeError("text and title must be strings")
        whole = Span(0, len(text))
        blocks = tuple(map(_block, reply["blocks"]))
        _ordered((block.span for block in blocks), whole)
        for block in blocks:
            _check(block)
        pages = tuple(map(int, reply["pages"]))
        if list(pages) != sorted(pages) or any(not 0 <= page <= len(text) for page in pages):
            raise ValueError("pages must begin in the text, in order")
    except (TypeError, KeyError, IndexError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return Extract(text, title, blocks, pages)


def _block(made: Sequence[Any]) -> Block:
    kind, level, *places, markup, header, rows = made
    span, content = _spans(places)
    return Block(
        BlockKind(kind),
        span,
        content,
        int(level),
        tuple(_spans(markup)),
        None if header is None else _read_row(header),
        tuple(map(_read_row, rows)),
    )


def _read_row(made: Sequence[Any]) -> Row:
    start, end, cells = made
    return Row(Span(int(start), int(end)), tuple(map(_cell, cells)))


def _cell(made: Sequence[Any]) -> Cell:
    span, *markup = _spans(made)
    return Cell(span, tuple(markup))


def _spans(edges: Sequence[Any]) -> list[Span]:
    return [Span(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _check(block: Block) -> None:
    """Raise ValueError unless every place in the block is where a block has it."""
    _ordered([block.content], block.span)
    _ordered(block.markup, block.content)
    rows = [*([block.header] if block.header else []), *block.rows]
    _ordered((row.span for row in rows), block.content)
    for row in rows:
        _ordered((cell.span for cell in row.cells), row.span)
        for cell in row.cells:
            _ordered(cell.markup, cell.span)


def _ordered(parts: Iterable[Span], whole: Span) -> None:
    """Raise ValueError unless `parts` are in order and disjoint, inside `whole`."""
    known = list(parts)
    if any(left.end > right.start for left, right in pairwise(known)):
        raise ValueError("places must be in order")
    if not all(map(whole.contains, known)):
        raise ValueError("a place must lie inside its whole")
