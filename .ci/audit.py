#!/usr/bin/env python3.11
"""Looks up known vulnerabilities of every package in the hashed locks.

    .ci/audit.py [LOCK...]

Ends with 0 where all packages were looked up and nothing is known, with 1 where something is, and with 3
where not all could be looked up: pip-audit by itself calls that "no known vulnerabilities". It asks PyPI, or
the service that AUDIT_SERVICE names (`osv`). It knows nothing of the interpreter and Debian's libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools import CI, tool

LOCKS = ("image.lock", "image-openvino.lock", "build.lock", "torch.lock")
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3


def audited(lock: Path, program: Path) -> list[dict[str, Any]] | str:
    """Return what pip-audit says of each package of a lock, or why it says nothing."""
    with tempfile.TemporaryDirectory() as aside:
        report = Path(aside) / "report.json"
        service = os.environ.get("AUDIT_SERVICE", "pypi")
        options = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json"]
        done = subprocess.run(
            [
                program,
                "--requirement",
                lock,
                f"--vulnerability-service={service}",
                *options,
                f"--output={report}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if report.exists() and report.stat().st_size:
            return list(json.loads(report.read_text(encoding="utf-8"))["dependencies"])
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def judged(lock: str, found: list[dict[str, Any]] | str) -> Iterator[tuple[int, str]]:
    """Yield a verdict and a line for each package that is not clean, and for what was not looked up."""
    if isinstance(found, str):
        yield UNKNOWN, f"{lock}: not looked up: {found}"
        return
    skipped = [one for one in found if "skip_reason" in one]
    if skipped:
        yield UNKNOWN, f"{lock}: {len(skipped)} of {len(found)} not looked up: {skipped[0]['skip_reason']}"
    for one in found:
        for known in one.get("vulns", []):
            fixed = ", ".join(known.get("fix_versions", [])) or "none yet"
            yield VULNERABLE, f"{lock}: {one['name']} {one['version']}: {known['id']}; fixed in {fixed}"


def verdict(seen: list[tuple[int, str]]) -> int:
    """Return the exit status: what is known to be bad comes before what is not known."""
    kinds = {kind for kind, _ in seen}
    return VULNERABLE if VULNERABLE in kinds else UNKNOWN if kinds else CLEAN


def main() -> None:
    """Look up the locks that the command line names, or all."""
    locks = [Path(one) for one in sys.argv[1:]] or [CI / one for one in LOCKS]
    with tool("pip-audit") as program:
        seen = [line for lock in locks for line in judged(lock.name, audited(lock, program))]
    status = verdict(seen)
    for _, line in seen:
        sys.stderr.write(f"{line}\n")
    if status == CLEAN:
        sys.stdout.write("every package was looked up, and no vulnerability is known\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
