"""Puts questions to a server from a process of its own: clients that each ask again when they have a reply.

    python load.py < WANTED > FOUND

WANTED is JSON: `system`, `port`, `questions`, `warm` (how many of them are not counted), `clients`,
`seconds`. FOUND is JSON: what Load has. Replies are looked at when all have come, so that it takes nothing
from the server meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.systems import System, system_named
from benchmarks.peers.wire import sent

PATIENCE_SECONDS = 60.0
"""The longest that a reply may take."""

SHOWN = 3
BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question."""

    status: int
    """0 where no reply came; the body is then the reason."""
    body: bytes
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """What came of many."""

    seconds: float
    """From the first question to the last reply."""
    milliseconds: list[float]
    """Of each good reply."""
    asked: int
    """Questions used up, those that were not counted among them."""
    failed: int
    """Replies other than 200 with a hit."""
    failures: list[str]
    """The first few."""
    processor_seconds: float
    """What this process itself took meanwhile."""


async def ask(
    port: int, requests: Sequence[bytes], *, clients: int, seconds: float
) -> tuple[list[Reply], float]:
    """Return the replies to requests in the order they came, and the seconds until the last one.

    It stops when the requests or the seconds are over; what is under way is waited for.
    """
    waiting = iter(requests)
    replies: list[Reply] = []
    begun = time.perf_counter()
    await asyncio.gather(*(_client(port, waiting, begun + seconds, replies) for _ in range(clients)))
    return replies, time.perf_counter() - begun


async def _client(port: int, waiting: Iterator[bytes], until: float, replies: list[Reply]) -> None:
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.perf_counter() < until and (request := next(waiting, None)) is not None:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if connection is None:
                    connection = await asyncio.open_connection("127.0.0.1", port, limit=BUFFER_BYTES)
                connection[1].write(request)
                status, body, stays = await _read(connection[0])
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            status, body, stays = 0, repr(error).encode(), False
        replies.append(Reply(status, body, (time.perf_counter() - begun) * 1000))
        if not stays and connection is not None:
            connection[1].close()
            connection = None
    if connection is not None:
        connection[1].close()


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return status and body of a reply, and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    fields = dict(line.split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(fields[b"content-length"]))
    return int(head[9:12]), body, fields.get(b"connection", b"").strip() != b"close"


def looked_at(system: System, replies: Sequence[Reply]) -> tuple[list[float], list[str]]:
    """Return the milliseconds of the good replies, and what is wrong with the others."""
    milliseconds, failures = [], []
    for one in replies:
        if wrong := _wrong(system, one):
            failures.append(wrong)
        else:
            milliseconds.append(one.milliseconds)
    return milliseconds, failures


def _wrong(system: System, reply: Reply) -> str:
    shown = reply.body[:300].decode("utf-8", "replace")
    if reply.status != 200:
        return f"{reply.status}: {shown}"
    try:
        return "" if system.hits(reply.body) else f"no hit: {shown}"
    except (ValueError, KeyError, TypeError) as error:
        return f"{error!r}: {shown}"


def put(
    system: System, port: int, questions: Sequence[str], *, warm: int, clients: int, seconds: float
) -> Load:
    """Ask the first `warm` questions uncounted, then the others, and say what came of them."""
    requests = [sent(system.search(one), port) for one in questions]

    async def all_of_it() -> tuple[list[Reply], float, float]:
        if warm:
            await ask(port, requests[:warm], clients=clients, seconds=PATIENCE_SECONDS)
        before = time.process_time()
        replies, took = await ask(port, requests[warm:], clients=clients, seconds=seconds)
        return replies, took, time.process_time() - before

    replies, took, processor = asyncio.run(all_of_it())
    milliseconds, failures = looked_at(system, replies)
    return Load(took, milliseconds, warm + len(replies), len(failures), failures[:SHOWN], processor)


def main() -> None:
    """Read what is wanted, write what was found."""
    wanted = json.load(sys.stdin)
    system = system_named(wanted.pop("system"))
    json.dump(asdict(put(system, wanted.pop("port"), wanted.pop("questions"), **wanted)), sys.stdout)


if __name__ == "__main__":
    main()
