"""The systems: how each is built and served, what is sent to it, and what its replies hold."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmarks.peers.wire import Request, get, post

if TYPE_CHECKING:
    # Not in the load generator's process, which needs nothing of ours but this module.
    from benchmarks.peers.corpus import State

ROOT = Path(__file__).resolve().parents[2]
SERVERS = Path(__file__).with_name("servers")
HITS = 5
"""Passages asked of each."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a system finds what it needs."""

    python: Path
    """The interpreter of its environment."""
    model: Path
    """The folder of the model: sentence-transformers' or, for `bare`, our export."""
    passages: Path
    documents: Path
    index: Path
    """Its own folder, empty before it builds."""


class System(ABC):
    """One system that is measured."""

    name: ClassVar[str]
    title: ClassVar[str]
    environment: ClassVar[str | None] = None
    """The environment it runs in; None for ours."""
    shown: ClassVar[tuple[str, ...]]
    """Packages whose versions say what was measured."""
    kind: ClassVar[str] = "peer"
    """`peer`, `own` or `bound`: the bounds are no products, and no ratio is taken to them."""
    index: ClassVar[str] = ""
    """Systems of the same one share an index; its own name where empty."""
    folder: ClassVar[Path | None] = None
    """Where it runs."""
    knows: ClassVar[bool] = True
    """Whether it finds anything: the constant does not."""
    changes: ClassVar[bool] = True
    """Whether a passage of it can be changed."""

    @property
    def index_name(self) -> str:
        """Return the name of the index it has or shares."""
        return self.index or self.name

    def build(self, places: Places) -> Sequence[Sequence[str]]:  # noqa: ARG002  # the constant needs none
        """Return the commands that build the index."""
        return ()

    @abstractmethod
    def serve(self, places: Places, port: int) -> Sequence[str]:
        """Return the command that serves."""

    def variables(self, places: Places) -> Mapping[str, str]:
        """Return what the environment of its processes holds besides."""
        return {
            "PEER_MODEL": str(places.model),
            "PEER_PASSAGES": str(places.passages),
            "PEER_INDEX": str(places.index),
        }

    def search(self, question: str) -> Request:
        """Return the request that asks a question."""
        return get("/search", q=question)

    def hits(self, body: bytes) -> list[str]:
        """Return the texts of the passages in a reply; raises ValueError, KeyError or TypeError without."""
        return [one["text"] for one in json.loads(body)]

    def change(self, document: str, state: State) -> Sequence[Request]:
        """Return the requests that bring the changed document, or its one passage, to a state."""
        return [post("/change", {"id": f"{document}#0", "text": state.text})]


class Application(System):
    """An application of ours in servers/ around a peer's library, on uvicorn."""

    module: ClassVar[str]
    target: ClassVar[tuple[str, ...]] = ("--factory", "create_app")

    def build(self, places: Places) -> Sequence[Sequence[str]]:
        """Return the command that runs the module as a script."""
        return [[str(places.python), str(SERVERS / f"{self.module}.py")]]

    def serve(self, places: Places, port: int) -> Sequence[str]:
        """Return uvicorn's command; like ours it notes no requests."""
        *flags, attribute = self.target
        command = [str(places.python), "-m", "uvicorn", "--app-dir", str(SERVERS), "--port", str(port)]
        return [*command, "--no-access-log", *flags, f"{self.module}:{attribute}"]


class LangChain(Application):
    """LangChain with its FAISS store."""

    name, title, module = "langchain", "LangChain + FAISS", "langchain_faiss"
    environment = "langchain"
    shown = ("langchain-core", "langchain-community", "langchain-huggingface", "faiss-cpu")


class LlamaIndex(Application):
    """LlamaIndex with its FAISS store."""

    name, title, module = "llamaindex", "LlamaIndex + FAISS", "llamaindex_faiss"
    environment = "llamaindex"
    shown = ("llama-index-core", "llama-index-vector-stores-faiss", "faiss-cpu")


class Txtai(System):
    """txtai's own service, on an index that holds the texts (`content`)."""

    name, title, environment = "txtai", "txtai", "txtai"
    shown = ("txtai", "faiss-cpu")

    def build(self, places: Places) -> Sequence[Sequence[str]]:
        """Return the command that runs the script."""
        return [[str(places.python), str(SERVERS / "txtai_build.py")]]

    def serve(self, places: Places, port: int) -> Sequence[str]:
        """Return uvicorn's command."""
        command = [str(places.python), "-m", "uvicorn", "--port", str(port), "--no-access-log"]
        return [*command, "txtai.api:app"]

    def variables(self, places: Places) -> Mapping[str, str]:
        """Return the usual ones and the configuration, which txtai takes as YAML too."""
        settings = {
            "path": str(places.index),
            "writable": True,
            "embeddings": {"path": str(places.model), "content": True},
        }
        return {**super().variables(places), "CONFIG": json.dumps(settings)}

    def search(self, question: str) -> Request:
        """Return the request that asks a question."""
        return get("/search", query=question, limit=str(HITS))

    def change(self, document: str, state: State) -> Sequence[Request]:
        """Return its two steps: a passage is handed over, and then taken into the index."""
        return [post("/add", [{"id": f"{document}#0", "text": state.text}]), get("/upsert")]


class Haystack(System):
    """Haystack's pipelines served by hayhooks."""

    environment = "haystack"
    store: ClassVar[str]

    def build(self, places: Places) -> Sequence[Sequence[str]]:
        """Return the command that runs the script."""
        return [[str(places.python), str(SERVERS / "haystack_parts.py")]]

    def serve(self, places: Places, port: int) -> Sequence[str]:
        """Return hayhooks' command, without its recording of requests for its dashboard."""
        # Its module's own entry (`python -m hayhooks`) does nothing.
        hayhooks = str(places.python.with_name("hayhooks"))
        command = [hayhooks, "run", "--host", "127.0.0.1", "--port", str(port)]
        folders = [
            *("--pipelines-dir", str(SERVERS / "haystack_pipelines")),
            *("--additional-python-path", str(SERVERS)),
        ]
        return [*command, *folders, "--without-tracing"]

    def variables(self, places: Places) -> Mapping[str, str]:
        """Return the usual ones, which store, and that requests are not noted."""
        return {**super().variables(places), "PEER_STORE": self.store, "HAYHOOKS_LOG_LEVEL": "WARNING"}

    def search(self, question: str) -> Request:
        """Return the request that asks a question."""
        return post("/search/run", {"question": question})

    def hits(self, body: bytes) -> list[str]:
        """Return the texts of the passages in a reply."""
        return [one["text"] for one in json.loads(body)["result"]]

    def change(self, document: str, state: State) -> Sequence[Request]:
        """Return the request that runs the pipeline that indexes."""
        return [post("/change/run", {"passage": {"id": f"{document}#0", "text": state.text}})]


class HaystackFaiss(Haystack):
    """Haystack with its FAISS store."""

    name, title, store = "haystack-faiss", "Haystack + FAISS", "faiss"
    shown = ("haystack-ai", "hayhooks", "faiss-haystack", "faiss-cpu")


class HaystackMemory(Haystack):
    """Haystack with the store in memory."""

    name, title, store = "haystack-memory", "Haystack, in memory", "memory"
    shown = ("haystack-ai", "hayhooks")


class Ceiling(Application):
    """FastAPI alone."""

    name, title, module, target = "ceiling", "ceiling: FastAPI, a constant", "ceiling", ("app",)
    kind, knows, changes = "bound", False, False
    shown = ("fastapi", "uvicorn")

    def build(self, places: Places) -> Sequence[Sequence[str]]:  # noqa: ARG002
        """Return nothing: there is nothing to build."""
        return ()


class Bare(Application):
    """An encoder in fp32 and a flat index, and nothing else."""

    name, title, module = "bare", "bare: fp32 ONNX + flat FAISS", "bare"
    kind, changes = "bound", False
    shown = ("onnxruntime", "faiss-cpu", "tokenizers", "fastapi")


class Pullquote(System):
    """Pullquote; it gets the documents, not the passages."""

    kind, index, folder = "own", "pullquote", ROOT
    shown = ("pullquote", "onnxruntime", "faiss-cpu", "fastapi")

    def build(self, places: Places) -> Sequence[Sequence[str]]:
        """Return the command that builds the index, the model's export with it."""
        return [[str(places.python), "-m", "service", "index"]]

    def serve(self, places: Places, port: int) -> Sequence[str]:
        """Return the command that serves."""
        return [str(places.python), "-m", "service", "serve", "--port", str(port)]

    def variables(self, places: Places) -> Mapping[str, str]:
        """Return the settings; the model is the packaged one."""
        return {
            "PYTHONPATH": str(ROOT),
            "PULLQUOTE_CORPUS": str(places.documents),
            "PULLQUOTE_DATA": str(places.index),
        }

    def hits(self, body: bytes) -> list[str]:
        """Return the texts of the passages in a reply."""
        return [one["text"] for one in json.loads(body)["passages"]]

    def change(self, document: str, state: State) -> Sequence[Request]:
        """Return the request that replaces the document and waits until questions see it."""
        path = f"/v1/documents/{document}?wait=true"
        return [Request("PUT", path, state.document.encode(), "application/octet-stream")]


class PullquoteSearch(Pullquote):
    """Its passages."""

    name, title = "pullquote-search", "Pullquote, /v1/search"

    def search(self, question: str) -> Request:
        """Return the request that asks for passages."""
        return get("/v1/search", q=question, top_k=str(HITS))


class PullquoteAsk(Pullquote):
    """Its answers, with the passages."""

    name, title = "pullquote-ask", "Pullquote, /v1/ask"

    def search(self, question: str) -> Request:
        """Return the request that asks for an answer."""
        return post("/v1/ask", {"question": question, "top_k": HITS})


SYSTEMS: tuple[System, ...] = (
    PullquoteSearch(),
    PullquoteAsk(),
    Txtai(),
    LangChain(),
    LlamaIndex(),
    HaystackFaiss(),
    HaystackMemory(),
    Bare(),
    Ceiling(),
)


def system_named(name: str) -> System:
    """Return a system; raises KeyError where there is none of that name."""
    return {one.name: one for one in SYSTEMS}[name]


def own_python() -> Path:
    """Return the interpreter of our own environment."""
    return Path(sys.executable)
