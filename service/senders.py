"""Who sends a request: the other end of the connection, or whom a trusted proxy says it speaks for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Scope

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip")
"""Their being there says that somebody speaks for another, whether that is believed or not."""

FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^;,\s]*)', re.IGNORECASE)
QUOTED_OR_NOT = re.compile(r'(?:"[^"]*"|[^",])+')

LONGEST_CHAIN = 32
"""Proxies that are looked through; there are never so many, and a header can be long."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a request."""

    address: str
    is_local: bool
    """Whether it is this machine, and nobody that something on it speaks for."""
    scheme: str


class Senders:
    """Finds out who sends, by the networks whose proxies are trusted."""

    def __init__(self, trusted: Sequence[str]) -> None:
        """Trust proxies in these networks (`10.0.0.0/8`) and at these addresses."""
        self._trusted = tuple(ipaddress.ip_network(one) for one in trusted)

    def find(self, scope: Scope, headers: Headers) -> Sender:
        """Return who sends a request.

        Of the addresses that a trusted proxy names, the first from the right that is no trusted proxy: what
        stands left of it, anybody can have written.
        """
        client, scheme = scope.get("client"), scope.get("scheme", "http")
        address = client[0] if client else ""
        peer = parsed(address)
        speaks = any(name in headers for name in FORWARDED)
        if peer is None or not self._trusts(peer):
            return Sender(address, peer is not None and peer.is_loopback and not speaks, scheme)
        found, named = peer, False
        for hop in _named(headers):
            named, at = True, parsed(hop)
            if at is None:
                return Sender(str(found), False, scheme)  # somebody unknown, behind whom is known
            found = at
            if not self._trusts(at):
                break
        sent = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        # A proxy that does not say for whom it speaks does not speak for this machine.
        return Sender(str(found), named and found.is_loopback, sent if sent in ("http", "https") else scheme)

    def _trusts(self, address: Address) -> bool:
        return any(address.version == one.version and address in one for one in self._trusted)


def _named(headers: Headers) -> Iterator[str]:
    """Yield the addresses that proxies have noted, the last first."""
    lines = headers.getlist("x-forwarded-for")
    if lines:
        yield from reversed(",".join(lines).split(",")[-LONGEST_CHAIN:])
        return
    elements = QUOTED_OR_NOT.findall(",".join(headers.getlist("forwarded")))
    for element in reversed(elements[-LONGEST_CHAIN:]):
        found = FOR.search(element)
        yield found[1].strip('"') if found else ""


def parsed(text: str) -> Address | None:
    """Return an address, with a port or not; None for anything else. IPv4 in IPv6 is IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(text: str) -> str:
    """Return a network as it is written. Raises ValueError."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no address or network; write 127.0.0.1 or 10.0.0.0/8 ({error})"
        ) from error


def block_of(address: str) -> str:
    """Return what counts as one sender: an address, or of IPv6 the network of one connection, a /64."""
    found = parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False).network_address) + "/64"
    return str(found) if found else address
