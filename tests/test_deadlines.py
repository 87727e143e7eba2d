"""Connections to a real server: who is slow has to go, and nobody else; large bodies cost nothing."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.server import PATIENCE_SECONDS, Home, Server, wait_for

pytest_plugins = ("tests.server",)

Start = Callable[..., Server]

DEVELOPER = "Who developed PyTorch?"
DEADLINES = {"header_seconds": 2, "body_seconds": 3, "reply_seconds": 5, "idle_seconds": 2}
POST = b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BUNDLE = "/static-offline-docs/swagger-ui-bundle.js"
MEGABYTE = 1 << 20


@pytest.fixture(scope="module", params=[1, 2])
def server(
    request: pytest.FixtureRequest, library: Home, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    home = library.copy(tmp_path_factory.mktemp("deadlines"))
    server = Server(home, workers=request.param, **DEADLINES)
    server.client.close()
    # A connection that was kept may be closed for its idleness at the moment at which it is used again.
    server.client = httpx.Client(
        base_url=server.address, timeout=PATIENCE_SECONDS, limits=httpx.Limits(max_keepalive_connections=0)
    )
    yield server
    server.end()


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """Give a connection to a server."""
    address = server.client.base_url
    assert address.port is not None
    with socket.create_connection((address.host, address.port), PATIENCE_SECONDS) as ours:
        yield ours


def everything(ours: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := ours.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def one_reply(ours: socket.socket, request: bytes) -> int:
    """Return the status of the reply to a request on a connection that is kept."""
    ours.sendall(request)
    reply = http.client.HTTPResponse(ours)
    reply.begin()
    reply.read()
    return reply.status


def dripped(server: Server, first: bytes, drip: bytes) -> tuple[int, float]:
    """Return status and seconds until the end where `first` comes at once, then `drip` again and again."""
    with connected(server) as ours:
        begun = time.monotonic()
        ours.sendall(first)
        ours.settimeout(0.2)
        came = b""
        while time.monotonic() < begun + PATIENCE_SECONDS:
            try:
                part = ours.recv(1 << 16)
            except TimeoutError:
                pass
            except ConnectionResetError:
                break
            else:
                if not part:
                    break
                came += part
            with suppress(OSError):
                ours.sendall(drip)
        return int(came.split()[1]) if came else 0, time.monotonic() - begun


SLOW = {
    "nothing at all": (b"", b"", 0),
    "headers": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a", 408),
    "a body": (POST + b"Content-Length: 10000\r\n\r\n{", b" ", 408),
    "a body in chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 408),
    "the headers of the next request": (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G", 200),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", SLOW)
def test_who_sends_slowly_is_told_so_and_closed(server: Server, what: str) -> None:
    first, drip, wanted = SLOW[what]
    status, seconds = dripped(server, first, drip)
    assert status == wanted
    assert seconds > 0.9
    assert server.ask(DEVELOPER)["status"] == "answered"


@pytest.mark.slow
def test_a_slow_document_does_not_keep_the_writer(server: Server) -> None:
    put = b"PUT /v1/documents/slow.md HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n#"
    status, _ = dripped(server, put, b" ")
    assert status == 408
    assert server.client.get("/v1/documents/slow.md").status_code == 404


@pytest.mark.slow
def test_a_large_body_that_keeps_coming_has_the_time_it_needs(server: Server) -> None:
    document = b"# Steady\n\n" + b"The steady lamp burns. " * 20_000
    with connected(server) as ours:
        head = f"PUT /v1/documents/steady.md HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(document)}"
        ours.sendall(head.encode() + b"\r\nConnection: close\r\n\r\n")
        piece = len(document) // 45 + 1  # a hundred kilobytes a second, for longer than the deadline
        for at in range(0, len(document), piece):
            ours.sendall(document[at : at + piece])
            time.sleep(0.1)
        assert everything(ours).split()[1] == b"201"


@pytest.mark.slow
def test_who_reads_nothing_is_cut_off_and_who_reads_slowly_is_not(server: Server) -> None:
    ask = f"GET {BUNDLE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    whole = len(server.client.get(BUNDLE).content)
    with connected(server) as deaf, connected(server) as slow:
        deaf.sendall(ask * 20)
        slow.sendall(ask * 9 + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        came = 0
        begun = time.monotonic()
        while part := slow.recv(1 << 17):
            came += len(part)
            time.sleep(0.1 if time.monotonic() < begun + 8 else 0)
        assert came > 10 * whole
        assert wait_for(lambda: deaf.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "the reset")


@pytest.mark.slow
def test_events_come_for_as_long_as_their_reader_takes_them(server: Server) -> None:
    body = json.dumps({"question": DEVELOPER}).encode()
    head = POST + f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with connected(server) as ours:
        ours.sendall(head + body)
        time.sleep(5)  # longer than any of the deadlines; all of it is on its way meanwhile
        assert b"event: done" in everything(ours)


def _chunked(head: bytes, size: int) -> Iterator[bytes]:
    yield head + b"Transfer-Encoding: chunked\r\n\r\n"
    block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(size // 0x10000):
        yield block


def _resident(server: Server) -> int:
    """Return the most bytes of memory that a process of the server has had."""
    found = [server.process.pid]
    for pid in found:
        found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in found]
    return max(int(text.split("VmHWM:")[1].split()[0]) * 1024 for text in texts)


@pytest.mark.slow
@pytest.mark.parametrize("head", [POST, POST.replace(b"POST /v1/ask", b"GET /livez")], ids=["POST", "GET"])
def test_a_body_of_200_megabytes_takes_no_memory(server: Server, head: bytes) -> None:
    before = _resident(server)
    with connected(server) as ours:
        with suppress(ConnectionError):
            for part in _chunked(head, 200 * MEGABYTE):
                ours.sendall(part)
        status = everything(ours).split()[1]
    assert status == (b"413" if head is POST else b"200")
    assert _resident(server) - before < 32 * MEGABYTE  # on a busy machine 17 were seen, mostly 2


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    with connected(server) as ours:
        ours.sendall(POST + b"Content-Length: 200000000\r\nExpect: 100-continue\r\n\r\n")
        reply = everything(ours)
    assert reply.startswith(b"HTTP/1.1 413 ") and b"connection: close" in reply


def test_a_client_that_waits_to_be_told_is_told_to_go_on(server: Server) -> None:
    body = json.dumps({"question": DEVELOPER}).encode()
    with connected(server) as ours:
        ours.sendall(POST + f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n".encode())
        ours.sendall(b"Connection: close\r\n\r\n")
        assert ours.recv(1 << 16).startswith(b"HTTP/1.1 100 ")
        ours.sendall(body)
        assert everything(ours).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_packed_bodies_are_refused(server: Server, method: str) -> None:
    path = "/v1/documents/packed.md" if method == "PUT" else "/v1/ask"
    for packing in ("gzip", "br", "identity, gzip"):
        reply = server.client.request(method, path, content=b"x", headers={"Content-Encoding": packing})
        assert reply.status_code == 415 and reply.json()["type"].endswith(":packed-body")
        assert reply.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nnothing\r\n", 400),
    ],
)
def test_what_is_not_http_is_refused_as_a_problem(server: Server, sent: bytes, status: int) -> None:
    with connected(server) as ours:
        ours.sendall(sent)
        head, _, body = everything(ours).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()) and b"application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == status and problem["request_id"].encode() in head


@pytest.mark.slow
def test_who_is_cut_off_is_counted(server: Server) -> None:
    def counted(reason: str) -> float:
        found = re.search(
            rf'^pullquote_connections_cut_total{{reason="{reason}"}} (\S+)',
            server.client.get("/metrics").text,
            re.M,
        )
        assert found is not None
        return float(found[1])

    before = {one: counted(one) for one in ("headers", "body", "malformed")}
    with connected(server) as ours:
        ours.sendall(b"nothing like HTTP\r\n\r\n")
        everything(ours)
    for what in ("headers", "a body"):
        first, drip, _ = SLOW[what]
        dripped(server, first, drip)
    assert {one: counted(one) - was for one, was in before.items()} == dict.fromkeys(before, 1)
    assert re.search(r"^pullquote_connections [1-9]", server.client.get("/metrics").text, re.M)


@pytest.mark.slow
def test_beyond_the_bound_the_one_idle_for_longest_goes(home: Home, start: Start) -> None:
    server = start(home, max_connections=4)
    server.client.close()
    with ExitStack() as stack:
        first, *others = [stack.enter_context(connected(server)) for _ in range(5)]
        assert first.recv(1) == b""
        for one in others:
            assert one_reply(one, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200
        # Those with a request under way stay; the newcomer is told that there is no room.
        for one in others:
            one.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 50\r\n\r\n")
            assert one.recv(1 << 16).startswith(b"HTTP/1.1 100 ")
        newcomer = stack.enter_context(connected(server))
        newcomer.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reply = everything(newcomer)
    assert reply.startswith(b"HTTP/1.1 503 ") and b"retry-after: 2" in reply
    assert b"too-many-connections" in reply


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_ends_first_and_what_was_accepted_is_answered(
    home: Home, start: Start, workers: int
) -> None:
    server = start(home, workers=workers)
    with ExitStack() as stack:
        probe = stack.enter_context(connected(server))
        assert _readiness(probe) == 200
        # Connected and sent, all of them: who has not come by the signal may be refused.
        askers = [stack.enter_context(connected(server)) for _ in range(8)]
        for number, one in enumerate(askers):
            one.sendall(f"GET /v1/ask?q=Who+made+{number}%3F HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server.process.terminate()
        wait_for(lambda: _readiness(probe) in (503, 0), "readiness to end")
        assert [one_reply(one, b"") for one in askers] == [200] * 8
    assert server.process.wait(30) == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_who_asks_once_more_on_a_connection_that_is_kept_is_answered(
    home: Home, start: Start, workers: int
) -> None:
    server = start(home, workers=workers)
    asking = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(server) as asker:
        assert one_reply(asker, asking) == 200
        server.process.terminate()
        time.sleep(1.0)
        asker.sendall(asking)
        reply = everything(asker)
    assert reply.startswith(b"HTTP/1.1 200 ") and b"connection: close" in reply
    assert server.process.wait(30) == 0


def _readiness(probe: socket.socket) -> int:
    """Return the status of /readyz on a connection that is kept; 0 where it was closed."""
    try:
        return one_reply(probe, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    except (ConnectionError, http.client.HTTPException):
        return 0
