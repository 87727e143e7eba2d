"""The corpus folder: the source of truth. Nothing but this module reads documents from disk."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DEFAULT_LARGEST = 32 * 1024 * 1024
"""Bytes of the largest document read, unless the settings say otherwise."""


class CorpusError(Exception):
    """The corpus folder cannot be read; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the corpus folder as it was when it was read."""

    id: str
    """Relative POSIX path inside the folder."""
    data: bytes
    sha: str
    """SHA-256 of the bytes."""
    updated_at: str
    """Modification time, ISO 8601 in UTC."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of the corpus folder that is not indexed, and why."""

    id: str
    reason: str
    bytes: int
    sha: str = ""
    """SHA-256 of the bytes where they could be read."""


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two states of the corpus, ids in order."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]


def between(old: Mapping[str, str], new: Mapping[str, str]) -> Change:
    """Return the Change from one state to another, each given as SHA-256 by id: content decides."""
    both = old.keys() & new.keys()
    return Change(
        added=tuple(sorted(new.keys() - both)),
        changed=tuple(sorted(one for one in both if old[one] != new[one])),
        removed=tuple(sorted(old.keys() - both)),
        unchanged=tuple(sorted(one for one in both if old[one] == new[one])),
    )


def scan(folder: Path, *, largest: int = DEFAULT_LARGEST) -> Iterator[Source | Skipped]:
    """Yield every file under `folder`, in the order of ids: read, or skipped with the reason.

    Hidden files and folders (names that begin with a full stop) are not part of the corpus. Links are
    not followed and only regular files are opened, so nothing outside the folder is ever read.
    Raises CorpusError when the folder itself cannot be listed.
    """
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        raise CorpusError(
            f"the corpus folder {folder} cannot be read ({error.strerror}); "
            "set CORPUS to a folder of documents"
        ) from error
    for document_id, path in sorted(_walk(folder)):
        one = (
            _unlisted(document_id, path)
            if document_id.endswith("/")
            else _read(document_id, Path(path), largest)
        )
        if one is not None:
            yield one


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (id, path) of every file, and of a folder that cannot be listed, its id ending in `/`."""
    waiting = [("", str(folder))]
    while waiting:
        prefix, path = waiting.pop()
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((f"{prefix}{entry.name}/", entry.path))
                    else:
                        yield f"{prefix}{entry.name}", entry.path
        except OSError:
            if prefix:
                yield prefix, path


def _unlisted(document_id: str, path: str) -> Skipped:
    """Return the folder as skipped, with the reason why nothing in it is known."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
        reason = "could not be listed"
    except OSError as error:
        reason = f"cannot be listed: {error.strerror}"
    return Skipped(document_id.encode("utf-8", "backslashreplace").decode("utf-8"), reason, 0)


def _read(document_id: str, path: Path, largest: int) -> Source | Skipped | None:
    """Return the file, or why it is skipped; None when it has gone meanwhile."""
    shown = document_id.encode("utf-8", "backslashreplace").decode("utf-8")
    if shown != document_id:
        return Skipped(shown, "its name is not UTF-8; rename it", 0)
    if any(unicodedata.category(character) == "Cc" for character in document_id):
        return Skipped(repr(document_id)[1:-1], "its name has control characters; rename it", 0)
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            return Skipped(document_id, "is a symbolic link; links are not followed", 0)
        return Skipped(document_id, f"cannot be opened: {error.strerror}", 0)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            return Skipped(document_id, "is not a regular file", 0)
        if about.st_size > largest:
            reason = (
                f"is {about.st_size} bytes long, over the limit of {largest}; split it or raise the limit"
            )
            return Skipped(document_id, reason, about.st_size)
        try:
            data = file.read(largest + 1)
        except OSError as error:
            return Skipped(document_id, f"cannot be read: {error.strerror}", about.st_size)
    if len(data) > largest:
        return Skipped(document_id, f"grew over the limit of {largest} bytes while it was read", len(data))
    modified = datetime.fromtimestamp(about.st_mtime, tz=UTC).isoformat(timespec="seconds")
    return Source(document_id, data, hashlib.sha256(data).hexdigest(), modified.replace("+00:00", "Z"))
