"""Work done ahead: one thread makes what another takes, a bounded lot of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

LOOK_SECONDS = 0.1
"""How often whoever waits for the next one looks whether it is still wanted."""

T = TypeVar("T")


class Stopped(Exception):
    """Nobody takes what is being made any more."""


class Ahead(Generic[T]):
    """What a thread of its own makes of an iterable, in its order; leaving the block ends the thread.

    An error in the making is raised where the one that failed would have been taken.
    """

    def __init__(
        self, make: Callable[[Callable[[], None]], Iterable[T]], weigh: Callable[[T], int], most: int
    ) -> None:
        """Take the items that `make` returns; it is given a function that raises Stopped once it is to stop.

        The thread rests while what it has made and nobody has taken weighs `most` or more.
        """
        self._make = make
        self._weigh = weigh
        self._most = most
        self._made: deque[T] = deque()
        self._weight = 0
        self._over = False
        self._stopped = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def taken(self, waiting: Callable[[], None]) -> Iterator[T]:
        """Yield the items; `waiting` is called now and then while the next one is not there yet."""
        while True:
            with self._changed:
                if not self._made and not self._over:
                    self._changed.wait(LOOK_SECONDS)
                found = self._made.popleft() if self._made else None
                if found is not None:
                    self._weight -= self._weigh(found)
                    self._changed.notify_all()
                over = self._over
            if found is not None:
                yield found
            elif over:
                break
            else:
                waiting()
        if self._error is not None:
            raise self._error

    def _check(self) -> None:
        if self._stopped:
            raise Stopped

    def _work(self) -> None:
        try:
            for one in self._make(self._check):
                with self._changed:
                    self._made.append(one)
                    self._weight += self._weigh(one)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._weight < self._most or self._stopped)
                self._check()
        except Stopped:
            pass
        except BaseException as error:  # whatever it is, the one that takes has to know
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
