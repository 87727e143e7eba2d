"""(previous Snapshot or None, the corpus folder) -> a new snapshot's files; encodes only unseen texts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import corpus.atoms
import corpus.passages
from corpus.document import BlockKind, Document, Passage, Span
from corpus.folder import Change, Skipped, Source, between
from corpus.formats import SUFFIXES, UnreadableDocument, parse, plain
from corpus.passages import passages
from index import analysis, terms
from index.columns import CANDIDATE, PASSAGE, Columns, candidate_rows, covered
from index.encoder import Encoder, Encoding, Vector
from index.snapshot import FORMAT, DocumentEntry, Manifest, Snapshot
from index.vocabulary import ALIAS_FILE, acronyms, read_aliases, rivals
from index.writer import Writer

PARSER = 8
"""Raise it with every change of parsers, passages or terms: an index made otherwise is then made again."""

QUEUE_PASSAGES = 512
"""Passages held before they are encoded together: enough to sort by length, little to hold in memory."""

NO_IDS = np.zeros(0, dtype=np.int64)


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build would do, and the state of the folder it was made for."""

    version: str
    change: Change
    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    """From the alias file beside the documents: what people write, and what it stands for."""


def recipe() -> str:
    """Return a hash of every constant that shapes passages and terms."""
    shaping = (
        FORMAT,
        PARSER,
        corpus.passages.CONTEXT_SHARE,
        corpus.passages.FILL_TOKENS,
        corpus.passages.FULL_TOKENS,
        corpus.atoms.CHARACTERS_PER_TOKEN,
        analysis.LONGEST_TERM,
        terms.K1,
        terms.B,
        sorted(SUFFIXES.items()),
    )
    return hashlib.sha256(repr(shaping).encode()).hexdigest()[:16]


def plan(previous: Snapshot | None, found: Iterable[Source | Skipped], fingerprint: str) -> Plan:
    """Return what has to be done for the index to follow the folder."""
    listed = list(found)
    sources = tuple(one for one in listed if isinstance(one, Source) and one.id != ALIAS_FILE)
    skipped = [one for one in listed if isinstance(one, Skipped)]
    pairs, problem = read_aliases(
        next((one.data for one in listed if one.id == ALIAS_FILE and isinstance(one, Source)), b"")
    )
    if problem:
        skipped.append(Skipped(ALIAS_FILE, problem, 0))
    old: dict[str, str] = {}
    if previous is not None:
        if reusable(previous, fingerprint):
            old = {one.id: one.raw_sha for one in previous.documents}
        # A file that could not be read last time is no addition as long as it stays the same.
        old |= {one.id: one.sha or "skipped" for one in previous.skipped if one.id not in old}
    new = {one.id: one.sha for one in sources} | {one.id: "skipped" for one in skipped}
    version = version_of(sources, skipped, fingerprint, pairs)
    return Plan(version, between(old, new), sources, tuple(skipped), pairs)


def reusable(previous: Snapshot | None, fingerprint: str) -> bool:
    """Return whether vectors and passages of `previous` are what this program would make."""
    if previous is None:
        return False
    return previous.manifest.fingerprint == fingerprint and previous.manifest.recipe == recipe()


def version_of(
    sources: Sequence[Source],
    skipped: Sequence[Skipped],
    fingerprint: str,
    aliases: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the id of the snapshot of these files: the same corpus has the same id on any machine."""
    digest = hashlib.sha256(f"{recipe()} {fingerprint} {sorted(aliases)}".encode())
    for line in sorted(
        [f"{one.id}\0{one.sha}" for one in sources] + [f"{one.id}\0skipped {one.reason}" for one in skipped]
    ):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]


def build(
    planned: Plan, previous: Snapshot | None, encoder: Encoder, folder: Path, progress: Progress
) -> Manifest:
    """Write the snapshot of `planned` into the empty `folder`, durable but not yet published.

    Documents that have not changed are copied; of the others, passages whose embedded text was seen
    before keep their vectors. Raises Cancelled when `progress` says so.
    """
    held = previous if reusable(previous, encoder.export.fingerprint) else None
    unchanged = held.numbers if held else {}
    progress.total_bytes = sum(len(source.data) for source in planned.sources)
    with Writer(folder, encoder.export) as writer:
        queue = _Queue(writer, encoder, held, progress)
        skipped = list(planned.skipped)
        for source in planned.sources:
            number = unchanged.get(source.id)
            if held and number is not None and held.documents[number].raw_sha == source.sha:
                queue.add_copy(source, number)
                continue
            parsed = read_source(source, encoder)
            if isinstance(parsed, Skipped):
                skipped.append(parsed)
            else:
                queue.add(source, *parsed)
        queue.flush()
        built_at = datetime.now(tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return writer.finish(
            planned.version,
            recipe(),
            skipped=sorted(skipped, key=lambda one: one.id),
            aliases=planned.aliases,
            built_at=built_at,
        )


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
    """A document on its way into the snapshot: parsed, or a copy of a previous one."""

    source: Source
    document: Document | None
    passages: tuple[Passage, ...]
    copied: int = 0


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A passage's encoding and the vectors of its statements, float32 (statements, dimension)."""

    encoding: Encoding
    statements: Vector


class _Queue:
    """Documents in order, held until enough unseen passages are together to be encoded at once."""

    def __init__(self, writer: Writer, encoder: Encoder, held: Snapshot | None, progress: Progress) -> None:
        self._writer = writer
        self._encoder = encoder
        self._held = held
        self._progress = progress
        self._known = _digests(held)
        self._waiting: list[_Waiting] = []
        self._unseen: dict[bytes, Passage] = {}

    def add_copy(self, source: Source, number: int) -> None:
        assert self._held is not None
        count = self._held.documents[number].passages
        self._waiting.append(_Waiting(source, None, (), number))
        self._grow(count, source)

    def add(self, source: Source, document: Document, found: tuple[Passage, ...]) -> None:
        self._waiting.append(_Waiting(source, document, found))
        for passage in found:
            digest = digest_of(passage)
            if digest not in self._known:
                self._unseen.setdefault(digest, passage)
        self._grow(len(found), source)

    def _grow(self, count: int, source: Source) -> None:
        self._progress.passages += count
        self._progress.bytes += len(source.data)
        if len(self._unseen) >= QUEUE_PASSAGES:
            self.flush()

    def flush(self) -> None:
        """Encode what is unseen and append every waiting document in order."""
        fresh = dict(zip(self._unseen, self._encode(list(self._unseen.values())), strict=True))
        for one in self._waiting:
            if one.document is None:
                assert self._held is not None
                entry = self._held.documents[one.copied]
                self._writer.copy(self._held, one.copied, replace(entry, updated_at=one.source.updated_at))
            else:
                self._append(one.source, one.document, one.passages, fresh)
        self._waiting.clear()
        self._unseen.clear()
        self._progress.done = self._progress.passages
        self._progress.tell()

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

    def _append(
        self, source: Source, document: Document, found: tuple[Passage, ...], fresh: dict[bytes, _Encoded]
    ) -> None:
        encodings = [self._encoding(digest_of(passage), fresh) for passage in found]
        text = document.text.encode("utf-8")
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
        )
        self._writer.append(entry, text, _columns(found, encodings, self._writer, self._encoder))

    def _encoding(self, digest: bytes, fresh: dict[bytes, _Encoded]) -> _Encoded:
        if digest in fresh:
            return fresh[digest]
        assert self._held is not None
        row = self._known[digest]
        first, behind = self._held.token_starts[row], self._held.token_starts[row + 1]
        columns = self._held.columns
        encoding = Encoding(
            columns.vectors[row], columns.tokens[first:behind], columns.offsets[first:behind], NO_IDS
        )
        return _Encoded(encoding, self._held.statements_of(row))


def digest_of(passage: Passage) -> bytes:
    """Return 16 bytes that stand for all that is embedded of a passage: equal digests, equal vectors."""
    texts = "\0".join([passage.embedded, *_statements(passage)])
    return hashlib.blake2b(texts.encode("utf-8"), digest_size=16).digest()


def _statements(passage: Passage) -> list[str]:
    return [one.statement for one in passage.candidates if one.statement]


def _stacked(vectors: Sequence[Vector], width: int) -> Vector:
    return np.asarray(vectors, dtype=np.float32).reshape(-1, width)


def _digests(held: Snapshot | None) -> dict[bytes, int]:
    if held is None:
        return {}
    return {digest.tobytes(): row for row, digest in enumerate(held.columns.passages["digest"])}


def _heading_names(document: Document, used: set[int]) -> Iterator[tuple[int, str]]:
    """Yield start and words of the headings whose source is not their words."""
    for block in document.blocks:
        if block.kind is BlockKind.HEADING and block.content.start in used:
            words = plain(document.text, block.content, block.markup)
            if words != block.content.of(document.text):
                yield block.content.start, words


def _columns(
    found: tuple[Passage, ...], encoded: list[_Encoded], writer: Writer, encoder: Encoder
) -> Columns:
    """Return the rows of one document's passages."""
    rows = np.zeros(len(found), dtype=PASSAGE)
    headings: list[tuple[int, int]] = []
    candidates: list[NDArray[np.void]] = [np.zeros(0, dtype=CANDIDATE)]
    numbers: list[int] = []
    spellings: list[int] = []
    encodings = [one.encoding for one in encoded]
    for row, passage, encoding in zip(rows, found, encodings, strict=True):
        own, places, spelled = _words_of(passage, writer)
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
        spellings.extend(spelled)
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
        terms=np.asarray(numbers, dtype=np.int32),
        words=np.asarray(spellings, dtype=np.int32),
    )


def _words_of(passage: Passage, writer: Writer) -> tuple[list[int], NDArray[np.int32], list[int]]:
    """Return a passage's term numbers in order, int32 (terms, 2) where each stands, and its own spellings."""
    numbers: list[int] = []
    places: list[tuple[int, int]] = []
    spelled: list[int] = []
    opening = {one.embedded.start for one in passage.candidates}
    headers = [one.column_header_embedded for one in passage.candidates if one.column_header_embedded]
    repeated = {at for span in headers for at in range(span.start, span.end)}
    for word in analysis.words(passage.embedded):
        numbers.extend(writer.terms.number_of(term) for term in word.terms)
        places.extend([(word.span.start, word.span.end)] * len(word.terms))
        if word.span.start >= passage.context and word.span.start not in repeated:
            # A capital at the beginning of a sentence says nothing about how the word is spelled.
            plain_capital = word.span.start in opening and word.text[1:] == word.text[1:].lower()
            spelled.append(writer.spellings.number_of(word.text.lower() if plain_capital else word.text))
    return numbers, np.asarray(places, dtype=np.int32).reshape(-1, 2), spelled
