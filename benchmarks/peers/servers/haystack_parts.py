# mypy: ignore-errors
# (the packages of this module are in an environment of its own, not in ours)
"""Haystack's store and its pipelines, which hayhooks serves out of haystack_pipelines/.

As a script it builds the index. PEER_STORE says which store: `faiss` or `memory`.
"""

import json
import os
from pathlib import Path

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)
from haystack_integrations.components.retrievers.faiss import FAISSEmbeddingRetriever
from haystack_integrations.document_stores.faiss import FAISSDocumentStore

FOLDER = Path(os.environ["PEER_INDEX"])
INDEX = str(FOLDER / "store")
MODEL = os.environ["PEER_MODEL"]
IN_MEMORY = os.environ["PEER_STORE"] == "memory"
DIMENSION = 384
HITS = 5


def opened():
    """Return the store; the one that was written, where there is one."""
    if not IN_MEMORY:
        return FAISSDocumentStore(index_path=INDEX, embedding_dim=DIMENSION)
    return InMemoryDocumentStore.load_from_disk(INDEX) if Path(INDEX).exists() else InMemoryDocumentStore()


STORE = opened()
"""One for both pipelines, which hayhooks loads at the same time."""


def save():
    """Write the store."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if IN_MEMORY:
        STORE.save_to_disk(INDEX)
    else:
        STORE.save(INDEX)


def indexing():
    """Return the pipeline that embeds and writes."""
    pipeline = Pipeline()
    pipeline.add_component("embedder", SentenceTransformersDocumentEmbedder(model=MODEL, progress_bar=False))
    pipeline.add_component("writer", DocumentWriter(STORE, policy=DuplicatePolicy.OVERWRITE))
    pipeline.connect("embedder.documents", "writer.documents")
    return pipeline


def searching():
    """Return the pipeline that embeds a question and retrieves."""
    retriever = InMemoryEmbeddingRetriever if IN_MEMORY else FAISSEmbeddingRetriever
    pipeline = Pipeline()
    pipeline.add_component("embedder", SentenceTransformersTextEmbedder(model=MODEL, progress_bar=False))
    pipeline.add_component("retriever", retriever(document_store=STORE, top_k=HITS))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    return pipeline


def index(pipeline, passages):
    """Put passages through the pipeline that indexes, and write the store."""
    pipeline.run(
        {"embedder": {"documents": [Document(id=one["id"], content=one["text"]) for one in passages]}}
    )
    save()


if __name__ == "__main__":
    lines = Path(os.environ["PEER_PASSAGES"]).read_text(encoding="utf-8").splitlines()
    index(indexing(), [json.loads(line) for line in lines])
