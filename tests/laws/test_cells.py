"""Cells: what is found among very many vectors is what looking at each of them finds, or nearly all of it."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from index import cells as cells_module
from index import vectors as ranking
from index.cells import Cells, write_cells
from index.encoder import Vector
from index.manifest import Used
from index.segment import Segment, SegmentFile, merged
from index.snapshot import Snapshot
from index.vectors import VectorPart, nearest
from service.answer import ask
from service.finding import Index
from tests.laws.corpora import Files, folders, made, share
from tests.laws.standin import DIMENSION, TOKEN_DIMENSION, StandIn

WIDTH = 24
COUNT = 10


def clustered(seed: int, rows: int) -> Vector:
    """Return unit vectors that crowd around some, as passages around their subjects; a few are the same."""
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((max(1, rows // 50), WIDTH))
    found = centres[chance.integers(0, len(centres), rows)] + 0.7 * chance.standard_normal((rows, WIDTH))
    found[rows // 2 : rows // 2 + 5] = found[0]
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def written(parts: list[Vector]) -> bytes:
    """Return the bytes of the cells of some rows."""
    found = bytearray()
    write_cells(parts, found.extend)
    return bytes(found)


@lru_cache(maxsize=8)
def cells_of(seed: int, rows: int) -> Cells:
    """Return the cells of such vectors."""
    return Cells(np.frombuffer(written([clustered(seed, rows)]), dtype=np.uint8))


def best(vectors: Vector, numbers: NDArray[np.int32], question: Vector, count: int) -> list[int]:
    """Return what looking at every row finds."""
    rows = np.flatnonzero(numbers >= 0)
    near = ranking.similarities(vectors, question, rows)
    found: list[int] = numbers[rows][np.lexsort((numbers[rows], -near))[:count]].tolist()
    return found


def test_recall() -> None:
    """Of the ten nearest rows 98 % are found where a question looks into as small a share as of a million."""
    rows, hit, asked = 20_000, 0, 200
    vectors, held = clustered(1, rows), cells_of(1, rows)
    part = VectorPart(vectors, np.arange(rows, dtype=np.int32), held)
    chance = np.random.default_rng(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "PROBED", round(cells_module.PROBED / 4_000 * 4 * rows**0.5))
        patch.setattr(ranking, "GATHERED", 0)
        for row in chance.integers(0, rows, asked):
            question = vectors[row] + 0.15 * chance.standard_normal(WIDTH).astype(np.float32)
            question /= np.linalg.norm(question)
            found, near = nearest([part], question, COUNT)
            exact = ranking.similarities(vectors, question, found)
            np.testing.assert_array_equal(near, exact)
            assert list(near) == sorted(near, reverse=True)
            hit += len({*found.tolist()} & {*best(vectors, part.numbers, question, COUNT)})
    assert hit >= 0.98 * COUNT * asked


@given(
    st.integers(0, 3),
    st.sampled_from([1.0, 0.6, 0.1, 0.003, 0.0]),
    st.integers(0, 2**32),
    st.sampled_from([1, COUNT, 300]),
    st.sampled_from([0, 50]),
)
@share(0.5)
def test_the_living_and_no_others(seed: int, living: float, draw: int, count: int, gathered: int) -> None:
    """No row is found that is gone or filtered out, and never fewer than there are."""
    rows = 3000
    vectors, chance = clustered(seed, rows), np.random.default_rng(draw)
    numbers = chance.permutation(rows).astype(np.int32)
    numbers[chance.random(rows) >= living] = -1
    alive = numbers[numbers >= 0]
    question = vectors[int(chance.integers(rows))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "PROBED", 2)
        patch.setattr(ranking, "GATHERED", gathered)
        found, near = nearest([VectorPart(vectors, numbers, cells_of(seed, rows))], question, count)
    assert {*found.tolist()} <= {*alive.tolist()}
    assert len({*found.tolist()}) == len(found) == min(count, len(alive))
    assert list(zip(-near, found, strict=True)) == sorted(zip(-near, found, strict=True))


@given(st.integers(0, 2**32), st.lists(st.integers(0, 900), max_size=6))
@share(0.2)
def test_the_same_rows_make_the_same_cells(seed: int, cuts: list[int]) -> None:
    """However the rows were spread over documents, the cells are the same to the last byte."""
    vectors = clustered(seed, 900)
    assert written([vectors]) == written(np.split(vectors, sorted(cuts)))


def with_cells(held: Snapshot, folder: Path) -> Snapshot:
    """Return a snapshot of the same documents in one segment with cells."""
    every = [
        (segment, [number for number in range(len(segment.documents)) if number not in used.deleted])
        for segment, used in zip(held.segments, held.manifest.segments, strict=True)
    ]
    size, sha = merged(folder / "one", every, cells_from=1)
    segment = Segment(folder / "one", DIMENSION, TOKEN_DIMENSION)
    manifest = replace(held.manifest, segments=(Used(SegmentFile(sha[:32], size, sha), ()),))
    return Snapshot(manifest, [segment])


@given(folders(least=1))
@share(0.2)
def test_cells_change_no_answer_of_a_small_corpus(files: Files) -> None:
    """Where the cells looked into are all there are, every question is answered as without them."""
    with tempfile.TemporaryDirectory() as aside, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "GATHERED", 0)
        held = made(files, Path(aside) / "plain")
        if not held.passages:
            return
        other = with_cells(held, Path(aside))
        assert other.by_passage[0].cells is not None
        for passage in range(0, held.passages, 3):
            text = held.span(passage).of(held.text(held.document_of(passage)))[:200]
            for only in ([], [held.documents[0].id]):
                replies = [ask(Index(one, StandIn()), text, documents=only) for one in (held, other)]
                assert replies[0].verdict == replies[1].verdict
                assert replies[0].hits == replies[1].hits


def test_cells_of_other_rows_are_refused(tmp_path: Path) -> None:
    """Cells that are cut off are refused with what is wrong."""
    data = written([clustered(0, 300)])
    with pytest.raises(ValueError, match="the cells cannot be read"):
        Cells(np.frombuffer(data[: len(data) // 2], dtype=np.uint8))


def test_a_segment_made_twice_is_the_same_file(tmp_path: Path) -> None:
    """The same documents give a segment of the same bytes, cells included."""
    files = {
        f"{name}.md": f"# {name}\n\nWords of {name}.\n\n## More\n\nOther words.\n".encode() for name in "abc"
    }
    held = made(files, tmp_path / "plain")
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with_cells(held, tmp_path / name)
        digests.append(hashlib.sha256((tmp_path / name / "one").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
