"""Token buckets: how many questions an address or a key may ask at once, and from then on a minute.

A bucket is one number, the time at which it will be full again. The numbers are in memory that all workers
map, so that the limits hold for them together; there are SLOTS of them, however many ask.

Where all WAYS slots that a name may have are in use, it takes over the one that is full soonest, with what
that one owes. So nobody gains by being forgotten: the soonest of them is never sooner than what was owed
before. The law: in any time t nobody passes more than `burst + t * rate` times.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SLOTS = 65_536
"""Buckets in use at the same time, in 1 MB. One is in use until it is full again, 20 seconds by default: that
is 3,000 new addresses a second."""

FILE = "limits"
"""In the folder that is the workers' alone: how much everybody has asked, kept by all of them together."""

WAYS = 8
"""Slots that a name may have; the first of them follows from its hash."""

SALT_BYTES = 16
SLOT_BYTES = 16

MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """How many may pass."""

    name: str
    per_minute: int
    burst: int

    @property
    def interval(self) -> int:
        """Return the nanoseconds after which one more may pass, rounded so that never too many do."""
        return -(-MINUTE_NS // self.per_minute)

    def __str__(self) -> str:
        """Return it as an item of `RateLimit-Policy`: as many as the burst in the time that refills it."""
        return f'"{self.name}";q={self.burst};w={_seconds(self.burst * self.interval)}'


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a wish to pass."""

    passes: bool
    policies: tuple[Policy, ...]
    left: tuple[tuple[int, int], ...]
    """For each policy how many may still pass, and the seconds until that is the whole burst again; where
    none may, until one may."""
    broken: str = ""
    """The name of the policy that does not let it pass."""
    wait: int = 0
    """Seconds until it lets one pass."""

    def headers(self) -> dict[str, str]:
        """Return `RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-11."""
        states = zip(self.policies, self.left, strict=True)
        return {
            "RateLimit-Policy": ", ".join(map(str, self.policies)),
            "RateLimit": ", ".join(f'"{one.name}";r={left};t={full}' for one, (left, full) in states),
        }


class Buckets:
    """The buckets, of this process alone or shared by several."""

    def __init__(self, path: Path | None = None, *, slots: int = SLOTS, ways: int = WAYS) -> None:
        """Keep them in the file at `path`, which `create` has made, else in memory."""
        self._descriptor = -1 if path is None else os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._memory = mmap.mmap(self._descriptor, _size(slots))
        if path is None:
            self._memory[:SALT_BYTES] = secrets.token_bytes(SALT_BYTES)
        # Nobody can choose addresses that fall together without knowing it.
        self._salt = self._memory[:SALT_BYTES]
        self._numbers = memoryview(self._memory)[SALT_BYTES:].cast("Q")
        self._sets, self._ways = slots // ways, ways

    def take(self, wanted: Sequence[tuple[str, Policy]], now: int | None = None) -> Taken:
        """Let one pass whom all of these buckets let pass, and take from each; else from none.

        `now` is in nanoseconds of the system's monotonic clock, which processes share.
        """
        with self._alone():
            now = time.monotonic_ns() if now is None else now
            before: list[tuple[int, int]] = []
            left = []
            broken, wait = "", 0
            for name, policy in wanted:
                place, interval = self._place(name), policy.interval
                was = self._numbers[place]
                full = max(was, now) + interval
                over = full - now - policy.burst * interval
                if over > 0:
                    broken, wait = broken or policy.name, max(wait, _seconds(over))
                    left.append((0, _seconds(over)))
                else:
                    before.append((place, was))
                    self._numbers[place] = full
                    left.append((-over // interval, _seconds(full - now)))
            if broken:
                for place, was in reversed(before):
                    self._numbers[place] = was
        return Taken(not broken, tuple(policy for _, policy in wanted), tuple(left), broken, wait)

    def _place(self, name: str) -> int:
        """Return where the time of a name's bucket is, which is its own from now on."""
        hashed = int.from_bytes(
            hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8, key=self._salt).digest(),
            "big",
        )
        tag = hashed or 1
        first = hashed % self._sets * self._ways * 2
        ends = range(first, first + self._ways * 2, 2)
        for at in ends:
            if self._numbers[at] == tag:
                return at + 1
        soonest = min(ends, key=lambda at: self._numbers[at + 1])
        self._numbers[soonest] = tag
        return soonest + 1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out. In one process a single thread asks, the one of the event loop."""
        if self._descriptor < 0:
            yield
            return
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, SALT_BYTES)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, SALT_BYTES)


def create(path: Path, slots: int = SLOTS) -> None:
    """Make the file that processes share."""
    with path.open("wb") as file:
        file.write(secrets.token_bytes(SALT_BYTES))
        file.truncate(_size(slots))


def _size(slots: int) -> int:
    return SALT_BYTES + slots * SLOT_BYTES


def _seconds(nanoseconds: int) -> int:
    """Return whole seconds, rounded up."""
    return -(-nanoseconds // SECOND_NS)
