"""Cross-origin requests: closed, but for named origins, and for those of keys where keys ask."""

from __future__ import annotations

import httpx
import pytest
from pydantic import ValidationError

from service import keyring, keys
from service.keyring import KeyFile
from service.permits import TABLE, need_of
from service.settings import Settings
from tests.contract import Checked, opened
from tests.judged import filled
from tests.server import Home, Unwired

pytest_plugins = ("tests.server", "tests.contract")

SHOP, OTHER = "https://shop.example", "https://other.example"
ROUTES = [tuple(one.split(" ", 1)) for one in TABLE]


def preflight(request: Checked, method: str, path: str, origin: str = SHOP) -> httpx.Response:
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "x-api-key,content-type",
    }
    return Unwired(request.app)("OPTIONS", filled(path), headers={"Origin": origin} | asked)


def may(reply: httpx.Response) -> str | None:
    allowed: str | None = reply.headers.get("access-control-allow-origin")
    return allowed


def test_it_is_closed_unless_it_is_opened(shelf: Home) -> None:
    with opened(shelf) as request:
        for method, path in ROUTES:
            reply = preflight(request, method, path)
            assert reply.status_code == 403 and may(reply) is None and "Origin" in reply.headers["vary"]
        reply = request("GET", "/v1/ask?q=x", headers={"Origin": SHOP})
        assert may(reply) is None and "Origin" in reply.headers["vary"]
        assert may(request("GET", "/widget.js", headers={"Origin": SHOP})) == "*", (
            "the file itself is for all"
        )


def test_named_origins_may_what_they_have_a_key_for(shelf: Home) -> None:
    with opened(shelf, allowed_origins=[f"{SHOP}:443/"], admin_key="open sesame") as request:
        for method, path in ROUTES:
            reply = preflight(request, method, path)
            assert (reply.status_code, may(reply)) == (204, SHOP)
            assert method in reply.headers["access-control-allow-methods"].split(", ")
            sent = {one.lower() for one in reply.headers["access-control-allow-headers"].split(", ")}
            assert {"x-api-key", "authorization", "content-type", "if-match"} <= sent
            assert "access-control-allow-credentials" not in reply.headers
            assert preflight(request, method, path, OTHER).status_code == 403
        for origin in ("null", f"{SHOP}.evil.example", "http://shop.example", f"{SHOP}:444", SHOP.upper()):
            assert may(request("GET", "/v1/ask?q=x", headers={"Origin": origin})) is None
        refused = request("POST", "/v1/reindex", headers={"Origin": SHOP}, json={})
        assert refused.status_code == 401 and may(refused) == SHOP, "a page may read why it is refused"


def test_what_a_page_needs_of_a_reply_it_may_read(shelf: Home) -> None:
    needed = {
        "x-request-id",
        "x-index-version",
        "etag",
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
        "location",
    }
    with opened(shelf, allowed_origins=[SHOP], rate_per_minute=1, rate_burst=1) as request:
        for status in (200, 429):
            reply = request("GET", "/v1/ask?q=x", headers={"Origin": SHOP})
            assert reply.status_code == status and may(reply) == SHOP
            assert {
                one.lower() for one in reply.headers["access-control-expose-headers"].split(", ")
            } == needed


def test_any_origin_may_what_goes_without_a_key_and_nothing_else(shelf: Home) -> None:
    with opened(shelf, allowed_origins=["*"]) as request:
        for method, path in ROUTES:
            reply = preflight(request, method, path)
            wanted = "*" if need_of(method, path).is_open else None
            assert may(reply) == wanted, path
        assert may(request("POST", "/v1/reindex", headers={"Origin": SHOP}, json={})) is None
        spoken = Unwired(request.app)("POST", "/mcp", headers={"Origin": SHOP}, json={})
        assert may(spoken) == "*" and spoken.status_code != 403
        assert may(request("GET", "/v1/documents", headers={"Origin": SHOP})) == "*"


def test_the_origins_of_keys_may_ask(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "LOOK_SECONDS", 0)

    def made(**given: object) -> keys.Key:
        key, _ = keys.make("ask", **given)  # type: ignore[arg-type]
        KeyFile(home.data).add(key)
        return key

    with opened(home, require_key=True) as request:
        first = made(origins=(SHOP,))
        made()
        ended = keys.Key("1" * 12, "ask", "", "", origins=(OTHER,), expires_at="2020-01-01T00:00:00Z")
        KeyFile(home.data).add(ended)
        for method, path in ROUTES:
            asks = need_of(method, path).scope == "ask"
            assert may(preflight(request, method, path)) == (SHOP if asks else None), path
            assert may(preflight(request, method, path, "https://third.example")) is None
        # Without the key the page is refused, and may read that it is.
        reply = request("GET", "/v1/ask?q=x", headers={"Origin": SHOP})
        assert reply.status_code == 401 and may(reply) == SHOP
        KeyFile(home.data).revoke(first.id)
        reply = request("GET", "/v1/ask?q=x", headers={"Origin": SHOP})
        assert reply.status_code == 401 and may(reply) == SHOP, "a page whose key has ended may read that"
    with opened(home) as request:
        reply = request("GET", "/v1/ask?q=x", headers={"Origin": SHOP})
        assert reply.status_code == 200 and may(reply) is None, "and nothing else"


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/path", "https://*.example", "null", ""]
)
def test_an_origin_that_is_none_is_an_error_at_start(origin: str, home: Home) -> None:
    with pytest.raises(ValidationError):
        Settings(allowed_origins=[origin])
    if origin:
        done = home.run("serve", allowed_origins=origin)
        assert (
            done.returncode == 2
            and "allowed_origins" in done.stderr
            and "https://www.example.com" in done.stderr
        )
