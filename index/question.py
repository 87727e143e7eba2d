"""A question as the rankers see it: its vector, its words, and how much each of them counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from index.analysis import VERSION, YEAR, Word, words
from index.encoder import Encoder, Encoding, Vector
from index.expansions import asked_of
from index.terms import Terms
from index.vocabulary import Vocabulary

COMMON_WEIGHT = 0.2
"""Weight of a word that every passage holds, as a share of the weight of one that none holds. Without it a
small corpus about two things could not tell them apart: both names stand in every passage, idf near 0."""

STOPWORD_WEIGHT = 0.1
"""Weight of words that say nothing of a subject: "when" and "how many" still pull a little."""


ASIDE = re.compile(
    r"\b(?:in|from|per|by|according to|based on|as per) (?:the|this|that|your|these|those)"
    r" (?:given |above |whole )?"
    r"(?:table|article|documents?|docs|documentation|text|page|manual|guide)\b"
    r"|\b(?:answer (?:right )?now|urgent|asap|quick question|just wondering|out of curiosity)\b",
    re.I,
)
"""Where to look, and how soon: said to whoever answers, and no part of the subject."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, encoded and weighed against one snapshot's vocabulary."""

    text: str
    vector: Vector
    """float32 (dimension,)."""
    tokens: NDArray[np.int8]
    """int8 (tokens, token_dimension): unit vectors times TOKEN_SCALE."""
    words: tuple[Word, ...]
    weights: NDArray[np.float32]
    """float32 (words,): from STOPWORD_WEIGHT to 1, rarer words more."""
    token_weights: NDArray[np.float32]
    """float32 (tokens,): each word's weight shared among its tokens; sums to 1 unless there is no word."""

    groups: NDArray[np.float32]
    """float32 (words, tokens): each word's tokens, their weights summing to 1."""
    unknown: float
    """Weight of the subject words that the corpus does not know, as a share of the subject's."""
    unknown_names: int
    """How many names (written with a capital) and numbers there are that the corpus does not know."""
    unknown_dates: int
    """How many years and versions there are that the corpus does not know."""
    names: tuple[int, ...] = ()
    """The numbers of the words that the corpus writes as names."""
    rivals: tuple[str, ...] = ()
    """Terms of the things that the corpus sets against those names, and that the question does not name."""
    short_form: str | None = None
    """What it asks the long form of."""

    @property
    def terms(self) -> list[str]:
        """Return the terms of all its words."""
        return [term for word in self.words for term in word.terms]

    @property
    def subject(self) -> list[int]:
        """Return the numbers of the words that say something of a subject."""
        return [number for number, word in enumerate(self.words) if not word.is_stopword]


def read_together(
    texts: Sequence[str], encoder: Encoder, terms: Terms, vocabulary: Vocabulary
) -> list[Question]:
    """Return each text as a Question to be asked of the snapshot with these terms and this vocabulary."""
    encodings = encoder.encode_questions(texts)
    return [
        _read(text, encoding, encoder, terms, vocabulary)
        for text, encoding in zip(texts, encodings, strict=True)
    ]


def _read(text: str, encoding: Encoding, encoder: Encoder, terms: Terms, vocabulary: Vocabulary) -> Question:
    found = tuple(words(text))
    aside = [match.span() for match in ASIDE.finditer(text)]
    found = tuple(replace(word, aside=_within(word, aside)) for word in found) if aside else found
    weights = np.zeros(len(found), dtype=np.float32)
    token_weights = np.zeros(len(encoding.tokens), dtype=np.float32)
    groups = np.zeros((len(found), len(encoding.tokens)), dtype=np.float32)
    for at, word in enumerate(found):
        inside = (encoding.offsets[:, 1] > word.span.start) & (encoding.offsets[:, 0] < word.span.end)
        weights[at] = _weight(word, terms, encoder.rarity(encoding.ids[inside]))
        groups[at, inside] = 1 / max(int(inside.sum()), 1)
        token_weights[inside] = weights[at] / max(int(inside.sum()), 1)
    total = float(token_weights.sum())
    if total:
        token_weights /= total
    names = tuple(at for at, word in enumerate(found) if vocabulary.is_name(word.text))
    return Question(
        text=text,
        vector=encoding.vector,
        tokens=encoding.tokens,
        words=found,
        weights=weights,
        token_weights=token_weights,
        groups=groups,
        unknown=_unknown(found, weights, vocabulary),
        unknown_names=sum(_is_unknown_name(at, word, vocabulary) for at, word in enumerate(found)),
        unknown_dates=sum(_is_unknown_date(term, terms) for word in found for term in word.terms),
        names=names,
        rivals=_rivals(vocabulary, [found[at] for at in names], found),
        short_form=asked_of(text, found, vocabulary),
    )


def _within(word: Word, places: Sequence[tuple[int, int]]) -> bool:
    return any(start <= word.span.start and word.span.end <= end for start, end in places)


def _unknown(found: Sequence[Word], weights: NDArray[np.float32], vocabulary: Vocabulary) -> float:
    subject = [at for at, word in enumerate(found) if not word.is_stopword]
    missing = [at for at in subject if not vocabulary.knows(found[at])]
    return float(weights[missing].sum() / weights[subject].sum()) if missing else 0.0


def _is_unknown_name(at: int, word: Word, vocabulary: Vocabulary) -> bool:
    """Return whether no document has a word that is a name, a number or an option.

    The first word's capital says nothing.
    """
    named = (
        word.is_option
        or word.text[0].isdigit()
        or word.text[1:] != word.text[1:].lower()
        or (at > 0 and word.text[0].isupper())
    )
    return named and not word.is_stopword and not vocabulary.knows(word)


def _is_unknown_date(term: str, terms: Terms) -> bool:
    """Return whether a term is a year or the number of a version that no document has."""
    return (YEAR.fullmatch(term) or VERSION.fullmatch(term)) is not None and term not in terms


def _rivals(vocabulary: Vocabulary, names: Sequence[Word], asked: Sequence[Word]) -> tuple[str, ...]:
    """Return the first terms of the names set against `names`, those in the question itself left out."""
    own = {word.terms[0] for word in asked}
    others = (rival for name in names for rival in vocabulary.rivals(name.text))
    found = (word.terms[0] for rival in others for word in words(rival))
    return tuple(dict.fromkeys(term for term in found if term not in own))


def _weight(word: Word, terms: Terms, rarity: float) -> float:
    if word.is_stopword:
        return STOPWORD_WEIGHT
    if word.is_option:
        return COMMON_WEIGHT + (1 - COMMON_WEIGHT) * terms.idf(word.terms[0]) / terms.rarest
    here = min(terms.idf(term) for term in word.terms) / terms.rarest
    return COMMON_WEIGHT + (1 - COMMON_WEIGHT) * rarity * here
