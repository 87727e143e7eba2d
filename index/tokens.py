"""Texts to the tokens of a model, each with its place in the text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from corpus.document import Span

EDGE_TOKENS = 8
"""Room left in each window of a question longer than the window."""


def load_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer at `path` with truncation and padding off."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text as the model takes them."""

    ids: NDArray[np.int64]
    """int64 (n,), special tokens included."""
    offsets: NDArray[np.int32]
    """int32 (n, 2) in code points of the text without its prompt; special and prompt tokens are empty."""
    words: NDArray[np.bool_]
    """bool (n,): true for the tokens of the text itself."""


def tokenize(tokenizer: Tokenizer, text: str, prompt: str = "") -> Tokens:
    """Return the tokens of `prompt + text`, with offsets into `text`."""
    encoded = tokenizer.encode(prompt + text)
    offsets = np.asarray(encoded.offsets, dtype=np.int32).reshape(-1, 2) - len(prompt)
    words = (np.asarray(encoded.special_tokens_mask) == 0) & (offsets[:, 1] > 0)
    return Tokens(
        ids=np.asarray(encoded.ids, dtype=np.int64),
        offsets=np.where(words[:, None], np.maximum(offsets, 0), 0).astype(np.int32),
        words=words,
    )


def windows(tokens: Tokens, window: int) -> list[Span]:
    """Return the spans of a long text that hold at most `window` tokens each.

    A little less, because a word cut at an edge may fall into more tokens than its parts had.
    """
    offsets = tokens.offsets[tokens.words]
    size = max(1, window - EDGE_TOKENS)
    edges = range(0, len(offsets), size)
    return [Span(int(offsets[at][0]), int(offsets[min(at + size, len(offsets)) - 1][1])) for at in edges]
