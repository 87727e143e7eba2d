"""Measures what building an index costs beside encoding, what going on with one costs, and its memory.

    python benchmarks/building/run.py FOLDER [--rounds 5] [--work FOLDER] [--export FOLDER]

FOLDER holds documents, a thousand passages or so. `raw` is the encoder given all passages and statements at
once; `build` is what `pullquote index` does on the same folder. They take turns, so that a machine that does
other things besides slows both. Memory is measured in processes of their own, on made-up documents with
random vectors (encoding does not change it). Writes RESULTS.md beside itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.quality.sets import exported
from benchmarks.updates.run import Instant, vocabulary, write_corpus
from corpus.folder import Skipped, Source, scan
from index.build import read_source
from index.encoded import digest_of, statements_of
from index.encoder import Encoder, OnnxEncoder
from index.export import PACKAGED_MODEL
from index.progress import Cancelled, Progress
from index.refresh import Reading, merge_all, refresh
from index.store import Store

RESULTS = Path(__file__).with_name("RESULTS.md")
ROUNDS = 5
LARGEST = 1 << 25
MEMORY_SIZES = (2_000, 8_000, 16_000)
INTERRUPTED_AT = 0.6
"""Of its passages a build has encoded when it is interrupted."""

say = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work took."""

    seconds: float
    processor: float
    """Seconds of all cores together."""
    encoded: int = 0


def measured(work: Callable[[], int | None]) -> Cost:
    """Return what `work` took."""
    wall, processor = time.perf_counter(), time.process_time()
    encoded = work() or 0
    return Cost(time.perf_counter() - wall, time.process_time() - processor, encoded)


def texts_of(folder: Path, encoder: Encoder) -> tuple[int, list[str]]:
    """Return how many different passages there are in a folder, and all texts that are embedded of them."""
    found = {}
    for source in scan(folder, largest=LARGEST):
        read = read_source(source, encoder) if isinstance(source, Source) else source
        if not isinstance(read, Skipped):
            found |= {digest_of(one): one for one in read[1]}
    texts = [one.embedded for one in found.values()]
    return len(found), texts + [text for one in found.values() for text in statements_of(one)]


def build(folder: Path, data: Path, encoder: Encoder, progress: Progress | None = None) -> int:
    """Index the folder as `pullquote index` does and return how many passages were encoded."""
    store, progress = Store(data), progress or Progress()
    with store.writing():
        done = refresh(store, Reading(folder, LARGEST), None, progress, encoder=lambda *_: encoder)
        merge_all(store, store.open(done.version), everything=True)
    return progress.encoded


def stopped_at(passages: int) -> Progress:
    """Return a progress that cancels its build once so many passages are encoded."""

    def listener(now: Progress) -> None:
        now.cancelled = now.encoded >= passages

    return Progress(listeners=[listener])


def interrupted(folder: Path, data: Path, encoder: Encoder, passages: int) -> tuple[Cost, int]:
    """Return what a build cost that was interrupted, and how many passages it had encoded by then."""
    progress = stopped_at(passages)

    def work() -> None:
        try:
            build(folder, data, encoder, progress)
        except Cancelled:
            return
        raise SystemExit("the build was over before it could be interrupted: take a larger folder")

    return measured(work), progress.encoded


def share(folder: Path, encoder: Encoder, work: Path, rounds: int) -> dict[str, float]:
    """Return how the build compares with the raw encoder, and an interrupted one with one that was not."""
    passages, texts = texts_of(folder, encoder)
    figures: dict[str, list[float]] = {}
    again = 0
    for number in range(rounds):
        say.print(f"round {number + 1} of {rounds}: {passages} passages, {len(texts)} texts")
        raw = measured(lambda: len(encoder.encode_documents(texts)))
        whole = measured(lambda at=number: build(folder, work / f"whole-{at}", encoder))  # type: ignore[misc]
        after = measured(lambda: len(encoder.encode_documents(texts)))
        data = work / f"interrupted-{number}"
        first, before = interrupted(folder, data, encoder, round(INTERRUPTED_AT * passages))
        second = measured(lambda at=data: build(folder, at, encoder))  # type: ignore[misc]
        again = before + second.encoded - passages
        both = (raw.seconds + after.seconds) / 2, (raw.processor + after.processor) / 2
        for name, value in (
            ("raw passages/s", passages / both[0]),
            ("build passages/s", passages / whole.seconds),
            ("share of raw", both[0] / whole.seconds),
            ("share of raw, processor time", both[1] / whole.processor),
            ("interrupted and gone on, times one build", (first.seconds + second.seconds) / whole.seconds),
            ("the same, processor time", (first.processor + second.processor) / whole.processor),
        ):
            figures.setdefault(name, []).append(value)
        say.print({name: round(values[-1], 3) for name, values in figures.items()})
    found = {name: statistics.median(values) for name, values in figures.items()}
    return {"passages": passages, "texts": len(texts)} | found | {"encoded again": again}


def peak_of(size: int, export: Path, work: Path) -> float:
    """Return the most memory in MB that a process needs which builds so many passages."""
    corpus = work / f"made-up-{size}"
    write_corpus(corpus, size, vocabulary())
    data = work / f"made-up-data-{size}"
    done = subprocess.run(
        [sys.executable, __file__, str(corpus), "--peak", str(data), "--export", str(export)],
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return float(done.stdout)


def print_peak(folder: Path, data: Path, export: Path) -> None:
    """Build without encoding, up to the merge, and print the most memory that took in MB."""
    store = Store(data)
    with store.writing():
        refresh(store, Reading(folder, LARGEST), None, Progress(), encoder=lambda *_: Instant(export))
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    sys.stdout.write(f"{peak}\n")


def page(figures: dict[str, float], peaks: dict[int, float], rounds: int) -> str:
    """Return RESULTS.md."""
    numpy, runtime = (version(name) for name in ("numpy", "onnxruntime"))
    head = (
        f"# What building costs\n\n`python benchmarks/building/run.py`, {datetime.now(UTC).date()}; "
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}; numpy {numpy}, "
        f"onnxruntime {runtime}.\n\n"
        "`raw`: the encoder given all texts at once, before and behind each build. `build`: parsing, "
        "encoding, writing, publishing and merging of the same documents. Processor time is that of all "
        "cores, which a neighbour on the machine changes least. `gone on`: interrupted at "
        f"{INTERRUPTED_AT:.0%} of its passages, then run again. Medians of {rounds} rounds.\n\n"
    )
    lines = ["| | |", "| --- | ---: |", *(f"| {name} | {value:.4g} |" for name, value in figures.items())]
    memory = (
        "\n\nMost memory of a build, up to the merge, on made-up documents with random vectors:\n\n"
        "| passages | MB |\n| ---: | ---: |\n"
    )
    memory += "".join(f"| {size} | {peak:.0f} |\n" for size, peak in peaks.items())
    return head + "\n".join(lines) + memory


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--export", type=Path)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.peak:
        print_peak(asked.folder, asked.peak, asked.export)
        return
    with tempfile.TemporaryDirectory(dir=asked.work) as aside:
        work = Path(aside)
        export = asked.export or Path(exported(PACKAGED_MODEL, work))
        figures = share(asked.folder, OnnxEncoder(export), work, asked.rounds)
        peaks = {size: peak_of(size, export, work) for size in MEMORY_SIZES}
    text = page(figures, peaks, asked.rounds)
    RESULTS.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
