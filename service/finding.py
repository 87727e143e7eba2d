"""The first half of a question: understood, encoded and searched for, with others that come at the moment."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from corpus.document import Span
from index.cross_encoder import PairScorer
from index.encoder import Encoder
from index.fields import Wanted
from index.makers import called_by_name
from index.question import Question, read_together
from index.reader import READ
from index.search import Hit, search
from index.snapshot import Snapshot
from index.vocabulary import Rewrite, rewrite
from service import observing
from service.company import Company
from service.followup import Turn, complete
from service.memory import Memory

SIDE_BY_SIDE = min(os.cpu_count() or 1, 4)
"""Batches of questions that are worked on at a time. More threads than that only pass the interpreter's lock
around: a search takes 0.6 ms of a core with one thread and 1.6 with 16 on two cores."""

TOGETHER = 8
"""Questions of one batch at most. Of 16 threads asking on two cores come 416 searches a second with 8, 373
with 16, 369 with 6; 265 when each thread searches for itself."""


def cores_each(workers: int) -> int:
    """Return how many cores each of so many processes has for itself, one at least."""
    return max(1, (os.cpu_count() or 1) // workers)


REMEMBERED = 128
"""Of the questions asked last, what was found and what came of it, each counted: a reply with its trace takes
65 kB, what was found next to nothing, so some 4 MB."""


@dataclass(frozen=True, slots=True)
class Index:
    """What one question is asked of: a snapshot and the encoder that made it."""

    snapshot: Snapshot
    encoder: Encoder
    pairs: PairScorer | None = None
    """What reads the best candidates together with the question; None for the weighted sum alone."""
    memory: Memory = field(init=False, default_factory=lambda: Memory(REMEMBERED), repr=False, compare=False)
    """What came of the questions asked last (`service.remembered`)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a question brings to light before anything of it is read: the passages, not yet an answer."""

    question: Question | None
    """The question weighed; None where the index is empty."""
    among: tuple[Hit, ...]
    """What the reader sees: the same whatever `top_k` is, so that it changes nothing about the answer."""
    hits: tuple[Hit, ...]
    """The first `top_k` of them, in the order of the search."""
    used: str
    """The question as it was asked, after the rewrites."""
    rewrites: tuple[Rewrite, ...]
    milliseconds: dict[str, float]
    key: Hashable = None
    """What stands for the question and its parameters where they are remembered."""
    best_in_passage: dict[int, Span] = field(default_factory=dict)
    """Empty: which place answers best is not known before the reading."""


def find(
    index: Index,
    question: str,
    *,
    history: Sequence[Turn] = (),
    top_k: int = 5,
    documents: Sequence[str] = (),
    fields: Wanted | None = None,
) -> Found:
    """Return the passages nearest to `question`: the first half of `ask`, with the same parameters.

    From any thread; questions that come at the same moment are encoded together.
    """
    return _FINDING(_Asked(index, question, history, top_k, documents, fields, time.perf_counter()))


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters of `find`, and when it was called."""

    index: Index
    question: str
    history: Sequence[Turn]
    top_k: int
    documents: Sequence[str]
    fields: Wanted | None
    begun: float


def _find_all(asked: Sequence[_Asked]) -> list[Found]:
    """Return what is found for each of some questions."""
    found: dict[int, Found] = {}
    used: dict[int, tuple[str, tuple[Rewrite, ...]]] = {}
    for at, one in enumerate(asked):
        if one.index.snapshot.passages:
            used[at] = understand(one.index, one.question, one.history)
        else:
            found[at] = Found(None, (), (), one.question, (), {"total": _since(one.begun)})
    for at, question, read in _read_all(asked, {at: text for at, (text, _) in used.items()}):
        one, (text, rewrites) = asked[at], used[at]
        searching = time.perf_counter()
        snapshot = one.index.snapshot
        rows = snapshot.rows_where(one.documents, one.fields) if one.documents or one.fields else None
        hits = tuple(search(snapshot, question, max(one.top_k, READ), rows))
        found[at] = Found(
            question=question,
            among=hits,
            hits=hits[: one.top_k],
            used=text,
            rewrites=rewrites,
            milliseconds={
                "total": _since(one.begun),
                "encode": (read - one.begun) * 1000,
                "search": _since(searching),
            },
        )
    return [found[at] for at in range(len(asked))]


def _read_all(asked: Sequence[_Asked], used: Mapping[int, str]) -> Iterator[tuple[int, Question, float]]:
    """Yield number and Question of each question used, and when it was read; those of one index together."""
    for index in {id(one.index): one.index for one in asked}.values():
        own = [at for at in used if asked[at].index is index]
        terms, vocabulary = index.snapshot.terms, index.snapshot.vocabulary
        observing.encoded(len(own))
        questions = read_together([used[at] for at in own], index.encoder, terms, vocabulary)
        read = time.perf_counter()
        yield from ((at, question, read) for at, question in zip(own, questions, strict=True))


def understand(index: Index, question: str, history: Sequence[Turn]) -> tuple[str, tuple[Rewrite, ...]]:
    """Return the question that is asked of the documents, and everything that was changed in it."""
    vocabulary = index.snapshot.vocabulary
    completed, follow_ups = complete(question, history, vocabulary, is_word=index.encoder.is_word)
    corrected, corrections = rewrite(completed, vocabulary, index.encoder.is_word)
    used, names = called_by_name(corrected, index.snapshot)
    return used, (*follow_ups, *corrections, *names)


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000


_FINDING = Company(_find_all, at_once=SIDE_BY_SIDE, most=TOGETHER)


def keep_to(cores: int) -> None:
    """Work on so many batches at a time from now on, where that is less."""
    _FINDING.at_once = min(SIDE_BY_SIDE, cores)
