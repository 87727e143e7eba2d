"""Where the tags stand in a block of raw HTML."""

from __future__ import annotations

import re

from corpus.formats.markdown_notation import Mark

# A quoted value may hold `>`. None may hold `<`, so that every attempt stops at the next `<`
# and the scan stays linear.
_TAG = re.compile(r"""</?[A-Za-z](?:[^<>"']|"[^"<]*"|'[^'<]*')*+>|<[A-Za-z/!?][^<>]*>""")
_SILENT_ELEMENT = re.compile(r"<(script|style)(?=[\s>/])", re.IGNORECASE | re.ASCII)
_SILENT_END = {name: re.compile(f"</{name}[^<>]*>", re.IGNORECASE | re.ASCII) for name in ("script", "style")}


def marks(html: str) -> list[Mark]:
    """Return the places of tags, comments, scripts and style sheets in `html`."""
    found: list[Mark] = []
    at = html.find("<")
    while at >= 0:
        end = _end_of_markup(html, at)
        if end > at:
            found.append((at, end))
        at = html.find("<", max(end, at + 1))
    return found


def words(html: str) -> Mark:
    """Return the place from the first to the last visible character of `html` outside its tags."""
    first, last, at = len(html), 0, 0
    for start, end in [*marks(html), (len(html), len(html))]:
        gap = html[at:start]
        if gap.strip():
            first = min(first, at + len(gap) - len(gap.lstrip()))
            last = at + len(gap.rstrip())
        at = end
    return (first, last) if first < last else (0, 0)


def _end_of_markup(html: str, at: int) -> int:
    """Return where the markup that starts at `at` ends, or -1 for a bare `<`."""
    if html.startswith("<!--", at):
        end = html.find("-->", at + 2)  # `<!-->` is a whole comment
        return len(html) if end < 0 else end + len("-->")
    if element := _SILENT_ELEMENT.match(html, at):
        closing = _SILENT_END[element[1].lower()].search(html, at)
        return closing.end() if closing else len(html)
    tag = _TAG.match(html, at)
    return tag.end() if tag else -1
