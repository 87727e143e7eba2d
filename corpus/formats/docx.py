"""A Word document: its body in its order, with headings, lists, tables and notes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.exceptions import OpcError
from docx.oxml.ns import qn
from docx.oxml.parser import parse_xml

from corpus.document import BlockKind
from corpus.formats import docx_archive, docx_words, grids
from corpus.formats.docx_archive import SAVE_ANEW
from corpus.formats.docx_numbering import BULLET, Numbering
from corpus.formats.docx_styles import Element, Style, is_on, said, styles, value
from corpus.formats.grids import Slot
from corpus.formats.reading import Extract, UnreadableDocument
from corpus.formats.writing import Writing

_WRAPPERS = frozenset(
    map(
        qn,
        (
            "w:sdt",
            "w:sdtContent",
            "w:customXml",
            "w:smartTag",
            "w:ins",
            "w:moveTo",
            "w:body",
            "w:txbxContent",
        ),
    )
)
_PARAGRAPH, _TABLE = qn("w:p"), qn("w:tbl")
_FIRST_ROW = 0x0020  # bit of a table's look: its first row is set apart
_DEFAULT_TITLES = ("word document", "untitled")


def read(data: bytes) -> Extract:
    """Return the body of a document; raise UnreadableDocument for one that is locked, damaged or harmful."""
    docx_archive.check(data)
    try:
        document = docx.Document(io.BytesIO(data))
        body = _Body(document)
        body.write(document.element.body)
        body.write_notes(document)
    except (OpcError, AttributeError, LookupError, SyntaxError, TypeError, ValueError) as error:
        seen = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UnreadableDocument(f"is damaged as DOCX ({seen}); {SAVE_ANEW}") from error
    if not body.writing.blocks:
        raise UnreadableDocument(
            "holds no text; if its pages are pictures, have their text recognized and save that"
        )
    return body.writing.extract(_title(document, body))


def _title(document: Document, body: _Body) -> str:
    """Return the title that the document shows, or else the one that its properties tell."""
    if body.title:
        return body.title
    told = ""
    if any(rel.reltype == RELATIONSHIP_TYPE.CORE_PROPERTIES for rel in document.part.package.rels.values()):
        told = " ".join((document.core_properties.title or "").split())
    return told if told and told.casefold() not in _DEFAULT_TITLES else body.writing.first_heading(1)


class _Body:
    """The body of a document while it is gone through."""

    def __init__(self, document: Document) -> None:
        self.writing = Writing()
        self.title = ""
        self._styles = styles(_part(document, RELATIONSHIP_TYPE.STYLES))
        self._numbering = Numbering(_part(document, RELATIONSHIP_TYPE.NUMBERING), self._styles)
        self._code: list[str] = []

    def write(self, container: Element) -> None:
        """Write the paragraphs and tables in `container`."""
        for element in _parts(container):
            if element.tag == _PARAGRAPH:
                self._paragraph(element)
            else:
                self._end_code()
                self._table(element)
        self._end_code()

    def write_notes(self, document: Document) -> None:
        """Write the foot and end notes, which stand in parts of their own."""
        for kind, name in (
            ("footnote", RELATIONSHIP_TYPE.FOOTNOTES),
            ("endnote", RELATIONSHIP_TYPE.ENDNOTES),
        ):
            notes = _part(document, name)
            for note in [] if notes is None else notes.iterchildren(qn(f"w:{kind}")):
                if note.get(qn("w:type")) in (None, "normal"):  # the others are the lines above the notes
                    self.write(note)

    def _paragraph(self, paragraph: Element) -> None:
        properties = paragraph.find(qn("w:pPr"))
        style = self._style(properties)
        if style.contents or (properties is not None and is_on(properties.find(qn("w:rPr")), "w:vanish")):
            return
        found = docx_words.read(paragraph)
        if style.code:
            self._code.append(found.source())
            return
        self._end_code()
        own = said(properties)
        self._words(found.words(), style, own)
        for box in found.boxes:
            self.write(box)

    def _words(self, words: str, style: Style, own: Style) -> None:
        if not words:
            return
        numbering = style.numbering if own.numbering is None else own.numbering
        depth = own.depth if own.depth is not None else style.depth or 0
        marker = self._numbering.marker(numbering, depth) if numbering not in (None, "0") else ""
        level = 1 if style.title else style.heading if own.heading is None else own.heading
        if style.title and not self.title:
            self.title = " ".join(words.split())
        if level:
            mark = "" if marker == BULLET else marker
            self.writing.add(BlockKind.HEADING, " ".join(words.split()), level=level, marker=mark)
        elif marker:
            depth += style.deeper
            indent = 2 * depth
            self.writing.add(BlockKind.LIST_ITEM, words, level=depth + 1, marker=marker, indent=indent)
        else:
            self.writing.add(BlockKind.PARAGRAPH, words)

    def _end_code(self) -> None:
        if self._code:
            self.writing.add(BlockKind.CODE, "\n".join(self._code).strip("\n"))
            self._code = []

    def _style(self, properties: Element | None) -> Style:
        name = None if properties is None else value(properties, "w:pStyle")
        return self._styles.get(name or "", Style())

    def _table(self, table: Element) -> None:
        """Write a table; one that only puts parts of the page side by side is gone through like the body."""
        rows = [list(row.iterchildren(qn("w:tc"))) for row in _rows(table)]
        if max(map(len, rows), default=0) < 2 or any(self._is_part(cell) for row in rows for cell in row):
            for row in rows:
                for cell in row:
                    self.write(cell)
            return
        headers = 0
        for row in _rows(table):
            if not is_on(row.find(qn("w:trPr")), "w:tblHeader"):
                break
            headers += 1
        look = table.find(f"{qn('w:tblPr')}/{qn('w:tblLook')}")
        grids.write(self.writing, self._slots(table), headers or None, likely=_likely(look))

    def _is_part(self, cell: Element) -> bool:
        """Return whether a cell is a part of the page: whether it holds a table or a heading."""
        if cell.find(f".//{_TABLE}") is not None:
            return True
        return any(
            self._style(paragraph.find(qn("w:pPr"))).heading for paragraph in cell.iterchildren(_PARAGRAPH)
        )

    def _slots(self, table: Element) -> list[list[Slot]]:
        """Return the cells of each row, those that go over several rows with the first of these."""
        rows: list[list[Slot]] = []
        open_cells: dict[int, tuple[int, int]] = {}  # by column: where the cell stands that may go on below
        for row in _rows(table):
            rows.append([])
            column = _before(row)
            rows[-1] += [Slot("")] * column
            still_open: dict[int, tuple[int, int]] = {}
            for cell in row.iterchildren(qn("w:tc")):
                properties = cell.find(qn("w:tcPr"))
                across = _across(properties)
                merge = None if properties is None else properties.find(qn("w:vMerge"))
                goes_on = merge is not None and merge.get(qn("w:val"), "continue") == "continue"
                if goes_on and column in open_cells:
                    above, place = open_cells[column]
                    slot = rows[above][place]
                    rows[above][place] = Slot(slot.words, slot.across, slot.down + 1, slot.strong)
                    still_open[column] = (above, place)
                else:
                    rows[-1].append(self._slot(cell, across))
                    if merge is not None:
                        still_open[column] = (len(rows) - 1, len(rows[-1]) - 1)
                column += across
            open_cells = still_open
        return rows

    def _slot(self, cell: Element, across: int) -> Slot:
        found = []
        for paragraph in cell.iter(_PARAGRAPH):
            style = self._style(paragraph.find(qn("w:pPr")))
            found.append(docx_words.read(paragraph, strong=bool(style.strong)))
        said_here = [one for one in found if one.words()]
        words = " ".join(one.words() for one in said_here)
        return Slot(words, across, strong=bool(said_here) and all(one.strong for one in said_here))


def _part(document: Document, kind: str) -> Element | None:
    """Return the root of one of the parts that belong to the document, None where there is none."""
    for relation in document.part.rels.values():
        if relation.reltype == kind and not relation.is_external:
            return parse_xml(relation.target_part.blob)
    return None


def _parts(container: Element) -> Iterator[Element]:
    """Yield the paragraphs and tables in `container`, without a table of contents."""
    for child in container.iterchildren("*"):
        if child.tag in (_PARAGRAPH, _TABLE):
            yield child
        elif child.tag in _WRAPPERS and not _is_contents(child):
            yield from _parts(child)


def _is_contents(element: Element) -> bool:
    path = "/".join(map(qn, ("w:sdtPr", "w:docPartObj", "w:docPartGallery")))
    gallery = element.find(path)
    return gallery is not None and gallery.get(qn("w:val")) == "Table of Contents"


def _rows(table: Element) -> Iterator[Element]:
    """Yield the rows of a table that are not deleted."""
    for child in table.iterchildren("*"):
        if child.tag == qn("w:tr"):
            properties = child.find(qn("w:trPr"))
            if properties is None or properties.find(qn("w:del")) is None:
                yield child
        elif child.tag in _WRAPPERS:
            yield from _rows(child)


def _across(properties: Element | None) -> int:
    span = None if properties is None else value(properties, "w:gridSpan")
    return min(max(int(span), 1), 63) if span is not None and span.isdecimal() else 1  # Word's own limit


def _before(row: Element) -> int:
    """Return how many columns a row leaves out at its beginning."""
    properties = row.find(qn("w:trPr"))
    before = None if properties is None else value(properties, "w:gridBefore")
    return min(int(before), 63) if before is not None and before.isdecimal() else 0


def _likely(look: Element | None) -> bool:
    """Return whether the table's look sets its first row apart."""
    if look is None:
        return False
    first = look.get(qn("w:firstRow"))
    if first is not None:
        return first in ("1", "true", "on")
    bits = look.get(qn("w:val"), "0")
    return re.fullmatch(r"[0-9A-Fa-f]{1,8}", bits) is not None and bool(int(bits, 16) & _FIRST_ROW)
