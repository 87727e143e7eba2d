"""The corpus folder: the source of truth. Nothing but this module reads documents from disk."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

DEFAULT_LARGEST = 32 * 1024 * 1024
"""Bytes of the largest document read, unless the settings say otherwise."""


DATA_MARK = "PULLQUOTE-INDEX"
"""A folder that holds a file of this name is an index, wherever it lies, and none of it is a document."""


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
class Unread:
    """A file whose content is known without reading it again."""

    id: str
    sha: str
    """SHA-256 of the bytes."""


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
    renamed: tuple[tuple[str, str], ...] = ()
    """Old and new id of what was removed and added with the same content; in neither of those two."""


def between(old: Mapping[str, str], new: Mapping[str, str]) -> Change:
    """Return the Change from one state to another, each given as SHA-256 by id: content decides."""
    both = old.keys() & new.keys()
    removed, added = sorted(old.keys() - both), sorted(new.keys() - both)
    left: dict[str, list[str]] = {}
    for one in reversed(removed):
        left.setdefault(old[one], []).append(one)
    renamed = tuple((left[new[one]].pop(), one) for one in added if left.get(new[one]))
    away, here = ({one for one, _ in renamed}, {one for _, one in renamed})
    return Change(
        added=tuple(one for one in added if one not in here),
        changed=tuple(sorted(one for one in both if old[one] != new[one])),
        removed=tuple(one for one in removed if one not in away),
        unchanged=tuple(sorted(one for one in both if old[one] == new[one])),
        renamed=renamed,
    )


SETTLED_NS = 2_000_000_000
"""A file changed less than this long before it was read may change again without its dates telling: two
seconds is the coarsest clock of a file system in use (FAT)."""


class Seen:
    """The files read so far, so that those that nobody has touched since need not be read again.

    What counts are inode, size, and the times of the last change of content and of anything else, the last of
    which no program can set. Content decides all the same: a file that looks touched is read.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[int, ...], str]] = {}

    def note(self, document_id: str, about: os.stat_result, sha: str, read_at_ns: int) -> None:
        """Remember what was read, unless it had changed only just before."""
        if read_at_ns - max(about.st_mtime_ns, about.st_ctime_ns) > SETTLED_NS:
            self._held[document_id] = (_mark(about), sha)
        else:
            self._held.pop(document_id, None)

    def sha(self, document_id: str, about: os.stat_result) -> str | None:
        """Return the SHA-256 of the file as it was read, or None when it has to be read."""
        mark, sha = self._held.get(document_id, ((), ""))
        return sha if mark == _mark(about) else None


def _mark(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def scan(
    folder: Path,
    *,
    largest: int = DEFAULT_LARGEST,
    only: Set[str] | None = None,
    seen: Seen | None = None,
    known: Mapping[str, str] | None = None,
) -> Iterator[Source | Unread | Skipped]:
    """Yield every file under `folder`, in the order of ids: read, or skipped with the reason.

    Hidden files and folders (names that begin with a full stop) are not part of the corpus. Links are
    not followed and only regular files are opened, so nothing outside the folder is ever read.
    With `only`, ids and folders (ending in `/`), nothing else is looked at. A file that `seen` says to be
    untouched since it had the content that `known` has for its id is not read but yielded as Unread.
    Raises CorpusError when the folder itself cannot be listed.
    """
    try:
        with os.scandir(folder):
            pass
    except OSError as error:
        raise CorpusError(
            f"the corpus folder {folder} cannot be read ({error.strerror}); "
            "set PULLQUOTE_CORPUS (or --corpus) to a folder of documents"
        ) from error
    if (folder / DATA_MARK).exists():
        raise CorpusError(
            f"{folder} is the folder of an index; set PULLQUOTE_CORPUS (or --corpus) to a folder of documents"
        )
    reader = _Reader(largest, seen, known or {})
    listed = _walk(folder) if only is None else _named(folder, only)
    for document_id, path in sorted(listed):
        one = (
            _unlisted(document_id, path)
            if document_id.endswith("/")
            else reader.read(document_id, Path(path))
        )
        if one is not None:
            yield one


def _named(folder: Path, only: Set[str]) -> Iterator[tuple[str, str]]:
    """Yield (id, path) of the files that `only` names, and of those in folders that it names."""
    found: dict[str, str] = {}
    for one in only:
        parts = one.rstrip("/").split("/")
        if any(part.startswith(".") or not part for part in parts) or _leads_out(folder, parts[:-1]):
            continue
        path = folder / one
        if one.endswith("/") and path.is_dir() and not path.is_symlink():
            found.update(_walk(path, one))
        elif not one.endswith("/") and (path.is_symlink() or not path.is_dir()):
            found[one] = str(path)
    yield from found.items()


def _leads_out(folder: Path, parents: Sequence[str]) -> bool:
    """Return whether one of the folders on the way is a link, an index, or none at all."""
    path = folder
    for parent in parents:
        path = path / parent
        if path.is_symlink() or not path.is_dir() or (path / DATA_MARK).exists():
            return True
    return False


def _walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (id, path) of every file, and of a folder that cannot be listed, its id ending in `/`."""
    waiting = [(prefix, str(folder))]
    while waiting:
        prefix, path = waiting.pop()
        try:
            with os.scandir(path) as listed:
                entries = list(listed)
                if any(entry.name == DATA_MARK for entry in entries):
                    continue
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


class _Reader:
    """Reads the files of one scan."""

    def __init__(self, largest: int, seen: Seen | None, known: Mapping[str, str]) -> None:
        self._largest = largest
        self._seen = seen
        self._known = known

    def read(self, document_id: str, path: Path) -> Source | Unread | Skipped | None:
        """Return the file, or why it is skipped; None when it has gone meanwhile."""
        problem = name_problem(document_id)
        if problem:
            shown = document_id.encode("utf-8", "backslashreplace").decode("utf-8")
            return Skipped(
                shown if shown != document_id else repr(document_id)[1:-1], f"{problem}; rename it", 0
            )
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
            return self._content(document_id, file)

    def _content(self, document_id: str, file: BinaryIO) -> Source | Unread | Skipped:
        largest = self._largest
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            return Skipped(document_id, "is not a regular file", 0)
        if about.st_size > largest:
            reason = (
                f"is {about.st_size} bytes long, over the limit of {largest}; split it or raise the limit"
            )
            return Skipped(document_id, reason, about.st_size)
        sha = self._seen.sha(document_id, about) if self._seen else None
        if sha is not None and self._known.get(document_id) == sha:
            return Unread(document_id, sha)
        begun = time.time_ns()
        try:
            # Not room for the largest there may be: what is read into it keeps a memory mapping of its own,
            # of which a process may have 65,530. A file that grows meanwhile is read on.
            data = file.read(about.st_size + 1)
            if len(data) > about.st_size:
                data += file.read(largest + 1 - len(data))
        except OSError as error:
            return Skipped(document_id, f"cannot be read: {error.strerror}", about.st_size)
        if len(data) > largest:
            reason = f"grew over the limit of {largest} bytes while it was read"
            return Skipped(document_id, reason, len(data))
        sha = hashlib.sha256(data).hexdigest()
        if self._seen:
            self._seen.note(document_id, about, sha, begun)
        modified = datetime.fromtimestamp(about.st_mtime, tz=UTC).isoformat(timespec="seconds")
        return Source(document_id, data, sha, modified.replace("+00:00", "Z"))


def name_problem(document_id: str) -> str | None:
    """Return why a file of that name is not indexed, or None."""
    if document_id.encode("utf-8", "replace").decode("utf-8") != document_id:
        return "its name is not UTF-8"
    if any(unicodedata.category(character) == "Cc" for character in document_id):
        return "its name has control characters"
    return None
