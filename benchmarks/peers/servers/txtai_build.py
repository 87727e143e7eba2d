# mypy: ignore-errors
# (the packages of this script are in an environment of its own, not in ours)
"""Builds txtai's index; its own service (`uvicorn txtai.api:app`) serves it."""

import json
import os
from pathlib import Path

from txtai import Embeddings

lines = Path(os.environ["PEER_PASSAGES"]).read_text(encoding="utf-8").splitlines()
embeddings = Embeddings(path=os.environ["PEER_MODEL"], content=True)
embeddings.index(json.loads(line) for line in lines)
embeddings.save(os.environ["PEER_INDEX"])
