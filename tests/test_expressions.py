"""Every regular expression takes time in proportion to what it is put to, at its worst.

Each is tried with the methods that the code calls it with, up to 1 MB, in this process's own time, so that
what else the machine does counts little.
"""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from tests.expressions import held, used
from tests.worst import Parts, made, worst

FIRST, LENGTHS, HUGE = 2_000, (8_000, 32_000, 128_000, 512_000), 1 << 20
"""Characters. Whatever is worse than quadratic shows in the first already."""

ANCHORED = ("ONLY_DATE", "ONLY_NUMBER", "ONLY_NAME")
"""Handed on among FORMS beside others that are searched for; cells are put to these by `fullmatch` alone."""

TRIED = 4
"""How many inputs of an expression, those that took longest in the first length, are tried at 1 MB."""

NOTICED = 0.004
"""Seconds below which two times say nothing of their ratio: the clock and the cache count as much."""

STEEP = 2.5
"""How many times as long as in proportion something takes that is not linear, for four times as much.

Quadratic would be 4 times; what goes back over all of it takes up to 2, as more memory is needed.
"""

LONGEST = 3.0
"""Seconds for 1 MB. The slowest of ours takes about a tenth, or three tenths on a busy machine."""


class TooLong(Exception):
    """Something took longer than it may."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TooLong in what has used more of the processor's time: `re` looks for signals as it goes."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def work(pattern: re.Pattern[Any], method: str, text: str) -> None:
    """Put an expression to a text as the code does."""
    given = text.encode("utf-8", "surrogatepass") if isinstance(pattern.pattern, bytes) else text
    call = getattr(pattern, method)
    if method in ("sub", "subn"):
        call(given[:0], given)
    elif method == "finditer":
        deque(call(given), maxlen=0)
    else:
        call(given)


def seconds(pattern: re.Pattern[Any], method: str, text: str, times: int = 1) -> float:
    """Return the processor's time at best; raises TooLong."""
    best = float("inf")
    for _ in range(times):
        with at_most(LONGEST):
            begun = time.thread_time()
            work(pattern, method, text)
            best = min(best, time.thread_time() - begun)
    return best


def steep(pattern: re.Pattern[Any], method: str) -> str | None:
    """Return the input for which the time grows faster than it does; None where there is none."""
    took: list[tuple[float, Parts]] = []
    for parts in worst(pattern):
        try:
            took.append((seconds(pattern, method, made(parts, FIRST)), parts))
        except TooLong:
            return f"{parts} takes more than {LONGEST} s at {FIRST:,} characters"
    for short, parts in sorted(took, reverse=True)[:TRIED]:
        if found := _grows(pattern, method, parts, short):
            return f"{parts} {found}"
    return None


def _grows(pattern: re.Pattern[Any], method: str, parts: Parts, short: float) -> str | None:
    length = FIRST
    for longer in LENGTHS:
        try:
            long = seconds(pattern, method, made(parts, longer))
            if long > max(NOTICED, STEEP * 4 * short):
                # Something else may have been in the way: only what is so every time is so.
                long = seconds(pattern, method, made(parts, longer), 3)
                short = max(seconds(pattern, method, made(parts, length), 3), NOTICED / 100)
                # One step may be steep, where the memory for going back outgrows what is at hand. The next
                # is so too only where the time is quadratic.
                if long > max(NOTICED, STEEP * 4 * short) and (
                    seconds(pattern, method, made(parts, 4 * longer)) > STEEP * 4 * long
                ):
                    return f"takes {short:.5f} s at {length:,} characters, {long:.5f} s at {longer:,}"
        except TooLong:
            return f"takes more than {LONGEST} s at {longer:,} characters"
        length, short = longer, long
    try:
        seconds(pattern, method, made(parts, HUGE))
    except TooLong:
        return f"takes more than {LONGEST} s at {HUGE:,} characters"
    return None


def tried() -> dict[str, tuple[re.Pattern[Any], str]]:
    """Return what is tried, by name."""
    never = tuple(f"index.shapes.{name}:search" for name in ANCHORED)
    return {name: pair for name, pair in used().items() if name not in never}


@pytest.mark.parametrize("name", sorted(tried()))
def test_time_grows_with_the_text_and_no_faster(name: str) -> None:
    """Law: four times as much of the worst takes about four times as long, 1 MB at most LONGEST."""
    assert steep(*tried()[name]) is None


def test_every_expression_is_tried() -> None:
    put = {pattern for pattern, _ in tried().values()}
    assert len(put) > 100
    assert [name for pattern, name in held().items() if pattern not in put] == []


@pytest.mark.parametrize(
    ("expression", "method"),
    [
        (r"\s+$", "search"),
        (r"\s*,?\s*;", "match"),
        (r"(a+)+b", "match"),
        (r"<[^>]*>", "sub"),
        (r"([a-z]+-)*[a-z]+-?$", "search"),
    ],
)
def test_what_is_not_linear_is_seen(expression: str, method: str) -> None:
    assert steep(re.compile(expression), method)


def test_what_is_anchored_is_linear() -> None:
    assert steep(re.compile(r"\s+$"), "fullmatch") is None
    assert steep(re.compile(r"\w+"), "finditer") is None
