"""Every door gives the same answer: REST, its streams, the OpenAI API, MCP, the terminal, the widget."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import openai
import pytest
from mcp import Client, StdioServerParameters
from playwright import sync_api as api

from service.openai_text import NOT_FOUND
from tests.browser import watch
from tests.contract import DEVELOPER
from tests.server import COMMAND, PATIENCE_SECONDS, Home, Reply, Server

pytest_plugins = ("tests.server", "tests.contract", "tests.browser")
pytestmark = pytest.mark.slow

STREAM = {"Accept": "text/event-stream"}
LISTED = "Which industries prefer PyTorch?"
NOWHERE = "What is the capital of France?"
QUESTIONS = (DEVELOPER, LISTED, "When did TensorFlow come out?", "Is the quagga extinct?", NOWHERE, "hello")

HISTORY = [
    {"role": "user", "content": DEVELOPER},
    {"role": "assistant", "content": "Facebook AI Research"},
]
FOLLOW_UP = "and TensorFlow?"


@pytest.fixture(scope="module")
def server(shelf: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of the shelf."""
    started = Server(shelf.copy(tmp_path_factory.mktemp("doors")))
    started.reindex()  # what it does by itself after the start is done then, and the version stays
    yield started
    started.end()


def timeless(reply: Reply) -> Reply:
    """Return a reply without how long it took."""
    return {name: value for name, value in reply.items() if name != "took_ms"}


def last_event(text: str) -> Reply:
    """Return the data of the last event of a stream."""
    read: Reply = json.loads(text.rstrip().rpartition("data: ")[2].partition("\n")[0])
    return read


# ---------------------------------------------------------------- doors that give the whole reply


def by_get(server: Server, question: str) -> Reply:
    return server.get("/v1/ask", q=question)


def by_post_streamed(server: Server, question: str, history: Sequence[Reply] = ()) -> Reply:
    body = {"question": question, "history": history}
    return last_event(server.client.post("/v1/ask", json=body, headers=STREAM).text)


def by_get_streamed(server: Server, question: str) -> Reply:
    return last_event(server.client.get("/v1/ask", params={"q": question}, headers=STREAM).text)


def by_mcp(to: str | StdioServerParameters, question: str, history: Sequence[Reply]) -> Reply:
    async def ask() -> Reply:
        async with Client(to, read_timeout_seconds=PATIENCE_SECONDS) as client:
            found = await client.call_tool("ask", {"question": question, "history": [*history]})
            read: Reply = found.structured_content
            return read

    return asyncio.run(ask())


def by_mcp_over_http(server: Server, question: str, history: Sequence[Reply] = ()) -> Reply:
    return by_mcp(f"{server.address}/mcp", question, history)


def by_mcp_over_stdio(server: Server, question: str, history: Sequence[Reply] = ()) -> Reply:
    home = server.home
    to = StdioServerParameters(
        command=str(COMMAND), args=["mcp"], env=home.environment(), cwd=str(home.folder)
    )
    return by_mcp(to, question, history)


def at_the_terminal(server: Server, question: str) -> Reply:
    read: Reply = json.loads(server.home.run("ask", question, "--json").stdout)
    return read


DOORS: tuple[Callable[[Server, str], Reply], ...] = (
    by_get,
    by_post_streamed,
    by_get_streamed,
    by_mcp_over_http,
    by_mcp_over_stdio,
    at_the_terminal,
)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_the_reply_is_the_same_field_by_field(door: Callable[[Server, str], Reply], server: Server) -> None:
    for question in QUESTIONS:
        assert timeless(door(server, question)) == timeless(server.ask(question))


@pytest.mark.parametrize("door", [by_post_streamed, by_mcp_over_http, by_mcp_over_stdio])
def test_a_follow_up_is_understood_the_same(door: Callable[..., Reply], server: Server) -> None:
    asked = server.ask(FOLLOW_UP, history=HISTORY)
    assert asked["query"]["rewrites"] and asked["answer"]["text"] == "Google Brain"
    assert timeless(door(server, FOLLOW_UP, HISTORY)) == timeless(asked)


# ---------------------------------------------------------------- doors that give a text


def texts_by_openai(server: Server, question: str, history: Sequence[Reply]) -> set[str]:
    """Return the texts of that API's four ways, without the markers."""
    messages: Any = [*history, {"role": "user", "content": question}]
    with openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0) as client:
        chat = client.chat.completions.create(model="pullquote", messages=messages)
        chunks = [*client.chat.completions.create(model="pullquote", messages=messages, stream=True)]
        response = client.responses.create(model="pullquote", input=messages)
        with client.responses.stream(model="pullquote", input=messages) as stream:
            last = stream.get_final_response()
    texts = {
        chat.choices[0].message.content or "",
        "".join(one.choices[0].delta.content or "" for one in chunks),
        response.output_text,
        last.output_text,
    }
    return {re.sub(r" \[\d+\]", "", text) for text in texts}


@pytest.mark.parametrize("question", [*QUESTIONS, FOLLOW_UP])
def test_clients_of_the_openai_api_are_told_the_same(question: str, server: Server) -> None:
    history = HISTORY if question == FOLLOW_UP else []
    asked = server.ask(question, history=history)
    wanted = asked["answer"]["text"] if asked["answer"] else NOT_FOUND
    assert texts_by_openai(server, question, history) == {wanted}


def test_the_widget_shows_the_same(server: Server, browser: Any) -> None:
    page = browser.new_context(reduced_motion="reduce").new_page()
    troubles: list[str] = []
    watch(page, troubles)
    page.goto(server.address)
    for question in (*QUESTIONS, DEVELOPER, FOLLOW_UP):
        if question != FOLLOW_UP:
            page.get_by_role("button", name="New conversation").click()
        page.locator("textarea").fill(question)
        page.locator("textarea").press("Enter")
        card = page.locator(".log > :last-child")
        api.expect(card.locator("article")).to_have_count(1)
        api.expect(card).not_to_have_attribute("aria-busy", "true")
        asked = server.ask(question, history=HISTORY if question == FOLLOW_UP else [])
        if asked["answer"] is None:
            assert card.locator("article.none").count() == 1 and card.locator("blockquote").count() == 0
            continue
        assert card.locator(".quote").text_content() == asked["answer"]["text"]
        quoted = [one for one in asked["answer"]["citations"] if one["role"] == "answer"]
        links = [one.get_attribute("href") for one in card.locator(".source a").all()]
        assert links and {*links} <= {server.address + one["url"] for one in quoted}
        marked = card.locator("mark:not(.label)").all_text_contents()
        assert marked[0] == quoted[0]["quote"]
    page.context.close()
    assert troubles == []
