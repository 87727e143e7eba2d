"""Switching one mechanism off: what the figures lose without it is what it is worth.

A patch sets a name of a module to something else for one run. Nothing is fitted again meanwhile, so a
mechanism that others could partly stand in for looks a little more important than it is.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from index import reader, search
from index.vectors import nearest


@dataclass(frozen=True, slots=True)
class Patch:
    """What to put in a name's place; `make` is given what stands there."""

    module: str
    name: str
    make: Callable[[Any], object]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the patch until the end of the block. Raises LookupError when there is no such name."""
        module = importlib.import_module(self.module)
        if not hasattr(module, self.name):
            raise LookupError(
                f"{self.module} has no {self.name}: the mechanism has changed, so must its patch"
            )
        held = getattr(module, self.name)
        setattr(module, self.name, self.make(held))
        try:
            yield
        finally:
            setattr(module, self.name, held)


def constant(module: str, name: str, value: object) -> Patch:
    """Return the patch that sets a constant."""
    return Patch(module, name, lambda _: value)


def without(*features: str) -> Patch:
    """Return the patch that takes features of the reader away, those of them that it has."""

    def weighed(held: Any) -> Any:
        return np.where(np.isin(reader.FEATURES, features), 0.0, held)

    return Patch("index.reader", "_WEIGHTS", weighed)


def _plain_rewrite(_: object) -> object:
    return lambda question, *_args, **_kwargs: (question, [])


def _no_statements(_: object) -> object:
    """Return the ranking by meaning over passages alone."""

    def by_meaning(snapshot: Any, question: Any, among: Any, pool: int) -> Any:
        rows, _near = nearest(search._among(snapshot.by_passage, among), question, pool)
        return rows, {}

    return by_meaning


def _as_searched(hits: Any, _readings: Any) -> Any:
    return tuple(hits)


def _no_pairs(read: Any) -> Any:
    return lambda snapshot, question, hits, _pairs: read(snapshot, question, hits)


def _no_synonyms(_: object) -> object:
    return lambda _term: frozenset()


def _no_list(_: object) -> object:
    return lambda *_args: None


def _whole_sentence(_snapshot: Any, _question: Any, _evidence: Any, best: Any) -> Any:
    return best


MECHANISMS: dict[str, tuple[Patch, ...]] = {
    "ranking by words": (constant("index.search", "WORDS_WEIGHT", 0.0), without("words")),
    "MaxSim over the passage": (constant("index.search", "MATCH_WEIGHT", 0.0), without("match_passage")),
    "statements": (
        Patch("index.search", "_by_meaning", _no_statements),
        without("stated", "has_statement"),
    ),
    "MaxSim over the candidate": (without("match", "match_context", "answer_only"),),
    "words covered": (without("covered", "covered_context", "covered_passage"),),
    "worst and unmet words": (without("worst", "worst_passage", "unmet", "unknown", "unknown_name"),),
    "order by best candidate": (constant("service.answer", "_reordered", _as_searched),),
    "shape of the answer": (without("date", "number", "name", "reason", "only", "label"),),
    "kind of line": (without("item", "code", "leads_in", "asks", "points", "bare", "yesno_cell"),),
    "cross-encoder": (Patch("service.answer", "read", _no_pairs),),
    "boilerplate": (without("boilerplate"),),
    "definitions": (without("defines", "expands"),),
    "names and rivals": (without("named", "rival"),),
    "clauses": (constant("index.quoting", "_narrowed", _whole_sentence),),
    "synonyms": (Patch("index.evidence", "synonyms", _no_synonyms),),
    "lists": (Patch("index.quoting", "_listed", _no_list),),
    "follow-ups": (Patch("service.finding", "complete", _plain_rewrite),),
    "corrected spelling": (Patch("service.finding", "rewrite", _plain_rewrite),),
    "names by the maker": (Patch("service.finding", "called_by_name", _plain_rewrite),),
}
"""Each mechanism and the patches that switch it off. Features that the reader lost are left out of
`without`; every other name must exist (tests/test_evaluate.py)."""


@contextmanager
def switched_off(name: str) -> Iterator[None]:
    """Switch one mechanism off until the end of the block."""
    with patched(*MECHANISMS[name]):
        yield


@contextmanager
def patched(*patches: Patch) -> Iterator[None]:
    """Apply several patches until the end of the block."""
    with ExitStack() as stack:
        for one in patches:
            stack.enter_context(one.applied())
        yield
