"""A large index out of a smaller one: each document again and again, varied, as segments like any other.

To read, cut and tokenize a million passages takes half an hour; an index of a hundred thousand has been
through it. Its variations have the texts of their originals; what search reads of them is made anew: the
vectors from real ones as in `real`, and of the terms a share is exchanged for others of the same corpus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.size.real import Real, StandIn, mixed
from index.manifest import Manifest, Used
from index.segment import Part, Segment, write_segment
from index.snapshot import Snapshot
from index.store import Store

EXCHANGED = 0.3
"""Share of a passage's terms that are exchanged, so that no two say the same."""


def grow(store: Store, real: Real, encoder: StandIn, times: int) -> Manifest:
    """Publish the index in `store`, of one segment, with every document `times` times; return what it is."""
    with store.writing():
        held = store.open(store.kept()[0])
        (segment,) = held.segments
        sources = _sources(held, encoder)
        files = list(held.manifest.segments)
        for number in range(1, times):
            parts = list(_varied(segment, real, sources, number))
            files.append(Used(store.add_segment(lambda path, parts=parts: write_segment(path, parts)), ()))
        version = hashlib.sha256(f"{held.version} {times}".encode()).hexdigest()[:16]
        manifest = replace(
            held.manifest,
            version=version,
            documents=times * held.manifest.documents,
            passages=times * held.manifest.passages,
            segments=tuple(files),
        )
        store.publish(manifest)
    return manifest


def _sources(held: Snapshot, encoder: StandIn) -> NDArray[np.int64]:
    """Return int64 (rows of the segment,): the real passage that each was made of."""
    found = np.zeros(held.passages, dtype=np.int64)
    for passage in range(held.passages):
        text = held.span(passage).of(held.text(held.document_of(passage)))
        found[held.place(passage)[1]] = encoder.source_of(text, passage)
    return found


def _varied(segment: Segment, real: Real, sources: NDArray[np.int64], number: int) -> Iterator[Part]:
    """Yield the documents of a segment, each varied in the way that `number` says."""
    chance = np.random.default_rng(number)
    held = segment.columns
    vectors = mixed(real, sources, number)
    statements = mixed(real, sources[segment.statement_rows], 1000 + number)
    exchanged = chance.random(len(held.terms)) < EXCHANGED
    terms = np.where(exchanged, held.terms[chance.integers(0, len(held.terms), len(held.terms))], held.terms)
    for document in range(len(segment.documents)):
        part, rows = segment.part(document), segment.rows_of(document)
        passages = part.columns.passages.copy()
        passages["digest"] = np.frombuffer(chance.bytes(16 * len(passages)), dtype="V16")
        stated = slice(segment.statement_starts[rows.start], segment.statement_starts[rows.stop])
        said = slice(segment.term_starts[rows.start], segment.term_starts[rows.stop])
        name = f"{number}/{part.entry.id}"
        entry = replace(part.entry, id=name, raw_sha=hashlib.sha256(name.encode()).hexdigest())
        columns = replace(
            part.columns,
            passages=passages,
            vectors=vectors[rows],
            statements=statements[stated],
            terms=terms[said],
        )
        yield Part(entry, part.text, columns, part.spellings)
