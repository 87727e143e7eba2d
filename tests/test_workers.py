"""Several processes that answer on one port: one snapshot, one that writes, and none that is missed."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter as Count
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import httpx
import pytest
import structlog

from service import logs
from service.settings import Settings
from tests.server import Home, Reply, Server, wait_for

pytest_plugins = ("tests.server",)

Start = Callable[..., Server]

DEVELOPER = "Who developed PyTorch?"
FACEBOOK = "Facebook AI Research"
CLIENTS = 4

SWITCH_SECONDS = 6.0
"""Until all workers use what another process has published: a second, on a machine that does other things."""

ORPHANED_SECONDS = 20.0
"""Until no worker runs any more once the supervisor was killed: a second, but 3.5 were seen on a machine
whose two cores were wanted by fifteen others."""


def lamp(number: int) -> bytes:
    return f"# Harbour lamp\n\nThe lamp of Brindle harbour burns oil number {number}.\n".encode()


def workers(server: Server) -> dict[int, int]:
    """Return the process of each worker that was told to be ready, the newest."""
    return {one["number"]: one["pid"] for one in server.messages() if one["event"] == "worker ready"}


def started(home: Home, start: Start, count: int = 2, **settings: object) -> Server:
    """Return a server all of whose workers answer."""
    server = start(home, workers=count, **settings)
    wait_for(lambda: len(workers(server)) == count, "every worker to be ready")
    return server


def answered_by(server: Server, request_id: str) -> int:
    """Return the worker that has logged a request."""
    return int(
        wait_for(
            lambda: next(
                (one["worker"] for one in server.messages() if one.get("request_id") == request_id), 0
            ),
            "the request to be logged",
        )
    )


@contextmanager
def one_client_each(server: Server, count: int = 2) -> Iterator[dict[int, httpx.Client]]:
    """Give a client of every worker: a connection stays with the one that took it."""
    found: dict[int, httpx.Client] = {}
    opened: list[httpx.Client] = []
    try:
        for number in itertools.count():
            assert number < 500, f"only workers {sorted(found)} take connections"
            client = httpx.Client(base_url=server.address, timeout=60)
            opened.append(client)
            name = f"client-{number}-{time.monotonic_ns()}"
            assert client.get("/livez", headers={"X-Request-Id": name}).status_code == 200
            found.setdefault(answered_by(server, name), client)
            if len(found) == count:
                yield found
                return
    finally:
        for client in opened:
            client.close()


@dataclass
class Asking:
    """Clients that ask all the time, each over connections that stay open, and what they were told."""

    address: str
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    """Replies that are not what they should be."""
    broken: list[str] = field(default_factory=list)
    """Connections that ended without a reply."""
    refused: int = 0
    """Connections that nobody took."""
    busy: int = 0
    """Replies that more questions came than could be answered, on a machine with other things to do."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _ask(self) -> None:
        with httpx.Client(base_url=self.address, timeout=60) as client:
            while not self._stop.is_set():
                try:
                    reply = client.post("/v1/ask", json={"question": DEVELOPER})
                except httpx.ConnectError:
                    with self._lock:
                        self.refused += 1
                    return
                except httpx.HTTPError as error:
                    with self._lock:
                        self.broken.append(repr(error))
                    continue
                said = reply.json() if reply.status_code == 200 else {}
                right = (said.get("answer") or {}).get("text") == FACEBOOK
                same = said.get("index_version") == reply.headers["x-index-version"]
                busy = reply.status_code == 503 and reply.json()["type"].endswith("too-many-questions")
                with self._lock:
                    self.answered += 1
                    self.busy += busy
                    if not (right and same) and not busy:
                        self.wrong.append(f"{reply.status_code} {reply.text[:300]}")

    @contextmanager
    def running(self, clients: int = CLIENTS) -> Iterator[None]:
        """Ask until the block is left."""
        threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for one in threads:
            one.start()
        try:
            wait_for(lambda: self.answered > clients, "questions to be answered")
            yield
        finally:
            self._stop.set()
            for one in threads:
                one.join()


# ---------------------------------------------------------------- at the start


@pytest.mark.parametrize("count", ["0", "-1", "65", "two"])
def test_a_number_of_workers_that_makes_no_sense_is_said(count: str, home: Home) -> None:
    done = home.run("serve", workers=count)
    assert done.returncode == 2 and "PULLQUOTE_WORKERS is" in done.stderr and "Traceback" not in done.stderr


def test_what_is_wrong_at_the_start_is_said_once_as_by_one_process(home: Home, start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        alone, together = (home.run("serve", workers=count, port=port) for count in (1, 2))
    assert "cannot listen" in alone.stderr
    assert (alone.returncode, alone.stderr) == (together.returncode, together.stderr)
    started(home, start)
    alone, together = (home.run("serve", workers=count) for count in (1, 3))
    assert "another server uses" in alone.stderr
    assert (alone.returncode, alone.stderr) == (together.returncode, together.stderr)


def test_an_index_that_is_missing_is_made_once(home: Home, start: Start) -> None:
    for path in (home.data / "current", *home.data.glob("snapshots/*")):
        path.unlink()
    done = home.run("serve", workers=2, read_only="true")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "no index" in done.stderr
    server = started(home, start)
    assert server.ask(DEVELOPER)["answer"]["text"] == FACEBOOK
    assert server.log.read_text().count("documents: 1 added") == 1


# ---------------------------------------------------------------- side by side


@pytest.mark.slow
def test_all_answer_on_one_port_with_one_version(home: Home, start: Start) -> None:
    server = started(home, start, 3)
    assert len([one for one in server.messages() if one["event"] == "serving"]) == 1
    assert len({*workers(server).values(), server.process.pid}) == 4
    with one_client_each(server, 3) as clients:
        replies = [one.post("/v1/ask", json={"question": DEVELOPER}).json() for one in clients.values()]
        tags = {one.get("/v1/ask", params={"q": DEVELOPER}).headers["etag"] for one in clients.values()}
    assert all({**one, "took_ms": 0} == {**replies[0], "took_ms": 0} for one in replies)
    assert replies[0]["answer"]["text"] == FACEBOOK and len(tags) == 1
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_what_one_was_told_all_know(home: Home, start: Start) -> None:
    server = started(home, start, journal="true")
    with one_client_each(server) as clients:
        pairs = [*itertools.permutations(clients.values())] * 4
        asking = Asking(server.address)
        with asking.running(2):
            for number, (one, other) in enumerate(pairs):
                reply = one.put("/v1/documents/lamp.md?wait=true", content=lamp(number))
                assert reply.status_code in (200, 201) and reply.json()["searchable"], reply.text
                # At once, and from whoever did not change anything too.
                for client in (other, one):
                    read = client.get("/v1/documents/lamp.md/text")
                    assert read.content == lamp(number)
                    assert read.headers["x-index-version"] == reply.json()["index_version"]
                    assert client.get("/v1/index").json()["version"] == reply.json()["index_version"]
            assert asking.wrong == asking.broken == []
            job = one.post("/v1/reindex", json={"dry_run": True}).json()["id"]
            seen = wait_for(
                lambda: next(
                    (read for read in [other.get(f"/v1/jobs/{job}")] if read.json()["finished_at"]), None
                ),
                "the job to end",
            )
            assert seen.json()["state"] == "succeeded"
            for client in (one, other):
                assert client.get(f"/v1/jobs/{job}").json() == seen.json()
                assert client.delete(f"/v1/jobs/{job}").status_code == 409
                assert client.get("/v1/jobs/0123456789abcdef").status_code == 404
            old = one.get("/v1/index").json()["snapshots"][-1]
            assert other.post("/v1/index/rollback", json={"version": old}).status_code == 200
            assert {client.get("/v1/documents").headers["x-index-version"] for client in (one, other)} == {
                old
            }
        assert asking.wrong == asking.broken == []
        thumb = {"question": DEVELOPER, "good": True}
        for client in (one, other):
            assert client.post("/v1/feedback", json=thumb).status_code == 204

        def counts() -> set[int]:
            return {len(each.get("/v1/journal/feedback").json()["feedback"]) for each in (one, other)}

        wait_for(lambda: counts() == {2}, "the thumbs of both to be written")


@pytest.mark.slow
@pytest.mark.parametrize("read_only", ["false", "true"])
def test_what_another_process_publishes_is_used_by_all_within_a_second(
    read_only: str, home: Home, start: Start
) -> None:
    server = started(home, start, read_only=read_only)
    with one_client_each(server) as clients:
        home.write("lamp.md", lamp(7))
        assert home.run("index").returncode == 0
        published = time.monotonic()

        def all_see() -> bool:
            return all(one.get("/v1/documents/lamp.md/text").status_code == 200 for one in clients.values())

        wait_for(all_see, "every worker to switch")
        assert time.monotonic() - published < SWITCH_SECONDS
        if read_only == "true":
            refused = [one.put("/v1/documents/lamp.md", content=lamp(8)) for one in clients.values()]
            assert {(one.status_code, one.json()["type"]) for one in refused} == {
                (403, "urn:pullquote:problem:read-only")
            }


def test_a_message_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class File(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr("sys.stderr", File())
    logs.configure(Settings(log_format="json"), worker=2)
    structlog.get_logger().info("a message", number=1)
    logs.configure(Settings())
    assert len(written) == 1 and written[0].endswith("}\n")
    said = json.loads(written[0])
    assert (said["event"], said["number"], said["worker"]) == ("a message", 1, 2)


# ---------------------------------------------------------------- dying


KILLED = (2, 1, 3, 1)
"""The first one writes."""


def kill_and_wait(server: Server, number: int, asking: Asking) -> None:
    """Kill a worker; return when it was started again and questions were answered meanwhile."""
    pid, before = workers(server)[number], asking.answered
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: workers(server)[number] != pid, "the worker to be started again")
    wait_for(lambda: asking.answered > before + CLIENTS, "questions to be answered meanwhile")


@pytest.mark.slow
def test_killed_workers_are_started_again_and_nobody_is_told_anything_wrong(home: Home, start: Start) -> None:
    server = started(home, start, 3)
    asking = Asking(server.address)
    changes: Count[int] = Count()
    stop = threading.Event()

    def change() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            try:
                reply = httpx.put(
                    f"{server.address}/v1/documents/lamp.md?wait=true", content=lamp(number), timeout=60
                )
            except httpx.HTTPError:
                continue  # the connection was that of the worker that was killed
            changes[reply.status_code] += 1
            if reply.status_code == 503:
                assert reply.headers["retry-after"], reply.text

    changing = threading.Thread(target=change)
    with asking.running():
        changing.start()
        try:
            for number in KILLED:
                kill_and_wait(server, number, asking)
        finally:
            stop.set()
            changing.join()
    assert asking.wrong == [] and asking.refused == 0
    # Nothing but the connections of the one that was killed.
    assert len(asking.broken) <= len(KILLED) * CLIENTS
    assert {*changes} <= {200, 201, 503} and changes[200] > 0
    restarts = [one for one in server.messages() if one["event"] == "worker has ended and is started again"]
    assert [(one["number"], one["status"]) for one in restarts] == [
        (number, "by SIGKILL") for number in KILLED
    ]
    reply = server.client.put("/v1/documents/lamp.md?wait=true", content=lamp(-1))
    assert reply.json()["searchable"]
    with one_client_each(server, 3) as clients:
        for one in clients.values():
            assert one.get("/v1/documents/lamp.md/text").content == lamp(-1)


@pytest.mark.slow
@pytest.mark.parametrize("busy", [False, True])
def test_where_the_supervisor_is_killed_port_and_folder_are_free(
    busy: bool, home: Home, start: Start
) -> None:
    server = started(home, start)
    port = int(server.address.rpartition(":")[2])
    asking = Asking(server.address)
    with asking.running() if busy else nullcontext():
        pids = [*workers(server).values()]
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait(10)
        killed = time.monotonic()

        def all_gone() -> bool:
            return not any(is_running(pid) for pid in pids)

        wait_for(all_gone, "the workers to end")
        assert time.monotonic() - killed < ORPHANED_SECONDS
    assert asking.wrong == []
    again = started(home, start, port=port)
    assert again.ask(DEVELOPER)["answer"]["text"] == FACEBOOK


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended may be listed until it is asked about."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip() != "" and not done.stdout.startswith("Z")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_sigterm_under_load_breaks_off_nobody(count: int, home: Home, start: Start) -> None:
    server = start(home, workers=count)
    if count > 1:
        wait_for(lambda: len(workers(server)) == count, "every worker to be ready")
    asking = Asking(server.address)
    changes: list[Reply] = []

    def change() -> None:
        with httpx.Client(base_url=server.address, timeout=60) as client:
            for number in itertools.count():
                try:
                    reply = client.put("/v1/documents/lamp.md?wait=true", content=lamp(number))
                except httpx.ConnectError:
                    return
                except httpx.HTTPError as error:
                    changes.append({"status": repr(error)})
                    return
                changes.append({"status": reply.status_code})

    changing = threading.Thread(target=change)
    with asking.running(8):
        changing.start()
        wait_for(lambda: len(changes) > 1, "a change")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        changing.join()
    assert asking.wrong == asking.broken == []
    assert {one["status"] for one in changes} <= {200, 201, 503}, changes[-1]
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_a_worker_that_cannot_be_started_again_ends_the_server_with_the_reason(
    home: Home, start: Start
) -> None:
    model = home.folder / "encoder"
    shutil.copytree(home.encoder, model)
    server = started(home, start, model=model)
    shutil.rmtree(model)
    os.kill(workers(server)[2], signal.SIGKILL)
    assert server.process.wait(60) == 2
    said = server.log.read_text().splitlines()[-1]
    assert "worker 2 has ended 5 times in a row" in said and "holds no encoder" in said
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_told_to_end_by_a_terminal_all_end_as_done(home: Home, start: Start) -> None:
    server = started(home, start)
    asking = Asking(server.address)
    with asking.running():
        os.killpg(server.process.pid, signal.SIGINT)  # as Ctrl-C does: to every process
        assert server.process.wait(60) == 0
    assert asking.wrong == asking.broken == []
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_connections_are_shared_out(home: Home, start: Start) -> None:
    server = started(home, start)
    had: list[int] = []
    for turn in range(10):
        opened = [
            socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) for _ in range(8)
        ]
        for number, one in enumerate(opened):
            name = f"turn-{turn}-{number}"
            one.sendall(f"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {name}\r\n\r\n".encode())
        had.append(sum(answered_by(server, f"turn-{turn}-{number}") == 1 for number in range(8)))
        for one in opened:
            one.close()
    # Each has four of eight, or nearly; by chance alone one of 14 turns would be outside of two to six.
    assert 3 <= sum(had) / len(had) <= 5 and sum(2 <= one <= 6 for one in had) >= 9, had
