"""The plain way, to compare with: the nearest paragraph by cosine, and in it the nearest sentence.

The same encoder and the same documents; no words, no statements, no reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from corpus.document import BlockKind, Span
from corpus.formats import parse
from corpus.sentences import sentences
from index.encoder import Encoder, Vector
from index.snapshot import Snapshot
from service.figures import DEPTHS, Outcome
from service.known import KnownQuestion, exact_match, holds_gold, is_short, nearest_gold, token_f1


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A passage of the plain way: a block of a document, and its sentences or rows."""

    document: str
    text: str
    """Of the whole document."""
    span: Span
    sentences: tuple[Span, ...]


@dataclass(slots=True)
class Plain:
    """All paragraphs of a corpus with their vectors."""

    encoder: Encoder
    paragraphs: list[Paragraph]
    vectors: Vector
    """float32 (paragraphs, dimension), unit length."""
    read: dict[int, Vector] = field(default_factory=dict)
    """The vectors of the sentences of the paragraphs read so far."""

    def sentences_of(self, number: int) -> Vector:
        """Return the vectors of a paragraph's sentences, float32 (sentences, dimension)."""
        if number not in self.read:
            one = self.paragraphs[number]
            self.read[number] = _encoded(self.encoder, [span.of(one.text) for span in one.sentences])
        return self.read[number]


def plain(snapshot: Snapshot, encoder: Encoder) -> Plain:
    """Return the paragraphs of every document of a snapshot."""
    found = [
        one
        for number, entry in enumerate(snapshot.documents)
        for one in _paragraphs(entry.id, snapshot.text(number))
    ]
    return Plain(encoder, found, _encoded(encoder, [one.span.of(one.text) for one in found]))


def _paragraphs(document: str, text: str) -> Iterator[Paragraph]:
    """Yield every block that is no heading; a heading without its paragraph would answer nothing."""
    for block in parse(document, text.encode()).blocks:
        if block.kind is BlockKind.TABLE:
            yield Paragraph(
                document, text, block.span, tuple(row.span for row in block.rows) or (block.span,)
            )
        elif block.kind is not BlockKind.HEADING:
            inside = tuple(sentences(text, block.content)) or (block.content,)
            yield Paragraph(document, text, block.content, inside)


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
    paragraph = corpus.paragraphs[ranked[0]]
    near = corpus.sentences_of(ranked[0]) @ question
    best = int(near.argmax())
    span = paragraph.sentences[best]
    words = span.of(paragraph.text)
    placed = not known.gold_places or known.is_at_gold(paragraph.document, span.start, span.end)
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
        one = corpus.paragraphs[number]
        if known.is_at_gold(one.document, one.span.start, one.span.end):
            return rank
    return None


def best_threshold(outcomes: Sequence[Outcome]) -> float:
    """Return the threshold at which most replies are right, the lowest of equally good ones."""
    tried = sorted({0.0, 1.0, *(one.confidence for one in outcomes if one.confidence is not None)})
    return max(tried, key=lambda bound: (sum(one.is_right(bound) for one in outcomes), -bound))
