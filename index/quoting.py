"""What of the best candidate is quoted: one clause, a part of a long sentence, or the items of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from corpus.document import BlockKind, CandidateKind, Span
from corpus.sentences import LONGEST_ANSWER
from index.analysis import words
from index.columns import BLOCKS, KINDS, span_at
from index.evidence import Evidence
from index.question import Question
from index.search import Hit
from index.shapes import asks_list
from index.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Reading:
    """One candidate answer: its places and how well it answers."""

    hit: Hit
    kind: CandidateKind
    span: Span
    row_label: Span | None
    column_header: Span | None
    score: float
    share: float
    """Its part in all candidates read, by softmax of their scores: how far ahead of its rivals it is."""
    features: tuple[float, ...]
    """In the order of the reader's FEATURES."""
    crossed: float | None = None
    """The cross-encoder's logit that this answers the question; None where it was not read so."""
    also: tuple[Span, ...] = ()
    """The other items of its list, where a list is asked for; in the order of the document."""


def quoted(
    snapshot: Snapshot, question: Question, evidence: Evidence, best: Reading, scores: NDArray[np.float64]
) -> Reading:
    """Return the best candidate as it is quoted: it or a part of it, or with the rest of its list."""
    listed = _listed(snapshot, question, evidence, best)
    if listed is not None:
        return listed
    return _shortened(snapshot, evidence, _narrowed(snapshot, question, evidence, best), scores)


def _listed(snapshot: Snapshot, question: Question, evidence: Evidence, best: Reading) -> Reading | None:
    """Return the items of the list that the best candidate is of or leads in to, where a list is asked for.

    None where none is asked for, where the items together are too long for an answer, and where the list
    goes on in another passage: a part of it would pass for the whole.
    """
    rows = evidence.candidates[(evidence.of == evidence.hits.index(best.hit))]
    own = [at for at, row in enumerate(rows) if span_at(row, 0) == best.span]
    if not own or not asks_list(question.text):
        return None
    text = snapshot.text(snapshot.document_of(best.hit.passage))
    items = _items(rows, own[0], leads_in=best.span.of(text).endswith(":"))
    if items and _goes_on(snapshot, best.hit.passage, rows, items):
        return None
    spans = [span for span in (span_at(row, 0) for row in items) if span is not None]
    if len(spans) < 2 or sum(len(span.of(text).split()) for span in spans) > LONGEST_ANSWER:
        return None
    kind = KINDS[items[0]["kind"]]
    first, *others = spans
    header = span_at(items[0], 2)
    return replace(best, kind=kind, span=first, row_label=None, column_header=header, also=tuple(others))


def _items(rows: NDArray[np.void], at: int, *, leads_in: bool) -> list[np.void]:
    """Return the items of the list around or behind the candidate at `at`, or its table's first column."""
    item, table = BLOCKS.index(BlockKind.LIST_ITEM), BLOCKS.index(BlockKind.TABLE)
    whole = [row for row in rows if KINDS[row["kind"]] is not CandidateKind.SPAN]
    here = next(number for number, row in enumerate(whole) if row["start"] == rows[at]["start"])
    if leads_in:
        here += 1
    if here >= len(whole):
        return []
    row = whole[here]
    if row["block"] == table and span_at(row, 1) is None and not leads_in:
        return [one for one in whole if one["block"] == table and span_at(one, 1) is None]
    if row["block"] != item:
        return []
    first = here
    while first and whole[first - 1]["block"] == item:
        first -= 1
    behind = here
    while behind < len(whole) and whole[behind]["block"] == item:
        behind += 1
    return whole[first:behind]


def _goes_on(snapshot: Snapshot, passage: int, rows: NDArray[np.void], items: Sequence[np.void]) -> bool:
    """Return whether the passage before or behind, under the same headings, has more of the same list."""
    block = items[0]["block"]
    edges = ((rows[0] == items[0], passage - 1, -1), (rows[-1]["end"] <= items[-1]["end"], passage + 1, 0))
    beside = snapshot.passages_of(snapshot.document_of(passage))
    return any(
        at_edge
        and other in beside
        and snapshot.headings(other) == snapshot.headings(passage)
        and snapshot.candidates_of(other)[near]["block"] == block
        for at_edge, other, near in edges
    )


def _narrowed(snapshot: Snapshot, question: Question, evidence: Evidence, best: Reading) -> Reading:
    """Return the clause of the best sentence that is about what is asked, where the rest is not.

    "A does x, while B does y", asked about A, gives A's part: B is set against A by the corpus, or the
    clause says all that the sentence says of the question and the rest has a name of its own.
    """
    if best.kind is not CandidateKind.SENTENCE:
        return best
    text = snapshot.text(snapshot.document_of(best.hit.passage))
    whole = _heard(evidence, best)
    asked = _names_in(snapshot, question.text)
    others = " ".join(other for name in asked for other in snapshot.vocabulary.rivals(name))
    rivals = {word.text.casefold() for word in words(others)} - asked
    for at, span in _parts_of(evidence, best):
        one = evidence.candidates[at]
        own = _names_in(snapshot, span.of(text))
        rest = _names_in(snapshot, text[best.span.start : span.start] + " " + text[span.end : best.span.end])
        all_said = np.array_equal(_words_in(evidence, one), whole) and bool(rest - own - asked)
        set_against = bool(asked & own) and bool(rest & rivals) and not (rest & asked or own & rivals)
        if all_said or set_against:
            return replace(best, kind=CandidateKind.SPAN, span=span)
    return best


def _shortened(snapshot: Snapshot, evidence: Evidence, best: Reading, scores: NDArray[np.float64]) -> Reading:
    """Return the part of a very long sentence that answers best; a sentence of ordinary length unchanged."""
    text = snapshot.text(snapshot.document_of(best.hit.passage))
    if best.kind is CandidateKind.CELL or len(best.span.of(text).split()) <= LONGEST_ANSWER:
        return best
    parts = [
        (scores[at], span)
        for at, span in _parts_of(evidence, best)
        if len(span.of(text).split()) <= LONGEST_ANSWER
    ]
    if not parts:
        return best
    return replace(best, kind=CandidateKind.SPAN, span=max(parts, key=lambda one: (one[0], -one[1].start))[1])


def _parts_of(evidence: Evidence, best: Reading) -> list[tuple[int, Span]]:
    """Return number and place of each clause inside the best candidate."""
    found: list[tuple[int, Span]] = []
    for at, (one, of) in enumerate(zip(evidence.candidates, evidence.of, strict=True)):
        span = span_at(one, 0)
        is_part = KINDS[one["kind"]] is CandidateKind.SPAN and evidence.hits[of] is best.hit
        if is_part and span is not None and best.span.contains(span):
            found.append((at, span))
    return found


def _heard(evidence: Evidence, best: Reading) -> NDArray[np.bool_]:
    """Return bool (question words,): which words of the question stand in the best sentence."""
    for one, of in zip(evidence.candidates, evidence.of, strict=True):
        if evidence.hits[of] is best.hit and span_at(one, 0) == best.span:
            return _words_in(evidence, one)
    return np.zeros(len(evidence.said) - 1, dtype=bool)


def _words_in(evidence: Evidence, one: np.void) -> NDArray[np.bool_]:
    return np.asarray(evidence.said[:-1, one["term_start"] : one["term_end"]].any(axis=1))


def _names_in(snapshot: Snapshot, text: str) -> set[str]:
    vocabulary = snapshot.vocabulary
    return {word.text.casefold() for word in words(text) if vocabulary.is_name(word.text)}
