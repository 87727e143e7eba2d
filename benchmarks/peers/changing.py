"""One document changed while questions about it go on."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import closing
from dataclasses import dataclass

from benchmarks.peers.corpus import ABOUT_CHANGED, CHANGED_ID, State
from benchmarks.peers.processes import Failed
from benchmarks.peers.systems import System
from benchmarks.peers.wire import exchange

DEADLINE_SECONDS = 120.0
BEFORE_SECONDS = 0.2
"""How long is asked before the change is sent."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One question about the changed document, and whom its reply names."""

    begun: float
    ended: float
    names: frozenset[str]
    status: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a change came to."""

    seconds: float
    """From the request until the end of the first reply with the new text."""
    confirmed: float
    """From the request until its own reply (of the last one, where it takes several)."""
    asked: int
    """Questions meanwhile."""
    neither: int
    """Those among them whose reply held neither the old text nor the new one."""
    failed: int
    """Those among them that got no reply with status 200."""


class _Asking(threading.Thread):
    """Asks the same question again and again."""

    def __init__(self, system: System, port: int, names: tuple[str, str]) -> None:
        super().__init__(daemon=True)
        self.system, self.port, self.names = system, port, names
        self.seen: list[Seen] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Ask until `stop`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        while not self.stop.is_set():
            begun = time.perf_counter()
            try:
                status, body = exchange(connection, self.system.search(ABOUT_CHANGED))
                hits = self.system.hits(body) if status == 200 else []
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
                status, hits = 0, []
                connection.close()
            found = frozenset(name for name in self.names if any(name in one for one in hits))
            self.seen.append(Seen(begun, time.perf_counter(), found, status))
        connection.close()


def change(system: System, port: int, old: State, new: State) -> Change:
    """Bring the changed document from one state to another, and say what questions saw of it.

    Raises Failed when the change is refused, or not found before the deadline.
    """
    asking = _Asking(system, port, (old.name, new.name))
    asking.start()
    try:
        time.sleep(BEFORE_SECONDS)
        begun = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)) as connection:
            for request in system.change(CHANGED_ID, new):
                status, body = exchange(connection, request)
                if status not in (200, 201):
                    raise Failed(f"a change was refused with {status}: {body[:300]!r}")
        confirmed = time.perf_counter() - begun
        while not any(_is_new(one, begun, new) for one in asking.seen):
            if time.perf_counter() - begun > DEADLINE_SECONDS:
                raise Failed(f"a change was not found after {DEADLINE_SECONDS:.0f} s")
            time.sleep(0.001)
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"a change got no reply: {error!r}") from error
    finally:
        asking.stop.set()
        asking.join(DEADLINE_SECONDS)
    return told(asking.seen, begun, confirmed, new)


def told(seen: list[Seen], begun: float, confirmed: float, new: State) -> Change:
    """Return what a change came to, of all that was seen around it."""
    first = next(one for one in seen if _is_new(one, begun, new))
    during = [one for one in seen if one.ended >= begun and one.begun <= max(first.ended, begun + confirmed)]
    good = [one for one in during if one.status == 200]
    return Change(
        seconds=first.ended - begun,
        confirmed=confirmed,
        asked=len(during),
        neither=sum(not one.names for one in good),
        failed=len(during) - len(good),
    )


def _is_new(one: Seen, begun: float, new: State) -> bool:
    return one.ended >= begun and new.name in one.names


def is_right(system: System, body: bytes, state: State) -> bool:
    """Return whether a reply to the question about the changed document is right."""
    try:
        hits = system.hits(body)
    except (ValueError, KeyError, TypeError):
        return False
    return any(state.name in one for one in hits) if system.knows else bool(hits)
