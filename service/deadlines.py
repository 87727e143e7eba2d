"""Deadlines for connections, which uvicorn lacks: whoever sends or reads too slowly has to go.

One look a second goes over all connections of a process: no request has a timer of its own. What would be
over before the next look counts as over.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from service.lingering import Lingering
from service.metrics import Metrics
from service.problems import MEDIA_TYPE, Refused

LOOK_SECONDS = 1.0
"""Between two looks; each takes 0.4 ms for a thousand connections."""

LEAST_RATE = 64 * 1024
"""Bytes a second at which a body may take longer than its deadline: what is large gets the time it needs."""

LEAST_READ = 16 * 1024
"""Bytes of a reply that its reader has to take within each deadline. One that takes a byte a second would
otherwise keep a connection for hours."""

SPARE_CONNECTIONS = 64
"""Beyond the bound, for those that are told 503. Where these are taken too, connections are cut off."""

HOLD_SECONDS = 2.0
"""How long a connection is not read on that was told 503 and when to come again. A thousand clients that ask
again at once would otherwise be refused a thousand times a second, for 0.4 ms of a core each: they had 26
answers a second of 48 where it was 1 s, 36 where it is 2 s. With 48 that wait instead of 64 the 99th
percentile of those answers is 4.6 s instead of 5.1."""

LATE = "late"
"""Key of a message of the request that says that the rest of the body did not come in time."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take, in seconds, and how many there may be."""

    headers: float
    """From the first byte of a request, or from the connection's beginning, to the end of its headers."""
    body: float
    """From there to the end of the body; longer as long as it comes at LEAST_RATE."""
    reply: float
    """During which a reader takes nothing worth speaking of, or nothing, of what waits for it."""
    connections: int


class Watch:
    """Looks after the connections of one process."""

    def __init__(self, patience: Patience, metrics: Metrics) -> None:
        self.patience = patience
        self.metrics = metrics
        self.ending = False
        """Whether the server ends: every reply that begins from now on says that its connection does, too."""
        self.unasked: dict[Timely, None] = {}
        """Connections without a request under way, those first that are so for longest."""

    async def look(self, connections: Iterable[Any]) -> None:
        """Look at the connections again and again, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for one in tuple(connections):
                if isinstance(one, Timely):
                    one.look(loop.time() + LOOK_SECONDS)

    def may_hear(self, seconds: float) -> bool:
        """Return whether a connection without a request had its last reply, or began, less than that ago."""
        return any(one.is_fresh(seconds) for one in self.unasked)

    def admit(self, one: Timely, number: int) -> bool:
        """Return whether there is room for `one`, which makes it so many connections, or room can be made."""
        if number > self.patience.connections:
            oldest = next(iter(self.unasked), None)
            if oldest is None:
                return False
            self.metrics.cut("crowded")
            oldest.leave()
        self.unasked[one] = None
        return True


class Timely(H11Protocol):
    """One connection, with deadlines."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        watch: Watch,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._watch = watch
        self._serving: ASGIApp = self.app
        self.app = self._serve
        self._refused = False
        """Whether there is no room for this connection."""
        self._since = 0.0
        """When what it is about now began: its request, the headers of the next one, the waiting for it."""
        self._hears = False
        """Whether some of the next request has come."""
        self._late = False
        self._is_broken_off = False
        """Whether something was refused that was no whole request."""
        self._held = False
        """Whether what comes next is to wait for HOLD_SECONDS."""
        self._received = 0
        self._unsent = 0
        self._taken = 0
        self._unread_since = 0.0
        """How much of the reply waited at the last look; how many bytes the client had taken in all, when."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(Lingering(transport, self._may_send))
        self._since = self.loop.time()
        number = len(self.connections)
        self._watch.metrics.connected(number)
        if not self._watch.admit(self, number):
            self._watch.metrics.cut("crowded")
            self._refused = True
            if number > self._watch.patience.connections + SPARE_CONNECTIONS:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._watch.unasked.pop(self, None)
        super().connection_lost(exc)
        self._watch.metrics.connected(len(self.connections))

    def data_received(self, data: bytes) -> None:
        """Take some bytes."""
        if self.transport.is_closing():
            return  # the rest of a body that nobody wants: it goes nowhere
        if self._is_under_way():
            self._received += len(data)
        elif not self._hears:
            self._hears, self._since = True, self.loop.time()
        super().data_received(data)

    def handle_events(self) -> None:
        """Begin a request if its headers are whole, and take what there is of its body."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._since = self.loop.time()
            self._received, self._late, self._hears = 0, False, False
            self._watch.unasked.pop(self, None)

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there already."""
        super().on_response_complete()
        if not self._is_under_way() and not self.transport.is_closing():
            self._since = self.loop.time()
            self._hears = bool(self.conn.trailing_data[0])
            self._watch.unasked[self] = None
            if self._held:
                self.flow.pause_reading()
                self.loop.call_later(HOLD_SECONDS, self._resume)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, as h11 sees it: 400, 431 for too many bytes of headers, 501."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._watch.metrics.cut("malformed")
        self._refuse(status, "address and headers are longer than 16 KiB" if status == 431 else msg)

    def shutdown(self) -> None:
        """End once the request under way is answered, or one that has come and was not read yet."""
        transport = self.transport
        if not self._hears and not (isinstance(transport, Lingering) and transport.unheard()):
            super().shutdown()

    def is_fresh(self, seconds: float) -> bool:
        """Return whether the last reply went, or the connection began, less than so many seconds ago."""
        return self.loop.time() - self._since < seconds

    def leave(self) -> None:
        """Close a connection without a request under way."""
        self._watch.unasked.pop(self, None)
        self.transport.close()

    def look(self, soon: float) -> None:
        """Close this connection if it would be too slow at the time `soon`, or tell its request so."""
        patience = self._watch.patience
        if self._lingers_too_long(soon):
            self.transport.abort()
        elif self._is_stuck(soon):
            self._watch.metrics.cut("reply")
            self.transport.abort()
        elif self._is_under_way():
            allowed = patience.body + self._received / LEAST_RATE
            # Where reading is paused it is we who are slow.
            if self._is_in_body() and not self.flow.read_paused and soon - self._since > allowed:
                if not self._late:
                    self._watch.metrics.cut("body")
                self._late = True
                self.cycle.message_event.set()  # wakes whoever waits for more of it
        elif (self._hears or self.cycle is None) and soon - self._since > patience.headers:
            self._watch.metrics.cut("headers")
            if self._hears:
                self._refuse(408, "the headers of the request did not come in time")
            else:
                self.leave()

    def _resume(self) -> None:
        self._held = False
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _is_under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_in_body(self) -> bool:
        """Return whether the body of the last request has not come as a whole."""
        return self.cycle is not None and self.cycle.more_body and not self.cycle.disconnected

    def _may_send(self) -> bool:
        """Return whether the client may be in the midst of what will not be read."""
        return self._is_broken_off or self._is_in_body()

    def _is_stuck(self, soon: float) -> bool:
        """Return whether nobody reads what is sent here, or next to nothing of it."""
        transport = self.transport
        if not isinstance(transport, Lingering):
            return False
        unsent = transport.unread()
        # Not by how much less waits than at the last look: the next reply may have been added since.
        taken = transport.written - unsent
        if unsent == 0 or self._unsent == 0:
            self._taken, self._unread_since = taken, soon - LOOK_SECONDS
        self._unsent = unsent
        if soon - self._unread_since < self._watch.patience.reply:
            return False
        if taken - self._taken < LEAST_READ:
            return True
        self._taken, self._unread_since = taken, soon - LOOK_SECONDS
        return False

    def _lingers_too_long(self, soon: float) -> bool:
        transport = self.transport
        return isinstance(transport, Lingering) and transport.lingers_too_long(soon)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request by the application."""
        cycle = self.cycle
        told = False
        if self._refused:
            scope["state"]["refusal"] = Refused(
                503,
                "too-many-connections",
                "this server has as many connections as it takes; try again in a moment",
                headers={"Retry-After": "2"},
            )

        async def received() -> Message:
            nonlocal told
            if told:  # and still it wants more of the body
                cycle.disconnected = True
                self.transport.abort()
            message = await receive()
            if self._late and message["type"] == "http.request" and message["more_body"]:
                told = True
                message[LATE] = True
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                self._held = message["status"] == 503 and any(name == b"retry-after" for name, _ in headers)
                # Nobody waits for the rest of a body, and what follows it cannot be told from it.
                if cycle.more_body or self._refused or self._watch.ending:
                    message = {**message, "headers": [*headers, CLOSE_HEADER]}
            await send(message)

        await self._serving(scope, received, sent)

    def _refuse(self, status: int, detail: str) -> None:
        """Reply to what is no whole request, and close."""
        self._watch.unasked.pop(self, None)
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.transport.is_closing():
            self.transport.abort()  # in the midst of a reply: breaking it off says that it isn't whole
            return
        if self._is_under_way():
            self.cycle.disconnected = True  # the application need not go on
            self.cycle.message_event.set()
        request_id = secrets.token_hex(8)
        title = HTTPStatus(status).phrase
        body = json.dumps(
            {
                "type": "about:blank",
                "title": title,
                "status": status,
                "detail": detail,
                "instance": "/",  # what was asked for has not been read
                "request_id": request_id,
            }
        ).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            CLOSE_HEADER,
        ]
        reply = h11.Response(status_code=status, headers=headers, reason=title.encode())
        for event in (reply, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._is_broken_off = True
        self.transport.close()
