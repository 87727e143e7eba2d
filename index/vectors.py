"""Ranking by meaning: the only module that knows FAISS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoder import Vector

ROUNDING = 1e-4
"""FAISS adds up in another order than `similarities`: two rows nearer to each other than this may change
places. The largest difference seen over 100,000 unit vectors of 384 dimensions was 4e-7."""

WIDER = 4
"""Times as many rows are looked at when too few of those found are living."""


@dataclass(frozen=True, slots=True)
class VectorPart:
    """One segment's vectors as a snapshot sees them."""

    vectors: Vector
    """float32 (rows, dimension), unit length."""
    numbers: NDArray[np.int32]
    """int32 (rows,): the snapshot's number of the passage each row is of, -1 for one not to be found."""


def nearest(parts: Sequence[VectorPart], question: Vector, count: int) -> tuple[NDArray[np.int64], Vector]:
    """Return the passages of the `count` rows nearest to `question`, and how near, best first.

    Exact: FAISS compares with every row where it lies, so that nothing mapped is copied. Equal similarities
    come in the order of the passages, however these are spread over `parts`. int64 and float32, each
    as long as there are rows, up to `count`.
    """
    found = [_nearest(part, question, count) for part in parts]
    numbers = np.concatenate([np.zeros(0, np.int64), *(one for one, _ in found)])
    near = np.concatenate([np.zeros(0, np.float32), *(one for _, one in found)])
    order = np.lexsort((numbers, -near))[:count]
    return numbers[order], near[order]


def _nearest(part: VectorPart, question: Vector, count: int) -> tuple[NDArray[np.int64], Vector]:
    """Return those of the rows of one part that can be among the `count` nearest of all."""
    living = int(np.count_nonzero(part.numbers >= 0))
    if 2 * living < len(part.numbers):
        rows = np.flatnonzero(part.numbers >= 0)
        return part.numbers[rows].astype(np.int64), similarities(part.vectors, question, rows)
    wanted = min(count, living)
    # One more than wanted, to see whether the last one is clearly behind.
    looked = min(count + 1 + len(part.numbers) - living, 2 * count + 1, len(part.numbers))
    # Questions run side by side; to share out each of them among the cores as well made a search of 19,000
    # rows seven times as long on a busy machine. The setting is each thread's own.
    faiss.omp_set_num_threads(1)
    while looked:
        _, (rows,) = faiss.knn(
            np.ascontiguousarray(question[None, :]), part.vectors, looked, metric=faiss.METRIC_INNER_PRODUCT
        )
        near = similarities(part.vectors, question, rows)
        alive = part.numbers[rows] >= 0
        ranked = np.sort(near[alive])[::-1]
        settled = len(ranked) >= wanted and near.min() < ranked[wanted - 1] - ROUNDING
        if looked == len(part.numbers) or (wanted and settled):
            return part.numbers[rows[alive]].astype(np.int64), near[alive]
        looked = min(looked * WIDER, len(part.numbers))
    return np.zeros(0, np.int64), np.zeros(0, np.float32)


def similarities(vectors: Vector, question: Vector, rows: NDArray[np.int64]) -> Vector:
    """Return the inner products of `question` with the given rows, float32 (rows,)."""
    # Not `@`: BLAS adds up the rows at the edge of a block in another order, and equal rows would differ.
    return np.asarray(np.einsum("rd,d->r", vectors[rows], question), dtype=np.float32)
