"""(Plan, previous Snapshot) -> new segments and the manifest of the next; encodes only unseen texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corpus.document import BlockKind, Document, Passage, Span
from corpus.folder import Skipped, Source
from corpus.formats import UnreadableDocument, parse, plain
from corpus.passages import passages
from index import analysis
from index.columns import CANDIDATE, PASSAGE, Columns, candidate_rows, covered
from index.definitions import acronyms, rivals
from index.encoder import Encoder, Encoding, Vector
from index.entries import DocumentEntry
from index.manifest import FORMAT, Manifest, Used
from index.plan import Plan, recipe, reusable
from index.segment import Part, SegmentFile, write_segment
from index.snapshot import Snapshot
from index.terms import term_number

QUEUE_PASSAGES = 512
"""Passages held before they are encoded together: enough to sort by length, little to hold in memory."""

SEGMENT_PASSAGES = 4096
"""Passages written as one segment, some 50 MB, so that a build's memory does not grow with the corpus."""

NO_IDS = np.zeros(0, dtype=np.int64)

AddSegment = Callable[[Callable[[Path], tuple[int, str]]], SegmentFile]
"""Puts a segment that the given function writes where segments are kept: `Store.add_segment`."""


class Cancelled(Exception):
    """The build was told to stop; nothing was published."""


@dataclass(slots=True)
class Progress:
    """How far a build is; numbers only grow. Read by other threads, written by the one that builds."""

    passages: int = 0
    """Passages known so far."""
    done: int = 0
    """Passages finished, encoded or taken over."""
    encoded: int = 0
    """Passages the encoder was run for."""
    bytes: int = 0
    """Bytes of the documents parsed so far."""
    total_bytes: int = 0
    cancelled: bool = False
    listeners: list[Callable[[Progress], None]] = field(default_factory=list, repr=False)

    @property
    def expected(self) -> int:
        """Return how many passages there will be in all: an estimate until every document is parsed."""
        return max(self.passages, round(self.passages * self.total_bytes / max(self.bytes, 1)))

    def tell(self) -> None:
        """Call the listeners; raise Cancelled when the build is to stop."""
        for listener in self.listeners:
            listener(self)
        if self.cancelled:
            raise Cancelled("the build was cancelled; the index is as it was")


def build(
    planned: Plan, previous: Snapshot | None, encoder: Encoder, add: AddSegment, progress: Progress
) -> Manifest:
    """Write the segments that `planned` needs besides those of `previous`, and return the manifest.

    Passages whose embedded text was seen before keep their vectors. The manifest is not yet published.
    Raises Cancelled when `progress` says so.
    """
    held = previous if reusable(previous, encoder.export.fingerprint) else None
    progress.total_bytes = sum(len(source.data) for source in planned.sources)
    stay = _staying(held, planned.stay) if held else []
    queue = _Queue(add, encoder, held, progress)
    skipped = list(planned.skipped)
    for source in planned.sources:
        parsed = read_source(source, encoder)
        if isinstance(parsed, Skipped):
            skipped.append(parsed)
        else:
            queue.add(source, *parsed)
    made = queue.finish()
    export = encoder.export
    kept = [] if held is None else [held.numbers[one] for one in planned.stay]
    kept_passages = 0 if held is None else int(np.diff(held.passage_starts)[kept].sum())
    built_at = datetime.now(tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Manifest(
        format=FORMAT,
        version=planned.version,
        built_at=built_at,
        model=export.model,
        fingerprint=export.fingerprint,
        recipe=recipe(),
        dimension=export.dimension,
        token_dimension=export.token_dimension,
        documents=len(kept) + queue.documents,
        passages=kept_passages + progress.passages,
        segments=(*stay, *(Used(one, ()) for one in made)),
        skipped=tuple(sorted(skipped, key=lambda one: one.id)),
        aliases=planned.aliases,
    )


def _staying(held: Snapshot, ids: frozenset[str]) -> list[Used]:
    """Return the segments of `held` with all documents but `ids` deleted; those with none left dropped."""
    found: list[Used] = []
    for segment, used in zip(held.segments, held.manifest.segments, strict=True):
        gone = {*used.deleted}
        gone |= {number for number, one in enumerate(segment.documents.ids) if one not in ids}
        if len(gone) < len(segment.documents):
            found.append(Used(used.file, tuple(sorted(gone))))
    return found


def read_source(source: Source, encoder: Encoder) -> tuple[Document, tuple[Passage, ...]] | Skipped:
    """Return the document in a file with its passages, or the file as skipped, with the reason."""
    try:
        document = parse(source.id, source.data)
        return document, passages(document, encoder.count_tokens, window=encoder.export.window)
    except UnreadableDocument as error:
        reason = str(error)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # A parser that stumbles over one document must not keep the others from being served.
        reason = f"could not be parsed ({type(error).__name__}: {error})"
    return Skipped(source.id, reason, len(source.data), source.sha)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A document on its way into a segment."""

    source: Source
    document: Document
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A passage's encoding and the vectors of its statements, float32 (statements, dimension)."""

    encoding: Encoding
    statements: Vector


class _Queue:
    """Documents in order, held until enough unseen passages are together to be encoded at once."""

    def __init__(self, add: AddSegment, encoder: Encoder, held: Snapshot | None, progress: Progress) -> None:
        self._add = add
        self._encoder = encoder
        self._held = held
        self._progress = progress
        self._waiting: list[_Waiting] = []
        self._unseen: dict[bytes, Passage] = {}
        self._parts: list[Part] = []
        self._made: list[SegmentFile] = []
        self.documents = 0

    def add(self, source: Source, document: Document, found: tuple[Passage, ...]) -> None:
        """Take in one document."""
        self._waiting.append(_Waiting(source, document, found))
        for passage in found:
            digest = digest_of(passage)
            if self._held is None or self._held.row_with(digest) is None:
                self._unseen.setdefault(digest, passage)
        self.documents += 1
        self._progress.passages += len(found)
        self._progress.bytes += len(source.data)
        if len(self._unseen) >= QUEUE_PASSAGES:
            self._flush()

    def finish(self) -> list[SegmentFile]:
        """Encode and write what is left, and return every segment written."""
        self._flush()
        self._write()
        return self._made

    def _flush(self) -> None:
        """Encode what is unseen and turn every waiting document into its rows."""
        fresh = dict(zip(self._unseen, self._encode(list(self._unseen.values())), strict=True))
        for one in self._waiting:
            self._parts.append(self._part(one.source, one.document, one.passages, fresh))
        self._waiting.clear()
        self._unseen.clear()
        self._progress.done = self._progress.passages
        self._progress.tell()
        if sum(part.entry.passages for part in self._parts) >= SEGMENT_PASSAGES:
            self._write()

    def _write(self) -> None:
        if self._parts:
            self._made.append(self._add(lambda path: write_segment(path, self._parts)))
        self._parts = []

    def _encode(self, unseen: list[Passage]) -> list[_Encoded]:
        def told(count: int) -> None:
            self._progress.encoded += count
            self._progress.done += count
            self._progress.tell()

        def stated(_: int) -> None:
            self._progress.tell()

        if not unseen:
            return []
        texts = [text for passage in unseen for text in _statements(passage)]
        vectors = iter([one.vector for one in self._encoder.encode_documents(texts, stated)])
        encodings = self._encoder.encode_documents([passage.embedded for passage in unseen], told)
        width = self._encoder.export.dimension
        return [
            _Encoded(one, _stacked([next(vectors) for _ in _statements(passage)], width))
            for passage, one in zip(unseen, encodings, strict=True)
        ]

    def _part(
        self, source: Source, document: Document, found: tuple[Passage, ...], fresh: dict[bytes, _Encoded]
    ) -> Part:
        encodings = [self._encoding(digest_of(passage), fresh) for passage in found]
        text = np.frombuffer(document.text.encode("utf-8"), dtype=np.uint8)
        used = {one.start for passage in found for one in passage.headings}
        entry = DocumentEntry(
            id=document.id,
            title=document.title,
            sha=document.sha,
            raw_sha=source.sha,
            format=document.format,
            bytes=len(source.data),
            updated_at=source.updated_at,
            fields=document.fields,
            text_bytes=len(text),
            passages=len(found),
            heading_names=tuple(_heading_names(document, used)),
            acronyms=tuple(acronyms(found)),
            rivals=tuple(rivals(document)),
            pages=document.pages,
        )
        spellings: dict[str, int] = {}
        columns = _columns(found, encodings, spellings, self._encoder)
        return Part(entry, text, columns, list(spellings))

    def _encoding(self, digest: bytes, fresh: dict[bytes, _Encoded]) -> _Encoded:
        if digest in fresh:
            return fresh[digest]
        assert self._held is not None
        found = self._held.row_with(digest)
        assert found is not None
        segment, row = found
        first, behind = segment.token_starts[row], segment.token_starts[row + 1]
        columns = segment.columns
        encoding = Encoding(
            columns.vectors[row], columns.tokens[first:behind], columns.offsets[first:behind], NO_IDS
        )
        return _Encoded(encoding, segment.statements_at(row))


def digest_of(passage: Passage) -> bytes:
    """Return 16 bytes that stand for all that is embedded of a passage: equal digests, equal vectors."""
    texts = "\0".join([passage.embedded, *_statements(passage)])
    return hashlib.blake2b(texts.encode("utf-8"), digest_size=16).digest()


def _statements(passage: Passage) -> list[str]:
    return [one.statement for one in passage.candidates if one.statement]


def _stacked(vectors: Sequence[Vector], width: int) -> Vector:
    return np.asarray(vectors, dtype=np.float32).reshape(-1, width)


def _heading_names(document: Document, used: set[int]) -> Iterator[tuple[int, str]]:
    """Yield start and words of the headings whose source is not their words."""
    for block in document.blocks:
        if block.kind is BlockKind.HEADING and block.content.start in used:
            words = plain(document.text, block.content, block.markup)
            if words != block.content.of(document.text):
                yield block.content.start, words


def _columns(
    found: tuple[Passage, ...], encoded: list[_Encoded], spellings: dict[str, int], encoder: Encoder
) -> Columns:
    """Return the rows of one document's passages."""
    rows = np.zeros(len(found), dtype=PASSAGE)
    headings: list[tuple[int, int]] = []
    candidates: list[NDArray[np.void]] = [np.zeros(0, dtype=CANDIDATE)]
    numbers: list[int] = []
    words: list[int] = []
    encodings = [one.encoding for one in encoded]
    for row, passage, encoding in zip(rows, found, encodings, strict=True):
        own, places, spelled = _words_of(passage, spellings)
        context = Span(0, passage.context)
        row["start"], row["end"] = passage.span.start, passage.span.end
        row["context"] = covered(encoding.offsets, context)[1] if passage.context else 0
        row["context_terms"] = covered(places, context)[1] if passage.context else 0
        row["headings"], row["candidates"] = len(passage.headings), len(passage.candidates)
        row["tokens"], row["terms"], row["words"] = len(encoding.tokens), len(own), len(spelled)
        row["statements"] = len(_statements(passage))
        row["digest"] = np.void(digest_of(passage))
        headings.extend((span.start, span.end) for span in passage.headings)
        candidates.append(candidate_rows(passage.candidates, encoding.offsets, places))
        numbers.extend(own)
        words.extend(spelled)
    width, depth = encoder.export.dimension, encoder.export.token_dimension
    empty = Encoding(
        np.zeros(width, np.float32), np.zeros((0, depth), np.int8), np.zeros((0, 2), np.int32), NO_IDS
    )
    return Columns(
        passages=rows,
        headings=np.asarray(headings, dtype=np.int32).reshape(-1, 2),
        candidates=np.concatenate(candidates),
        vectors=_stacked([one.vector for one in encodings], width),
        statements=np.concatenate([_stacked([], width), *(one.statements for one in encoded)]),
        tokens=np.concatenate([one.tokens for one in (empty, *encodings)]),
        offsets=np.concatenate([one.offsets for one in (empty, *encodings)]),
        terms=np.asarray(numbers, dtype=np.uint64),
        words=np.asarray(words, dtype=np.int32),
    )


def _words_of(passage: Passage, spellings: dict[str, int]) -> tuple[list[int], NDArray[np.int32], list[int]]:
    """Return a passage's term numbers in order, int32 (terms, 2) where each stands, and its own spellings."""
    numbers: list[int] = []
    places: list[tuple[int, int]] = []
    spelled: list[int] = []
    opening = {one.embedded.start for one in passage.candidates}
    headers = [one.column_header_embedded for one in passage.candidates if one.column_header_embedded]
    repeated = {at for span in headers for at in range(span.start, span.end)}
    for word in analysis.words(passage.embedded):
        numbers.extend(term_number(term) for term in word.terms)
        places.extend([(word.span.start, word.span.end)] * len(word.terms))
        if word.span.start >= passage.context and word.span.start not in repeated:
            # A capital at the beginning of a sentence says nothing about how the word is spelled.
            plain_capital = word.span.start in opening and word.text[1:] == word.text[1:].lower()
            form = word.text.lower() if plain_capital else word.text
            spelled.append(spellings.setdefault(form, len(spellings)))
    return numbers, np.asarray(places, dtype=np.int32).reshape(-1, 2), spelled
