"""What a segment knows of its documents besides their texts: an entry each, read when it is asked for.

A segment may hold a hundred thousand documents, and a question needs the entries of a few. Names, hashes and
counts, which every change needs of all of them, are kept apart from the entries.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from index.sections import Sections, SectionsWriter

DOCUMENTS = "documents"
ROWS = "document_rows"
IDS = "document_ids"
RAW_SHAS = "document_shas"
FIELDS = "document_fields"
DEFINITIONS = "definitions"
SINCE = (ROWS, IDS, RAW_SHAS, FIELDS, DEFINITIONS)
"""Sections that a segment written before has not; what they hold is made of the entries then."""

ROW = np.dtype([("begin", "<i8"), ("end", "<i8"), ("passages", "<i4"), ("text_bytes", "<i4")])
"""One row a document: where its entry lies in the section of all, in bytes, and two of its values."""


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """What the index knows of one document besides its text."""

    id: str
    title: str
    sha: str
    """SHA-256 of the canonical text."""
    raw_sha: str
    """SHA-256 of the file's bytes: equal means the file has not changed."""
    format: str
    bytes: int
    """Size of the file."""
    updated_at: str
    """The file's modification time when this content was taken in, ISO 8601 in UTC. Never part of a
    snapshot's identity."""
    fields: tuple[tuple[str, str], ...]
    text_bytes: int
    """Length of the canonical text in UTF-8."""
    passages: int
    heading_names: tuple[tuple[int, str], ...]
    """Start and words of each heading whose source has notation in it (`## Using **it**`)."""
    acronyms: tuple[tuple[str, str], ...]
    """Short and long forms that the document defines: `TensorFlow Extended (TFX)`."""
    rivals: tuple[tuple[str, ...], ...]
    """Column headers of its tables that stand for things compared, a tuple a table."""
    pages: tuple[int, ...] = ()
    """Where each page begins, in a document that has pages."""

    def page_of(self, start: int) -> int | None:
        """Return the number of the page, from 1, that a code point is on; None where there are no pages."""
        return bisect_right(self.pages, start) or None


NESTED = ("fields", "heading_names", "acronyms", "rivals")


def entry_from(values: dict[str, Any]) -> DocumentEntry:
    """Return the entry that was written as JSON."""
    nested = {key: tuple(tuple(one) for one in values[key]) for key in NESTED}
    return DocumentEntry(**{**values, **nested, "pages": tuple(values["pages"])})


@dataclass(frozen=True)
class Definitions:
    """What some documents define and compare, and how often."""

    acronyms: Counter[tuple[str, str]]
    rivals: Counter[tuple[str, ...]]


class Entries(Sequence[DocumentEntry]):
    """The entries of a segment's documents, in their order."""

    def __init__(self, sections: Sections) -> None:
        """Find them in a segment's file. Raises SectionsError, ValueError, KeyError or TypeError."""
        if ROWS not in sections:
            # Written before they were kept apart: everything is read now.
            made = _encoded([entry_from(values) for values in sections.json(DOCUMENTS)])
            self._bytes = np.frombuffer(made[DOCUMENTS], dtype=np.uint8)
            self._rows = np.frombuffer(made[ROWS], dtype=ROW)
            self._json = {name: json.loads(made[name]) for name in (IDS, RAW_SHAS, FIELDS, DEFINITIONS)}
            self._sections = None
        else:
            self._bytes = sections.array(DOCUMENTS, np.dtype("u1"))
            self._rows = sections.array(ROWS, ROW)
            self._json = {}
            self._sections = sections
        self.ids: list[str] = self._read(IDS)
        if len(self.ids) != len(self._rows):
            raise ValueError("the documents' names are not as many as their entries")

    def _read(self, name: str) -> Any:
        return self._json[name] if self._sections is None else self._sections.json(name)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, number: int) -> DocumentEntry: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[DocumentEntry, ...]: ...
    def __getitem__(self, number: int | slice) -> DocumentEntry | tuple[DocumentEntry, ...]:
        if isinstance(number, slice):
            return tuple(self[at] for at in range(*number.indices(len(self))))
        row = self._rows[number]
        return entry_from(json.loads(self._bytes[row["begin"] : row["end"]].tobytes()))

    @property
    def passages(self) -> NDArray[np.int32]:
        """Return int32 (documents,): how many passages each has."""
        return np.ascontiguousarray(self._rows["passages"])

    @property
    def text_bytes(self) -> NDArray[np.int32]:
        """Return int32 (documents,): how long the canonical text of each is in UTF-8."""
        return np.ascontiguousarray(self._rows["text_bytes"])

    @cached_property
    def raw_shas(self) -> list[str]:
        """Return the SHA-256 of each document's file."""
        return [str(one) for one in self._read(RAW_SHAS)]

    @cached_property
    def fields(self) -> dict[int, tuple[tuple[str, str], ...]]:
        """Return the front matter of those documents that have any, by number."""
        return {number: tuple((name, value) for name, value in pairs) for number, pairs in self._read(FIELDS)}

    def definitions(self) -> Definitions:
        """Return what all of the documents define and compare."""
        found = self._read(DEFINITIONS)
        return Definitions(
            Counter({(short, long): count for (short, long), count in found["acronyms"]}),
            Counter({tuple(names): count for names, count in found["rivals"]}),
        )


def write_entries(file: SectionsWriter, entries: Sequence[DocumentEntry]) -> None:
    """Append the sections that `Entries` reads."""
    for name, data in _encoded(entries).items():
        file.add(name, [data])


def _encoded(entries: Sequence[DocumentEntry]) -> dict[str, bytes]:
    """Return the bytes of each section."""
    acronyms, rivals = Counter[tuple[str, str]](), Counter[tuple[str, ...]]()
    rows = np.zeros(len(entries), dtype=ROW)
    for one in entries:
        acronyms.update(one.acronyms)
        rivals.update(one.rivals)
    written = list(_written(entries, rows))
    return {
        DOCUMENTS: b"[" + b", ".join(written) + b"]",
        ROWS: rows.tobytes(),
        IDS: _json([one.id for one in entries]),
        RAW_SHAS: _json([one.raw_sha for one in entries]),
        FIELDS: _json([(number, one.fields) for number, one in enumerate(entries) if one.fields]),
        DEFINITIONS: _json(
            {"acronyms": sorted(acronyms.items()), "rivals": sorted(rivals.items())},
        ),
    }


def _written(entries: Sequence[DocumentEntry], rows: NDArray[np.void]) -> Iterator[bytes]:
    """Yield each entry as JSON, and fill in its row."""
    at = 1  # behind the bracket
    for row, one in zip(rows, entries, strict=True):
        data = _json(asdict(one))
        row["begin"], row["end"] = at, at + len(data)
        row["passages"], row["text_bytes"] = one.passages, one.text_bytes
        at += len(data) + 2
        yield data


def _json(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode()
