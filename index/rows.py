"""A document and its passages' encodings -> its rows in a segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from corpus.document import BlockKind, Document, Passage, Span
from corpus.folder import Source
from corpus.formats import plain
from index import analysis
from index.columns import CANDIDATE, PASSAGE, Columns, candidate_rows, covered
from index.definitions import acronyms, rivals
from index.encoded import NO_IDS, Encoded, digest_of, stacked, statements_of
from index.encoder import Encoding, Export
from index.entries import DocumentEntry
from index.segment import Part
from index.terms import term_number


def part_of(
    source: Source,
    document: Document,
    found: tuple[Passage, ...],
    encoded: Sequence[Encoded],
    export: Export,
) -> Part:
    """Return a document as it goes into a segment; `encoded` is what the encoder made of its passages."""
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
    columns = _columns(found, encoded, spellings, export)
    return Part(entry, text, columns, list(spellings))


def _heading_names(document: Document, used: set[int]) -> Iterator[tuple[int, str]]:
    """Yield start and words of the headings whose source is not their words."""
    for block in document.blocks:
        if block.kind is BlockKind.HEADING and block.content.start in used:
            words = plain(document.text, block.content, block.markup)
            if words != block.content.of(document.text):
                yield block.content.start, words


def _columns(
    found: tuple[Passage, ...], encoded: Sequence[Encoded], spellings: dict[str, int], export: Export
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
        row["statements"] = len(statements_of(passage))
        row["digest"] = np.void(digest_of(passage))
        headings.extend((span.start, span.end) for span in passage.headings)
        candidates.append(candidate_rows(passage.candidates, encoding.offsets, places))
        numbers.extend(own)
        words.extend(spelled)
    width, depth = export.dimension, export.token_dimension
    empty = Encoding(
        np.zeros(width, np.float32), np.zeros((0, depth), np.int8), np.zeros((0, 2), np.int32), NO_IDS
    )
    return Columns(
        passages=rows,
        headings=np.asarray(headings, dtype=np.int32).reshape(-1, 2),
        candidates=np.concatenate(candidates),
        vectors=stacked([one.vector for one in encodings], width),
        statements=np.concatenate([stacked([], width), *(one.statements for one in encoded)]),
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
