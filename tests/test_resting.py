"""What was not used for a while is given back, once, and not while it is used."""

from __future__ import annotations

import threading
import time

from service.resting import Resting


def test_it_rests_once_after_the_last_use() -> None:
    rested: list[float] = []
    done = threading.Event()

    def rest() -> None:
        rested.append(time.monotonic())
        done.set()

    resting = Resting(0.2, rest)
    assert not done.wait(0.3), "nothing was used yet"
    for _ in range(8):
        last = time.monotonic()
        resting.used()
        time.sleep(0.02)
    assert done.wait(10)
    time.sleep(0.3)
    assert len(rested) == 1 and rested[0] - last >= 0.2


def test_a_closed_one_rests_no_more() -> None:
    done = threading.Event()
    resting = Resting(0.1, done.set)
    resting.used()
    resting.close()
    assert not done.wait(0.3)
    resting.close()
