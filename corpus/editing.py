"""Documents put into the corpus folder and taken out of it, one at a time: whole, durable, never outside.

Every step down the folders goes by the handle of the one above and follows no link, so that nothing is
written or removed elsewhere, whatever happens to the folder meanwhile.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from corpus.durable import ASIDE
from corpus.folder import DATA_MARK
from corpus.formats import SUFFIXES

LONGEST_ID = 1024
"""Bytes of an id in UTF-8; a path may have 4,096 on Linux, of which the folder's own takes some."""

LONGEST_NAME = 255 - len(ASIDE) - 16
"""Bytes of one part of an id: what file systems allow, less what the name of a file written aside adds."""


Status = Literal["created", "replaced", "unchanged"]


class BadId(Exception):
    """The name cannot be that of a document; the message says why."""


class Taken(Exception):
    """Something that is no document stands where the document would; the message says what."""


class PreconditionFailed(Exception):
    """The document is not in the state that the change was meant for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """In which state a document has to be for a change to be made; by default in any."""

    shas: frozenset[str] | None = None
    """It has one of these SHA-256."""
    exists: bool | None = None
    other_than: frozenset[str] = frozenset()
    """It has none of these SHA-256."""

    def check(self, sha: str | None) -> None:
        """Raise PreconditionFailed unless a document with that SHA-256, None for none, is in that state."""
        if self.exists is not None and self.exists != (sha is not None):
            raise PreconditionFailed("the document exists" if sha else "there is no such document")
        if self.shas is not None and sha not in self.shas:
            raise PreconditionFailed("the document has changed" if sha else "there is no such document")
        if sha is not None and sha in self.other_than:
            raise PreconditionFailed("the document is still the same")


ANY = Wanted()


def check_id(document_id: str) -> None:
    """Raise BadId unless `document_id` is a relative POSIX path that a document may have."""
    try:
        data = document_id.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadId("is not valid Unicode (it has a lone surrogate)") from error
    if not data:
        raise BadId("is empty")
    if len(data) > LONGEST_ID:
        raise BadId(f"is {len(data)} bytes long, over the limit of {LONGEST_ID}")
    if any(unicodedata.category(character) == "Cc" for character in document_id):
        raise BadId("has control characters")
    if document_id.startswith("/"):
        raise BadId("is an absolute path; ids are relative to the corpus folder")
    for part in document_id.split("/"):
        _check_part(part)
    if PurePosixPath(document_id).suffix.lower() not in SUFFIXES:
        raise BadId(f"has no extension that stands for a format; end it in one of {', '.join(SUFFIXES)}")


def _check_part(part: str) -> None:
    if part in ("", ".", ".."):
        raise BadId(f"has the part {part!r}, which would lead out of its folder or nowhere")
    if part.startswith("."):
        raise BadId("has a part that begins with a full stop; hidden files are not indexed")
    if "\\" in part:
        raise BadId("has a backslash; the parts of an id are separated by `/`")
    if len(part.encode()) > LONGEST_NAME:
        raise BadId(f"has a part of {len(part.encode())} bytes, over the limit of {LONGEST_NAME}")


def read_document(folder: Path, document_id: str, *, largest: int | None = None) -> bytes | None:
    """Return the bytes of a document's file, or None when there is none.

    Raises BadId, Taken (also for a file of more than `largest` bytes), or OSError.
    """
    check_id(document_id)
    *parents, name = document_id.split("/")
    with _inside(folder, parents, make=False) as parent:
        return None if parent is None else _read(parent, name, largest)


def write_document(folder: Path, document_id: str, data: bytes, wanted: Wanted = ANY) -> Status:
    """Put a document into the folder and return what that was: `created`, `replaced` or `unchanged`.

    When this returns, it is on disk. A file is replaced in one step: whoever reads it meanwhile reads the old
    or the new one. Raises BadId (also for a name that differs from an existing one in case or composition
    alone), Taken, PreconditionFailed, or OSError, after which everything is as it was.
    """
    check_id(document_id)
    *parents, name = document_id.split("/")
    if wanted.shas is not None or wanted.exists:
        # Nothing is made for a document that has to be there already.
        wanted.check(_sha(read_document(folder, document_id)))
    try:
        with _inside(folder, parents, make=True) as parent:
            assert parent is not None
            _check_collision(parent, name)
            before = _read(parent, name)
            wanted.check(_sha(before))
            if before == data:
                _sync_file(parent, name)
                return "unchanged"
            _replace(parent, name, data)
            _confirm(parent, lambda: _put_back(parent, name, before))
            return "created" if before is None else "replaced"
    except OSError:
        _drop_empty(folder, parents)
        raise


def remove_document(folder: Path, document_id: str, wanted: Wanted = ANY) -> bool:
    """Take a document out of the folder, durably; return False when there was none.

    Raises BadId, Taken, PreconditionFailed, or OSError.
    """
    check_id(document_id)
    *parents, name = document_id.split("/")
    with _inside(folder, parents, make=False) as parent:
        before = None if parent is None else _read(parent, name)
        wanted.check(_sha(before))
        if parent is None or before is None:
            return False
        aside = _aside()
        os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
        _confirm(parent, lambda: os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent))
        with suppress(OSError):  # then it is swept
            os.unlink(aside, dir_fd=parent)
    _drop_empty(folder, parents)
    return True


def _confirm(parent: int, undo: Callable[[], None]) -> None:
    """Make the names in a folder durable; where that fails, the change they stand for is undone."""
    try:
        os.fsync(parent)
    except OSError:
        with suppress(OSError):
            undo()
        raise


def _put_back(parent: int, name: str, before: bytes | None) -> None:
    if before is None:
        os.unlink(name, dir_fd=parent)
    else:
        _replace(parent, name, before)


def _drop_empty(folder: Path, parents: list[str]) -> None:
    """Remove the folders that nothing is left in: an empty one would keep others from names like its own."""
    while parents:
        *parents, last = parents
        with suppress(OSError, Taken), _inside(folder, parents, make=False) as parent:
            if parent is not None:
                os.rmdir(last, dir_fd=parent)


def _sha(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


@contextmanager
def _inside(folder: Path, parents: list[str], *, make: bool) -> Iterator[int | None]:
    """Give a handle of the folder that holds the document; None when there is none and none is to be made."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parents:
            if make:
                _check_collision(handle, part)
            inner = _step(handle, part, make=make)
            if inner is None:
                yield None
                return
            os.close(handle)
            handle = inner
            with suppress(FileNotFoundError):
                os.stat(DATA_MARK, dir_fd=handle)
                raise Taken(f"{part} is the folder of an index")
        yield handle
    finally:
        os.close(handle)


def _step(handle: int, part: str, *, make: bool) -> int | None:
    """Return a handle of the folder `part`, made, durably, where it is missing and `make` says so."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(part, flags, dir_fd=handle)
    except FileNotFoundError:
        if not make:
            return None
    except NotADirectoryError as error:
        raise Taken(f"{part} is not a folder") from error
    except OSError as error:
        raise (Taken(f"{part} is a symbolic link") if error.errno == errno.ELOOP else error) from error
    with suppress(FileExistsError):  # where somebody else has made it just now
        os.mkdir(part, 0o755, dir_fd=handle)
    os.fsync(handle)
    return os.open(part, flags, dir_fd=handle)


def _check_collision(parent: int, name: str) -> None:
    """Raise BadId where another name in the folder differs in case or composition alone.

    On some file systems the two are one file, and to people they look like one on all.
    """
    wanted = _folded(name)
    for other in os.listdir(parent):
        if other != name and _folded(other) == wanted:
            raise BadId(f"differs from {other!r}, which exists, in case or composition alone")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _read(parent: int, name: str, largest: int | None = None) -> bytes | None:
    """Return the bytes of a file in the folder, None when there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        stands = {errno.ELOOP: "is a symbolic link", errno.ENXIO: "is not a file"}.get(error.errno or 0)
        raise (Taken(f"{name} {stands}") if stands else error) from error
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        os.close(descriptor)
        raise Taken(f"{name} is not a file")
    if largest is not None and about.st_size > largest:
        os.close(descriptor)
        raise Taken(f"{name} is {about.st_size} bytes long, over the limit of {largest}")
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _sync_file(parent: int, name: str) -> None:
    """Make a file durable that somebody else may have written."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.fsync(parent)


def _aside() -> str:
    return f"{ASIDE}{secrets.token_hex(8)}"


def _replace(parent: int, name: str, data: bytes) -> None:
    """Put a file at its place in one step, whole; who may read the one that was there may read it."""
    mode = 0o644
    with suppress(FileNotFoundError):
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & 0o777
    aside = _aside()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o644, dir_fd=parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)  # before there is anything to read
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with suppress(OSError):  # then it is swept
            os.unlink(aside, dir_fd=parent)
        raise


def sweep(folder: Path) -> None:
    """Remove files that were being written aside when a process died."""
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name.startswith(ASIDE) and entry.is_file(follow_symlinks=False):
                    Path(entry.path).unlink()
