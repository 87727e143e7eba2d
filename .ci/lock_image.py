#!/usr/bin/env python3.11
"""Makes the image's requirements anew from .ci/requirements.lock: every wheel by version and SHA-256.

    .ci/lock_image.py

It writes .ci/image.lock (what serves), .ci/image-openvino.lock (what that extra adds), .ci/build.lock (what
makes the wheel and exports the model, without torch), .ci/torch.lock and .ci/tools.lock (what looks at them).
A package has the hash of its wheel for x86-64 and, where there is one, for 64-bit ARM. Nothing is installed
but a newer pip, aside.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

from pip._vendor.packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
TORCH_INDEX = os.environ.get("TORCH_INDEX", "https://download.pytorch.org/whl/cpu")

ARM = [
    f"--platform={tag}_aarch64"
    for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
]
ARM += ["--implementation=cp", "--python-version=3.11", "--abi=cp311", "--abi=abi3", "--abi=none"]

NEVER_LOADED = {
    # Fetches tokenizers by name from a hub; ours is a file. With it go hf-xet, fsspec, filelock and tqdm.
    ("tokenizers", "huggingface-hub"),
    # Both are for the tools that convert and quantize models, which .ci/slim.py leaves out.
    ("onnxruntime", "protobuf"),
    ("onnxruntime", "flatbuffers"),
    # Makes C modules; those that cffi is asked for are made already.
    ("cffi", "pycparser"),
}
"""What a package asks for and does not load to serve. tests/test_image.py serves without."""

TOOLS = ("pip-audit==2.10.1", "cyclonedx-bom==7.5.0")
"""What .ci/audit.py and .ci/sbom.py run; the product asks for neither."""

HEAD = """\
# {what}, for `pip install --require-hashes --no-deps`.
# Made by .ci/lock_image.py from .ci/requirements.lock; change neither by hand.
"""


def normal(name: str) -> str:
    """Return a package's name as the locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def asked(pip: list[str], pins: list[str], *options: str, alone: bool = True) -> list[dict[str, Any]]:
    """Return what pip would install for `pins`, each with metadata and hash; nothing where it finds none.

    Without `alone` what they need comes along.
    """
    with tempfile.TemporaryDirectory() as aside:
        report = Path(aside) / "report.json"
        command = [*pip, "install", "--quiet", "--dry-run", "--ignore-installed", *options]
        command += ["--only-binary=:all:", f"--report={report}", f"--target={aside}/none", *pins]
        command += ["--no-deps"] * alone
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and not options:
            sys.exit(done.stderr)
        return [] if done.returncode else list(json.loads(report.read_text(encoding="utf-8"))["install"])


def closure(wanted: list[str], needs: dict[str, list[str]]) -> set[str]:
    """Return the names that `wanted` install here, without what is never loaded."""
    found: dict[str, set[str]] = {}
    waiting = [Requirement(one) for one in wanted]
    while waiting:
        one = waiting.pop()
        name = normal(one.name)
        if name in found and one.extras <= found[name]:
            continue
        extras = found.setdefault(name, set())
        extras |= one.extras
        for below in map(Requirement, needs.get(name, [])):
            fits = below.marker is None or any(
                below.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
            if fits and (name, normal(below.name)) not in NEVER_LOADED:
                waiting.append(below)
    return set(found)


def torch_wheel(pin: str) -> tuple[str, list[str]]:
    """Return the SHA-256 of torch's CPU wheel and what it needs: from pip's own folders or its index."""
    with tempfile.TemporaryDirectory() as aside:
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", aside, pin]
        if subprocess.run([*fetch, "--no-index"], capture_output=True, check=False).returncode:
            subprocess.run([*fetch, "--index-url", TORCH_INDEX], check=True)
        (wheel,) = Path(aside).glob("torch-*.whl")
        with zipfile.ZipFile(wheel) as packed:
            (about,) = [one for one in packed.namelist() if re.fullmatch(r"torch-[^/]+/METADATA", one)]
            needs = re.findall(r"^Requires-Dist: (.+)$", packed.read(about).decode(), re.MULTILINE)
        return hashlib.sha256(wheel.read_bytes()).hexdigest(), needs


def main() -> None:
    """Write the four files."""
    lines = (ROOT / ".ci/requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = {one.partition("==")[0]: one for one in lines if one and not one.startswith("#")}
    with (ROOT / "pyproject.toml").open("rb") as file:
        made = tomllib.load(file)
    product, extras = made["project"]["dependencies"], made["project"]["optional-dependencies"]
    with tempfile.TemporaryDirectory() as aside:
        venv.create(aside, with_pip=True)
        pip = [f"{aside}/bin/python", "-m", "pip", "--disable-pip-version-check"]
        # The pip that comes with Python 3.11 knows no --report with --target.
        subprocess.run([*pip, "install", "--quiet", "--upgrade", "pip"], check=True)
        known = {
            normal(one["metadata"]["name"]): one
            for one in asked(pip, sorted({*pins.values()} - {pins["torch"]}))
        }
        needs = {name: one["metadata"].get("requires_dist", []) for name, one in known.items()}
        torch_digest, needs["torch"] = torch_wheel(pins["torch"])
        serving = closure(product, needs)
        openvino = closure([*product, *extras["openvino"]], needs) - serving
        building = closure([*made["build-system"]["requires"], *product, *extras["build"]], needs) - {"torch"}
        (day,) = re.findall(r"uploaded after (\d+-\d+-\d+)", "\n".join(lines))
        tools = {
            f"{normal(one['metadata']['name'])}=={one['metadata']['version']}": one
            for one in asked(pip, [*TOOLS], f"--uploaded-prior-to={day}", alone=False)
        }
        digests: dict[str, list[str]] = {}
        locked = {pins[name]: known[name] for name in serving | openvino | building} | tools
        for pin, one in sorted(locked.items()):
            about = one["download_info"]
            digests[pin] = [about["archive_info"]["hashes"]["sha256"]]
            if not about["url"].endswith("-any.whl"):
                for other in asked(pip, [pin], *ARM):
                    digests[pin].append(other["download_info"]["archive_info"]["hashes"]["sha256"])
    digests[pins["torch"]] = [torch_digest]
    for file, what, chosen in (
        ("image.lock", "What the image serves with", {pins[name] for name in serving}),
        (
            "image-openvino.lock",
            "What the extra `openvino` adds to the image",
            {pins[name] for name in openvino},
        ),
        (
            "build.lock",
            "What makes the wheel and exports the model, without torch",
            {pins[name] for name in building},
        ),
        ("tools.lock", "What looks for vulnerabilities and writes the bill of materials", {*tools}),
        ("torch.lock", "torch's CPU build for x86-64", {pins["torch"]}),
    ):
        entries = [
            " \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in digests[pin])])
            for pin in sorted(chosen)
        ]
        (ROOT / ".ci" / file).write_text(HEAD.format(what=what) + "\n".join(entries) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
