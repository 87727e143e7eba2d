"""Requests for the one worker that writes, handed on to it by the others over a Unix socket.

What is handed on is the request as it came (the ASGI messages), not HTTP: nothing is parsed a second time,
and the sender's address is the one that the connection was taken from, which no header can say.

A connection carries one request. Each message is a frame: a letter, the length of what follows (4 bytes, big
endian), and that. HEAD is JSON, the scope on the way there and status and headers on the way back; PART is
some of a body and LAST the end of it.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.deadlines import LATE
from service.problems import Refused

HEAD, PART, LAST, TOO_LATE = b"H", b"P", b"L", b"T"

HOLD_SECONDS = 3.0
"""How long a request waits for a writer that is being started again, which takes one to two."""

LOOK_SECONDS = 0.05
"""How often it looks meanwhile."""

GRACE_SECONDS = 25.0
"""How long requests that were handed in may take once the server is told to end."""

REST_SECONDS = 5.0
"""How long the rest of a body is taken that nobody wants, so that the reply to it arrives whole."""

RETRY_AFTER = {"Retry-After": "2"}

log = structlog.get_logger()


def is_for_writer(method: str, path: str) -> bool:
    """Return whether a request changes something, or asks for what only the one that changes it knows."""
    if path.startswith("/v1/documents/"):
        return method in ("PUT", "DELETE")
    return path.startswith("/v1/jobs/") or path in ("/v1/index", "/v1/index/rollback", "/v1/reindex")


async def _write(writer: asyncio.StreamWriter, kind: bytes, content: bytes) -> None:
    writer.write(struct.pack(">cI", kind, len(content)))
    writer.write(content)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack(">cI", await reader.readexactly(5))
    return kind, await reader.readexactly(length)


def _written(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def _headers(written: list[list[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in written]


PLAIN = ("http_version", "scheme", "method", "path", "root_path")
BYTES = ("raw_path", "query_string")
ADDRESSES = ("client", "server")
"""What is handed on of a scope, beside the headers."""


def _packed(scope: Scope) -> bytes:
    """Return what a scope says of the request."""
    values: dict[str, Any] = {name: scope.get(name) for name in (*PLAIN, *ADDRESSES)}
    values |= {name: scope.get(name, b"").decode("latin-1") for name in BYTES}
    return json.dumps(values | {"headers": _written(scope["headers"])}).encode()


def _unpacked(content: bytes) -> Scope:
    values = json.loads(content)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "state": {},
        **{name: values[name] for name in PLAIN},
        **{name: values[name].encode("latin-1") for name in BYTES},
        **{name: tuple(values[name]) if values[name] else None for name in ADDRESSES},
        "headers": _headers(values["headers"]),
    }


class Forward:
    """In a worker that does not write: hands on what is for the one that does, and serves all else."""

    def __init__(self, app: ASGIApp, counter: Path) -> None:
        """Wrap `app`; the writer listens at `counter`."""
        self.app = app
        self.counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not is_for_writer(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        refusal = await self._hand_on(scope, receive, send)
        if refusal is not None:
            state = dict(scope.get("state", {})) | {"refusal": refusal}
            await self.app({**scope, "state": state}, receive, send)

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> Refused | None:
        """Pass a request on and its reply back; return why there is none.

        Raises ConnectionError when the writer ends in the midst of its reply.
        """
        try:
            reader, writer = await self._connected()
        except OSError:
            return Refused(
                503,
                "writer-not-ready",
                "the worker that makes changes is being started; nothing was changed, try again in a moment",
                headers=RETRY_AFTER,
            )
        upwards = asyncio.create_task(_send_up(scope, receive, writer))
        begun = False
        try:
            while True:
                kind, content = await _read(reader)
                if kind == HEAD:
                    begun, head = True, json.loads(content)
                    headers = _headers(head["headers"])
                    await send({"type": "http.response.start", "status": head["status"], "headers": headers})
                    continue
                await send({"type": "http.response.body", "body": content, "more_body": kind == PART})
                if kind == LAST:
                    return None
        except (OSError, EOFError) as error:
            if upwards.done() and upwards.result():
                return None  # the client has left, and nobody waits for a reply
            if begun:
                raise ConnectionError("the worker that makes changes has ended in its reply") from error
            return Refused(
                503,
                "writer-ended",
                "the worker that makes changes has ended before its reply: whether the change was made is "
                "not known; look, or make it again",
                headers=RETRY_AFTER,
            )
        finally:
            upwards.cancel()
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the writer. Raises OSError when there is none for HOLD_SECONDS."""
        loop = asyncio.get_running_loop()
        end = loop.time() + HOLD_SECONDS
        while True:
            try:
                return await asyncio.open_unix_connection(self.counter)
            except OSError:
                if loop.time() > end:
                    raise
                await asyncio.sleep(LOOK_SECONDS)


async def _send_up(scope: Scope, receive: Receive, writer: asyncio.StreamWriter) -> bool:
    """Send a request as it comes; close the connection and return True when the client leaves."""
    try:
        await _write(writer, HEAD, _packed(scope))
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                writer.close()
                return True
            if message.get(LATE):
                await _write(writer, TOO_LATE, message["body"])
                return False  # the writer refuses it, and that reply ends the connection
            more = message.get("more_body", False)
            await _write(writer, PART if more else LAST, message.get("body", b""))
    except OSError:
        return False  # the writer has ended, or wants no more of the body: its reply says which


class Counter:
    """In the worker that writes: takes what the others hand in."""

    def __init__(self, app: ASGIApp, path: Path) -> None:
        """Serve it by `app`, at the socket `path`, which may be left over from a writer that died."""
        self._app = app
        self._path = path
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, wait_until_alone: Callable[[float], object]) -> AsyncIterator[None]:
        """Take requests until the block is left and nobody hands in any more."""
        server = await asyncio.start_unix_server(self._serve, self._path)
        try:
            yield
        finally:
            await run_in_threadpool(wait_until_alone, GRACE_SECONDS)
            server.close()
            if self._open:
                await asyncio.wait(self._open, timeout=GRACE_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the request of one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            kind, content = await _read(reader)
            if kind == HEAD:
                await self._app(_unpacked(content), _receiver(reader), _sender(writer))
                # Closed with something unread in it, the connection would lose the end of the reply.
                async with asyncio.timeout(REST_SECONDS):
                    while await reader.read(1 << 16):
                        pass
        except (OSError, EOFError):
            pass  # the worker that handed it in has ended, or its client has left
        finally:
            self._open.discard(task)
            writer.close()


def _receiver(reader: asyncio.StreamReader) -> Receive:
    whole = False

    async def receive() -> Message:
        nonlocal whole
        with suppress(OSError, EOFError):
            if not whole:
                kind, content = await _read(reader)
                whole = kind == LAST
                message = {"type": "http.request", "body": content, "more_body": not whole}
                return message | {LATE: True} if kind == TOO_LATE else message
            await reader.read(1)  # nothing more is sent: it returns when the client leaves
        return {"type": "http.disconnect"}

    return receive


def _sender(writer: asyncio.StreamWriter) -> Send:
    async def send(message: Message) -> None:
        with suppress(OSError):  # nobody waits for it any more
            if message["type"] == "http.response.start":
                head = {"status": message["status"], "headers": _written(message.get("headers", []))}
                await _write(writer, HEAD, json.dumps(head).encode())
            elif message["type"] == "http.response.body":
                more = message.get("more_body", False)
                await _write(writer, PART if more else LAST, message.get("body", b""))

    return send
