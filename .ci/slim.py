#!/usr/bin/env python3.11
"""Leaves of an environment what a server loads.

    .ci/slim.py VENV

What stays is as its wheel had it, byte for byte; tests/test_image.py compares it with the wheels' own lists.
Other people's modules stay as bytecode alone: a traceback names their files and lines and does not show them.
Ours keep their source.
"""

from __future__ import annotations

import compileall
import py_compile
import shutil
import sys
from pathlib import Path

OURS = ("corpus", "index", "service")

UNUSED = (
    # The library for programs in C, 35 MB. The module for Python holds all of it a second time.
    "onnxruntime/capi/libonnxruntime.so*",
    # Tools that convert, quantize and tune models, 4 MB.
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    # Colours for program text in 600 languages, 4 MB. rich asks for one when it shows source.
    "pygments/lexers/[a-z]*",
    # XML as Python objects, schemas, and headers for C, 4 MB; python-docx uses lxml.etree alone.
    "lxml/includes",
    "lxml/isoschematron",
    "lxml/objectify*",
    # Fortran, builds of C modules, 3 MB.
    "numpy/distutils",
    "numpy/f2py",
    "numpy/_core/_multiarray_tests*",
    "numpy/_core/include",
    "numpy/_core/lib",
    # Tests, 8 MB.
    "**/tests",
    "**/testdata",
    # What C and Cython modules were made of, and types for checkers, 7 MB.
    *(f"**/*.{suffix}" for suffix in ("a", "c", "cpp", "h", "hpp", "pxd", "pxi", "pyi", "pyx")),
)
"""Patterns in site-packages, with what they save uncompressed (docs/decisions/0014-image.md)."""

COMMANDS = ("python*", "pullquote")
"""Of `bin`, what is kept."""


def main() -> None:
    """Slim the environment that the command line names."""
    (folder,) = sys.argv[1:]
    (packages,) = Path(folder).glob("lib/python3*/site-packages")
    for pattern in UNUSED:
        for path in [*packages.glob(pattern)]:
            if path.relative_to(packages).parts[0] in OURS or not path.exists():
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (Path(folder) / "bin").iterdir():
        if not any(path.match(one) for one in COMMANDS):
            path.unlink()
    shutil.rmtree(Path(folder) / "include", ignore_errors=True)
    compiled(packages, keep=OURS)


def compiled(folder: Path, *, keep: tuple[str, ...] = ()) -> None:
    """Leave bytecode for source under `folder`; for the packages `keep`, beside it.

    Bytecode never looks at the times of source, because copies of an image need not keep those.
    """
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for one in sorted(folder.iterdir()):
        kept = one.name in keep
        options = {"quiet": 1, "legacy": not kept, "invalidation_mode": unchecked}
        if one.is_dir():
            done = compileall.compile_dir(one, maxlevels=20, workers=0, **options)
        else:
            done = one.suffix != ".py" or compileall.compile_file(one, **options)
        if not done:
            sys.exit(f"{one} does not compile; leave it out in .ci/slim.py if nothing needs it")
        if not kept:
            for source in [one] if one.suffix == ".py" else [*one.rglob("*.py")]:
                source.unlink()


if __name__ == "__main__":
    main()
