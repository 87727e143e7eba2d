"""Containers that documentation writes in Markdown beyond CommonMark: admonitions, tabs, directives, alerts.

Their words are Markdown like any other; what opens and closes them is notation. Without these rules what
stands behind a blank line of an admonition would be indented code, what a directive holds fenced code, and
the line that opens it a part of the first sentence. A title that is written out is a caption; the name
of the kind is no word of the author's. Read are:

- indented, after Python-Markdown and MkDocs: `!!! note "Title"`, `??? tip`, `=== "Tab"`;
- fenced, after MyST: three backticks and `{note} Title`, `:::{note} Title`;
- marked by lines, after Docusaurus, VitePress and PyMdown: `:::tip Title`, `:::tip[Title]`,
  `/// tip | Title`;
- quoted, after GitHub and Obsidian: `> [!NOTE]`.

So is a line that names what stands below it, after MyST: `(name)=`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock

from corpus.formats import markdown_lines, tables
from corpus.formats.markdown_lines import Line

TITLE = "container_title"
"""Type of the token of a title; its lines are in its meta, as for all blocks of words."""

INDENT = 4
"""Columns by which Python-Markdown indents what an admonition holds."""

_ADMONITION = re.compile(r'(?:!!!|\?\?\?\+?) ?[\w-]++(?: ++[\w-]++)*+(?: ++"(?P<title>.*)")?[ \t]*+')
_TAB = re.compile(r'===[!+]? ++"(?P<title>.*)"[ \t]*+')
_COLONS = re.compile(
    r":{3,}+[ \t]*+"
    r"(?:(?:[\w.-]++|\{(?P<directive>[\w:.-]++)\})(?:\[(?P<bracketed>.*)\]|[ \t]++(?P<title>.*))?)?"
)
_SLASHES = re.compile(r"/{3,}+[ \t]*+(?:[\w-]++[ \t]*+(?:\|(?P<title>.*))?)?")
_FENCE = re.compile(r"(?P<fence>`{3,}+|~{3,}+)[ \t]*+\{(?P<directive>[\w:.-]++)\}(?P<title>[^`]*)")
_OPTION = re.compile(r":[\w-]++:(?:[ \t].*)?")
_TARGET = re.compile(r"\([\w:./-]++\)=[ \t]*+")
_ALERT = re.compile(r"\[![A-Za-z]++\][+-]?(?P<title>.*)")

_Rule = Callable[[StateBlock, int, int, bool], bool]

OF_WORDS = {
    # The admonitions of docutils and Sphinx.
    *("attention", "caution", "danger", "error", "hint", "important", "note", "tip", "warning", "admonition"),
    *(
        "seealso",
        "todo",
        "topic",
        "sidebar",
        "versionadded",
        "versionchanged",
        "versionremoved",
        "deprecated",
    ),
    # What else MyST and sphinx-design put words into.
    *("epigraph", "highlights", "pull-quote", "compound", "container", "margin", "dropdown", "details"),
    *("tab-set", "tab-item", "card", "grid", "grid-item", "grid-item-card"),
}
"""Directives that hold Markdown. Any other, such as `code-block` or `toctree`, is no text of the author's."""


@functools.cache
def parser() -> MarkdownIt:
    """Return the parser of blocks, containers among them, which leaves their lines on the tokens."""
    made = markdown_lines.parser()
    everywhere = ["paragraph", "reference", "blockquote", "list"]
    rules: list[tuple[str, _Rule, list[str]]] = [
        ("alert", _alert, []),
        ("target", _target, []),
        ("marked", _marked, everywhere),
        ("directive", _directive, everywhere),
        ("indented", _indented, everywhere),
    ]
    for name, rule, interrupts in rules:
        # Behind the rule that reads a paragraph where no container may be opened any more.
        made.block.ruler.after("deepest", name, rule, {"alt": interrupts})
    return made


def _indented(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
    """Read an admonition or a tab, and what stands indented below it."""
    found = _matched(state, begin, _ADMONITION) or _matched(state, begin, _TAB)
    if found is None:
        return False
    inner, behind = state.sCount[begin] + INDENT, begin + 1
    for line in range(begin + 1, end):
        if state.isEmpty(line):
            continue
        if state.sCount[line] < inner:
            break
        behind = line + 1
    if behind == begin + 1 and found["title"] is None:
        return False  # a line that somebody began with exclamation marks
    if not silent:
        _title(state, begin, found.span("title"))
        _inside(state, begin + 1, behind, inner)
        state.line = behind
    return True


def _directive(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
    """Read a fenced directive that holds Markdown."""
    found = _matched(state, begin, _FENCE)
    if found is None or found["directive"].lower() not in OF_WORDS:
        return False
    if not silent:
        fence = found["fence"]
        closing = next((line for line in range(begin + 1, end) if _ends(state, line, fence)), end)
        _title(state, begin, found.span("title"))
        _inside(state, _behind_options(state, begin + 1, closing), closing, state.blkIndent)
        closed = closing < end and _closes(state, closing, fence)
        state.line = closing + closed
    return True


def _marked(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
    """Read a line that opens or closes a container whose words are not indented."""
    colons = _matched(state, begin, _COLONS)
    found = colons or _matched(state, begin, _SLASHES)
    directive = colons["directive"] if colons else None
    if found is None or (directive is not None and directive.lower() not in OF_WORDS):
        return False
    if not silent:
        bracketed = colons.span("bracketed") if colons else (-1, -1)
        _title(state, begin, bracketed if bracketed[0] >= 0 else found.span("title"))
        state.line = _behind_options(state, begin + 1, end) if directive else begin + 1
    return True


def _alert(state: StateBlock, begin: int, _end: int, silent: bool) -> bool:
    """Read the first line of a quotation that says what kind it is of."""
    found = _matched(state, begin, _ALERT) if state.parentType == "blockquote" else None
    if found is None:
        return False
    if not silent:
        _title(state, begin, found.span("title"))
        state.line = begin + 1
    return True


def _target(state: StateBlock, begin: int, _end: int, silent: bool) -> bool:
    """Read a line that only gives a name to what stands below it, as in MyST: `(name)=`."""
    if _matched(state, begin, _TARGET) is None:
        return False
    if not silent:
        state.line = begin + 1
    return True


def _matched(state: StateBlock, line: int, expression: re.Pattern[str]) -> re.Match[str] | None:
    """Return the match of an expression with the whole of a line that is not code."""
    if state.is_code_block(line):
        return None
    return expression.fullmatch(state.src, state.bMarks[line] + state.tShift[line], state.eMarks[line])


def _ends(state: StateBlock, line: int, fence: str) -> bool:
    """Return whether a fence ends at a line: closed by it, or because what is around it ends there."""
    outside = state.sCount[line] < state.blkIndent and not state.isEmpty(line)
    return outside or _closes(state, line, fence)


def _closes(state: StateBlock, line: int, fence: str) -> bool:
    text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip(" \t")
    inside = state.blkIndent <= state.sCount[line] < state.blkIndent + INDENT
    return inside and len(text) >= len(fence) and not text.strip(fence[0])


def _behind_options(state: StateBlock, begin: int, end: int) -> int:
    """Return the first of the lines that is no option of a directive, such as `:class: wide`."""
    return next((line for line in range(begin, end) if _matched(state, line, _OPTION) is None), end)


def _title(state: StateBlock, line: int, place: tuple[int, int]) -> None:
    """Leave a token for the title in `place`, if there is one."""
    start, end = place
    if start < 0:
        return
    start, end = tables.trimmed(state.src, start, end)
    if start < end:
        token = state.push(TITLE, "", 0)
        token.map = [line, line + 1]
        token.meta["lines"] = [Line(start, start, end, state.src[start:end])]
        token.meta["whole"] = (state.bMarks[line] + state.tShift[line], state.eMarks[line])


def _inside(state: StateBlock, begin: int, end: int, indent: int) -> None:
    """Read the lines of a container as blocks."""
    outer = state.lineMax, state.parentType, state.blkIndent
    state.lineMax, state.parentType, state.blkIndent = end, "root", indent
    state.push("container_open", "", 1)
    state.md.block.tokenize(state, begin, end)
    state.push("container_close", "", -1)
    state.lineMax, state.parentType, state.blkIndent = outer
