"""Plain text read into blocks: paragraphs, headings, lists and tables, by how the lines look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corpus.document import Block, BlockKind, Span
from corpus.formats import plaintext_tables
from corpus.formats.plaintext_headings import Part, outline
from corpus.formats.plaintext_lines import Line, groups
from corpus.formats.reading import Reading

_TITLE_WITHIN = 3  # blocks: a heading further down names its section, not the text


def read(text: str) -> Reading:
    """Return the blocks and the title of a plain text."""
    blocks = tuple(block for part in outline(groups(text)) for block in _blocks(part))
    titles = (block for block in blocks[:_TITLE_WITHIN] if block.kind is BlockKind.HEADING)
    title = next(titles, None)
    return Reading(" ".join(title.content.of(text).split()) if title else "", blocks)


def _blocks(part: Part) -> Iterator[Block]:
    if part.level == 0:
        yield from _body(part.lines)
        return
    words = part.lines[part.title]
    span, content = Span(part.lines[0].start, part.lines[-1].end), Span(words.start, words.end)
    yield Block(BlockKind.HEADING, span, content, part.level)


def _body(lines: Sequence[Line]) -> Iterator[Block]:
    """Yield the blocks of lines that stand together and are no heading."""
    if barred := plaintext_tables.barred(lines):
        yield barred
    elif (first := _first_item(lines)) is not None:
        if first:
            yield from _body(lines[:first])
        yield from _items(lines[first:])
    elif found := plaintext_tables.columns(lines):
        first, last, table = found
        if first:
            yield from _body(lines[:first])
        yield table
        if last < len(lines):
            yield from _body(lines[last:])
    else:
        yield from _between_rules(lines)


def _between_rules(lines: Sequence[Line]) -> Iterator[Block]:
    """Yield the blocks between drawn lines, which are no words."""
    run: list[Line] = []
    for line in lines:
        if not line.is_rule():
            run.append(line)
        elif run:
            yield from _prose(run)
            run = []
    if run:
        yield from _prose(run)


def _prose(lines: Sequence[Line]) -> Iterator[Block]:
    """Yield a flattened table or a paragraph; a line that ends with a colon may announce the table."""
    if lines[0].words.endswith(":") and (table := plaintext_tables.flattened(lines[1:])):
        yield _of(BlockKind.PARAGRAPH, lines[:1])
        yield table
    else:
        yield plaintext_tables.flattened(lines) or _of(BlockKind.PARAGRAPH, lines)


def _first_item(lines: Sequence[Line]) -> int | None:
    """Return the number of the line where a list begins, or None.

    Below other lines, one dash or number is more likely a wrapped sentence than a list.
    """
    items = [number for number, line in enumerate(lines) if line.bullet() and not line.is_rule()]
    if not items or items[0] == 0:
        return items[0] if items else None
    first = lines[items[0]].words
    announced = lines[items[0] - 1].words.endswith(":")
    begins = not first[0].isdigit() or first.startswith("1")
    return items[0] if begins and (announced or len(items) > 1) else None


def _items(lines: Sequence[Line]) -> Iterator[Block]:
    """Yield the list items, each with the lines that continue it."""
    starts = [number for number, line in enumerate(lines) if line.bullet()]
    open_columns: list[int] = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        column = lines[start].column
        while open_columns and open_columns[-1] >= column:
            open_columns.pop()
        open_columns.append(column)
        yield _of(BlockKind.LIST_ITEM, lines[start:end], skip=lines[start].bullet(), level=len(open_columns))


def _of(kind: BlockKind, lines: Sequence[Line], *, skip: int = 0, level: int = 0) -> Block:
    start, end = lines[0].start, lines[-1].end
    return Block(kind, Span(start, end), Span(start + skip, end), level)
