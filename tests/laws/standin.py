"""The one Encoder that stands in for the model: deterministic, small, and quick."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index.encoder import Encoding, Export, TextTooLong, Vector, quantize

DIMENSION = 384
TOKEN_DIMENSION = 64
WINDOW = 40
"""Small, so that ordinary paragraphs have to be split."""

TOKEN = re.compile(r"\w{1,6}|[^\w\s]|\n")
"""Long words fall into pieces. Line ends count, so that a joined text may have more tokens than its parts."""

EXPORT = Export(
    model="stand-in",
    source="",
    fingerprint="5" * 64,
    dimension=DIMENSION,
    token_dimension=TOKEN_DIMENSION,
    window=WINDOW,
    inputs=(),
    query_prompt="",
    document_prompt="",
)


class StandIn:
    """Vectors from hashes of words and of pairs of words, so that equal texts and no others meet at 1."""

    runtime = "stand-in"

    def __init__(self, *, broken: bool = False) -> None:
        self.export = EXPORT
        self.broken = broken
        """Whether it fails where it should encode."""
        self.closed = 0
        """How often what encodes documents was closed."""
        self.calls: list[list[str]] = []
        """The document texts of each call, in order."""

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text`, which alone decide its vector."""
        return TOKEN.findall(text)

    def count_tokens(self, text: str) -> int:
        return len(self.tokens(text))

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> list[Encoding]:
        self.calls.append(list(texts))
        for text in texts:
            if self.count_tokens(text) > WINDOW:
                raise TextTooLong(f"{self.count_tokens(text)} tokens, the window has {WINDOW}: {text[:40]!r}")
        self._work()
        if progress:
            progress(len(texts))
        return [_encoding(text) for text in texts]

    def close_documents(self) -> None:
        self.closed += 1

    def encode_question(self, question: str) -> Encoding:
        self._work()
        return _encoding(question)

    def encode_questions(self, questions: Sequence[str]) -> list[Encoding]:
        return [self.encode_question(one) for one in questions]

    def _work(self) -> None:
        if self.broken:
            raise RuntimeError("the encoder is broken")

    def is_word(self, text: str) -> bool:
        return self.count_tokens(text) == 1

    def rarity(self, tokens: NDArray[np.int64]) -> float:
        return 1.0 if len(tokens) != 1 else int(tokens[0]) % 97 / 97


def _encoding(text: str) -> Encoding:
    found = list(TOKEN.finditer(text))
    words = [match.group() for match in found]
    pairs = [_direction(f"{one} {two}", DIMENSION) for one, two in pairwise(words)]
    total = np.sum([_direction(word, DIMENSION) for word in words or [""]] + pairs, axis=0)
    rows = [_direction(word, TOKEN_DIMENSION) for word in words]
    return Encoding(
        vector=np.asarray(total / np.linalg.norm(total), dtype=np.float32),
        tokens=quantize(np.asarray(rows, dtype=np.float32).reshape(-1, TOKEN_DIMENSION)),
        offsets=np.asarray([match.span() for match in found], dtype=np.int32).reshape(-1, 2),
        ids=np.asarray([_number(word) for word in words], dtype=np.int64),
    )


@lru_cache(maxsize=20_000)
def _direction(word: str, dimension: int) -> Vector:
    values = np.random.default_rng(_number(word)).standard_normal(dimension)
    return np.asarray(values / np.linalg.norm(values), dtype=np.float32)


def _number(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=6).digest(), "big")
