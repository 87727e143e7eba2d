"""The Host header: exactly one, well formed, and of a name that the server answers to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")

HOST = re.compile(
    r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\.?)(?::(?P<port>\d{0,5}))?"
)


class BadHost(ValueError):
    """A Host header that names nothing, or more than one thing."""


def name_in(headers: Headers) -> str:
    """Return the name in the Host header as names are compared; empty where HTTP/1.0 has sent none.

    Raises BadHost.
    """
    lines = headers.getlist("host")
    if not lines:
        return ""
    if len(lines) > 1:
        raise BadHost("a request has one Host header")
    found = HOST.fullmatch(lines[0])
    if found is None or int(found["port"] or 0) > 65535:
        raise BadHost("the Host header is no host name with or without a port")
    return normal(found["name"])


def normal(name: str) -> str:
    """Return a host name as names are compared: lower case, no final dot, an address in its one form."""
    name = name.lower().removesuffix(".")
    bare = name.strip("[]")
    if name != bare or bare.count(":") > 1:
        try:
            return str(ipaddress.ip_address(bare))
        except ValueError as error:
            raise BadHost("the Host header's address is none") from error
    return name


def allowed_name(text: str) -> str:
    """Return a name that the settings allow, as names are compared. Raises ValueError."""
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    found = HOST.fullmatch(text)
    if found is None or found["port"] is not None:
        raise ValueError(f"{text!r} is no host name; write docs.example.com, without scheme and port")
    return normal(found["name"])


def is_own(name: str, allowed: Collection[str]) -> bool:
    """Return whether a name is one of this machine, or one that the settings allow.

    A foreign page can make its own name lead here (DNS rebinding), and then looks local in all else.
    """
    return name in LOCAL_NAMES or name in allowed
