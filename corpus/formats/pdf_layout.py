"""The lines of a PDF put together again: paragraphs, list items, code and headings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from corpus.formats.pdf_lines import SAME_LINE, Line

PARAGRAPH_GAP = 1.3
"""A paragraph begins where lines are this much further apart than those of their size usually are."""

LEADING = 1.2
"""From one line to the next, by their size, where no sentence tells: what typesetting programs begin with."""

HEADING_SIZE = 1.15
"""A heading is set larger than the text by this factor, or in bold."""

INDENT = 0.9
"""Of its size: a line begins a paragraph behind a full stop if it stands in by so much."""

SHORT_LINE = 0.6
"""A line shorter than this share of the usual one was ended by its writer and not by the margin."""

ITEM = re.compile(
    r"(?:[-*•‣⁃◦▪▫●○∙■□❖➢➤✓✔·–—\uf0b7\uf0a7\uf0d8\uf0fc]|\(?(?:\d{1,3}|[a-z]|[ivx]{2,4})\)|\d{1,3}\.)\s+(?=\S)"
)
_BACKWARDS = "retpahc|trap|noitces|xidneppa"
_NUMBERED = re.compile(
    rf"\s\s+(?:{_BACKWARDS})|\s+[.:)]?(?:\d+\.)*[\dA-Z]{{0,3}}(?:\s+(?:{_BACKWARDS}))?", re.IGNORECASE
)
"""The end of a word, read backwards so that it is looked for where words end: `1.2 `, `Part A: `, `the `."""

_SENTENCE_END = re.compile(r"[.!?:;…。！？][)\]\"'”’»]*$")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_CUT = re.compile(r"(?<![^\W\d_])([^\W\d_]++)-$")
_GOES_ON = re.compile(r"[^\W\d_]+")
_EAST_ASIAN = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


@dataclass(slots=True)
class Group:
    """Lines that stand together."""

    lines: list[Line]
    heading: int = 0
    """Level from 1; 0 for none."""

    @property
    def first(self) -> Line:
        """Return the first line."""
        return self.lines[0]

    @property
    def words(self) -> str:
        """Return all of it on one line."""
        return " ".join(line.words for line in self.lines)

    def marker(self) -> int:
        """Return how many characters the bullet or number of a list item takes, or 0."""
        found = None if self.heading or self.is_code() else ITEM.match(self.first.words)
        return found.end() if found else 0

    def is_code(self) -> bool:
        """Return whether it is set in letters of one width."""
        return all(line.monospaced for line in self.lines)


@dataclass(slots=True)
class Manner:
    """How a document is set, as far as that is the same all over it."""

    size: float = 0.0
    """Of its text, in points."""
    bold: bool = False
    monospaced: bool = False
    """Whether its text is; then neither says anything."""
    length: int = 0
    """Characters of a full line."""
    leading: dict[int, float] = field(default_factory=dict)
    """From one line of a sentence to the next, in points, by the size of the letters."""
    vocabulary: frozenset[str] = frozenset()
    """The words that stand within lines, in lower case."""


def manner(pages: Sequence[Sequence[Line]]) -> Manner:
    """Return how a document is set."""
    lines = [line for page in pages for line in page]
    if not lines:
        return Manner()
    sizes: Counter[float] = Counter()
    bold = monospaced = total = 0
    for line in lines:
        sizes[round(line.size * 2) / 2] += len(line.words)
        bold += len(line.words) if line.bold else 0
        monospaced += len(line.words) if line.monospaced else 0
        total += len(line.words)
    size = max(sizes, key=lambda one: (sizes[one], one))
    body = sorted(len(line.words) for line in lines if abs(line.size - size) <= 0.5)
    gaps: dict[int, Counter[float]] = defaultdict(Counter)
    for page in pages:
        for one, two in pairwise(page):
            down = one.y - two.y
            near = round(one.size) == round(two.size) and 0.8 * one.size < down < 2.5 * one.size
            if near and _reads_on(one, two):
                gaps[round(one.size)][round(down * 2) / 2] += 1
    leading = {key: max(found, key=lambda gap: (found[gap], -gap)) for key, found in gaps.items()}
    length = body[len(body) * 9 // 10] if body else 0
    return Manner(size, bold > total / 2, monospaced > total / 2, length, leading, _vocabulary(lines))


def _vocabulary(lines: Sequence[Line]) -> frozenset[str]:
    """Return the words of the document, those left out that a line's end or beginning may have cut."""
    found: set[str] = set()
    for line in lines:
        words = _WORD.findall(line.words.casefold())
        found.update(words[1:-1] if len(words) > 2 else ())
        if words and not line.words.endswith("-"):
            found.add(words[-1])
    return frozenset(found)


Outline = Mapping[tuple[int, str], int]
"""The level of each heading that a file's outline names, by its page (from 0) and its plain title."""


def plain_title(words: str) -> str:
    """Return what two ways to write the same heading have in common: its letters, without its number."""
    bare = _NUMBERED.sub("", words.strip()[::-1])[::-1]
    return "".join(character for character in (bare or words).casefold() if character.isalnum())


def groups(pages: Sequence[Sequence[Line]], how: Manner, outline: Outline) -> list[Group]:
    """Return the lines in groups. A paragraph that goes on over the end of its page is one."""
    alone = False  # whether the line before is a heading of the outline, all of it
    found: list[Group] = []
    for page in pages:
        for number, line in enumerate(page):
            before = found[-1] if found else None
            is_heading = (line.page, plain_title(line.words)) in outline
            divides = alone or is_heading or before is None
            alone = is_heading
            if (
                before is None
                or divides
                or (_crosses(before, line) if number == 0 else _begins(before, line, how))
            ):
                found.append(Group([line]))
            else:
                before.lines.append(line)
    return found


def _begins(group: Group, line: Line, how: Manner) -> bool:
    """Return whether `line` begins something new behind `group`."""
    last = group.lines[-1]
    if line.angle != last.angle or not _same_kind(last, line):
        return True
    if max(last.size, line.size) >= HEADING_SIZE * how.size and abs(last.size - line.size) > 0.5:
        return True  # headings of two levels
    down = last.y - line.y
    if abs(down) < SAME_LINE * line.size:
        return False
    if down < 0:
        return not _reads_on(last, line)
    usual = how.leading.get(round(line.size), LEADING * line.size)
    if down > max(usual, line.size) * PARAGRAPH_GAP:
        return True
    if line.monospaced:
        return False
    if ITEM.match(line.words) and (group.marker() or last.words.endswith(":") or not _reads_on(last, line)):
        return True
    ended = _SENTENCE_END.search(last.words) is not None
    if group.marker():
        return line.x < group.first.x - line.size / 4
    if last.bold and not line.bold and len(group.lines) == 1:
        return not ended and len(last.words) < SHORT_LINE * how.length
    return ended and line.x > last.x + INDENT * line.size


def _crosses(group: Group, line: Line) -> bool:
    """Return whether the first line of a page begins something new."""
    last = group.lines[-1]
    return not (_same_kind(last, line) and not line.monospaced and _reads_on(last, line)) or bool(
        ITEM.match(line.words)
    )


def _same_kind(one: Line, two: Line) -> bool:
    larger, smaller = max(one.size, two.size), min(one.size, two.size)
    return larger < HEADING_SIZE * smaller and one.monospaced == two.monospaced


def _reads_on(last: Line, line: Line) -> bool:
    """Return whether a sentence goes on from one line to the other."""
    return not _SENTENCE_END.search(last.words) and (line.words[0].islower() or last.words.endswith("-"))


def joined(lines: Sequence[Line], how: Manner, *, code: bool = False) -> tuple[str, list[int]]:
    """Return the text of lines that stand together, and where each of them begins in it."""
    text, starts = "", []
    left = min(line.x for line in lines)
    for number, line in enumerate(lines):
        if number:
            text = _join(text, lines[number - 1], line, how, code=code)
        if code and (number == 0 or text.endswith("\n")):
            # Letters of one width are about six tenths of their size wide.
            text += " " * min(round((line.x - left) / (0.6 * line.size)), 80) if line.size >= 1 else ""
        starts.append(len(text))
        text += line.words
    return text.rstrip("\xad"), starts


def _join(text: str, last: Line, line: Line, how: Manner, *, code: bool) -> str:
    """Return `text` with what stands between it and the next line.

    A word that was cut at the end of a line is made whole only if it stands somewhere uncut: no word is
    made up. Any other keeps its hyphen.
    """
    beside = abs(last.y - line.y) < SAME_LINE * line.size and last.page == line.page
    if code:
        return text + (" " if beside else "\n")
    if text.endswith("\xad"):
        return text[:-1]
    cut, rest = _CUT.search(text, text.rfind(" ") + 1), _GOES_ON.match(line.words)
    if cut and rest and line.words[0].islower():
        return text[:-1] if f"{cut[1]}{rest[0]}".casefold() in how.vocabulary else text
    if beside:
        return f"{text} "
    if _EAST_ASIAN.match(text[-1:]) and _EAST_ASIAN.match(line.words):
        return text
    return text + ("\n" if len(last.words) < SHORT_LINE * how.length else " ")


def code_apart(found: Sequence[Group], how: Manner) -> Iterator[tuple[Group, bool]]:
    """Yield the groups, each with whether it is code; code in several groups that follow is one."""
    waiting: Group | None = None
    for group in found:
        if not group.heading and group.is_code() and not how.monospaced:
            if waiting is not None and waiting.lines[-1].page == group.first.page:
                waiting.lines += group.lines
            else:
                if waiting is not None:
                    yield waiting, True
                waiting = Group(list(group.lines))
            continue
        if waiting is not None:
            yield waiting, True
            waiting = None
        yield group, False
    if waiting is not None:
        yield waiting, True
