"""Measures one index in a process of its own, and prints the figures as JSON."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import faiss
import numpy as np

from benchmarks.size.real import Real, StandIn, document, kept
from index import cells
from index.build import Progress
from index.encoder import OnnxEncoder
from index.question import Question, read_together
from index.refresh import Reading, refresh
from index.search import POOL, _by_meaning, _by_words, search
from index.snapshot import Snapshot
from index.store import Store
from index.vectors import nearest

ASKED = 300
WARM = 40
CHANGES = 9
DEPTH = 10
PROBES = (32, 64, 128, 192, 256, 384, 512)


def resident() -> dict[str, float]:
    """Return MB in memory: of the process's own, of mapped files, and both."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {
        line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("Rss", "VmRSS"))
    }
    return {"own MB": found["RssAnon"], "mapped MB": found["RssFile"], "resident MB": found["VmRSS"]}


def timed(work: Callable[[Question], object], questions: Sequence[Question]) -> dict[str, float]:
    """Return milliseconds of a processor and of the clock: half of the questions take no more."""
    for one in questions[:WARM]:
        work(one)
    cpu, wall = [], []
    for one in questions:
        begun, at = time.thread_time(), time.perf_counter()
        work(one)
        cpu.append(1000 * (time.thread_time() - begun))
        wall.append(1000 * (time.perf_counter() - at))
    return {
        "cpu p50": float(np.median(cpu)),
        "cpu p95": float(np.percentile(cpu, 95)),
        "p50": float(np.median(wall)),
        "p95": float(np.percentile(wall, 95)),
    }


def recall(held: Snapshot, questions: Sequence[Question]) -> dict[str, object]:
    """Return how many of the DEPTH and POOL nearest passages are found, by the cells looked into."""
    (part,) = held.by_passage
    asked = np.stack([one.vector for one in questions])
    _, exact = faiss.knn(asked, part.vectors, POOL, metric=faiss.METRIC_INNER_PRODUCT)
    truth = part.numbers[exact]

    def shares() -> tuple[float, float]:
        found = [nearest([part], one.vector, POOL)[0] for one in questions]
        pairs = list(zip(found, truth, strict=True))
        ten = [len({*one[:DEPTH].tolist()} & {*best[:DEPTH].tolist()}) / DEPTH for one, best in pairs]
        return float(np.mean(ten)), float(
            np.mean([len({*one.tolist()} & {*best.tolist()}) / len(best) for one, best in pairs])
        )

    ten, pool = shares()
    figures: dict[str, object] = {"recall@10": ten, "recall@50": pool}
    if part.cells is not None:
        usual, curve = cells.PROBED, []
        for cells.PROBED in PROBES:
            took = timed(lambda one: nearest([part], one.vector, POOL), questions)
            curve.append({"probed": cells.PROBED, "recall": shares(), **took})
        cells.PROBED = usual
        figures["curve"] = curve

        def exactly(one: Question) -> object:
            return faiss.knn(one.vector[None, :], part.vectors, POOL, metric=faiss.METRIC_INNER_PRODUCT)

        faiss.omp_set_num_threads(1)
        figures["exact"] = timed(exactly, questions[:WARM])
    return figures


def changes(data: Path, encoder: StandIn, real: Real, questions: Sequence[Question]) -> dict[str, float]:
    """Return how long it takes until a changed document of PASSAGES_EACH passages is found, in ms."""
    wall, cpu, passages = [], [], 0
    with tempfile.TemporaryDirectory(dir=data.parent) as aside:
        copy = Path(aside) / "data"
        shutil.copytree(data, copy, copy_function=os.link)  # segments never change; the rest is replaced
        store = Store(copy)
        held = store.open_current(print)
        for one in held.segments:
            one.vouched()
        search(held, questions[0], DEPTH)
        held.vocabulary.names  # noqa: B018  # counted once, then changed with each change
        for number in range(CHANGES):
            name = f"000/{number:06}.md"
            path = Path(aside) / "corpus" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(document(real, number, 1), encoding="utf-8")
            begun, at = time.process_time(), time.perf_counter()
            with store.writing():
                reading = Reading(Path(aside) / "corpus", 1 << 25, frozenset({name}))
                done = refresh(store, reading, held, Progress(), encoder=lambda *_: encoder)
            after = store.open(done.version)
            after.take_words_of(held)
            search(after, questions[number], DEPTH)
            wall.append(1000 * (time.perf_counter() - at))
            cpu.append(1000 * (time.process_time() - begun))
            held, passages = after, passages + len(after.passages_of(after.numbers[name]))
    return {"p50": float(np.median(wall)), "cpu p50": float(np.median(cpu)), "passages": passages / CHANGES}


def main() -> None:
    """Measure the index in a data folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("made", type=Path, help="what run.py keeps: export, questions, real passages")
    asked = parser.parse_args()
    texts: list[str] = json.loads((asked.made / "questions.json").read_text(encoding="utf-8"))
    encoder = OnnxEncoder(asked.made / "encoder", threads=1)
    before = resident()
    store = Store(asked.data)
    at, begun = time.perf_counter(), time.process_time()
    held = store.open_current(print)
    figures: dict[str, object] = {
        "passages": held.passages,
        "documents": len(held.documents),
        "statements": sum(len(one.columns.statements) for one in held.segments),
        "disk MB": sum(one.file.bytes for one in held.manifest.segments) / 2**20,
        "vectors MB": sum(one.columns.vectors.nbytes for one in held.segments) / 2**20,
        "opened in s": time.perf_counter() - at,
        "opened in cpu s": time.process_time() - begun,
    }
    at, begun = time.perf_counter(), time.thread_time()
    (first,) = read_together(texts[:1], encoder, held.terms, held.vocabulary)
    search(held, first, DEPTH)
    figures |= {"first s": time.perf_counter() - at, "first cpu s": time.thread_time() - begun}
    for one in held.segments:
        one.vouched()
    figures["whole after s"] = time.perf_counter() - at

    def read(text: str) -> Question:
        (found,) = read_together([text], encoder, held.terms, held.vocabulary)
        return found

    questions = [read(text) for text in texts[1 : 1 + ASKED]]
    figures["encode"] = timed(lambda one: read(one.text), questions)
    figures["meaning"] = timed(lambda one: _by_meaning(held, one.vector, None, POOL), questions)
    figures["words"] = timed(lambda one: _by_words(held, one, None, POOL), questions)
    figures["dense words"] = timed(lambda one: held.terms.scores(one.terms), questions[:WARM])
    figures["search"] = timed(lambda one: search(held, one, DEPTH), questions)
    figures["both"] = timed(lambda one: search(held, read(one.text), DEPTH), questions)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        at, begun = time.perf_counter(), time.process_time()
        list(pool.map(lambda one: search(held, read(one.text), DEPTH), questions))
        figures["a second"] = len(questions) / (time.perf_counter() - at)
        figures["a second of a core"] = len(questions) / (time.process_time() - begun)
    for text in texts[1 + ASKED :]:
        search(held, read(text), DEPTH)
    after = resident()
    figures["memory"] = after | {"asked": len(texts), "before MB": before["resident MB"]}
    figures |= recall(held, questions)
    real = kept(asked.made)
    figures["change"] = changes(asked.data, StandIn(asked.made / "encoder", real), real, questions)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
