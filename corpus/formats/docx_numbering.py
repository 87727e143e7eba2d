"""The numbers and bullets of a DOCX file: its text does not hold them, they are counted as Word counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from docx.oxml.ns import qn

from corpus.formats.docx_styles import Element, Style, value

BULLET = "- "
_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_MOST_ROMAN = 4999


@dataclass(frozen=True, slots=True)
class _Level:
    start: int = 1
    form: str = "bullet"
    text: str = ""


class Numbering:
    """The lists of a file, and how far each has been counted."""

    def __init__(self, root: Element | None, styles: Mapping[str, Style]) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}  # of each abstract list
        self._lists: dict[str, str] = {}  # the abstract list of each list
        self._begins: dict[str, dict[int, int]] = {}  # where a list begins anew
        self._counts: dict[str, list[int | None]] = {}  # of each abstract list
        if root is None:
            return
        linked: dict[str, str] = {}
        for element in root.iterchildren(qn("w:abstractNum")):
            name = element.get(qn("w:abstractNumId"), "")
            self._levels[name] = _levels(element)
            if style := styles.get(value(element, "w:numStyleLink") or ""):
                linked[name] = style.numbering or ""
        for element in root.iterchildren(qn("w:num")):
            name = element.get(qn("w:numId"), "")
            self._lists[name] = value(element, "w:abstractNumId") or ""
            self._begins[name] = _begins(element)
        for name, other in linked.items():
            if not self._levels[name]:
                self._levels[name] = self._levels.get(self._lists.get(other, ""), {})

    def marker(self, name: str, depth: int) -> str:
        """Return what stands before the next paragraph of a list at this depth, with a space behind it."""
        depth = min(depth, _LEVELS - 1)
        abstract = self._lists.get(name, "")
        levels = self._levels.get(abstract, {})
        level = levels.get(depth, _Level())
        counts = self._counts.setdefault(abstract, [None] * _LEVELS)
        begin = self._begins.get(name, {}).pop(depth, None)
        before = counts[depth]
        counts[depth] = begin if begin is not None else level.start if before is None else before + 1
        counts[depth + 1 :] = [None] * (_LEVELS - depth - 1)
        if level.form == "bullet":
            return BULLET
        if level.form == "none":
            return ""

        def number(place: re.Match[str]) -> str:
            which = int(place[1]) - 1
            other = levels.get(which, _Level())
            count = counts[which]
            return _written(other.start if count is None else count, other.form)

        text = _PLACE.sub(number, level.text).strip()
        return f"{text} " if text else ""


def _levels(element: Element) -> dict[int, _Level]:
    found: dict[int, _Level] = {}
    for level in element.iterchildren(qn("w:lvl")):
        depth = _count(level.get(qn("w:ilvl")), 0)
        start = _count(value(level, "w:start"), 1)
        found[depth] = _Level(start, value(level, "w:numFmt") or "decimal", value(level, "w:lvlText") or "")
    return found


def _begins(element: Element) -> dict[int, int]:
    found: dict[int, int] = {}
    for override in element.iterchildren(qn("w:lvlOverride")):
        start = value(override, "w:startOverride")
        if start is not None:
            found[_count(override.get(qn("w:ilvl")), 0)] = _count(start, 1)
    return found


def _count(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"\d{1,6}", text) else otherwise


def _written(count: int, form: str) -> str:
    """Return a number as a list shows it."""
    letters, roman = form.endswith("Letter"), form.endswith("Roman")
    if letters and count > 0:
        # a, b, ... z, aa, bb
        shown = chr(ord("a") + (count - 1) % 26) * min((count - 1) // 26 + 1, _LEVELS)
    elif roman and 0 < count <= _MOST_ROMAN:
        shown = ""
        for worth, sign in _ROMAN:
            shown += sign * (count // worth)
            count %= worth
    elif form == "decimalZero":
        return f"{count:02}"
    else:
        return str(count)
    return shown.upper() if form.startswith("upper") else shown
