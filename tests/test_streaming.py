"""Replies in stages: the last says what the plain reply says, errors are told, who leaves costs nothing."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import Request

from index.encoder import EncoderError
from service.admission import Admission
from service.answer import settle
from service.doors import streaming
from service.doors.streaming import Stages
from service.finding import Index, find
from tests.contract import DEVELOPER, MARKER, Checked, misfits, opened
from tests.server import PATIENCE_SECONDS, ROOT, Home, Reply, Server, wait_for

pytest_plugins = ("tests.server", "tests.contract", "tests.browser")

STREAM = {"Accept": "text/event-stream"}
NOWHERE = "What is the capital of France?"
PAGE = ROOT / "docs/streaming.md"


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was sent."""

    name: str
    id: str
    data: Reply


def read_events(text: str) -> list[Event]:
    """Return the events of a stream whose data is JSON, comments left out."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append(Event(fields.get("event", ""), fields.get("id", ""), json.loads(fields["data"])))
    return found


def staged(request: Checked, question: str, **fields: Any) -> list[Event]:
    """Return the events of a question."""
    reply = request("POST", "/v1/ask", json={"question": question, **fields}, headers=STREAM)
    assert reply.status_code == 200
    assert reply.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert reply.headers["cache-control"] == "no-cache"
    return read_events(reply.text)


# ---------------------------------------------------------------- what comes


@pytest.mark.parametrize(
    "fields",
    [
        {"question": DEVELOPER},
        {"question": DEVELOPER, "top_k": 1},
        {"question": DEVELOPER, "top_k": 30, "explain": True},
        {"question": NOWHERE},
        {"question": "hello"},
        {"question": DEVELOPER, "filter": {"documents": ["no such/"]}},
        {"question": "And TensorFlow?", "history": [{"role": "user", "content": DEVELOPER}]},
        {"question": DEVELOPER, "min_confidence": 1},
    ],
)
def test_the_last_stage_is_the_plain_reply(fields: Reply, request_: Checked) -> None:
    passages, answer, done = staged(request_, **fields)
    plain = request_.ask(**fields)
    assert [one.name for one in (passages, answer, done)] == ["passages", "answer", "done"]
    assert [one.id for one in (passages, answer, done)] == ["1", "2", "3"]
    assert {**done.data, "took_ms": 0} == {**plain, "took_ms": 0}
    assert answer.data == {name: plain[name] for name in ("status", "reason", "answer", "alternatives")}
    assert passages.data["query"] == plain["query"]
    assert misfits(passages.data, {"$ref": "#/components/schemas/SearchReply"}) == []
    assert len(passages.data["passages"]) == len(plain["passages"])


@pytest.mark.parametrize(
    "query",
    [
        {"q": DEVELOPER},
        {"q": DEVELOPER, "top_k": 1},
        {"q": NOWHERE},
        {"q": DEVELOPER, "documents": "no such/"},
        {"q": DEVELOPER, "field": "lang:en"},
    ],
)
def test_a_question_in_the_address_has_the_same_stages(query: Reply, request_: Checked) -> None:
    plainly = request_("GET", "/v1/ask", params=query)
    reply = request_("GET", "/v1/ask", params=query, headers=STREAM)
    assert reply.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert plainly.headers["vary"] == reply.headers["vary"] == "Accept, Origin"
    assert "etag" not in reply.headers
    passages, answer, done = read_events(reply.text)
    assert [(one.name, one.id) for one in (passages, answer, done)] == [
        ("passages", "1"),
        ("answer", "2"),
        ("done", "3"),
    ]
    assert {**done.data, "took_ms": 0} == {**plainly.json(), "took_ms": 0}
    # What is known already is no reason to send no events.
    known = {"If-None-Match": plainly.headers["etag"]}
    assert request_("GET", "/v1/ask", params=query, headers=known).status_code == 304
    assert request_("GET", "/v1/ask", params=query, headers={**known, **STREAM}).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422),
        ({"q": "w" * 2001}, 422),
        ({"q": DEVELOPER, "top_k": 51}, 422),
        ({"q": DEVELOPER, "as_of": "0000"}, 404),
    ],
)
def test_what_is_wrong_with_an_address_is_a_problem_as_ever(
    query: Reply, status: int, request_: Checked
) -> None:
    assert request_("GET", "/v1/ask", params=query, headers=STREAM).status_code == status


def test_an_empty_index_has_its_stages_too(library: Home, tmp_path: Any) -> None:
    home = Home(tmp_path, library.encoder)
    home.corpus.mkdir()
    assert home.run("index").returncode == 0
    with opened(home) as request:
        passages, _, done = staged(request, DEVELOPER)
    assert passages.data["passages"] == []
    assert (done.data["status"], done.data["reason"]) == ("not_found", "empty_index")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream; charset=utf-8", True),
        ("application/json;q=0.5, text/event-stream", True),
        ("text/event-stream, */*;q=0.1", True),
        ("application/json, text/event-stream", False),
        ("text/event-stream;q=0.4, application/json;q=0.5", False),
        ("text/event-stream;q=0", False),
        ("text/event-stream;q=much", False),
        ("text/event-stream;q=nan", False),
        ("text/event-streams", False),
        ("*/*", False),
        (";;,,;q", False),
        ("", False),
    ],
)
def test_events_come_where_they_are_preferred(accept: str, wanted: bool, request_: Checked) -> None:
    reply = request_("POST", "/v1/ask", json={"question": DEVELOPER}, headers={"Accept": accept})
    media = reply.headers["content-type"].partition(";")[0]
    assert media == ("text/event-stream" if wanted else "application/json")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"question": ""}, 422),
        ({"question": "w" * 2001}, 422),
        ({"question": DEVELOPER, "top_k": 51}, 422),
        ({"question": DEVELOPER, MARKER: 1}, 422),
        ({"question": DEVELOPER, "as_of": "0000"}, 404),
    ],
)
def test_what_is_wrong_before_the_start_is_a_problem_as_ever(
    body: Reply, status: int, request_: Checked
) -> None:
    assert request_("POST", "/v1/ask", json=body, headers=STREAM).status_code == status


# ---------------------------------------------------------------- what goes wrong


def sent(index: Index, stages: Stages, *, leaves_after: int | None = None) -> bytes:
    """Return what is sent for a question; the client leaves after so many parts, or stays."""
    parts: list[bytes] = []

    gate = Admission(at_once=1, waiting=0, seconds=1)

    async def served() -> None:
        left = asyncio.Event()

        async def receive() -> Reply:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            parts.append(message.get("body", b""))
            if len([one for one in parts if one]) == leaves_after:
                left.set()

        scope: Any = {"type": "http", "method": "POST", "path": "/v1/ask", "headers": [], "state": {}}
        scope |= {"scheme": "http", "server": ("localhost", 80), "query_string": b""}
        turn = await gate.enter(receive)
        made = streaming.staged(Request(scope), index.snapshot, DEVELOPER, stages, turn, explain=False)
        await made(scope, receive, send)
        assert gate.under_way == 0
        # Whatever had been begun would go on here.
        await asyncio.sleep(0.3)

    asyncio.run(served())
    return b"".join(parts)


@pytest.fixture(scope="module")
def index(request_: Checked) -> Index:
    """Return the index in use."""
    found: Index = request_.app.state.live.current
    return found


@pytest.fixture
def finding(index: Index) -> Callable[[], Any]:
    """Return the search of a question."""
    return partial(find, index, DEVELOPER)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (EncoderError("the graph is gone"), 503, "urn:pullquote:problem:no-encoder"),
        (RuntimeError(MARKER), 500, "urn:pullquote:problem:internal-error"),
    ],
)
def test_an_error_after_the_start_is_the_last_event(
    error: Exception, status: int, kind: str, index: Index, finding: Callable[[], Any]
) -> None:
    def broken(*_: object) -> Any:
        raise error

    for stages, before in ((Stages(broken, broken), 0), (Stages(finding, broken), 1)):
        told = read_events(sent(index, stages).decode())
        assert [one.name for one in told] == ["passages"] * before + ["error"]
        assert (told[-1].data["status"], told[-1].data["type"]) == (status, kind)
        assert misfits(told[-1].data, {"$ref": "#/components/schemas/Problem"}) == []
        assert MARKER not in json.dumps(told[-1].data)


def test_silence_is_filled_with_comments(
    index: Index, finding: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PING_SECONDS", 0.05)

    def slowly(found: Any) -> Any:
        time.sleep(0.5)
        return settle(index, found)

    text = sent(index, Stages(finding, slowly)).decode()
    assert [one.name for one in read_events(text)] == ["passages", "answer", "done"]
    assert 3 <= len(re.findall(r"^: ", text, re.M)) <= 12
    assert text.index("event: passages") < text.index(": ping") < text.index("event: answer")


def test_nothing_is_read_for_who_has_left(index: Index) -> None:
    begun, read = threading.Event(), threading.Event()

    def slowly() -> Any:
        begun.set()
        time.sleep(0.1)
        return find(index, DEVELOPER)

    def reading(found: Any) -> Any:
        read.set()
        return settle(index, found)

    async def leave_at_once() -> list[Any]:
        gate = Admission(at_once=1, waiting=0, seconds=1)
        parts: list[Any] = []

        async def receive() -> Reply:
            await asyncio.to_thread(begun.wait)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            parts.append(message)

        scope: Any = {"type": "http", "method": "POST", "path": "/v1/ask", "headers": [], "state": {}}
        stages = Stages(slowly, reading)
        turn = await gate.enter(receive)
        made = streaming.staged(Request(scope), index.snapshot, DEVELOPER, stages, turn, explain=False)
        await made(scope, receive, send)
        assert gate.under_way == 0
        await asyncio.sleep(0.4)
        return parts

    parts = asyncio.run(leave_at_once())
    assert begun.is_set() and not read.is_set()
    assert [one for one in parts if one.get("body")] == []


def test_who_leaves_after_the_passages_gets_no_more(index: Index, finding: Callable[[], Any]) -> None:
    def slowly(found: Any) -> Any:
        time.sleep(0.1)
        return settle(index, found)

    told = read_events(sent(index, Stages(finding, slowly), leaves_after=1).decode())
    assert [one.name for one in told] == ["passages"]


def test_events_that_were_never_asked_for_are_not_made() -> None:
    asked: list[int] = []

    async def content() -> AsyncIterator[bytes]:
        for number in range(3):
            asked.append(number)
            yield b"data: %d\n\n" % number

    async def first() -> None:
        stream = streaming.kept_alive(content())
        assert await anext(stream) == b"data: 0\n\n"
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(first())
    assert asked == [0]


# ---------------------------------------------------------------- over the network


@pytest.fixture(scope="module")
def server(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of the article."""
    started = Server(library.copy(tmp_path_factory.mktemp("streaming")))
    yield started
    started.end()


@pytest.mark.slow
def test_the_stages_come_over_the_network(server: Server) -> None:
    body = {"question": DEVELOPER}
    with server.client.stream("POST", "/v1/ask", json=body, headers=STREAM) as reply:
        assert reply.headers["x-index-version"] and reply.headers["x-request-id"]
        assert reply.headers["transfer-encoding"] == "chunked"
        told = read_events("".join(reply.iter_text()))
    assert {**told[-1].data, "took_ms": 0} == {**server.ask(DEVELOPER), "took_ms": 0}
    with server.client.stream("GET", "/v1/ask", params={"q": DEVELOPER}, headers=STREAM) as reply:
        again = read_events("".join(reply.iter_text()))
    assert [one.name for one in again] == ["passages", "answer", "done"]
    assert again[-1].data["answer"] == told[-1].data["answer"]


@pytest.mark.slow
def test_clients_that_leave_are_no_fault(server: Server) -> None:
    address = urlsplit(server.address)
    body = json.dumps({"question": DEVELOPER}).encode()
    fields = "HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    asked_so = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    ways = (
        f"POST /v1/ask {fields}{asked_so}\r\n".encode() + body,
        f"GET /v1/ask?q=Who+developed+PyTorch%3F {fields}\r\n".encode(),
    )
    before = len(server.messages())
    for number in range(80):
        with socket.create_connection((address.hostname, address.port), PATIENCE_SECONDS) as line:
            line.sendall(ways[number % 8 // 4])
            if number % 2:
                assert line.recv(100)
            # Some leave as a process does that is killed: what was sent to them is refused.
            if number % 4 > 1:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    asked = wait_for(
        lambda: (
            found
            if len(found := [one for one in server.messages()[before:] if one.get("path") == "/v1/ask"]) >= 80
            else None
        ),
        "the log lines of those that left",
    )
    assert {one["status"] for one in asked} == {200}
    assert {one["level"] for one in server.messages()[before:]} == {"info"}
    assert "Traceback" not in server.log.read_text(encoding="utf-8")
    assert server.ask(DEVELOPER)["status"] == "answered"


# ---------------------------------------------------------------- the page about it


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_examples_of_the_page_run(server: Server) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (command,), (program,) = blocks(page, "sh"), blocks(page, "python")
    told = run(["bash", "-c", command.replace("localhost:8000", urlsplit(server.address).netloc)])
    assert [one.name for one in read_events(told)] == ["passages", "answer", "done"]
    told = run([sys.executable, "-c", program.replace("http://localhost:8000", server.address)])
    (shown,) = blocks(page, "text")
    assert told == shown


@pytest.mark.slow
def test_the_example_for_a_page_runs_in_a_browser(server: Server, browser: Any) -> None:
    (program,) = blocks(PAGE.read_text(encoding="utf-8"), "js")
    page = browser.new_context().new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda one: asked.append(one.url) if "/v1/ask" in one.url else None)
    page.goto(server.address)
    page.evaluate(f"() => {{ {program} }}")
    wait_for(lambda: page.evaluate("1") and said, "the answer")
    page.wait_for_timeout(4000)  # one that is not closed asks again after 3 s
    assert said == ["Facebook AI Research"] and len(asked) == 1
    page.context.close()


def run(command: list[str]) -> str:
    """Return what a command printed."""
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
