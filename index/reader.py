"""Question + Hits -> candidate answers with scores: which sentence or cell says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.document import CandidateKind, Span
from index.columns import KINDS, TERM_FIELDS, TOKEN_FIELDS, span_at
from index.encoder import Vector
from index.question import Question
from index.search import Hit, unpacked
from index.snapshot import Snapshot

READ = 10
"""Hits whose candidates are scored."""

WEIGHTS = {
    "match": 5.9,  # MaxSim of the question over the candidate (a cell with its row label and column header)
    "match_context": 4.2,  # the same, title and headings added
    "match_passage": 1.6,  # the same over the whole passage
    "covered": 2.2,  # weight of the question's subject words found in the candidate, as a share
    "covered_context": 3.3,  # the same, title and headings added
    "covered_passage": 0.2,  # the same over the whole passage
    "similarity": 1.0,  # cosine of question and passage
    "words": 1.4,  # BM25 share of the passage
    "gap": -3.6,  # how far the passage's score is below the best passage's
    "cell": 0.8,  # 1 for a cell of a table
    "new": 1.7,  # share of the candidate's own terms that are not in the question
    "length": -0.4,  # ln of the candidate's own tokens
    "stated": 2.6,  # cosine of question and the candidate's own statement; for prose that of the passage
    "has_statement": -0.4,  # 1 for a candidate that has one
    "date": 1.1,  # the question asks when: 1 when the candidate has a date, -1 when not, 0 when not asked
    "number": 1.2,  # the question asks how many, how long ...: likewise
    "name": 0.8,  # the question asks who or where: likewise for a name
    "reason": 1.5,  # the question asks why: likewise for a reason
    "answer_only": 1.4,  # MaxSim over the cell without its label and header
}
"""How much each feature counts, fitted so that the right candidate comes first. On the scored halves it is first
for 0.74 of the answerable questions on the article, 0.68 on the manuals and 0.80 on SQuAD."""

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
    features: tuple[float, ...]
    """In the order of FEATURES."""

    @property
    def weighed(self) -> tuple[float, ...]:
        """Return what each feature adds to the score."""
        return tuple(float(part) for part in np.multiply(self.features, _WEIGHTS))


ASKS_DATE = re.compile(r"\b(when|(what|which) (year|date|day|month)|since when|how long ago)\b", re.I)
ASKS_NUMBER = re.compile(
    r"\bhow (many|much|long|often|old|far|big|large|fast|high|deep|heavy|wide)\b"
    r"|\bwhat (is the )?(number|percentage|size|price|cost|limit|port|version|share|amount)\b",
    re.I,
)
ASKS_NAME = re.compile(r"\b(who|whom|whose|where)\b", re.I)
ASKS_REASON = re.compile(r"\b(why|how come|what (makes|made|is the reason)|reasons?)\b", re.I)
DATE = re.compile(
    r"\b\d{4}\b|\b\d{1,2}[./:]\d|\b(january|february|march|april|may|june|july|august|september|october"
    r"|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|century|centuries)\b",
    re.I,
)
NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty"
    r"|hundred|thousand|million|billion|dozen|daily|weekly|monthly|yearly|once|twice|never|always|half|no)\b",
    re.I,
)
NAME = re.compile(r"(?<=[\w,;:)] )[A-Z]\w+|^[A-Z][\w.]+ [A-Z]\w+")
REASON = re.compile(
    r"\b(because|since|due to|so that|thanks to|owing to|in order to|therefore|thus|as a result|making"
    r"|which (is|makes|means)|to (avoid|prevent|ensure|keep|allow|reduce|protect)|for its)\b",
    re.I,
)


def read(snapshot: Snapshot, question: Question, hits: Sequence[Hit]) -> list[Reading]:
    """Return the candidates of the best hits, best first; ties break by passage and place."""
    found: list[Reading] = []
    best = hits[0].score if hits else 0.0
    for hit in hits[:READ]:
        found.extend(_read_passage(snapshot, question, hit, best - hit.score))
    return sorted(found, key=lambda one: (-one.score, one.hit.passage, one.span.start))


def _read_passage(snapshot: Snapshot, question: Question, hit: Hit, gap: float) -> list[Reading]:
    passage = hit.passage
    row = snapshot.columns.passages[passage]
    text = snapshot.text(int(row["document"]))
    meant = question.tokens @ unpacked(snapshot, passage).T
    said = _said(snapshot, question, passage)
    weights = question.token_weights
    context = (meant[:, : row["context"]], said[:, : row["context_terms"]])
    stated = snapshot.statements_of(passage) @ question.vector
    whole = (_best(meant) @ weights, _share(said, question))
    found: list[Reading] = []
    for one in snapshot.candidates_of(passage):
        span = span_at(one, 0)
        if span is None:
            continue
        near = _ranges(meant, one, TOKEN_FIELDS)
        words = _ranges(said, one, TERM_FIELDS)
        own_terms = said[:, one["term_start"] : one["term_end"]]
        own = meant[:, one["token_start"] : one["token_end"]]
        answer = span.of(text)
        features = (
            float(_best(near) @ weights),
            float(np.maximum(_best(near), _best(context[0])) @ weights),
            float(whole[0]),
            _share(words, question),
            _share(np.concatenate((words, context[1]), axis=1), question),
            whole[1],
            hit.similarity,
            hit.words,
            gap,
            float(KINDS[one["kind"]] is CandidateKind.CELL),
            1.0 - float(own_terms.any(axis=0).mean()) if own_terms.shape[1] else 0.0,
            float(np.log1p(own.shape[1])),
            float(stated[one["statement"]]) if one["statement"] >= 0 else hit.similarity,
            float(one["statement"] >= 0),
            *_shape(question.text, answer),
            float(_best(own) @ weights),
        )
        found.append(
            Reading(
                hit=hit,
                kind=KINDS[one["kind"]],
                span=span,
                row_label=span_at(one, 1),
                column_header=span_at(one, 2),
                score=score_of(features),
                features=features,
            )
        )
    return found


def _said(snapshot: Snapshot, question: Question, passage: int) -> NDArray[np.bool_]:
    """Return bool (question words, passage terms): where each word of the question stands."""
    terms = snapshot.terms_of(passage)
    found = np.zeros((len(question.words), len(terms)), dtype=bool)
    for at, word in enumerate(question.words):
        number = snapshot.terms.number(word.terms[0])
        if number >= 0:
            found[at] = terms == number
    return found


def _ranges(values: NDArray[np.generic], one: np.void, fields: tuple[str, ...]) -> NDArray[np.generic]:
    """Return the columns of `values` that stand for a candidate: its own, its row label's, its header's."""
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return np.concatenate([values[:, one[first] : one[behind]] for first, behind in pairs], axis=1)


def _best(similarities: NDArray[np.generic]) -> Vector:
    """Return each question token's best similarity, float32 (question tokens,); 0 where there is nothing."""
    if not similarities.shape[1]:
        return np.zeros(len(similarities), dtype=np.float32)
    return np.asarray(similarities.max(axis=1), dtype=np.float32)


def _share(said: NDArray[np.generic], question: Question) -> float:
    """Return the weight of the question's subject words found in `said`, as a share of their weight."""
    subject = question.subject
    total = float(question.weights[subject].sum())
    if not total:
        return 0.0
    return float(question.weights[subject] @ said[subject].any(axis=1)) / total


def _shape(question: str, answer: str) -> tuple[float, ...]:
    """Return for each kind of question: 1 if the answer has what is asked for, -1 if not, 0 if not asked."""
    kinds = ((ASKS_DATE, DATE), (ASKS_NUMBER, NUMBER), (ASKS_NAME, NAME), (ASKS_REASON, REASON))
    return tuple(
        (1.0 if wanted.search(answer) else -1.0) if asks.search(question) else 0.0 for asks, wanted in kinds
    )


def score_of(features: Sequence[float]) -> float:
    """Return how well a candidate answers, by the fitted weights; higher is better."""
    return float(np.dot(features, _WEIGHTS))
