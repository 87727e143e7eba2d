"""MaxSim: exact, and of each text for itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.encoder import TOKEN_SCALE
from index.matching import MOST_DIMENSIONS, best_matches, cosines


def tokens(count: int, dimension: int, seed: int) -> NDArray[np.int8]:
    chance = np.random.default_rng(seed)
    return chance.integers(-TOKEN_SCALE, TOKEN_SCALE + 1, size=(count, dimension)).astype(np.int8)


LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=8)


@given(LENGTHS, st.integers(0, 20), st.sampled_from((1, 7, 128, MOST_DIMENSIONS)), st.integers(0, 99))
def test_a_match_depends_on_nothing_beside(lengths: list[int], asked: int, dimension: int, seed: int) -> None:
    """To the last bit: whatever else is matched with it, a text is met as it is met alone, and exactly so."""
    question = tokens(asked, dimension, seed)
    texts = [tokens(length, dimension, seed + 1 + at) for at, length in enumerate(lengths)]
    together = best_matches(question, np.concatenate(texts), lengths)
    assert together.shape == (asked, len(texts))
    for at, text in enumerate(texts):
        alone = best_matches(question, text, [len(text)])[:, 0]
        assert (together[:, at] == alone).all()
        products = question.astype(np.int64) @ text.astype(np.int64).T
        best = products.max(axis=1, initial=-(2**30)) if len(text) else np.zeros(asked, np.int64)
        assert (alone == best.astype(np.float32) / np.float32(TOKEN_SCALE**2)).all()


def test_more_dimensions_than_are_exact_are_refused() -> None:
    wide = tokens(1, MOST_DIMENSIONS + 1, 0)
    with pytest.raises(ValueError, match=f"{MOST_DIMENSIONS + 1} dimensions; at most {MOST_DIMENSIONS}"):
        cosines(wide, wide)
