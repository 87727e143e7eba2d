"""Question + Hits -> candidate answers with scores: which sentence, cell or clause says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.document import BlockKind, CandidateKind
from index.columns import BLOCKS, KINDS, NONE, TERM_FIELDS, TOKEN_FIELDS, span_at
from index.cross_encoder import PairScorer
from index.evidence import Evidence, gather, near_to, pairs
from index.expansions import expands
from index.matching import range_max
from index.naming import names
from index.question import Question
from index.quoting import Reading, quoted
from index.saying import said_of
from index.search import DECIMALS, Hit
from index.shapes import POINTER, SHAPES, boilerplate, cell_forms, defines, is_yes_no, shapes, thing_asked
from index.snapshot import Snapshot

READ = 20
"""Hits whose candidates are scored. A right candidate is among them for 0.99 of the answerable questions on
the article, 0.95 on the manuals, 0.99 on SQuAD."""

LARGEST = 10_000
"""Passages from which on the size of the corpus counts no more: measured on corpora of 13 to 3,500."""

KEPT = 12
"""Candidates handed on: the answer, its alternatives, what a trace shows."""

CROSSED = 6
CROSSED_GAP = 2.0
"""The most candidates that the cross-encoder reads, and how far their weighted sum may be below the best
one's: 2.8 on average, 4.2 on documentation. Of the questions that may be looked at, the mean of four
families of sets: 0.821 right ones come first and 0.762 right replies are possible; up to four within 1.5
(2.1) 0.813 and 0.757, and once a document kept twice turned an answer into a refusal; up to twelve within
5.0 (7.2) 0.831 and 0.759."""

CROSS_WEIGHT = 0.75
"""Weight of the cross-encoder's logit beside the weighted sum. On the same questions 0.810 right ones come
first and 0.757 right replies are possible at 0.5, 0.821 and 0.762 at 0.75, 0.819 and 0.760 at 1, 0.817 and
0.758 at 1.5."""

WEIGHTS = {
    "match": 4.1,  # MaxSim of the question over the candidate (a cell with its row label and column header)
    "match_context": 2.8,  # the same, title and headings added
    "match_passage": 2.0,  # the same over the whole passage
    "covered": 1.9,  # weight of the question's subject words found in the candidate, as a share
    "covered_context": 1.3,  # the same, title and headings added
    "covered_passage": 1.1,  # the same over the whole passage
    "similarity": 1.2,  # cosine of question and passage
    "words": 1.6,  # BM25 share of the passage
    "gap": -4.4,  # how far the passage's score is below the best passage's
    "cell": 1.0,  # 1 for a cell of a table
    "new": 1.1,  # share of the candidate's own terms that are not in the question
    "length": 0.1,  # ln of the candidate's own tokens
    "stated": 3.3,  # cosine of question and the candidate's own statement; for prose that of the passage
    "has_statement": -0.3,  # 1 for a candidate that has one
    "named": -0.3,  # share of the names in the question that stand in the candidate, 1 if it has none
    "rival": -1.7,  # 1 when it names what the corpus sets against a name asked about, and not that name
    "worst": 2.2,  # how well the subject word that is met worst is met, in the candidate or its headings
    "worst_passage": -0.1,  # the same over the whole passage
    "unmet": -3.0,  # weight of what is not met of the subject words, as a share
    "unknown": 0.0,  # weight of the subject words that the corpus does not know, as a share
    "unknown_name": 0.0,  # names and numbers in the question that the corpus does not know
    "unknown_date": 0.0,  # years and versions in the question that the corpus does not know
    "passages": 0.0,  # ln of how many there are, up to LARGEST: among more, a chance match is likelier
    "answer_only": 0.8,  # MaxSim over the cell without its label and header
    "only": 1.3,  # 1 for a cell that is nothing but the date, number or name asked for
    "bare": -1.3,  # 1 when every word of the candidate stands in the question, which does not ask yes or no
    "leads_in": -1.0,  # 1 for a sentence that ends in a colon: what it announces comes after it
    "item": -0.3,  # 1 for a list item
    "code": -0.6,  # 1 for a line of code
    "yesno_cell": 0.2,  # 1 for a cell when the question asks yes or no
    "asks": -0.8,  # 1 for a question
    "points": -1.2,  # 1 for a sentence that only says where to read on
    "boilerplate": -1.0,  # 1 for a disclaimer, a licence, a note on rights, unless the question is about it
    "defines": 1.1,  # the question asks what something is: 1 when the candidate begins by saying it, else -1
    "expands": 2.0,  # the question asks what a short form stands for: 1 when the candidate says it, else -1
    "label": 1.3,  # 1 when row label or column header says that the cell holds what is asked for
    "date": 0.6,  # the question asks when: 1 when the candidate has a date, -1 when not, 0 when not asked
    "number": 1.3,  # the question asks how many, how long ...: likewise
    "name": 0.4,  # the question asks who or where: likewise for a name
    "reason": 0.8,  # the question asks why: likewise for a reason
}
"""How much each feature counts: what benchmarks/quality/fit.py prints, so that the right candidate comes
first on the questions that may be looked at. There it is first for 0.81 of the answerable ones on the
article, 0.74 on the manuals, 0.50 on the documentation of six projects and 0.79 on SQuAD. Tried as further
features, with a change of the mean below 0.005: sentence vectors pooled from the passage's tokens, the
matches of the sentences before and behind, and pairs of neighbouring words."""

FEATURES = tuple(WEIGHTS)
_WEIGHTS = np.array(tuple(WEIGHTS.values()))


def weighed(reading: Reading) -> dict[str, float]:
    """Return what each feature, and the cross-encoder where it read it, adds to the score of a candidate."""
    added = dict(zip(FEATURES, np.multiply(reading.features, _WEIGHTS).tolist(), strict=True))
    return added if reading.crossed is None else added | {"crossed": CROSS_WEIGHT * reading.crossed}


def read(
    snapshot: Snapshot, question: Question, hits: Sequence[Hit], pairs: PairScorer | None = None
) -> list[Reading]:
    """Return the best KEPT candidates of the hits and the best one of each hit, best first.

    With `pairs`, the first candidates by the weighted sum are read once more, each together with the
    question, and what comes of it is added. Ties break by passage and place. Clauses do not compete: the
    best sentence is narrowed to one where that loses nothing asked for.
    """
    taken = hits[:READ]
    if not taken or not question.subject:
        return []
    evidence = gather(snapshot, question, taken)
    if not len(evidence.candidates):
        return []
    features = _features(snapshot, question, evidence)
    scores = np.round(features @ _WEIGHTS, DECIMALS)
    competing = np.flatnonzero(evidence.candidates["kind"] != KINDS.index(CandidateKind.SPAN))
    order = _ordered(evidence, scores, competing)
    logits = np.full(len(scores), np.nan)
    if pairs is not None:
        first = order[:CROSSED]
        first = first[scores[first] >= scores[first[0]] - CROSSED_GAP]
        logits[first] = _crossed(snapshot, question, evidence, first, pairs)
        # What is not read stands no better than the worst of what is.
        lowest = float(np.nanmin(logits))
        scores = np.round(scores + CROSS_WEIGHT * np.where(np.isnan(logits), lowest, logits), DECIMALS)
        order = _ordered(evidence, scores, competing)
    shares = np.zeros(len(scores))
    shares[competing] = np.exp(scores[competing] - scores[competing].max())
    shares /= shares.sum()
    _, firsts = np.unique(evidence.of[order], return_index=True)
    wanted = sorted({*range(min(KEPT, len(order))), *firsts.tolist()})
    readings = [_reading(evidence, order[at], scores, shares, features, logits) for at in wanted]
    readings[0] = replace(readings[0], share=_agreed(snapshot, evidence, order, shares))
    readings[0] = quoted(snapshot, question, evidence, readings[0], scores)
    return readings


def _ordered(
    evidence: Evidence, scores: NDArray[np.float64], competing: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the numbers of the candidates that compete, best first."""
    passages = np.array([hit.passage for hit in evidence.hits])[evidence.of]
    keys = (evidence.candidates["start"], passages, -scores)
    return competing[np.lexsort([key[competing] for key in keys])]


def _crossed(
    snapshot: Snapshot, question: Question, evidence: Evidence, first: NDArray[np.int64], pairs: PairScorer
) -> list[float]:
    """Return the logit of each of the first candidates; what says the same is read once."""
    said = [
        said_of(snapshot, evidence.hits[evidence.of[at]].passage, evidence.candidates[at])
        for at in first.tolist()
    ]
    different = list(dict.fromkeys(said))
    known = dict(zip(different, pairs.score(question.text, different), strict=True))
    return [known[one] for one in said]


def _agreed(
    snapshot: Snapshot, evidence: Evidence, order: NDArray[np.int64], shares: NDArray[np.float64]
) -> float:
    """Return the best candidate's share with those of the others that say the same, word for word."""
    rows = evidence.candidates[order]
    if KINDS[rows[0]["kind"]] is CandidateKind.CELL:
        return float(shares[order[0]])  # the same words under another label say something else
    alike = order[rows["end"] - rows["start"] == rows[0]["end"] - rows[0]["start"]]
    said = [_words_of(snapshot, evidence, at) for at in alike.tolist()]
    return float(sum(shares[at] for at, one in zip(alike, said, strict=True) if one == said[0]))


def _words_of(snapshot: Snapshot, evidence: Evidence, at: int) -> str:
    row = evidence.candidates[at]
    text = snapshot.text(snapshot.document_of(evidence.hits[evidence.of[at]].passage))
    return text[row["start"] : row["end"]]


def _features(snapshot: Snapshot, question: Question, evidence: Evidence) -> NDArray[np.float64]:
    """Return float64 (candidates, features) in the order of FEATURES."""
    one, of, hits = evidence.candidates, evidence.of, evidence.hits
    near = near_to(evidence.meant, one, TOKEN_FIELDS)
    around = range_max(evidence.meant, evidence.contexts[0])[:, of]
    inside = range_max(evidence.meant, evidence.wholes[0])[:, of]
    said = near_to(evidence.said, one, TERM_FIELDS)
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
        "unknown_date": np.full(len(one), question.unknown_dates),
        "passages": np.full(len(one), np.log(min(max(snapshot.passages, 1), LARGEST))),
        "answer_only": weights @ range_max(evidence.meant, pairs(one, TOKEN_FIELDS[:2])),
    }
    texts = [snapshot.text(snapshot.document_of(hit.passage)) for hit in hits]
    kinds = one["block"]
    is_cell = one["kind"] == KINDS.index(CandidateKind.CELL)
    yes_no = is_yes_no(question.text)
    bare = columns["new"] <= 0
    columns |= {
        "bare": bare & (not yes_no),
        "item": kinds == BLOCKS.index(BlockKind.LIST_ITEM),
        "code": kinds == BLOCKS.index(BlockKind.CODE),
        "yesno_cell": is_cell & yes_no,
    }
    quoting = [(texts[number], row) for number, row in zip(of, one, strict=True)]
    places = [_cell(text, row) for text, row in quoting]
    answers = [text[row["start"] : row["end"]] for text, row in quoting]
    columns |= cell_forms(question.text, places)
    columns["leads_in"] = np.array([answer.endswith(":") for answer in answers])
    headings = [snapshot.headings(hit.passage)[-1:] for hit in hits]
    columns["boilerplate"] = boilerplate(
        question.text, [" ".join((*headings[at], answer)) for at, answer in zip(of, answers, strict=True)]
    )
    columns["asks"] = np.array([answer.endswith("?") for answer in answers])
    columns["points"] = np.array([POINTER.match(answer) is not None for answer in answers])
    columns["expands"] = columns["defines"] = np.zeros(len(one))
    if question.short_form is not None:
        labels = [_label(text, row) for text, row in quoting]
        columns["expands"] = expands(question.short_form, answers, labels)
    elif thing := thing_asked(question.text):
        columns["defines"] = defines(thing, answers, names(snapshot, evidence, texts))
    plain = [np.asarray(columns[name], np.float64) for name in FEATURES[: -len(SHAPES)]]
    return np.column_stack([*plain, shapes(question.text, answers)])


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


def _stated(snapshot: Snapshot, question: Question, evidence: Evidence) -> NDArray[np.float64]:
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


def _label(text: str, one: np.void) -> str:
    span = span_at(one, 1)
    return span.of(text) if span else ""


def _reading(
    evidence: Evidence,
    at: int,
    scores: NDArray[np.float64],
    shares: NDArray[np.float64],
    features: NDArray[np.float64],
    logits: NDArray[np.float64],
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
        crossed=None if np.isnan(logits[at]) else float(logits[at]),
    )
