"""Cells: an approximate index over many vectors, made once and mapped with its segment.

The rows are put into the cells of their nearest centroids, as codes of one byte a dimension (inverted file
with scalar quantization: Jégou et al., "Product quantization for nearest neighbor search", 2011). A question
looks into the cells nearest to it and takes the rows that seem best there; how near they really are is for
the caller to compute, from the vectors themselves. docs/decisions/0011-million.md has what else was tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoder import Vector

LIBRARY: Any = faiss
"""For what the stubs of FAISS leave out: all that it adds in Python."""

CELLS_FROM = 32_768
"""Rows from which a segment gets cells. To compare a question with as many one by one takes 1.5 ms."""

PER_ROOT = 4
"""Cells for each square root of the rows: 4,000 of a million. With half as many a question reads nearly twice
as much for the same recall; with twice as many the centroids take four times as long to make."""

SAMPLE = 40
"""Rows a cell from which the centroids are made."""

ROUNDS = 8
"""Of k-means."""

CHUNK = 16_384
"""Rows put into their cells at a time, 25 MB."""

PROBED = 256
"""Cells looked into. See docs/decisions/0011-million.md for recall and time by their number."""

WIDER = 4
"""Times as many cells are looked into when too few rows were found."""

SEED = 1234


class Cells:
    """An approximate index over the rows of one column."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        """Read what `write_cells` has written, where it lies. Raises ValueError when that is not possible."""
        self._data = data  # the index points into it
        try:
            reader = LIBRARY.ZeroCopyIOReader(LIBRARY.swig_ptr(data), data.nbytes)
            self._index: Any = faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise ValueError(f"the cells cannot be read: {error}") from error

    @property
    def rows(self) -> int:
        """Return how many rows there are."""
        return int(self._index.ntotal)

    def nearest(
        self, question: Vector, count: int, allowed: NDArray[np.bool_] | None, share: float
    ) -> NDArray[np.int64]:
        """Return at least `count` rows that seem nearest to `question`, in no order, int64.

        Fewer only where there are no more: `allowed`, bool (rows,), leaves others out, and lets this `share`
        of the rows pass. The smaller it is the more cells are looked into.
        """
        faiss.omp_set_num_threads(1)  # questions run side by side
        bits = None if allowed is None else np.packbits(allowed, bitorder="little")
        selector = None if bits is None else LIBRARY.IDSelectorBitmap(bits)
        cells = int(self._index.nlist)
        probed = min(cells, math.ceil(PROBED / max(share, 1e-9)))
        while True:
            wanted = LIBRARY.SearchParametersIVF(sel=selector, nprobe=probed)
            _, (found,) = self._index.search(question[None, :], count, params=wanted)
            found = found[found >= 0]
            if len(found) == count or probed == cells:
                return np.asarray(found, dtype=np.int64)
            probed = min(probed * WIDER, cells)


def write_cells(vectors: Sequence[Vector], write: Callable[[bytes], object]) -> None:
    """Give the bytes of an index over rows that stand in `vectors` one behind the other to `write`.

    float32 (any, dimension) each, unit length. The same rows give the same bytes.
    """
    faiss.omp_set_num_threads(1)  # whatever cores there are, everything is added up in one order
    rows = sum(len(one) for one in vectors)
    dimension = vectors[0].shape[1]
    cells = min(round(PER_ROOT * math.sqrt(rows)), rows)
    sample = _sampled(vectors, min(SAMPLE * cells, rows), rows)
    kmeans = faiss.Kmeans(
        dimension,
        cells,
        niter=ROUNDS,
        seed=SEED,
        spherical=True,
        max_points_per_centroid=SAMPLE,
        min_points_per_centroid=1,
    )
    kmeans.train(sample)
    centroids = faiss.IndexFlatIP(dimension)
    centroids.add(kmeans.centroids)
    index = faiss.IndexIVFScalarQuantizer(
        centroids, dimension, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT, False
    )
    index.train(sample)
    for chunk in _chunks(vectors):
        index.add(chunk)
    faiss.write_index(index, LIBRARY.PyCallbackIOWriter(write))


def _sampled(vectors: Sequence[Vector], count: int, rows: int) -> Vector:
    """Return `count` of the rows, evenly drawn, float32 (count, dimension)."""
    chosen = np.sort(np.random.default_rng(SEED).choice(rows, count, replace=False))
    edges = np.cumsum([0, *(len(one) for one in vectors)])
    cuts = np.searchsorted(chosen, edges)
    parts = zip(vectors, edges, cuts, cuts[1:], strict=False)
    return np.concatenate([one[chosen[first:behind] - at] for one, at, first, behind in parts])


def _chunks(vectors: Iterable[Vector]) -> Iterator[Vector]:
    """Yield the rows in order, CHUNK at a time: parts may be of single rows, and their edges show nowhere."""
    held: list[Vector] = []
    count = 0
    for one in vectors:
        at = 0
        while at < len(one):
            piece = one[at : at + CHUNK - count]
            held.append(piece)
            at, count = at + len(piece), count + len(piece)
            if count == CHUNK:
                yield np.concatenate(held)
                held, count = [], 0
    if held:
        yield np.concatenate(held)
