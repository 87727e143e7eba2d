"""The words of a place, without the notation around them."""

from __future__ import annotations

import re
from bisect import bisect_right

from corpus.document import Span

# Tags that stand between words: `one<br>two` and `<td>one</td><td>two</td>` are two words each.
_DIVIDING_TAG = re.compile(
    r"</?(?:address|article|aside|blockquote|br|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form"
    r"|h[1-6]|header|hr|li|main|nav|ol|option|p|pre|section|summary|table|tbody|td|tfoot|th|thead|tr|ul)\b",
    re.IGNORECASE | re.ASCII,
)

# Between two cells of a CSV file; a quote alone is one that is written twice inside a cell.
_DELIMITER = re.compile(r'["\s]*[,;|][",;|\s]*')


def plain(text: str, span: Span, markup: tuple[Span, ...]) -> str:
    """Return the words of `span` on one line, without `markup` (sorted and disjoint)."""
    pieces: list[str] = []
    at = span.start
    for mark in markup[bisect_right(markup, span.start, key=_end) :]:
        if mark.start >= span.end:
            break
        pieces.append(text[at : mark.start])
        if _divides(mark.of(text)):
            pieces.append(" ")
        at = mark.end
    pieces.append(text[at : span.end])
    return " ".join("".join(pieces).split())


def _end(span: Span) -> int:
    return span.end


def _divides(notation: str) -> bool:
    """Return whether the words before and after `notation` are different words."""
    return (
        notation[:1].isspace()
        or notation[-1:].isspace()
        or notation.startswith("|")
        or _DIVIDING_TAG.match(notation) is not None
        or _DELIMITER.fullmatch(notation) is not None
    )
