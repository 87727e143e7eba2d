"""Asks both rankers, fuses them, compares word by word, and breaks ties: Hits, each with its why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from index.encoder import Vector
from index.matching import best_matches
from index.question import Question
from index.snapshot import Snapshot
from index.terms import FEW
from index.vectors import VectorPart, nearest

POOL = 50
"""Passages taken from each ranker. R@50 of the pool on SQuAD questions is above 0.995."""

WIDER = 4
"""Times as many are taken when the pool is so full of copies that too few different passages are left."""

WORDS_WEIGHT = 0.75
"""Weight of BM25 (as a share of the most it could be) beside the cosine."""

COMPARED = 20
"""Passages compared word by word (MaxSim)."""

MATCH_WEIGHT = 1.0
"""Weight of MaxSim beside the fused score."""

DECIMALS = 5
"""Scores are compared to this many decimals: equal passages come out different in the last bits, depending on
where they lie in memory, and the order must not."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found, its score, and why."""

    passage: int
    score: float
    similarity: float
    """Cosine of question and passage."""
    similarity_rank: int | None
    """Place in the ranking by meaning from 1, None when outside the pool."""
    words: float
    """BM25 as a share of the most that these words could reach, 0 to 1."""
    words_rank: int | None
    fused: float
    match: float | None
    """MaxSim: how well each word of the question is met by its best counterpart; None if not compared."""


def search(
    snapshot: Snapshot, question: Question, count: int, among: NDArray[np.bool_] | None = None
) -> list[Hit]:
    """Return the best `count` different passages, best first; `among` bool (passages,) leaves others out.

    Ties break by document and place, so the order never depends on threads or on how the index was made.
    """
    snapshot.count_question()
    pool = POOL
    while True:
        hits = list(islice(_distinct(snapshot, _ranked(snapshot, question, among, pool)), count))
        if len(hits) == count or pool >= snapshot.passages:
            return hits
        pool *= WIDER


def _ranked(
    snapshot: Snapshot, question: Question, among: NDArray[np.bool_] | None, pool: int
) -> Iterator[Hit]:
    """Yield the best `pool` passages of each ranker, best first."""
    by_meaning, stated = _by_meaning(snapshot, question.vector, among, pool)
    # Of few passages all are scored by words, once; of many only those that can be among the best.
    every = snapshot.terms.scores(question.terms) if snapshot.passages <= FEW else None
    by_words = _by_words(snapshot, question, among, pool, every)
    rows = np.union1d(by_meaning, by_words).astype(np.int64)
    if not len(rows):
        return
    cosine = snapshot.similarities(question.vector, rows)
    cosine = np.maximum(cosine, [stated.get(row, -1.0) for row in rows.tolist()])
    gained = snapshot.terms.scores_of(question.terms, rows) if every is None else every[rows]
    share = _share(snapshot, question, gained)
    fused = np.round(cosine + WORDS_WEIGHT * share, DECIMALS)
    compared = np.lexsort((rows, -fused))[:COMPARED]
    matched = np.full(len(rows), np.nan)
    matched[compared] = match(snapshot, question, rows[compared].tolist())
    scores = np.round(fused + MATCH_WEIGHT * np.nan_to_num(matched), DECIMALS)
    ranks = [{row: at for at, row in enumerate(found.tolist(), start=1)} for found in (by_meaning, by_words)]
    # Those not compared come behind, so that asking for more passages changes nothing about the first.
    for at in np.lexsort((rows, -scores, np.isnan(matched))).tolist():
        row = int(rows[at])
        yield Hit(
            passage=row,
            score=float(scores[at]),
            similarity=float(cosine[at]),
            similarity_rank=ranks[0].get(row),
            words=float(share[at]),
            words_rank=ranks[1].get(row),
            fused=float(fused[at]),
            match=None if np.isnan(matched[at]) else float(matched[at]),
        )


def _distinct(snapshot: Snapshot, ranked: Iterable[Hit]) -> Iterator[Hit]:
    """Yield the hits without those whose passage says what a better one says, word for word.

    A licence footer or a page kept twice would fill several places. Title and headings do not count.
    """
    seen: set[bytes] = set()
    for hit in ranked:
        said = snapshot.own_terms_of(hit.passage).tobytes()
        if said not in seen:
            seen.add(said)
            yield hit


def _by_meaning(
    snapshot: Snapshot, question: Vector, among: NDArray[np.bool_] | None, pool: int
) -> tuple[NDArray[np.int64], dict[int, float]]:
    """Return the best `pool` passages, best first, and the cosine of the nearest statement in each.

    A passage is as near as the nearest of itself and its statements.
    """
    rows, near = nearest(_among(snapshot.by_passage, among), question, pool)
    lines, lines_near = nearest(_among(snapshot.by_statement, among), question, pool)
    stated: dict[int, float] = {}
    for passage, similarity in zip(lines.tolist(), lines_near.tolist(), strict=True):
        stated.setdefault(passage, similarity)
    best = dict(zip(rows.tolist(), near.tolist(), strict=True))
    for passage, similarity in stated.items():
        best[passage] = max(best.get(passage, -1.0), similarity)
    ranked = sorted(best, key=lambda passage: (-best[passage], passage))[:pool]
    return np.asarray(ranked, dtype=np.int64), stated


def _among(parts: Sequence[VectorPart], among: NDArray[np.bool_] | None) -> Sequence[VectorPart]:
    """Return the same vectors with only those to be found that are of passages in `among`."""
    if among is None:
        return parts
    # The number -1 of what is no more reads the last one, and is kept as it is.
    return [
        VectorPart(
            part.vectors,
            np.where((part.numbers >= 0) & among[part.numbers], part.numbers, np.int32(-1)),
            part.cells,
        )
        for part in parts
    ]


def _by_words(
    snapshot: Snapshot,
    question: Question,
    among: NDArray[np.bool_] | None,
    pool: int,
    every: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """Return the best `pool` passages by BM25, best first, that have any."""
    found, scores = snapshot.terms.best(question.terms, pool, among, every)
    share = _share(snapshot, question, scores)
    return found[np.lexsort((found, -share))[:pool]]


def _share(snapshot: Snapshot, question: Question, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return BM25 as a share of the most that the question's words could reach."""
    most = sum(snapshot.terms.idf(term) for term in set(question.terms))
    return np.asarray(scores / max(most, 1e-9), dtype=np.float32)


def match(snapshot: Snapshot, question: Question, passages: Sequence[int]) -> NDArray[np.float64]:
    """Return MaxSim of the question over all tokens of each passage, title and headings included.

    float64 (passages,): what it is of one passage does not depend on the others.
    """
    tokens = [snapshot.tokens_of(passage) for passage in passages]
    best = best_matches(question.tokens, np.concatenate(tokens), [len(one) for one in tokens])
    # Not `@`: BLAS adds up in another order at the edge of a block, and equal passages would differ.
    return np.asarray((question.token_weights[:, None] * best).sum(axis=0, dtype=np.float64))


def order_of(scores: Sequence[float]) -> list[int]:
    """Return the numbers of `scores` from the highest to the lowest, equal ones in their order."""
    return sorted(range(len(scores)), key=lambda number: (-scores[number], number))
