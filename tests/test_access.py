"""Who may do what: every route, by its need, with every kind of key."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service import keyring, keys
from service.keyring import FILE, KeyFile
from service.permits import ADMIN, TABLE, need_of
from tests.contract import OPENAPI, opened
from tests.judged import DESCRIBED, FAR, OWN, ROUTES, SHOP, ask_at, is_refused
from tests.server import Home, Server, unwired, wait_for

pytest_plugins = ("tests.server", "tests.contract")


@pytest.fixture
def keyed(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what makes keys in that home, seen at once."""
    monkeypatch.setattr(keyring, "LOOK_SECONDS", 0)

    def made(scope: keys.Scope, *origins: str, expires_at: str | None = None) -> str:
        key, text = keys.make(scope, origins=origins)
        KeyFile(home.data).add(
            keys.Key(key.id, key.scope, key.sha256, key.created_at, "", origins, expires_at)
        )
        return text

    return made


# ---------------------------------------------------------------- every route


def test_the_table_is_of_routes_that_there_are() -> None:
    served = {f"{'GET' if method == 'HEAD' else method} {path}" for method, path in ROUTES}
    assert {*TABLE} == served, "a route that is not on the table is for administrators; say so on it"
    assert {f"{method} {path}" for method, path in DESCRIBED} <= served
    assert need_of("PATCH", "/v1/ask") == need_of("GET", "/metrics/new") == ADMIN


OPEN = """
GET / · GET /assets/{name} · GET /docs · GET /documents/{document_id}
GET /journal · GET /livez · GET /openapi.json · GET /readyz · GET /static-offline-docs/{path} · GET /version
GET /widget.js · GET /widget.{name}.js · HEAD /openapi.json
GET /v1/ask · POST /v1/ask · GET /v1/search · POST /v1/feedback · POST /v1/verify · POST /mcp
GET /v1/documents · GET /v1/documents/{document_id} · GET /v1/documents/{document_id}/text
GET /v1/documents/{document_id}/raw · GET /v1/index · GET /v1/jobs/{job_id}
POST /v1/chat/completions · POST /v1/responses · POST /v1/embeddings · GET /v1/models
GET /v1/models/{model_id}
"""
"""What goes without a key: written out a second time, so that nobody opens a route by a slip."""

OPEN_ROUTES = {one.strip() for line in OPEN.strip().splitlines() for one in line.split("·")}

WITH_ASK = (
    """GET /v1/ask · POST /v1/ask · GET /v1/search · POST /v1/feedback · GET /v1/documents/{document_id}"""
)
PAGES = {one for one in OPEN_ROUTES if need_of(*one.split(" ", 1)).scope is None}


def test_what_goes_without_a_key_is_what_is_listed(shelf: Home) -> None:
    with unwired(shelf, admin_key=OWN, rate_per_minute=0) as request:
        found = {f"{m} {p}" for m, p in ROUTES if not is_refused(ask_at(request, m, p, sender=FAR))}
        assert found == OPEN_ROUTES
        with_key = {"X-API-Key": OWN}
        assert not [one for one in ROUTES if is_refused(ask_at(request, *one, sender=FAR, headers=with_key))]
    with unwired(shelf, admin_key=OWN, require_key=True) as request:
        found = {f"{m} {p}" for m, p in ROUTES if not is_refused(ask_at(request, m, p))}
        assert found == PAGES | {"GET /metrics"}, (
            "where a key is required, nothing of the documents goes without one"
        )


def test_each_scope_opens_what_is_its_own(home: Home, keyed: Callable[..., str]) -> None:
    ask, read, admin = keyed("ask"), keyed("read"), keyed("admin")
    with unwired(home, require_key=True, rate_per_minute=0, key_rate_per_minute=0) as request:

        def opened_by(key: str) -> set[str]:
            given = {"headers": {"Authorization": f"Bearer {key}"}, "sender": FAR}
            return {f"{m} {p}" for m, p in ROUTES if not is_refused(ask_at(request, m, p, **given))}

        everything = {f"{method} {path}" for method, path in ROUTES}
        journal = {"GET /v1/journal/unanswered", "GET /v1/journal/feedback"}
        assert opened_by(ask) == PAGES | {*WITH_ASK.split(" · ")}
        assert opened_by(read) == OPEN_ROUTES | journal | {"GET /metrics"}
        assert opened_by(admin) == everything


def test_the_description_says_of_each_route_what_it_takes() -> None:
    schemes = OPENAPI["components"]["securitySchemes"]
    assert {one["type"] for one in schemes.values()} == {"http", "apiKey"}
    for method, path in DESCRIBED:
        described, need = OPENAPI["paths"][path][method.lower()], need_of(method, path)
        either: list[dict[str, list[str]]] = [{name: []} for name in ("bearer", "apiKey")]
        assert described["security"] == ([] if need.scope is None else [{}, *either])
        assert described.get("x-scope") == need.scope
        assert ("429" in described["responses"]) is need.is_limited
        assert need.scope is None or {"401", "403"} <= {*described["responses"]}


# ---------------------------------------------------------------- publishable keys


def test_a_key_of_origins_is_theirs_alone(home: Home, keyed: Callable[..., str]) -> None:
    bound, free = keyed("ask", SHOP, "https://b.example"), keyed("ask")
    with opened(home) as request:

        def asked(key: str, *origins: str) -> int:
            headers = [("X-API-Key", key), *(("Origin", one) for one in origins)]
            return request("POST", "/v1/ask", headers=headers, json={"question": "x"}, sender=FAR).status_code

        assert asked(bound, SHOP) == asked(bound, "https://b.example") == 200
        wrong = [
            "http://shop.example",
            "https://shop.example.evil.example",
            "https://shop.example:444",
            "null",
            "",
        ]
        assert {asked(bound, one) for one in wrong} == {403}
        assert asked(bound) == asked(bound, SHOP, "https://b.example") == asked(bound, SHOP, SHOP) == 403
        assert asked(free) == asked(free, "https://anywhere.example") == 200


def test_keys_that_are_none_any_more_are_told_so(home: Home, keyed: Callable[..., str]) -> None:
    revoked, expired, valid = keyed("ask"), keyed("ask", expires_at="2020-01-01T00:00:00Z"), keyed("ask")
    KeyFile(home.data).revoke(revoked.split("_")[2])
    with opened(home) as request:

        def detail(key: str) -> str:
            reply = request("GET", "/v1/ask?q=x", headers={"X-API-Key": key})
            assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer"
            return str(reply.json()["detail"])

        assert "revoked" in detail(revoked) and "expired" in detail(expired)
        unknown = {
            valid[:-1] + ("0" if valid[-1] != "0" else "1"),
            keys.make("ask")[1],
            valid[:30],
            f"{valid}0",
        }
        assert {detail(one) for one in unknown} == {"there is no such key here"}
        assert request("GET", "/v1/ask?q=x", headers={"X-API-Key": valid}).status_code == 200
        # What clients of other APIs send because they must is no key of ours, and asks nothing of us.
        assert request("GET", "/v1/ask?q=x", headers={"Authorization": "Bearer sk-none"}).status_code == 200


# ---------------------------------------------------------------- administrators


def test_with_an_admin_key_made_this_machine_needs_it_too(home: Home, keyed: Callable[..., str]) -> None:
    dry = {"json": {"dry_run": True}}
    with opened(home) as request:
        assert request("POST", "/v1/reindex", **dry).status_code == 202
        keyed("ask"), keyed("read")
        assert request("POST", "/v1/reindex", **dry).status_code == 202
        admin = keyed("admin")
        assert request("POST", "/v1/reindex", **dry).status_code == 401
        headers = {"Authorization": f"Bearer {admin}"}
        assert request("POST", "/v1/reindex", headers=headers, sender=FAR, **dry).status_code == 202
        KeyFile(home.data).revoke(admin.split("_")[2])
        assert request("POST", "/v1/reindex", headers=headers, **dry).status_code == 401
        assert request("POST", "/v1/reindex", **dry).status_code == 401, "what was closed stays so"


def test_damaged_keys_close_what_takes_one(home: Home, keyed: Callable[..., str]) -> None:
    dry = {"json": {"dry_run": True}}
    read = keyed("read")
    path = home.data / FILE
    whole = path.read_bytes()
    for kept in (b"{", whole[:-9], None):
        with opened(home) as request, opened(home, read_only=True, admin_key=OWN) as other:
            if kept is None:
                assert request("GET", "/v1/index", headers={"X-API-Key": read}).status_code == 200
                path.unlink()
            else:
                path.write_bytes(kept)
            for headers in ({}, {"X-API-Key": read}):
                reply = request("POST", "/v1/reindex", headers=headers, **dry)
                assert reply.status_code == 503 and reply.json()["type"].endswith(":keys-unreadable")
                assert "retry-after" in reply.headers
            assert request("GET", "/v1/documents", headers={"X-API-Key": read}).status_code == 503
            assert request("GET", "/v1/ask?q=x").status_code == 200, "who needs no key is served"
            # The key of the settings is known all the same.
            allowed = other("GET", "/v1/documents", headers={"X-API-Key": OWN}, sender=FAR)
            assert allowed.status_code == 200
        path.write_bytes(whole)


# ---------------------------------------------------------------- secrets stay secret


def test_keys_are_in_no_address_no_log_and_no_reply(
    home: Home, keyed: Callable[..., str], start: Callable[..., Server]
) -> None:
    made = {scope: keyed(scope) for scope in keys.SCOPES}
    server = start(home, admin_key=OWN.replace(" ", "-"), workers=2, log_level="debug")
    own = OWN.replace(" ", "-")
    texts = [*made.values(), own]
    told = []
    for text in texts:
        for headers in ({"Authorization": f"Bearer {text}"}, {"X-API-Key": text}, {"X-API-Key": f"{text}0"}):
            for method, path in (
                ("GET", "/v1/index"),
                ("DELETE", "/v1/jobs/1"),
                ("GET", "/v1/ask?q=x"),
                ("PUT", "/v1/x"),
            ):
                told.append(server.client.request(method, path, headers=headers))
        for address in (
            f"/v1/ask?q=x&api_key={text}",
            f"/v1/ask?q=x&key={text}",
            f"/v1/ask?access_token={text}&q=x",
            f"/v1/index?X-Api-Key={text}",
            f"/v1/ask?q={text}",
            f"/v1/documents/{text}",
        ):
            refused = server.client.get(address)
            assert refused.status_code == 400 and refused.json()["type"].endswith(":key-in-address"), address
            assert "in a header" in refused.json()["detail"]
            told.append(refused)
        told.append(server.client.get(f"/v1/documents/{text}"))
        told.append(server.client.get(f"/{text}"))
    for text in made.values():
        refused = server.client.get("/v1/ask", params={"q": f"is {text} a key?"})
        assert refused.status_code == 400, "a key anywhere in the address has been seen by others"
        told.append(refused)
    wait_for(
        lambda: len([one for one in server.messages() if one["event"] == "request"]) >= len(told), "the log"
    )
    server.stop()
    log = server.log.read_text()
    for text in made.values():
        secret = text.rpartition("_")[2]
        assert secret not in log
        assert not [one for one in told if secret in one.text or secret in str(one.headers)]
    assert own not in log
    assert not [one for one in told if own in one.text or own in str(one.headers)]
    assert any(one.get("key") == made["read"].split("_")[2] for one in server.messages()), "its id is told"


def test_comparing_takes_no_short_cut(
    monkeypatch: pytest.MonkeyPatch, home: Home, keyed: Callable[..., str]
) -> None:
    """Whatever is sent as a key, as much is compared: by `hmac.compare_digest`."""
    compared: list[tuple[int, int]] = []
    whole: Callable[[Any, Any], bool] = hmac.compare_digest

    def counted(one: Any, other: Any) -> bool:
        compared.append((len(one), len(other)))
        return whole(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    right = keyed("read")
    with unwired(home) as request:
        for key in (right, right[:-1] + ("0" if right[-1] != "0" else "1"), keys.make("read")[1]):
            request("GET", "/v1/index", headers={"X-API-Key": key})
    assert compared == [(64, 64)] * 3


# ---------------------------------------------------------------- what is said


def test_at_start_it_is_said_who_may_change_things(home: Home, start: Callable[..., Server]) -> None:
    def warnings(server: Server) -> list[str]:
        return [one["event"] for one in server.messages() if one["level"] == "warning"]

    alone = start(home)
    assert warnings(alone) == ["no admin key is configured: changes are taken from this machine only"]
    alone.stop()
    several = start(home, workers=2, require_key="true")
    assert [one.partition(":")[0] for one in warnings(several)] == [
        "no admin key is configured",
        "a key is required and there is none",
    ]
    several.stop()
    made = json.loads(home.run("key", "add", "--scope", "admin", "--json").stdout)
    keyed = start(home, require_key="true", workers=2)
    assert warnings(keyed) == []
    for _ in range(4):  # whichever worker takes it
        with httpx.Client(base_url=keyed.address) as client:
            assert client.get("/v1/documents").status_code == 401
            headers = {"Authorization": f"Bearer {made['key']}"}
            assert client.get("/v1/documents", headers=headers).status_code == 200
    assert home.run("key", "revoke", made["id"]).returncode == 0
    wait_for(lambda: keyed.client.get("/v1/documents", headers=headers).status_code == 401, "the key to end")
