"""What the styles of a DOCX file make of a paragraph: a heading, a list item, code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docx.oxml.ns import qn

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_LIST = re.compile(r"list (?:bullet |number )?([2-5])", re.IGNORECASE)
_CONTENTS = re.compile(r"toc (?:\d|heading)|table of (?:figures|authorities)|index \d", re.IGNORECASE)
_CODE = re.compile(r"(?:source ?)?code(?: block)?|html preformatted|macro text|verbatim", re.IGNORECASE)

_LONGEST_CHAIN = 20  # styles that build on one another; Word itself allows eleven
_MOST_LEVEL = 6

Element = Any
"""An element of the file's XML: lxml has no types."""


@dataclass(frozen=True, slots=True)
class Style:
    """What is known of a paragraph's kind; None where nothing is said."""

    heading: int | None = None
    """Level from 1; 0 says that it is none, whatever it builds on."""
    title: bool = False
    contents: bool = False
    """Part of a table of contents."""
    code: bool = False
    strong: bool | None = None
    """Set in bold."""
    numbering: str | None = None
    """Id of the list it is in; "0" for none."""
    depth: int | None = None
    """Level of the list, from 0."""
    deeper: int = 0
    """Levels that the style is set in beside that: `List Bullet 2` is a list of its own, shown inside."""


def styles(root: Element | None) -> dict[str, Style]:
    """Return what each paragraph style says, together with those it builds on."""
    elements: dict[str, Element] = {}
    if root is not None:
        for element in root.iterchildren(qn("w:style")):
            elements.setdefault(element.get(qn("w:styleId"), ""), element)
    return {name: _resolved(name, elements) for name in elements}


def _resolved(name: str, elements: Mapping[str, Element]) -> Style:
    """Return the style, each of its properties from the nearest that has it."""
    known = Style()
    for element in _chain(name, elements):
        called = value(element, "w:name") or ""
        own = said(element.find(qn("w:pPr")))
        heading = _HEADING.fullmatch(called)
        listed = _LIST.fullmatch(called)
        level = min(int(heading[1]), _MOST_LEVEL) if heading else own.heading
        known = Style(
            heading=level if known.heading is None else known.heading,
            title=known.title or called.casefold() == "title",
            contents=known.contents or _CONTENTS.fullmatch(called) is not None,
            code=known.code or _CODE.fullmatch(called) is not None,
            strong=_strong(element) if known.strong is None else known.strong,
            numbering=own.numbering if known.numbering is None else known.numbering,
            depth=own.depth if known.depth is None else known.depth,
            deeper=known.deeper or (int(listed[1]) - 1 if listed else 0),
        )
    return known


def _strong(style: Element) -> bool | None:
    properties = style.find(qn("w:rPr"))
    said_so = properties is not None and properties.find(qn("w:b")) is not None
    return is_on(properties, "w:b") if said_so else None


def _chain(name: str, elements: Mapping[str, Element]) -> Iterator[Element]:
    for _ in range(_LONGEST_CHAIN):
        element = elements.get(name)
        if element is None:
            return
        yield element
        name = value(element, "w:basedOn") or ""


def said(properties: Element | None) -> Style:
    """Return what a paragraph's own properties say."""
    if properties is None:
        return Style()
    level = _number(value(properties, "w:outlineLvl"))
    numbers = properties.find(qn("w:numPr"))
    return Style(
        heading=None if level is None else min(level + 1, _MOST_LEVEL) if level < 9 else 0,
        numbering=None if numbers is None else value(numbers, "w:numId"),
        depth=None if numbers is None else _number(value(numbers, "w:ilvl")),
    )


def value(element: Element, name: str) -> str | None:
    """Return the `w:val` of a child, None where there is none."""
    child = element.find(qn(name))
    found = None if child is None else child.get(qn("w:val"))
    return None if found is None else str(found)


def is_on(properties: Element | None, name: str) -> bool:
    """Return whether a property is there and not switched off."""
    child = None if properties is None else properties.find(qn(name))
    return child is not None and child.get(qn("w:val"), "1") not in ("0", "false", "off")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,6}", text) else None
