"""Which parts of a plain text are headings, and of which level."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from corpus.formats.plaintext_lines import Line

_MOST_WORDS = 12
_MOST_CHARACTERS = 120
_MOST_STACKED = 3  # title-like lines in a row; more of them are a menu or a list
_DEEPEST = 6
_GAP = re.compile(r"\t| {2}")
_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{1,3}){1,5}\.?|\d{1,3}\.)\s+(?=\S)")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DATE = re.compile(
    rf"\b(?:\d{{4}}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{{2,4}}"
    rf"|{_MONTH} \d\d?(?:st|nd|rd|th)?,? \d{{4}}|\d\d?(?:st|nd|rd|th)?\.? {_MONTH},? \d{{4}})\b",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Part:
    """Lines that stand together; a heading has a level, and its words on the line `title`."""

    lines: Sequence[Line]
    underline: str = ""
    level: int = 0
    title: int = 0


@dataclass(slots=True)
class _Underlines:
    """The styles of underline seen so far: the order in which they appear is their depth."""

    top: int
    seen: list[str] = field(default_factory=list)

    def level(self, style: str) -> int:
        if style not in self.seen:
            self.seen.append(style)
        return min(self.top + self.seen.index(style), _DEEPEST)


def outline(groups: Iterator[list[Line]]) -> list[Part]:
    """Return the parts of a text in order, those that are headings with their level."""
    parts = [part for group in groups for part in _without_underlined(group)]
    runs = _stacked(parts)
    underlines: _Underlines | None = None
    for place, part in enumerate(parts):
        if part.underline:
            titled = place > 0 and parts[0].level > 0
            underlines = underlines or _Underlines(2 if titled else 1)
            part.level = underlines.level(part.underline)
        elif place == 0 and len(parts) > 1 and _is_title(part):
            part.level = 1
        elif runs[place]:
            part.level = _level(parts, place)
    return parts


def _without_underlined(group: list[Line]) -> Iterator[Part]:
    """Yield the headings with lines below (and above) them at the start of `group`, then the rest."""
    at = 0
    while at < len(group):
        over = at + 2 < len(group) and group[at].underline() and group[at].words == group[at + 2].words
        title = at + 1 if over else at
        if title + 1 >= len(group) or not _is_underlined(group[title], group[title + 1]):
            yield Part(group[at:])
            return
        style = group[title + 1].underline() * (2 if over else 1)
        yield Part(group[at : title + 2], style, title=title - at)
        at = title + 2


def _is_underlined(line: Line, below: Line) -> bool:
    return (
        below.underline() != ""
        and not line.is_rule()
        and len(line.words) <= _MOST_CHARACTERS
        and not line.words.endswith(".")
        and not line.bullet()
        and "|" not in line.words
        and _GAP.search(line.words) is None
    )


def _is_title(part: Part) -> bool:
    """Return whether the first part of a text is its title, which may be a question."""
    words = part.lines[0].words
    return len(part.lines) == 1 and _is_title_like(words.rstrip("?!")) and not _NUMBER.match(words)


def _is_title_like(words: str) -> bool:
    return (
        0 < len(words) <= _MOST_CHARACTERS
        and len(words.split()) <= _MOST_WORDS
        and not words[0].islower()
        and words[0].isalnum()
        and not words.endswith((".", ",", ";", ":", "?", "!", "…", "。", "！", "？"))
        and _DATE.search(words) is None
    )


def _is_capitals(words: str) -> bool:
    """Return whether `words` are a short line all in capitals; a colon behind them is allowed."""
    cased = sum(character.isupper() for character in words[:_MOST_CHARACTERS])
    return cased > 1 and words.isupper() and _is_title_like(words.rstrip(":!"))


def _stacked(parts: list[Part]) -> list[bool]:
    """Return for each part whether it is title-like and stands above a longer text.

    Up to `_MOST_STACKED` of them may stand above the same text, as a chapter and its first section do.
    """
    result = [False] * len(parts)
    below, stacked = 0, 0  # length of the nearest text below, title-like lines above it so far
    for place in range(len(parts) - 1, -1, -1):
        part = parts[place]
        words = part.lines[0].words
        single = len(part.lines) == 1 and not part.underline and not part.lines[0].is_rule()
        capitals = single and _is_capitals(words)
        if single and below and (capitals or (_is_title_like(words) and below > len(words))):
            stacked += 1
            result[place] = capitals or stacked <= _MOST_STACKED
        elif not part.underline:
            # Line ends count as one: a file with two characters at each has the same headings.
            below, stacked = sum(len(line.words) + 1 for line in part.lines) - 1, 0
    return result


def _level(parts: list[Part], place: int) -> int:
    """Return the level of a title-like part: by its numbering, else 2; 0 for an item of a numbered list."""
    words = parts[place].lines[0].words
    number = _NUMBER.match(words)
    if number is None:
        return 2 if not parts[place].lines[0].bullet() else 0
    if words[number.end()].islower() or _is_numbered_alike(parts, place, _dots(number)):
        return 0
    return min(_dots(number) + 2, _DEEPEST)


def _is_numbered_alike(parts: list[Part], place: int, dots: int) -> bool:
    """Return whether a neighbour is a single line numbered to the same depth."""
    for neighbour in parts[max(0, place - 1) : place] + parts[place + 1 : place + 2]:
        number = _NUMBER.match(neighbour.lines[0].words)
        if number and len(neighbour.lines) == 1 and _dots(number) == dots:
            return True
    return False


def _dots(number: re.Match[str]) -> int:
    return number[1].rstrip(".").count(".")
