"""The way to /mcp: what speaks the protocol is loaded for the first request, not when the server starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup, TaskStatus
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.admission import Admission
from service.doors.tools import Desk
from service.hosts import is_own, name_in
from service.problems import Refused
from service.settings import Settings

PATH = "/mcp"

HEADERS = ("MCP-Protocol-Version", "Mcp-Method", "Mcp-Name")
"""What the protocol adds to a request, and what a browser asks leave for."""


CALL = b"tools/call"
"""Stands in the body of every call of a tool; where it stands for something else, the gate is no harm."""


class McpRoute:
    """Speaks the protocol at /mcp while `open`. Host names are checked for every address, in the envelope."""

    path = PATH

    def __init__(self, desk: Desk, gate: Admission) -> None:
        """Answer from the Index that `desk.live` has in use, tools being called through `gate`."""
        self._desk = desk
        self._gate = gate
        self._group: TaskGroup | None = None
        self._app: ASGIApp | None = None
        self._starting = anyio.Lock()

    @property
    def route(self) -> Route:
        """Return the route. GET would open a stream that never has anything to say, so it is not taken."""
        return Route(PATH, self, methods=["POST"], include_in_schema=False)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve requests until the block is left."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = self._app = None
                group.cancel_scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Refused for one from a foreign page."""
        _check_origin(Headers(scope=scope), self._desk.live.settings)
        app = self._app or await self._start()
        body, left = await _body(receive)
        if left:
            return
        again = _again(body, receive)
        if CALL not in body:
            await app(scope, again, send)
            return
        turn = await self._gate.enter(receive)

        async def sent(message: Message) -> None:
            turn.leave()  # the reply is made, and may be read as slowly as anyone likes
            await send(message)

        with turn:
            await app(scope, again, sent)

    async def _start(self) -> ASGIApp:
        async with self._starting:
            if self._group is None:
                raise Refused(503, "not-ready", "the server is starting or ending; try again in a moment")
            if self._app is None:
                self._app = await self._group.start(self._run)
            return self._app

    async def _run(self, *, task_status: TaskStatus[ASGIApp]) -> None:
        # What it runs in has to be left by the task that entered it, so that is one of its own.
        over_http = await run_in_threadpool(_load)
        async with over_http(self._desk) as app:
            task_status.started(app)
            await anyio.sleep_forever()


async def _body(receive: Receive) -> tuple[bytes, bool]:
    """Return the body, and whether the client has left before its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"", True
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts), False


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body as if it had not been read, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _load() -> Callable[[Desk], AbstractAsyncContextManager[ASGIApp]]:
    """Return what runs the protocol's application."""
    from service.doors.mcp import over_http

    return over_http


def _check_origin(headers: Headers, settings: Settings) -> None:
    """Raise Refused for a request that a browser sends for a page of another site.

    A page can make its own name lead here (DNS rebinding), and then looks as if it were at home: so it has
    to be a name of this machine, or one of those that the settings allow.
    """
    origin = headers.get("origin")
    if origin is None or {origin, "*"} & {*settings.allowed_origins}:
        return
    try:
        at_home = urlsplit(origin).netloc == headers.get("host", "")
    except ValueError:  # an address that is none
        at_home = False
    if not at_home or not is_own(name_in(headers), settings.allowed_hosts):
        raise Refused(
            403,
            "foreign-origin",
            "this page's origin may not ask here; add it to PULLQUOTE_ALLOWED_ORIGINS if it should",
        )
