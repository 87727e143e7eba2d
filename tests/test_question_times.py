"""The benchmark of a question's steps: every step is called as often as it says, with input of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from benchmarks.question.run import AT_ONCE, WARM, Locked, measure, steps
from service.finding import Index
from tests.laws.corpora import made
from tests.laws.standin import StandIn


def test_each_input_is_used_once() -> None:
    """Also by many threads; those that are not counted come first, and the rate is that of the others."""
    used: list[int] = []
    threads: set[int] = set()

    def call(one: int) -> None:
        used.append(one)
        threads.add(threading.get_ident())
        time.sleep(0.001)

    found = measure("sleep", call, Locked(iter(range(300))), seconds=30, threads=4)
    assert sorted(used) == list(range(300)) and used[:WARM] == list(range(WARM))
    assert len(threads) == 5, "four, and the one that warms up"
    assert 0 < found.per_second <= 4 / 0.001


def test_every_step(tmp_path: Path) -> None:
    text = b"# Lamps\n\nThe harbour lamp burns whale oil. The harbour lamp is old.\n"
    encoder = StandIn()
    index = Index(made({"lamps.md": text}, tmp_path / "one"), encoder)
    questions = [f"What burns in harbour lamp {number}?" for number in range(20_000)]
    found = list(steps(index, questions, 0.02, [encoder]))
    names = [(one.step, one.threads) for one in found]
    assert len(set(names)) == len(names) and ("ask", AT_ONCE) in names and ("find", AT_ONCE) in names
    assert {"encode one question, stand-in", f"encode {AT_ONCE} together, stand-in"} <= {
        one for one, _ in names
    }
    assert all(one.per_second > 0 and one.core_ms >= 0 for one in found)
