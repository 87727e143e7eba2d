"""Connections shared out among workers: the next one is for whoever has the fewest.

The system wakes every worker for a connection that waits, and who comes first has it: of sixteen at a time
one of two workers had up to all, which stay with it for as long as they are kept open. So each writes into
memory that all see how many it has, and one that has more than another leaves it a moment.
"""

from __future__ import annotations

import asyncio
import mmap
import socket
from collections.abc import Callable
from typing import Any

import structlog

from service.listening import WAITING_CONNECTIONS

NOBODY = -1
"""In place of a number: the worker does not take connections."""

MOMENT_SECONDS = 0.002
"""How long a worker that has more connections than another leaves it the next one. Of sixteen at a time, on
two cores that do other things besides, the one with more had 8.6 on average; 12.0 where nobody waits, and
14.4 where, as asyncio has it, each takes all that are there (benchmarks/workers)."""

RETRY_SECONDS = 1.0
"""After a connection that the system would not give."""

log = structlog.get_logger()


class Tally:
    """How many connections each worker has, in memory that they share."""

    def __init__(self, descriptor: int, workers: int, number: int | None = None) -> None:
        """Map a file of `size_of` bytes; `number`, from 1, is the worker that counts here, if one does."""
        self._map = mmap.mmap(descriptor, size_of(workers))
        self._counts = memoryview(self._map).cast("i")
        self._own = None if number is None else number - 1

    def tell(self, connections: int) -> None:
        """Say how many connections this worker has."""
        if self._own is not None:
            self._counts[self._own] = connections

    def clear(self, number: int) -> None:
        """Say for a worker that it takes none."""
        self._counts[number - 1] = NOBODY

    def has_more(self) -> bool:
        """Return whether this worker has more connections than another that takes some."""
        if self._own is None:
            return False
        return any(NOBODY < other < self._counts[self._own] for other in self._counts)


def size_of(workers: int) -> int:
    """Return how many bytes the numbers of so many workers take."""
    return 4 * workers


class Taking:
    """Takes connections from a listening socket that others take from too."""

    def __init__(
        self, listener: socket.socket, tally: Tally, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        """Make a `protocol` for each connection that is taken, from `begin` to `end`."""
        self._listener = listener
        self._tally = tally
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._turns: set[asyncio.Task[None]] = set()
        self._ending = False

    def begin(self) -> None:
        """Take connections."""
        self._listener.listen(WAITING_CONNECTIONS)
        self._listener.setblocking(False)
        self._tally.tell(0)
        self._loop.add_reader(self._listener, self._comes)

    async def end(self) -> None:
        """Take no more, once those are served to whom that was promised."""
        self._ending = True
        self._loop.remove_reader(self._listener)
        while self._turns:
            await asyncio.wait(self._turns)
        self._tally.tell(NOBODY)
        await take_waiting(self._listener, self._protocol)
        self._listener.close()

    def _comes(self) -> None:
        self._loop.remove_reader(self._listener)
        turn = self._loop.create_task(self._take())
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)

    async def _take(self) -> None:
        try:
            if self._tally.has_more():
                await asyncio.sleep(MOMENT_SECONDS)
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except (BlockingIOError, ConnectionError):
            pass  # another worker has it, or whoever wanted it has left
        except OSError as error:
            log.error("no connection can be taken", problem=str(error))  # too many files are open, mostly
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            if not self._ending:
                self._loop.add_reader(self._listener, self._comes)


async def take_waiting(listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
    """Take every connection that waits: closing the socket would break it off, its request under way."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionError:
            continue  # whoever wanted it has left
        except OSError:
            return  # none waits any more, or the system gives no more
        connection.setblocking(False)
        await loop.connect_accepted_socket(protocol, connection)


class Counted(set[Any]):
    """The connections of a server, told to the tally as they come and go."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def add(self, one: Any) -> None:
        """Add a connection."""
        super().add(one)
        self._tally.tell(len(self))

    def discard(self, one: Any) -> None:
        """Forget a connection."""
        super().discard(one)
        self._tally.tell(len(self))
