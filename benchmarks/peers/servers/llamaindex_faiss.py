# mypy: ignore-errors
# (the packages of this server are in an environment of its own, not in ours)
"""LlamaIndex with its FAISS store behind FastAPI, as its documentation puts them together.

As a script it builds the index; as `uvicorn --factory llamaindex_faiss:create_app` it serves it. The store is
FaissMapVectorStore: the other one, FaissVectorStore, cannot remove anything.
"""

import json
import os
from pathlib import Path

import faiss
from fastapi import FastAPI
from llama_index.core import Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.faiss import FaissMapVectorStore
from pydantic import BaseModel

INDEX = os.environ["PEER_INDEX"]
DIMENSION = 384
HITS = 5

Settings.embed_model = HuggingFaceEmbedding(model_name=os.environ["PEER_MODEL"])


class Passage(BaseModel):
    """What is indexed."""

    id: str
    text: str


def build():
    """Index all passages and write the store."""
    lines = Path(os.environ["PEER_PASSAGES"]).read_text(encoding="utf-8").splitlines()
    passages = [json.loads(line) for line in lines]
    nodes = [TextNode(id_=one["id"], text=one["text"]) for one in passages]
    store = FaissMapVectorStore(faiss_index=faiss.IndexIDMap2(faiss.IndexFlatL2(DIMENSION)))
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(nodes, storage_context=context)
    context.persist(INDEX)


def create_app():
    """Return the application on the store that was written."""
    app = FastAPI()
    store = FaissMapVectorStore.from_persist_dir(INDEX)
    context = StorageContext.from_defaults(vector_store=store, persist_dir=INDEX)
    index = load_index_from_storage(context)
    retriever = index.as_retriever(similarity_top_k=HITS)

    @app.get("/search")
    def search(q: str):
        return [{"id": one.node.node_id, "text": one.node.get_content()} for one in retriever.retrieve(q)]

    @app.post("/change")
    def change(passage: Passage):
        index.delete_nodes([passage.id], delete_from_docstore=True)
        index.insert_nodes([TextNode(id_=passage.id, text=passage.text)])
        context.persist(INDEX)

    return app


if __name__ == "__main__":
    build()
