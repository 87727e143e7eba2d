"""Other people's clients on a real server: the `openai` package on Node, and deep-chat in a foreign page."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api as api

from service.openai_text import NOT_FOUND
from tests.browser import NODE, lacking
from tests.contract import DEVELOPER
from tests.pages import served
from tests.server import ARTICLE, PATIENCE_SECONDS, ROOT, Home, Reply, Server

pytest_plugins = ("tests.server", "tests.contract", "tests.browser")
pytestmark = pytest.mark.slow

CLIENTS = ROOT / "tests/clients"
DEEP_CHAT = CLIENTS / "node_modules/deep-chat/dist/deepChat.bundle.js"
PAGE = (ROOT / "docs/openai.md").read_text(encoding="utf-8")
NOWHERE = "What is the capital of France?"
LISTED = "Which industries prefer PyTorch?"
QUESTIONS = [DEVELOPER, LISTED, "When did TensorFlow come out?", NOWHERE, "hello"]


@pytest.fixture(scope="module")
def server(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that pages of one other origin may ask."""
    started = Server(library.copy(tmp_path_factory.mktemp("clients")))
    yield started
    started.end()


def node(script: Path | str, *arguments: str) -> str:
    """Return what a script prints, run where the clients are."""
    if NODE is None or not (CLIENTS / "node_modules/openai").is_dir():
        lacking("Node with the clients; `make clients` brings them")
    given = [str(script)] if isinstance(script, Path) else ["--input-type=module", "-e", script]
    done = subprocess.run(
        [NODE, *given, *arguments],
        cwd=CLIENTS,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- openai on Node


@pytest.fixture(scope="module")
def told(server: Server) -> Reply:
    """Return all that the `openai` package made of the server."""
    read: Reply = json.loads(node(CLIENTS / "ask.mjs", server.address, *QUESTIONS))
    return read


@pytest.mark.parametrize("question", QUESTIONS)
def test_node_gets_the_same_answers(question: str, told: Reply, server: Server) -> None:
    asked, found = server.ask(question), told["answers"][question]
    texts = {found["chat"]["content"]} | {found[one]["text"] for one in ("chunks", "response", "last")}
    assert len(texts) == 1
    assert re.sub(r" \[\d+\]", "", texts.pop()) == (asked["answer"]["text"] if asked["answer"] else NOT_FOUND)
    assert found["status"] == asked["status"]
    assert (found["chunks"]["roles"], found["chunks"]["finish"]) == (["assistant"], "stop")
    assert found["chunks"]["tokens"] > 0
    assert found["response"]["annotations"] == found["last"]["annotations"]
    quoted = [one for one in (asked["answer"] or {"citations": []})["citations"] if one["role"] == "answer"]
    assert [one["url"] for one in found["response"]["annotations"]] == [
        server.address + one["url"] for one in quoted
    ]
    assert [one["url_citation"]["title"] for one in found["chat"]["annotations"]] == [
        one["title"] for one in quoted
    ]
    assert [found["events"][0], found["events"][-1]] == ["response.created", "response.completed"]


def test_node_embeds_lists_models_and_reads_errors(told: Reply) -> None:
    packed, plain = told["embeddings"]
    assert len(packed) == len(plain) == 2
    for one, other in zip(packed, plain, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert told["models"] == ["pullquote", "pullquote"]
    assert told["left"] == "assistant"
    unknown, several, tools = told["refused"]
    assert unknown == {
        "name": "NotFoundError",
        "status": 404,
        "code": "model_not_found",
        "param": "model",
    }
    assert (several["name"], several["param"]) == ("BadRequestError", "n")
    assert (tools["name"], tools["param"]) == ("BadRequestError", "tools")


def test_the_example_for_node_runs(server: Server) -> None:
    (example,) = re.findall(r"^```js\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert node(example.replace("http://localhost:8000", server.address)) == "Facebook AI Research [1]\n"


# ---------------------------------------------------------------- deep-chat

WAYS = [
    ("completions", "chat/completions", False),
    ("completions", "chat/completions", True),
    ("chat", "responses", False),
    ("chat", "responses", True),
]


def chat(address: str, way: str, path: str, *, stream: bool) -> str:
    """Return the page of somebody who has deep-chat and knows no Pullquote."""
    direct = json.dumps({"openAI": {way: True, "key": "none"}})
    connect = json.dumps(
        {"url": f"{address}/v1/{path}", "stream": stream, "additionalBodyProps": {"model": "pullquote"}}
    )
    return (
        "<!doctype html><title>Chat</title><script type=module src=/deepChat.bundle.js></script>"
        f'<deep-chat directConnection="{escape(direct)}" connect="{escape(connect)}"></deep-chat>'
    )


def ask(page: Any, question: str, said: str) -> None:
    """Ask as people do, and wait for the reply."""
    page.locator("deep-chat #text-input").fill(question)
    page.keyboard.press("Enter")
    shown = page.locator("deep-chat .ai-message-text, deep-chat .error-message-text")
    api.expect(shown.last).to_have_text(said)
    # It takes no question before the last stream has ended.
    api.expect(page.locator("deep-chat .streamed-message")).to_have_count(0)


@pytest.mark.parametrize(("way", "path", "stream"), WAYS)
def test_a_foreign_widget_shows_the_answers(
    way: str, path: str, stream: bool, library: Home, browser: Any, tmp_path: Path
) -> None:
    if not DEEP_CHAT.is_file():
        lacking("deep-chat; `make clients` brings it")
    pages: dict[str, str | Path] = {"/deepChat.bundle.js": DEEP_CHAT}
    with served(pages) as site:
        server = Server(library.copy(tmp_path), allowed_origins=site)
        page = browser.new_context().new_page()
        asked: list[Reply] = []
        page.on("request", lambda one: asked.append(one.post_data_json) if one.method == "POST" else None)
        page.route("https://**", lambda route: route.abort())  # it asks Google for a typeface
        try:
            pages["/"] = chat(server.address, way, path, stream=stream)
            page.goto(site)
            ask(page, DEVELOPER, "Facebook AI Research [1]")
            ask(page, "And TensorFlow?", "Google Brain [1]")
            ask(page, NOWHERE, NOT_FOUND)
            assert len(asked) == 3 and bool(asked[0].get("stream")) is stream
            assert asked[0]["model"] == "pullquote"
        finally:
            page.context.close()
            server.end()


def test_the_example_for_deep_chat_runs(library: Home, browser: Any, tmp_path: Path) -> None:
    if not DEEP_CHAT.is_file():
        lacking("deep-chat; `make clients` brings it")
    (example,) = re.findall(r"^```html\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    pages: dict[str, str | Path] = {"/deepChat.bundle.js": DEEP_CHAT}
    with served(pages) as site:
        server = Server(library.copy(tmp_path), allowed_origins=site)
        page = browser.new_context().new_page()
        page.route("https://**", lambda route: route.abort())
        try:
            pages["/"] = example.replace("http://localhost:8000", server.address)
            page.goto(site)
            ask(page, DEVELOPER, "Facebook AI Research [1]")
        finally:
            page.context.close()
            server.end()


def test_the_article_is_what_they_quote(told: Reply) -> None:
    urls = [one["url"] for one in told["answers"][DEVELOPER]["response"]["annotations"]]
    assert [ARTICLE.name in one and "#c=" in one for one in urls] == [True]
