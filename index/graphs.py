"""Networks as the light runtime takes them: a small graph, and its weights in a file beside it.

The runtime maps the weights instead of reading them: what is never used, such as the vectors of words that
nobody writes, takes no memory, and processes that serve the same folder share the rest. A server of the
article takes 260 MB with encoder and cross-encoder, 160 of them its own; from one file each 289 and 222.
"""

from __future__ import annotations

from pathlib import Path

import onnxruntime
from onnxruntime import InferenceSession, RunOptions

__all__ = ["InferenceSession", "RunOptions", "giving_back", "opened", "optimize", "weights_of"]

WEIGHTS_SUFFIX = ".weights"
SMALL_BYTES = 1024
"""What is smaller stays in the graph."""


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
    InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


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


def giving_back() -> RunOptions:
    """Return the options of a call that keeps no memory for the next one.

    Of a batch of documents the runtime would keep some 220 MB for the next one, which may never come. Giving
    it back takes a tenth of the time that the batch takes.
    """
    options = RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
