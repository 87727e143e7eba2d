"""The port: taken once, by one process or for several that share it."""

from __future__ import annotations

import socket

WAITING_CONNECTIONS = 2048
"""Connections that may wait to be taken, as uvicorn has it; the system may allow fewer."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; port 0 takes a free one. Raises OSError when it cannot be had."""
    family = _family(host)
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


def inherited(descriptor: int, host: str) -> socket.socket:
    """Return the socket that another process has bound to an address of `host`."""
    listener = socket.socket(_family(host), socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=descriptor)
    listener.set_inheritable(False)  # what this process starts is given it or not
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address that browsers take."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
