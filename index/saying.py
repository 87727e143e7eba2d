"""A candidate's row -> what the cross-encoder reads of it: its words, its headings, what stands before it."""

from __future__ import annotations

import numpy as np

from corpus.document import BlockKind, CandidateKind, Span
from index.columns import BLOCKS, KINDS, span_at
from index.cross_encoder import Said
from index.snapshot import Snapshot

LINES = (BLOCKS.index(BlockKind.LIST_ITEM), BLOCKS.index(BlockKind.CODE))
"""What a line that ends in a colon leads in to, however many of them there are."""

LEADS_IN = (":", "?")

LONGEST_LABEL = 80
"""Code points read of a row label or a column header. The signature of a function shares the room with its
description, and would leave none: that of `json.dumps(obj, *, skipkeys=False, ...)` has 60 tokens, of 56."""


def said_of(snapshot: Snapshot, passage: int, row: np.void) -> Said:
    """Return what is read of the candidate in a CANDIDATE row of a passage."""
    document = snapshot.document_of(passage)
    text = snapshot.text(document)
    own, *beside = (span.of(text) if span else "" for span in (span_at(row, at) for at in range(3)))
    label, header = (one if len(one) <= LONGEST_LABEL else one[:LONGEST_LABEL].rstrip() for one in beside)
    headings = (snapshot.documents[document].title, *snapshot.headings(passage))
    return Said(
        words=f"{header} {label}: {own}" if label or header else own,
        headings=" > ".join(dict.fromkeys(headings)),
        before="" if KINDS[row["kind"]] is CandidateKind.CELL else _before(snapshot, passage, row, text),
    )


def _before(snapshot: Snapshot, passage: int, row: np.void, text: str) -> str:
    """Return the candidate before this one, for a line of a list or of code with what leads in to it."""
    places = sorted(
        {
            (int(one["start"]), int(one["end"]))
            for one in snapshot.candidates_of(passage)
            if KINDS[one["kind"]] is not CandidateKind.SPAN and one["end"] <= row["start"]
        }
    )
    said = [Span(*place).of(text) for place in places]
    leads = [one for one in said if one.rstrip().endswith(LEADS_IN)]
    if not said:
        return ""
    if leads and leads[-1] != said[-1] and row["block"] in LINES:
        return f"{leads[-1]} {said[-1]}"
    return said[-1]
