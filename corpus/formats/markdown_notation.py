"""Where the inline notation of Markdown stands: emphasis marks, link targets, tags, backslashes.

The library parses and says what it found but not where. Each of its inline rules is therefore
wrapped: when a rule succeeds, the places it consumed as notation are recorded in the coordinates
of the parsed string. Nothing is searched for afterwards.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from markdown_it import MarkdownIt, rules_inline
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType

Mark = tuple[int, int]
"""Start and end of a piece of notation, half-open, in the coordinates of the parsed string."""

_DEEPEST = 10
"""Brackets in brackets; deeper ones are text. The time for a row of open brackets grows with it."""

_ROLE = re.compile(r"\{[A-Za-z][\w:.+-]*+\}(?=`)")
"""What a piece of code is to MyST: {ref}`target`."""

ATTRIBUTES = re.compile(
    r"\{(?P<colon>:)?[ \t]*+"
    r"(?:(?:[#.][\w:.-]++|[A-Za-z][\w:.-]*+=(?:\"[^\"\n]*+\"|'[^'\n]*+'|[^\s\"'}]++))[ \t]*+)++\}"
)
"""A list of attributes (Python-Markdown, kramdown, MyST): {#name .class key="value"}, {: .class }."""

_ATTRIBUTED = "])`*_>~"
"""What a list of attributes may stand right behind, besides white space at the end of a block."""

_Rule = Callable[[StateInline, bool], bool]
_Recorder = Callable[[StateInline, int, int], None]


@dataclass(slots=True)
class _Record:
    marks: list[Mark] = field(default_factory=list)
    delimiters: list[tuple[Token, int, int]] = field(default_factory=list)
    """Runs that may become emphasis: known only once the whole string is parsed."""


@functools.cache
def _parser() -> MarkdownIt:
    """Return the parser of inline notation, whose rules record what they consume."""
    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable("strikethrough")
    rules: list[tuple[str, _Rule, _Recorder]] = [
        ("escape", rules_inline.escape, _escape),
        ("backticks", rules_inline.backtick, _backticks),
        ("strikethrough", rules_inline.strikethrough.tokenize, _delimiters),
        ("emphasis", rules_inline.emphasis.tokenize, _delimiters),
        ("link", rules_inline.link, _link),
        ("autolink", rules_inline.autolink, _autolink),
        ("html_inline", rules_inline.html_inline, _whole),
    ]
    for name, rule, recorder in rules:
        parser.inline.ruler.at(name, _recorded(rule, recorder))
    parser.inline.ruler.at("image", _image)
    parser.inline.ruler.before("escape", "role", _role)
    parser.inline.ruler.before("escape", "attributes", _attributes)
    # Behind the rules that pair delimiters, before the one that joins unused ones to the text.
    parser.inline.ruler2.before("fragments_join", "settle_delimiters", _settle)
    return parser


def marks(content: str, references: EnvType) -> list[Mark]:
    """Return the sorted places of notation in `content`; `references` are the link definitions."""
    record = _Record()
    parser = _parser()
    parser.inline.parse(content, parser, {"references": references, "record": record}, [])
    return sorted(record.marks)


def disjoint(found: list[Mark]) -> list[Mark]:
    """Return `found` sorted, with overlapping marks made one; marks that only touch stay two."""
    result: list[Mark] = []
    for start, end in sorted(mark for mark in found if mark[0] < mark[1]):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def _record(state: StateInline) -> _Record:
    record = state.env["record"]
    assert isinstance(record, _Record)
    return record


def _recorded(rule: _Rule, recorder: _Recorder) -> _Rule:
    """Return `rule`, calling `recorder` with its start and the token count before it, on success."""

    def run(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        if not rule(state, silent):
            return False
        if not silent:
            recorder(state, start, count)
        return True

    return run


def _whole(state: StateInline, start: int, _count: int) -> None:
    _record(state).marks.append((start, state.pos))


def _autolink(state: StateInline, start: int, _count: int) -> None:
    _record(state).marks += [(start, start + 1), (state.pos - 1, state.pos)]


def _escape(state: StateInline, start: int, _count: int) -> None:
    token = state.tokens[-1]
    if token.type == "hardbreak" or token.content != token.markup:
        _record(state).marks.append((start, start + 1))


def _backticks(state: StateInline, start: int, count: int) -> None:
    # An unmatched run is also a success of the rule, but makes no token.
    if len(state.tokens) > count:
        width = len(state.tokens[-1].markup)
        _record(state).marks += [(start, start + width), (state.pos - width, state.pos)]


def _delimiters(state: StateInline, start: int, count: int) -> None:
    """Remember the tokens of a delimiter run, which end at the position reached."""
    end = state.pos
    for token in reversed(state.tokens[count:]):
        end -= len(token.content)
        if end < start:  # text before the run, flushed on the way
            break
        _record(state).delimiters.append((token, end, end + len(token.content)))


def _settle(state: StateInline) -> None:
    """Record the delimiters that became emphasis: the library empties their tokens."""
    record = _record(state)
    record.marks += [(start, end) for token, start, end in record.delimiters if not token.content]
    record.delimiters.clear()


def _link(state: StateInline, start: int, _count: int) -> None:
    label_end = state.md.helpers.parseLinkLabel(state, start, True)
    _record(state).marks += [(start, start + 1), (label_end, state.pos)]


def _role(state: StateInline, silent: bool) -> bool:
    """Read the name of a role."""
    found = _ROLE.match(state.src, state.pos, state.posMax)
    return found is not None and _passed(state, found.end(), silent)


def _attributes(state: StateInline, silent: bool) -> bool:
    """Read a list of attributes where one may stand."""
    found = ATTRIBUTES.match(state.src, state.pos, state.posMax)
    if found is None or state.pos == 0:
        return False
    before, behind = state.src[state.pos - 1], state.src[found.end() : state.posMax]
    stands = before in _ATTRIBUTED or (before.isspace() and (found["colon"] or not behind.strip()))
    return bool(stands) and _passed(state, found.end(), silent)


def _passed(state: StateInline, end: int, silent: bool) -> bool:
    """Go on behind notation that shows nothing, and record it."""
    if not silent:
        _record(state).marks.append((state.pos, end))
    state.pos = end
    return True


def _image(state: StateInline, silent: bool) -> bool:
    """Apply the image rule; the text inside is parsed on its own, so its marks are moved into place."""
    if silent:
        return rules_inline.image(state, silent)
    start, outer, inner = state.pos, _record(state), _Record()
    state.env["record"] = inner
    found = rules_inline.image(state, silent)
    state.env["record"] = outer
    if found:
        label = start + len("![")
        label_end = label + len(state.tokens[-1].content)
        outer.marks += [(start, label), (label_end, state.pos)]
        outer.marks += [(label + a, label + b) for a, b in inner.marks]
    return found
