"""What `pullquote doctor` looks at of access: the admin key, other keys, and who may reach the port."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from service.findings import Check, Finding, failed, warned, well
from service.keyring import KeyFile, KeysUnreadable
from service.keys import Key, now
from service.settings import FILE, Settings

WEAK_CHARS = 20
"""A key with fewer characters, or with fewer different ones than half of that, may be guessed. 20 of 62
letters and digits have 119 bits."""

MAKE_ONE = "run `pullquote key add --scope admin`, or set PULLQUOTE_ADMIN_KEY"


def keys(settings: Settings) -> Iterator[Finding]:
    """Look whether keys can be read, by their owner alone, and whether those that are needed are there."""
    for path in (Path(FILE), *settings.data.glob("keys*")):
        with suppress(OSError):
            secret = path.name != FILE or b"admin_key" in path.read_bytes()
            if secret and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                yield warned("keys", f"{path} can be read by other users", f"run `chmod 600 {path}`")
    try:
        made = KeyFile(settings.data).read()
    except KeysUnreadable as error:
        yield failed("keys", error.seen, error.remedy)
        return
    at = now()
    valid = [one for one in made if one.state(at) == "valid"]
    if made:
        yield well("keys", f"{len(valid)} of {len(made)} are valid")
    if settings.require_key and not valid and settings.admin_key is None:
        yield warned(
            "keys",
            "PULLQUOTE_REQUIRE_KEY is true, and no key is valid: nobody can ask",
            "run `pullquote key add --scope ask`",
        )
    yield _admin_key(settings, made, sum(one.scope == "admin" for one in valid))


def _admin_key(settings: Settings, made: tuple[Key, ...], valid: int) -> Finding:
    key = settings.admin_key.get_secret_value() if settings.admin_key is not None else None
    if key is not None and (len(key) < WEAK_CHARS or len({*key}) < WEAK_CHARS // 2):
        return warned(
            "admin key",
            f"it has {len(key)} characters, {len({*key})} different ones",
            "set PULLQUOTE_ADMIN_KEY to a random one, such as `openssl rand -base64 33` makes",
        )
    if key is not None:
        return well("admin key", f"{len(key)} characters")
    if valid:
        return well("admin key", f"{valid} that `pullquote key add` has made")
    if any(one.scope == "admin" for one in made):
        return warned("admin key", "all have ended: nobody may make changes, from here neither", MAKE_ONE)
    if not is_loopback(settings.host) and not settings.read_only:
        return warned(
            "admin key",
            f"none, and PULLQUOTE_HOST is {settings.host}: nobody may make changes from elsewhere",
            MAKE_ONE,
        )
    return well("admin key", "none: changes work from this machine only")


def reach(settings: Settings) -> Iterator[Finding]:
    """Look whether the server is open to more than it should be."""
    if not is_loopback(settings.host) and not settings.allowed_hosts:
        who = "whoever has a key" if settings.require_key else "whoever reaches the port"
        yield warned(
            "open to others",
            f"PULLQUOTE_HOST is {settings.host}: {who} may ask, under any host name",
            "set PULLQUOTE_ALLOWED_HOSTS to the names it has, and put a proxy with TLS before it",
        )


def is_loopback(host: str) -> bool:
    """Return whether who listens at `host` is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CHECKS: tuple[Check, ...] = (keys, reach)
