"""Files that are whole or not there: written aside, made durable, then put in place by one rename."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

ASIDE = ".pullquote-"
"""How a file begins that is being written. Such names are hidden, so no scan takes one for a document."""


def write_durably(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put a file with these bytes at `path`, in one step; it is on disk when this returns.

    Its permissions are `mode`, else those of the file it replaces. Whatever goes wrong, `path` is as it was.
    Raises OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=ASIDE, dir=path.parent)
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), _mode_of(path) if mode is None else mode)
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _mode_of(path: Path) -> int:
    """Return the permissions of the file that is replaced; of a new one those that programs usually give."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return 0o644


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
