"""Who ends takes first what waits, and no turn that was begun goes on behind the end."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from typing import Any

import pytest

from service.listening import listen, turn_away
from service.sharing import Taking, Tally, size_of, take_waiting

CLIENTS = 60


class Taken(asyncio.Protocol):
    """Counts the connections that are taken."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Taken.count += 1
        transport.close()


def waiting(listener: socket.socket) -> list[socket.socket]:
    """Return clients whose connections wait to be taken."""
    listener.listen(CLIENTS)
    return [socket.create_connection(listener.getsockname()[:2], timeout=10) for _ in range(CLIENTS)]


@pytest.fixture(name="tally")
def _tally() -> Tally:
    """Return the tally of the first of two workers, of which the second has no connection yet."""
    with tempfile.TemporaryFile() as file:
        os.truncate(file.fileno(), size_of(2))
        return Tally(file.fileno(), 2, 1)


def test_what_waits_is_taken() -> None:
    listener = listen("127.0.0.1", 0)
    clients = waiting(listener)
    Taken.count = 0
    asyncio.run(take_waiting(listener, Taken))
    assert Taken.count == CLIENTS
    with pytest.raises(BlockingIOError):
        listener.accept()
    for one in (*clients, listener):
        one.close()


def test_turned_away_is_who_comes_now_and_nobody_who_has_come() -> None:
    listener = listen("127.0.0.1", 0)
    clients = waiting(listener)
    turn_away(listener)
    if sys.platform == "linux":  # others know no filter: there nothing changes
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname()[:2], timeout=0.2)
    for one in clients:
        one.sendall(b"asked")
    for _ in clients:
        taken, _address = listener.accept()
        assert taken.recv(5) == b"asked"
        taken.close()
    for one in (*clients, listener):
        one.close()


def test_a_turn_under_way_at_the_end_is_finished_and_begins_no_other(tally: Tally) -> None:
    listener = listen("127.0.0.1", 0)
    clients = waiting(listener)

    async def begun_and_ended() -> set[asyncio.Task[Any]]:
        taking = Taking(listener, tally, Taken)
        taking.begin()
        tally.tell(CLIENTS)  # more than the other: each turn waits a moment, and is met by the end
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await taking.end()
        return asyncio.all_tasks() - {asyncio.current_task()}

    Taken.count = 0
    assert asyncio.run(begun_and_ended()) == set()
    assert Taken.count == CLIENTS
    assert listener.fileno() == -1
    for one in clients:
        one.close()
