"""What the outside tests share: a home with its own corpus and index, real servers, the application unwired.

A plugin (`pytest_plugins = ("tests.server",)`), because its fixtures are for some test files only; they
import it too, before pytest does, so its assertions stay as they are (PYTEST_DONT_REWRITE) and say more.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
ARTICLE = ROOT / "corpus/texts/pytorch-vs-tensorflow.md"
COMMAND = Path(sys.executable).with_name("pullquote")

PATIENCE_SECONDS = 60.0
"""How long anything may take before a test gives up on it; far more than it takes on a busy machine."""

Reply = dict[str, Any]
T = TypeVar("T")


def wait_for(wanted: Callable[[], T | None], what: str) -> T:
    """Return the first true value of `wanted`, asked for again and again."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = wanted()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}")


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with a corpus and the data made of it, and the `pullquote` command set to both."""

    folder: Path
    encoder: Path

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def write(self, name: str, content: str | bytes) -> Path:
        """Put a document into the corpus; text goes there as it is, line ends included."""
        path = self.corpus / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def environment(self, **settings: object) -> dict[str, str]:
        """Return the environment of a process at home here, and nothing of the developer's own settings."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PULLQUOTE_")}
        values = {"corpus": self.corpus, "data": self.data, "model": self.encoder, "port": 0} | settings
        return own | {f"PULLQUOTE_{name.upper()}": str(value) for name, value in values.items()}

    def run(self, *arguments: str | bytes | Path, **settings: object) -> subprocess.CompletedProcess[str]:
        """Return how `pullquote` with these arguments ended."""
        return self.run_in(self.folder, *arguments, **settings)

    def run_in(
        self, folder: Path, *arguments: str | bytes | Path, **settings: object
    ) -> subprocess.CompletedProcess[str]:
        """Return how `pullquote` with these arguments ended in another working folder."""
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=folder,
            env=self.environment(**settings),
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def snapshots(self) -> list[str]:
        """Return the versions that the pointer names, the one in use first."""
        kept = json.loads((self.data / "current").read_text(encoding="utf-8"))["kept"]
        return [str(one) for one in kept]

    def copy(self, folder: Path) -> Home:
        """Return a home of its own in `folder` that begins as this one is."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Home(folder, self.encoder)


class Server:
    """A server process, ready when this returns; `end` it, whatever happens."""

    def __init__(self, home: Home, **settings: object) -> None:
        self.home = home
        self.log = home.folder / f"server-{time.monotonic_ns()}.log"
        self.client = httpx.Client(timeout=PATIENCE_SECONDS)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMAND, "serve"],
                cwd=home.folder,
                env=home.environment(log_format="json", **settings),
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # so that `end` reaches what it may have started
            )
        try:
            self.client.base_url = wait_for(self._address, "the server's address")
            wait_for(self._is_ready, "the server to be ready")
        except BaseException:
            self.end()
            raise

    def _address(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}: {self.log.read_text()}")
        serving = [one for one in self.messages() if one.get("event") == "serving"]
        return str(serving[0]["address"]) if serving else None

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.ConnectError:
            return False  # the address is logged a moment before it is listened on

    @property
    def address(self) -> str:
        return str(self.client.base_url).rstrip("/")

    def messages(self) -> list[Reply]:
        """Return what was logged as JSON."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def get(self, path: str, **query: str | int) -> Reply:
        """Return the JSON at a path; anything but success fails the test."""
        return self._read(self.client.get(path, params=query))

    def post(self, path: str, body: Reply) -> Reply:
        """Return the JSON reply to a body; anything but success fails the test."""
        return self._read(self.client.post(path, json=body))

    def _read(self, reply: httpx.Response) -> Reply:
        assert reply.is_success, reply.text
        read: Reply = reply.json()
        return read

    def ask(self, question: str, **fields: object) -> Reply:
        """Return the reply to a question."""
        return self.post("/v1/ask", {"question": question, **fields})

    def request_reindex(self, **body: object) -> str:
        """Return the id of a job that was asked for."""
        return str(self.post("/v1/reindex", body)["id"])

    def job(self, job_id: str) -> Reply:
        """Return the job once it is over."""
        over = {"succeeded", "failed", "cancelled"}

        def seen() -> Reply | None:
            job = self.get(f"/v1/jobs/{job_id}")
            return job if job["state"] in over else None

        return wait_for(seen, "the job to end")

    def reindex(self, **body: object) -> Reply:
        """Return a reindex job that succeeded."""
        job = self.job(self.request_reindex(**body))
        assert job["state"] == "succeeded", job
        return job

    def stop(self) -> int:
        """Return the exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """End the process and all it started, if they still run."""
        self.client.close()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)


class Unwired:
    """The application without a socket: requests from any address, and bodies no client would send."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def __call__(
        self,
        method: str,
        path: str,
        *,
        sender: str = "127.0.0.1",
        content: bytes | Iterable[bytes] | None = None,
        **given: Any,
    ) -> httpx.Response:
        """Return the reply to one request."""
        body = content if content is None or isinstance(content, bytes) else _streamed(content)
        return asyncio.run(self._send(method, path, sender, content=body, **given))

    async def _send(self, method: str, path: str, sender: str, **given: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(sender, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **given)


async def _streamed(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@contextmanager
def unwired(home: Home, **settings: Any) -> Iterator[Unwired]:
    """Give the application with its index open; it follows no folder until it is asked to."""
    values: dict[str, Any] = {"corpus": home.corpus, "data": home.data, "model": str(home.encoder)}
    app = create_app(Settings(**values | settings))
    app.state.keeper.open()
    try:
        yield Unwired(app)
    finally:
        app.state.keeper.close()


@pytest.fixture(scope="session")
def library(exported_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with the article and its index, made once; tests that change it take a copy."""
    home = Home(tmp_path_factory.mktemp("library"), exported_encoder)
    home.write(ARTICLE.name, ARTICLE.read_bytes())
    done = home.run("index")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def home(library: Home, tmp_path: Path) -> Home:
    """Return a copy of the library for one test alone."""
    return library.copy(tmp_path / "home")


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Return what starts servers; all of them are ended with the test."""
    started: list[Server] = []

    def begin(home: Home, **settings: object) -> Server:
        server = Server(home, **settings)
        started.append(server)
        return server

    yield begin
    for server in started:
        server.end()
