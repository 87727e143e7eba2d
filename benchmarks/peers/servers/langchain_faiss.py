# mypy: ignore-errors
# (the packages of this server are in an environment of its own, not in ours)
"""LangChain's FAISS store behind FastAPI, as its documentation puts them together.

As a script it builds the index; as `uvicorn --factory langchain_faiss:create_app` it serves it.
"""

import json
import os
from pathlib import Path

from fastapi import FastAPI
from langchain_community.vectorstores import FAISS
from langchain_huggingface import HuggingFaceEmbeddings
from pydantic import BaseModel

INDEX = os.environ["PEER_INDEX"]
HITS = 5


class Passage(BaseModel):
    """What is indexed."""

    id: str
    text: str


def embeddings():
    """Return the model."""
    return HuggingFaceEmbeddings(model_name=os.environ["PEER_MODEL"])


def build():
    """Index all passages and write the store."""
    lines = Path(os.environ["PEER_PASSAGES"]).read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line) for line in lines]
    texts, ids = [one["text"] for one in passages], [one["id"] for one in passages]
    FAISS.from_texts(texts, embeddings(), ids=ids).save_local(INDEX)


def create_app():
    """Return the application on the store that was written."""
    app = FastAPI()
    # The store's documents are a pickle, of our own making here.
    store = FAISS.load_local(INDEX, embeddings(), allow_dangerous_deserialization=True)

    @app.get("/search")
    def search(q: str):
        return [{"id": one.id, "text": one.page_content} for one in store.similarity_search(q, k=HITS)]

    @app.post("/change")
    def change(passage: Passage):
        store.delete([passage.id])
        store.add_texts([passage.text], ids=[passage.id])
        store.save_local(INDEX)

    return app


if __name__ == "__main__":
    build()
