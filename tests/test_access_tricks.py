"""No spelling of an address, no header and no half of a body leads around what a route needs."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import anyio
import pytest
from fastapi import FastAPI

from tests.judged import FAR, OWN, ask_at
from tests.server import Home, Server, unwired

pytest_plugins = ("tests.server", "tests.contract")


CHANGES = [
    ("PUT", "/v1/documents/trick.md"),
    ("POST", "/v1/reindex"),
    ("DELETE", "/v1/jobs/1"),
    ("POST", "/v1/index/rollback"),
]


def spelled(path: str) -> set[str]:
    """Return ways to write a path that some servers read as the same."""
    first, rest = path[1:].split("/", 1)
    return {
        *(f"/{path}", f"//{first}//{rest}", f"/./{first}/{rest}", f"/{first}/./{rest}", f"/x/..{path}"),
        *(f"/v1/ask/..{path}", f"/v1/ask/%2e%2e{path}", f"/v1/ask/%2e%2e%2f{rest}", f"/%2e{path}"),
        *(f"/{first}%2F{rest}", f"/v1%2f{rest}", f"/%76%31/{rest}", f"\\v1\\{rest}", f"/V1/{rest}"),
        *(path.upper(), f"{path}/", f"{path}//", f"{path}%00", f"{path};x=1", f"{path}%20", f"{path}%0A"),
        *(f"{path}.json", f"{path}%3Fq=1", f"{path}?q=1", f"{path}#/v1/ask", f"http://localhost{path}"),
        *(f"{page}{path}" for page in ("/widget.js", "/livez/..", "/docs", "/static-offline-docs")),
        *(f"{folder}/..{path}" for folder in ("/static-offline-docs", "/assets", "/documents")),
        f"/v1/documents/..%2f..{path}",
    }


OVERRIDES = [
    {},
    {"X-HTTP-Method-Override": "GET"},
    {"X-Method-Override": "GET"},
    {"X-Original-URL": "/livez"},
    {"X-Rewrite-URL": "/livez"},
    {"X-Forwarded-Prefix": "/v1"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Real-IP": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-API-Key": "pq_admin_000000000000_" + "0" * 48},
    {"Authorization": "Bearer "},
    {"Authorization": f"Basic {OWN}"},
    {"Cookie": f"key={OWN}"},
]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "put", "PROPFIND", "QUERY"]


def raw(app: FastAPI, method: str, path: str, headers: dict[str, str]) -> int:
    """Return the status of a request whose path nobody has tidied up on the way."""
    sent: list[int] = []
    bare, _, query = path.partition("?")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"dry_run": true}', "more_body": False}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(bare),
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")]
        + [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": (FAR, 1),
        "server": ("localhost", 80),
    }
    anyio.run(app, scope, receive, send)
    return sent[0]


def test_no_spelling_and_no_header_changes_anything(home: Home) -> None:
    done: list[str] = []
    with unwired(home, admin_key=OWN, rate_per_minute=0) as request:
        keeper = request.app.state.keeper
        for name in ("put_document", "remove_document", "request_refresh", "roll_back"):
            setattr(keeper, name, lambda *_, name=name, **__: done.append(name))
        for method, path in CHANGES:
            for spelling in spelled(path) | {path}:
                for other, headers in itertools.product(METHODS, OVERRIDES[:1]):
                    assert raw(request.app, other, spelling, headers) in (
                        200,
                        307,
                        400,
                        401,
                        403,
                        404,
                        405,
                        422,
                    )
                for headers in OVERRIDES:
                    status = raw(request.app, method, spelling, headers)
                    assert status in (400, 401, 403, 404, 405), (method, spelling, headers)
        assert done == []
        # The same request does get there with the key, so it is the key that was missing.
        assert raw(request.app, "POST", "/v1/reindex", {"X-API-Key": OWN}) == 500 and done == [
            "request_refresh"
        ]


def test_what_was_judged_as_another_route_is_not_served(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the two readings of an address ever differ, nothing is served."""
    with unwired(home, admin_key=OWN) as request:
        monkeypatch.setattr("service.permits.patterns_of", lambda _: [])
        for method, path in (("GET", "/v1/documents"), ("POST", "/v1/reindex"), ("GET", "/v1/index")):
            reply = ask_at(request, method, path)
            assert reply.status_code == 403 and reply.json()["type"].endswith(":not-judged")


@pytest.mark.slow
def test_a_real_server_is_not_tricked_either(home: Home, start: Callable[..., Server]) -> None:
    server = start(home, admin_key=OWN)
    address = server.client.base_url
    before = server.get("/v1/index")["version"]

    def status(line: str, *headers: str) -> int:
        with socket.create_connection((address.host, address.port), timeout=60) as connection:
            head = "\r\n".join([line, *headers, "Connection: close", "Content-Length: 2", "", "hi"])
            connection.sendall(head.encode())
            return int(connection.makefile("rb").readline().split()[1])

    host = f"Host: {address.host}"
    for path in sorted(spelled("/v1/documents/trick.md") | {"/v1/documents/trick.md"}):
        if "\\" not in path and "#" not in path:
            assert status(f"PUT {path} HTTP/1.1", host) in (400, 401, 403, 404, 405), path
    # Two Host headers, one that is none, and a target with a host of its own.
    assert status("GET /v1/index HTTP/1.1", host, "Host: evil.example") == 400
    assert status("GET /v1/index HTTP/1.1", "Host: evil.example:99999") == 400
    assert status("GET http://evil.example/v1/index HTTP/1.1", host) == 404
    assert status("PUT http://127.0.0.1/v1/documents/trick.md HTTP/1.1", host) in (401, 404)
    assert status("GET /livez HTTP/1.1", "Host: a b c") == 200
    assert not (home.corpus / "trick.md").exists() and server.get("/v1/index")["version"] == before


def test_nothing_of_a_body_is_read_for_who_may_not_send_it(shelf: Home) -> None:
    read: list[bytes] = []

    def parts() -> Iterator[bytes]:
        for _ in range(3):
            read.append(b"x" * 1000)
            yield read[-1]

    with unwired(shelf, admin_key=OWN, require_key=True) as request:
        for method, path in (
            *CHANGES,
            ("POST", "/v1/ask"),
            ("POST", "/v1/chat/completions"),
            ("POST", "/mcp"),
        ):
            assert request(method, path, content=parts()).status_code == 401
    assert read == []
