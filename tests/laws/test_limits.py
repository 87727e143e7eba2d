"""Laws of the token buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.limits import MINUTE_NS, SECOND_NS, Buckets, Policy

RATES = st.integers(1, 100_000)
BURSTS = st.integers(1, 50)
STEPS = st.lists(st.integers(0, 3 * SECOND_NS) | st.integers(0, 5 * MINUTE_NS), min_size=1, max_size=80)
BEGIN = 1_000 * MINUTE_NS


@given(RATES, BURSTS, STEPS)
def test_never_more_pass_than_the_burst_and_the_rate_allow(rate: int, burst: int, steps: list[int]) -> None:
    """In any stretch of time no more pass than burst + rate * time."""
    buckets, policy = Buckets(slots=8), Policy("address", rate, burst)
    now, passed = BEGIN, []
    for step in steps:
        now += step
        if buckets.take([("a", policy)], now).passes:
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            most = burst * MINUTE_NS + rate * (passed[last] - passed[first])
            assert (last - first + 1) * MINUTE_NS <= most


@given(RATES, BURSTS, STEPS)
def test_who_waits_as_long_as_is_said_passes(rate: int, burst: int, steps: list[int]) -> None:
    """Whoever asks again after the seconds of Retry-After passes; that is one interval at most."""
    buckets, policy = Buckets(slots=8), Policy("address", rate, burst)
    now = BEGIN
    for step in steps:
        now += step
        taken = buckets.take([("a", policy)], now)
        if not taken.passes:
            assert 0 < taken.wait <= -(-policy.interval // SECOND_NS)
            now += taken.wait * SECOND_NS
            assert buckets.take([("a", policy)], now).passes


@given(RATES, BURSTS, STEPS)
def test_what_is_said_to_be_left_is_left(rate: int, burst: int, steps: list[int]) -> None:
    """So many as `r` says pass at once, and then none; after `t` seconds the whole burst does."""
    policy = Policy("address", rate, burst)
    for number in range(3):
        buckets, now = Buckets(slots=8), BEGIN
        for step in steps:
            now += step
            ((left, full),) = buckets.take([("a", policy)], now).left
        later = now + full * SECOND_NS if number == 2 and left else now
        wanted = burst if number == 2 and left else left
        passed = [buckets.take([("a", policy)], later).passes for _ in range(wanted + 1)]
        assert passed == [True] * wanted + [False]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2 * SECOND_NS)), min_size=1, max_size=200), BURSTS
)
def test_however_many_ask_nobody_gains_by_being_forgotten(asked: list[tuple[int, int]], burst: int) -> None:
    """With more names than there is room for, no name passes more often than burst + rate * time."""
    buckets, policy = Buckets(slots=2, ways=2), Policy("address", 60, burst)
    now, passed = BEGIN, dict[int, list[int]]()
    for name, step in asked:
        now += step
        if buckets.take([(f"name {name}", policy)], now).passes:
            passed.setdefault(name, []).append(now)
    for times in passed.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                most = burst * MINUTE_NS + 60 * (times[last] - times[first])
                assert (last - first + 1) * MINUTE_NS <= most


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=60))
def test_who_is_stopped_by_one_bucket_takes_from_none(asked: list[tuple[str, bool]]) -> None:
    """A wish that one of its buckets refuses leaves the others as they were."""
    both, alone = Buckets(slots=64), Buckets(slots=64)
    wide, narrow = Policy("key", 1, 20), Policy("address", 1, 3)
    for name, is_narrow in asked:
        wanted = [("shared", wide)] + ([(name, narrow)] if is_narrow else [])
        if both.take(wanted, BEGIN).passes:
            assert alone.take([("shared", wide)], BEGIN).passes
    assert both.take([("shared", wide)], BEGIN).left == alone.take([("shared", wide)], BEGIN).left
