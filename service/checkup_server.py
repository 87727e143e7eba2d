"""What `pullquote doctor` looks at of serving: the port, the two folders, what was left over."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from corpus.durable import ASIDE
from index.unfinished import DRAFT
from service import checkup_access
from service.findings import Check, Finding, failed, warned, well
from service.listening import listen
from service.settings import Settings

ASKING_SECONDS = 2.0
"""How long whoever has the port may take to say what it is."""

LEFT_SECONDS = 3600.0
"""A file that is being written and was not touched for so long is nobody's any more."""

COUNTED = 10_000
"""Documents that are tried whether they can be read."""


def port(settings: Settings) -> Iterator[Finding]:
    """Look whether the port is free, and who has it where it is not."""
    where = f"{settings.host}:{settings.port}"
    if settings.port == 0:
        yield well("port", "0: a free one is taken")
        return
    try:
        listen(settings.host, settings.port).close()
    except socket.gaierror:
        return  # there is no such host, which is said already
    except OSError as error:
        said = _asked(settings)
        if said is not None:
            yield well("port", f"{where} is served by {said}")
        else:
            what = error.strerror or str(error)
            yield failed(
                "port",
                what,
                "set PULLQUOTE_PORT (or --port) to a free one, or PULLQUOTE_HOST to an address that is here",
            )
    else:
        yield well("port", f"{where} is free")


def _asked(settings: Settings) -> str | None:
    """Return what serves on the port, where it is Pullquote."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=ASKING_SECONDS)
    with closing(connection), suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
        connection.request("GET", "/version")
        said = json.loads(connection.getresponse().read(10_000))
        if "index_version" in said:
            return f"Pullquote {said['version']}, index {said['index_version'] or 'none yet'}"
    return None


def documents(settings: Settings) -> Iterator[Finding]:
    """Look whether the folder of documents can be read, and written to where changes are to be made."""
    folder = settings.corpus
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "is not there"
        yield failed(
            "folder of documents",
            f"{folder} {what}",
            "make it, or set PULLQUOTE_CORPUS (or --corpus) to the folder of your documents",
        )
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        yield failed(
            "folder of documents",
            f"{folder} cannot be read by user {os.geteuid()}",
            f"run `chmod u+rX {folder}` as its owner, or serve as another user",
        )
        return
    seen, closed = 0, []
    for one, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in (*files, *names):
            path = Path(one, name)
            seen += name in files
            needed = os.R_OK | (os.X_OK if name in names else 0)
            if not name.startswith(".") and not path.is_symlink() and not os.access(path, needed):
                closed.append(path)
        if seen > COUNTED:
            break
    if closed:
        yield warned(
            "folder of documents",
            f"{len(closed)} of {seen} files cannot be read, {closed[0]} among them",
            f"run `chmod -R u+rX {folder}` as their owner",
        )
    elif not settings.read_only and not os.access(folder, os.W_OK):
        yield warned(
            "folder of documents",
            f"{folder} cannot be written: {seen} files can be asked about and none changed over REST",
            "that is as it should be where only files are edited; else make it writable",
        )
    else:
        yield well("folder of documents", f"{folder}, {seen} files")


def data(settings: Settings) -> Iterator[Finding]:
    """Look whether the data folder can be written, whose it is, and who is serving from it."""
    folder = settings.data
    if not folder.exists():
        above = next(one for one in folder.resolve().parents if one.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            yield failed(
                "data folder",
                f"{folder} is not there, and {above} lets nobody make it",
                "set PULLQUOTE_DATA (or --data) to a folder that can be written",
            )
        else:
            yield well("data folder", f"{folder} is made with the first index")
        return
    if not folder.is_dir():
        yield failed("data folder", f"{folder} is not a folder", "set PULLQUOTE_DATA (or --data) to one")
        return
    needed = os.R_OK | os.X_OK | (0 if settings.read_only else os.W_OK)
    if not os.access(folder, needed) or (not settings.read_only and _is_read_only(folder)):
        yield failed(
            "data folder",
            f"{folder} cannot be {'read' if settings.read_only else 'written'} by user {os.geteuid()}",
            "give it to that user (`chown -R`), or set PULLQUOTE_READ_ONLY=true where another server writes",
        )
        return
    about = folder.stat()
    if about.st_mode & stat.S_IWOTH and not about.st_mode & stat.S_ISVTX:
        yield warned("data folder", f"every user can write to {folder}", f"run `chmod o-w {folder}`")
    elif about.st_uid != os.geteuid() and os.geteuid() != 0:
        yield warned(
            "data folder",
            f"{folder} belongs to user {about.st_uid}, this is {os.geteuid()}",
            "run as its owner: what others write, the server may not be able to replace",
        )
    else:
        yield well("data folder", str(folder))
    if not settings.read_only:
        yield from _locks(folder)
    server = _holder(folder / "serving")
    if server is not None:
        yield well("server", f"process {server} serves from {folder}")
    writer = _holder(folder / "lock")
    if writer is not None:
        yield well("writer", f"process {writer} is writing an index")


def _is_read_only(folder: Path) -> bool:
    """Return whether its file system takes nothing, which access rights do not say to root."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _locks(folder: Path) -> Iterator[Finding]:
    """Try whether the folder's file system has locks: without them two servers could write to one index."""
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            yield failed(
                "locks",
                f"files in {folder} cannot be locked ({error.strerror})",
                "set PULLQUOTE_DATA to a folder on a local disk",
            )


def _holder(path: Path) -> int | None:
    """Return the process that holds a lock; None where none does, or the system does not say."""
    try:
        about = path.stat()
        lines = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return None
    own = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    held = (line.split() for line in lines if "->" not in line)
    return next((int(one[4]) for one in held if len(one) > 5 and one[5] == own), None)


def left_over(settings: Settings) -> Iterator[Finding]:
    """Look for what killed processes have left."""
    folders = (settings.data, *(settings.data / one for one in ("snapshots", "segments", "encoders")))
    found = [path for folder in folders for one in (DRAFT, ASIDE) for path in folder.glob(f"{one}*")]
    found += [*settings.corpus.rglob(f"{ASIDE}*")]
    old = [path for path in found if _age(path) > LEFT_SECONDS]
    if old:
        yield warned(
            "left over",
            f"{len(old)} files that nobody goes on with, {old[0]} among them",
            "run `pullquote index`, or start the server: whoever writes next sweeps them",
        )
    unfinished = [*(settings.data / "unfinished").glob("*")]
    if unfinished and _holder(settings.data / "lock") is None:
        yield warned(
            "interrupted build",
            f"{settings.data / 'unfinished'} has what a build has encoded and not published",
            "run `pullquote index`: it goes on where that one was; or remove the folder",
        )
    gone = [
        one
        for one in Path(tempfile.gettempdir()).glob("pullquote-*/tally")
        if _age(one) > LEFT_SECONDS and not _is_open(one)
    ]
    if gone:
        names = " ".join(str(one.parent) for one in gone[:3])
        yield warned(
            "left over", f"{len(gone)} folders of servers that were killed", f"remove them: `rm -r {names}`"
        )


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _is_open(path: Path) -> bool:
    """Return whether a process has the file open or mapped, as far as this one may see."""
    with suppress(OSError):
        wanted = path.stat()
        for entry in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                about = entry.stat()
                if (about.st_dev, about.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    return False


def name(settings: Settings) -> Iterator[Finding]:
    """Look whether the host name can be found, where it is one."""
    try:
        socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        yield failed(
            "host",
            f"{settings.host!r} is no address of this machine ({error})",
            "set PULLQUOTE_HOST to 127.0.0.1, to 0.0.0.0, or to an address that `ip address` shows",
        )


CHECKS: tuple[Check, ...] = (name, port, *checkup_access.CHECKS, documents, data, left_over)
