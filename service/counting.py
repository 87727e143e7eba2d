"""Numbers that only a program's running makes: counters, gauges and histograms, summed over processes.

prometheus-client writes them out (`service.exposition`), but does not count here. Its way with several
processes asks for a variable of the environment, keeps a file for every process there ever was and leaves out
what is not counted. Here every series is known before the first request, so the numbers of a process are one
row of a table in a file that all of them map. Nothing is parsed to read them, a worker that was killed has
lost none, and the one started in its place counts on in the same row.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal

Kind = Literal["counter", "gauge", "latest", "histogram"]
"""`gauge`: of processes that run, their sum. `latest`: the largest there is, such as a time."""

Labels = tuple[str, ...]

PID, STARTED, FIRST = 0, 1, 2
"""In each row before the numbers: whose it is, and when that process was started, so that no other process
that was given the same number is taken for it."""

WIDTH = 8
"""Bytes of a number, a double: which the processor writes in one step, so that none is read in halves."""


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name: what is counted, and by which labels."""

    name: str
    """As Prometheus has it, without `_total`."""
    kind: Kind
    help: str
    labels: Labels = ()
    series: tuple[Labels, ...] = ((),)
    """The values of the labels, all that there can be."""
    bounds: tuple[float, ...] = ()
    """Of a histogram: the upper bounds of its buckets, but for the last, which has none."""

    @property
    def width(self) -> int:
        """Return how many numbers a series takes: a histogram's buckets and its sum, or one."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


@dataclass(frozen=True, slots=True)
class Total:
    """A series over all processes."""

    family: Family
    labels: Labels
    value: float
    """The number itself, or a histogram's sum."""
    buckets: tuple[float, ...] = ()
    """Of a histogram: how many were at most each bound, and at last how many there were."""


class Counts:
    """The numbers of this process, and the way to those of the others. Called from any thread."""

    def __init__(
        self, families: Sequence[Family], folder: Path | None = None, *, row: int = 1, rows: int = 1
    ) -> None:
        """Count in a row, from 1, of a file in `folder`; or in memory of this process alone without one.

        The file is named by what is counted, so that processes of two versions never share one.
        Raises OSError when it cannot be written.
        """
        self._families = tuple(families)
        self._slots: dict[tuple[str, Labels], int] = {}
        self._bounds = {one.name: one.bounds for one in families}
        width = FIRST
        for one in families:
            for labels in one.series:
                self._slots[one.name, labels] = width
                width += one.width
        self._width, self._rows = width, rows
        self._lock = threading.Lock()
        size = rows * width * WIDTH
        if folder is None:
            memory = mmap.mmap(-1, size)
        else:
            name = hashlib.sha256(repr((rows, self._families)).encode()).hexdigest()[:16]
            descriptor = os.open(folder / f"counts-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(descriptor, size)
                memory = mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        self._table = memoryview(memory).cast("d")
        self._base = (row - 1) * width
        self._begin()

    def _begin(self) -> None:
        """Make the row this process's: what was counted in it stays, what was true of another goes."""
        for family in self._families:
            if family.kind == "gauge":
                for labels in family.series:
                    self._table[self._base + self._slots[family.name, labels]] = 0.0
        self._table[self._base + PID] = os.getpid()
        self._table[self._base + STARTED] = started_at(os.getpid()) or 0.0

    def add(self, name: str, labels: Labels = (), amount: float = 1.0) -> None:
        """Add to a counter or gauge. Raises KeyError for a series that no family has."""
        at = self._base + self._slots[name, labels]
        with self._lock:
            self._table[at] += amount

    def set(self, name: str, value: float, labels: Labels = ()) -> None:
        """Say what a gauge is. Raises KeyError for a series that no family has."""
        at = self._base + self._slots[name, labels]
        with self._lock:
            self._table[at] = value

    def observe(self, name: str, value: float, labels: Labels = ()) -> None:
        """Count a value in a histogram. Raises KeyError for a series that no family has."""
        bounds = self._bounds[name]
        at = self._base + self._slots[name, labels]
        bucket = at + bisect_left(bounds, value)
        with self._lock:
            self._table[bucket] += 1
            self._table[at + len(bounds) + 1] += value

    def totals(self) -> Iterator[Total]:
        """Yield every series, over all processes."""
        everything = self._table.tolist()
        rows = [everything[at : at + self._width] for at in range(0, len(everything), self._width)]
        living = [rows[row - 1] for row, _ in self.processes()]
        sums = [*map(sum, zip(*rows, strict=True))]
        now = {
            "counter": sums,
            "histogram": sums,
            "gauge": [*map(sum, zip(*living, strict=True))],
            "latest": [*map(max, zip(*rows, strict=True))],
        }
        for family in self._families:
            for labels in family.series:
                at = self._slots[family.name, labels]
                *buckets, value = now[family.kind][at : at + family.width]
                yield Total(family, labels, value, tuple(accumulate(buckets)))

    def processes(self) -> list[tuple[int, int]]:
        """Return the rows, from 1, whose processes run, and the numbers of these."""
        found = []
        for row in range(self._rows):
            pid = int(self._table[row * self._width + PID])
            if pid and started_at(pid) == self._table[row * self._width + STARTED]:
                found.append((row + 1, pid))
        return found


def started_at(pid: int) -> float | None:
    """Return when a process was started, in ticks since the system was; None when it does not run.

    Where the system has no /proc it is 0 for every process that runs.
    """
    try:
        about = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return 0.0
    # The second field is the program's name in parentheses, which may hold anything.
    return float(about.rpartition(b")")[2].split()[19])
