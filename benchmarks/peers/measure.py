"""One round of one system: built, started, asked, changed, stopped."""

from __future__ import annotations

import http.client
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.changing import change, is_right
from benchmarks.peers.corpus import ABOUT_CHANGED, Prepared
from benchmarks.peers.processes import Failed, busy, free_port, resident, run, served, tail, variables, waited
from benchmarks.peers.systems import ROOT, SERVERS, Places, System
from benchmarks.peers.wire import exchange

LOAD = Path(__file__).with_name("load.py")
CLIENTS = 16
BUILD_DEADLINE, START_DEADLINE, LOAD_DEADLINE = 3600.0, 180.0, 300.0
LOOK_SECONDS = 0.01
"""How often a server that starts is asked."""

SETTLE_SECONDS = 2.0
"""What a start still has to do after its first answer is no part of what questions take."""

QUIET_SECONDS = 1.0
"""How long is looked, before a start, whether others use the cores."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    passages: int
    rounds: int
    warm: int
    """Questions before each measurement that are not counted."""
    single: int
    """Questions of one client at most."""
    seconds: float
    """Of each measurement at most."""
    changes: int


FULL = Plan(passages=4_956, rounds=3, warm=100, single=2_000, seconds=15.0, changes=10)
QUICK = Plan(passages=1_000, rounds=1, warm=32, single=200, seconds=4.0, changes=2)


@dataclass(frozen=True, slots=True)
class Bench:
    """What all systems are measured with."""

    prepared: Prepared
    questions: Sequence[str]
    plan: Plan
    logs: Path


def built(bench: Bench, system: System, places: Places) -> Figures:
    """Build the index anew, and return what that took. Raises Failed."""
    shutil.rmtree(places.index, ignore_errors=True)
    places.index.parent.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    for command in system.build(places):
        run(
            command,
            log=bench.logs / f"{system.name}-build.log",
            environment=variables(system.variables(places)),
            deadline=BUILD_DEADLINE,
            folder=system.folder,
        )
    took = time.perf_counter() - begun
    return {"build_s": took, "passages_per_s": bench.prepared.count / took}


def measured(bench: Bench, system: System, places: Places) -> Figures:
    """Return the figures of a system on the index that is there. Raises Failed."""
    log = bench.logs / f"{system.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    port = free_port()
    others = busy(QUIET_SECONDS)
    begun = time.perf_counter()
    with served(
        system.serve(places, port),
        log=log,
        environment=variables(system.variables(places)),
        folder=system.folder,
    ) as server:
        try:
            _wait(bench, system, server, port)
            figures = {"cold_s": time.perf_counter() - begun, "others_busy": others}
            time.sleep(SETTLE_SECONDS)
            figures["loaded_mb"] = resident(server.pid)
            figures |= _asked(bench, system, port)
            figures["asked_mb"] = resident(server.pid)
            if system.changes:
                figures |= _changed(bench, system, port)
        except Failed as error:
            raise Failed(f"{error}\n{tail(log)}") from error
    return figures


def _wait(bench: Bench, system: System, server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server has given a right answer."""
    told = "no connection"
    for _ in waited(START_DEADLINE):
        if server.poll() is not None:
            raise Failed(f"the server has ended with {server.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_DEADLINE)
        with suppress(OSError, http.client.HTTPException):
            status, body = exchange(connection, system.search(ABOUT_CHANGED))
            if status == 200 and is_right(system, body, bench.prepared.states[0]):
                connection.close()
                return
            told = f"{status}: {body[:500]!r}"
        connection.close()
        time.sleep(LOOK_SECONDS)
    raise Failed(f"no right answer after {START_DEADLINE:.0f} s; last: {told}")


def _asked(bench: Bench, system: System, port: int) -> Figures:
    """Return what questions take with one client, and then with many; none is asked twice."""
    plan = bench.plan
    figures: Figures = {"failed": 0.0}
    used = 0
    for name, clients, most in (("one", 1, plan.warm + plan.single), ("many", CLIENTS, len(bench.questions))):
        wanted = {
            "system": system.name,
            "port": port,
            "questions": bench.questions[used : used + most],
            "warm": plan.warm,
            "clients": clients,
            "seconds": plan.seconds,
        }
        load = json.loads(
            run(
                [sys.executable, str(LOAD)],
                log=bench.logs / f"{system.name}-load.log",
                environment=variables({"PYTHONPATH": str(ROOT)}),
                deadline=LOAD_DEADLINE,
                given=json.dumps(wanted),
            )
        )
        used += load["asked"]
        good = load["milliseconds"]
        if not good:
            raise Failed(f"no question was answered: {load['failures']}")
        figures |= {f"{name}_p{share}": percentile(good, share / 100) for share in (50, 95, 99)}
        figures |= {
            f"{name}_qps": len(good) / load["seconds"],
            f"{name}_count": len(good),
            f"{name}_load_cpu": load["processor_seconds"] / load["seconds"],
        }
        figures["failed"] += load["failed"]
        if load["failed"]:
            with (bench.logs / f"{system.name}-load.log").open("a", encoding="utf-8") as log:
                log.write("\n".join(load["failures"]) + "\n")
    return figures


def _changed(bench: Bench, system: System, port: int) -> Figures:
    """Return what changes take, and what questions noticed; the index ends as it was at first."""
    states = bench.prepared.states
    found = []
    for number in range(bench.plan.changes):
        old, new = (states[0], states[1]) if number % 2 == 0 else (states[1], states[0])
        found.append(change(system, port, old, new))
    if bench.plan.changes % 2:
        change(system, port, states[1], states[0])
    return {
        "change_ms": statistics.median(one.seconds for one in found) * 1000,
        "change_worst_ms": max(one.seconds for one in found) * 1000,
        "change_confirmed_ms": statistics.median(one.confirmed for one in found) * 1000,
        "change_asked": sum(one.asked for one in found),
        "change_neither": sum(one.neither for one in found),
        "change_failed": sum(one.failed for one in found),
    }


def encoder_alone(bench: Bench, places: Places) -> Figures:
    """Return the questions a second of the encoder that Pullquote serves with, in a process of its own."""
    wanted = {
        "corpus": str(places.documents),
        "data": str(places.index),
        "questions": list(bench.questions),
        "warm": bench.plan.warm,
        "clients": CLIENTS,
        "seconds": bench.plan.seconds,
    }
    found: Figures = json.loads(
        run(
            [sys.executable, str(SERVERS / "encoder_alone.py")],
            log=bench.logs / "encoder.log",
            environment=variables({"PYTHONPATH": str(ROOT)}),
            deadline=LOAD_DEADLINE,
            given=json.dumps(wanted),
            folder=ROOT,
        )
    )
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of `values` does not exceed."""
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]
