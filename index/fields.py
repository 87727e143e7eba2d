"""Front matter as a filter: which documents have a value in a field.

Front matter is text, so a value is found by how it is written. Texts are the same where they differ in case,
composition or the space around them alone; a number is any number of the same value (`2024`, `2024.0`); true
and false are these words. Names are compared as texts are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

Value = str | int | float | bool
Wanted = Mapping[str, Sequence[Value]]
"""For each field named, the values of which a document has to have one."""

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,100})?(?:[eE][+-]?[0-9]{1,4})?")
"""A number as JSON has it, of no absurd length. `007` and `1_000` are names of something."""

NO_DOCUMENTS = np.zeros(0, dtype=np.int64)


class FieldTable:
    """Which documents have which value in which field."""

    def __init__(self, documents: Iterable[Iterable[tuple[str, str]]]) -> None:
        """Read the (name, value) pairs of each document, in the order of the documents' numbers."""
        self._count = 0
        written: dict[tuple[str, str], list[int]] = {}
        for pairs in documents:
            for pair in pairs:
                written.setdefault(pair, []).append(self._count)
            self._count += 1
        found: dict[tuple[str, str | Decimal], list[int]] = {}
        for (name, value), numbers in written.items():
            for key in _keys(value):
                found.setdefault((folded(name), key), []).extend(numbers)
        self._numbers = {key: np.array(numbers, dtype=np.int64) for key, numbers in found.items()}

    def matching(self, wanted: Wanted) -> NDArray[np.bool_]:
        """Return bool (documents,): which have, in every field named, one of the values given for it."""
        matched = np.ones(self._count, dtype=bool)
        for name, values in wanted.items():
            has = np.zeros(self._count, dtype=bool)
            for value in values:
                has[self._numbers.get((folded(name), _key_of(value)), NO_DOCUMENTS)] = True
            matched &= has
        return matched


def folded(text: str) -> str:
    """Return the one form of all texts that differ in case, composition or the space around them alone."""
    composed = unicodedata.normalize("NFC", text.strip())
    return unicodedata.normalize("NFC", composed.casefold())


def _keys(written: str) -> Iterator[str | Decimal]:
    """Yield everything that a value in front matter is found by."""
    yield folded(written)
    if NUMBER.fullmatch(written):
        yield Decimal(written)


def _key_of(wanted: Value) -> str | Decimal:
    """Return what a value asked for is looked up by: a text as text, a number by its value."""
    if isinstance(wanted, bool):
        return "true" if wanted else "false"
    if isinstance(wanted, str):
        return folded(wanted)
    # By way of its shortest form: 0.1 stands for what was written, not for the nearest binary fraction.
    return Decimal(wanted) if isinstance(wanted, int) else Decimal(repr(wanted))
