"""The nouns every room shares: a document, and places in it.

The words of a document exist once, in `Document.text`. Everything else here is a place in it,
counted in Unicode code points, so a quotation that is not in the document cannot be expressed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range `[start, end)` of Unicode code points of one document's text."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"a span needs 0 <= start <= end, got [{self.start}, {self.end})")

    def __len__(self) -> int:
        return self.end - self.start

    def of(self, text: str) -> str:
        """Return the slice of `text` this span stands for."""
        return text[self.start : self.end]

    def contains(self, other: Span) -> bool:
        """Return whether every code point of `other` lies inside this span."""
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: Span) -> bool:
        """Return whether the two spans share at least one code point."""
        return self.start < other.end and other.start < self.end


class BlockKind(StrEnum):
    """What a block of a document is; a quotation inside another document keeps its own kinds."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE = "table"
    CODE = "code"
    CAPTION = "caption"
    """A short line that names the block below it: the title of an admonition or a tab."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table: the span of its words, without the bars and padding around them."""

    span: Span
    markup: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, with as many cells as the source gives it (rows may be ragged)."""

    span: Span
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a document, as it stands in the source.

    `span` is the whole block in the source with its markers (`## `, `- `, fences), from its first
    to its last visible character. `content` is the part of it that carries the words. `markup` is
    sorted and disjoint: the places inside `content` that are notation and not words (emphasis
    marks, link targets, quote marks at the start of a continued line).
    """

    kind: BlockKind
    span: Span
    content: Span
    level: int = 0
    """Heading level from 1 to 6; depth of a list item from 1; 0 otherwise."""
    markup: tuple[Span, ...] = ()
    header: Row | None = None
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the corpus: its canonical text and the blocks the parser saw in it."""

    id: str
    """Relative POSIX path inside the corpus folder."""
    title: str
    text: str
    sha: str
    """SHA-256 of `text` in UTF-8, as 64 hexadecimal digits."""
    format: str
    blocks: tuple[Block, ...] = field(repr=False)
    fields: tuple[tuple[str, str], ...] = ()
    """Front matter as flat (name, value) pairs, in the order of the source."""
    pages: tuple[int, ...] = ()
    """Where each page begins in `text`, in code points and in order; a page without words begins where
    the next one does. Empty where the format knows no pages."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A place in a document. Its words are sliced, never stored."""

    document: Document
    span: Span

    @property
    def text(self) -> str:
        """Return the quoted words, verbatim."""
        return self.span.of(self.document.text)


class CandidateKind(StrEnum):
    """What an answer candidate is: a sentence (or a line of code), a cell of a table, or a clause."""

    SENTENCE = "sentence"
    CELL = "cell"
    SPAN = "span"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place short enough to be an answer, inside one passage.

    A cell carries the places of its row label and its column header, where the table has them:
    without those two a cell such as `2015` says nothing.
    """

    kind: CandidateKind
    span: Span
    embedded: Span
    """Where its words stand in the passage's `embedded` text; the next two likewise."""
    statement: str = ""
    """What is embedded for it alone: a cell with the words that give it its meaning, a list item. Empty
    for a sentence of prose, which is read within its passage."""
    row_label: Span | None = None
    column_header: Span | None = None
    row_label_embedded: Span | None = None
    """Of a cell the place of its row label; of a list item that of the line that leads in to its list, of its
    later sentences that of the first one."""
    column_header_embedded: Span | None = None
    block: BlockKind = BlockKind.PARAGRAPH
    """What it is a part of."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is indexed: whole sentences or rows of one section, within the encoder's window."""

    span: Span
    headings: tuple[Span, ...]
    """The places of the headings above it, outermost first."""
    candidates: tuple[Candidate, ...]
    embedded: str
    """What the rankers read: title and headings, then the words without their markup."""
    context: int
    """How many code points of `embedded` are title and headings, before the passage's own words."""
