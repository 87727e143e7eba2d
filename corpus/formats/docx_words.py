"""The words of a paragraph of a DOCX file as they are shown: not deleted, not hidden, not struck out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from docx.oxml.ns import qn

from corpus.formats.docx_styles import Element, is_on
from corpus.formats.figures import lowered, raised

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_SKIPPED = frozenset(
    [
        *(qn("w:del"), qn("w:moveFrom"), qn("w:pPr"), qn("w:rPr"), qn("w:sdtPr"), qn("w:rt")),
        f"{_MC}Fallback",  # the same once more, for programs that do not know the choice before it
    ]
)
_BOX = qn("w:txbxContent")
_BREAKS = {
    qn("w:br"): "\n",
    qn("w:cr"): "\n",
    qn("w:tab"): " ",
    qn("w:ptab"): " ",
    qn("w:noBreakHyphen"): "-",
}
_TEXTS = (qn("w:t"), f"{_MATH}t")
_UNSEEN = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF))


@dataclass(slots=True)
class Said:
    """What a paragraph says."""

    pieces: list[str] = field(default_factory=list)
    strong: bool = True
    """Whether all of it is bold."""
    boxes: list[Element] = field(default_factory=list)
    """Text boxes anchored in it, whose paragraphs are their own."""

    def words(self) -> str:
        """Return its lines, divided by line feeds, without space around or doubled."""
        lines = ("".join(self.pieces)).translate(_UNSEEN).split("\n")
        return "\n".join(words for line in lines if (words := " ".join(line.split())))

    def source(self) -> str:
        """Return its text as it stands, space and all."""
        return "".join(self.pieces)


def read(paragraph: Element, *, strong: bool = False) -> Said:
    """Return what is shown of a paragraph; `strong` says that its style is bold."""
    found = Said()
    for run in _runs(paragraph, found):
        properties = run.find(qn("w:rPr")) if run.tag == qn("w:r") else None
        if any(is_on(properties, name) for name in ("w:vanish", "w:strike", "w:dstrike")):
            continue
        text = "".join(_text(run, found))
        if not text:
            continue
        shift = None if properties is None else properties.find(qn("w:vertAlign"))
        where = None if shift is None else shift.get(qn("w:val"))
        if where == "superscript":
            text = raised(text)
        elif where == "subscript":
            text = lowered(text)
        told = properties is not None and properties.find(qn("w:b")) is not None
        if text.strip() and not (is_on(properties, "w:b") if told else strong):
            found.strong = False
        found.pieces.append(text)
    return found


def _runs(element: Element, found: Said) -> Iterator[Element]:
    """Yield the runs below `element`, wherever links, insertions and fields have put them."""
    for child in element.iterchildren("*"):
        if child.tag == qn("w:r") or child.tag == f"{_MATH}r":
            yield child
        elif child.tag == _BOX:
            found.boxes.append(child)
        elif child.tag not in _SKIPPED:
            yield from _runs(child, found)


def _text(element: Element, found: Said) -> Iterator[str]:
    for child in element.iterchildren("*"):
        if child.tag in _TEXTS:
            yield child.text or ""
        elif child.tag in _BREAKS:
            yield _BREAKS[child.tag]
        elif child.tag == _BOX:
            found.boxes.append(child)
        elif child.tag not in _SKIPPED:
            yield from _text(child, found)
