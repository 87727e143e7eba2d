"""Ranking by words: BM25 over the terms of each passage, in the segments that hold them.

A term is known by a number made of its letters, the same in every segment, so that segments are searched
and merged without renumbering anything. What BM25 needs of the whole corpus (how many passages there are,
how long, how many hold a term) is counted over the living passages when a question asks for it: a
change of one document costs nothing here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75
"""Robertson's usual values. On 5,795 SQuAD questions k1 0.9 to 1.5 and b 0.5 to 0.75 differ by 0.004 R@1."""

ROUNDING = 1e-4
"""Sums of float32 in another order differ by less than this share of themselves."""

SAMPLED = 16_384
"""Passages of one term's list that bound the best from below: to look at all of a million takes 8 ms."""

FEW = 10_000
"""Passages of which every one is scored: of a thousand that takes 0.08 ms, and to leave some out 0.23."""

LOOKED_UP = 16
"""To look a passage up in a term's list takes as long as to read this many of the list's entries."""


@lru_cache(maxsize=131_072)
def term_number(term: str) -> int:
    """Return the number of a term, from 0 to 2**64 - 1.

    Two of a million different terms have the same one with a chance of 3 in 100 million.
    """
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")


def term_numbers(terms: Iterable[str]) -> NDArray[np.uint64]:
    """Return uint64 (terms,): the number of each."""
    return np.array([term_number(term) for term in terms], dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Postings:
    """How often each term stands in each passage of a segment, by term (compressed sparse columns)."""

    terms: NDArray[np.uint64]
    """uint64 (terms,): their numbers, ascending."""
    starts: NDArray[np.int64]
    """int64 (terms + 1,): where each term's entries begin."""
    passages: NDArray[np.int32]
    """int32 (entries,): the passage of each entry."""
    counts: NDArray[np.int32]
    """int32 (entries,): how often the term stands there."""

    def entries(self, term: int) -> slice:
        """Return which entries are of a term given by number."""
        at = int(np.searchsorted(self.terms, np.uint64(term)))
        if at == len(self.terms) or self.terms[at] != np.uint64(term):
            return slice(0, 0)
        return slice(int(self.starts[at]), int(self.starts[at + 1]))


def build_postings(terms: NDArray[np.uint64], lengths: NDArray[np.int32]) -> Postings:
    """Return the postings of passages whose `terms` stand one behind the other, `lengths` of them each."""
    passages = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    order = np.lexsort((passages, terms))
    terms, passages = terms[order], passages[order]
    fresh = np.ones(len(terms), dtype=bool)
    fresh[1:] = (terms[1:] != terms[:-1]) | (passages[1:] != passages[:-1])
    at = np.flatnonzero(fresh)
    counts = np.diff(at, append=len(terms)).astype(np.int32)
    return _by_term(terms[at], passages[at], counts)


def merged_postings(parts: Sequence[tuple[Postings, NDArray[np.int32]]]) -> Postings:
    """Return the postings of several segments as one.

    With each come int32 (passages,): the new number of each of its passages, -1 for one left out.
    """
    kept = []
    for postings, numbers in parts:
        of = np.repeat(postings.terms, np.diff(postings.starts))
        rows = numbers[postings.passages]
        stays = rows >= 0
        kept.append((of[stays], rows[stays], postings.counts[stays]))
    terms, passages, counts = (np.concatenate(column) for column in zip(*kept, strict=True))
    # Each part is in order, and a stable sort of runs in order only merges them.
    order = np.argsort(terms, kind="stable")
    return _by_term(terms[order], passages[order], counts[order])


def _by_term(terms: NDArray[np.uint64], passages: NDArray[np.int32], counts: NDArray[np.int32]) -> Postings:
    """Return entries that are in the order of their terms as Postings."""
    first = np.ones(len(terms), dtype=bool)
    first[1:] = terms[1:] != terms[:-1]
    at = np.flatnonzero(first)
    starts = np.append(at, len(terms)).astype(np.int64)
    return Postings(terms[at], starts, passages, counts)


@dataclass(frozen=True, slots=True)
class TermPart:
    """One segment's postings as a snapshot sees them."""

    postings: Postings
    lengths: NDArray[np.int32]
    """int32 (passages,): the number of terms in each of the segment's passages."""
    numbers: NDArray[np.int32]
    """int32 (passages,): the snapshot's number of each of its passages, -1 for one that is no more."""
    whole: bool
    """Whether all of its passages live."""


class Terms:
    """The terms of a snapshot and its ranking by words."""

    def __init__(
        self, parts: Sequence[TermPart], part_of: NDArray[np.int32], row_of: NDArray[np.int32]
    ) -> None:
        """Rank the passages that live in `parts`.

        int32 (passages,) say of each which part it is in, and its row there.
        """
        self._parts = parts
        self._part_of = part_of
        self._row_of = row_of
        self._passages = passages = len(part_of)
        self._frequencies: dict[str, int] = {}
        total = sum(int(part.lengths[part.numbers >= 0].sum(dtype=np.int64)) for part in parts)
        average = total / max(passages, 1)
        # K1 * (1 - B + B * length / average), for every passage.
        self._norms = [
            (K1 * (1 - B) + K1 * B / max(average, 1e-9) * part.lengths).astype(np.float32) for part in parts
        ]

    def __contains__(self, term: str) -> bool:
        return self.frequency(term) > 0

    def frequency(self, term: str) -> int:
        """Return in how many passages `term` stands."""
        found = self._frequencies.get(term)
        if found is None:
            found = self._frequencies[term] = self._count(term)
        return found

    def _count(self, term: str) -> int:
        number, total = term_number(term), 0
        for part in self._parts:
            entries = part.postings.entries(number)
            if part.whole:
                total += entries.stop - entries.start
            else:
                total += int(np.count_nonzero(part.numbers[part.postings.passages[entries]] >= 0))
        return total

    def idf(self, term: str) -> float:
        """Return ln(1 + (N - n + 0.5) / (n + 0.5)); an unknown term is the rarest."""
        n = self.frequency(term)
        return math.log(1 + (self._passages - n + 0.5) / (n + 0.5))

    def scores(self, terms: Iterable[str]) -> NDArray[np.float32]:
        """Return BM25 of every passage for the known ones of `terms`, each counted once.

        float32 (passages,), at most the sum of the terms' idf; 0 where no term stands. The formula is that
        of Lucene, which leaves out the factor K1 + 1 (Kamphuis et al., "Which BM25 do you mean?", 2020).
        """
        found = np.zeros(self._passages, dtype=np.float32)
        for term in self._known(terms):
            self._add(term, found)
        return found

    def scores_of(self, terms: Iterable[str], passages: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what `scores` says of the given passages, to the last bit, float32 (passages,)."""
        found = np.zeros(len(passages), dtype=np.float32)
        for term in self._known(terms):
            found += self._gives(term, passages)
        return found

    def best(
        self,
        terms: Iterable[str],
        count: int,
        among: NDArray[np.bool_] | None = None,
        every: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the `count` passages that `scores` puts first, and some that come close, with those scores.

        int64 ascending, and float32; passages in which none of the terms stands are left out, and those
        not in `among`, bool (passages,). Any other left out is clearly behind `count` of those returned.
        `every` is what `scores` returns, where it is known.

        The rare terms come first. As soon as all that is to come could not lift a passage above the
        `count`-th best of now, only the passages that have something already can be among the best, and of
        the common terms, in whose long lists most of the time would go, nothing is read but what they give
        those (MaxScore: Turtle and Flood, "Query evaluation: strategies and optimizations", 1995).
        """
        if every is not None or self._passages <= FEW:
            return _best_of_all(self.scores(terms) if every is None else every, count, among)
        known = sorted(self._known(terms), key=lambda term: (-self.idf(term), term))
        to_come = [*np.cumsum([self.idf(term) for term in reversed(known)])[::-1].tolist(), 0.0]
        sums = np.zeros(self._passages, dtype=np.float32)
        held: NDArray[np.int64] | None = None
        least = 0.0  # what the `count`-th best has at least
        for number, term in enumerate(known):
            if held is None and to_come[number] < least:
                held = _allowed(np.flatnonzero(sums >= np.float32(least - to_come[number])), among)
            if held is not None and len(held) * LOOKED_UP < self.frequency(term):
                sums[held] += self._gives(term, held)
                sampled = held
            else:
                lists = [one[:SAMPLED] for one in self._add(term, sums)] if held is None else []
                sampled = _allowed(np.concatenate([np.zeros(0, np.int32), *lists]), among)
                if held is not None:
                    self._add(term, sums)
                    sampled = held
            if len(sampled) >= count:
                # The best of some passages are no better than the best of all.
                level = float(np.partition(sums[sampled], -count)[-count])
                least = max(least, level * (1 - ROUNDING))
            if held is not None:
                held = held[sums[held] >= np.float32(least - to_come[number + 1])]
        if held is None:
            held = _allowed(np.flatnonzero((sums > 0) & (sums >= np.float32(least))), among)
        return held, self.scores_of(known, held)

    def _known(self, terms: Iterable[str]) -> list[str]:
        """Return those of `terms` that stand anywhere, each once, in the order in which they are added up."""
        return sorted({term for term in terms if term in self})

    def _add(self, term: str, sums: NDArray[np.float32]) -> list[NDArray[np.int32]]:
        """Add to `sums` what one term gives each passage; return the passages, a list a part."""
        number, idf, seen = term_number(term), np.float32(self.idf(term)), []
        for part, norms in zip(self._parts, self._norms, strict=True):
            entries = part.postings.entries(number)
            if entries.start == entries.stop:
                continue
            rows, counts = part.postings.passages[entries], part.postings.counts[entries]
            to = part.numbers[rows]
            if not part.whole:
                rows, counts, to = rows[to >= 0], counts[to >= 0], to[to >= 0]
            sums[to] += _given(idf, counts, norms[rows])
            seen.append(to)
        return seen

    def _gives(self, term: str, passages: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what one term gives some passages, float32 (passages,), looked up in its lists."""
        number, idf = term_number(term), np.float32(self.idf(term))
        found = np.zeros(len(passages), dtype=np.float32)
        of, rows = self._part_of[passages], self._row_of[passages]
        for at, (part, norms) in enumerate(zip(self._parts, self._norms, strict=True)):
            entries = part.postings.entries(number)
            if entries.start == entries.stop:
                continue
            listed = part.postings.passages[entries]
            here = np.flatnonzero(of == at)
            places = np.minimum(np.searchsorted(listed, rows[here]), len(listed) - 1)
            there = listed[places] == rows[here]
            here, places = here[there], places[there]
            found[here] = _given(idf, part.postings.counts[entries][places], norms[rows[here]])
        return found

    @cached_property
    def rarest(self) -> float:
        """Return the idf of a term that no passage holds."""
        return math.log(1 + (self._passages + 0.5) / 0.5)


def _given(idf: np.float32, counts: NDArray[np.int32], norms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a term gives passages in which it stands that often, float32 (passages,)."""
    often = counts.astype(np.float32)
    return np.asarray(idf * (often / (often + norms)), dtype=np.float32)


def _best_of_all(
    scores: NDArray[np.float32], count: int, among: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return what `Terms.best` does from the scores of every passage."""
    found = _allowed(np.flatnonzero(scores), among)
    if len(found) > count:
        found = found[scores[found] >= np.partition(scores[found], -count)[-count] * (1 - ROUNDING)]
    return found, scores[found]


def _allowed(passages: NDArray[np.integer], among: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Return those of `passages` that are in `among`, all where there is none."""
    return np.asarray(passages if among is None else passages[among[passages]], dtype=np.int64)
