"""A Snapshot: everything a question needs, immutable and searchable, memory-mapped from its folder."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.document import Span
from corpus.folder import Skipped
from index.columns import NAMES, Columns, layout, starts
from index.encoder import Vector
from index.fields import FieldTable, Wanted
from index.terms import Postings, Terms
from index.vocabulary import Vocabulary

FORMAT = 2
"""Version of the layout on disk. A snapshot of another format is rebuilt, never guessed at."""

MANIFEST = "manifest.json"
TEXTS = "texts.utf8"
VOCABULARY = "vocabulary.json"
SPELLINGS = "spellings.json"
DOCUMENTS = "documents.json"
POSTINGS = ("postings_scores", "postings_passages", "postings_starts")
POSTINGS_TYPES = ("<f4", "<i4", "<i8")
LINE_END = re.compile(r"\r\n|\r|\n")


class SnapshotError(Exception):
    """A snapshot cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """What a snapshot knows of one document besides its text."""

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
    """The file's modification time, ISO 8601 in UTC. Never part of a snapshot's identity."""
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


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot says of itself; `files` holds size and SHA-256 of every other file."""

    format: int
    version: str
    """The snapshot's id: a hash of its documents and of all that shapes the index."""
    built_at: str
    """ISO 8601 in UTC."""
    model: str
    fingerprint: str
    """The encoder's fingerprint."""
    recipe: str
    """Hash of the constants that shape passages and terms; another recipe means another index."""
    dimension: int
    token_dimension: int
    counts: dict[str, int]
    """Rows of each column, and of documents, skipped files and vocabulary."""
    files: dict[str, tuple[int, str]]

    def write(self, folder: Path) -> None:
        """Write the manifest into `folder`."""
        values = asdict(self)
        sealed = {**values, "checksum": _checksum(values)}
        (folder / MANIFEST).write_text(json.dumps(sealed, indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in `folder`. Raises SnapshotError where there is none that can be read."""
    try:
        values = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        checksum = values.pop("checksum")
        files = {name: (int(size), str(sha)) for name, (size, sha) in values["files"].items()}
        manifest = Manifest(**{**values, "files": files})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SnapshotError(f"{folder / MANIFEST} cannot be read: {error}") from error
    if checksum != _checksum(values):
        raise SnapshotError(f"{folder / MANIFEST} is damaged: its checksum is not that of its values")
    if manifest.format != FORMAT:
        raise SnapshotError(f"{folder} has layout {manifest.format}, this program reads {FORMAT}: rebuild it")
    return manifest


def _checksum(values: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest's values, which vouch for every other file."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def verify(folder: Path) -> Manifest:
    """Return the manifest after comparing every file with its size and SHA-256.

    Raises SnapshotError that names the first missing, damaged or foreign file.
    """
    manifest = read_manifest(folder)
    for name, (size, sha) in sorted(manifest.files.items()):
        path = folder / name
        try:
            with path.open("rb") as file:
                seen = hashlib.file_digest(file, "sha256").hexdigest()
                length = file.tell()
        except OSError as error:
            raise SnapshotError(f"{path}: {error.strerror}") from error
        if (length, seen) != (size, sha):
            raise SnapshotError(
                f"{path} is damaged: {length} bytes with SHA-256 {seen[:16]}…, "
                f"the manifest says {size} bytes and {sha[:16]}…"
            )
    return manifest


class Snapshot:
    """An immutable, searchable state of the corpus."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Map the snapshot in `folder`, which `verify` has passed. Raises SnapshotError otherwise."""
        self.folder = folder
        self.manifest = manifest
        counts = manifest.counts
        sizes = layout(manifest.dimension, manifest.token_dimension)
        # Each column has the type that `layout` gives it, which is beyond what a type checker follows.
        mapped: Any = {name: _mapped(folder / name, *sizes[name], counts[name]) for name in NAMES}
        self.columns = Columns(**mapped)
        self._texts = _mapped(folder / TEXTS, np.dtype("u1"), (), counts["text_bytes"])
        listing = _json(folder / DOCUMENTS)
        self.documents = tuple(_entry(values) for values in listing["documents"])
        self.skipped = tuple(Skipped(**values) for values in listing["skipped"])
        self.aliases = tuple((str(short), str(long)) for short, long in listing["aliases"])
        passages = self.columns.passages
        self.heading_starts = starts(passages["headings"])
        self.statement_starts = starts(passages["statements"])
        self.candidate_starts = starts(passages["candidates"])
        self.token_starts = starts(passages["tokens"])
        self.term_starts = starts(passages["terms"])
        self.word_starts = starts(passages["words"])
        self.passage_starts = starts(np.array([one.passages for one in self.documents], dtype=np.int32))
        self._text_starts = starts(np.array([one.text_bytes for one in self.documents], dtype=np.int32))
        # A request may hold this snapshot after its folder is gone: nothing is left to be opened later.
        self.spellings: list[str] = _json(folder / SPELLINGS)
        self.terms = self._terms()
        self.text = lru_cache(maxsize=256)(self._text)
        self.headings = lru_cache(maxsize=4096)(self._headings)

    @property
    def version(self) -> str:
        """Return the snapshot's id."""
        return self.manifest.version

    @property
    def passages(self) -> int:
        """Return how many passages there are."""
        return len(self.columns.passages)

    def _terms(self) -> Terms:
        """Return the ranking by words."""
        vocabulary = _json(self.folder / VOCABULARY)
        scores, passages, begins = (
            _mapped(self.folder / name, np.dtype(kind), (), self.manifest.counts[name])
            for name, kind in zip(POSTINGS, POSTINGS_TYPES, strict=True)
        )
        return Terms(vocabulary, Postings(scores, passages, begins), self.passages)

    @cached_property
    def spellings(self) -> list[str]:
        """Return the words of the corpus as they are spelled, by number."""
        found: list[str] = json.loads((self.folder / SPELLINGS).read_text(encoding="utf-8"))
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Return what the corpus itself says about words."""
        counts = np.bincount(self.columns.words, minlength=len(self.spellings))
        return Vocabulary(
            dict(zip(self.spellings, counts.tolist(), strict=True)),
            acronyms=[pair for entry in self.documents for pair in entry.acronyms],
            rivals=[names for entry in self.documents for names in entry.rivals],
            aliases=self.aliases,
        )

    @cached_property
    def statement_passages(self) -> NDArray[np.int64]:
        """Return int64 (statements,): the passage each statement is of."""
        return np.repeat(np.arange(self.passages), self.columns.passages["statements"])

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Return the documents' numbers by id."""
        return {entry.id: number for number, entry in enumerate(self.documents)}

    def _text(self, document: int) -> str:
        """Return the canonical text of a document given by number."""
        first, behind = self._text_starts[document], self._text_starts[document + 1]
        return self._texts[first:behind].tobytes().decode("utf-8")

    def _headings(self, passage: int) -> tuple[str, ...]:
        """Return the words of the headings above a passage, outermost first."""
        first, behind = self.heading_starts[passage], self.heading_starts[passage + 1]
        document = self.document_of(passage)
        text, names = self.text(document), dict(self.documents[document].heading_names)
        places = self.columns.headings[first:behind].tolist()
        return tuple(names.get(start, text[start:end]) for start, end in places)

    def span(self, passage: int) -> Span:
        """Return the place of a passage in its document."""
        row = self.columns.passages[passage]
        return Span(int(row["start"]), int(row["end"]))

    def document_of(self, passage: int) -> int:
        """Return the number of the document a passage is of."""
        return int(self.columns.passages[passage]["document"])

    def passages_of(self, document: int) -> range:
        """Return the numbers of a document's passages."""
        return range(int(self.passage_starts[document]), int(self.passage_starts[document + 1]))

    def candidates_of(self, passage: int) -> NDArray[np.void]:
        """Return the CANDIDATE rows of a passage."""
        return self.columns.candidates[self.candidate_starts[passage] : self.candidate_starts[passage + 1]]

    def statements_of(self, passage: int) -> Vector:
        """Return the vectors of a passage's statements, float32 (statements, dimension)."""
        return self.columns.statements[self.statement_starts[passage] : self.statement_starts[passage + 1]]

    def tokens_of(self, passage: int) -> NDArray[np.int8]:
        """Return the token vectors of a passage, int8 (tokens, token_dimension)."""
        return self.columns.tokens[self.token_starts[passage] : self.token_starts[passage + 1]]

    def terms_of(self, passage: int) -> NDArray[np.int32]:
        """Return the numbers of a passage's terms in the order of its embedded text, int32 (terms,)."""
        return self.columns.terms[self.term_starts[passage] : self.term_starts[passage + 1]]

    def passage_id(self, passage: int) -> str:
        """Return a passage's name: its document, and the place in it."""
        span = self.span(passage)
        return f"{self.documents[self.document_of(passage)].id}#{span.start}-{span.end}"

    @cached_property
    def fields(self) -> FieldTable:
        """Return which documents have which value in which field of their front matter."""
        return FieldTable(entry.fields for entry in self.documents)

    def rows_where(self, prefixes: Sequence[str] = (), fields: Wanted | None = None) -> NDArray[np.bool_]:
        """Return bool (passages,): which passages are of documents that pass a filter.

        The document's id begins with one of `prefixes`, where there are any, and its fields match.
        """
        chosen = self.fields.matching(fields) if fields else np.ones(len(self.documents), dtype=bool)
        if prefixes:
            beginnings = tuple(prefixes)
            chosen &= np.array([one.id.startswith(beginnings) for one in self.documents], dtype=bool)
        return np.repeat(chosen, np.diff(self.passage_starts))


def _mapped(path: Path, dtype: np.dtype[np.generic], row: tuple[int, ...], count: int) -> NDArray[Any]:
    """Return the file as a read-only array of `count` rows."""
    if not count:
        return np.zeros((0, *row), dtype=dtype)  # an empty file cannot be mapped
    try:
        return np.memmap(path, dtype=dtype, mode="r", shape=(count, *row))
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path} cannot be mapped: {error}") from error


def _json(path: Path) -> Any:
    """Return what a JSON file of a snapshot holds. Raises SnapshotError where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}") from error


def _entry(values: dict[str, Any]) -> DocumentEntry:
    nested = ("fields", "heading_names", "acronyms", "rivals")
    return DocumentEntry(**{**values, **{key: tuple(tuple(one) for one in values[key]) for key in nested}})


def line_of(text: str, offset: int) -> int:
    """Return the line number of a code point, from 1."""
    return bisect_right(line_starts(text), offset)


@lru_cache(maxsize=64)
def line_starts(text: str) -> list[int]:
    """Return where each line of `text` begins."""
    return [0, *(end.end() for end in LINE_END.finditer(text))]
