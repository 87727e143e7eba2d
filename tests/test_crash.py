"""A real server, killed at any moment while documents come and go: nothing acknowledged is lost."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest

from index.queue import SLICE_PASSAGES
from index.store import Store
from tests.server import PATIENCE_SECONDS, ROOT, Home, Server, wait_for

pytest_plugins = ("tests.server",)

ROUNDS = 5
READY_SECONDS = 20.0
"""After a kill the server answers within this time: one second, but seven were seen on two cores that did
four other things besides."""

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
        wait_for(lambda: all(one.sure for one in writers), "each to have been told of a change")
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


# ---------------------------------------------------------------- builds that are interrupted

KILLS = 4
COUNTING = """
import json, os
from index.encoder import OnnxEncoder
from service.__main__ import main
encode = OnnxEncoder.encode_documents

def counted(self, texts, progress=None):
    with open(os.environ["COUNTED"], "a") as file:
        file.write(json.dumps(len([one for one in texts if one.startswith("Crates > ")])) + "\\n")
    return encode(self, texts, progress)

OnnxEncoder.encode_documents = counted
main()
"""
"""`pullquote`, which writes down how many passages it is about to encode."""


SLOW = "onnxruntime"
"""The runtime of these builds, so that they take long enough to be killed."""


def crates(home: Home, documents: int = 12) -> int:
    """Write documents of many small passages and return how many there are."""
    parts = 100
    for number in range(documents):
        sections = [f"## Part {n}\n\nThe crate {number} {n} lies in harbour {n * 7}.\n" for n in range(parts)]
        home.write(f"crates/{number}.md", "---\ntitle: Crates\n---\n\n" + "\n".join(sections))
    return documents * parts


def counting(home: Home, data: Path, counted: Path) -> subprocess.Popen[str]:
    """Return a running `pullquote index`."""
    return subprocess.Popen(
        [sys.executable, "-c", COUNTING, "index", "--json"],
        cwd=ROOT,
        env=home.environment(data=data, runtime=SLOW) | {"COUNTED": str(counted)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def made_in(data: Path) -> tuple[str, list[str]]:
    """Return version and segments of the index in use; a segment is named by its bytes."""
    held = Store(data).open_current(pytest.fail)
    return held.version, [one.file.sha256 for one in held.manifest.segments]


def _has_begun(process: subprocess.Popen[str], counted: Path) -> bool:
    """Return whether a build encodes, or had nothing left to encode."""
    return counted.exists() or process.poll() is not None


@pytest.mark.slow
def test_a_build_that_is_killed_again_and_again_encodes_nothing_twice(home: Home, tmp_path: Path) -> None:
    total, chance = crates(home), random.Random(11)
    data, killed = tmp_path / "data", 0
    for number in range(KILLS):
        counted = tmp_path / f"counted-{number}"
        with counting(home, data, counted) as process:
            # Not before it has begun, then at any moment of the first slices.
            wait_for(partial(_has_begun, process, counted), "a slice")
            if number == 0:
                wait_for(lambda: [*data.glob("unfinished/*/*.encoded")], "a slice to be kept")
            time.sleep(chance.uniform(0.0, 0.6))
            killed += process.poll() is None
            process.kill()
    assert killed > 1
    with counting(home, data, tmp_path / "counted-last") as process:
        told, problem = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, problem
    files = tmp_path.glob("counted-*")
    begun = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert total <= sum(begun) <= total + KILLS * SLICE_PASSAGES
    assert json.loads(told)["encoded"] < total, "what was kept is not encoded again"

    undisturbed = tmp_path / "undisturbed"
    assert home.run("index", data=undisturbed, runtime=SLOW).returncode == 0
    assert made_in(data) == made_in(undisturbed)
    assert not (data / "unfinished").exists()


@pytest.mark.slow
def test_a_refresh_that_is_cut_short_by_the_end_of_the_server_goes_on(home: Home, start: Start) -> None:
    server = start(home, runtime=SLOW)
    total = crates(home, documents=36)  # some 20 s: the server may take 2 s to end
    job = server.request_reindex()
    wait_for(lambda: [*home.data.glob("unfinished/*/*.encoded")], "a slice to be kept")
    assert server.stop() == 0
    kept = len([*home.data.glob("unfinished/*/*.encoded")])
    server = start(home)
    assert server.get(f"/v1/jobs/{job}")["state"] in ("cancelled", "failed")
    followed(server)
    server.reindex()
    encoded = [one["encoded"] for one in server.messages() if one.get("event") == "index refreshed"]
    assert kept and sum(encoded) == total - kept * SLICE_PASSAGES
    assert not (home.data / "unfinished").exists()
