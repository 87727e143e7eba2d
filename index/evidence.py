"""What the reader weighs: some passages' candidates, and the question against their every token and term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.columns import TERM_FIELDS, TOKEN_FIELDS
from index.encoder import Vector
from index.matching import cosines, range_max
from index.question import Question
from index.search import Hit
from index.snapshot import Snapshot
from index.synonyms import synonyms
from index.terms import term_numbers


@dataclass(frozen=True, slots=True)
class Evidence:
    """The question against every token and term of some passages, and their candidates, side by side."""

    hits: Sequence[Hit]
    of: NDArray[np.int64]
    """int64 (candidates,): the hit each candidate is of."""
    candidates: NDArray[np.void]
    """CANDIDATE (candidates,), its ranges counted from the first token and term of all."""
    meant: Vector
    """float32 (question tokens, tokens): cosines."""
    said: NDArray[np.bool_]
    """bool (question words + 1, terms): where each word stands; the last row: where a rival's name does."""
    contexts: tuple[NDArray[np.int64], NDArray[np.int64]]
    """int64 (hits, 2) each: where title and headings stand among tokens, and among terms."""
    wholes: tuple[NDArray[np.int64], NDArray[np.int64]]
    """The same for the whole passages."""


def gather(snapshot: Snapshot, question: Question, hits: Sequence[Hit]) -> Evidence:
    """Return the evidence of all hits at once: one matrix product for all of their tokens."""
    rows = snapshot.rows([hit.passage for hit in hits])
    tokens = np.concatenate([snapshot.tokens_of(hit.passage) for hit in hits])
    terms = np.concatenate([snapshot.terms_of(hit.passage) for hit in hits])
    parts = [snapshot.candidates_of(hit.passage) for hit in hits]
    of = np.repeat(np.arange(len(hits)), [len(part) for part in parts])
    candidates = np.concatenate(parts)
    wholes = []
    contexts = []
    for name, context, fields in (
        ("tokens", "context", TOKEN_FIELDS),
        ("terms", "context_terms", TERM_FIELDS),
    ):
        begins = np.concatenate(([0], np.cumsum(rows[name])))[:-1].astype(np.int64)
        for field in fields:
            candidates[field] += begins[of].astype(np.int32)
        wholes.append(np.stack((begins, begins + rows[name]), axis=1))
        contexts.append(np.stack((begins, begins + rows[context]), axis=1))
    meant = cosines(question.tokens, tokens)
    said = _said(question, terms)
    return Evidence(hits, of, candidates, meant, said, (contexts[0], contexts[1]), (wholes[0], wholes[1]))


def _said(question: Question, terms: NDArray[np.uint64]) -> NDArray[np.bool_]:
    found = np.zeros((len(question.words) + 1, len(terms)), dtype=bool)
    for at, word in enumerate(question.words):
        wanted = (word.terms[0], *synonyms(word.terms[0]))
        found[at] = np.isin(terms, term_numbers(wanted))
    found[-1] = np.isin(terms, term_numbers(question.rivals))
    return found


def pairs(candidates: NDArray[np.void], fields: Sequence[str]) -> NDArray[np.int64]:
    """Return int64 (candidates, 2): the ranges in two fields of CANDIDATE rows."""
    return np.stack((candidates[fields[0]], candidates[fields[1]]), axis=1).astype(np.int64)


def near_to(values: NDArray[Any], candidates: NDArray[np.void], fields: tuple[str, ...]) -> NDArray[Any]:
    """Return the best value over a candidate's own words, its row label and its column header."""
    found = [range_max(values, pairs(candidates, fields[at : at + 2])) for at in (0, 2, 4)]
    return np.asarray(np.maximum(np.maximum(found[0], found[1]), found[2]))
