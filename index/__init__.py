"""Numbers: the encoder, the two rankings, their fusion, the reader, and snapshots on disk."""

import os

# ONNX Runtime reports its use to its maker unless told not to before it is imported; we tell nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The matrices of one question are too small to be shared among cores: handing them out took 21 ms of a
# question on a machine that was busy, where doing without takes 2.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
