"""A Snapshot: everything a question needs, immutable and searchable, made of segments.

Documents are numbered by their ids' order and passages by their documents', however they are spread over
segments: an index built step by step answers as one built from nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import count
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from corpus.document import Span
from index.columns import starts
from index.encoder import Vector
from index.entries import DocumentEntry
from index.fields import FieldTable, Wanted
from index.manifest import Manifest
from index.segment import Segment
from index.terms import TermPart, Terms
from index.vectors import VectorPart, similarities
from index.vocabulary import Vocabulary, WordCounts

LINE_END = re.compile(r"\r\n|\r|\n")

LET_GO = 32
"""Questions after which the pages they brought into memory are let go of. Each brings some 15 MB of a large
segment, which the system has in its cache. Of a million passages 1.8 GB are resident with 16, 2.0 with 64,
up to 5.4 without, for 0.6 ms of a question's 9."""

ENTRIES = 4096
"""Entries of documents that stay in memory; to read one takes 15 us."""

Value = TypeVar("Value", bound=np.generic)

REUSED_SHARE = 0.5
"""The vocabulary of the previous snapshot is changed where at most this share of the documents is not in
both: counting the words of those is then less than counting all."""


class Documents(Sequence[DocumentEntry]):
    """The entries of a snapshot's documents, by number; each is read when it is asked for."""

    def __init__(self, segments: Sequence[Segment], at: NDArray[np.int32], number: NDArray[np.int32]) -> None:
        """Find each in the segment `at` and by its `number` there, int32 (documents,)."""
        self._segments, self._at, self._number = segments, at, number
        self._entry = lru_cache(maxsize=ENTRIES)(self._read)

    def _read(self, document: int) -> DocumentEntry:
        entries = self._segments[self._at[document]].documents
        found: DocumentEntry = entries[int(self._number[document])]
        return found

    def __len__(self) -> int:
        return len(self._at)

    @overload
    def __getitem__(self, document: int) -> DocumentEntry: ...
    @overload
    def __getitem__(self, document: slice) -> tuple[DocumentEntry, ...]: ...
    def __getitem__(self, document: int | slice) -> DocumentEntry | tuple[DocumentEntry, ...]:
        if isinstance(document, slice):
            return tuple(self[at] for at in range(*document.indices(len(self))))
        return self._entry(document)


class Snapshot:
    """An immutable, searchable state of the corpus."""

    def __init__(self, manifest: Manifest, segments: Sequence[Segment]) -> None:
        """See the documents of `segments`, in the order of `manifest.segments`, that are not deleted."""
        self.manifest = manifest
        self.segments = tuple(segments)
        places: list[tuple[str, int, int]] = []
        for at, (segment, used) in enumerate(zip(segments, manifest.segments, strict=True)):
            gone = {*used.deleted}
            places += [
                (one, at, number) for number, one in enumerate(segment.documents.ids) if number not in gone
            ]
        places.sort()
        self.ids = tuple(one for one, _, _ in places)
        """The documents' ids, in order: a document's number is its place here."""
        self._at = np.array([at for _, at, _ in places], dtype=np.int32)
        self._number = np.array([number for _, _, number in places], dtype=np.int32)
        self.documents = Documents(self.segments, self._at, self._number)
        self.skipped = manifest.skipped
        self.aliases = manifest.aliases
        counts = self._of_each([segment.documents.passages for segment in segments])
        self.passage_starts = starts(counts)
        self._document_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self._segment_of = np.zeros(len(self._document_of), dtype=np.int32)
        self._row_of = np.zeros(len(self._document_of), dtype=np.int32)
        self._numbers = [np.full(segment.passages, -1, dtype=np.int32) for segment in segments]
        self._place_passages()
        self.terms = self._terms()
        self.text = lru_cache(maxsize=256)(self._text)
        self._questions = count()
        self.headings = lru_cache(maxsize=4096)(self._headings)

    def _place_passages(self) -> None:
        """Fill in where each passage lies, and which passage lies at each row of each segment."""
        if not self.ids:
            return
        first = self._of_each([segment.passage_starts[:-1] for segment in self.segments])
        own = np.arange(len(self._document_of)) - self.passage_starts[:-1][self._document_of]
        self._segment_of[:] = self._at[self._document_of]
        self._row_of[:] = first[self._document_of] + own
        for at, numbers in enumerate(self._numbers):
            here = np.flatnonzero(self._segment_of == at)
            numbers[self._row_of[here]] = here

    def _of_each(self, columns: Sequence[NDArray[Value]]) -> NDArray[Value]:
        """Return what a column of each segment says of each document."""
        found = np.zeros(len(self.ids), dtype=columns[0].dtype if columns else np.int32)
        for at, column in enumerate(columns):
            here = np.flatnonzero(self._at == at)
            found[here] = column[self._number[here]]
        return found

    @property
    def version(self) -> str:
        """Return the snapshot's id."""
        return self.manifest.version

    @property
    def passages(self) -> int:
        """Return how many passages there are."""
        return len(self._document_of)

    def _terms(self) -> Terms:
        """Return the ranking by words."""
        pairs = zip(self.segments, self._numbers, strict=True)
        parts = [
            TermPart(segment.postings, segment.lengths, numbers, bool((numbers >= 0).all()))
            for segment, numbers in pairs
        ]
        return Terms(parts, self._segment_of, self._row_of)

    @cached_property
    def by_passage(self) -> tuple[VectorPart, ...]:
        """Return the vectors of the passages, with their numbers."""
        pairs = zip(self.segments, self._numbers, strict=True)
        return tuple(
            VectorPart(segment.columns.vectors, numbers, segment.vector_cells) for segment, numbers in pairs
        )

    @cached_property
    def by_statement(self) -> tuple[VectorPart, ...]:
        """Return the vectors of the statements, with the numbers of the passages they are of."""
        pairs = zip(self.segments, self._numbers, strict=True)
        return tuple(
            VectorPart(segment.columns.statements, numbers[segment.statement_rows], segment.statement_cells)
            for segment, numbers in pairs
        )

    def similarities(self, question: Vector, passages: NDArray[np.int64]) -> Vector:
        """Return the cosines of `question` with the given passages, float32 (passages,)."""
        found = np.zeros(len(passages), dtype=np.float32)
        of = self._segment_of[passages]
        for at in np.unique(of).tolist():
            here = of == at
            rows = self._row_of[passages[here]].astype(np.int64)
            found[here] = similarities(self.segments[at].columns.vectors, question, rows)
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Return what the corpus itself says about words."""
        found = WordCounts()
        for segment, used in zip(self.segments, self.manifest.segments, strict=True):
            found.spellings.update(segment.spelled_in_all())
            defined = segment.documents.definitions()
            found.acronyms.update(defined.acronyms)
            found.rivals.update(defined.rivals)
            for number in used.deleted:
                entry = segment.documents[number]
                found.spellings.subtract(segment.spelled(number))
                found.acronyms.subtract(entry.acronyms)
                found.rivals.subtract(entry.rivals)
        return Vocabulary(
            found.spellings,
            acronyms=found.acronyms.elements(),
            rivals=found.rivals.elements(),
            aliases=self.aliases,
            stands=self.terms.__contains__,
        )

    def take_words_of(self, previous: Snapshot) -> None:
        """Make the vocabulary out of that of `previous`, as long as the two have most documents in common."""
        here, there = self.raw_shas, previous.raw_shas
        come = [self.numbers[one] for one, sha in here.items() if there.get(one) != sha]
        gone = [previous.numbers[one] for one, sha in there.items() if here.get(one) != sha]
        if len(come) + len(gone) > REUSED_SHARE * max(len(self.documents), 1):
            return
        # Where a cached property keeps its value.
        self.__dict__["vocabulary"] = previous.vocabulary.changed(
            gone=previous.words_of(gone),
            come=self.words_of(come),
            aliases=self.aliases,
            stands=self.terms.__contains__,
        )

    def words_of(self, documents: Iterable[int]) -> WordCounts:
        """Return what some documents, given by number, say about words."""
        found = WordCounts()
        for document in documents:
            segment, number = self.document_place(document)
            entry = self.documents[document]
            found.spellings.update(segment.spelled(number))
            found.acronyms.update(entry.acronyms)
            found.rivals.update(entry.rivals)
        return found

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Return the documents' numbers by id."""
        return {one: number for number, one in enumerate(self.ids)}

    @cached_property
    def raw_shas(self) -> dict[str, str]:
        """Return the SHA-256 of each document's file, by id."""
        shas = [segment.documents.raw_shas for segment in self.segments]
        places = zip(self.ids, self._at.tolist(), self._number.tolist(), strict=True)
        return {one: shas[at][number] for one, at, number in places}

    def document_place(self, document: int) -> tuple[Segment, int]:
        """Return the segment a document lies in, and its number there."""
        return self.segments[self._at[document]], int(self._number[document])

    def _text(self, document: int) -> str:
        """Return the canonical text of a document given by number."""
        segment, number = self.document_place(document)
        return segment.text_of(number).tobytes().decode("utf-8")

    def _headings(self, passage: int) -> tuple[str, ...]:
        """Return the words of the headings above a passage, outermost first."""
        segment, row = self.place(passage)
        document = self.document_of(passage)
        text, names = self.text(document), dict(self.documents[document].heading_names)
        places = segment.columns.headings[segment.heading_starts[row] : segment.heading_starts[row + 1]]
        return tuple(names.get(start, text[start:end]) for start, end in places.tolist())

    def place(self, passage: int) -> tuple[Segment, int]:
        """Return the segment a passage lies in, and its row there."""
        return self.segments[self._segment_of[passage]], int(self._row_of[passage])

    def count_question(self) -> None:
        """Let go, once in a while, of what questions have brought into memory of large segments."""
        if next(self._questions) % LET_GO == LET_GO - 1:
            for segment in self.segments:
                segment.let_go()

    def row_with(self, digest: bytes) -> tuple[Segment, int] | None:
        """Return where a passage with this digest lies, living or not, or None: its vectors serve again.

        Raises SegmentError when the segment turns out to be damaged.
        """
        for segment in self.segments:
            row = segment.row_with(digest)
            if row is not None:
                segment.vouched()
                return segment, row
        return None

    def rows(self, passages: Sequence[int]) -> NDArray[np.void]:
        """Return the PASSAGE rows of some passages."""
        found = [segment.columns.passages[row] for segment, row in map(self.place, passages)]
        return np.array(found, dtype=found[0].dtype)

    def span(self, passage: int) -> Span:
        """Return the place of a passage in its document."""
        segment, at = self.place(passage)
        row = segment.columns.passages[at]
        return Span(int(row["start"]), int(row["end"]))

    def document_of(self, passage: int) -> int:
        """Return the number of the document a passage is of."""
        return int(self._document_of[passage])

    def passages_of(self, document: int) -> range:
        """Return the numbers of a document's passages, in the order of their places."""
        return range(int(self.passage_starts[document]), int(self.passage_starts[document + 1]))

    def candidates_of(self, passage: int) -> NDArray[np.void]:
        """Return the answer candidates of a passage, CANDIDATE (candidates,)."""
        segment, row = self.place(passage)
        return segment.columns.candidates[segment.candidate_starts[row] : segment.candidate_starts[row + 1]]

    def statements_of(self, passage: int) -> Vector:
        """Return the vectors of a passage's statements, float32 (statements, dimension)."""
        segment, row = self.place(passage)
        return segment.statements_at(row)

    def tokens_of(self, passage: int) -> NDArray[np.int8]:
        """Return the token vectors of a passage, int8 (tokens, token_dimension)."""
        segment, row = self.place(passage)
        return segment.columns.tokens[segment.token_starts[row] : segment.token_starts[row + 1]]

    def terms_of(self, passage: int) -> NDArray[np.uint64]:
        """Return the numbers of a passage's terms in the order of its embedded text, uint64 (terms,)."""
        segment, row = self.place(passage)
        return segment.columns.terms[segment.term_starts[row] : segment.term_starts[row + 1]]

    def own_terms_of(self, passage: int) -> NDArray[np.uint64]:
        """Return the same without those of title and headings."""
        segment, row = self.place(passage)
        return self.terms_of(passage)[segment.columns.passages[row]["context_terms"] :]

    def passage_id(self, passage: int) -> str:
        """Return a passage's name: its document, and the place in it."""
        span = self.span(passage)
        return f"{self.ids[self.document_of(passage)]}#{span.start}-{span.end}"

    @cached_property
    def fields(self) -> FieldTable:
        """Return which documents have which value in which field of their front matter."""
        fields = [segment.documents.fields for segment in self.segments]
        places = zip(self._at.tolist(), self._number.tolist(), strict=True)
        return FieldTable(fields[at].get(number, ()) for at, number in places)

    def rows_where(self, prefixes: Sequence[str] = (), fields: Wanted | None = None) -> NDArray[np.bool_]:
        """Return bool (passages,): which passages are of documents that pass a filter.

        The document's id begins with one of `prefixes`, where there are any, and its fields match.
        """
        chosen = self.fields.matching(fields) if fields else np.ones(len(self.documents), dtype=bool)
        if prefixes:
            beginnings = tuple(prefixes)
            chosen &= np.array([one.startswith(beginnings) for one in self.ids], dtype=bool)
        return np.repeat(chosen, np.diff(self.passage_starts))


def line_of(text: str, offset: int) -> int:
    """Return the line number of a code point, from 1."""
    return bisect_right(line_starts(text), offset)


@lru_cache(maxsize=64)
def line_starts(text: str) -> list[int]:
    """Return where each line of `text` begins."""
    return [0, *(end.end() for end in LINE_END.finditer(text))]
