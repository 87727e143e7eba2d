"""Measures what a change costs, and what questions notice of it, by the size of the corpus.

    python benchmarks/updates/run.py [--sizes 1000,10000,100000] [--work FOLDER]

Documents of ten passages are made up of a few thousand words. Their vectors are random (encoding a hundred
thousand passages would take half an hour and change nothing here); the documents that are put afterwards are
encoded by the real model, in a real server, over HTTP. Writes RESULTS.md beside itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx
import numpy as np
from rich.console import Console

from benchmarks.quality.sets import exported
from index.encoder import OnnxEncoder, Vector
from index.export import PACKAGED_MODEL
from index.progress import Progress
from index.refresh import Reading, merge_all, refresh
from index.store import Store
from index.tokens import Tokens

RESULTS = Path(__file__).with_name("RESULTS.md")
SIZES = (1_000, 10_000, 100_000)
PASSAGES_EACH = 10
WORDS = 5_000
SENTENCES, SENTENCE_WORDS = 3, 18
"""Of a passage; with its heading some 150 tokens, about what the encoder's window is filled with."""

CHANGES = 30
ASKED_PER_SECOND = 20
SECONDS = 20.0
WARM_QUESTIONS = 300

say = Console(stderr=True, highlight=False)


class Instant(OnnxEncoder):
    """The real tokens with random vectors."""

    def _run(self, _: object, texts: Sequence[Tokens], **__: object) -> tuple[Vector, Vector]:
        numbers = np.random.default_rng(int(texts[0].ids.sum()))
        longest = max(len(one.ids) for one in texts)
        vectors = numbers.standard_normal((len(texts), self.export.dimension), dtype=np.float32)
        tokens = numbers.standard_normal((len(texts), longest, self.export.token_dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        tokens /= np.linalg.norm(tokens, axis=-1, keepdims=True)
        return vectors, tokens


def document(number: int, seed: int, words: Sequence[str]) -> str:
    """Return a document of PASSAGES_EACH passages."""
    chance = random.Random(f"{number} {seed}")
    weights = [1 / (rank + 1) for rank in range(len(words))]
    parts = [f"# Record {number}"]
    for section in range(PASSAGES_EACH):
        sentences = [
            " ".join(chance.choices(words, weights, k=SENTENCE_WORDS)).capitalize() + "."
            for _ in range(SENTENCES)
        ]
        parts += [f"## Part {section} of {number}", " ".join(sentences)]
    return "\n\n".join(parts) + "\n"


def vocabulary() -> list[str]:
    """Return made-up words that look like words."""
    chance = random.Random(7)
    syllables = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "is")]
    return ["".join(chance.choices(syllables, k=chance.choice((2, 3, 3, 4)))) for _ in range(WORDS)]


def write_corpus(folder: Path, passages: int, words: Sequence[str]) -> None:
    """Write as many documents as make that many passages."""
    for number in range(passages // PASSAGES_EACH):
        path = folder / f"{number // 1000:03}" / f"{number:06}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document(number, 0, words), encoding="utf-8")


def build(folder: Path, data: Path, encoder: OnnxEncoder) -> int:
    """Index the folder and return how many passages there are."""
    store = Store(data)
    with store.writing():
        done = refresh(store, Reading(folder, 1 << 25), None, Progress(), encoder=lambda *_: encoder)
        merge_all(store, store.open(done.version), everything=True)
    return done.passages


@dataclass
class Asking:
    """Questions put at a fixed rate, and what came of them."""

    client: httpx.Client
    words: Sequence[str]
    milliseconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop`; a question that is late is asked at once and its waiting counts."""
        chance = random.Random(3)
        due = time.perf_counter()
        while not stop.is_set():
            due += 1 / ASKED_PER_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            question = f"Where is {' '.join(chance.choices(self.words, k=4))}?"
            try:
                reply = self.client.post("/v1/ask", json={"question": question})
                self.milliseconds.append((time.perf_counter() - due) * 1000)
                said = reply.json().get("index_version")
                if reply.status_code != 200 or said != reply.headers["x-index-version"]:
                    self.failures.append(reply.text[:300])
            except (httpx.HTTPError, ValueError) as error:
                self.failures.append(repr(error))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of `values` does not exceed."""
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def measure(size: int, work: Path, export: Path, words: Sequence[str]) -> dict[str, float]:
    """Return the figures of one size."""
    corpus, data = work / str(size) / "corpus", work / str(size) / "data"
    say.print(f"{size} passages: writing")
    write_corpus(corpus, size, words)
    say.print(f"{size} passages: indexing")
    begun = time.perf_counter()
    passages = build(corpus, data, Instant(export))
    figures: dict[str, float] = {"passages": passages, "built in s": time.perf_counter() - begun}
    environment = os.environ | {
        "PULLQUOTE_CORPUS": str(corpus),
        "PULLQUOTE_DATA": str(data),
        "PULLQUOTE_MODEL": str(export),
        "PULLQUOTE_PORT": "0",
        "PULLQUOTE_LOG_LEVEL": "info",
        "PULLQUOTE_LOG_FORMAT": "json",
    }
    begun = time.perf_counter()
    log = work / f"{size}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            env=environment,
            stdout=errors,
            stderr=errors,
            cwd=Path(__file__).resolve().parents[2],
        ) as server,
    ):
        try:
            address = _address(log, server)
            figures["started in s"] = time.perf_counter() - begun
            with httpx.Client(base_url=address, timeout=120) as client:
                # What the start has to look at once is no part of a change.
                while client.get("/v1/index").json()["state"] == "building":
                    time.sleep(0.1)
                figures |= _changes(client, words, data)
                figures |= _noticed(client, address, words)
            figures["resident MB"] = _resident(server.pid)
        finally:
            server.terminate()
    return figures


def _changes(client: httpx.Client, words: Sequence[str], data: Path) -> dict[str, float]:
    """Return how long changes take to be searchable, and how many files they touched that were there."""
    before = {path: path.stat().st_mtime_ns for path in data.glob("segments/*.segment")}
    replaced, removed = [], []
    client.get("/v1/ask", params={"q": "warm up"})
    for number in range(CHANGES):
        path = f"/v1/documents/000/{number:06}.md?wait=true"
        begun = time.perf_counter()
        reply = client.put(path, content=document(number, 1, words).encode())
        replaced.append(time.perf_counter() - begun)
        assert reply.status_code == 200 and reply.json()["searchable"], reply.text
    largest = max(before, key=lambda path: path.stat().st_size if path.exists() else 0)
    touched = float(not largest.exists() or largest.stat().st_mtime_ns != before[largest])
    for number in range(CHANGES):
        begun = time.perf_counter()
        reply = client.delete(f"/v1/documents/000/{number:06}.md?wait=true")
        removed.append(time.perf_counter() - begun)
        assert reply.status_code == 200 and reply.json()["searchable"], reply.text
    return {
        "replace ms": statistics.median(replaced) * 1000,
        "replace ms, worst": max(replaced) * 1000,
        "remove ms": statistics.median(removed) * 1000,
        "large segment touched": touched,
    }


def _noticed(client: httpx.Client, address: str, words: Sequence[str]) -> dict[str, float]:
    """Return what questions at a fixed rate take while nothing changes, and while changes never pause."""
    found: dict[str, float] = {}
    chance = random.Random(9)
    for _ in range(WARM_QUESTIONS):
        # What lies on disk comes into memory with the first questions, which is no matter of changes.
        client.post("/v1/ask", json={"question": f"Where is {' '.join(chance.choices(words, k=4))}?"})
    for name, changing in (("idle", False), ("changing", True)):
        stop = threading.Event()
        with httpx.Client(base_url=address, timeout=60) as other:
            asking = Asking(other, words)
            thread = threading.Thread(target=asking.run, args=(stop,))
            thread.start()
            end = time.perf_counter() + SECONDS
            changes = 0
            while time.perf_counter() < end:
                if not changing:
                    time.sleep(0.1)
                    continue
                changes += 1
                if changes % 10 == 0:
                    kept = client.get("/v1/index").json()["snapshots"]
                    client.post("/v1/index/rollback", json={"version": kept[-1]})
                    client.post("/v1/reindex")
                elif changes % 3 == 0:
                    client.delete(f"/v1/documents/new/{changes - 1}.md?wait=true")
                else:
                    client.put(
                        f"/v1/documents/new/{changes}.md?wait=true",
                        content=document(changes, 2, words).encode(),
                    )
            stop.set()
            thread.join()
        found |= {
            f"p50 {name}": percentile(asking.milliseconds, 0.5),
            f"p99 {name}": percentile(asking.milliseconds, 0.99),
        }
        if changing:
            found |= {"changes": changes, "failures": len(asking.failures)}
            for one in asking.failures[:3]:
                say.print(one)
    return found


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    while server.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("{") and json.loads(line).get("event") == "serving":
                return str(json.loads(line)["address"])
        time.sleep(0.01)
    raise SystemExit(f"the server has ended; see {log}")


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def table(rows: Sequence[dict[str, float]]) -> str:
    """Return RESULTS.md."""
    numpy, runtime, faiss = (version(name) for name in ("numpy", "onnxruntime", "faiss-cpu"))
    head = (
        f"# What a change costs\n\n`python benchmarks/updates/run.py`, {datetime.now(UTC).date()}; "
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}; numpy {numpy}, "
        f"onnxruntime {runtime}, faiss-cpu {faiss}.\n\n"
        f"`replace`, `remove`: a document of {PASSAGES_EACH} passages over HTTP with `wait=true`, that is "
        f"durable, encoded and searchable; median and worst of {CHANGES}. `p50`, `p99`: a question over HTTP "
        f"in milliseconds, {ASKED_PER_SECOND} a second for {SECONDS:.0f} s, from when it was due; "
        "`changing`: while another client puts, removes, rolls back and reindexes without a pause.\n\n"
    )
    names = list(rows[0])
    lines = ["| " + " | ".join(["", *(f"{row['passages']:.0f}" for row in rows)]) + " |"]
    lines.append("| --- |" + " ---: |" * len(rows))
    lines += ["| " + " | ".join([name, *(f"{row[name]:.4g}" for row in rows)]) + " |" for name in names[1:]]
    first, last = rows[0], rows[-1]
    slope = (last["replace ms"] - first["replace ms"]) / max(last["passages"] - first["passages"], 1) * 1000
    ratio = last["replace ms"] / first["replace ms"]
    tail = (
        f"\nFrom {first['passages']:.0f} to {last['passages']:.0f} passages replacing takes {ratio:.1f} "
        f"times as long: {slope:.2f} ms more for every thousand passages.\n"
    )
    return head + "\n".join(lines) + "\n" + tail


def main() -> None:
    """Measure and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    words = vocabulary()
    with tempfile.TemporaryDirectory() as aside:
        work = asked.work or Path(aside)
        export = Path(exported(PACKAGED_MODEL, work))
        rows = [measure(int(size), work, export, words) for size in asked.sizes.split(",")]
    text = table(rows)
    RESULTS.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
