"""Two graphs that have weights in common keep those once. onnx is imported inside functions only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from index.graphs import weights_of

if TYPE_CHECKING:
    import onnx

ALIGNMENT = 4096
"""Weights begin at a page of their file, so that they can be mapped."""


def share(graph: Path, base: Path) -> None:
    """Make `graph` take from the weights of `base` what it has in common with them, and keep only the others.

    Both are graphs with their weights beside them, in one folder (index.graphs).
    """
    import onnx

    known = dict(_weights(onnx.load(base, load_external_data=False), base))
    model = onnx.load(graph, load_external_data=False)
    own = weights_of(graph)
    held, kept = own.read_bytes(), bytearray()
    for tensor in model.graph.initializer:
        if not tensor.external_data:
            continue
        start, length = _range(tensor)
        data = held[start : start + length]
        shared = known.get(hashlib.sha256(data).digest())
        if shared is not None:
            _put(tensor, weights_of(base), shared, length)
            continue
        kept += bytes(-len(kept) % ALIGNMENT)
        _put(tensor, own, len(kept), length)
        kept += data
    own.write_bytes(kept)
    graph.write_bytes(model.SerializeToString())


def _weights(model: onnx.ModelProto, graph: Path) -> Iterator[tuple[bytes, int]]:
    """Yield SHA-256 and place in the file of weights of what a graph keeps there."""
    held = weights_of(graph).read_bytes()
    for tensor in model.graph.initializer:
        if tensor.external_data:
            start, length = _range(tensor)
            yield hashlib.sha256(held[start : start + length]).digest(), start


def _range(tensor: onnx.TensorProto) -> tuple[int, int]:
    """Return where the data of a tensor begins in its file, and its bytes."""
    about = {one.key: one.value for one in tensor.external_data}
    return int(about.get("offset", 0)), int(about["length"])


def _put(tensor: onnx.TensorProto, file: Path, start: int, length: int) -> None:
    """Say where the data of a tensor lies."""
    del tensor.external_data[:]
    for key, value in (("location", file.name), ("offset", start), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
