"""Networks as the light runtime takes them: a small graph, and its weights in a file beside it.

The runtime maps the weights instead of reading them: what is never used, such as the vectors of words that
nobody writes, takes no memory, and processes that serve the same folder share the rest. A server of the
article took 260 MB so, 160 of them its own, and from one file each 289 and 222.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import InferenceSession

WEIGHTS_SUFFIX = ".weights"
SMALL_BYTES = 1024
"""What is smaller stays in the graph."""

LEAST_LENGTH = 0.7
"""A text joins a batch of which it is at least this share as long as the longest: padding costs as much as
words. Of 16 questions as they come, 2.9 ms of a core each with all in one batch, 2.5 at 0.5, 2.3 at 0.7,
2.4 at 0.8, 2.7 at 0.9."""


def weights_of(graph: Path) -> Path:
    """Return where the weights of a graph lie."""
    return graph.with_suffix(WEIGHTS_SUFFIX)


def optimize(source: Path, graph: Path) -> None:
    """Write the optimized form of an ONNX file as a graph with its weights beside it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(graph)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_file_name", weights_of(graph).name
    )
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(SMALL_BYTES)
    )
    # "Extended" is the last level that holds on any processor; the next one is made for this machine.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    try:
        InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own families have no common public base
        if shutil.disk_usage(graph.parent).free < source.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(graph)) from error
        raise


def opened(graph: Path, threads: int) -> InferenceSession:
    """Return a session on a graph; `threads` is how many cores one call may use.

    Raises whatever the runtime raises: it has a family of errors without a common public base.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The graph was optimized when it was written; doing it again costs a third of a second at start.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Spinning threads burn a core between questions and slow everything else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class OnnxSession:
    """A graph of the encoder on ONNX Runtime, in float32."""

    runtime = "onnxruntime f32"
    least_length = LEAST_LENGTH

    def __init__(self, graph: Path, *, threads: int) -> None:
        """Open `graph`; one call uses `threads` cores. Raises whatever the runtime raises."""
        self._session = opened(graph, threads)
        # Of a batch of documents the runtime would keep some 220 MB for the next one, which may never come.
        # Giving it back takes a tenth of the time that the batch takes.
        self._giving_back = onnxruntime.RunOptions()
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def width(self, longest: int) -> int:
        """Return the width of a batch whose longest text has `longest` tokens: just that."""
        return longest

    def run(
        self, feed: Mapping[str, NDArray[np.int64]], *, giving_back: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return vectors (texts, dimension) and token vectors (texts, width, token_dimension)."""
        options = self._giving_back if giving_back else None
        vectors, tokens = self._session.run(["vector", "tokens"], dict(feed), options)
        return np.asarray(vectors, dtype=np.float32), np.asarray(tokens, dtype=np.float32)
