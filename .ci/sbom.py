#!/usr/bin/env python3.11
"""Writes a CycloneDX bill of materials of what the image serves with.

    .ci/sbom.py FILE [IMAGE]

It installs .ci/image.lock aside and names each package with its version, terms and address. The weights are
added, and with the folder IMAGE, the root of an unpacked image, Debian's packages in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools import CI, environment, tool

ROOT = CI.parent


def packages(program: Path) -> dict[str, Any]:
    """Return the bill of the locked environment, the same for the same lock."""
    with tempfile.TemporaryDirectory() as aside:
        python = environment(Path(aside) / "venv", CI / "image.lock")
        # It came with the environment and is not in the image.
        subprocess.run(
            [python, "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", "pip"], check=True
        )
        options = ["--output-reproducible", "--mc-type=application", f"--pyproject={ROOT / 'pyproject.toml'}"]
        file = Path(aside) / "bill.json"
        subprocess.run(
            [program, "environment", *options, "--of=JSON", "--output-file", file, python],
            # What a caller's PYTHONPATH leads to is not in the image.
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            check=True,
            capture_output=True,
        )
        made: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return made


def weights() -> list[dict[str, Any]]:
    """Return the models: ours by their files, the encoder's by what it is exported from."""
    text = (ROOT / "index/export.py").read_text(encoding="utf-8")
    (official,) = re.findall(r'^PACKAGED_SHA256 = "([0-9a-f]{64})"$', text, re.MULTILINE)
    found = [("all-MiniLM-L6-v2", official)]
    for name in ("cross_encoder.weights", "questions.safetensors"):
        data = (ROOT / "index/weights" / name).read_bytes()
        found.append((name, hashlib.sha256(data).hexdigest()))
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": f"model:{name}",
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "licenses": [{"license": {"id": "Apache-2.0"}}],
        }
        for name, digest in found
    ]


def debian(image: Path) -> list[dict[str, Any]]:
    """Return Debian's packages that an image's root names."""
    found = []
    for path in sorted((image / "var/lib/dpkg/status.d").iterdir()):
        about = dict(re.findall(r"^([A-Z][\w-]*): (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))
        address = f"pkg:deb/debian/{about['Package']}@{about['Version']}?arch={about['Architecture']}"
        found.append(
            {
                "type": "library",
                "bom-ref": address,
                "name": about["Package"],
                "version": about["Version"],
                "purl": address,
            }
        )
    return found


def main() -> None:
    """Write the bill that the command line names."""
    target, *images = map(Path, sys.argv[1:])
    with tool("cyclonedx-py") as program:
        bill = packages(program)
    bill["components"] += weights()
    for image in images:
        bill["components"] += debian(image)
    target.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
