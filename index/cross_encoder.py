"""Question and candidate read together by a small transformer: what it is about, and whether it answers.

A cross-encoder (Nogueira and Cho, "Passage Re-ranking with BERT", 2019) sees every word of a question beside
every word of a candidate, where the encoder has made its vectors of each for itself. It is MiniLM,
trained on questions with known answers by benchmarks/reader/train.py, as int8 in
`weights/`. It reads words, so it goes with any encoder and any index.

Each candidate is a run of its own: its score depends on nothing but the question and itself, whatever else is
read beside it, and nothing is spent on padding.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index import graphs
from index.encoder import EncoderError
from index.tokens import load_tokenizer

WEIGHTS = Path(__file__).with_name("weights")
GRAPH_FILE = "cross_encoder.onnx"
TOKENIZER_FILE = "tokenizer.json"

QUESTION_TOKENS = 40
CANDIDATE_TOKENS = 56
HEADINGS_TOKENS = 14
BEFORE_TOKENS = 14
"""The most tokens of each part, as in the training. Of the headings and of what stands before the last ones
are kept: those nearest to the candidate."""


@dataclass(frozen=True, slots=True)
class Said:
    """A candidate as it is read: its words, and what gives them their meaning."""

    words: str
    """Of a cell with its column header and row label in front."""
    headings: str
    """Title and headings above it, outermost first."""
    before: str
    """What stands before it in its passage: the sentence before, the line that leads in to a list."""


class PairScorer(Protocol):
    """Says how well a candidate answers a question."""

    def score(self, question: str, said: Sequence[Said]) -> list[float]:
        """Return for each of `said` the logit that it answers `question`, against that nothing does."""


class CrossEncoder:
    """The trained cross-encoder on ONNX Runtime; one core a candidate, calls from any thread."""

    def __init__(self, folder: Path = WEIGHTS, *, cores: int | None = None) -> None:
        """Open the graph and the tokenizer in `folder`; `cores` is how many it may use, None for all.

        Raises EncoderError when one of them is missing or cannot be opened.
        """
        try:
            self._tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
            self._session = graphs.opened(folder / GRAPH_FILE, threads=1)
            self._readers = ThreadPoolExecutor(
                cores or os.cpu_count() or 1, thread_name_prefix="cross-encoder"
            )
        except Exception as error:  # both libraries raise families of their own without a common public base
            raise EncoderError(
                f"the cross-encoder in {folder} cannot be opened ({error}); install Pullquote again, or set "
                "PULLQUOTE_READER=plain to do without it"
            ) from error

    def score(self, question: str, said: Sequence[Said]) -> list[float]:
        """Return for each of `said` the logit that it answers `question`, against that nothing does.

        Several are read side by side, on as many cores as it may use; all who ask share them.
        """
        if len(said) == 1:
            return [self._score(question, said[0])]
        return list(self._readers.map(partial(self._score, question), said))

    def _score(self, question: str, said: Said) -> float:
        ids, types = layout(self._tokenizer, question, said)
        inputs = {"input_ids": ids[None], "token_type_ids": types[None]}
        (found,) = self._session.run(["logit"], inputs)
        return float(found[0])


def layout(tokenizer: Tokenizer, question: str, said: Said) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return token numbers and types, int64 (tokens,) each: question, candidate (type 1), the rest."""
    texts = (question, said.words, said.headings, said.before)
    parts = [one.ids for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    return arranged(parts, _special(tokenizer, "[CLS]"), _special(tokenizer, "[SEP]"))


def arranged(
    parts: Sequence[Sequence[int]], begin: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return token numbers and types, int64 (tokens,) each, of question, words, headings and what is before.

    `begin` and `end` are the numbers of the tokens that begin the whole and end each part.
    """
    asked, words, headings, before = parts
    kept = (
        asked[:QUESTION_TOKENS],
        words[:CANDIDATE_TOKENS],
        headings[-HEADINGS_TOKENS:],
        before[-BEFORE_TOKENS:],
    )
    ids, types = [begin], [0]
    for number, part in enumerate(kept):
        ids += [*part, end]
        types += [int(number == 1)] * (len(part) + 1)
    return np.asarray(ids, dtype=np.int64), np.asarray(types, dtype=np.int64)


def _special(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise EncoderError(f"the cross-encoder's tokenizer has no token {token}; install Pullquote again")
    return int(found)
