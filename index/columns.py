"""How a segment's passages lie in memory and on disk: columns, a document's rows together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.document import BlockKind, Candidate, CandidateKind, Span
from index.encoder import Vector

NONE = -1
"""The start and end of a span that is not there."""

PASSAGE = np.dtype(
    [
        ("start", "<i4"),
        ("end", "<i4"),
        ("context", "<i4"),  # tokens of the embedded text that are title and headings
        ("context_terms", "<i4"),  # terms likewise
        ("statements", "<i4"),  # this and the next four are counts of rows in the columns of those names
        ("headings", "<i4"),
        ("candidates", "<i4"),
        ("tokens", "<i4"),
        ("terms", "<i4"),
        ("words", "<i4"),
        ("digest", "V16"),  # of the embedded text: equal digests, equal vectors
    ]
)
"""One row a passage."""

SPAN_FIELDS = ("start", "end", "label_start", "label_end", "header_start", "header_end")
TOKEN_FIELDS = (
    "token_start",
    "token_end",
    "label_token",
    "label_token_end",
    "header_token",
    "header_token_end",
)
TERM_FIELDS = ("term_start", "term_end", "label_term", "label_term_end", "header_term", "header_term_end")
CANDIDATE = np.dtype(
    [
        ("kind", "<i4"),
        ("statement", "<i4"),
        ("block", "<i4"),
        *((name, "<i4") for name in (*SPAN_FIELDS, *TOKEN_FIELDS, *TERM_FIELDS)),
    ]
)
"""One row an answer candidate: its statement's number in the passage or NONE, what it is a part of, places in
the document, then ranges of the passage's tokens and terms."""

KINDS = (CandidateKind.SENTENCE, CandidateKind.CELL, CandidateKind.SPAN)
BLOCKS = tuple(BlockKind)


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows of some documents, in order."""

    passages: NDArray[np.void]
    """PASSAGE (passages,)."""
    headings: NDArray[np.int32]
    """int32 (headings, 2): the places of the headings above each passage, outermost first."""
    candidates: NDArray[np.void]
    """CANDIDATE (candidates,)."""
    vectors: Vector
    """float32 (passages, dimension), unit length."""
    statements: Vector
    """float32 (statements, dimension), unit length: candidates that are embedded for themselves."""
    tokens: NDArray[np.int8]
    """int8 (tokens, token_dimension): unit vectors times 127."""
    offsets: NDArray[np.int32]
    """int32 (tokens, 2): the tokens' places in the passage's embedded text."""
    terms: NDArray[np.uint64]
    """uint64 (terms,): the numbers of each passage's terms, in order, repeated ones too."""
    words: NDArray[np.int32]
    """int32 (words,): the numbers of each passage's words in the segment's list of spellings, in order, title
    and headings left out: they would be counted once for every passage under them."""


NAMES = ("passages", "headings", "candidates", "vectors", "statements", "tokens", "offsets", "terms", "words")


def layout(dimension: int, token_dimension: int) -> dict[str, tuple[np.dtype[np.generic], tuple[int, ...]]]:
    """Return for each column its dtype and the shape of one row."""
    return {
        "passages": (PASSAGE, ()),
        "headings": (np.dtype("<i4"), (2,)),
        "candidates": (CANDIDATE, ()),
        "vectors": (np.dtype("<f4"), (dimension,)),
        "statements": (np.dtype("<f4"), (dimension,)),
        "tokens": (np.dtype("i1"), (token_dimension,)),
        "offsets": (np.dtype("<i4"), (2,)),
        "terms": (np.dtype("<u8"), ()),
        "words": (np.dtype("<i4"), ()),
    }


def starts(counts: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return int64 (n + 1,): where each row's part begins, and the end of the last."""
    found = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=found[1:])
    return found


def candidate_rows(
    candidates: Sequence[Candidate], tokens: NDArray[np.int32], terms: NDArray[np.int32]
) -> NDArray[np.void]:
    """Return CANDIDATE rows for the candidates of a passage.

    `tokens` and `terms` are int32 (n, 2): where each of them stands in the passage's embedded text.
    """
    rows = np.zeros(len(candidates), dtype=CANDIDATE)
    stated = 0
    for row, one in zip(rows, candidates, strict=True):
        places = (one.span, one.row_label, one.column_header)
        embedded = (one.embedded, one.row_label_embedded, one.column_header_embedded)
        row["kind"], row["block"] = KINDS.index(one.kind), BLOCKS.index(one.block)
        row["statement"] = stated if one.statement else NONE
        stated += bool(one.statement)
        for at, place in enumerate(places):
            start, end = (place.start, place.end) if place else (NONE, NONE)
            row[SPAN_FIELDS[2 * at]], row[SPAN_FIELDS[2 * at + 1]] = start, end
        for fields, offsets in ((TOKEN_FIELDS, tokens), (TERM_FIELDS, terms)):
            for at, place in enumerate(embedded):
                first, behind = covered(offsets, place) if place else (0, 0)
                row[fields[2 * at]], row[fields[2 * at + 1]] = first, behind
    return rows


def covered(offsets: NDArray[np.int32], place: Span) -> tuple[int, int]:
    """Return the half-open range of rows of `offsets` that overlap `place`; both ends never decrease."""
    first = int(np.searchsorted(offsets[:, 1], place.start, side="right"))
    behind = int(np.searchsorted(offsets[:, 0], place.end, side="left"))
    return first, max(first, behind)


def span_at(row: NDArray[np.void] | np.void, at: int) -> Span | None:
    """Return the span of a CANDIDATE row: 0 its own, 1 its row label, 2 its column header."""
    start, end = int(row[SPAN_FIELDS[2 * at]]), int(row[SPAN_FIELDS[2 * at + 1]])
    return None if start == NONE else Span(start, end)
