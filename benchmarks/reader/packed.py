"""Questions and candidates as token numbers in one file: what training takes, wherever it runs.

A few megabytes, so that it can be carried to a machine with a GPU that has no index, no documents and none of
this project's libraries but numpy, torch and transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.cross_encoder import Said

MOST_TOKENS = 64
"""Kept of each text, the first ones of question and words, the last ones of headings and of what is before:
more than the cross-encoder reads (index/cross_encoder.py)."""

PARTS = 3
"""Texts of a candidate: words, headings, what stands before it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate as the cross-encoder reads it, and whether it is a right answer."""

    said: Said
    right: bool
    score: float = 0.0
    """The weighted sum."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is asked of the documents, with candidates from the best on."""

    question: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """Questions with candidates; the arrays are parallel, and named by what a row stands for."""

    begin: int
    """The number of the token that begins what is read."""
    end: int
    """The number of the token that ends each part of it."""
    sets: tuple[str, ...]
    learned: NDArray[np.bool_]
    """bool (sets,): learned from; the others are only measured on."""
    tokens: NDArray[np.uint16]
    """uint16 (tokens of all texts,)."""
    starts: NDArray[np.int64]
    """int64 (texts + 1,): where the tokens of each text begin."""
    question_text: NDArray[np.int32]
    """int32 (questions,)."""
    question_set: NDArray[np.int16]
    """int16 (questions,)."""
    firsts: NDArray[np.int64]
    """int64 (questions + 1,): where the candidates of each question begin, best first by the weighted sum."""
    candidate_texts: NDArray[np.int32]
    """int32 (candidates, PARTS)."""
    right: NDArray[np.bool_]
    """bool (candidates,)."""
    scores: NDArray[np.float32]
    """float32 (candidates,): the weighted sum."""

    def text(self, number: int) -> list[int]:
        """Return the tokens of a text."""
        return [int(one) for one in self.tokens[self.starts[number] : self.starts[number + 1]]]

    def write(self, path: Path) -> None:
        """Write everything into one file."""
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays["starts"], arrays["firsts"] = np.diff(self.starts), np.diff(self.firsts)
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)


def read(path: Path) -> Packed:
    """Return what `Packed.write` has written."""
    with np.load(path) as found:
        values = {name: found[name] for name in found.files}
    for name in ("starts", "firsts"):
        values[name] = np.concatenate(([0], np.cumsum(values[name]))).astype(np.int64)
    for name in ("begin", "end"):
        values[name] = int(values[name])
    values["sets"] = tuple(str(one) for one in values["sets"])
    return Packed(**values)


def pack(
    learned: Mapping[str, Sequence[Asked]], measured: Mapping[str, Sequence[Asked]], tokenizer: Tokenizer
) -> Packed:
    """Return the questions of both, by name of their set, as token numbers."""
    known: dict[tuple[str, bool], int] = {}
    lists: list[list[int]] = []

    def number_of(text: str, *, last: bool = False) -> int:
        found = known.get((text, last))
        if found is None:
            found = known[text, last] = len(lists)
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            lists.append(ids[-MOST_TOKENS:] if last else ids[:MOST_TOKENS])
        return found

    groups = [*learned.items(), *measured.items()]
    asked = [(at, one) for at, (_, group) in enumerate(groups) for one in group if one.candidates]
    candidates = [each for _, one in asked for each in one.candidates]
    question_text = [number_of(one.question) for _, one in asked]
    texts = [
        (
            number_of(one.said.words),
            number_of(one.said.headings, last=True),
            number_of(one.said.before, last=True),
        )
        for one in candidates
    ]
    begin, end = (tokenizer.token_to_id(one) for one in ("[CLS]", "[SEP]"))
    if begin is None or end is None:
        raise ValueError("the tokenizer has no [CLS] or no [SEP]; the cross-encoder is trained from a BERT")
    return Packed(
        begin=begin,
        end=end,
        sets=tuple(name for name, _ in groups),
        learned=np.array([at < len(learned) for at in range(len(groups))]),
        tokens=np.array([token for one in lists for token in one], dtype=np.uint16),
        starts=np.concatenate(([0], np.cumsum([len(one) for one in lists]))).astype(np.int64),
        question_text=np.array(question_text, dtype=np.int32),
        question_set=np.array([at for at, _ in asked], dtype=np.int16),
        firsts=np.concatenate(([0], np.cumsum([len(one.candidates) for _, one in asked]))).astype(np.int64),
        candidate_texts=np.array(texts, dtype=np.int32).reshape(-1, PARTS),
        right=np.array([one.right for one in candidates], dtype=np.bool_),
        scores=np.array([one.score for one in candidates], dtype=np.float32),
    )
