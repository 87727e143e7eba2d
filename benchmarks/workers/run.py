"""What several workers bring and cost: questions a second, memory, and how soon all use a new snapshot.

    python benchmarks/workers/run.py WORK [--documents FOLDER] [--workers 1,2] [--rounds R] [--seconds S]

One server for each number of workers, on copies of one index in WORK (which is used again); all of them run,
one at a time is asked, in turns, by sixteen clients, so that whatever else the machine does meets all alike.
Writes RESULTS.md beside itself. Needs Linux: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.quality import tables
from benchmarks.quality.sets import exported
from index.build import Progress
from index.export import PACKAGED_MODEL
from service.known import read_questions
from service.outside import build_index
from service.settings import Settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOAD = ROOT / "benchmarks/peers/load.py"
QUESTIONS = ROOT / "benchmarks/reader/questions"
SEED = 7
CLIENTS = 16
WARM = 64
"""Questions before each measurement that are not counted."""

CHANGES = 20
LOOK_SECONDS = 0.005
"""How often a worker is asked whether it uses a new snapshot."""

PATIENCE_SECONDS = 60.0
DOORS = ("search", "ask")
HEADER = ("workers", "questions a second", "against the first", "p50 ms", "ms of a core each", "cores had")

say = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Served:
    """A server, and what was measured of it."""

    workers: int
    corpus: Path
    log: Path
    process: subprocess.Popen[bytes]
    port: int = 0
    per_second: dict[str, list[float]] = field(default_factory=dict)
    p50: dict[str, list[float]] = field(default_factory=dict)
    core_ms: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of a core that a question takes, all processes of the server together."""
    cores: dict[str, list[float]] = field(default_factory=dict)
    """How many of them it had meanwhile."""

    def messages(self) -> list[dict[str, Any]]:
        """Return what was logged."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def pids(self) -> list[int]:
        """Return the processes that answer; of one worker it is the server itself."""
        found = {one["number"]: one["pid"] for one in self.messages() if one["event"] == "worker ready"}
        return [found[number] for number in sorted(found)] or [self.process.pid]


@contextmanager
def serving(workers: int, work: Path, environment: dict[str, str]) -> Iterator[Served]:
    """Give a server that is ready, over a copy of the index."""
    home = work / f"{workers}-workers"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(work / "data", home / "data")
    shutil.copytree(work / "corpus", home / "corpus")
    log = home / "log"
    own = {
        "PULLQUOTE_CORPUS": str(home / "corpus"),
        "PULLQUOTE_DATA": str(home / "data"),
        "PULLQUOTE_PORT": "0",
        "PULLQUOTE_WORKERS": str(workers),
        "PULLQUOTE_LOG_FORMAT": "json",
    }
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"], env=environment | own, stderr=errors, cwd=ROOT
        )
    served = Served(workers, home / "corpus", log, process)
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not (served.port and len(served.pids()) == workers):
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the server does not start; see {log}")
            found = [one["address"] for one in served.messages() if one["event"] == "serving"]
            served.port = int(found[0].rpartition(":")[2]) if found else 0
            time.sleep(0.05)
        yield served
    finally:
        process.terminate()
        process.wait()


def load(served: Served, door: str, questions: Sequence[str], seconds: float) -> None:
    """Ask by CLIENTS clients, and note what came of it."""
    wanted = {
        "system": f"pullquote-{door}",
        "port": served.port,
        "questions": questions,
        "warm": WARM,
        "clients": CLIENTS,
        "seconds": seconds,
    }
    before, begun = processor_seconds(served), time.perf_counter()
    done = subprocess.run(
        [sys.executable, LOAD], input=json.dumps(wanted).encode(), stdout=subprocess.PIPE, check=True
    )
    took, spent = time.perf_counter() - begun, processor_seconds(served) - before
    found = json.loads(done.stdout)
    if found["failed"]:
        raise SystemExit(f"{found['failed']} questions failed: {found['failures']}")
    rate = len(found["milliseconds"]) / found["seconds"]
    served.per_second.setdefault(door, []).append(rate)
    served.p50.setdefault(door, []).append(statistics.median(found["milliseconds"]))
    served.core_ms.setdefault(door, []).append(spent / found["asked"] * 1000)
    served.cores.setdefault(door, []).append(spent / took)
    say.print(f"{served.workers} workers, {door}: {rate:.0f} a second, {spent / took:.2f} cores")


def processor_seconds(served: Served) -> float:
    """Return what the processes of a server have had of the cores until now."""
    ticks = 0
    for pid in {served.process.pid, *served.pids()}:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, float]:
    """Return the megabytes of a process: resident, its share of them, and those that are its alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    found = {name.rstrip(":"): int(value) / 1024 for name, value, *_ in map(str.split, lines)}
    return {
        "RSS": found["Rss"],
        "PSS": found["Pss"],
        "own": found["Private_Dirty"] + found["Private_Clean"],
    }


def memory_rows(served: Served) -> list[list[str]]:
    """Return a row of memory for each process of a server."""
    each = {f"number {at}": pid for at, pid in enumerate(served.pids(), 1)}
    if served.workers > 1:
        each = {"the supervisor": served.process.pid} | each
    return [
        [f"{served.workers} workers: {name}", *(f"{value:.0f}" for value in memory(pid).values())]
        for name, pid in each.items()
    ]


def spread(served: Served) -> list[int]:
    """Return how many of CLIENTS connections made at a time the worker with the most had, again and again."""
    found = []
    for _ in range(CHANGES):
        connections = [http.client.HTTPConnection("127.0.0.1", served.port) for _ in range(CLIENTS)]
        for one in connections:
            one.connect()
        names = [f"s{time.monotonic_ns()}-{at}" for at in range(CLIENTS)]
        for name, one in zip(names, connections, strict=True):
            exchange(one, "GET", "/livez", headers={"X-Request-Id": name})
            one.close()
        while len(by := [m["worker"] for m in served.messages() if m.get("request_id") in names]) < CLIENTS:
            time.sleep(LOOK_SECONDS)
        found.append(max(by.count(one) for one in set(by)))
    return found


def connection_each(served: Served) -> list[http.client.HTTPConnection]:
    """Return a connection to every worker, the one that writes first: one stays with who has taken it."""
    found: dict[int, http.client.HTTPConnection] = {}
    for number in range(500):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_SECONDS)
        name = f"c{number}-{time.monotonic_ns()}"
        exchange(connection, "GET", "/livez", headers={"X-Request-Id": name})
        while not (logged := [one for one in served.messages() if one.get("request_id") == name]):
            time.sleep(LOOK_SECONDS)
        worker = logged[0].get("worker", 1)
        if worker in found:
            connection.close()
        found.setdefault(worker, connection)
        if len(found) == served.workers:
            return [found[one] for one in sorted(found)]
    raise SystemExit(f"only workers {sorted(found)} of {served.workers} take connections")


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    """Send a request and return the version in its reply."""
    connection.request(method, path, body, headers or {})
    reply = connection.getresponse()
    reply.read()
    if reply.status not in (200, 201):
        raise SystemExit(f"{method} {path}: {reply.status}")
    return reply.headers["X-Index-Version"]


def lamp(number: int) -> bytes:
    """Return a document that was never there."""
    return f"# Lamp {number}\n\nThe lamp of harbour {number} burns oil number {number}.\n".encode()


def changes(connections: Sequence[http.client.HTTPConnection]) -> dict[str, float]:
    """Return how long a change takes until its reply, by way of each worker, and what all use then."""
    took: dict[str, list[float]] = {"writer": [], "other": []}
    late = 0
    for number in range(CHANGES):
        by = number % len(connections)
        begun = time.perf_counter()
        version = exchange(connections[by], "PUT", "/v1/documents/lamp.md?wait=true", lamp(number))
        took["other" if by else "writer"].append((time.perf_counter() - begun) * 1000)
        late += sum(exchange(one, "GET", "/v1/documents/lamp.md") != version for one in connections)
    told = {name: statistics.median(values) for name, values in took.items() if values}
    return {"late": late, **told}


def published(
    served: Served, connections: Sequence[http.client.HTTPConnection], environment: dict[str, str]
) -> list[float]:
    """Return for each of some snapshots of another process the seconds until every worker uses it."""
    found = []
    for number in range(CHANGES // 4):
        (served.corpus / "lamp.md").write_bytes(lamp(1000 + number))
        before = exchange(connections[0], "GET", "/livez")
        current = served.corpus.parent / "data/current"
        mark = current.stat().st_mtime_ns
        own = {"PULLQUOTE_CORPUS": str(served.corpus), "PULLQUOTE_DATA": str(served.corpus.parent / "data")}
        with subprocess.Popen(
            [sys.executable, "-m", "service", "index"],
            env=environment | own,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            while current.stat().st_mtime_ns == mark:
                time.sleep(LOOK_SECONDS)
            begun = time.monotonic()
            while any(exchange(one, "GET", "/livez") == before for one in connections):
                time.sleep(LOOK_SECONDS)
            found.append(time.monotonic() - begun)
    return found


def handing(connections: Sequence[http.client.HTTPConnection]) -> list[float]:
    """Return the median milliseconds of /v1/index by way of each worker."""
    found = []
    for one in connections:
        took = []
        for _ in range(200):
            begun = time.perf_counter()
            exchange(one, "GET", "/v1/index")
            took.append((time.perf_counter() - begun) * 1000)
        found.append(statistics.median(took))
    return found


def shares(served: Served) -> str:
    """Return which share of the questions each worker has answered, the least and the most."""
    counts: dict[int, int] = {}
    for one in served.messages():
        if one["event"] == "request" and one["path"] in ("/v1/ask", "/v1/search"):
            counts[one.get("worker", 1)] = counts.get(one.get("worker", 1), 0) + 1
    total = sum(counts.values())
    return f"{min(counts.values()) / total:.2f} to {max(counts.values()) / total:.2f}"


def ratios(all_served: Sequence[Served], door: str) -> list[list[str]]:
    """Return a row for each server; what is against the first is so in the same round."""
    first, rows = all_served[0].per_second[door], []
    for one in all_served:
        rates = one.per_second[door]
        against = [mine / base for mine, base in zip(rates, first, strict=True)]
        spread = f"{statistics.median(against):.2f} ({min(against):.2f} to {max(against):.2f})"
        rows.append(
            [
                f"{one.workers}, /v1/{door}",
                f"{statistics.median(rates):.0f}",
                spread,
                f"{statistics.median(one.p50[door]):.0f}",
                f"{statistics.median(one.core_ms[door]):.1f}",
                f"{statistics.median(one.cores[door]):.2f}",
            ]
        )
    return rows


def main() -> None:
    """Build, serve, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--documents", type=Path, default=ROOT / "corpus/texts")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn")
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    model = exported(PACKAGED_MODEL, work)
    shutil.copytree(given.documents, work / "corpus", dirs_exist_ok=True)
    counts = build_index(Settings(corpus=work / "corpus", data=work / "data", model=model), Progress())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PULLQUOTE_")}
    environment |= {"PULLQUOTE_MODEL": model, "PYTHONPATH": str(ROOT)}
    known = [one.question for path in sorted(QUESTIONS.iterdir()) for one in read_questions(path)]
    questions = sorted({*known})
    random.Random(SEED).shuffle(questions)
    used = 0
    with ExitStack() as stack:
        sizes = [int(one) for one in given.workers.split(",")]
        all_served = [stack.enter_context(serving(one, work, environment)) for one in sizes]
        for round_ in range(given.rounds):
            for door in DOORS:
                # Every other round the other way round: who comes second has no advantage.
                for one in all_served if round_ % 2 == 0 else reversed(all_served):
                    each = int(given.seconds * 1000)
                    load(
                        one,
                        door,
                        [questions[(used + at) % len(questions)] for at in range(each)],
                        given.seconds,
                    )
                    used += each
        memories = [row for one in all_served for row in memory_rows(one)]
        largest = all_served[-1]
        shared, most = shares(largest), statistics.mean(spread(largest))
        connections = connection_each(largest)
        changed = changes(connections)
        handed = handing(connections)
        switched = published(largest, connections, environment)
    table = [row for door in DOORS for row in ratios(all_served, door)]
    text = (
        "# What several workers bring and cost\n\n"
        f"`python benchmarks/workers/run.py`, {datetime.now(UTC).date()}; {os.cpu_count()} cores "
        f"{platform.machine()}, Python {platform.python_version()}; {counts.passages} passages, {CLIENTS} "
        f"clients on the same machine, {given.rounds} turns of {given.seconds:.0f} s each, median (least to "
        "most).\n\n"
        + tables.table(HEADER, table)
        + "\n\nMegabytes after that: resident, the share of them, and what is the process's alone.\n\n"
        + tables.table(("", "RSS", "PSS", "own"), memories)
        + f"\n\nWith {largest.workers} workers, each had {shared} of the questions, and of {CLIENTS} "
        f"connections made at a time the one with the most {most:.1f}. A change of a small document with "
        f"`wait=true` takes {changed['writer']:.0f} ms by way of the worker that writes, "
        f"{changed['other']:.0f} by way of another; of {CHANGES * largest.workers} replies right after it "
        f"{changed['late']:.0f} were of an older version. `/v1/index` takes {handed[0]:.1f} ms there, "
        f"{statistics.median(handed[1:]):.1f} handed on. What `pullquote index` has published all use "
        f"{statistics.median(switched):.2f} s later, at most {max(switched):.2f}.\n"
    )
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
