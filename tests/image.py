"""The image made and run without an engine, by what an engine uses: an overlay, a chroot and namespaces.

The build stage's own commands run on an overlay of this machine's root, so nothing here is changed; its torch
and the export, which other tests make, are left out. What the last stage copies is then the root of a
container: read-only, with a network of its own that leads nowhere, for a user without rights.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dockerfile import BUILD, LAST, ROOT, environment, every, health_command, only, stages

CONTAINED = ROOT / "tests/contained.py"
MAKES_THE_WHEEL = {"hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
PATIENCE_SECONDS = 400

MOUNT = """
set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$LAYER/upper,workdir=$LAYER/work" "$LAYER/root"
mount --rbind /dev "$LAYER/root/dev"
mount --rbind /proc "$LAYER/root/proc"
exec chroot "$LAYER/root" /bin/sh -c "$STEP"
"""


def why_not() -> str | None:
    """Return why no image can be made here, None where one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "an overlay and a chroot need root on Linux"
    with tempfile.TemporaryDirectory() as name:
        layer = Layer(Path(name))
        done = layer.run("true", {})
    return None if done.returncode == 0 else f"no overlay can be mounted here: {done.stderr.strip()}"


@dataclass(frozen=True, slots=True)
class Layer:
    """What the build stage's steps write, on top of this machine's root."""

    folder: Path

    @property
    def upper(self) -> Path:
        return self.folder / "upper"

    def run(self, step: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a shell command in it and return what came of it."""
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            ["unshare", "--mount", "--", "/bin/sh", "-c", MOUNT],
            env={**variables, "LAYER": str(self.folder), "STEP": step},
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )


def made(folder: Path, encoder: Path) -> Path:
    """Make the image in the empty `folder` and return its root."""
    layer = Layer(folder / "layer")
    lay_python(layer.upper / "usr/local")
    workdir = layer.upper / only(BUILD, "WORKDIR").rest.removeprefix("/")
    kept = {
        name: value
        for name, value in os.environ.items()
        if re.match(r"(?i)pip_|https?_proxy|no_proxy|lang", name)
    }
    variables = {
        **kept,
        "HOME": os.environ.get("HOME", "/"),
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    # The base image registers its library with the loader.
    variables["LD_LIBRARY_PATH"] = "/usr/local/lib"
    for one in stages()[BUILD]:
        if one.name in ("ENV", "ARG"):
            variables |= one.pairs
        elif one.name == "COPY":
            _copy(one, workdir)
        elif one.name == "RUN" and "export-model" in one.rest:
            shutil.copytree(encoder, layer.upper / "opt/pullquote/encoder")
        elif one.name == "RUN" and "torch.lock" not in one.rest:
            done = layer.run(f"cd /src && {one.rest}", variables)
            assert done.returncode == 0, f"{one.rest}\n{done.stdout}{done.stderr}"
    root = folder / "image"
    root.mkdir()
    for one in every(LAST, "COPY"):
        source, target = (word.removeprefix("/") for word in one.words)
        shutil.copytree(layer.upper / source, root / target, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(layer.folder)
    root.chmod(0o755)
    return root


def _copy(one: Any, workdir: Path) -> None:
    """Do what a COPY of the build stage does."""
    *sources, target = one.words
    for source in sources:
        into = workdir / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            continue
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / source, into)
        if source == ".ci/build.lock":
            # Of a gigabyte for the export, which is not made here, what makes the wheel.
            pins = re.split(r"\n(?=\S)", (into / "build.lock").read_text(encoding="utf-8"))
            chosen = [pin for pin in pins if pin.partition("==")[0] in MAKES_THE_WHEEL]
            assert len(chosen) == len(MAKES_THE_WHEEL)
            (into / "build.lock").write_text("\n".join(chosen), encoding="utf-8")


def lay_python(prefix: Path) -> None:
    """Copy the running Python, which may lie anywhere, to where the base image has it, and as small."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns("__pycache__", "site-packages", "test", "config-*")
    shutil.copytree(stdlib, prefix / "lib" / stdlib.name, ignore=left_out)
    for library in (Path(sys.base_prefix) / "lib").glob("libpython3*.so*"):
        shutil.copy2(library, prefix / "lib", follow_symlinks=False)
    (prefix / "bin").mkdir()
    own = prefix / "bin" / stdlib.name
    shutil.copy2(Path(sys.executable).resolve(), own)
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(own.name)
    # The base image's is linked with --strip-all.
    symbols = [one for one in prefix.rglob("*.so*") if not one.is_symlink()]
    subprocess.run(["strip", "--strip-unneeded", *symbols], check=True)
    subprocess.run(
        [own, "-m", "ensurepip", "--default-pip"],
        env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(prefix / "lib")},
        check=True,
        capture_output=True,
    )
    (prefix / "bin/pip").write_text('#!/bin/sh\nexec /usr/local/bin/python -m pip "$@"\n', encoding="utf-8")
    (prefix / "bin/pip").chmod(0o755)


def contained(root: Path, data: Path, *, user: int, **asked: Any) -> dict[str, Any]:
    """Run a container of the image and return what tests/contained.py saw; it describes `asked`."""
    wish = {
        "root": str(root),
        "data": str(data),
        "user": user,
        "environment": environment(LAST) | asked.pop("variables", {}),
        "command": [*only(LAST, "ENTRYPOINT").words, *only(LAST, "CMD").words],
        "workdir": only(LAST, "WORKDIR").rest,
        "health": health_command(),
    } | asked
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--", sys.executable, CONTAINED],
        input=json.dumps(wish),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
