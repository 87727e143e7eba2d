"""What every request and reply carries: ids, versions, limits; and how its observer learns of it."""

from __future__ import annotations

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.deadlines import LATE
from service.hosts import BadHost, name_in
from service.live import Live
from service.observer import Observer
from service.problems import Refused, told, unexpected
from service.senders import Senders
from service.settings import Settings

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

HEALTH = ("/livez", "/readyz")
"""Asked by the machine itself under whatever name it has, so the host list does not hold for them."""

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""On every reply that does not say otherwise: a browser takes nothing of it for a page."""

BODILESS = ("GET", "HEAD", "OPTIONS")
"""What is sent along with these is not looked at, however it is packed."""


class Cut(HTTPException):
    """A body that is not read to its end; the framework lets it pass where it reads the body."""

    def __init__(self, status: int, slug: str, detail: str) -> None:
        super().__init__(status, detail)
        self.slug = slug


class Envelope:
    """The outermost layer: request id, host and size checks, headers of the reply."""

    def __init__(self, app: ASGIApp, settings: Settings, live: Live, observer: Observer) -> None:
        """Wrap `app`; `observer` is told of every request."""
        self.app = app
        self.observer = observer
        self.settings = settings
        self.live = live
        self._senders = Senders(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        seen = self.observer.begin(scope, headers)
        state = scope["state"] = dict(scope.get("state", {}))
        given = headers.get("x-request-id", "")
        state["request_id"] = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        state["sender"] = sender = self._senders.find(scope, headers)
        scope["scheme"] = sender.scheme
        index = self.live.index
        state["index_version"] = index.snapshot.version if index else ""
        status = 0

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["X-Request-Id"] = state["request_id"]
                out["X-Index-Version"] = state["index_version"]
                out["X-Content-Type-Options"] = "nosniff"
                seen.answer(out)
                for name, value in SAFE.items():
                    out.setdefault(name, value)
            await send(message)

        refusal = state.pop("refusal", None) or self._refuses(headers, scope["method"], scope["path"])
        try:
            if refusal is not None:
                await told(Request(scope), refusal)(scope, receive, reply)
            else:
                with seen.watching():
                    await self.app(scope, self._counted(receive, scope["method"], scope["path"]), reply)
        except Exception as error:
            if status:
                raise  # the reply has begun: all that is left is to break it off
            await unexpected(Request(scope), error)(scope, receive, reply)
        finally:
            seen.end(status)

    def _refuses(self, headers: Headers, method: str, path: str) -> Refused | None:
        if path not in HEALTH:
            try:
                host = name_in(headers)
            except BadHost as error:
                return Refused(400, "bad-host", str(error))
            if self.settings.allowed_hosts and host not in self.settings.allowed_hosts:
                return Refused(
                    400,
                    "unknown-host",
                    "this server does not answer to that host name (PULLQUOTE_ALLOWED_HOSTS)",
                )
        if method not in BODILESS and headers.get("content-encoding", "identity").strip().lower() not in (
            "identity",
            "",
        ):
            # Unpacked, a few bytes could become gigabytes.
            return Refused(
                415,
                "packed-body",
                "bodies are taken as they are, without Content-Encoding",
                headers={"Accept-Encoding": "identity"},
            )
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length) > self._largest(method, path)[0]:
            return Refused(413, "body-too-large", self._too_large(method, path))
        return None

    def _largest(self, method: str, path: str) -> tuple[int, str]:
        """Return how many bytes a body may have, and the setting that says so."""
        if method == "PUT" and path.startswith("/v1/documents/"):
            return self.settings.max_document_bytes, "PULLQUOTE_MAX_DOCUMENT_BYTES"
        return self.settings.max_body_bytes, "PULLQUOTE_MAX_BODY_BYTES"

    def _too_large(self, method: str, path: str) -> str:
        most, setting = self._largest(method, path)
        return f"the body is larger than {most} bytes ({setting})"

    def _counted(self, receive: Receive, method: str, path: str) -> Receive:
        """Return `receive` that stops when more bytes come than allowed, whatever the headers said."""
        seen, (most, _) = 0, self._largest(method, path)

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise Cut(413, "body-too-large", self._too_large(method, path))
            if message.get(LATE):
                raise Cut(408, "body-too-slow", "the rest of the body did not come in time")
            return message

        return counted
