"""Where the lines of a Markdown block stand in the source.

A line of a paragraph in a list in a quotation is a suffix of a line of the source. While a block
rule of the library runs, its state knows where each suffix begins; afterwards that is forgotten.
The rules that make blocks of words are therefore wrapped and leave the lines on their token.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markdown_it import MarkdownIt, rules_block
from markdown_it.common.utils import MD_TRIM_CHARS
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

DEEPEST = 32
"""Containers open at once. Deeper quotations and lists are read as paragraphs, not dropped."""

_MARGIN = 8  # the library drops what is nested as deep as its own limit: stay well below it
_Rule = Callable[[StateBlock, int, int, bool], bool]
_Indent = Callable[[StateBlock, int], int]


class Line(NamedTuple):
    """A line of a block: its words begin at `first`, its text (with indentation) fills `[start, end)`."""

    start: int
    first: int
    end: int
    text: str


class Stretch:
    """The lines of a block joined and trimmed, and the place of each character in the source."""

    def __init__(self, lines: Sequence[Line]) -> None:
        raw = "\n".join(line.text for line in lines)
        self.text = raw.strip(MD_TRIM_CHARS)
        self._offsets: list[int] = []
        self._starts = [line.end - len(line.text) for line in lines]
        offset = len(raw.lstrip(MD_TRIM_CHARS)) - len(raw)
        for line in lines:
            self._offsets.append(offset)
            offset += len(line.text) + 1

    def place(self, offset: int) -> int:
        """Return where the character at `offset` stands in the source."""
        line = bisect_right(self._offsets, offset) - 1
        return self._starts[line] + offset - self._offsets[line]

    def places(self, start: int, end: int) -> tuple[int, int]:
        """Return the place of `[start, end)` in the source, from its first to its last character."""
        return self.place(start), self.place(end - 1) + 1


def parser() -> MarkdownIt:
    """Return a new parser of CommonMark's blocks and of tables, which leaves their lines on the tokens."""
    made = MarkdownIt("commonmark", {"maxNesting": DEEPEST + _MARGIN}).enable("table")
    rules: list[tuple[str, _Rule, _Indent, list[str]]] = [
        # The last entry repeats the library's own table: which blocks this one may interrupt.
        ("table", rules_block.table, _of_container, ["paragraph", "reference"]),
        ("code", rules_block.code, _of_code, []),
        ("fence", rules_block.fence, _of_fence, ["paragraph", "reference", "blockquote", "list"]),
        ("html_block", rules_block.html_block, _of_container, ["paragraph", "reference", "blockquote"]),
        ("heading", rules_block.heading, _of_container, ["paragraph", "reference", "blockquote"]),
        ("lheading", rules_block.lheading, _of_container, []),
        ("paragraph", rules_block.paragraph, _of_container, []),
    ]
    for name, rule, indent, interrupts in rules:
        made.block.ruler.at(name, _leaving_lines(rule, indent), {"alt": interrupts})
    made.block.ruler.before("table", "deepest", _deepest)
    return made


def lines_of(token: Token) -> list[Line]:
    """Return the lines of the block that `token` opens."""
    lines: list[Line] = token.meta["lines"]
    return lines


def _of_container(state: StateBlock, _begin: int) -> int:
    return state.blkIndent


def _of_code(state: StateBlock, _begin: int) -> int:
    return state.blkIndent + 4


def _of_fence(state: StateBlock, begin: int) -> int:
    return state.sCount[begin]


def _leaving_lines(rule: _Rule, indent: _Indent) -> _Rule:
    """Return `rule`, leaving the lines of a block on its first token."""

    def run(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
        count = len(state.tokens)
        if not rule(state, begin, end, silent):
            return False
        if not silent:
            columns = indent(state, begin)
            lines = [_line(state, number, columns) for number in range(begin, state.line)]
            state.tokens[count].meta["lines"] = lines
        return True

    return run


def _line(state: StateBlock, number: int, indent: int) -> Line:
    begin, end = state.bMarks[number], state.eMarks[number]
    first = min(begin + state.tShift[number], end)
    text = state.getLines(number, number + 1, indent, False)
    # A tab that is only partly indentation becomes spaces the source does not have.
    start = max(begin, end - len(text))
    if state.src[start:first].strip(" \t"):
        start = first
    return Line(start, first, end, text)


def _deepest(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
    """Read a paragraph where containers are nested too deep to be opened."""
    return state.level >= DEEPEST and _paragraph(state, begin, end, silent)


_paragraph = _leaving_lines(rules_block.paragraph, _of_container)
