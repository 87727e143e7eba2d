"""The HTTP server around the application."""

from __future__ import annotations

import signal
import socket

import structlog
import uvicorn

from service.app import create_app
from service.keeper import Keeper
from service.settings import Settings

GRACE_SECONDS = 25
"""How long open requests may take after SIGTERM; below the usual 30 s of orchestrators."""

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are finished.

    Raises OSError when the address cannot be taken, NoIndex and EncoderError when no index can be opened,
    AlreadyServed when another server has the data folder.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    app = create_app(settings)
    listener = _listen(settings.host, settings.port)
    keeper: Keeper = app.state.keeper
    keeper.open()  # here, where what is wrong with it can still be said in one line
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # Senders are judged by the connection itself: a header must not make anyone local.
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    log.info("serving", address=f"http://{shown}:{port}", docs=f"http://{shown}:{port}/docs")
    uvicorn.Server(config).run(sockets=[listener])


def _leave(_number: int, _frame: object) -> None:
    """End the process as done: uvicorn hands the signal on once the last request is finished."""
    raise SystemExit(0)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches delays off (TCP_NODELAY) only where the protocol is named: without, a reply in two
    # parts waits 40 ms for the receiver to confirm the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {host}:{port} ({error.strerror}); choose another with PORT"
        ) from error
    return listener
