"""Clients of all kinds on raw connections: those that ask, and those that send or read too slowly.

They are coroutines of one process, which takes a part of the same machine.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
PATIENCE_SECONDS = 60.0
"""The longest that a reply may take."""


@dataclass
class Seen:
    """What clients have seen."""

    statuses: Counter[str] = field(default_factory=Counter)
    """Replies by status; what broke by its name."""
    milliseconds: list[float] = field(default_factory=list)
    """Of each 200."""
    done_at: list[float] = field(default_factory=list)
    """When each 200 came."""


def request_of(question: str, path: str = "/v1/ask") -> bytes:
    """Return a question as it is sent."""
    body = json.dumps({"question": question}).encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Return status and headers of a reply with a length, whose body is read."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in head[1:])}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers


async def asking(
    port: int, questions: Iterator[str], until: float, seen: Seen, *, obedient: bool = False
) -> None:
    """Ask one question after the other until that time, on a connection that is kept.

    Whoever is `obedient` waits where it is told to (Retry-After); others ask again at once.
    """
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while time.perf_counter() < until:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if writer is None or reader is None:
                    reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(request_of(next(questions)))
                status, headers = await read_reply(reader)
        except (OSError, EOFError, TimeoutError) as error:
            seen.statuses[type(error).__name__] += 1
            if writer is not None:
                writer.close()
            reader = writer = None
            await asyncio.sleep(0.05)
            continue
        now = time.perf_counter()
        seen.statuses[str(status)] += 1
        if status == 200:
            seen.milliseconds.append((now - begun) * 1000)
            seen.done_at.append(now)
        elif obedient:
            await asyncio.sleep(float(headers.get("retry-after", "1")))
        if headers.get("connection") == "close":
            writer.close()
            reader = writer = None
    if writer is not None:
        writer.close()


SLOW = ("headers", "body", "idle", "reading")
"""Ways to be slow."""

LARGE = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def slow(port: int, way: str, until: float) -> float | None:
    """Return after how many seconds the server closed the connection of a slow client, None if it did not."""
    ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if way == "reading":
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(ours, (HOST, port))
    begun = time.perf_counter()
    first = {
        "headers": b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "body": b"POST /v1/ask HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100000\r\n\r\n{",
        "idle": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "reading": LARGE * 20,  # more than the system takes for either side: some of it waits in the server
    }[way]
    drip = b"" if way in ("idle", "reading") else b" "
    try:
        await loop.sock_sendall(ours, first)
        while time.perf_counter() < until:
            await asyncio.sleep(0.5)
            if drip:
                with suppress(BlockingIOError):
                    ours.send(drip)
            if way == "reading":
                # A reset is all it sees of the end, without reading anything.
                if ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return time.perf_counter() - begun
                continue
            with suppress(BlockingIOError):
                if not ours.recv(1 << 16):
                    return time.perf_counter() - begun
    except OSError:
        return time.perf_counter() - begun
    finally:
        ours.close()
    return None
