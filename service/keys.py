"""A key: its form, what it may do, until when, and from which pages."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

Scope = Literal["ask", "read", "admin"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""From the smallest: each may do what those before it may."""

State = Literal["valid", "expired", "revoked"]

ID_BYTES, SECRET_BYTES = 6, 24

PREFIX = "pq_"

FORM = re.compile(r"pq_(?P<scope>ask|read|admin)_(?P<id>[0-9a-f]{12})_(?P<secret>[0-9a-f]{48})")
"""`pq_<scope>_<id>_<secret>`: scanners find one that leaked, and what it may do is read off it."""

SHOWN = re.compile(r"(pq_(?:ask|read|admin)_[0-9a-f]{12}_)[0-9a-z]+", re.IGNORECASE)

ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>\d{1,5}))?"
)
USUAL_PORTS = {"http": "80", "https": "443"}

SPAN = re.compile(r"(\d{1,5})([hdw])")
HOURS = {"h": 1, "d": 24, "w": 168}


class BadKey(ValueError):
    """A key that cannot be made so; the message says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key. The key itself is not."""

    id: str
    scope: Scope
    sha256: str
    """Of the whole key. 192 random bits cannot be found by trying, so nothing slower is needed: that is for
    words that people choose, and would cost every request what it costs the one who guesses."""
    created_at: str
    """ISO 8601 in UTC, to the second, as all times here: their order is that of their texts."""
    name: str = ""
    origins: tuple[str, ...] = ()
    """Web origins that may use it; any, and programs too, where there are none."""
    expires_at: str | None = None
    revoked_at: str | None = None

    def state(self, at: str) -> State:
        """Return whether it can be used at a time."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "valid"

    def allows(self, scope: Scope) -> bool:
        """Return whether its scope is that one or a greater one."""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return written(datetime.now(tz=UTC))


def written(at: datetime) -> str:
    """Return a time as keys have it."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def make(
    scope: Scope, *, name: str = "", origins: tuple[str, ...] = (), expires_at: str | None = None
) -> tuple[Key, str]:
    """Return a new key and its text, which is nowhere else. Raises BadKey."""
    if origins and scope != "ask":
        raise BadKey(
            f"origins are for keys that stand in a page, of scope ask; a key of scope {scope} must not"
        )
    if not name.isprintable() or len(name) > 100:
        raise BadKey("a name is one line of at most 100 characters")
    made_at = now()
    if expires_at is not None and expires_at <= made_at:
        raise BadKey(f"the key would have expired already, at {expires_at}")
    own = secrets.token_hex(ID_BYTES)
    text = f"{PREFIX}{scope}_{own}_{secrets.token_hex(SECRET_BYTES)}"
    return Key(own, scope, digest(text), made_at, name, origins, expires_at), text


def digest(text: str) -> str:
    """Return what is kept of a key: its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def hidden(text: str) -> str:
    """Return text with the secret of every key in it left out; the id stays, so that it can be revoked."""
    return SHOWN.sub(r"\1...", text) if PREFIX in text.lower() else text


def origin_of(text: str) -> str:
    """Return a web origin as browsers send it. Raises BadKey."""
    found = ORIGIN.fullmatch(text.strip().lower().rstrip("/"))
    if found is None or int(found["port"] or 0) > 65535:
        raise BadKey(f"{text!r} is no web origin; write one as https://www.example.com, without a path")
    port = found["port"]
    usual = port is None or port == USUAL_PORTS[found["scheme"]]
    return f"{found['scheme']}://{found['host']}" + ("" if usual else f":{port}")


def expiry_of(text: str, at: datetime) -> str:
    """Return when a key ends that is made at a time: `90d`, `12h`, `2w`, or a date, whose day is its last.

    Raises BadKey.
    """
    if span := SPAN.fullmatch(text.strip()):
        return written(at + timedelta(hours=int(span[1]) * HOURS[span[2]]))
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise BadKey(f"{text!r} is no time; write 90d, 12h, 2w, or a date as 2027-01-31") from error
    if read.tzinfo is None:
        read = read.replace(tzinfo=UTC)
    return written(read + timedelta(days=1) if len(text.strip()) == len("2027-01-31") else read)
