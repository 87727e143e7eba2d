"""Sentences of a block, as spans of the document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import sentencex

from corpus.document import Span

LANGUAGE = "en"
"""sentencex falls back along language families, so unknown languages still get its default rules."""

LONE_RETURN = re.compile(r"\r(?!\n)")
"""An old way to end a line, which the library does not know."""


def sentences(text: str, content: Span, markup: Sequence[Span] = ()) -> list[Span]:
    """Return the sentences of `content`, in order, disjoint, and covering every visible word of it.

    Markup is blanked out before splitting, so that a full stop in a link target ends nothing, and
    taken back in where it touches a sentence, so that a quotation keeps its balanced notation. Nor does
    one between backticks.
    """
    masked = blanked(text, content, markup)
    found: list[Span] = []
    shown = LONE_RETURN.sub("\n", _without_code(content.of(text), masked))
    for boundary in sentencex.get_sentence_boundaries(LANGUAGE, shown):
        part = masked[boundary["start_index"] : boundary["end_index"]]
        lead = len(part) - len(part.lstrip())
        span = Span(
            content.start + boundary["start_index"] + lead,
            content.start + boundary["start_index"] + max(lead, len(part.rstrip())),
        )
        if not len(span):
            continue
        if found and not _has_word(span.of(text)):
            found[-1] = Span(found[-1].start, span.end)  # a lone "…" or ")" belongs to what it closes
        else:
            found.append(span)
    return _take_back(text, found, markup)


IN_BACKTICKS = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]+)(?<!`)\1(?!`)")


def _without_code(source: str, masked: str) -> str:
    """Return `masked` with a letter for each character that stands between backticks in `source`."""
    parts: list[str] = []
    position = 0
    for found in IN_BACKTICKS.finditer(source):
        parts += [masked[position : found.start(2)], "x" * len(found[2])]
        position = found.end(2)
    return "".join([*parts, masked[position:]])


CONTRAST = re.compile(r"[,;]\s+(?:while|whereas|but|although|though|yet|however,?)\s+|;\s+", re.I)
OPENING = re.compile(r"(?:while|whereas|although|though)\s+", re.I)
COMMA = re.compile(r",\s+")

SHORTEST_CLAUSE = 4
"""Words. Below that the parts of a contrast are no statements ("slow, but safe")."""


def clauses(text: str, sentence: Span) -> list[Span]:
    """Return the parts of a sentence that sets things against one another ("A does x, while B does y").

    In order, disjoint, the connectives between them left out; none for a sentence of one piece.
    """
    words = sentence.of(text)
    opening = OPENING.match(words)
    first = opening.end() if opening else 0
    breaks = list((COMMA if opening else CONTRAST).finditer(words, first))
    if opening:
        breaks = breaks[:1]
    starts = [first, *(found.end() for found in breaks)]
    ends = [*(found.start() for found in breaks), len(words)]
    parts = [
        Span(sentence.start + start, sentence.start + end) for start, end in zip(starts, ends, strict=True)
    ]
    long_enough = all(len(part.of(text).split()) >= SHORTEST_CLAUSE for part in parts)
    return parts if len(parts) > 1 and long_enough else []


BREAK = re.compile(r"[,;:]\s+|\s[\u2013\u2014-]\s|\s(?=\()")

LONGEST_ANSWER = 40
"""Words of a quotation that is still short; a longer sentence can be quoted in part."""


def pieces(text: str, sentence: Span) -> list[Span]:
    """Return a sentence too long to be an answer as parts of LONGEST_ANSWER words at most, cut at its commas.

    In order and disjoint; none for a sentence that is short enough.
    """
    if len(sentence.of(text).split()) <= LONGEST_ANSWER:
        return []
    words = sentence.of(text)
    edges = [0, *(found.end() for found in BREAK.finditer(words)), len(words)]
    found: list[Span] = []
    begin = 0
    for edge, following in pairwise([*edges[1:], len(words) + 1]):
        if len(words[begin:edge].split()) > LONGEST_ANSWER:
            found.extend(_chopped(words, begin, edge))
            begin = edge
        elif following > len(words) or len(words[begin:following].split()) > LONGEST_ANSWER:
            found.append(Span(begin, edge))
            begin = edge
    return [
        _bare(text, Span(sentence.start + one.start, sentence.start + one.end)) for one in found if len(one)
    ]


def _chopped(words: str, begin: int, end: int) -> list[Span]:
    """Return a stretch without commas in runs of LONGEST_ANSWER words."""
    starts = [begin + found.start() for found in re.finditer(r"\S+", words[begin:end])][::LONGEST_ANSWER]
    return [Span(one, two) for one, two in pairwise([*starts, end])]


def _bare(text: str, span: Span) -> Span:
    """Return the span without the white space and the comma at its ends."""
    words = span.of(text)
    kept = words.rstrip().rstrip(",;:").rstrip()
    lead = len(words) - len(words.lstrip())
    return Span(span.start + min(lead, len(kept)), span.start + max(min(lead, len(kept)), len(kept)))


def blanked(text: str, content: Span, markup: Sequence[Span]) -> str:
    """Return the words of `content` with each markup character as a space, in the same length."""
    parts: list[str] = []
    position = content.start
    for place in markup:
        parts.append(text[position : place.start])
        parts.append(" " * len(place))
        position = place.end
    parts.append(text[position : content.end])
    return "".join(parts)


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _take_back(text: str, found: Sequence[Span], markup: Sequence[Span]) -> list[Span]:
    """Return the spans grown over the inline markup that touches them.

    Notation with white space in it stands at the start of a line (`> `) and is not part of a quotation.
    """
    starts = {place.end: place.start for place in markup if not _has_space(place.of(text))}
    ends = {place.start: place.end for place in markup if "\n" not in place.of(text)}
    grown: list[Span] = []
    for number, span in enumerate(found):
        floor = grown[-1].end if grown else 0
        ceiling = found[number + 1].start if number + 1 < len(found) else len(text)
        start, end = span.start, span.end
        while end in ends and ends[end] <= ceiling and ends[end] > end:
            end = ends[end]
        while start in starts and starts[start] >= floor and starts[start] < start:
            start = starts[start]
        grown.append(Span(start, end))
    return grown


def _has_space(text: str) -> bool:
    return any(character.isspace() for character in text)
