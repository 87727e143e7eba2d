"""What is kept of a passage's encoding, and the digest that it is known by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpus.document import Passage
from index.encoder import Encoding, Vector
from index.snapshot import Snapshot

NO_IDS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A passage's encoding and the vectors of its statements, float32 (statements, dimension)."""

    encoding: Encoding
    statements: Vector


def digest_of(passage: Passage) -> bytes:
    """Return 16 bytes that stand for all that is embedded of a passage: equal digests, equal vectors."""
    texts = "\0".join([passage.embedded, *statements_of(passage)])
    return hashlib.blake2b(texts.encode("utf-8"), digest_size=16).digest()


def statements_of(passage: Passage) -> list[str]:
    """Return what of a passage is embedded for itself, in its order."""
    return [one.statement for one in passage.candidates if one.statement]


def stacked(vectors: Sequence[Vector], width: int) -> Vector:
    """Return float32 (vectors, width)."""
    return np.asarray(vectors, dtype=np.float32).reshape(-1, width)


def held_by(snapshot: Snapshot | None, digest: bytes) -> Encoded | None:
    """Return what a snapshot has of a passage with this digest, or None."""
    found = snapshot.row_with(digest) if snapshot is not None else None
    if found is None:
        return None
    segment, row = found
    first, behind = segment.token_starts[row], segment.token_starts[row + 1]
    columns = segment.columns
    encoding = Encoding(
        columns.vectors[row], columns.tokens[first:behind], columns.offsets[first:behind], NO_IDS
    )
    return Encoded(encoding, segment.statements_at(row))
