"""A Segment: some documents' passages, searchable, in one file that never changes.

A snapshot is made of segments and of what in them is no longer there. A changed document comes in a segment
of its own, so a change costs what it is large, and merges (index/merge.py) keep the segments few.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.cells import CELLS_FROM, Cells, write_cells
from index.columns import NAMES, Columns, layout, starts
from index.encoder import Vector
from index.entries import DOCUMENTS, IDS, ROWS, DocumentEntry, Entries, write_entries
from index.sections import Sections, SectionsError, SectionsWriter, file_digest
from index.terms import Postings, build_postings, merged_postings

SUFFIX = ".segment"
WHOLE = sys.maxsize
TEXTS = "texts"
SPELLINGS = "spellings"
SPELLING_COUNTS = "spelling_counts"
CELLS = {"vectors": "vector_cells", "statements": "statement_cells"}
"""The sections with the cells of a column, where it has any."""
POSTINGS = {
    "posting_terms": "<u8",
    "posting_starts": "<i8",
    "posting_passages": "<i4",
    "posting_counts": "<i4",
}


CHECKED = {
    **dict.fromkeys(("passages", "headings", SPELLINGS, SPELLING_COUNTS), WHOLE),
    **dict.fromkeys((DOCUMENTS, ROWS, IDS, "posting_terms", "posting_starts"), WHOLE),
    **dict.fromkeys(CELLS.values(), 1 << 23),
}
"""Bytes of each section that are checked before a segment is used that is not yet verified: what is parsed,
and what says where the rest lies. Of cells the centroids come first."""

SCATTERED = ("vectors", "statements", "tokens", "offsets", "candidates", "terms", "words", TEXTS)
"""Sections of which a question reads a few hundred places, far apart; the system maps 64 kB for each."""

SPREAD = 64
"""Blocks from all over the file that are checked as well: damage of a sixtieth of it is found at once."""


class SegmentError(Exception):
    """A segment cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment's file: what its bytes must be. The name is the beginning of their SHA-256."""

    name: str
    bytes: int
    sha256: str

    def path(self, folder: Path) -> Path:
        """Return where the file lies."""
        return folder / f"{self.name}{SUFFIX}"

    def verify(self, folder: Path) -> None:
        """Compare the file with its size and SHA-256. Raises SegmentError that names it."""
        path = self.path(folder)
        try:
            size, seen = file_digest(path)
        except OSError as error:
            raise SegmentError(f"{path}: {error.strerror}") from error
        self.compare(path, size, seen)

    def compare(self, path: Path, size: int, seen: str) -> None:
        """Compare the size and SHA-256 that a file has with what it must have. Raises SegmentError."""
        if (size, seen) != (self.bytes, self.sha256):
            raise SegmentError(
                f"{path} is damaged: {size} bytes with SHA-256 {seen[:16]}…, "
                f"it should be {self.bytes} bytes and {self.sha256[:16]}…"
            )


@dataclass(frozen=True, slots=True)
class Part:
    """One document as it goes into a segment."""

    entry: DocumentEntry
    text: NDArray[np.uint8]
    """uint8 (bytes,): the canonical text in UTF-8."""
    columns: Columns
    spellings: Sequence[str]
    """What the numbers in `columns.words` stand for."""


class Segment:
    """Some documents' passages, mapped from one file that `SegmentFile.verify` has passed, or will have."""

    def __init__(
        self,
        path: Path,
        dimension: int,
        token_dimension: int,
        vouched: Callable[[], None] = lambda: None,
    ) -> None:
        """Map the file at `path`. Raises SegmentError when it cannot be used.

        `vouched` returns when all of the file is known to be what it must be, and raises SegmentError when it
        is not: until then nothing may be copied out of it into what lasts.
        """
        self.vouched = vouched
        try:
            self.path = path
            self._sections = sections = Sections(path)
            sizes = layout(dimension, token_dimension)
            # Each column has the type that `layout` gives it, which is beyond what a type checker follows.
            mapped: Any = {name: sections.array(name, *sizes[name]) for name in NAMES}
            self.columns = Columns(**mapped)
            self.texts = sections.array(TEXTS, np.dtype("u1"))
            self.documents = Entries(sections)
            self.spellings: list[str] = sections.json(SPELLINGS)
            counted = SPELLING_COUNTS in sections
            self._spelled = sections.array(SPELLING_COUNTS, np.dtype("<i8")) if counted else None
            found: Any = [sections.array(name, np.dtype(kind)) for name, kind in POSTINGS.items()]
            self.postings = Postings(*found)
            self.vector_cells = self._cells(sections, "vectors")
            self.statement_cells = self._cells(sections, "statements")
        except (SectionsError, ValueError, TypeError, KeyError) as error:
            raise SegmentError(str(error)) from error
        passages = self.columns.passages
        self.heading_starts = starts(passages["headings"])
        self.statement_starts = starts(passages["statements"])
        self.candidate_starts = starts(passages["candidates"])
        self.token_starts = starts(passages["tokens"])
        self.term_starts = starts(passages["terms"])
        self.word_starts = starts(passages["words"])
        self.passage_starts = starts(self.documents.passages)
        self.text_starts = starts(self.documents.text_bytes)
        self.lengths = np.ascontiguousarray(passages["terms"])
        self.statement_rows = np.repeat(np.arange(len(passages), dtype=np.int32), passages["statements"])

    def _cells(self, sections: Sections, column: str) -> Cells | None:
        """Return the cells of a column; None where it has none, being of few rows."""
        if CELLS[column] not in sections:
            return None
        cells = Cells(sections.array(CELLS[column], np.dtype("u1")))
        if cells.rows != len(getattr(self.columns, column)):
            raise ValueError(f"{self.path} cannot be used: its cells are not those of its {column}")
        return cells

    def let_go(self) -> None:
        """Take out of memory what is read at single places, where that is much of what there is."""
        if self.vector_cells is not None:
            for name in SCATTERED:
                self._sections.let_go(name)

    @property
    def passages(self) -> int:
        """Return how many passages there are."""
        return len(self.columns.passages)

    def rows_of(self, document: int) -> slice:
        """Return which passages are of the document with that number in the segment."""
        return slice(int(self.passage_starts[document]), int(self.passage_starts[document + 1]))

    def text_of(self, document: int) -> NDArray[np.uint8]:
        """Return the canonical text of a document in UTF-8, uint8 (bytes,)."""
        return self.texts[self.text_starts[document] : self.text_starts[document + 1]]

    def part(self, document: int) -> Part:
        """Return one document's rows, nothing copied."""
        rows = self.rows_of(document)
        first, behind = rows.start, rows.stop
        held = self.columns
        columns = Columns(
            passages=held.passages[rows],
            headings=held.headings[self.heading_starts[first] : self.heading_starts[behind]],
            candidates=held.candidates[self.candidate_starts[first] : self.candidate_starts[behind]],
            vectors=held.vectors[rows],
            statements=held.statements[self.statement_starts[first] : self.statement_starts[behind]],
            tokens=held.tokens[self.token_starts[first] : self.token_starts[behind]],
            offsets=held.offsets[self.token_starts[first] : self.token_starts[behind]],
            terms=held.terms[self.term_starts[first] : self.term_starts[behind]],
            words=held.words[self.word_starts[first] : self.word_starts[behind]],
        )
        return Part(self.documents[document], self.text_of(document), columns, self.spellings)

    def spelled(self, document: int) -> Counter[str]:
        """Return how often each spelling stands in a document."""
        rows = self.rows_of(document)
        words = self.columns.words[self.word_starts[rows.start] : self.word_starts[rows.stop]]
        numbers, counts = np.unique(words, return_counts=True)
        return Counter(
            {self.spellings[at]: many for at, many in zip(numbers.tolist(), counts.tolist(), strict=True)}
        )

    def spelled_in_all(self) -> dict[str, int]:
        """Return how often each spelling stands in the segment."""
        counts = self._spelled
        if counts is None:  # written before they were counted
            counts = np.bincount(self.columns.words, minlength=len(self.spellings))
        return dict(zip(self.spellings, counts.tolist(), strict=True))

    def row_with(self, digest: bytes) -> int | None:
        """Return a passage whose embedded text has this digest, or None."""
        wanted = np.frombuffer(digest, dtype="<u8")
        ordered, rows = self._digests
        at = int(np.searchsorted(ordered, wanted[0]))
        while at < len(ordered) and ordered[at] == wanted[0]:
            if self.columns.passages["digest"][rows[at]].tobytes() == digest:
                return int(rows[at])
            at += 1
        return None

    @cached_property
    def _digests(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The first eight bytes of each passage's digest, ascending, and the passages in that order."""
        halves = np.ascontiguousarray(self.columns.passages["digest"]).view("<u8").reshape(-1, 2)[:, 0]
        order = np.argsort(halves, kind="stable")
        return halves[order], order

    def statements_at(self, row: int) -> Vector:
        """Return the vectors of a passage's statements, float32 (statements, dimension)."""
        return self.columns.statements[self.statement_starts[row] : self.statement_starts[row + 1]]


def checked(path: Path) -> bool:
    """Compare a sample of a segment's file with what was written, enough to use it.

    Return False where it was written before that could be done. Raises SegmentError that names it.
    """
    try:
        sections = Sections(path)
        if sections.sealed:
            sections.check(CHECKED, SPREAD)
    except SectionsError as error:
        raise SegmentError(str(error)) from error
    return sections.sealed


def write_segment(
    path: Path, parts: Sequence[Part], postings: Postings | None = None, *, cells_from: int = CELLS_FROM
) -> tuple[int, str]:
    """Write a segment of `parts`, in their order, durably; return its size in bytes and its SHA-256.

    The postings are made of the parts' terms where none are given. A column of `cells_from` vectors or more
    gets cells.
    """
    spellings: dict[str, int] = {}
    words = [_renumbered(part, spellings) for part in parts]
    if postings is None:
        terms = np.concatenate([np.zeros(0, np.uint64), *(part.columns.terms for part in parts)])
        lengths = np.concatenate([np.zeros(0, np.int32), *(part.columns.passages["terms"] for part in parts)])
        postings = build_postings(terms, lengths)
    columns = (postings.terms, postings.starts, postings.passages, postings.counts)
    arrays: list[NDArray[Any]] = [np.asarray(one) for one in columns]
    file = SectionsWriter(path)
    try:
        for name in NAMES:
            file.add(name, words if name == "words" else (getattr(part.columns, name) for part in parts))
        file.add(TEXTS, (part.text for part in parts))
        for (name, kind), array in zip(POSTINGS.items(), arrays, strict=True):
            file.add(name, [array.astype(kind, copy=False)])
        for column, name in CELLS.items():
            vectors: list[Vector] = [getattr(part.columns, column) for part in parts]
            if sum(map(len, vectors)) >= cells_from:
                file.add_written(name, partial(write_cells, vectors))
        write_entries(file, [part.entry for part in parts])
        file.add(SPELLINGS, [json.dumps(list(spellings), ensure_ascii=False).encode()])
        counts = np.zeros(len(spellings), dtype=np.int64)
        for one in words:
            numbers, often = np.unique(one, return_counts=True)
            counts[numbers] += often
        file.add(SPELLING_COUNTS, [counts.astype("<i8", copy=False)])
        return file.finish({"documents": len(parts)})
    finally:
        file.close()


def _renumbered(part: Part, numbers: dict[str, int]) -> NDArray[np.int32]:
    """Return a part's words as numbers of the new segment's spellings; new ones are added to `numbers`."""
    old, where = np.unique(part.columns.words, return_inverse=True)
    new = [numbers.setdefault(part.spellings[at], len(numbers)) for at in old.tolist()]
    return np.asarray(new, dtype=np.int32)[where].reshape(-1)


def merged(
    path: Path, sources: Iterable[tuple[Segment, Sequence[int]]], *, cells_from: int = CELLS_FROM
) -> tuple[int, str]:
    """Write one segment of the given documents of several; return its size and SHA-256.

    Nothing is encoded, and no more than one column is in memory at a time. Cells are made as in
    `write_segment`. Raises SegmentError when a source turns out to be damaged.
    """
    parts: list[Part] = []
    numbered: list[tuple[Postings, NDArray[np.int32]]] = []
    passages = 0
    for segment, documents in sources:
        segment.vouched()
        numbers = np.full(segment.passages, -1, dtype=np.int32)
        for document in documents:
            rows = segment.rows_of(document)
            numbers[rows] = np.arange(passages, passages + rows.stop - rows.start, dtype=np.int32)
            passages += rows.stop - rows.start
            parts.append(segment.part(document))
        numbered.append((segment.postings, numbers))
    postings = merged_postings(numbered) if numbered else None
    return write_segment(path, parts, postings, cells_from=cells_from)
