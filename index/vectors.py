"""Ranking by meaning: the only module that knows FAISS."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoder import Vector


def nearest(vectors: Vector, question: Vector, count: int) -> tuple[NDArray[np.int64], Vector]:
    """Return the numbers and similarities of the `count` rows nearest to `question`, best first.

    Exact: FAISS compares with every row of `vectors`, float32 (passages, dimension), where it lies,
    so a memory-mapped matrix is not copied. Equal similarities come in row order.
    Both results have min(count, passages) entries, int64 and float32.
    """
    kept = min(count, len(vectors))
    if not kept:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    _, (found,) = faiss.knn(
        np.ascontiguousarray(question[None, :]), vectors, kept, metric=faiss.METRIC_INNER_PRODUCT
    )
    # FAISS rounds otherwise than `similarities`; whichever way a row was found, its number is the same.
    near = similarities(vectors, question, found)
    order = np.lexsort((found, -near))
    return found[order].astype(np.int64), near[order]


def similarities(vectors: Vector, question: Vector, rows: NDArray[np.int64]) -> Vector:
    """Return the inner products of `question` with the given rows, float32 (rows,)."""
    # Not `@`: BLAS adds up the rows at the edge of a block in another order, and equal rows would differ.
    return np.asarray(np.einsum("rd,d->r", vectors[rows], question), dtype=np.float32)
