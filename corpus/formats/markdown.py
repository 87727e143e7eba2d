"""Markdown (CommonMark, tables, strikethrough, front matter) read into blocks with exact places."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it.common.utils import MD_TRIM_CHARS
from markdown_it.token import Token
from markdown_it.utils import EnvType

from corpus.document import Block, BlockKind, Cell, Row, Span
from corpus.formats import frontmatter, markdown_containers, tables, tags
from corpus.formats.markdown_containers import parser
from corpus.formats.markdown_lines import Line, Stretch, lines_of
from corpus.formats.markdown_notation import ATTRIBUTES, Mark, disjoint, marks
from corpus.formats.plain import plain
from corpus.formats.reading import Reading

_LINE_END = re.compile(r"\r\n?")
_TASK = re.compile(r"\[[ xX]\][ \t]+")
_ESCAPED_BAR = re.compile(r"\\\|")

_BULLET_WITHIN = 200  # characters before the words of an item in which its bullet is looked for


@dataclass(frozen=True, slots=True)
class _Source:
    """The body as the library sees it, with line feeds alone, and the way back to the file's text."""

    text: str
    base: int
    """Where the body starts in the file's text."""
    pairs: list[int]
    """Line ends that are two characters in the file."""
    references: EnvType
    """Link definitions, filled when the blocks are parsed."""

    def span(self, mark: Mark) -> Span:
        """Return the place of `mark` in the file's text."""
        return Span(self._place(mark[0]), self._place(mark[1]))

    def _place(self, offset: int) -> int:
        return self.base + offset + bisect_left(self.pairs, offset)


def read(text: str) -> Reading:
    """Return the blocks, the title and the front matter of a Markdown text."""
    base, fields = frontmatter.split(text)
    body = text[base:]
    pairs = [match.start() for match in re.finditer("\r\n", body)]
    pairs = [place - count for count, place in enumerate(pairs)]
    source = _Source(_LINE_END.sub("\n", body), base, pairs, {})
    blocks = tuple(_blocks(source))
    return Reading(_title(text, blocks, fields), blocks, fields)


def _title(text: str, blocks: tuple[Block, ...], fields: frontmatter.Fields) -> str:
    declared = [value for name, value in fields if name.lower() == "title"]
    headings = [block for block in blocks if block.kind is BlockKind.HEADING]
    first = next((block for block in headings if block.level == 1), headings[0] if headings else None)
    written = plain(text, first.content, first.markup) if first else ""
    return " ".join(declared[0].split()) if declared else written


def _blocks(source: _Source) -> Iterator[Block]:
    """Yield the blocks in the order of the source."""
    tokens: list[Token] = []
    env: EnvType = {"references": source.references}
    parser().block.parse(source.text, parser(), env, tokens)
    depth = 0
    item: Token | None = None  # a list item that has had no block yet
    for token in tokens:
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                depth += 1
            case "bullet_list_close" | "ordered_list_close":
                depth -= 1
            case "list_item_open":
                item = token
                continue
            case "list_item_close" | "blockquote_open":
                item = None
        if "lines" in token.meta:
            block = _block(source, token, item, depth)
            item = None
            if block is not None:
                yield block


def _block(source: _Source, token: Token, item: Token | None, depth: int) -> Block | None:
    """Return the block that `token` opens, or None where it has no visible word."""
    lines = lines_of(token)
    match token.type:
        case markdown_containers.TITLE:
            return _caption(source, token, lines)
        case "paragraph_open":
            return _prose(source, lines) if item is None else _item(source, lines, item, depth)
        case "heading_open":
            return _heading(source, token, lines)
        case "html_block":
            return _html(source, lines)
        case "table_open":
            return _table(source, lines)
    return _code(source, token, lines)


def _made(
    source: _Source, kind: BlockKind, *, outer: Mark, inner: Mark, found: list[Mark], level: int = 0
) -> Block | None:
    """Return a block, or None where nothing is visible between its marks."""
    outer, inner = tables.trimmed(source.text, *outer), tables.trimmed(source.text, *inner)
    clipped = [(max(start, inner[0]), min(end, inner[1])) for start, end in found]
    markup = disjoint(clipped)
    edges = [inner[0], *(edge for mark in markup for edge in mark), inner[1]]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    if not any(source.text[start:end].strip() for start, end in gaps):
        return None
    spans = tuple(source.span(mark) for mark in markup)
    return Block(kind, source.span(outer), source.span(inner), level, spans)


def _prefixes(lines: list[Line], *, code: bool = False) -> list[Mark]:
    """Return what stands before the words of each line but the first: quote marks and indentation."""
    return [(before.end + 1, line.start if code else line.first) for before, line in pairwise(lines)]


def _inline(source: _Source, stretch: Stretch, skip: int = 0) -> list[Mark]:
    """Return the places of the inline notation in `stretch`, behind its first `skip` characters."""
    found = marks(stretch.text[skip:], source.references)
    return [stretch.places(start + skip, end + skip) for start, end in found]


def _prose(source: _Source, lines: list[Line]) -> Block | None:
    stretch = Stretch(lines)
    if not stretch.text:
        return None
    inner = stretch.places(0, len(stretch.text))
    found = _prefixes(lines) + _inline(source, stretch)
    return _made(source, BlockKind.PARAGRAPH, outer=inner, inner=inner, found=found)


def _caption(source: _Source, token: Token, lines: list[Line]) -> Block | None:
    """Return the title of a container, whose block is the line that opens it."""
    stretch = Stretch(lines)
    inner = stretch.places(0, len(stretch.text))
    found = _inline(source, stretch)
    return _made(source, BlockKind.CAPTION, outer=token.meta["whole"], inner=inner, found=found)


def _item(source: _Source, lines: list[Line], item: Token, depth: int) -> Block | None:
    """Return the first paragraph of a list item, with its bullet or number and task box before it."""
    stretch = Stretch(lines)
    task = _TASK.match(stretch.text)
    skip = task.end() if task else 0
    if skip >= len(stretch.text):
        return None
    inner = stretch.places(skip, len(stretch.text))
    outer = (_bullet(source, item, stretch.place(0)), inner[1])
    found = _prefixes(lines) + _inline(source, stretch, skip)
    return _made(source, BlockKind.LIST_ITEM, outer=outer, inner=inner, found=found, level=depth)


def _bullet(source: _Source, item: Token, first: int) -> int:
    """Return where the bullet or number of the item stands whose words begin at `first`."""
    marker = item.info + item.markup
    before = source.text[max(0, first - _BULLET_WITHIN) : first]
    start = first - len(before) + len(before.rstrip()) - len(marker)
    return start if before.rstrip().endswith(marker) else first


def _heading(source: _Source, token: Token, lines: list[Line]) -> Block | None:
    level = int(token.tag[1:])
    bottom = lines[-1].end
    if token.markup.startswith("#"):
        line = lines[0]
        words, end = tables.trimmed(source.text, line.first + level, line.end, MD_TRIM_CHARS)
        opened = source.text.rfind("{", words, end)
        if opened > words and ATTRIBUTES.fullmatch(source.text, opened, end):  # `## words ## {: #name }`
            words, end = tables.trimmed(source.text, words, opened, MD_TRIM_CHARS)
        closed = source.text[words:end].rstrip("#")
        if not closed or closed[-1] in " \t":  # `## words ##`, but not `## C#`
            end = words + len(closed.rstrip(MD_TRIM_CHARS))
        words_line = Line(words, words, end, source.text[words:end])
        lines, top = [words_line], line.first
    else:
        lines = lines[:-1]
        top = Stretch(lines).place(0)
    stretch = Stretch(lines)
    if not stretch.text:
        return None
    inner = stretch.places(0, len(stretch.text))
    found = _prefixes(lines) + _inline(source, stretch)
    return _made(source, BlockKind.HEADING, outer=(top, bottom), inner=inner, found=found, level=level)


def _html(source: _Source, lines: list[Line]) -> Block | None:
    stretch = Stretch(lines)
    start, end = tags.words(stretch.text)
    if start == end:
        return None
    found = _prefixes(lines) + [stretch.places(*mark) for mark in tags.marks(stretch.text)]
    outer, inner = stretch.places(0, len(stretch.text)), stretch.places(start, end)
    return _made(source, BlockKind.PARAGRAPH, outer=outer, inner=inner, found=found)


def _code(source: _Source, token: Token, lines: list[Line]) -> Block | None:
    """Return a block of code; its content is what is visible between the fences."""
    code = lines
    if token.type == "fence":
        count = token.content.count("\n") + (not token.content.endswith("\n") and token.content != "")
        code = lines[1 : 1 + count]
    if not code:
        return None
    outer, inner = (lines[0].first, lines[-1].end), (code[0].first, code[-1].end)
    found = _prefixes(code, code=True)
    return _made(source, BlockKind.CODE, outer=outer, inner=inner, found=found)


def _table(source: _Source, lines: list[Line]) -> Block | None:
    """Return a table; its markup is all that is not the words of a cell."""
    rows = [_row(source, line) for number, line in enumerate(lines) if number != 1]
    outer = tables.trimmed(source.text, lines[0].first, lines[-1].end)
    found: list[Mark] = []
    at = outer[0]
    for _, cells in rows:
        for (start, end), notation in cells:
            found += [(at, start), *notation]
            at = end
    found.append((at, outer[1]))
    block = _made(source, BlockKind.TABLE, outer=outer, inner=outer, found=found)
    if block is None:
        return None
    header, *body = [
        Row(
            source.span(place),
            tuple(Cell(source.span(cell), tuple(map(source.span, notation))) for cell, notation in cells),
        )
        for place, cells in rows
    ]
    return Block(block.kind, block.span, block.content, markup=block.markup, header=header, rows=tuple(body))


def _row(source: _Source, line: Line) -> tuple[Mark, list[tuple[Mark, list[Mark]]]]:
    """Return the place of a row, and of each cell with the notation in it."""
    place = tables.trimmed(source.text, line.first, line.end)
    cells = tables.cells(source.text, line.first, line.end)
    return place, [(cell, _cell_marks(source, cell)) for cell in cells]


def _cell_marks(source: _Source, cell: Mark) -> list[Mark]:
    """Return the notation in a cell. A bar's backslash goes before the rest of the cell is parsed."""
    raw = source.text[slice(*cell)]
    escapes = [match.start() for match in _ESCAPED_BAR.finditer(raw)]
    bars = [place - count for count, place in enumerate(escapes)]

    def place(offset: int) -> int:
        return cell[0] + offset + bisect_right(bars, offset)

    found = marks(_ESCAPED_BAR.sub("|", raw), source.references)
    moved = [(place(start), place(end - 1) + 1) for start, end in found]
    return disjoint(moved + [(cell[0] + escape, cell[0] + escape + 1) for escape in escapes])
