"""Work of several threads done together: whoever comes while others are being served is served with the next.

Nobody waits for company: the first to come works at once, for itself alone. What comes meanwhile is gathered
and done in one go, so that batches are as large as the load makes them, and there is no time to tune.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Done = TypeVar("Done")


class _Waiting(Generic[Item, Done]):
    """One thread's item until it is done, or until the thread is to work for the others."""

    __slots__ = ("done", "error", "item", "leads", "woken")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.done: list[Done] = []
        self.error: BaseException | None = None
        self.leads = False
        self.woken = threading.Event()


class Company(Generic[Item, Done]):
    """Calls from any thread, answered by `work` in batches."""

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Done]],
        *,
        at_once: int,
        most: int,
    ) -> None:
        """Do at most `most` items in one call of `work`, and at most `at_once` calls side by side.

        `work` returns what becomes of each item, in their order. What it raises for a batch is found out item
        by item: the one whose fault it is gets the error, the others what they came for.
        """
        self._work = work
        self.at_once = at_once
        self._most = most
        self._lock = threading.Lock()
        self._queue: deque[_Waiting[Item, Done]] = deque()
        self._working = 0

    @property
    def waiting(self) -> int:
        """Return how many wait for their turn."""
        return len(self._queue)

    def __call__(self, item: Item) -> Done:
        """Return what becomes of `item`; raises what `work` raises for it."""
        own: _Waiting[Item, Done] = _Waiting(item)
        with self._lock:
            self._queue.append(own)
            leads = self._working < self.at_once
            self._working += leads
        if leads:
            self._lead()
        while not own.done and own.error is None:
            own.woken.wait()
            own.woken.clear()
            if own.leads:
                own.leads = False
                self._lead()
        if own.error is not None:
            raise own.error
        return own.done[0]

    def _lead(self) -> None:
        """Do the batch that waits longest, then hand on to a thread that waits, if any does."""
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
        try:
            self._do(batch)
        finally:
            with self._lock:
                following = next((one for one in self._queue if not one.leads), None)
                if following is None:
                    self._working -= 1
                else:
                    following.leads = True
            for one in batch:
                one.woken.set()
            if following is not None:
                following.woken.set()

    def _do(self, batch: Sequence[_Waiting[Item, Done]]) -> None:
        if not batch:
            return
        try:
            found = self._work([one.item for one in batch])
            for one, done in zip(batch, found, strict=True):
                one.done.append(done)
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for one in batch:
                one.done.clear()
                self._do([one])
        except BaseException as error:
            # The program is told to end: nothing is tried again, and nobody is left waiting.
            for one in batch:
                one.error = error
