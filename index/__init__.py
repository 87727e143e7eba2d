"""Numbers: the encoder, the two rankings, their fusion, the reader, and snapshots on disk."""

import os

# ONNX Runtime reports its use to its maker unless told not to before it is imported; we tell nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The matrices of one question are too small to be shared among cores: handing them out took 21 ms of a
# question on a machine that was busy, where doing without takes 2.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# OpenVINO's library of kernels keeps the last 1,024 that it has made unless told not to before it is loaded:
# 85 MB more after a refresh. OpenVINO itself keeps those of the last shapes (`index.openvino_graphs`).
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
