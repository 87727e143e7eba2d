"""The keys that were made: kept in one file of hashes, seen by running servers within half a second.

What cannot be read opens nothing. The file vouches for itself, so that a damaged one is never taken for one
with fewer or other keys; it is replaced as a whole and never by something read from a damaged one.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import structlog

from corpus.durable import write_durably
from service.keys import SCOPES, Key, digest, now
from service.settings import Settings

FILE = "keys.json"
LOCK = "keys.lock"

ONLY_OWNER = 0o600

LOOK_SECONDS = 0.5
"""How often it is looked whether the file has changed: a look takes 2 µs, and a key that is revoked is so
within a second."""

REMEDY = (
    "put back {file} from a backup, or move it away and make new keys with `pullquote key add`; "
    "until then PULLQUOTE_ADMIN_KEY alone opens"
)

log = structlog.get_logger()


class KeysUnreadable(Exception):
    """The file of keys is damaged or cannot be read; the message says what to do."""

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(f"{seen}; {remedy}")
        self.seen = seen
        self.remedy = remedy


class KeyFile:
    """The file of keys in a data folder."""

    def __init__(self, data: Path) -> None:
        """Use the file in `data`; it need not be there."""
        self.path = data / FILE

    def read(self) -> tuple[Key, ...]:
        """Return the keys, the oldest first; none where there is no file. Raises KeysUnreadable."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        try:
            content = json.loads(text)
            if content["sha256"] != _vouched(content["keys"]):
                raise ValueError("its checksum is that of other keys")
            keys = tuple(Key(**one | {"origins": tuple(one["origins"])}) for one in content["keys"])
            if not all(one.scope in SCOPES for one in keys):
                raise ValueError("a key has an unknown scope")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._unreadable(f"it is damaged: {error}") from error
        return keys

    def add(self, key: Key) -> None:
        """Keep a key. Raises KeysUnreadable, and OSError where it cannot be written."""
        with self._alone():
            self._write([*self.read(), key])

    def revoke(self, key_id: str) -> Key | None:
        """Return the key with that id, revoked from now on; None where there is none. Raises as `add`."""
        with self._alone():
            keys = [*self.read()]
            for at, one in enumerate(keys):
                if one.id == key_id:
                    if one.revoked_at is None:
                        keys[at] = replace(one, revoked_at=now())
                        self._write(keys)
                    return keys[at]
        return None

    def _write(self, keys: Sequence[Key]) -> None:
        listed = [asdict(one) for one in keys]
        content = {"keys": listed, "sha256": _vouched(listed)}
        # The owner alone: a hash opens nothing, but which keys there are is nobody's business either.
        write_durably(self.path, json.dumps(content, indent=1).encode() + b"\n", mode=ONLY_OWNER)
        _hand_over(self.path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from changing the file meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path.with_name(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, ONLY_OWNER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _hand_over(self.path.with_name(LOCK))
            yield
        finally:
            os.close(descriptor)

    def _unreadable(self, reason: str) -> KeysUnreadable:
        return KeysUnreadable(
            f"the keys in {self.path} cannot be read ({reason})", REMEDY.format(file=self.path.name)
        )


def _hand_over(path: Path) -> None:
    """Give what root has made to whom the folder belongs: the server, in a container, is another."""
    if os.geteuid() == 0:
        about = path.parent.stat()
        os.chown(path, about.st_uid, about.st_gid)


def _vouched(listed: object) -> str:
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys as they are at a moment."""

    by_id: dict[str, Key] = field(default_factory=dict)
    problem: str | None = None
    """Why they are not known; then there are none here."""
    asking: tuple[Key, ...] = ()
    """Those of scope ask that name origins."""

    @property
    def administers(self) -> bool:
        """Return whether a key of scope admin was ever made: one that ends must not open what it closed."""
        return any(one.scope == "admin" for one in self.by_id.values())

    def find(self, text: str) -> Key | None:
        """Return the key that was given, whatever its state; None where it is none of ours."""
        key = self.by_id.get(text.rsplit("_", 2)[1] if text.count("_") > 1 else "")
        # Where there is none, something is compared all the same: time tells nothing about ids either.
        kept = key.sha256 if key else digest("")
        return key if hmac.compare_digest(digest(text), kept) else None

    def asked_from(self, origin: str) -> Literal["valid", "ended"] | None:
        """Return whether a key of scope ask names this origin, and whether one that does is valid."""
        at = now() if self.asking else ""
        states = [one.state(at) for one in self.asking if origin in one.origins]
        return "valid" if "valid" in states else "ended" if states else None


class Ring:
    """The keys of a data folder, looked at again when their file has changed. For one thread."""

    def __init__(self, data: Path) -> None:
        """Read nothing yet."""
        self._file = KeyFile(data)
        self._keys = Keys()
        self._mark: tuple[int, ...] | None = None
        self._next = 0.0
        self._had = self._seen = False

    def look(self) -> Keys:
        """Return the keys as they were at most LOOK_SECONDS ago."""
        at = time.monotonic()
        if at >= self._next:
            self._next = at + LOOK_SECONDS
            mark = self._marked()
            if mark != self._mark or not self._seen or self._keys.problem is not None:
                self._had = self._had or mark is not None
                self._keys = self._read(mark)
                self._mark, self._seen = mark, True
        return self._keys

    def _marked(self) -> tuple[int, ...] | None:
        """Return what tells a file from the one that replaces it; None where there is none."""
        try:
            about = self._file.path.stat()
        except FileNotFoundError:
            return None
        except OSError:
            return (0,)
        return about.st_ino, about.st_mtime_ns, about.st_ctime_ns, about.st_size

    def _read(self, mark: tuple[int, ...] | None) -> Keys:
        try:
            if mark is None and self._had:
                # There were keys, and nobody takes them away by removing a file: that is a lost disk, mostly.
                gone = f"the keys in {self._file.path} are gone"
                raise KeysUnreadable(gone, f"{REMEDY.format(file=FILE)}, and start the server again")
            keys = self._file.read()
        except KeysUnreadable as error:
            if str(error) != self._keys.problem:
                log.error("keys cannot be read", problem=str(error))
            return Keys(problem=str(error))
        if self._seen:
            log.info("keys read", keys=len(keys))
        asking = tuple(one for one in keys if one.scope == "ask" and one.origins)
        return Keys({one.id: one for one in keys}, asking=asking)


def say_who_may(settings: Settings) -> None:
    """Log at start who may do what, where that is not what somebody might expect."""
    keys = Ring(settings.data).look()
    if keys.problem is None and not keys.administers and settings.admin_key is None:
        log.warning(
            "no admin key is configured: changes are taken from this machine only",
            remedy="`pullquote key add --scope admin`, or PULLQUOTE_ADMIN_KEY",
        )
    if settings.require_key and keys.problem is None and settings.admin_key is None:
        at = now()
        if not any(one.state(at) == "valid" for one in keys.by_id.values()):
            log.warning(
                "a key is required and there is none: nobody can ask",
                remedy="`pullquote key add --scope ask`",
            )
