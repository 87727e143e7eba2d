"""The encoder's graph on OpenVINO: in bfloat16 where the processor has instructions for it, else in float32.

The only module that imports openvino, and only inside functions. The graph is the one that ONNX Runtime
reads, its weights mapped from the same file; nothing else is kept on disk. Opening it takes 0.2 s. With
OpenVINO's cache of compiled models it would be 0.06 s less, for 90 MB that go stale with its version.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEVICE = "CPU"

NARROW, NARROW_STEP, STEP = 32, 8, 16
"""Batches of up to NARROW tokens are as wide as the next multiple of NARROW_STEP, others of STEP. A sum over
the tokens of a text takes what is beyond the last full 16 in another order: of texts of 40, 47, 56, 63 and
100 tokens a fifth came out with other bits when padding filled the 16 up. Filled up from the first, all are
equal in every batch; up to 32 tokens all are equal in any width, and 8 are less padding: a token costs the
same whether it is a word or not."""

MOST_STREAMS = 4
"""Batches that are computed side by side: as many as the server works on (`service.finding`)."""

LEAST_LENGTH = 0.4
"""A text joins a batch of which it is at least this share as wide: going through the weights once more costs
as much as some 15 tokens of padding. Of 8 questions as they come each takes 2.4 ms of a core at 0.9, 2.3 at
0.7, 2.1 at 0.6 and at 0.45; of 4, 3.0, 3.0, 2.7 and 2.4."""

KEPT_SHAPES = 160
"""Entries of the cache of what was compiled for a shape, some five a shape. OpenVINO's own 5,000 took 2.3 GB
after some thousand batches of random shapes. After questions and 129 shapes of document batches 217 MB of the
process's own remained with 30 entries, 276 with 80, 312 with 120, 355 with 200; questions took 15, 12.8, 11.7
and 11.6 ms of a core a batch, and 21 with none."""


@cache
def installed() -> bool:
    """Return whether OpenVINO is there to be imported."""
    return importlib.util.find_spec("openvino") is not None


@cache
def _library() -> Any:
    # What converts models reports to OpenVINO's maker, over the network, as soon as it is imported. Where it
    # cannot be imported OpenVINO does without it, and starts 70 ms earlier.
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # that is how Python says so
    import openvino

    return openvino


@cache
def _device() -> Any:
    return _library().Core()


@cache
def computes_bf16() -> bool:
    """Return whether the processor has instructions for bfloat16; False where OpenVINO cannot be loaded."""
    try:
        return "BF16" in _device().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    except (ImportError, OSError, RuntimeError):
        return False  # a build for another system, or libraries that it lacks


class OpenVinoSession:
    """A graph on OpenVINO."""

    def __init__(self, graph: Path, *, threads: int, cores: int) -> None:
        """Open `graph`; `threads` of the `cores` work on one batch.

        Raises RuntimeError when it cannot be opened.
        """
        streams = max(1, min(cores // threads, MOST_STREAMS))
        precision = "bf16" if computes_bf16() else "f32"
        wanted = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads,
            # Threads that are bound to cores stand in the way of everything else on the machine.
            "ENABLE_CPU_PINNING": False,
            "CPU_RUNTIME_CACHE_CAPACITY": KEPT_SHAPES,
        }
        self.least_length = LEAST_LENGTH
        self.runtime = f"openvino {precision}"
        self._compiled = _device().compile_model(str(graph), DEVICE, wanted)
        self._idle: list[Any] = []
        """Requests that nobody uses. Each serves one thread at a time; taking one out and putting it back are
        single steps of the interpreter."""

    def width(self, longest: int) -> int:
        """Return the width of a batch whose longest text has `longest` tokens."""
        step = NARROW_STEP if longest <= NARROW else STEP
        return -(-longest // step) * step

    def run(
        self, feed: Mapping[str, NDArray[np.int64]], *, giving_back: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return vectors (texts, dimension) and token vectors (texts, width, token_dimension)."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        # On OpenVINO's own threads, as many as there are streams: on those of the callers two may be given
        # the same stream, and sixteen that took turns got 400 questions a second where these give 700.
        request.start_async(dict(feed), share_inputs=True)
        request.wait()
        vectors, tokens = (np.array(request.get_tensor(name).data) for name in ("vector", "tokens"))
        if giving_back:
            del request
            with suppress(RuntimeError):  # somebody else computes at this moment: it stays for the next time
                self._compiled.release_memory()
        else:
            self._idle.append(request)
        return vectors, tokens
