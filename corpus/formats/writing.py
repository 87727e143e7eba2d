"""A text under construction: what was taken out of a file, block by block, with the place of each."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.document import Block, BlockKind, Cell, Row, Span
from corpus.formats.reading import Extract

BAR = " | "
"""Between the cells of a row, as in Markdown."""


class Writing:
    """The blocks written so far. What is written is the canonical text, so every place is exact."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._parts: list[str] = []
        self._length = 0

    def add(self, kind: BlockKind, words: str, *, level: int = 0, marker: str = "", indent: int = 0) -> int:
        """Write a block, if it has words, and return where its words begin.

        `marker` stands before the words and is none of them (`- `); `indent` spaces stand before it.
        """
        kept = words.rstrip()
        bare = kept.lstrip()
        if not bare:
            return self._length
        self._part(kind)
        # Code keeps the indentation of its first line in the text, outside of the block.
        before = kept[: len(kept) - len(bare)].split("\n")[-1] if kind is BlockKind.CODE else ""
        start = self._put(" " * indent + before)
        begin = self._put(marker)
        end = self._put(bare)
        span = Span(start if marker.strip() else begin, end)
        self.blocks.append(Block(kind, span, Span(begin, end), level))
        return begin

    def add_paragraph(self, words: str) -> None:
        """Write a paragraph on one line, if it has words."""
        self.add(BlockKind.PARAGRAPH, " ".join(words.split()))

    def add_table(self, rows: Sequence[Sequence[str]], *, headed: bool) -> None:
        """Write a table, a row a line; the first row is its header if `headed`. Rows need words."""
        written = [row for row in rows if any(cell.strip() for cell in row)]
        if not written:
            return
        headed = headed and len(written) > 1 and written[0] is rows[0]
        self._part(BlockKind.TABLE)
        start = self._length
        made: list[Row] = []
        markup: list[Span] = []
        for cells in written:
            if made:
                self._put("\n")
            made.append(self._row(cells, markup))
        span = Span(start, self._length)
        header, body = (made[0], made[1:]) if headed else (None, made)
        block = Block(BlockKind.TABLE, span, span, markup=tuple(markup), header=header, rows=tuple(body))
        self.blocks.append(block)

    def first_heading(self, deepest: int = 6) -> str:
        """Return the words of the first heading of this level or one above it, or nothing."""
        for block in self.blocks:
            if block.kind is BlockKind.HEADING and block.level <= deepest:
                return block.content.of("".join(self._parts))
        return ""

    def _row(self, cells: Sequence[str], markup: list[Span]) -> Row:
        """Write one row on one line and return it; the bars between its cells go to `markup`."""
        words = [" ".join(cell.split()) for cell in cells]
        line = BAR.join(words)
        lead = len(line) - len(line.lstrip())
        start = self._length
        end = self._put(line.strip())
        found: list[Cell] = []
        at, before = start - lead, start
        for cell in words:
            # The bar of an empty first or last cell loses the space that would stand at the line's edge.
            place = Span(min(max(at, start), end), min(max(at + len(cell), start), end))
            if before < place.start:
                markup.append(Span(before, place.start))
            found.append(Cell(place))
            at, before = at + len(cell) + len(BAR), place.end
        if before < end:
            markup.append(Span(before, end))
        return Row(Span(start, end), tuple(found))

    def extract(self, title: str, pages: tuple[int, ...] = ()) -> Extract:
        """Return the finished text with its blocks."""
        if self._parts:
            self._put("\n")
        return Extract("".join(self._parts), title, tuple(self.blocks), pages)

    def _part(self, kind: BlockKind) -> None:
        """Leave a blank line behind the block before; the items of a list stand together."""
        if self.blocks:
            both = self.blocks[-1].kind is kind is BlockKind.LIST_ITEM
            self._put("\n" if both else "\n\n")

    def _put(self, words: str) -> int:
        """Write `words` and return the place behind them."""
        self._parts.append(words)
        self._length += len(words)
        return self._length
