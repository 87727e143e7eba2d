"""The Model Context Protocol over standard input and output, in which the end of the input loses no reply."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage

from service.doors.mcp import server_of
from service.doors.tools import Desk

LAST_SECONDS = 60.0
"""How long requests under way may take once the input has ended."""


async def over_stdio(desk: Desk) -> None:
    """Speak over standard input and output until the input has ended and what came of it is answered."""
    server = server_of(desk)
    async with stdio_server() as (incoming, outgoing):
        due = Due()
        await server.run(
            Incoming(incoming, due), Outgoing(outgoing, due), server.create_initialization_options()
        )


class Due:
    r"""Requests that a reply is due to.

    The library breaks off what is under way as soon as the input ends, so that
    `printf '%s\\n' "$requests" | pullquote mcp` would sometimes leave out the last replies.
    """

    def __init__(self) -> None:
        self._ids: set[Any] = set()
        self._answered = anyio.Event()

    def came(self, message: types.JSONRPCMessage) -> None:
        """Note what was asked for, or is wanted no more."""
        if isinstance(message, types.JSONRPCRequest):
            self._ids.add(message.id)
        elif isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
            self._settle((message.params or {}).get("requestId"))

    def went(self, message: types.JSONRPCMessage) -> None:
        """Note what was replied to."""
        if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
            self._settle(message.id)

    async def wait(self) -> None:
        """Wait until nothing is due, or for LAST_SECONDS."""
        with anyio.move_on_after(LAST_SECONDS):
            while self._ids:
                self._answered = anyio.Event()
                await self._answered.wait()

    def _settle(self, number: Any) -> None:
        if isinstance(number, str | int):
            self._ids.discard(number)
            self._answered.set()


class _Wrapped:
    def __init__(self, inner: Any, due: Due) -> None:
        self._inner = inner
        self._due = due

    async def aclose(self) -> None:
        """Close."""
        await self._inner.aclose()

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Incoming(_Wrapped, ReadStream[SessionMessage | Exception]):
    """What comes in; it ends only once nothing is due."""

    @property
    def last_context(self) -> Any:
        """Return the context of whoever sent the last message, which the library looks for."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message."""
        try:
            message: SessionMessage | Exception = await self._inner.receive()
        except anyio.EndOfStream:
            await self._due.wait()
            raise
        if isinstance(message, SessionMessage):
            self._due.came(message.message)
        return message

    def __aiter__(self) -> Incoming:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class Outgoing(_Wrapped, WriteStream[SessionMessage]):
    """What goes out."""

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message."""
        await self._inner.send(item)
        self._due.went(item.message)
