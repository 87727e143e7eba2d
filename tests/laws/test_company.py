"""Work done together: everybody gets their own, however the threads fall."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.company import Company


class Doubler:
    """Doubles numbers; refuses negative ones; notes its batches and how many run side by side."""

    def __init__(self, pause: float = 0.0) -> None:
        self.batches: list[int] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._pause = pause

    def __call__(self, items: Sequence[int]) -> list[int]:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.batches.append(len(items))
        try:
            time.sleep(self._pause)
            if any(one < 0 for one in items):
                raise ValueError(f"{min(items)} is negative")
            return [2 * one for one in items]
        finally:
            with self._lock:
                self._now -= 1


@given(
    st.lists(st.integers(-3, 30), max_size=80),
    st.integers(1, 3),
    st.integers(1, 9),
    st.sampled_from((0, 1e-4)),
)
@settings(max_examples=60, deadline=None)
def test_everybody_gets_their_own(items: list[int], at_once: int, most: int, pause: float) -> None:
    """And an error only who caused it; no batch is larger, and no more run side by side, than is allowed."""
    work = Doubler(pause)
    company = Company(work, at_once=at_once, most=most)

    def call(item: int) -> int | str:
        try:
            return company(item)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(call, items))
    assert found == [2 * one if one >= 0 else f"{one} is negative" for one in items]
    assert work.most_at_once <= at_once and max(work.batches, default=0) <= most
    assert company(4) == 8, "nobody is left in charge"


def test_who_comes_meanwhile_goes_together() -> None:
    """The first is not kept waiting for company; those who come while it is served are one batch."""
    begun, go_on = threading.Event(), threading.Event()
    batches = []

    def work(items: Sequence[int]) -> Sequence[int]:
        batches.append(sorted(items))
        begun.set()
        assert go_on.wait(10)
        return items

    company = Company(work, at_once=1, most=16)
    with ThreadPoolExecutor(6) as threads:
        first = threads.submit(company, 0)
        assert begun.wait(10)
        others = [threads.submit(company, number) for number in range(1, 6)]
        deadline = time.monotonic() + 10
        while company.waiting < 5 and time.monotonic() < deadline:
            time.sleep(0.001)
        go_on.set()
        assert [one.result(10) for one in (first, *others)] == [0, 1, 2, 3, 4, 5]
    assert batches == [[0], [1, 2, 3, 4, 5]]


def test_one_alone_gets_its_error() -> None:
    with pytest.raises(ValueError, match="-1 is negative"):
        Company(Doubler(), at_once=1, most=4)(-1)


def test_told_to_end_nobody_waits() -> None:
    """What is no error of an item ends everybody's call, and nothing is tried again."""
    begun, go_on = threading.Event(), threading.Event()
    tried = []

    def work(items: Sequence[int]) -> Sequence[int]:
        tried.append(len(items))
        begun.set()
        assert go_on.wait(10)
        if len(tried) > 1:
            raise KeyboardInterrupt
        return items

    company = Company(work, at_once=1, most=16)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(company, 0)
        assert begun.wait(10)
        others = [threads.submit(company, number) for number in range(1, 4)]
        deadline = time.monotonic() + 10
        while company.waiting < 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        go_on.set()
        assert first.result(10) == 0
        assert [type(one.exception(10)) for one in others] == [KeyboardInterrupt] * 3
    assert tried == [1, 3]
