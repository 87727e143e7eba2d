"""Who may change what: the admin key, or this machine while there is no key."""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from fastapi import Request

from service.problems import Refused
from service.settings import Settings

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


def require_admin(request: Request) -> None:
    """Let the request through, or raise Refused: 401 without the right key, 403 from elsewhere."""
    settings: Settings = request.app.state.settings
    _same_site(request, settings)
    if settings.admin_key is not None:
        given = _key_of(request)
        # Compared as bytes in constant time, so that the answer's time tells nothing about the key.
        if not hmac.compare_digest(given.encode(), settings.admin_key.get_secret_value().encode()):
            raise Refused(
                401,
                "admin-key-needed",
                "changes need the admin key: send it as `Authorization: Bearer …` or `X-API-Key`",
                headers={"WWW-Authenticate": "Bearer"},
            )
    elif not _from_this_machine(request) or not _asked_by_own_name(request, settings):
        raise Refused(
            403,
            "local-only",
            "no admin key is configured, so changes work from the server's own machine only; "
            "set PULLQUOTE_ADMIN_KEY to change that",
        )


def _key_of(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")


def _from_this_machine(request: Request) -> bool:
    """Return whether the sender is this machine itself, and not a proxy on it that speaks for others."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _asked_by_own_name(request: Request, settings: Settings) -> bool:
    """Return whether the Host header is a name of this machine.

    A foreign page can make its own name lead here (DNS rebinding) and would then look local.
    """
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    return host in LOCAL_NAMES or host in [name.lower() for name in settings.allowed_hosts]


def _same_site(request: Request, settings: Settings) -> None:
    """Refuse a change that another site's page sends through somebody's browser."""
    origin = request.headers.get("origin")
    if origin is None or origin in settings.allowed_origins:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Refused(
            403,
            "foreign-origin",
            "this page's origin may not make changes; add it to PULLQUOTE_ALLOWED_ORIGINS if it should",
        )
