"""Numbers: the encoder, the two rankings, their fusion, the reader, and snapshots on disk."""

import os

# ONNX Runtime reports its use to its maker unless told not to before it is imported; we tell nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
