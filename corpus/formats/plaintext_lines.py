"""The lines of a plain text: where their words stand, and what each looks like on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE_END = re.compile(r"\r\n?|\n")
_RULE = re.compile(r"[-=~_*#+.^\"'`:<>|\s]{3,}")
_UNDERLINE = re.compile(r"([-=~_*#+.^\"'`:<>])\1{2,}+")
_ITEM = re.compile(r"(?:[-*+•‣⁃◦▪▫●○∙·–—]|\(?(?:\d{1,3}|[a-z])\)|\d{1,3}\.)\s+(?=\S)")
_SENTENCE_ENDS = tuple(".!?,;:…。！？،؛؟।")

LONG = 160
"""Characters from which a line is a paragraph of its own: nobody wraps text that wide."""
SHORT = 60
"""Characters up to which a line above a long one is not the start of the same paragraph."""


class Line(NamedTuple):
    """A line with visible characters: it begins at `begin`, its words fill `[start, end)`."""

    begin: int
    start: int
    end: int
    words: str
    indent: str

    @property
    def column(self) -> int:
        """Return how many columns the words are indented."""
        return len(self.indent.expandtabs(8))

    def is_rule(self) -> bool:
        """Return whether the line is drawn and not written: `-----`, `=== ===`, `+---+---+`."""
        return _RULE.fullmatch(self.words) is not None

    def underline(self) -> str:
        """Return the character the line repeats, or nothing."""
        match = _UNDERLINE.fullmatch(self.words)
        return match[1] if match else ""

    def bullet(self) -> int:
        """Return how many characters the bullet or number of a list item takes, or 0."""
        match = _ITEM.match(self.words)
        return match.end() if match else 0

    def ends_sentence(self) -> bool:
        """Return whether the line ends with punctuation that a title or a table row does not have."""
        return self.words.endswith(_SENTENCE_ENDS)


def groups(text: str) -> Iterator[list[Line]]:
    """Yield the lines that stand together, in order; blank lines and very long lines divide them."""
    group: list[Line] = []
    begin = 0
    while begin < len(text):
        match = _LINE_END.search(text, begin)
        end, after = match.span() if match else (len(text), len(text))
        raw = text[begin:end]
        words = raw.strip()
        if words:
            start = begin + len(raw) - len(raw.lstrip())
            line = Line(begin, start, start + len(words), words, text[begin:start])
            if group and _divides(group[-1], line):
                yield group
                group = []
            group.append(line)
        elif group:
            yield group
            group = []
        begin = after
    if group:
        yield group


def _divides(line: Line, following: Line) -> bool:
    """Return whether a new paragraph begins at `following` although no blank line says so."""
    if len(line.words) < LONG and len(following.words) < LONG:
        return False
    return line.ends_sentence() or (len(line.words) <= SHORT and not following.words[0].islower())
