"""Ranking by words: BM25 over the terms of each passage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import bm25s
import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75
"""Robertson's usual values. On 5,795 SQuAD questions k1 0.9 to 1.5 and b 0.5 to 0.75 differ by 0.004 R@1."""


@dataclass(frozen=True, slots=True)
class Postings:
    """BM25's score of each term in each passage, by term (compressed sparse columns, made by bm25s)."""

    scores: NDArray[np.float32]
    """float32 (entries,)."""
    passages: NDArray[np.int32]
    """int32 (entries,): the passage of each score."""
    starts: NDArray[np.int64]
    """int64 (terms + 1,): where each term's entries begin."""


def build_postings(term_ids: Sequence[NDArray[np.int32]], vocabulary: Sequence[str]) -> Postings:
    """Return the postings of passages given as arrays of term numbers."""
    if not vocabulary:
        return Postings(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int64))
    ranker = _ranker()
    numbered = {term: number for number, term in enumerate(vocabulary)}
    ranker.index(
        ([ids.tolist() for ids in term_ids], numbered), show_progress=False, create_empty_token=False
    )
    parts = ranker.scores
    return Postings(
        np.asarray(parts["data"], np.float32),
        np.asarray(parts["indices"], np.int32),
        np.asarray(parts["indptr"], np.int64),
    )


def _ranker() -> bm25s.BM25:
    return bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")


class Terms:
    """The vocabulary of a snapshot and its ranking by words."""

    def __init__(self, vocabulary: Sequence[str], postings: Postings, passages: int) -> None:
        """Rank `passages` passages by `postings`, whose columns are numbered as in `vocabulary`."""
        self.vocabulary = vocabulary
        self._numbers = {term: number for number, term in enumerate(vocabulary)}
        self._passages = passages
        self._frequencies = np.diff(postings.starts)
        self._ranker = _ranker()
        self._ranker.scores = {
            "data": postings.scores,
            "indices": postings.passages,
            "indptr": postings.starts,
            "num_docs": passages,
        }
        self._ranker.nonoccurrence_array = None  # only the BM25+ family has one

    def __contains__(self, term: str) -> bool:
        return term in self._numbers

    def number(self, term: str) -> int:
        """Return the number of `term` in the vocabulary, -1 for an unknown one."""
        return self._numbers.get(term, -1)

    def frequency(self, term: str) -> int:
        """Return in how many passages `term` stands."""
        number = self._numbers.get(term)
        return 0 if number is None else int(self._frequencies[number])

    def idf(self, term: str) -> float:
        """Return ln(1 + (N - n + 0.5) / (n + 0.5)); an unknown term is the rarest."""
        n = self.frequency(term)
        return math.log(1 + (self._passages - n + 0.5) / (n + 0.5))

    def scores(self, terms: Iterable[str]) -> NDArray[np.float32]:
        """Return BM25 of every passage for the known ones of `terms`, each counted once.

        float32 (passages,), at most the sum of the terms' idf; 0 where no term stands.
        """
        known = sorted({self._numbers[term] for term in terms if term in self._numbers})
        if not known:
            return np.zeros(self._passages, dtype=np.float32)
        return np.asarray(self._ranker.get_scores_from_ids(known), dtype=np.float32)

    @cached_property
    def rarest(self) -> float:
        """Return the idf of a term that no passage holds."""
        return math.log(1 + (self._passages + 0.5) / 0.5)
