"""The port: taken once, by one process or for several that share it."""

from __future__ import annotations

import ctypes
import errno
import resource
import socket
import struct
import sys

import structlog

WAITING_CONNECTIONS = 2048
"""Connections that may wait to be taken, as uvicorn has it; the system may allow fewer."""

OTHER_FILES = 256
"""Open files besides connections: segments, models, the jobs; connections on their way out."""

ATTACH_FILTER = 26
"""SO_ATTACH_FILTER, which Python does not name."""

NO_FIRST_PACKETS = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of flags of the TCP header
        (0x45, 2, 0, 0x10),  # ACK: keep it
        (0x45, 0, 1, 0x02),  # SYN: drop it
        (0x06, 0, 0, 0),
        (0x06, 0, 0, 0xFFFFFFFF),
    )
)
"""A filter of packets in the system's own language (classic BPF, Linux's networking/filter.rst)."""

log = structlog.get_logger()


class CannotListen(OSError):
    """The address cannot be taken; the message says why and what to do."""

    def __str__(self) -> str:
        return str(self.strerror)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; port 0 takes a free one. Raises CannotListen."""
    family = _family(host)
    # asyncio switches delays off (TCP_NODELAY) only where the protocol is named: without, a reply in two
    # parts waits 40 ms for the receiver to confirm the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, TypeError, UnicodeError) as error:  # a name may be none that could be asked for
        listener.close()
        number = error.errno if isinstance(error, OSError) else None
        reason = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise CannotListen(
            number, f"cannot listen on {host}:{port} ({reason}); {_remedy(number, port)}"
        ) from error
    return listener


def _remedy(number: int | None, port: int) -> str:
    """Return what to do about an address that cannot be taken, by the number of the error."""
    if number == errno.EADDRINUSE:
        return "end what listens there, or set PULLQUOTE_PORT (or --port) to another one"
    if number == errno.EACCES:
        return f"ports below 1024 are for root: set PULLQUOTE_PORT (or --port) to another one than {port}"
    return (
        "set PULLQUOTE_HOST (or --host) to an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them"
    )


def turn_away(listener: socket.socket) -> None:
    """Have the system take no more connections on a socket, while those that it has taken can be accepted.

    Closed without that, the system breaks off whoever connected since the last `accept`, and that the request
    is lost is all they see. Turned away, a client's system tries again after a second: by then the port is
    refused, or the next server has it. Other systems than Linux know no such thing; nothing changes there.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(NO_FIRST_PACKETS, len(NO_FIRST_PACKETS))
    told = struct.pack("HP", len(NO_FIRST_PACKETS) // 8, ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, ATTACH_FILTER, told)
    except OSError as error:  # forbidden, as some containers' systems do
        log.info("connections cannot be turned away before the port is closed", problem=str(error))


def room_for(connections: int) -> int:
    """Return how many of so many connections there can be, the system allowing as many files as it will."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            room = max(1, soft - OTHER_FILES, soft // 2)
            log.warning("fewer connections than max_connections: the system allows few open files", room=room)
            return room
    return connections


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
