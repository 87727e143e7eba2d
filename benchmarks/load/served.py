"""A server of its own for the load: where it lies, how it is started, what it takes of the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What the processes of a server take, together."""

    megabytes: float
    """Resident memory; pages that they share count once (PSS)."""
    descriptors: int
    threads: int
    processor_seconds: float


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int = 0

    def messages(self) -> list[dict[str, Any]]:
        """Return what was logged but the lines of the requests."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        whole = [line for line in lines if line.startswith("{") and line.endswith("}")]
        return [json.loads(line) for line in whole if '"event": "request"' not in line]

    def pids(self) -> list[int]:
        """Return its processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def taken(self) -> Taken:
        """Return what it takes now."""
        kilobytes, descriptors, threads, seconds = 0, 0, 0, 0.0
        for pid in self.pids():
            here = Path(f"/proc/{pid}")
            rollup = (here / "smaps_rollup").read_text()
            kilobytes += int(rollup.split("\nPss:")[1].split()[0])
            descriptors += len(os.listdir(here / "fd"))  # noqa: PTH208 (names that end in no file)
            fields = (here / "stat").read_text().rpartition(")")[2].split()
            threads += int(fields[17])
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return Taken(kilobytes / 1024, descriptors, threads, seconds)


@contextmanager
def serving(home: Path, *, workers: int, **settings: object) -> Iterator[Served]:
    """Give a server that is ready, over the index in `home`, and end it."""
    log = home / f"server-{time.monotonic_ns()}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            env=environment(home, workers=workers, **settings),
            stderr=errors,
            cwd=ROOT,
        )
    served = Served(process, log)
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not served.port:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the server does not start; see {log}")
            found = served.messages()
            ready = workers == 1 or sum(one["event"] == "worker ready" for one in found) == workers
            address = [one["address"] for one in found if one["event"] == "serving"]
            served.port = int(address[0].rpartition(":")[2]) if address and ready else 0
            time.sleep(0.05)
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def environment(home: Path, **settings: object) -> dict[str, str]:
    """Return the environment of a process over the index in `home`, with none of one's own settings."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PULLQUOTE_")}
    values = {"corpus": home / "corpus", "data": home / "data", "port": 0, "log_format": "json"} | settings
    return own | {f"PULLQUOTE_{name.upper()}": str(value) for name, value in values.items()}


def prepare(home: Path) -> None:
    """Make the index in `home`, of the articles that the reader was trained on, unless it is there."""
    if (home / "data/current").exists():
        return
    for folder in (ROOT / "corpus/texts", ROOT / "benchmarks/reader/docs/versus"):
        shutil.copytree(folder, home / "corpus" / folder.name, dirs_exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "service", "index"], env=environment(home), cwd=ROOT, check=True, timeout=600
    )
