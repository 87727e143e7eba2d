"""Question + Hits -> candidate answers with scores: which sentence, cell or clause says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.document import CandidateKind, Span
from corpus.sentences import LONGEST_ANSWER
from index.analysis import words
from index.columns import KINDS, NONE, TERM_FIELDS, TOKEN_FIELDS, span_at
from index.encoder import TOKEN_SCALE, Vector
from index.question import Question
from index.search import DECIMALS, Hit
from index.shapes import SHAPES, cell_forms, shapes
from index.snapshot import Snapshot

READ = 20
"""Hits whose candidates are scored. A right candidate is among them for 0.99 of the answerable questions on
the article, 0.95 on the manuals, 0.99 on SQuAD."""

LARGEST = 1000
"""Passages from which on the size of the corpus counts no more: fitted on corpora of 13, 162 and 593."""

KEPT = 12
"""Candidates handed on: the answer, its alternatives, what a trace shows."""

WEIGHTS = {
    "match": 4.8,  # MaxSim of the question over the candidate (a cell with its row label and column header)
    "match_context": 3.1,  # the same, title and headings added
    "match_passage": 1.4,  # the same over the whole passage
    "covered": 1.6,  # weight of the question's subject words found in the candidate, as a share
    "covered_context": 2.3,  # the same, title and headings added
    "covered_passage": 0.2,  # the same over the whole passage
    "similarity": 1.2,  # cosine of question and passage
    "words": 1.5,  # BM25 share of the passage
    "gap": -3.7,  # how far the passage's score is below the best passage's
    "cell": 0.7,  # 1 for a cell of a table
    "new": 1.5,  # share of the candidate's own terms that are not in the question
    "length": -0.2,  # ln of the candidate's own tokens
    "stated": 2.4,  # cosine of question and the candidate's own statement; for prose that of the passage
    "has_statement": -0.3,  # 1 for a candidate that has one
    "named": 0.2,  # share of the names in the question that stand in the candidate, 1 if it has none
    "rival": -1.4,  # 1 when it names what the corpus sets against a name asked about, and not that name
    "worst": 2.1,  # how well the subject word that is met worst is met, in the candidate or its headings
    "worst_passage": -0.7,  # the same over the whole passage
    "unmet": -2.8,  # weight of what is not met of the subject words, as a share
    "unknown": 0.0,  # weight of the subject words that the corpus does not know, as a share
    "unknown_name": 0.0,  # names and numbers in the question that the corpus does not know
    "passages": 0.0,  # ln of how many there are, up to LARGEST: among more, a chance match is likelier
    "answer_only": 1.2,  # MaxSim over the cell without its label and header
    "only": 1.5,  # 1 for a cell that is nothing but the date, number or name asked for
    "label": 1.6,  # 1 when row label or column header says that the cell holds what is asked for
    "date": 0.7,  # the question asks when: 1 when the candidate has a date, -1 when not, 0 when not asked
    "number": 0.7,  # the question asks how many, how long ...: likewise
    "name": 0.6,  # the question asks who or where: likewise for a name
    "reason": 0.9,  # the question asks why: likewise for a reason
}
"""How much each feature counts, fitted so that the right candidate comes first (benchmarks/quality). On the
scored halves it is first for 0.79 of the answerable questions on the article, 0.71 on the manuals and 0.82 on
SQuAD."""

FEATURES = tuple(WEIGHTS)
_WEIGHTS = np.array(tuple(WEIGHTS.values()))


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
    """In the order of FEATURES."""

    @property
    def weighed(self) -> tuple[float, ...]:
        """Return what each feature adds to the score."""
        return tuple(float(part) for part in np.multiply(self.features, _WEIGHTS))


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The question against every token and term of some passages, and their candidates, side by side."""

    hits: Sequence[Hit]
    of: NDArray[np.int64]
    """int64 (candidates,): the hit each candidate is of."""
    candidates: NDArray[np.void]
    """CANDIDATE (candidates,), its ranges counted from the first token and term of all."""
    meant: Vector
    """float32 (question tokens, tokens): cosines."""
    said: NDArray[np.bool_]
    """bool (question words + 1, terms): where each word stands; the last row: where a rival's name does."""
    contexts: tuple[NDArray[np.int64], NDArray[np.int64]]
    """int64 (hits, 2) each: where title and headings stand among tokens, and among terms."""
    wholes: tuple[NDArray[np.int64], NDArray[np.int64]]
    """The same for the whole passages."""


def read(snapshot: Snapshot, question: Question, hits: Sequence[Hit]) -> list[Reading]:
    """Return the best KEPT candidates of the hits and the best one of each hit, best first.

    Ties break by passage and place. Clauses do not compete: the best sentence is narrowed to one where
    that loses nothing asked for.
    """
    taken = hits[:READ]
    if not taken or not question.subject:
        return []
    evidence = _gather(snapshot, question, taken)
    if not len(evidence.candidates):
        return []
    features = _features(snapshot, question, evidence)
    scores = np.round(features @ _WEIGHTS, DECIMALS)
    competing = np.flatnonzero(evidence.candidates["kind"] != KINDS.index(CandidateKind.SPAN))
    shares = np.zeros(len(scores))
    shares[competing] = np.exp(scores[competing] - scores[competing].max())
    shares /= shares.sum()
    passages = np.array([hit.passage for hit in taken])[evidence.of]
    keys = (evidence.candidates["start"], passages, -scores)
    order = competing[np.lexsort([key[competing] for key in keys])]
    _, firsts = np.unique(evidence.of[order], return_index=True)
    wanted = sorted({*range(min(KEPT, len(order))), *firsts.tolist()})
    readings = [_reading(evidence, order[at], scores, shares, features) for at in wanted]
    readings[0] = _shortened(snapshot, evidence, _narrowed(snapshot, question, evidence, readings[0]), scores)
    return readings


def _gather(snapshot: Snapshot, question: Question, hits: Sequence[Hit]) -> _Evidence:
    """Return the evidence of all hits at once: one matrix product for all of their tokens."""
    rows = snapshot.columns.passages[[hit.passage for hit in hits]]
    tokens = np.concatenate([snapshot.tokens_of(hit.passage) for hit in hits])
    terms = np.concatenate([snapshot.terms_of(hit.passage) for hit in hits])
    parts = [snapshot.candidates_of(hit.passage) for hit in hits]
    of = np.repeat(np.arange(len(hits)), [len(part) for part in parts])
    candidates = np.concatenate(parts)
    wholes = []
    contexts = []
    for name, context, fields in (
        ("tokens", "context", TOKEN_FIELDS),
        ("terms", "context_terms", TERM_FIELDS),
    ):
        begins = np.concatenate(([0], np.cumsum(rows[name])))[:-1].astype(np.int64)
        for field in fields:
            candidates[field] += begins[of].astype(np.int32)
        wholes.append(np.stack((begins, begins + rows[name]), axis=1))
        contexts.append(np.stack((begins, begins + rows[context]), axis=1))
    meant = np.asarray(question.tokens @ (tokens.T / np.float32(TOKEN_SCALE)), dtype=np.float32)
    said = _said(snapshot, question, terms)
    return _Evidence(hits, of, candidates, meant, said, (contexts[0], contexts[1]), (wholes[0], wholes[1]))


def _said(snapshot: Snapshot, question: Question, terms: NDArray[np.int32]) -> NDArray[np.bool_]:
    found = np.zeros((len(question.words) + 1, len(terms)), dtype=bool)
    for at, word in enumerate(question.words):
        number = snapshot.terms.number(word.terms[0])
        if number >= 0:
            found[at] = terms == number
    rivals = [snapshot.terms.number(term) for term in question.rivals]
    found[-1] = np.isin(terms, [number for number in rivals if number >= 0])
    return found


def _features(snapshot: Snapshot, question: Question, evidence: _Evidence) -> NDArray[np.float64]:
    """Return float64 (candidates, features) in the order of FEATURES."""
    one, of, hits = evidence.candidates, evidence.of, evidence.hits
    near = _near(evidence.meant, one, TOKEN_FIELDS)
    around = range_max(evidence.meant, evidence.contexts[0])[:, of]
    inside = range_max(evidence.meant, evidence.wholes[0])[:, of]
    said = _near(evidence.said, one, TERM_FIELDS)
    said_around = range_max(evidence.said, evidence.contexts[1])[:, of]
    said_inside = range_max(evidence.said, evidence.wholes[1])[:, of]
    weights = question.token_weights
    best = hits[0].score
    met = _met(question, np.maximum(near, around), said | said_around)
    met_inside = _met(question, inside, said_inside)
    similarity = np.array([hit.similarity for hit in hits])[of]
    has_statement = one["statement"] != NONE
    columns = {
        "match": weights @ near,
        "match_context": weights @ np.maximum(near, around),
        "match_passage": weights @ inside,
        "covered": _share(question, said),
        "covered_context": _share(question, said | said_around),
        "covered_passage": _share(question, said_inside),
        "similarity": similarity,
        "words": np.array([hit.words for hit in hits])[of],
        "gap": np.array([best - hit.score for hit in hits])[of],
        "cell": one["kind"] == KINDS.index(CandidateKind.CELL),
        "new": 1.0 - _mean(np.any(evidence.said[:-1], axis=0), one["term_start"], one["term_end"]),
        "length": np.log1p(one["token_end"] - one["token_start"]),
        "stated": np.where(has_statement, _stated(snapshot, question, evidence), similarity),
        "has_statement": has_statement,
        "named": _named(question, said),
        "rival": said[-1] & (_named(question, said) < 1) if question.names else np.zeros(len(one)),
        "worst": met.min(axis=0),
        "worst_passage": met_inside.min(axis=0),
        "unmet": 1.0 - question.weights[question.subject] @ met / question.weights[question.subject].sum(),
        "unknown": np.full(len(one), question.unknown),
        "unknown_name": np.full(len(one), question.unknown_names),
        "passages": np.full(len(one), np.log(min(max(snapshot.passages, 1), LARGEST))),
        "answer_only": weights @ range_max(evidence.meant, _pairs(one, TOKEN_FIELDS[:2])),
    }
    texts = [snapshot.text(snapshot.document_of(hit.passage)) for hit in hits]
    places = [_cell(texts[number], row) for number, row in zip(of, one, strict=True)]
    answers = [texts[number][row["start"] : row["end"]] for number, row in zip(of, one, strict=True)]
    columns |= cell_forms(question.text, places)
    plain = [np.asarray(columns[name], np.float64) for name in FEATURES[: -len(SHAPES)]]
    return np.column_stack([*plain, shapes(question.text, answers)])


def range_max(values: NDArray[Any], ranges: NDArray[np.int64]) -> NDArray[Any]:
    """Return the largest value of each row over each half-open range of columns; 0 over an empty one.

    `values` (rows, columns), `ranges` int (n, 2); the result is (rows, n) of the type of `values`.
    """
    if not len(ranges):
        return np.zeros((len(values), 0), dtype=values.dtype)
    # reduceat takes the element itself for an empty range and may not start behind the end: one column more.
    padded = np.concatenate((values, np.zeros((len(values), 1), dtype=values.dtype)), axis=1)
    found = np.maximum.reduceat(padded, np.asarray(ranges, dtype=np.int64).ravel(), axis=1)[:, ::2]
    return np.asarray(np.where(ranges[:, 0] < ranges[:, 1], found, np.zeros(1, dtype=values.dtype)))


def _pairs(candidates: NDArray[np.void], fields: Sequence[str]) -> NDArray[np.int64]:
    return np.stack((candidates[fields[0]], candidates[fields[1]]), axis=1).astype(np.int64)


def _near(values: NDArray[Any], candidates: NDArray[np.void], fields: tuple[str, ...]) -> NDArray[Any]:
    """Return the best value over a candidate's own words, its row label and its column header."""
    found = [range_max(values, _pairs(candidates, fields[at : at + 2])) for at in (0, 2, 4)]
    return np.asarray(np.maximum(np.maximum(found[0], found[1]), found[2]))


def _met(question: Question, meant: NDArray[Any], said: NDArray[Any]) -> NDArray[np.float64]:
    """Return float64 (subject words, n): 1 where the word is said, else how near its best counterpart is."""
    subject = question.subject
    groups = question.groups[subject]
    return np.asarray(np.where(said[subject], 1.0, groups @ meant), dtype=np.float64)


def _share(question: Question, said: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weight of the subject words found, as a share of their weight, for each column."""
    subject = question.subject
    total = float(question.weights[subject].sum())
    if not total:
        return np.zeros(said.shape[1])
    return np.asarray(question.weights[subject] @ said[subject] / total, dtype=np.float64)


def _named(question: Question, said: NDArray[Any]) -> NDArray[np.float64]:
    if not question.names:
        return np.ones(said.shape[1])
    return np.asarray(said[list(question.names)].mean(axis=0), dtype=np.float64)


def _mean(
    values: NDArray[np.bool_], starts: NDArray[np.int32], ends: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the share of true values in each range; 1 in an empty one."""
    counted = np.concatenate(([0], np.cumsum(values)))
    lengths = ends - starts
    return np.where(lengths > 0, (counted[ends] - counted[starts]) / np.maximum(lengths, 1), 1.0)


def _stated(snapshot: Snapshot, question: Question, evidence: _Evidence) -> NDArray[np.float64]:
    """Return the cosine of the question and each candidate's statement; 0 where it has none."""
    found = np.zeros(len(evidence.candidates))
    for number, hit in enumerate(evidence.hits):
        statements = snapshot.statements_of(hit.passage)
        if len(statements):
            own = (evidence.of == number) & (evidence.candidates["statement"] != NONE)
            found[own] = (statements @ question.vector)[evidence.candidates["statement"][own]]
    return found


def _cell(text: str, one: np.void) -> tuple[str, str] | None:
    """Return the words of a cell, and of its row label and column header; None for anything else."""
    if KINDS[one["kind"]] is not CandidateKind.CELL:
        return None
    own, label, header = (span.of(text) if span else "" for span in (span_at(one, at) for at in range(3)))
    return own, f"{label}\n{header}"


def _reading(
    evidence: _Evidence,
    at: int,
    scores: NDArray[np.float64],
    shares: NDArray[np.float64],
    features: NDArray[np.float64],
) -> Reading:
    one = evidence.candidates[at]
    span = span_at(one, 0)
    assert span is not None
    return Reading(
        hit=evidence.hits[evidence.of[at]],
        kind=KINDS[one["kind"]],
        span=span,
        row_label=span_at(one, 1),
        column_header=span_at(one, 2),
        score=float(scores[at]),
        share=float(shares[at]),
        features=tuple(features[at].tolist()),
    )


def _narrowed(snapshot: Snapshot, question: Question, evidence: _Evidence, best: Reading) -> Reading:
    """Return the clause of the best sentence that is about what is asked, where the rest is not.

    "A does x, while B does y", asked about A, gives A's part: B is set against A by the corpus, or the
    clause says all that the sentence says of the question and the rest has a name of its own.
    """
    if best.kind is not CandidateKind.SENTENCE:
        return best
    text = snapshot.text(snapshot.document_of(best.hit.passage))
    whole = _heard(evidence, best)
    asked = _names_in(snapshot, question.text)
    rivals = {other.casefold() for name in asked for other in snapshot.vocabulary.rivals(name)} - asked
    for at, span in _parts_of(evidence, best):
        one = evidence.candidates[at]
        own = _names_in(snapshot, span.of(text))
        rest = _names_in(snapshot, text[best.span.start : span.start] + " " + text[span.end : best.span.end])
        all_said = np.array_equal(_words_in(evidence, one), whole) and bool(rest - own - asked)
        set_against = bool(asked & own) and bool(rest & rivals) and not (rest & asked or own & rivals)
        if all_said or set_against:
            return replace(best, kind=CandidateKind.SPAN, span=span)
    return best


def _shortened(
    snapshot: Snapshot, evidence: _Evidence, best: Reading, scores: NDArray[np.float64]
) -> Reading:
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


def _parts_of(evidence: _Evidence, best: Reading) -> list[tuple[int, Span]]:
    """Return number and place of each clause inside the best candidate."""
    found: list[tuple[int, Span]] = []
    for at, (one, of) in enumerate(zip(evidence.candidates, evidence.of, strict=True)):
        span = span_at(one, 0)
        is_part = KINDS[one["kind"]] is CandidateKind.SPAN and evidence.hits[of] is best.hit
        if is_part and span is not None and best.span.contains(span):
            found.append((at, span))
    return found


def _heard(evidence: _Evidence, best: Reading) -> NDArray[np.bool_]:
    """Return bool (question words,): which words of the question stand in the best sentence."""
    for one, of in zip(evidence.candidates, evidence.of, strict=True):
        if evidence.hits[of] is best.hit and span_at(one, 0) == best.span:
            return _words_in(evidence, one)
    return np.zeros(len(evidence.said) - 1, dtype=bool)


def _words_in(evidence: _Evidence, one: np.void) -> NDArray[np.bool_]:
    return np.asarray(evidence.said[:-1, one["term_start"] : one["term_end"]].any(axis=1))


def _names_in(snapshot: Snapshot, text: str) -> set[str]:
    vocabulary = snapshot.vocabulary
    return {word.text.casefold() for word in words(text) if vocabulary.is_name(word.text)}
