"""The programs that look at what we ship, in an environment of their own (.ci/tools.lock)."""

from __future__ import annotations

import subprocess
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CI = Path(__file__).resolve().parent
PIP = [
    "-m",
    "pip",
    "--disable-pip-version-check",
    "install",
    "--quiet",
    "--quiet",
    "--no-deps",
    "--require-hashes",
]


def environment(folder: Path, *locks: Path) -> Path:
    """Return the interpreter of a new environment in `folder` with the packages of `locks`."""
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    for lock in locks:
        subprocess.run([python, *PIP, "--only-binary=:all:", "--requirement", lock], check=True)
    return python


@contextmanager
def tool(name: str) -> Iterator[Path]:
    """Give the program `name` while the block lasts."""
    with tempfile.TemporaryDirectory() as aside:
        environment(Path(aside), CI / "tools.lock")
        yield Path(aside) / "bin" / name
