"""A transport that is closed gently in the midst of a request: the reply arrives, the rest goes unread.

Closed with something unread in it, a connection is reset, and the client's system throws away the reply that
was to say why. So only the sending half is closed; what still comes is thrown away for a moment.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable, Iterable
from typing import Any

LINGER_SECONDS = 3.0
"""How long a client may go on sending after the reply; it should have read by then that it is refused."""


class Lingering(asyncio.Transport):
    """Another transport, but for how it is closed."""

    def __init__(self, transport: asyncio.Transport, may_send: Callable[[], bool]) -> None:
        """Linger when closed while the client `may_send` more of its request."""
        super().__init__()
        self._transport = transport
        self._may_send = may_send
        self._until: float | None = None
        self.written = 0
        """How many bytes were given to be sent."""

    def lingers_too_long(self, at: float) -> bool:
        """Return whether the client still sends at a time of the loop, and should have stopped."""
        return self._until is not None and at > self._until

    def close(self) -> None:
        """Close once everything is sent."""
        if self._until is not None:
            return
        if not self._may_send() or self._transport.is_closing():
            self._transport.close()
            return
        self._until = asyncio.get_running_loop().time() + LINGER_SECONDS
        self._transport.write_eof()
        self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is unsent.

        The connection is reset: closed without that, the system would keep what nobody reads for minutes.
        """
        ours: socket.socket | None = self._transport.get_extra_info("socket")
        if ours is not None and not self._transport.is_closing():
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self._until is not None or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        self.written += len(data)
        self._transport.write(data)

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """Send."""
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        """Read no more for now."""
        if self._until is None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._transport.get_write_buffer_size()

    def unread(self) -> int:
        """Return how many bytes wait for the client, 0 where the system has taken all of them."""
        unsent = self._transport.get_write_buffer_size()
        ours: socket.socket | None = self._transport.get_extra_info("socket")
        if unsent == 0 or ours is None or ours.fileno() < 0:
            return unsent
        # Where the system's buffer holds megabytes, ours stands still for long while a slow reader reads.
        queued = fcntl.ioctl(ours.fileno(), termios.TIOCOUTQ, bytes(4))
        return unsent + int.from_bytes(queued, sys.byteorder)

    def unheard(self) -> int:
        """Return how many bytes of the client's wait to be read."""
        ours: socket.socket | None = self._transport.get_extra_info("socket")
        if ours is None or ours.fileno() < 0:
            return 0
        return int.from_bytes(fcntl.ioctl(ours.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the connection."""
        return self._transport.get_extra_info(name, default)
