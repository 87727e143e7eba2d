"""The Model Context Protocol, asked by its official client: over HTTP and over standard input and output."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp_types import CallToolResult, TextContent, TextResourceContents

from tests.contract import DEVELOPER, ODD, check_problem
from tests.server import ARTICLE, COMMAND, PATIENCE_SECONDS, ROOT, Home, Reply, Server, unwired

pytest_plugins = ("tests.server", "tests.contract")
pytestmark = pytest.mark.slow

TOOLS = ["ask", "search", "get_passage", "list_documents", "verify_quote"]
NOWHERE = "What is the capital of France?"
PAGE = (ROOT / "docs/mcp.md").read_text(encoding="utf-8")

T = TypeVar("T")
Connect = Callable[[Callable[[Client], Awaitable[T]]], T]


@pytest.fixture(scope="module")
def server(shelf: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of the shelf."""
    started = Server(shelf.copy(tmp_path_factory.mktemp("mcp")))
    yield started
    started.end()


def over_stdio(home: Home) -> StdioServerParameters:
    """Return how a program starts `pullquote mcp` at `home`."""
    environment = home.environment()
    return StdioServerParameters(
        command=str(COMMAND), args=["mcp"], env=environment, cwd=str(home.folder.parent)
    )


WAYS = ["http", "http legacy", "stdio", "stdio legacy"]
"""In both ages of the protocol: with the handshake of 2025, and without."""


@pytest.fixture(params=["http", "stdio legacy"])
def connect(request: pytest.FixtureRequest, server: Server) -> Connect[Any]:
    """Return what gives a connected client to a coroutine."""
    way: str = request.param
    return lambda use: connected(server, way, use)


def connected(server: Server, way: str, use: Callable[[Client], Awaitable[T]]) -> T:
    """Return what `use` makes of a client that came one of WAYS."""
    to = f"{server.address}/mcp" if way.startswith("http") else over_stdio(server.home)

    async def run() -> T:
        mode = "legacy" if way.endswith("legacy") else "auto"
        async with Client(to, mode=mode, read_timeout_seconds=PATIENCE_SECONDS) as client:
            return await use(client)

    return asyncio.run(run())


def data(result: CallToolResult) -> Reply:
    """Return what a call that succeeded gives; its text says the same."""
    assert not result.is_error, result.content
    [text] = result.content
    assert isinstance(text, TextContent)
    assert json.loads(text.text) == result.structured_content
    read: Reply = result.structured_content
    return read


def message(result: CallToolResult) -> str:
    """Return what a call that failed says."""
    assert result.is_error, result.content
    assert result.structured_content is None
    [text] = result.content
    assert isinstance(text, TextContent)
    return text.text


def timeless(reply: Reply) -> Reply:
    """Return a reply without how long it took."""
    return {name: value for name, value in reply.items() if name != "took_ms"}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_leads_to_the_same_tools(server: Server, way: str) -> None:
    async def use(client: Client) -> tuple[list[str], str]:
        answer = data(await client.call_tool("ask", {"question": DEVELOPER}))["answer"]
        return [tool.name for tool in (await client.list_tools()).tools], answer["text"]

    assert connected(server, way, use) == (TOOLS, "Facebook AI Research")


def test_every_tool_is_described_reads_only_and_gives_what_it_promises(connect: Connect[None]) -> None:
    async def use(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert [*tools] == TOOLS
        passage = f"{ARTICLE.name}#"
        found = data(await client.call_tool("search", {"question": DEVELOPER, "documents": [ARTICLE.name]}))
        first = found["passages"][0]
        assert first["passage_id"].startswith(passage)
        calls: dict[str, Reply] = {
            "ask": {"question": DEVELOPER},
            "search": {"question": "deployment on phones", "top_k": 3},
            "get_passage": {"passage_id": first["passage_id"]},
            "list_documents": {},
            "verify_quote": {"document_id": ARTICLE.name, "quote": "Facebook AI Research"},
        }
        for name, arguments in calls.items():
            tool = tools[name]
            assert tool.description and tool.annotations and tool.annotations.read_only_hint
            assert tool.annotations.open_world_hint is False
            jsonschema.validate(arguments, tool.input_schema)
            given = data(await client.call_tool(name, arguments))
            assert tool.output_schema is not None
            jsonschema.validate(given, tool.output_schema)
        passed = data(await client.call_tool("get_passage", calls["get_passage"]))
        assert passed["text"] == first["text"] and passed["heading_path"] == first["heading_path"]

    connect(use)


def test_answers_are_those_of_rest(server: Server, connect: Connect[None]) -> None:
    history = [
        {"role": "user", "content": DEVELOPER},
        {"role": "assistant", "content": "Facebook AI Research"},
    ]
    questions: list[Reply] = [
        {"question": DEVELOPER},
        {"question": NOWHERE},
        {"question": "and TensorFlow?", "history": history, "top_k": 2},
        {"question": "hello"},
        {"question": "What is the quagga?", "documents": ["odd names/"]},
    ]

    async def use(client: Client) -> None:
        for asked in questions:
            body = dict(asked)
            if "documents" in body:
                body["filter"] = {"documents": body.pop("documents")}
            over_rest = server.post("/v1/ask", body)
            assert timeless(data(await client.call_tool("ask", asked))) == timeless(over_rest)
        found = data(await client.call_tool("search", {"question": "phones", "top_k": 2}))
        assert timeless(found) == timeless(server.get("/v1/search", q="phones", top_k=2))

    connect(use)


def test_passages_lead_to_their_neighbours(server: Server) -> None:
    async def use(client: Client) -> list[Reply]:
        first = data(await client.call_tool("search", {"question": DEVELOPER, "documents": [ARTICLE.name]}))
        walked, at = [], first["passages"][0]["passage_id"]
        while at is not None:
            walked.append(data(await client.call_tool("get_passage", {"passage_id": at})))
            at = walked[-1]["after"]
        return walked

    walked = connected(server, "http", use)
    text = server.client.get(f"/v1/documents/{ARTICLE.name}/text").text
    assert len(walked) > 1
    for one, after in pairwise(walked):
        assert after["before"] == one["passage_id"] and after["start_char"] >= one["start_char"]
    assert all(one["text"] == text[one["start_char"] : one["end_char"]] for one in walked)


def test_documents_come_by_pages_and_unreadable_ones_with_their_problem(
    server: Server, connect: Connect[None]
) -> None:
    listed = server.get("/v1/documents")["documents"]

    async def use(client: Client) -> None:
        found: list[Reply] = []
        cursor = None
        while True:
            wanted = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = data(await client.call_tool("list_documents", wanted))
            found += page["documents"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == listed
        assert any(one["problem"] for one in found)

    connect(use)


def test_every_document_is_a_resource(server: Server, connect: Connect[None]) -> None:
    readable = [one["id"] for one in server.get("/v1/documents")["documents"] if not one["problem"]]

    async def use(client: Client) -> None:
        resources = (await client.list_resources()).resources
        assert [one.name for one in resources] == readable and ODD in readable
        [template] = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "doc://{id}"
        for one in resources:
            [content] = (await client.read_resource(one.uri)).contents
            assert isinstance(content, TextResourceContents)
            assert content.text == server.client.get(f"/v1/documents/{one.uri[6:]}/text").content.decode()
        with pytest.raises(MCPError, match="no document of that address"):
            await client.read_resource("doc://gone.md")
        with pytest.raises(MCPError, match="no document of that address"):
            await client.read_resource(f"file:///{ARTICLE.name}")

    connect(use)


def test_a_quotation_holds_moves_or_is_gone(server: Server, connect: Connect[None]) -> None:
    text = server.client.get(f"/v1/documents/{ARTICLE.name}/text").text
    words = "Facebook AI Research"
    at = text.index(words)
    cited = {"document_id": ARTICLE.name, "quote": words}

    async def use(client: Client) -> None:
        async def verified(**more: object) -> tuple[str, int | None]:
            given = data(await client.call_tool("verify_quote", {**cited, **more}))
            return given["status"], given["start_char"]

        assert await verified() == ("holds", at)
        assert await verified(start_char=at, end_char=at + len(words)) == ("holds", at)
        assert await verified(start_char=at) == ("holds", at)
        assert await verified(start_char=at + 1) == ("moved", at)
        assert await verified(quote="Nobody ever wrote this.") == ("gone", None)
        assert await verified(document_id="gone.md") == ("gone", None)

    connect(use)


WRONG: list[tuple[str, Reply, str]] = [
    ("ask", {}, "question: Field required"),
    ("ask", {"question": ""}, "question: "),
    ("ask", {"question": "x" * 2001}, "question: a question has at most 2000 characters"),
    ("ask", {"question": "x", "top_k": 0}, "top_k: "),
    ("ask", {"question": "x", "top_k": 51}, "top_k: at most 50"),
    ("ask", {"question": "x", "history": [{"role": "system", "content": "y"}]}, "history.0.role: "),
    ("search", {"question": "x", "loud": True}, "loud: Extra inputs are not permitted"),
    ("search", {"question": "x", "documents": "y"}, "documents: "),
    ("get_passage", {"passage_id": "gone.md#0-3"}, "no passage with that id"),
    ("get_passage", {"passage_id": f"{ARTICLE.name}#1-2"}, "no passage with that id"),
    ("get_passage", {"passage_id": "nothing"}, "no passage with that id"),
    ("list_documents", {"limit": 0}, "limit: "),
    ("list_documents", {"cursor": "???"}, "not a cursor"),
    ("verify_quote", {"document_id": ARTICLE.name, "quote": ""}, "quote: "),
    ("verify_quote", {"document_id": ARTICLE.name, "quote": "x", "start_char": -1}, "start_char: "),
]


def test_what_is_wrong_is_an_error_that_says_what(connect: Connect[None]) -> None:
    async def use(client: Client) -> None:
        for name, arguments, expected in WRONG:
            assert expected in message(await client.call_tool(name, arguments)), (name, arguments)
        with pytest.raises(MCPError, match="no such tool"):
            await client.call_tool("delete_everything", {})

    connect(use)


def rpc(server: Server, method: str, params: Reply, **headers: str) -> httpx.Response:
    """Return the reply to one message, as a client writes it that knows only the protocol of 2025."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    given = {"Accept": "application/json, text/event-stream", **headers}
    return server.client.post("/mcp", json=body, headers=given)


def test_one_message_is_enough_and_its_reply_is_json(server: Server) -> None:
    reply = rpc(server, "tools/call", {"name": "ask", "arguments": {"question": DEVELOPER}})
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["result"]["structuredContent"]["answer"]["text"] == "Facebook AI Research"
    assert reply.headers["x-request-id"] and reply.headers["x-index-version"]
    assert "mcp-session-id" not in reply.headers


def test_other_methods_and_bodies_are_refused(server: Server) -> None:
    for method in ("GET", "DELETE", "PUT"):
        reply = server.client.request(method, "/mcp", headers={"Accept": "text/event-stream"})
        assert reply.status_code == 405
        check_problem(reply)
    large = server.client.post(
        "/mcp", content=b" " * (1024 * 1024 + 1), headers={"Content-Type": "application/json"}
    )
    assert large.status_code == 413
    check_problem(large)
    unread = server.client.post("/mcp", content=b"{", headers={"Content-Type": "application/json"})
    assert unread.status_code == 400


def test_foreign_hosts_and_pages_are_refused(home: Home, start: Callable[..., Server]) -> None:
    server = start(home, allowed_hosts="docs.example, 127.0.0.1", allowed_origins="https://a.example")
    refused = {
        "unknown-host": [{"Host": "evil.example"}],
        "foreign-origin": [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://[", "Host": "127.0.0.1"},
        ],
    }
    for slug, senders in refused.items():
        for sender in senders:
            reply = rpc(server, "tools/list", {}, **sender)
            assert reply.status_code in (400, 403), sender
            check_problem(reply)
            assert reply.json()["type"].endswith(slug)
    welcome = [
        {},
        {"Host": "docs.example:8000"},
        {"Origin": "https://a.example"},
        {"Origin": "http://docs.example", "Host": "docs.example"},
    ]
    assert [rpc(server, "tools/list", {}, **one).status_code for one in welcome] == [200] * len(welcome)


def test_a_page_that_makes_its_name_lead_here_is_refused(server: Server) -> None:
    rebound = {"Origin": "http://evil.example:8000", "Host": "evil.example:8000"}
    assert rpc(server, "tools/list", {}, **rebound).status_code == 403
    local = {"Origin": "http://localhost:8000", "Host": "localhost:8000"}
    assert rpc(server, "tools/list", {}, **local).status_code == 200


def test_a_server_that_is_not_running_says_so(shelf: Home) -> None:
    with unwired(shelf, read_only=True) as request:
        reply = request("POST", "/mcp", json={})
        assert reply.status_code == 503
        check_problem(reply)


def test_many_can_call_at_once_and_the_server_ends_in_time(home: Home, start: Callable[..., Server]) -> None:
    server = start(home)

    async def run() -> list[str]:
        async def ask(number: int) -> str:
            async with Client(f"{server.address}/mcp", read_timeout_seconds=PATIENCE_SECONDS) as client:
                found = data(await client.call_tool("ask", {"question": DEVELOPER}))
                return str(found["answer"]["text"])

        return await asyncio.gather(*(ask(number) for number in range(8)))

    assert asyncio.run(run()) == ["Facebook AI Research"] * 8
    assert server.stop() == 0
    assert not [one for one in server.messages() if one["level"] == "error"]


def test_over_stdio_changes_are_seen_and_nothing_else_is_written(home: Home) -> None:
    async def run() -> None:
        async with Client(over_stdio(home), read_timeout_seconds=PATIENCE_SECONDS) as client:
            asked = {"question": "Who is Otto?"}
            assert data(await client.call_tool("ask", asked))["status"] == "not_found"
            home.write("otto.md", "Otto is the zebra of Larkfield.\n")
            assert home.run("index").returncode == 0
            for _ in range(100):
                found = data(await client.call_tool("ask", asked))
                if found["status"] == "answered":
                    return
                await asyncio.sleep(0.1)
            raise AssertionError("the change was not taken up")

    asyncio.run(run())


def test_standard_output_has_messages_of_the_protocol_alone(home: Home) -> None:
    """Law: a client that closes its end at once still gets every reply, and nothing else comes."""
    asked = {"name": "ask", "arguments": {"question": DEVELOPER}}
    bodies = [
        {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": asked} for number in range(1, 5)
    ]
    bodies.append({"jsonrpc": "2.0", "id": 5, "method": "tools/list", "params": {}})
    gone = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}}
    first = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    done = subprocess.run(
        [COMMAND, "mcp"],
        cwd=home.folder,
        env=home.environment(log_level="debug"),
        input="".join(json.dumps(one) + "\n" for one in (first, ready, *bodies, gone)),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["id"] for one in replies} >= {0, 1, 2, 3, 5}  # 4 may be answered before it is called off
    assert all("result" in one for one in replies if one["id"] != 4), replies
    assert "index in use" in done.stderr


DEEP = 50_000


@pytest.mark.parametrize(
    "body",
    [
        "[" * DEEP,
        "[" * DEEP + "]" * DEEP,
        '{"params":' * DEEP + "1" + "}" * DEEP,
        "9" * 5000,
        "NaN",
        '"\\ud800"',
        "",
    ],
    ids=["open", "lists", "objects", "digits", "nan", "surrogate", "nothing"],
)
def test_no_body_breaks_the_address(body: str, server: Server) -> None:
    """Law: depth, digits and half characters are refused, wherever in a message they stand."""
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    call = '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ask", "arguments": %s}}'
    for text in (body, call % body):
        reply = server.client.post("/mcp", content=text.encode(), headers=headers)
        assert 400 <= reply.status_code < 500 or "error" in reply.json() or reply.json()["result"]["isError"]
    assert server.get("/livez")


def test_without_an_index_the_command_says_what_to_do(exported_encoder: Path, tmp_path: Path) -> None:
    done = Home(tmp_path, exported_encoder).run("mcp")
    assert done.returncode == 1
    assert "pullquote index" in done.stderr and done.stdout == ""


# ---------------------------------------------------------------- docs/mcp.md


def blocks(language: str) -> list[str]:
    """Return the page's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_of_the_page_runs(server: Server) -> None:
    [example] = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", example.replace("http://127.0.0.1:8000", server.address)],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"Facebook AI Research - {ARTICLE.name}"


def test_the_configurations_of_the_page_connect(server: Server) -> None:
    local, remote = (json.loads(block)["mcpServers"]["pullquote"] for block in blocks("json"))
    root = "/path/to/pullquote"
    arguments = [one.replace(f"{root}/var", str(server.home.data)) for one in local["args"]]
    command = local["command"].replace(f"{root}/.venv/bin", str(COMMAND.parent))
    url = remote["url"].replace("http://127.0.0.1:8000", server.address)
    parameters = StdioServerParameters(
        command=command, args=arguments, env={"PULLQUOTE_MODEL": str(server.home.encoder)}
    )

    async def names(to: str | StdioServerParameters) -> list[str]:
        async with Client(to, read_timeout_seconds=PATIENCE_SECONDS) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert asyncio.run(names(parameters)) == asyncio.run(names(url)) == TOOLS


def test_the_page_names_every_tool_and_argument(server: Server) -> None:
    async def use(client: Client) -> dict[str, list[str]]:
        return {one.name: [*one.input_schema["properties"]] for one in (await client.list_tools()).tools}

    tools = connected(server, "http", use)
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    assert {name: sorted(re.findall(r"`(\w+)`", takes)) for name, takes in rows.items()} == {
        name: sorted(arguments) for name, arguments in tools.items()
    }


def test_the_server_starts_without_the_protocol() -> None:
    code = "import sys, service.app, service.__main__; print('mcp' in sys.modules, 'jwt' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.split() == ["False", "False"]
