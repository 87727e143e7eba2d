"""What the large corpora are made of: passages, vectors and tokens of an index of real documents."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from corpus.document import BlockKind, CandidateKind
from index.columns import BLOCKS, KINDS
from index.encoder import Encoding, OnnxEncoder, Vector, quantize, tokenize
from index.snapshot import Snapshot

NEIGHBOURS = 12
"""Nearest passages of each, one of which goes into what is made of it."""

OWN_SHARE = 0.75
SPREAD = 0.6
"""A made vector is OWN_SHARE of a real one and the rest of a neighbour of it, and SPREAD times the difference
of two other neighbours: so it keeps the directions in which real passages differ. The tenth nearest of 27,303
is at 0.38 from a question, of real ones at 0.40; with 0.75 and 0.5 it is 0.39, with 0.6 and 0.8 0.37, and
passages are nearer to each other than real ones, or farther."""

PREFIX = 24
"""Letters by which a sentence is known again."""


@dataclass(frozen=True, slots=True)
class Real:
    """Passages of real documents, and how near they are to each other."""

    headings: Sequence[tuple[str, ...]]
    """Of each passage its document's title and the headings above it."""
    sentences: Sequence[Sequence[tuple[BlockKind, str]]]
    """Of each passage its sentences, list items and lines of code, with what they are part of."""
    tables: Sequence[Sequence[str]]
    """Of each passage that is a table its lines, of others none."""
    vectors: Vector
    """float32 (passages, dimension), unit length."""
    near: NDArray[np.int64]
    """int64 (passages, NEIGHBOURS): the nearest other passages of each."""
    token_vectors: Vector
    """float32 (tokens, token_dimension): the mean vector of each token, of one never seen a random one."""


def real_from(snapshot: Snapshot, encoder: OnnxEncoder) -> Real:
    """Return what an index holds of real documents."""
    vectors = np.concatenate(
        [snapshot.by_passage[at].vectors for at in range(len(snapshot.segments))],
    )[_rows(snapshot)]
    _, near = faiss.knn(vectors, vectors, NEIGHBOURS + 1, metric=faiss.METRIC_INNER_PRODUCT)
    headings, sentences, tables = [], [], []
    for passage in range(snapshot.passages):
        document = snapshot.document_of(passage)
        text = snapshot.text(document)
        headings.append((snapshot.documents[document].title, *snapshot.headings(passage)))
        candidates = snapshot.candidates_of(passage)
        sentences.append(
            [
                (BLOCKS[one["block"]], " ".join(text[one["start"] : one["end"]].split()))
                for one in candidates
                if KINDS[one["kind"]] is CandidateKind.SENTENCE
            ]
        )
        cells = any(KINDS[one] is CandidateKind.CELL for one in candidates["kind"])
        lines = snapshot.span(passage).of(text).splitlines() if cells else []
        tables.append([line for line in lines if line.lstrip().startswith("|")])
    return Real(headings, sentences, tables, vectors, near[:, 1:], _token_vectors(snapshot, encoder))


def _rows(snapshot: Snapshot) -> NDArray[np.int64]:
    """Return for each passage its row in the segments' vectors laid one behind the other."""
    first = np.cumsum([0, *(segment.passages for segment in snapshot.segments)])
    at = {id(segment): int(first[number]) for number, segment in enumerate(snapshot.segments)}
    places = map(snapshot.place, range(snapshot.passages))
    return np.array([at[id(segment)] + row for segment, row in places], dtype=np.int64)


def _token_vectors(snapshot: Snapshot, encoder: OnnxEncoder) -> Vector:
    """Return the mean vector of each token over the passages whose text can be tokenized as it was."""
    size, width = encoder._vocabulary, encoder.export.token_dimension
    found = np.random.default_rng(1).standard_normal((size, width)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    sums, seen = np.zeros((size, width), np.float32), np.zeros(size, np.int64)
    for passage in range(snapshot.passages):
        segment, row = snapshot.place(passage)
        context = int(segment.columns.passages[row]["context"])
        text = snapshot.span(passage).of(snapshot.text(snapshot.document_of(passage)))
        ids = tokenize(encoder._tokenizer, text).ids[1:-1]
        tokens = snapshot.tokens_of(passage)[context:]
        if len(ids) == len(tokens):
            np.add.at(sums, ids, tokens.astype(np.float32))
            np.add.at(seen, ids, 1)
    there = seen > 0
    found[there] = sums[there] / np.linalg.norm(sums[there], axis=1, keepdims=True)
    return found


def mixed(real: Real, sources: NDArray[np.int64], seed: int) -> Vector:
    """Return float32 (sources, dimension): a unit vector made of each real passage and what is near to it."""
    numbers = np.random.default_rng(seed)
    count = len(sources)
    beside = real.near[sources, numbers.integers(0, NEIGHBOURS, count)]
    other = numbers.integers(0, len(real.vectors), count)
    behind = real.near[other, numbers.integers(0, NEIGHBOURS, count)]
    vectors = OWN_SHARE * real.vectors[sources] + (1 - OWN_SHARE) * real.vectors[beside]
    vectors += SPREAD * (real.vectors[other] - real.vectors[behind])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors, dtype=np.float32)


class StandIn(OnnxEncoder):
    """The real tokens, and for a text the vector made of the real passage its first known sentence is in.

    Questions are encoded by the model.
    """

    def __init__(self, folder: Path, real: Real) -> None:
        """Use the export in `folder` for tokens and questions."""
        super().__init__(folder)
        self._real = real
        self._tokens = quantize(real.token_vectors)
        self._source = {
            text[:PREFIX]: passage
            for passage in range(len(real.vectors) - 1, -1, -1)
            for text in (
                *(text for _, text in real.sentences[passage]),
                *(line.split("|")[1].strip() for line in real.tables[passage][2:]),
            )
        }

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> list[Encoding]:
        """Return the encodings of document texts, in order; of equal texts the same."""
        found = []
        for text in texts:
            tokens = tokenize(self._tokenizer, text, self.export.document_prompt)
            ids = tokens.ids[tokens.words]
            digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
            vector = mixed(self._real, np.array([self.source_of(text, digest)]), digest)[0]
            found.append(Encoding(vector, self._tokens[ids], tokens.offsets[tokens.words], ids))
        if progress:
            progress(len(texts))
        return found

    def source_of(self, text: str, digest: int) -> int:
        """Return the real passage of the first sentence that is known, or one that `digest` chooses."""
        lines = text.splitlines()
        for line in lines:
            for sentence in (line, *line.split(". ")):
                known = self._source.get(sentence.strip(" `-|")[:PREFIX])
                if known is not None:
                    return known
        return digest % len(self._real.vectors)


PASSAGES_EACH = 10
SWAPPED = 0.5
"""Share of a passage's sentences that come from a neighbour of it."""


def document(real: Real, number: int, version: int = 0) -> str:
    """Return a document of some PASSAGES_EACH passages, made of real ones and their neighbours."""
    chance = random.Random(f"{number} {version}")
    first = chance.randrange(len(real.vectors))
    parts = [f"# {real.headings[first][0]} {number}"]
    for source in (first, *chance.choices(range(len(real.vectors)), k=PASSAGES_EACH - 1)):
        parts += [f"## {real.headings[source][-1]}", *_section(real, source, chance)]
    return "\n\n".join(parts) + "\n"


def _section(real: Real, source: int, chance: random.Random) -> list[str]:
    """Return the blocks of one section."""
    table = real.tables[source]
    if len(table) > 2:
        return ["\n".join([*table[:2], *chance.sample(table[2:], chance.randint(1, len(table) - 2))])]
    blocks: list[str] = []
    before = None
    beside = int(real.near[source, chance.randrange(NEIGHBOURS)])
    for kind, own in real.sentences[source]:
        others = [text for of, text in real.sentences[beside] if of is kind]
        text = chance.choice(others) if others and chance.random() < SWAPPED else own
        if kind is BlockKind.CODE:
            line = text.replace("`", "")
            blocks[-1:] = (
                [blocks[-1][:-4] + f"\n{line}\n```"]
                if before is kind
                else [*blocks[-1:], f"```\n{line}\n```"]
            )
        elif kind is BlockKind.LIST_ITEM:
            blocks[-1:] = [blocks[-1] + f"\n- {text}"] if before is kind else [*blocks[-1:], f"- {text}"]
        elif kind is BlockKind.PARAGRAPH:
            blocks[-1:] = [f"{blocks[-1]} {text}"] if before is kind else [*blocks[-1:], text]
        else:
            continue
        before = kind
    return blocks or ["Nothing more."]


def keep(real: Real, folder: Path) -> None:
    """Write what was taken from an index, so that other processes need not take it again."""
    np.savez(folder / "real.npz", vectors=real.vectors, near=real.near, token_vectors=real.token_vectors)
    texts = {"headings": real.headings, "sentences": real.sentences, "tables": real.tables}
    (folder / "real.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")


def kept(folder: Path) -> Real:
    """Return what `keep` has written."""
    arrays = np.load(folder / "real.npz")
    texts = json.loads((folder / "real.json").read_text(encoding="utf-8"))
    return Real(
        headings=[tuple(one) for one in texts["headings"]],
        sentences=[[(BlockKind(kind), text) for kind, text in one] for one in texts["sentences"]],
        tables=texts["tables"],
        vectors=arrays["vectors"],
        near=arrays["near"],
        token_vectors=arrays["token_vectors"],
    )


def likeness(real: Real, questions: Vector) -> dict[str, dict[str, list[float]]]:
    """Return how near questions come to real passages and to as many made ones, and passages to each other.

    Of each the mean similarity at the ranks 1, 10 and 100, and the median at ranks 1 and 10.
    """
    count = len(real.vectors)
    made = mixed(real, np.random.default_rng(3).integers(0, count, count), 5)
    found = {}
    for name, vectors in (("real", real.vectors), ("made", made)):
        near, _ = faiss.knn(questions, vectors, 100, metric=faiss.METRIC_INNER_PRODUCT)
        beside, _ = faiss.knn(vectors[:3000], vectors, 11, metric=faiss.METRIC_INNER_PRODUCT)
        found[name] = {
            "questions": [float(near[:, rank].mean()) for rank in (0, 9, 99)],
            "passages": [float(np.median(beside[:, rank])) for rank in (1, 10)],
        }
    return found
