"""Token against token: how well each token of a question is met, by late interaction (MaxSim).

MaxSim of Khattab and Zaharia, "ColBERT", 2020. Token vectors are int8; their products are added up as whole
numbers that float32 holds exactly, so a similarity never depends on what else is in the same matrix, on the
order of addition or on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoder import TOKEN_SCALE, Vector

MOST_DIMENSIONS = 2**24 // TOKEN_SCALE**2
"""float32 holds whole numbers exactly up to 2 ** 24."""


def cosines(asked: NDArray[np.int8], tokens: NDArray[np.int8] | Vector) -> Vector:
    """Return the similarity of each asked token to each of `tokens`, float32 (asked, tokens).

    Both are unit vectors times TOKEN_SCALE, int8 (n, token_dimension); `tokens` may be float32 of the
    same whole numbers, where they are needed more than once.
    """
    if asked.shape[1] > MOST_DIMENSIONS:
        raise ValueError(f"token vectors of {asked.shape[1]} dimensions; at most {MOST_DIMENSIONS} are exact")
    products = asked.astype(np.float32) @ tokens.astype(np.float32, copy=False).T
    return np.asarray(products / np.float32(TOKEN_SCALE**2), dtype=np.float32)


def best_matches(
    asked: NDArray[np.int8], tokens: NDArray[np.int8] | Vector, lengths: Sequence[int]
) -> Vector:
    """Return how near the nearest token of each text is to each asked one, float32 (asked, texts).

    `tokens` as for `cosines`, those of one text behind those of the other, `lengths` of them each; 0 for a
    text without tokens.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    ranges = np.stack((ends - lengths, ends), axis=1)
    return np.asarray(range_max(cosines(asked, tokens), ranges), dtype=np.float32)


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
