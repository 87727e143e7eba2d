"""Which runtime computes the encoder's graph, behind one seam: ONNX Runtime, or OpenVINO where it is faster.

OpenVINO is optional. It computes in bfloat16, which ONNX Runtime does not have, where the processor has
instructions for it (docs/decisions/0008-openvino.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from index import graphs, openvino_graphs

Runtime = Literal["auto", "onnxruntime", "openvino"]
"""The RUNTIME setting. `auto`: documents on OpenVINO where it is installed and the processor computes in
bfloat16, questions on ONNX Runtime."""

Purpose = Literal["documents", "questions"]

Feed = Mapping[str, NDArray[np.int64]]
"""The inputs of a graph by name, int64 (texts, width) each."""


class RuntimeMissing(Exception):
    """The runtime that is asked for is not installed; the message says what to do."""


class Session(Protocol):
    """An opened graph of the encoder; calls come from any thread."""

    @property
    def runtime(self) -> str:
        """Return what computes and in which precision, such as `openvino bf16`."""

    @property
    def least_length(self) -> float:
        """Return the least share of a batch's width that a text in it may have."""

    def width(self, longest: int) -> int:
        """Return the width of a batch whose longest text has `longest` tokens.

        At this width and wherever it is wider, a text's vectors are the same to the last bit.
        """

    def run(
        self, feed: Feed, *, giving_back: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return vectors (texts, dimension) and token vectors (texts, width, token_dimension).

        With `giving_back` the memory that the call has taken is not kept for the next one.
        """


def opened(graph: Path, *, threads: int | None, cores: int, on_openvino: bool) -> Session:
    """Return a session on a graph of the encoder.

    `threads` of the `cores` may work on one batch, None for all. Raises whatever the runtimes raise on a
    graph that they cannot open.
    """
    each = min(threads or cores, cores)
    if on_openvino:
        return openvino_graphs.OpenVinoSession(graph, threads=each, cores=cores)
    return graphs.OnnxSession(graph, threads=each)


def is_on_openvino(runtime: Runtime, purpose: Purpose) -> bool:
    """Return whether OpenVINO is to encode documents, or questions.

    Of a passage it takes less than half the time that ONNX Runtime takes. Of a question, which is short, it
    takes a little less in company and as much alone, for 120 MB more, so questions are on it only where the
    setting says so. Raises RuntimeMissing when it says so and OpenVINO is not installed.
    """
    if runtime == "onnxruntime":
        return False
    if runtime == "auto":
        return purpose == "documents" and openvino_graphs.installed() and openvino_graphs.computes_bf16()
    if not openvino_graphs.installed():
        raise RuntimeMissing(
            "PULLQUOTE_RUNTIME is openvino, and OpenVINO is not installed; run "
            "`pip install 'pullquote[openvino]'`, or set it to auto or onnxruntime"
        )
    return True
