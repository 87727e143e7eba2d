"""Where the time of a question goes: each step by itself, alone and under load, in one process without HTTP.

    python benchmarks/question/run.py WORK [--documents FOLDER] [--seconds S]

WORK holds the index and is used again. Prints a table and writes it into RESULTS.md beside itself: calls a
second and milliseconds of a core for each. Every question is asked once; the machine should do nothing else.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.quality import tables
from index import openvino_graphs
from index.encoder import Encoder
from index.models import open_encoder
from index.progress import Progress
from index.runtimes import Runtime
from index.saying import said_of
from index.store import Store
from service import wire
from service.answer import ask, settle
from service.finding import Index, find, understand
from service.known import read_questions
from service.outside import build_index, open_index
from service.settings import Settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

QUESTIONS = ROOT / "benchmarks/reader/questions"
SEED = 7
AT_ONCE = 16
"""Threads that ask at the same moment, and questions that are encoded together."""

FOUND = 200
"""Questions whose passages are read again and again, where reading alone is measured."""

WARM = 40
"""Calls of each step that are not counted."""

say = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Measured:
    """One step."""

    step: str
    threads: int
    per_second: float
    core_ms: float
    """Milliseconds of processor time for each call, all threads together."""


def measure(
    step: str, call: Callable[[Any], object], given: Iterator[Any], *, seconds: float, threads: int = 1
) -> Measured:
    """Return how a step does with fresh input for as long as is given."""
    for one in itertools.islice(given, WARM):
        call(one)
    until = time.perf_counter() + seconds

    def client(_: int) -> int:
        done = 0
        for one in iter(lambda: next(given, None), None):
            call(one)
            done += 1
            if time.perf_counter() > until:
                break
        return done

    began, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(client, range(threads)))
    took, processor = time.perf_counter() - began, time.process_time() - processor
    return Measured(step, threads, done / took, processor / max(done, 1) * 1000)


class Locked:
    """An iterator that several threads may draw from."""

    def __init__(self, inner: Iterator[Any]) -> None:
        self._inner = inner

    def __iter__(self) -> Locked:
        return self

    def __next__(self) -> Any:
        # One call into C: no other thread comes between.
        return next(self._inner)


def steps(
    index: Index, questions: Sequence[str], seconds: float, encoders: Sequence[Encoder]
) -> Iterator[Measured]:
    """Yield each step of the way of a question; the encoding by each of `encoders`."""
    fresh = Locked(iter(questions))
    encoder, snapshot = index.encoder, index.snapshot
    together = (list(some) for some in iter(lambda: list(itertools.islice(fresh, AT_ONCE)), []))
    yield measure("understand", lambda one: understand(index, one, ()), fresh, seconds=seconds)
    for one in encoders:
        name = f"encode one question, {one.runtime}"
        yield measure(name, one.encode_question, fresh, seconds=seconds)
        name = f"encode {AT_ONCE} together, {one.runtime}"
        found = measure(name, one.encode_questions, together, seconds=seconds)
        per = (found.per_second * AT_ONCE, found.core_ms / AT_ONCE)
        yield replace(found, per_second=per[0], core_ms=per[1])
    yield measure("find", lambda one: find(index, one), fresh, seconds=seconds)
    yield measure("find", lambda one: find(index, one), fresh, seconds=seconds, threads=AT_ONCE)
    some = [find(index, one) for one in itertools.islice(fresh, FOUND)]
    again = itertools.cycle(some)
    plain = Index(snapshot, encoder)
    yield measure("read, weighted sum", lambda one: settle(plain, one), again, seconds=seconds)
    yield measure("read, cross-encoder too", lambda one: settle(index, one), again, seconds=seconds)
    if index.pairs is not None:
        score = index.pairs.score
        said = itertools.cycle(
            (one.used, [said_of(snapshot, hit.passage, rows[0])])
            for one in some
            for hit in one.among[:2]
            if len(rows := snapshot.candidates_of(hit.passage))
        )
        yield measure("cross-encoder, a candidate", lambda one: score(*one), said, seconds=seconds)
    yield measure(
        "passages as JSON",
        lambda one: wire.search_reply(snapshot, one.used, one).model_dump_json(by_alias=True),
        again,
        seconds=seconds,
    )
    yield measure("ask", lambda one: ask(index, one), fresh, seconds=seconds)
    yield measure("ask", lambda one: ask(index, one), fresh, seconds=seconds, threads=AT_ONCE)


def main() -> None:
    """Build or open the index, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--documents", type=Path, default=ROOT / "corpus/texts")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each step")
    given = parser.parse_args()
    settings = Settings(corpus=given.documents, data=given.work)
    build_index(settings, Progress())
    index = open_index(settings)
    questions = [one.question for path in sorted(QUESTIONS.iterdir()) for one in read_questions(path)]
    questions = random.Random(SEED).sample(sorted(set(questions)), len(set(questions)))
    rows = []
    runtimes: list[Runtime] = ["onnxruntime", "openvino"] if openvino_graphs.installed() else ["onnxruntime"]
    store, fingerprint = Store(settings.data), index.snapshot.manifest.fingerprint
    encoders = [open_encoder(store, settings.model, fingerprint, runtime) for runtime in runtimes]
    for one in steps(index, questions, given.seconds, encoders):
        rows.append([one.step, str(one.threads), f"{one.per_second:,.0f}", f"{one.core_ms:.2f}"])
        say.print(" ".join(rows[-1]))
    head = (
        f"# Where the time of a question goes\n\n{datetime.now(UTC):%Y-%m-%d}; {index.snapshot.passages} "
        f"passages; {os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}.\n\n"
    )
    table = tables.table(("step", "threads", "a second", "ms of a core"), rows)
    (HERE / "RESULTS.md").write_text(head + table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
