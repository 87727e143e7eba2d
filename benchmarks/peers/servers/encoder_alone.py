"""Asks the encoder that Pullquote serves with, in this process, and prints questions per second as JSON.

    python encoder_alone.py < WANTED

WANTED is JSON: `corpus` and `data` (Pullquote's folders), `questions`, `warm`, `clients`, `seconds`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from index.encoder import Encoder
from service.outside import open_index
from service.settings import Settings


def per_second(
    encoder: Encoder, questions: Sequence[str], clients: int, seconds: float, together: int
) -> float:
    """Return how many questions are encoded a second when so many threads encode so many at a time."""
    waiting = iter([questions[at : at + together] for at in range(0, len(questions), together)])
    begun = time.perf_counter()

    def client(_: int) -> int:
        done = 0
        while time.perf_counter() < begun + seconds and (some := next(waiting, None)) is not None:
            encoder.encode_questions(some)
            done += len(some)
        return done

    with ThreadPoolExecutor(clients) as pool:
        done = sum(pool.map(client, range(clients)))
    return done / (time.perf_counter() - begun)


def main() -> None:
    """Measure with one thread and with many."""
    wanted = json.load(sys.stdin)
    settings = Settings(corpus=Path(wanted["corpus"]), data=Path(wanted["data"]))
    encoder = open_index(settings).encoder
    questions, warm = wanted["questions"], wanted["warm"]
    for question in questions[:warm]:
        encoder.encode_question(question)
    half = (len(questions) - warm) // 2
    one, many = questions[warm : warm + half], questions[warm + half :]
    found = {
        "encoder_one": per_second(encoder, one, 1, wanted["seconds"], 1),
        "encoder_many": per_second(encoder, many, os.cpu_count() or 1, wanted["seconds"], wanted["clients"]),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
