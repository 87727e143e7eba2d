"""SHA256SUMS of a folder, as `sha256sum -c` reads it: whether its files are still as they were written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

SUMS_FILE = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS of all files in `folder`, which has no folders in it."""
    lines = [
        f"{sha256_of(path)}  {path.name}\n" for path in sorted(folder.iterdir()) if path.name != SUMS_FILE
    ]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def damaged(folder: Path) -> list[str] | None:
    """Return the names of the files that are not as they were written, None where nothing says how they were.

    A file that is gone is one of them; one that has come since is not looked at. A second for 250 MB. Raises
    OSError for what cannot be read.
    """
    try:
        listed = (folder / SUMS_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return [SUMS_FILE]
    found = list(_listed(listed))
    if not found:
        return [SUMS_FILE]
    return [
        name for name, known in found if not (folder / name).is_file() or sha256_of(folder / name) != known
    ]


def _listed(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of each line; of a damaged line what no file has."""
    for line in text.splitlines():
        known, _, name = line.partition("  ")
        yield (SUMS_FILE, "") if not name or Path(name).name != name else (name, known)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises OSError for what cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
