"""A real server, killed at any moment while documents come and go: nothing acknowledged is lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from tests.server import Home, Server, wait_for

pytest_plugins = ("tests.server",)

ROUNDS = 5
READY_SECONDS = 5.0
"""After a kill the server answers within this time, on a machine that does other things besides."""

Start = Callable[..., Server]


@dataclass
class Writer:
    """A client that puts and removes its documents and remembers what was acknowledged."""

    name: str
    chance: random.Random
    sure: dict[str, str | None] = field(default_factory=dict)
    """What each document is, None for removed, by the last change that was acknowledged."""
    tried: dict[str, set[str | None]] = field(default_factory=dict)
    """What it may be as well: changes since then that nobody has answered."""

    def run(self, address: str) -> None:
        """Change documents until the server is gone."""
        with httpx.Client(base_url=address, timeout=30) as client:
            while True:
                path = f"{self.name}/{self.chance.randrange(4)}.md"
                number = self.chance.randrange(10**6)
                text = f"# {path}\n\nThe crate of {self.name} has number {number}.\n"
                wanted = None if self.chance.random() < 0.25 else text
                self.tried.setdefault(path, set()).add(wanted)
                query = {"wait": self.chance.choice(["true", "false"])}
                try:
                    if wanted is None:
                        reply = client.delete(f"/v1/documents/{path}", params=query)
                    else:
                        reply = client.put(f"/v1/documents/{path}", params=query, content=text.encode())
                except httpx.HTTPError:
                    return
                assert reply.status_code in (200, 201, 404), reply.text
                self.sure[path], self.tried[path] = wanted, set()


@pytest.mark.slow
def test_killed_at_random_under_load(home: Home, start: Start) -> None:
    writers = [Writer(name, random.Random(name)) for name in ("ada", "bob")]
    chance = random.Random(5)
    server = start(home)
    for _ in range(ROUNDS):
        threads = [threading.Thread(target=one.run, args=(server.address,)) for one in writers]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.05, 1.2))
        server.kill()
        for thread in threads:
            thread.join()
        begun = time.monotonic()
        server = start(home)
        assert time.monotonic() - begun < READY_SECONDS
        followed(server)
        assert server.get("/v1/index")["last_failure"] is None
        for writer in writers:
            check(server, home, writer)
    assert home.run("verify").returncode == 0
    assert [*home.folder.rglob(".*")] == []


def followed(server: Server) -> None:
    wait_for(lambda: server.get("/v1/index")["state"] == "idle", "the index to follow")


def check(server: Server, home: Home, writer: Writer) -> None:
    """Assert that what was acknowledged is there, on disk and in the index."""
    assert writer.sure
    for path, sure in writer.sure.items():
        file = home.corpus / path
        there = file.read_text() if file.exists() else None
        assert there in {sure, *writer.tried.get(path, set())}
        writer.sure[path], writer.tried[path] = there, set()
        reply = httpx.get(f"{server.address}/v1/documents/{path}/text")
        assert (reply.text if reply.status_code == 200 else None) == there


@pytest.mark.slow
def test_every_job_ends(home: Home, start: Start) -> None:
    server = start(home)
    home.write("crate.md", "# Crate\n\n" + "\n\n".join(f"Crate {n} is number {n}." for n in range(300)))
    job = server.request_reindex()
    server.kill()
    again = start(home)
    after = again.get(f"/v1/jobs/{job}")
    assert after["state"] in ("failed", "succeeded") and after["finished_at"]
    assert after["state"] == "succeeded" or "stopped before" in after["problem"]
