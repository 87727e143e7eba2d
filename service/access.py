"""Who may do what: every request is judged here, by service.permits, before anything of its body is read."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import keys
from service.admission import QUESTIONS, Admission
from service.hosts import is_own, name_in
from service.keyring import Keys, Ring
from service.keys import Key
from service.limits import Buckets, Policy
from service.metrics import Metrics
from service.permits import Need, Routes, Served
from service.problems import Refused, told
from service.senders import Sender, block_of
from service.settings import Settings

NAMED_KEY = re.compile(
    rb"(?:^|[&;])(?:x-)?(?:api[_-]?)?key=[^&;]|(?:^|[&;])access_token=[^&;]", re.IGNORECASE
)
"""How keys are called that are put into addresses, where logs and browsers keep them."""

PER_MINUTE = 60
"""Questions from one address, where the settings do not say: more than anybody reads answers to."""

KEY_PER_MINUTE = 600
"""Questions with one key, where the settings do not say: a page with ten such readers at a time."""

CHALLENGE = {"WWW-Authenticate": "Bearer"}

ADMIN_ID = "admin"
"""In the log, and as the name of its bucket, for the key that the settings give."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key that was sent opens."""

    id: str
    scope: keys.Scope


class Access:
    """Lets a request through to the application, or says why not."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        routes: Routes,
        ring: Ring,
        buckets: Buckets,
        gate: Admission,
        metrics: Metrics,
    ) -> None:
        """Wrap `app`, whose routes these are and whose questions go through `gate`."""
        self.app = app
        self.settings = settings
        self._routes = routes
        self._ring = ring
        self._buckets = buckets
        self._gate = gate
        self._metrics = metrics
        own = settings.admin_key
        self._own = "" if own is None else own.get_secret_value()
        self._admin_key = self._own.encode() or None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_address(scope)
            served = self._routes.find(scope)
            fields = {} if served is None else self._enter(scope, headers, served)
            if served is not None and served.path in QUESTIONS and self._gate.is_full:
                raise self._gate.refuse()
        except Refused as error:
            shown = scope if not self._own else {**scope, "path": scope["path"].replace(self._own, "...")}
            await told(Request(shown), error)(scope, receive, send)
            return
        scope["state"]["entered"] = served and served.path
        await self.app(scope, receive, _with(fields, send) if fields else send)

    def _check_address(self, scope: Scope) -> None:
        """Raise Refused 400 for a key in the address."""
        query, path = scope.get("query_string", b""), scope["path"]
        if query and (NAMED_KEY.search(query) or self._is_key_in(query)):
            where = "the query"
        elif (keys.PREFIX in path and keys.SHOWN.search(path)) or (
            self._own and self._own in path.split("/")
        ):
            where = "the path"
        else:
            return
        raise Refused(
            400,
            "key-in-address",
            f"there is a key in {where}, where logs and browsers keep it: send it in a header, as "
            "`Authorization: Bearer ...` or `X-API-Key`, and revoke one that was sent so "
            "(`pullquote key revoke`)",
        )

    def _is_key_in(self, query: bytes) -> bool:
        text = unquote_plus(query.decode("latin-1"))
        if keys.SHOWN.search(text):
            return True
        return bool(self._own) and any(self._own == one.partition("=")[2] for one in text.split("&"))

    def _enter(self, scope: Scope, headers: Headers, served: Served) -> dict[str, str]:
        """Return the fields that tell of limits. Raises Refused."""
        need, sender = served.need, scope["state"]["sender"]
        if need.scope is None:
            return {}
        if not need.is_open:
            self._check_site(headers)
        known = self._ring.look()
        grant = self._grant(headers, known)
        if grant is None:
            self._check_keyless(need, known, sender, headers)
        else:
            scope["state"]["key"] = grant.id
            if keys.SCOPES.index(grant.scope) < keys.SCOPES.index(need.scope):
                raise Refused(
                    403,
                    "scope-too-small",
                    f"this key is of scope {grant.scope}, and this takes one of scope {need.scope}",
                )
        return self._take(grant, sender) if need.is_limited else {}

    def _grant(self, headers: Headers, known: Keys) -> Grant | None:
        """Return what the key that was sent opens; None where none of ours was sent. Raises Refused."""
        given = _key_in(headers)
        # Compared as bytes in constant time, so that the answer's time tells nothing about the key.
        if self._admin_key is not None and hmac.compare_digest(given.encode(), self._admin_key):
            return Grant(ADMIN_ID, "admin")
        if not given.startswith(keys.PREFIX):
            return None
        if known.problem is not None:
            raise _closed()
        key = known.find(given) if keys.FORM.fullmatch(given) else None
        if key is None:
            raise Refused(401, "key-not-valid", "there is no such key here", headers=CHALLENGE)
        state = key.state(keys.now())
        if state != "valid":
            raise Refused(
                401, "key-not-valid", f"the key {key.id} is {state}; ask for a new one", headers=CHALLENGE
            )
        _check_origin(key, headers)
        return Grant(key.id, key.scope)

    def _check_keyless(self, need: Need, known: Keys, sender: Sender, headers: Headers) -> None:
        """Raise Refused where this takes a key."""
        if need.is_open and not self.settings.require_key:
            return
        if need.is_open:
            raise Refused(
                401,
                "key-needed",
                f"this server takes a key of scope {need.scope}: send it as `Authorization: Bearer ...` or "
                "`X-API-Key`",
                headers=CHALLENGE,
            )
        is_near = sender.is_local and is_own(name_in(headers), self.settings.allowed_hosts)
        if need.is_watching:
            self._check_watcher(is_near=is_near)
            return
        if self._admin_key is None and known.problem is not None:
            raise _closed()
        if self._admin_key is not None or known.administers:
            raise Refused(
                401,
                "admin-key-needed",
                f"this takes a key of scope {need.scope}: send it as `Authorization: Bearer ...` or "
                "`X-API-Key`",
                headers=CHALLENGE,
            )
        if not is_near:
            raise Refused(
                403,
                "local-only",
                "no admin key is configured, so changes work from the server's own machine only; make one "
                "with `pullquote key add --scope admin`, or set PULLQUOTE_ADMIN_KEY",
            )
        if _key_in(headers):
            raise Refused(401, "key-not-valid", "there is no such key here", headers=CHALLENGE)

    def _check_watcher(self, *, is_near: bool) -> None:
        """Raise Refused 401 for who may not see what is counted without a key."""
        if not is_near and not self.settings.metrics_public:
            raise Refused(
                401,
                "metrics-not-public",
                "metrics are for the server's own machine, and for keys of scope read; set "
                "PULLQUOTE_METRICS_PUBLIC=true where everybody may read them",
                headers=CHALLENGE,
            )

    def _check_site(self, headers: Headers) -> None:
        """Raise Refused for a change that another site's page sends through somebody's browser."""
        origin = headers.get("origin")
        if origin is None or origin in self.settings.allowed_origins:
            return
        try:
            at_home = urlsplit(origin).netloc == headers.get("host")
        except ValueError:  # an address that is none
            at_home = False
        if not at_home:
            raise Refused(
                403,
                "foreign-origin",
                "this page's origin may not make changes; add it to PULLQUOTE_ALLOWED_ORIGINS if it should",
            )

    def _take(self, grant: Grant | None, sender: Sender) -> dict[str, str]:
        """Return the fields that tell how many may still pass. Raises Refused 429."""
        settings = self.settings
        wanted = []
        # Programs that ask for many people have one address, and a key that stands in no page.
        if grant is None or grant.scope == "ask":
            per_minute = _rate(settings.rate_per_minute, PER_MINUTE, sender)
            wanted.append((block_of(sender.address), Policy("address", per_minute, settings.rate_burst)))
        if grant is not None:
            per_minute = _rate(settings.key_rate_per_minute, KEY_PER_MINUTE, sender)
            wanted.append((grant.id, Policy("key", per_minute, settings.key_rate_burst)))
        wanted = [(f"{policy.name} {bucket}", policy) for bucket, policy in wanted if policy.per_minute]
        if not wanted:
            return {}
        taken = self._buckets.take(wanted)
        if taken.passes:
            return taken.headers()
        broken = next(one for one in taken.policies if one.name == taken.broken)
        self._metrics.limited(broken.name)
        raise Refused(
            429,
            "quota-exceeded",
            f"one {broken.name} may ask {broken.burst} times at once and {broken.per_minute} times a minute "
            f"from then on; try again in {taken.wait} s",
            headers={"Retry-After": str(taken.wait)} | taken.headers(),
        )


def _rate(given: int | None, usual: int, sender: Sender) -> int:
    """Return how many a minute may pass, 0 for any number; what is set holds for this machine too."""
    return (0 if sender.is_local else usual) if given is None else given


async def sealed(request: Request) -> None:
    """Raise Refused 403 unless it is this route that the request was judged by: nothing goes past."""
    if request.scope["state"].get("entered") != request.scope["route"].path_format:
        raise Refused(403, "not-judged", "this address is read in two ways; write it without tricks")


def _key_in(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _closed() -> Refused:
    return Refused(
        503,
        "keys-unreadable",
        "which keys there are is not known, so nothing that takes one works; the log says why and what to do",
        headers={"Retry-After": "5"},
    )


def _check_origin(key: Key, headers: Headers) -> None:
    """Raise Refused 403 for a key that is used elsewhere than in the pages it is for."""
    if key.origins and headers.getlist("origin") not in [[one] for one in key.origins]:
        raise Refused(
            403,
            "origin-not-allowed",
            f"the key {key.id} is for pages of certain origins, and this request is from none of them",
        )


def _with(fields: dict[str, str], send: Send) -> Send:
    """Return `send` that puts these fields into the reply's head."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(fields)
        await send(message)

    return sending
