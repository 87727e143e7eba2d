"""Nothing but an encoder in fp32 on ONNX Runtime and a flat FAISS index behind FastAPI.

As a script it builds the index; as `uvicorn --factory bare:create_app` it serves it. It has no change: it
says what a search costs at least, not what a product does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import faiss
import numpy as np
import onnxruntime
from fastapi import FastAPI
from numpy.typing import NDArray
from tokenizers import Tokenizer

INDEX = Path(os.environ["PEER_INDEX"])
VECTORS, TEXTS = "vectors.npy", "texts.json"
HITS = 5
BATCH = 32
WINDOW = 256
"""Tokens that the model reads, as its own settings have it."""


class Encoder:
    """The exported graph: texts to unit vectors."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(WINDOW)
        self._tokenizer.enable_padding()
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        self._inputs = [one.name for one in self._session.get_inputs()]

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return float32 (texts, dimension)."""
        encoded = self._tokenizer.encode_batch(texts)
        values = {
            "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
            "attention_mask": np.array([one.attention_mask for one in encoded], dtype=np.int64),
            "token_type_ids": np.array([one.type_ids for one in encoded], dtype=np.int64),
        }
        feed = {name: values[name] for name in self._inputs}
        return np.asarray(self._session.run(["vector"], feed)[0], dtype=np.float32)


def build() -> None:
    """Encode all passages and write vectors and texts."""
    lines = Path(os.environ["PEER_PASSAGES"]).read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["text"]) for line in lines]
    encoder = Encoder(Path(os.environ["PEER_MODEL"]))
    # Texts of like length together: padding is encoded like words.
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    encoded = [encoder.encode([texts[number] for number in batch]) for batch in batches]
    INDEX.mkdir(parents=True, exist_ok=True)
    np.save(INDEX / VECTORS, np.concatenate(encoded)[np.argsort(order)])
    (INDEX / TEXTS).write_text(json.dumps(texts), encoding="utf-8")


def create_app() -> FastAPI:
    """Return the application on what was written."""
    app = FastAPI()
    encoder = Encoder(Path(os.environ["PEER_MODEL"]))
    vectors = np.load(INDEX / VECTORS)
    texts = json.loads((INDEX / TEXTS).read_text(encoding="utf-8"))
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)

    @app.get("/search")
    def search(q: str) -> list[dict[str, str]]:
        _, found = index.search(encoder.encode([q]), HITS)
        return [{"id": str(number), "text": texts[number]} for number in found[0]]

    return app


if __name__ == "__main__":
    build()
