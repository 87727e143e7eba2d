"""What candidates stand first under: the heading of their section, the term of their definition."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.passages import ATTRIBUTE, subject
from index.columns import span_at
from index.evidence import Evidence
from index.snapshot import Snapshot


def names(snapshot: Snapshot, evidence: Evidence, texts: Sequence[str]) -> list[str]:
    """Return for each candidate the name that it says the first thing of; empty for the others.

    That of its section where it is the first sentence under it, and that of its row where it is the first
    beside it in a table without a header, which is a list of terms; of `f(x, y)` that is `f`. `texts` are
    those of the hits' documents.
    """
    rows = evidence.candidates
    in_context = (rows["label_term_end"] > rows["label_term"]) & (
        rows["label_term_end"] <= evidence.contexts[1][evidence.of, 1]
    )
    found: list[str] = []
    told: set[tuple[int, int]] = set()
    for row, of, opens in zip(rows, evidence.of.tolist(), in_context.tolist(), strict=True):
        label = span_at(row, 1)
        if label is not None and span_at(row, 2) is None and (of, label.start) not in told:
            told.add((of, label.start))
            found.append(label.of(texts[of]).partition("(")[0])
        elif opens and not ATTRIBUTE.match(texts[of][row["start"] : row["end"]]):
            found.append(_subject(snapshot, evidence.hits[of].passage))
        else:
            found.append("")
    return found


def _subject(snapshot: Snapshot, passage: int) -> str:
    """Return the title or heading that says what a passage is about."""
    title = snapshot.documents[snapshot.document_of(passage)].title
    return subject([title, *snapshot.headings(passage)])[0]
