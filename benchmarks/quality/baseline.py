"""The plain way, to compare with: the nearest paragraph by cosine, and in it the nearest sentence.

The same encoder and the same documents; no words, no statements, no reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from corpus.document import Span
from corpus.sentences import sentences
from index.encoder import Encoder, Vector
from index.snapshot import Snapshot
from service.figures import DEPTHS, Outcome
from service.known import KnownQuestion, exact_match, holds_gold, is_short, nearest_gold, token_f1

PARAGRAPH = re.compile(r"\S(?:.|\n(?!\s*\n))*")


@dataclass(slots=True)
class Plain:
    """All paragraphs of a corpus with their vectors."""

    encoder: Encoder
    places: list[tuple[str, str, Span]]
    """Document id, its text, and the paragraph's span."""
    vectors: Vector
    """float32 (paragraphs, dimension), unit length."""
    read: dict[int, tuple[list[Span], Vector]] = field(default_factory=dict)
    """The sentences of the paragraphs read so far, and their vectors."""

    def sentences_of(self, number: int) -> tuple[list[Span], Vector]:
        """Return the sentences of a paragraph and their vectors, float32 (sentences, dimension)."""
        if number not in self.read:
            _, text, span = self.places[number]
            found = sentences(text, span) or [span]
            self.read[number] = found, _encoded(self.encoder, [one.of(text) for one in found])
        return self.read[number]


def plain(snapshot: Snapshot, encoder: Encoder) -> Plain:
    """Return the paragraphs of every document of a snapshot."""
    places = [
        (entry.id, snapshot.text(number), span)
        for number, entry in enumerate(snapshot.documents)
        for span in paragraphs(snapshot.text(number))
    ]
    return Plain(encoder, places, _encoded(encoder, [span.of(text) for _, text, span in places]))


def paragraphs(text: str) -> Iterator[Span]:
    """Yield what stands between empty lines."""
    for found in PARAGRAPH.finditer(text):
        yield Span(found.start(), found.start() + len(found[0].rstrip()))


def _encoded(encoder: Encoder, texts: Sequence[str]) -> Vector:
    """Return float32 (texts, dimension), unit length; beyond the window, the mean of a text's windows."""
    window = encoder.export.window
    short = [number for number, text in enumerate(texts) if encoder.count_tokens(text) <= window]
    vectors = np.zeros((len(texts), encoder.export.dimension), dtype=np.float32)
    for number, encoding in zip(short, encoder.encode_documents([texts[one] for one in short]), strict=True):
        vectors[number] = encoding.vector
    for number in set(range(len(texts))) - set(short):
        vectors[number] = encoder.encode_question(texts[number]).vector
    return vectors


def measure(corpus: Plain, questions: Iterable[KnownQuestion]) -> list[Outcome]:
    """Return what came of each question; the confidence is the cosine of the sentence."""
    return [_asked(corpus, known) for known in questions]


def _asked(corpus: Plain, known: KnownQuestion) -> Outcome:
    question = corpus.encoder.encode_question(known.question).vector
    ranked = np.argsort(-(corpus.vectors @ question), kind="stable")[: DEPTHS[-1]].tolist()
    document, text, _ = corpus.places[ranked[0]]
    found, vectors = corpus.sentences_of(ranked[0])
    near = vectors @ question
    best = int(near.argmax())
    span, words = found[best], found[best].of(text)
    placed = not known.gold_places or known.is_at_gold(document, span.start, span.end)
    return Outcome(
        type=known.type,
        answerable=known.answerable,
        confidence=min(1.0, max(0.0, float(near[best]))),
        right=known.answerable and holds_gold(known, words) and placed and is_short(words),
        placed=bool(known.gold_places),
        rank=_rank(corpus, known, ranked),
        exact=nearest_gold(known, words, exact_match),
        f1=nearest_gold(known, words, token_f1),
    )


def _rank(corpus: Plain, known: KnownQuestion, ranked: Sequence[int]) -> int | None:
    for rank, number in enumerate(ranked, start=1):
        document, _, span = corpus.places[number]
        if known.is_at_gold(document, span.start, span.end):
            return rank
    return None


def best_threshold(outcomes: Sequence[Outcome]) -> float:
    """Return the threshold at which most replies are right, the lowest of equally good ones."""
    tried = sorted({0.0, 1.0, *(one.confidence for one in outcomes if one.confidence is not None)})
    return max(tried, key=lambda bound: (sum(one.is_right(bound) for one in outcomes), -bound))
