"""A question as the rankers see it: its vector, its words, and how much each of them counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.analysis import Word, words
from index.encoder import TOKEN_SCALE, Encoder, Vector
from index.terms import Terms

COMMON_WEIGHT = 0.2
"""Weight of a word that every passage holds, as a share of the weight of one that none holds. Without it a
small corpus about two things could not tell them apart: both names stand in every passage, idf near 0."""

STOPWORD_WEIGHT = 0.1
"""Weight of words that say nothing of a subject: "when" and "how many" still pull a little."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, encoded and weighed against one snapshot's vocabulary."""

    text: str
    vector: Vector
    """float32 (dimension,)."""
    tokens: Vector
    """float32 (tokens, token_dimension), unit length."""
    words: tuple[Word, ...]
    weights: NDArray[np.float32]
    """float32 (words,): from STOPWORD_WEIGHT to 1, rarer words more."""
    token_weights: NDArray[np.float32]
    """float32 (tokens,): each word's weight shared among its tokens; sums to 1 unless there is no word."""

    @property
    def terms(self) -> list[str]:
        """Return the terms of all its words."""
        return [term for word in self.words for term in word.terms]

    @property
    def subject(self) -> list[int]:
        """Return the numbers of the words that say something of a subject."""
        return [number for number, word in enumerate(self.words) if not word.is_stopword]


def read_question(text: str, encoder: Encoder, terms: Terms) -> Question:
    """Return `text` as a Question to be asked of the snapshot whose vocabulary is `terms`."""
    encoding = encoder.encode_question(text)
    found = tuple(words(text))
    weights = np.zeros(len(found), dtype=np.float32)
    token_weights = np.zeros(len(encoding.tokens), dtype=np.float32)
    for at, word in enumerate(found):
        inside = (encoding.offsets[:, 1] > word.span.start) & (encoding.offsets[:, 0] < word.span.end)
        weights[at] = _weight(word, terms, encoder.rarity(encoding.ids[inside]))
        token_weights[inside] = weights[at] / max(int(inside.sum()), 1)
    total = float(token_weights.sum())
    if total:
        token_weights /= total
    tokens = encoding.tokens.astype(np.float32) / TOKEN_SCALE
    return Question(text, encoding.vector, np.asarray(tokens, np.float32), found, weights, token_weights)


def _weight(word: Word, terms: Terms, rarity: float) -> float:
    if word.is_stopword:
        return STOPWORD_WEIGHT
    here = min(terms.idf(term) for term in word.terms) / terms.rarest
    return COMMON_WEIGHT + (1 - COMMON_WEIGHT) * rarity * here
