"""The gate for questions: so many at a time, so many that wait, nobody forgotten, nobody in vain."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from starlette.types import Message

from service import answer
from service.admission import CLIENT_LEFT, Admission, Turn
from service.problems import Refused
from tests.server import Home, unwired

pytest_plugins = ("tests.server",)

QUESTION = "Who developed PyTorch?"


class Client:
    """What a request hears of its client: nothing, until it leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def status_of(task: asyncio.Task[Turn]) -> int:
    error = task.exception()
    assert isinstance(error, Refused)
    return error.status


def test_turns_are_had_in_the_order_of_coming() -> None:
    async def scene() -> None:
        gate, client = Admission(at_once=2, waiting=3, seconds=60), Client()
        first = [await gate.enter(client.receive) for _ in range(2)]
        waiting = [asyncio.create_task(gate.enter(client.receive)) for _ in range(3)]
        await settle()
        assert (gate.under_way, gate.waiting) == (2, 3)
        with pytest.raises(Refused) as refused:
            await gate.enter(client.receive)
        assert refused.value.status == 503 and refused.value.headers == {"Retry-After": "60"}
        first[0].leave()
        first[0].leave()  # a turn is over once
        await settle()
        assert [one.done() for one in waiting] == [True, False, False]
        first[1].leave()
        await settle()
        assert [one.done() for one in waiting] == [True, True, False]
        for one in waiting:
            (await one).leave()
        assert (gate.under_way, gate.waiting) == (0, 0)

    asyncio.run(scene())


def test_nobody_waits_longer_than_the_deadline() -> None:
    async def scene() -> None:
        gate, client = Admission(at_once=1, waiting=2, seconds=0.05), Client()
        turn = await gate.enter(client.receive)
        late = asyncio.create_task(gate.enter(client.receive))
        await asyncio.wait({late})
        assert status_of(late) == 503 and gate.waiting == 0
        turn.leave()
        (await gate.enter(client.receive)).leave()
        assert gate.under_way == 0

    asyncio.run(scene())


def test_who_leaves_makes_room_for_who_comes() -> None:
    async def scene() -> None:
        gate, client, leaving = Admission(at_once=1, waiting=1, seconds=60), Client(), Client()
        turn = await gate.enter(client.receive)
        left = asyncio.create_task(gate.enter(leaving.receive))
        await settle()
        leaving.left.set()
        await asyncio.wait({left})
        assert status_of(left) == CLIENT_LEFT and gate.waiting == 0
        comes = asyncio.create_task(gate.enter(client.receive))
        await settle()
        turn.leave()
        (await comes).leave()
        assert gate.under_way == 0

    asyncio.run(scene())


@pytest.mark.parametrize("has_turn", [False, True])
def test_a_request_that_is_broken_off_while_it_waits_keeps_no_place(*, has_turn: bool) -> None:
    async def scene() -> None:
        gate, client = Admission(at_once=1, waiting=2, seconds=60), Client()
        turn = await gate.enter(client.receive)
        broken = asyncio.create_task(gate.enter(client.receive))
        await settle()
        if has_turn:
            turn.leave()  # its turn comes in the same moment
        broken.cancel()
        await asyncio.wait({broken})
        if not has_turn:
            turn.leave()
        assert (gate.under_way, gate.waiting) == (0, 0)

    asyncio.run(scene())


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Semaphore]]:
    """Give what lets the reading of questions go on, and what is released as each comes to it."""
    go, come = threading.Event(), threading.Semaphore(0)
    settle = answer.settle

    def slow(*given: Any, **named: Any) -> Any:
        come.release()
        assert go.wait(60)
        return settle(*given, **named)

    monkeypatch.setattr(answer, "settle", slow)
    try:
        yield go, come
    finally:
        go.set()


CHAT = {"model": "pullquote", "messages": [{"role": "user", "content": QUESTION}]}
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "search", "arguments": {"question": QUESTION}},
}
STREAM = {"Accept": "text/event-stream"}
DOORS: dict[str, Callable[[httpx.AsyncClient], Any]] = {
    "ask": lambda client: client.post("/v1/ask", json={"question": QUESTION}),
    "ask streamed": lambda client: client.post("/v1/ask", json={"question": QUESTION}, headers=STREAM),
    "ask by address": lambda client: client.get("/v1/ask", params={"q": QUESTION}),
    "ask by address streamed": lambda client: client.get("/v1/ask", params={"q": QUESTION}, headers=STREAM),
    "search": lambda client: client.get("/v1/search", params={"q": QUESTION}),
    "chat": lambda client: client.post("/v1/chat/completions", json=CHAT),
    "chat streamed": lambda client: client.post("/v1/chat/completions", json=CHAT | {"stream": True}),
    "responses": lambda client: client.post("/v1/responses", json={"model": "pullquote", "input": QUESTION}),
    "responses streamed": lambda client: client.post(
        "/v1/responses", json={"model": "pullquote", "input": QUESTION, "stream": True}
    ),
    "embeddings": lambda client: client.post("/v1/embeddings", json={"model": "pullquote", "input": "a"}),
}
OPEN = ("/livez", "/readyz", "/version", "/", "/docs", "/v1/documents", "/v1/models", "/openapi.json")


def test_every_door_to_a_question_leads_through_the_gate_and_nothing_else_does(
    library: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        unwired(library, max_questions=1, max_waiting_questions=0) as served,
        held(monkeypatch) as (go, come),
    ):

        async def scene() -> None:
            transport = httpx.ASGITransport(served.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                first = asyncio.create_task(client.post("/v1/ask", json={"question": "Is it held?"}))
                await asyncio.to_thread(come.acquire)
                for name, door in DOORS.items():
                    refused = await door(client)
                    assert refused.status_code == 503, name
                    assert refused.headers["retry-after"] == "4", name
                    assert b"more questions come than can be answered" in refused.content, name
                    assert "event-stream" not in refused.headers["content-type"], name
                for path in OPEN:
                    assert (await client.get(path)).status_code == 200, path
                go.set()
                assert (await first).status_code == 200
                for name, door in DOORS.items():
                    assert (await door(client)).status_code == 200, name
                assert served.app.state.admission.under_way == 0

        asyncio.run(scene())


def test_a_tool_is_called_through_the_gate(library: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with unwired(library, max_questions=1, max_waiting_questions=0) as served:
        headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
        initialize = {"jsonrpc": "2.0", "id": 0, "method": "tools/list", "params": {}}

        async def scene() -> None:
            app = served.app
            transport = httpx.ASGITransport(app)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
            ):
                turn = await app.state.admission.enter(Client().receive)
                refused = await client.post("/mcp", json=CALL, headers=headers)
                assert refused.status_code == 503 and refused.headers["retry-after"] == "4"
                assert (await client.post("/mcp", json=initialize, headers=headers)).status_code == 200
                turn.leave()
                called = await client.post("/mcp", json=CALL, headers=headers)
                assert called.status_code == 200 and not json.loads(called.content)["result"].get("isError")
                assert app.state.admission.under_way == 0

        asyncio.run(scene())
