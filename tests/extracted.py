"""What the tests of formats share whose text is taken out of a file."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from corpus.document import Block, BlockKind, Document, Span
from corpus.formats import plain
from corpus.formats.reading import Extract
from corpus.passages import passages

PHRASE = st.lists(
    st.text(st.sampled_from("abcdeéßжאع中<&\"'|#*1"), min_size=1, max_size=8), min_size=1, max_size=4
).map(" ".join)
CELL = st.one_of(PHRASE, PHRASE, st.just(""))


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Draw rows of as many cells each; every row and the first one's cells have words."""
    width = draw(st.integers(2, 4))
    header = draw(st.lists(PHRASE, min_size=width, max_size=width))
    rows = draw(st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=5))
    return [header, *(row if any(row) else [f"x{number}", *row[1:]] for number, row in enumerate(rows))]


def cells(document: Document | Extract, block: Block) -> list[list[str]]:
    """Return the words of each cell of a table, the header first."""
    rows = [*([block.header] if block.header else []), *block.rows]
    return [[cell.span.of(document.text) for cell in row.cells] for row in rows]


def shown(document: Document | Extract) -> list[tuple[str, int, str]]:
    """Return kind, level and words of each block; of a table its cells, with `|` and `/` between them."""
    return [
        (
            block.kind.value,
            block.level,
            " / ".join("|".join(row) for row in cells(document, block))
            if block.kind is BlockKind.TABLE
            else block.content.of(document.text),
        )
        for block in document.blocks
    ]


def inside(parts: list[Span], whole: Span) -> None:
    assert all(whole.contains(part) for part in parts)
    assert all(left.end <= right.start for left, right in pairwise(parts))


def check(extract: Document | Extract) -> None:
    """Assert what holds of every text taken out of a file: where its blocks, rows and cells stand."""
    text = extract.text
    inside([block.span for block in extract.blocks], Span(0, len(text)))
    left = text
    for block in reversed(extract.blocks):
        inside([block.content], block.span)
        inside(list(block.markup), block.content)
        assert block.span.of(text).strip() == block.span.of(text) != ""
        assert plain(text, block.content, block.markup)
        assert (block.level > 0) == (block.kind in (BlockKind.HEADING, BlockKind.LIST_ITEM))
        rows = [*([block.header] if block.header else []), *block.rows]
        assert bool(rows) == (block.kind is BlockKind.TABLE)
        inside([row.span for row in rows], block.content)
        for row in rows:
            inside([cell.span for cell in row.cells], row.span)
        if rows:
            words = [plain(text, cell.span, cell.markup) for row in rows for cell in row.cells]
            assert plain(text, block.content, block.markup) == " ".join(" ".join(words).split())
        left = left[: block.span.start] + left[block.span.end :]
    assert not left.strip()
    assert "\0" not in text
    text.encode("utf-8")
    assert list(extract.pages) == sorted(extract.pages)
    assert all(0 <= page <= len(text) for page in extract.pages)


def answers(document: Document) -> list[tuple[str, str, str]]:
    """Return the words of each cell that can be an answer, with its row label and its column header."""
    found = []
    for passage in passages(document, lambda text: len(text.split()), window=200):
        for one in passage.candidates:
            label, header = one.row_label, one.column_header
            found.append(
                (
                    one.span.of(document.text),
                    label.of(document.text) if label else "",
                    header.of(document.text) if header else "",
                )
            )
    return found
