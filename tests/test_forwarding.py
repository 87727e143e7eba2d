"""Requests handed on to the worker that writes: as they came, to their end, and never twice."""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import doors, forwarding
from service.app import create_app
from service.crew import Place
from service.doors.replies import keeper_of
from service.forwarding import Counter, Forward, is_for_writer
from service.settings import Settings
from tests import test_edits, test_edits_refused
from tests.contract import Checked
from tests.server import PATIENCE_SECONDS, Home, wait_for

pytest_plugins = ("tests.server", "tests.contract")

AT = "/v1/documents/lamp.md"
MANY = 3_000_000
"""Bytes: more than any buffer on the way holds."""


@pytest.fixture
def counter() -> Iterator[Path]:
    """Return where the writer's socket is to be; paths of sockets have to be short."""
    folder = Path(tempfile.mkdtemp(prefix="counter-"))
    yield folder / "counter"
    shutil.rmtree(folder)


async def _nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Serve what is not handed on."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


async def _refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Reply with the slug of why it was not handed on, as the envelope would."""
    refusal = scope.get("state", {}).get("refusal")
    if refusal is None:
        await _nothing(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": refusal.status, "headers": []})
    await send({"type": "http.response.body", "body": refusal.slug.encode()})


@asynccontextmanager
async def handing_on(writer: ASGIApp, path: Path, **given: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the other worker."""
    async with Counter(writer, path).open(lambda _: None), client_of(path, **given) as client:
        yield client


def client_of(path: Path, **given: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Forward(_refusing, path), **given)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=PATIENCE_SECONDS)


async def _told(scope: Scope, receive: Receive, send: Send) -> None:
    """Reply with what came."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    texts = {name: scope[name] for name in ("method", "path", "client", "scheme", "http_version")}
    raw = {name: scope[name].decode("latin-1") for name in ("raw_path", "query_string")}
    found = texts | raw | {"headers": headers, "bytes": len(body), "sum": sum(body)}
    await send(
        {"type": "http.response.start", "status": 201, "headers": [(b"x-two", b"1"), (b"x-two", b"\xe9")]}
    )
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})


def test_request_and_reply_come_as_they_were(counter: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes([7]) * (MANY // 3)

    async def walk() -> httpx.Response:
        async with handing_on(_told, counter, client=("203.0.113.9", 4711)) as client:
            return await client.put(
                "/v1/documents/odd%2Fn%C3%A4me%0A.md?wait=true&x=%E9",
                content=parts(),
                headers=[(b"X-Forwarded-For", b"127.0.0.1"), (b"X-Odd", b"\xe9"), (b"X-Odd", b"2")],
            )

    reply = asyncio.run(walk())
    said = reply.json()
    assert reply.status_code == 201 and reply.headers.get_list("x-two") == ["1", "é"]
    assert said["client"] == ["203.0.113.9", 4711], "as the connection was, whatever a header says"
    assert (said["method"], said["path"]) == ("PUT", "/v1/documents/odd/näme\n.md")
    assert (said["raw_path"], said["query_string"]) == (
        "/v1/documents/odd%2Fn%C3%A4me%0A.md",
        "wait=true&x=%E9",
    )
    assert (said["bytes"], said["sum"]) == (MANY, 7 * MANY)
    assert [value for name, value in said["headers"] if name == "x-odd"] == ["é", "2"]


def test_a_reply_to_a_body_that_nobody_reads_arrives_whole(counter: Path) -> None:
    async def refusing(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * MANY})

    async def walk() -> httpx.Response:
        async with handing_on(refusing, counter) as client:
            return await client.put(AT, content=b" " * MANY)

    reply = asyncio.run(walk())
    assert reply.status_code == 413 and len(reply.content) == MANY


def test_whoever_leaves_is_waited_for_no_longer(counter: Path) -> None:
    seen: list[str] = []

    async def walk() -> None:
        left = asyncio.Event()

        async def slow(_scope: Scope, receive: Receive, _send: Send) -> None:
            while (message := await receive())["type"] != "http.disconnect":
                seen.append(message["type"])
            seen.append("left")
            left.set()

        messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            seen.append(str(message))

        scope = {"type": "http", "method": "PUT", "path": AT, "headers": [], "state": {}}
        async with Counter(slow, counter).open(lambda _: None):
            await Forward(_refusing, counter)(scope, receive, send)
            await asyncio.wait_for(left.wait(), PATIENCE_SECONDS)

    asyncio.run(walk())
    assert seen == ["http.request", "left"], "the change was told of it, and nobody got a reply"


def test_a_writer_that_is_started_again_is_waited_for(counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def walk() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        async with client_of(counter) as client:
            waiting = asyncio.create_task(client.put(AT, content=b"1"))
            elsewhere = await client.get(AT)
            await asyncio.sleep(0.2)
            assert not waiting.done()
            async with Counter(_told, counter).open(lambda _: None):
                in_time = await waiting
            monkeypatch.setattr(forwarding, "HOLD_SECONDS", 0.1)
            return elsewhere, in_time, await client.put(AT, content=b"1")

    elsewhere, in_time, too_late = asyncio.run(walk())
    assert elsewhere.status_code == 299 and in_time.status_code == 201
    assert (too_late.status_code, too_late.text) == (503, "writer-not-ready")


@pytest.mark.parametrize("begun", [False, True])
def test_a_writer_that_dies_is_never_an_answer(begun: bool, counter: Path) -> None:
    async def walk() -> httpx.Response:
        async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            if begun:
                head = json.dumps({"status": 200, "headers": []}).encode()
                writer.write(b"H" + len(head).to_bytes(4, "big") + head)
                await writer.drain()
            writer.close()

        async with await asyncio.start_unix_server(die, counter), client_of(counter) as client:
            return await client.put(AT, content=b"1")

    if begun:
        with pytest.raises(ConnectionError):
            asyncio.run(walk())
    else:
        reply = asyncio.run(walk())
        assert (reply.status_code, reply.text) == (503, "writer-ended")


def reaches(code: CodeType, names: dict[str, Any], wanted: object, seen: set[CodeType]) -> bool:
    """Return whether code uses a function, itself or by what it calls."""
    seen.add(code)
    inner = [(one, names) for one in code.co_consts if isinstance(one, CodeType)]
    for name in code.co_names:
        used = names.get(name)
        if used is wanted:
            return True
        if isinstance(used, FunctionType):
            inner.append((used.__code__, used.__globals__))
    return any(reaches(one, known, wanted, seen) for one, known in inner if one not in seen)


def test_whatever_asks_the_writer_is_handed_on_and_nothing_else() -> None:
    asked = {
        (method, route.path_format.replace("{document_id}", "a.md").replace("{job_id}", "1")): reaches(
            route.endpoint.__code__,
            route.endpoint.__globals__,
            keeper_of,
            set(),
        )
        for door in pkgutil.iter_modules(doors.__path__)
        for route in getattr(
            importlib.import_module(f"service.doors.{door.name}"), "router", APIRouter()
        ).routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert sum(asked.values()) == 7
    assert {one: is_for_writer(*one) for one in asked} == asked


# ---------------------------------------------------------------- the contract, through another worker


class Elsewhere:
    """The application that writes, in a thread with a loop of its own."""

    def __init__(self, settings: Settings, place: Place) -> None:
        self.app = create_app(settings, place)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.is_open = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        async def serve() -> None:
            async with self.app.router.lifespan_context(self.app):
                self.is_open.set()
                await self._stop.wait()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def __enter__(self) -> Elsewhere:
        self._thread.start()
        wait_for(self.is_open.is_set, "the application to open")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


@pytest.fixture(scope="module")
def room(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home that these tests change, each under names of its own."""
    return library.copy(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def request_(room: Home) -> Iterator[Checked]:
    """Return the application of a worker that hands on what changes that home."""
    folder = Path(tempfile.mkdtemp(prefix="counter-"))
    values = Settings(corpus=room.corpus, data=room.data, model=str(room.encoder), workers=2)
    here = create_app(values, Place(writes=False, counter=folder / "counter"))

    def announce() -> Callable[[], None]:
        here.state.live.take_up()
        return lambda: None

    here.state.keeper.open()
    with Elsewhere(values, Place(counter=folder / "counter", announce=announce)):
        yield Checked(here)
    here.state.keeper.close()
    shutil.rmtree(folder)


test_created_replaced_or_unchanged = test_edits.test_a_document_is_created_replaced_or_unchanged
test_searchable = test_edits.test_what_was_waited_for_is_searchable
test_job = test_edits.test_without_waiting_the_job_says_when_it_is_searchable
test_many_changes = test_edits.test_many_changes_at_once_are_all_taken_up
test_removed = test_edits.test_a_removed_document_is_gone_with_its_folders_and_answers
test_unreadable = test_edits.test_a_document_that_cannot_be_read_is_kept_and_says_why
test_ids = test_edits.test_an_id_is_data_whatever_it_is
test_conditions = test_edits.test_a_change_is_made_in_the_state_it_is_meant_for_alone
test_two_changes = test_edits.test_of_two_changes_to_one_state_one_is_made
test_other_formats = test_edits_refused.test_a_body_of_another_format_is_refused
test_partial_bodies = test_edits_refused.test_a_part_or_a_packed_body_is_never_taken_for_the_document
test_bad_ids = test_edits_refused.test_what_cannot_be_an_id_is_refused_with_its_reason
test_bad_queries = test_edits_refused.test_a_bad_query_changes_nothing


def test_who_is_elsewhere_changes_nothing_by_way_of_another_worker(request_: Checked) -> None:
    for method, path in (("PUT", AT), ("DELETE", AT), ("POST", "/v1/reindex"), ("DELETE", "/v1/jobs/1")):
        reply = request_(method, path, sender="203.0.113.9", content=b"")
        assert (reply.status_code, reply.json()["type"]) == (403, "urn:pullquote:problem:local-only")
        reply = request_(method, path, content=b"", headers={"X-Forwarded-For": "127.0.0.1"})
        assert reply.status_code == 403
