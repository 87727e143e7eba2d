"""Measures what search costs by the size of the corpus: a thousand passages to a million.

    python benchmarks/size/run.py WORK --real INDEX [--sizes 1000,10000,100000,1000000] [--report]

INDEX is the data folder of an index of real documents (benchmarks/quality makes some); the corpora are made
of it. Up to PIPELINE passages are written as files and indexed as any folder is, with vectors that `real`
makes up instead of the encoder's; larger corpora are grown from that (`grow`). What is there in WORK is taken
up, so that a run may be stopped, and the figures of sizes that are not named stay. Needs 25 GB for a million.
Writes RESULTS.md, RESULTS.json and the plots beside itself; `--report` does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from rich.console import Console

from benchmarks.peers.machine import machine
from benchmarks.quality.sets import exported
from benchmarks.size.grow import grow
from benchmarks.size.real import PASSAGES_EACH, StandIn, document, keep, kept, likeness, real_from
from benchmarks.size.report import markdown, plots
from index.build import Progress
from index.encoder import OnnxEncoder
from index.export import PACKAGED_MODEL
from index.refresh import Reading, merge_all, refresh
from index.store import Store

HERE = Path(__file__).parent
QUESTIONS = HERE.parent / "reader" / "questions"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
PIPELINE = 100_000
ASKED = 1_500

say = Console(stderr=True, highlight=False)


def prepare(work: Path, index: Path) -> dict[str, Any]:
    """Put the encoder, questions and real passages into WORK; return how like the made passages are."""
    work.mkdir(parents=True, exist_ok=True)
    export = Path(exported(PACKAGED_MODEL, work))
    encoder = OnnxEncoder(export)
    if not (work / "real.json").exists():
        say.print("looking at the real passages")
        keep(real_from(Store(index).open_current(say.print), encoder), work)
    if not (work / "questions.json").exists():
        lines = [line for path in sorted(QUESTIONS.glob("*.jsonl")) for line in path.open(encoding="utf-8")]
        random.Random(1).shuffle(lines)
        texts = [json.loads(line)["question"] for line in lines[:ASKED]]
        (work / "questions.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
    texts = json.loads((work / "questions.json").read_text(encoding="utf-8"))
    asked = np.stack([one.vector for one in encoder.encode_questions(texts[:1000])])
    return likeness(kept(work), asked)


def make(size: int, work: Path) -> dict[str, float]:
    """Make the index of about that many passages unless it is there; return what that took."""
    folder = work / str(size)
    told = folder / "made.json"
    try:
        Store(folder / "data").manifest(Store(folder / "data").kept()[0])
        return dict(json.loads(told.read_text()))
    except (OSError, IndexError):
        say.print(f"{size} passages: making the index")
    shutil.rmtree(folder, ignore_errors=True)
    real = kept(work)
    encoder = StandIn(work / "encoder", real)
    store = Store(folder / "data")
    took: dict[str, float] = {}
    begun, at = time.process_time(), time.perf_counter()
    if size <= PIPELINE:
        for number in range(max(1, round(size / PASSAGES_EACH))):
            path = folder / "corpus" / f"{number // 1000:03}" / f"{number:06}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(document(real, number), encoding="utf-8")
        begun, at = time.process_time(), time.perf_counter()
        with store.writing():
            refresh(store, Reading(folder / "corpus", 1 << 25), None, Progress(), encoder=lambda *_: encoder)
        took = {"build cpu s": time.process_time() - begun, "build s": time.perf_counter() - at}
    else:
        make(PIPELINE, work)
        shutil.copytree(work / str(PIPELINE) / "data", folder / "data")
        grow(store, real, encoder, round(size / PIPELINE))
    begun, at = time.process_time(), time.perf_counter()
    with store.writing():
        merge_all(store, store.open(store.kept()[0]), everything=True)
    took |= {"merge cpu s": time.process_time() - begun, "merge s": time.perf_counter() - at}
    _forget(store)
    told.write_text(json.dumps(took))
    return took


def _forget(store: Store) -> None:
    """Leave nothing but the snapshot in use."""
    with store.writing():
        for version in store.kept()[1:]:
            (store.folder / "snapshots" / f"{version}.json").unlink()
        store.point(store.kept()[0])


def measured(size: int, work: Path) -> dict[str, Any]:
    """Return the figures of one size, from a process of its own."""
    say.print(f"{size} passages: measuring")
    command = [sys.executable, str(HERE / "measure.py"), str(work / str(size) / "data"), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[1])
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Make, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--real", type=Path, help="the data folder of an index of real documents")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--report", action="store_true", help="write the report of the last figures again")
    asked = parser.parse_args()
    path = HERE / "RESULTS.json"
    if not asked.report:
        if asked.real is None and not (asked.work / "real.json").exists():
            raise SystemExit(
                "name an index of real documents: --real DATA (benchmarks/quality/run.py makes some)"
            )
        sizes = [int(one) for one in asked.sizes.split(",")]
        before = json.loads(path.read_text(encoding="utf-8"))["sizes"] if path.exists() else []
        kept_figures = [one for one in before if one["size"] not in sizes]
        raw: dict[str, Any] = {"machine": machine(), "likeness": prepare(asked.work, asked.real)}
        for size in sizes:
            took = make(size, asked.work)
            load = os.getloadavg()[0]
            kept_figures.append({"size": size, "load": load, **took, **measured(size, asked.work)})
            raw["sizes"] = sorted(kept_figures, key=lambda one: int(one["size"]))
            path.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    raw = json.loads(path.read_text(encoding="utf-8"))
    for name, text in plots(raw).items():
        (HERE / name).write_text(text, encoding="utf-8")
    (HERE / "RESULTS.md").write_text(markdown(raw), encoding="utf-8")


if __name__ == "__main__":
    main()
