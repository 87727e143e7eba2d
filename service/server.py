"""The HTTP server around the application, in one process."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.deadlines import Patience, Timely, Watch
from service.keeper import Keeper
from service.keyring import say_who_may
from service.listening import WAITING_CONNECTIONS, address_of, listen, room_for, turn_away
from service.live import Live
from service.settings import Settings
from service.sharing import Counted, Taking, Tally, take_waiting

GRACE_SECONDS = 25
"""How long open requests may take after SIGTERM; below the usual 30 s of orchestrators."""

TAKING_SECONDS = 0.3
"""How long connections that are half made at SIGTERM may take until they are: a way around the world."""

LAST_SECONDS = 2.0
"""How long after its last reply a connection that is kept open may bring one more request after SIGTERM: its
reply says that the connection ends. Closed at once, one whose next request is on its way would break it.
Of eight clients that ask without a pause on two busy cores, some took longer than 0.3 s to ask again."""

TURN_SECONDS = 0.02
"""Between two looks whether there are such connections."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished.

    Raises OSError when the address cannot be taken, NoIndex and EncoderError when no index can be opened,
    AlreadyServed when another server has the data folder.
    """
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    app = create_app(settings)
    listener = listen(settings.host, settings.port)
    open_keeper(app)
    address = address_of(listener)
    say_who_may(settings)
    log.info("serving", address=address, docs=f"{address}/docs")
    Gentle(app, settings).run(sockets=[listener])


def open_keeper(app: FastAPI) -> None:
    """Open the index here, where what is wrong with it can still be said in one line."""
    keeper: Keeper = app.state.keeper
    keeper.open()


def leave(_number: int, _frame: object) -> None:
    """End the process as done: uvicorn hands the signal on once the last request is finished."""
    raise SystemExit(0)


class Gentle(uvicorn.Server):
    """A server that ends without breaking off anybody whose request has come."""

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        *,
        ready: Callable[[], None] = lambda: None,
        tally: Tally | None = None,
    ) -> None:
        """Serve `app`, calling `ready` when it does.

        With `tally` it is one of several that share the socket. SIGINT then ends nothing: whoever pressed
        Ctrl-C has told it to the one that supervises, too.
        """
        watch = Watch(
            Patience(
                headers=settings.header_seconds,
                body=settings.body_seconds,
                reply=settings.reply_seconds,
                connections=room_for(settings.max_connections),
            ),
            app.state.metrics,
        )
        super().__init__(
            uvicorn.Config(
                app,
                # A callable that makes the protocol is all that uvicorn wants of a class here.
                http=partial(Timely, watch=watch),  # type: ignore[arg-type]
                ws="none",
                timeout_keep_alive=settings.idle_seconds,  # type: ignore[arg-type]
                log_config=None,
                access_log=False,
                server_header=False,
                # Senders are judged by the connection itself: a header must not make anyone local.
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                backlog=WAITING_CONNECTIONS,
            )
        )
        self._live: Live = app.state.live
        self._watch = watch
        self._watching: asyncio.Task[None] | None = None
        self._ready = ready
        self._tally = tally
        self._taking: Taking | None = None
        if tally is not None:
            self.server_state.connections = Counted(tally)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        if self._tally is None or not sockets:
            await super().startup(sockets)
        else:
            await super().startup([])
            self._taking = Taking(sockets[0], self._tally, self._protocol)
            self._taking.begin()
        self._watching = asyncio.create_task(self._watch.look(self.server_state.connections))
        self._ready()

    def _protocol(self) -> asyncio.Protocol:
        """Return what serves a connection, as uvicorn makes it for those that it takes itself."""
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what comes on those there are, then end."""
        if self._tally is None:  # else the supervisor does, for all
            for listener in sockets or ():
                turn_away(listener)
        if not self.force_exit:
            await asyncio.sleep(TAKING_SECONDS)
        for listener in () if self._tally is not None else (sockets or ()):
            await take_waiting(listener, self._protocol)
        for one in self.servers:
            one.close()
        if self._taking is not None:
            await self._taking.end()
        while not self.force_exit and self._watch.may_hear(LAST_SECONDS):
            await asyncio.sleep(TURN_SECONDS)
        await super().shutdown(sockets)
        if self._watching is not None:
            self._watching.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal to end."""
        if self._tally is None or sig != signal.SIGINT:
            self._live.ending = self._watch.ending = True
            super().handle_exit(sig, frame)
