"""A snapshot being written: columns appended document by document, hashed as they go."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from corpus.folder import Skipped
from index.columns import NAMES, Columns, starts
from index.encoder import Export
from index.snapshot import (
    DOCUMENTS,
    FORMAT,
    POSTINGS,
    SPELLINGS,
    TEXTS,
    VOCABULARY,
    DocumentEntry,
    Manifest,
    Snapshot,
)
from index.terms import build_postings


class HashedFile:
    """A file written once from front to back, with its size and SHA-256 known at the end."""

    def __init__(self, path: Path) -> None:
        """Create the file at `path`."""
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def close(self) -> tuple[int, str]:
        """Make the file durable and return its size and SHA-256; once closed, only return them."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return self.size, self._digest.hexdigest()


class Numbering:
    """Strings numbered in the order in which they first come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._table: tuple[Sequence[str], NDArray[np.int32]] | None = None

    def number_of(self, text: str) -> int:
        """Return the number of `text`, a new one the first time."""
        return self._numbers.setdefault(text, len(self._numbers))

    def listed(self) -> list[str]:
        """Return the strings by number."""
        return list(self._numbers)

    def taken_over(self, listed: Sequence[str], numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return numbers of another list as numbers of this one."""
        if self._table is None or self._table[0] is not listed:
            self._table = (listed, np.full(len(listed), -1, dtype=np.int32))
        table = self._table[1]
        distinct, first = np.unique(numbers, return_index=True)
        for old in distinct[np.argsort(first)].tolist():
            if table[old] < 0:
                table[old] = self.number_of(listed[old])
        return table[numbers]


class Writer:
    """Writes one snapshot into an empty folder. Documents come in the order of their ids."""

    def __init__(self, folder: Path, export: Export) -> None:
        """Write into `folder` what was encoded by the model of `export`."""
        self.folder = folder
        self._export = export
        self._columns = {name: HashedFile(folder / name) for name in NAMES}
        self._counts = dict.fromkeys(NAMES, 0)
        self._texts = HashedFile(folder / TEXTS)
        self._entries: list[DocumentEntry] = []
        self.terms = Numbering()
        self.spellings = Numbering()
        self._term_ids: list[NDArray[np.int32]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (*self._columns.values(), self._texts):
            file.close()

    def append(self, entry: DocumentEntry, text: bytes, columns: Columns) -> None:
        """Append one document. Its passages' document numbers are set here."""
        rows = columns.passages.copy()
        rows["document"] = len(self._entries)
        self._entries.append(entry)
        self._texts.write(text)
        edges = starts(rows["terms"])
        self._term_ids.extend(
            columns.terms[edges[at] : edges[at + 1]].astype(np.int32) for at in range(len(rows))
        )
        for name in NAMES:
            values: NDArray[Any] = np.asarray(rows if name == "passages" else getattr(columns, name))
            self._columns[name].write(np.ascontiguousarray(values).tobytes())
            self._counts[name] += len(values)

    def copy(self, previous: Snapshot, number: int, entry: DocumentEntry) -> None:
        """Append a document as it stands in `previous`, nothing read or encoded again."""
        rows = previous.passages_of(number)
        columns = _rows_of(previous, rows)
        renumbered = replace(
            columns,
            terms=self.terms.taken_over(previous.terms.vocabulary, columns.terms),
            words=self.spellings.taken_over(previous.spellings, columns.words),
        )
        self.append(entry, previous.text(number).encode("utf-8"), renumbered)

    def finish(
        self,
        version: str,
        recipe: str,
        *,
        skipped: Iterable[Skipped],
        aliases: Iterable[tuple[str, str]],
        built_at: str,
    ) -> Manifest:
        """Write terms, documents and manifest, make all of it durable, and return the manifest."""
        files = {name: file.close() for name, file in self._columns.items()}
        files[TEXTS] = self._texts.close()
        vocabulary = self.terms.listed()
        postings = build_postings(self._term_ids, vocabulary)
        arrays: tuple[NDArray[Any], ...] = (postings.scores, postings.passages, postings.starts)
        left_out = list(skipped)
        files[VOCABULARY] = self._write(VOCABULARY, json.dumps(vocabulary, ensure_ascii=False).encode())
        spellings = json.dumps(self.spellings.listed(), ensure_ascii=False)
        files[SPELLINGS] = self._write(SPELLINGS, spellings.encode())
        for name, array in zip(POSTINGS, arrays, strict=True):
            files[name] = self._write(name, array.tobytes())
        listing = {
            "documents": [asdict(one) for one in self._entries],
            "skipped": list(map(asdict, left_out)),
            "aliases": list(aliases),
        }
        files[DOCUMENTS] = self._write(DOCUMENTS, json.dumps(listing, ensure_ascii=False).encode())
        counts = {
            **self._counts,
            **{name: len(array) for name, array in zip(POSTINGS, arrays, strict=True)},
            "text_bytes": self._texts.size,
            "documents": len(self._entries),
            "skipped": len(left_out),
            "vocabulary": len(vocabulary),
        }
        manifest = Manifest(
            format=FORMAT,
            version=version,
            built_at=built_at,
            model=self._export.model,
            fingerprint=self._export.fingerprint,
            recipe=recipe,
            dimension=self._export.dimension,
            token_dimension=self._export.token_dimension,
            counts=counts,
            files=files,
        )
        manifest.write(self.folder)
        sync(self.folder / "manifest.json")
        sync(self.folder)
        return manifest

    def _write(self, name: str, data: bytes) -> tuple[int, str]:
        file = HashedFile(self.folder / name)
        file.write(data)
        return file.close()


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rows_of(snapshot: Snapshot, rows: range) -> Columns:
    """Return the columns of consecutive passages."""
    first, behind = rows.start, rows.stop
    held, edges = snapshot.columns, snapshot
    return Columns(
        passages=held.passages[first:behind],
        headings=held.headings[edges.heading_starts[first] : edges.heading_starts[behind]],
        candidates=held.candidates[edges.candidate_starts[first] : edges.candidate_starts[behind]],
        vectors=held.vectors[first:behind],
        statements=held.statements[edges.statement_starts[first] : edges.statement_starts[behind]],
        tokens=held.tokens[edges.token_starts[first] : edges.token_starts[behind]],
        offsets=held.offsets[edges.token_starts[first] : edges.token_starts[behind]],
        terms=held.terms[edges.term_starts[first] : edges.term_starts[behind]],
        words=held.words[edges.word_starts[first] : edges.word_starts[behind]],
    )
