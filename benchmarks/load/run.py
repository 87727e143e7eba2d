"""What a server does under load and attack, and how it ends: measured, and judged by what is promised.

    python benchmarks/load/run.py WORK [--minutes M] [--workers N] [--rounds R]

WORK keeps the index from one run to the next. M minutes of 16 clients and M of 64, half a minute each of 256
and of 1,000, 300 slow clients of each kind, R times SIGTERM under load. Clients and server share the machine.
Writes RESULTS.md beside itself. Needs Linux: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import random
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.load.clients import SLOW, Seen, asking, slow
from benchmarks.load.served import ROOT, Served, prepare, serving
from benchmarks.quality.tables import table

say = Console(stderr=True, highlight=False, soft_wrap=True)

SEED = 7
CROWDS = (256, 1000)
CROWD_SECONDS = 30.0
SLOW_CLIENTS = 300
SLOW_SECONDS = 45.0
CROWD_HEADER = (
    "clients",
    "replies",
    "answers a second",
    "p99 s",
    "first answer after, s",
    "only 200, 429, 503",
)
ALLOWED = {"200", "429", "503"}


def percentile(values: list[float], share: float) -> float:
    """Return a percentile; 0 where there are no values."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * share))] if found else 0.0


def statuses(seen: Seen) -> str:
    """Return what came, the most frequent first."""
    return ", ".join(f"{count} × {name}" for name, count in seen.statuses.most_common())


async def crowd(
    port: int, questions: Iterator[str], clients: int, seconds: float, *, obedient: bool = False
) -> Seen:
    """Return what so many clients have seen."""
    seen, until = Seen(), time.perf_counter() + seconds
    await asyncio.gather(*(asking(port, questions, until, seen, obedient=obedient) for _ in range(clients)))
    return seen


async def long_run(served: Served, questions: Iterator[str], clients: int, minutes: float) -> list[str]:
    """Return the row of a long run: memory after its first fifth, when all is warm, against the end."""
    await crowd(served.port, questions, clients, minutes * 12)
    before = served.taken()
    seen = await crowd(served.port, questions, clients, minutes * 48)
    after = served.taken()
    rate = len(seen.milliseconds) / (minutes * 48)
    return [
        str(clients),
        statuses(seen),
        f"{rate:.0f}",
        f"{percentile(seen.milliseconds, 0.5):.0f}",
        f"{percentile(seen.milliseconds, 0.99):.0f}",
        f"{before.megabytes:.0f} → {after.megabytes:.0f}",
        f"{before.descriptors} → {after.descriptors}",
        f"{before.threads} → {after.threads}",
    ]


async def crowds(served: Served, questions: Iterator[str]) -> list[list[str]]:
    """Return a row for each crowd; capacity is what 16 clients get right before it."""
    rows = []
    for clients, obedient in itertools.product(CROWDS, (True, False)):
        calm = await crowd(served.port, questions, 16, CROWD_SECONDS / 2)
        capacity = len(calm.milliseconds) / (CROWD_SECONDS / 2)
        seen = await crowd(served.port, questions, clients, CROWD_SECONDS, obedient=obedient)
        ended = time.perf_counter()
        after = await crowd(served.port, questions, 1, 5)
        normal = next((at - ended for at in after.done_at), None)
        goodput = len(seen.milliseconds) / CROWD_SECONDS
        rows.append(
            [
                f"{clients}, {'wait as told' if obedient else 'ask again at once'}",
                statuses(seen),
                f"{goodput:.0f} of {capacity:.0f}",
                f"{percentile(seen.milliseconds, 0.99) / 1000:.1f}",
                "no" if normal is None else f"{normal:.1f}",
                "yes" if not seen.statuses.keys() - ALLOWED else "NO",
            ]
        )
        say.print(*rows[-1], sep=" | ")
    return rows


async def slow_ones(served: Served, questions: Iterator[str]) -> list[list[str]]:
    """Return a row for each way to be slow, all at once, and what ordinary clients see meanwhile."""
    until = time.perf_counter() + SLOW_SECONDS
    ways = [way for way in SLOW for _ in range(SLOW_CLIENTS)]
    ordinary = asyncio.create_task(crowd(served.port, questions, 4, SLOW_SECONDS))
    closed = await asyncio.gather(*(slow(served.port, way, until) for way in ways), return_exceptions=True)
    seen = await ordinary
    rows = []
    for way in SLOW:
        times = [one for name, one in zip(ways, closed, strict=True) if name == way]
        gone = [one for one in times if isinstance(one, float)]
        rows.append(
            [
                way,
                f"{len(gone)} of {len(times)}",
                f"{min(gone, default=0):.1f}",
                f"{max(gone, default=0):.1f}",
            ]
        )
    rows.append([f"4 ordinary clients meanwhile: {statuses(seen)}", "", "", ""])
    return rows


async def _ending(served: Served, questions: Iterator[str]) -> tuple[Seen, float]:
    seen, until = Seen(), time.perf_counter() + 8
    clients = [asyncio.create_task(asking(served.port, questions, until, seen)) for _ in range(16)]
    await asyncio.sleep(random.uniform(1.0, 2.0))
    begun = time.perf_counter()
    served.process.terminate()
    while served.process.poll() is None and time.perf_counter() < begun + 60:
        await asyncio.sleep(0.02)
    took = time.perf_counter() - begun
    for one in clients:
        one.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return seen, took


def endings(home: Path, questions: Iterator[str], rounds: int, workers: int) -> list[str]:
    """Return the row of SIGTERM under load: a connection that is refused was not accepted."""
    took, lost, answered, codes = [], 0, 0, set()
    for _ in range(rounds):
        with serving(home, workers=workers) as served:
            seen, seconds = asyncio.run(_ending(served, questions))
            codes.add(served.process.returncode)
        took.append(seconds)
        answered += seen.statuses["200"]
        lost += sum(
            count
            for name, count in seen.statuses.items()
            if name not in ("200", "503", "ConnectionRefusedError")
        )
    return [
        str(rounds),
        str(answered),
        str(lost),
        f"{statistics.median(took):.1f}",
        f"{max(took):.1f}",
        ", ".join(map(str, sorted(codes))),
    ]


def main() -> None:
    """Measure, and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50)
    wanted = parser.parse_args()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, 8192), files))
    wanted.work.mkdir(parents=True, exist_ok=True)
    prepare(wanted.work)
    found = [
        json.loads(line)["question"]
        for file in sorted((ROOT / "benchmarks/reader/questions").glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    random.Random(SEED).shuffle(found)
    questions = itertools.cycle(found)
    load = os.getloadavg()[0]
    with serving(wanted.work, workers=wanted.workers) as served:
        long = [asyncio.run(long_run(served, questions, one, wanted.minutes)) for one in (16, 64)]
        many = asyncio.run(crowds(served, questions))
        slowly = asyncio.run(slow_ones(served, questions))
        broken = [one for one in served.messages() if one.get("level") == "error"]
    ends = endings(wanted.work, questions, wanted.rounds, wanted.workers)
    text = f"""# Under load and attack

`python benchmarks/load/run.py --minutes {wanted.minutes:g} --workers {wanted.workers} \
--rounds {wanted.rounds}`, \
{datetime.now(UTC).date()}; {os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}; \
load average before it {load:.1f}, by other work on the machine. \
`POST /v1/ask`, no question twice; clients on the same machine.

{wanted.minutes:g} minutes each, after a fifth of them against the end (PSS of all processes).

{table(("clients", "replies", "a second", "p50 ms", "p99 ms", "MB", "descriptors", "threads"), long)}

Crowds, {CROWD_SECONDS:.0f} s each; beside their answers a second those that 16 clients get right before.

{table(CROWD_HEADER, many)}

{SLOW_CLIENTS} clients of each kind, all at once: how many were closed, and after how many seconds.

{table(("slow with", "closed", "first, s", "last, s"), slowly)}

SIGTERM while 16 clients ask.

{table(("rounds", "answered", "accepted and lost", "ended after, s", "at most", "exit codes"), [ends])}

Errors in the log: {len(broken)}.
"""
    (Path(__file__).resolve().parent / "RESULTS.md").write_text(text, encoding="utf-8")
    say.print(text)


if __name__ == "__main__":
    main()
