"""Cross-origin requests (CORS): closed, but for the origins that settings and keys name, and their routes."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.keyring import Ring
from service.permits import Routes
from service.problems import Refused, told
from service.settings import Settings

ANY = "*"

METHODS = "GET, POST, PUT, DELETE"

EXPOSED = ", ".join(
    ("X-Request-Id", "X-Index-Version", "ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy")
)
"""Fields of a reply that a page may read, beside those that it always may."""

MAX_AGE_SECONDS = 600
"""How long a browser need not ask again. A key is looked at with every request, however long that is."""


KEY_REFUSED = (401, 403)


class Cors:
    """Says to browsers which pages may read what comes back."""

    def __init__(
        self, app: ASGIApp, settings: Settings, routes: Routes, ring: Ring, fields: Sequence[str]
    ) -> None:
        """Wrap `app`; requests may carry `fields`, beside those that they always may."""
        self.app = app
        self._named = frozenset(settings.allowed_origins)
        self._routes = routes
        self._ring = ring
        self._fields = ", ".join(fields)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin, wanted = headers.get("origin"), headers.get("access-control-request-method")
        if origin is not None and wanted is not None and scope["method"] == "OPTIONS":
            await self._preflight(scope, origin, wanted)(scope, receive, send)
            return
        allowed, told_why = (None, None) if origin is None else self._allowed(scope, origin)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = MutableHeaders(scope=message)
                fields.add_vary_header("Origin")
                named = allowed or (told_why if message["status"] in KEY_REFUSED else None)
                # The widget's file is for all pages, and says so itself.
                if named is not None and "access-control-allow-origin" not in fields:
                    fields["Access-Control-Allow-Origin"] = named
                    fields["Access-Control-Expose-Headers"] = EXPOSED
            await send(message)

        await self.app(scope, receive, sending)

    def _allowed(self, scope: Scope, origin: str, method: str | None = None) -> tuple[str | None, str | None]:
        """Return the value of Access-Control-Allow-Origin, and that of a reply that refuses a key.

        None where that page may not. One whose key has ended may read that, and nothing else.
        """
        if origin in self._named:
            return origin, origin
        served = self._routes.find(scope, method)
        if served is None:
            return None, None
        if ANY in self._named and served.need.is_open:
            return ANY, ANY
        state = self._ring.look().asked_from(origin) if served.need.scope == "ask" else None
        return origin if state == "valid" else None, origin if state else None

    def _preflight(self, scope: Scope, origin: str, method: str) -> Response:
        vary = {"Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
        _, allowed = self._allowed(scope, origin, method)
        if allowed is None:
            refusal = Refused(
                403,
                "origin-not-allowed",
                "pages of this origin may not do this; PULLQUOTE_ALLOWED_ORIGINS, or a key of scope ask made "
                "with `--origin`, lets them",
                headers=vary,
            )
            return told(Request(scope), refusal)
        return Response(
            status_code=204,
            headers=vary
            | {
                "Access-Control-Allow-Origin": allowed,
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": self._fields,
                "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
            },
        )
