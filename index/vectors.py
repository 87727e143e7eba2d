"""Ranking by meaning: exact with FAISS over few vectors, by cells over many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np
from numpy.typing import NDArray

from index.cells import Cells
from index.encoder import Vector

ROUNDING = 1e-4
"""FAISS adds up in another order than `similarities`: two rows nearer to each other than this may change
places. The largest difference seen over 100,000 unit vectors of 384 dimensions was 4e-7."""

WIDER = 4
"""Times as many rows are looked at when too few of those found are living."""


GATHERED = 20_000
"""Rows that are looked at one by one where they are scattered among others: that takes 8 ms, and to find so
few of a million by cells takes as long."""

RESCORED = 2
LEAST_RESCORED = 100
"""As many times the rows wanted, and at least so many, are taken from the cells and compared exactly. Of a
million rows 100 and 200 find the same share of the ten nearest."""


@dataclass(frozen=True)
class VectorPart:
    """One segment's vectors as a snapshot sees them."""

    vectors: Vector
    """float32 (rows, dimension), unit length."""
    numbers: NDArray[np.int32]
    """int32 (rows,): the snapshot's number of the passage each row is of, -1 for one not to be found."""
    cells: Cells | None = None
    """The approximate index over the rows, where there are many."""

    @cached_property
    def living(self) -> int:
        """Return how many rows are to be found."""
        return int(np.count_nonzero(self.numbers >= 0))

    @cached_property
    def allowed(self) -> NDArray[np.bool_] | None:
        """Return bool (rows,): which rows are to be found; None where all are."""
        return None if self.living == len(self.numbers) else self.numbers >= 0


def nearest(parts: Sequence[VectorPart], question: Vector, count: int) -> tuple[NDArray[np.int64], Vector]:
    """Return the passages of the `count` rows nearest to `question`, and how near, best first.

    FAISS compares with every row where it lies, so that nothing mapped is copied; in a part that has cells it
    looks into the nearest of them, and may miss a row, but never returns fewer than there are. How
    near a row is said to be is exact in any case. Equal similarities come in the order of the passages,
    however these are spread over `parts`. int64 and float32, each as long as there are rows, up to `count`.
    """
    found = [_nearest(part, question, count) for part in parts]
    numbers = np.concatenate([np.zeros(0, np.int64), *(one for one, _ in found)])
    near = np.concatenate([np.zeros(0, np.float32), *(one for _, one in found)])
    order = np.lexsort((numbers, -near))[:count]
    return numbers[order], near[order]


def _nearest(part: VectorPart, question: Vector, count: int) -> tuple[NDArray[np.int64], Vector]:
    """Return those of the rows of one part that can be among the `count` nearest of all."""
    living = part.living
    if part.cells is not None and living > max(GATHERED, RESCORED * count):
        looked = max(RESCORED * count, LEAST_RESCORED)
        rows = part.cells.nearest(question, looked, part.allowed, living / len(part.numbers))
        return part.numbers[rows].astype(np.int64), similarities(part.vectors, question, rows)
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
