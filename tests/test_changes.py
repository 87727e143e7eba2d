"""Changes of the index as integrators ask for them: who may, and what became of it."""

from __future__ import annotations

from pathlib import Path

from tests.contract import opened
from tests.server import Home

pytest_plugins = ("tests.server", "tests.contract")


def test_without_a_key_changes_work_from_this_machine_alone(shelf: Home) -> None:
    dry = {"json": {"dry_run": True}}
    with opened(shelf) as request:
        for sender in ("127.0.0.1", "127.8.8.8", "::1"):
            assert request("POST", "/v1/reindex", sender=sender, **dry).status_code == 202
        for sender in ("10.0.0.1", "192.168.1.20", "203.0.113.9", "2001:db8::1", "0.0.0.0", "", "unix"):
            assert request("POST", "/v1/reindex", sender=sender, **dry).status_code == 403
            assert request("DELETE", "/v1/jobs/x", sender=sender).status_code == 403
            assert request("GET", "/v1/index", sender=sender).status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            for value in ("127.0.0.1", "203.0.113.9", ""):
                reply = request("POST", "/v1/reindex", headers={header: value}, **dry)
                assert reply.status_code == 403


def test_a_name_that_leads_here_is_not_this_machine(shelf: Home) -> None:
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    with opened(shelf) as request:
        reply = request("POST", "/v1/reindex", headers=headers, json={"dry_run": True})
        assert reply.status_code == 403  # a page's own name made to lead here looks local in all else


def test_a_foreign_page_can_change_nothing(shelf: Home) -> None:
    dry = {"json": {"dry_run": True}}
    foreign = ["http://evil.example", "null", "http://localhost.evil.example", "http://localhost:81", "x"]
    with opened(shelf) as request:
        for origin in foreign:
            headers = {"Origin": origin}
            assert request("POST", "/v1/reindex", headers=headers, **dry).status_code == 403
            # Asking stays open; without CORS headers that page cannot read the answer.
            reply = request("GET", "/v1/ask", params={"q": "x"}, headers=headers)
            assert reply.status_code == 200 and "access-control-allow-origin" not in reply.headers
        assert (
            request("POST", "/v1/reindex", headers={"Origin": "http://localhost"}, **dry).status_code == 202
        )
    with opened(shelf, allowed_origins=["https://shop.example"], admin_key="open sesame") as request:
        allowed = {"Origin": "https://shop.example", "X-API-Key": "open sesame"}
        reply = request("POST", "/v1/reindex", headers=allowed, **dry)
        assert reply.status_code == 202
        assert reply.headers["access-control-allow-origin"] == "https://shop.example"
        reply = request("POST", "/v1/reindex", headers={**allowed, "Origin": "https://evil.example"}, **dry)
        assert reply.status_code == 403 and "access-control-allow-origin" not in reply.headers


def test_with_a_key_changes_need_it_from_anywhere(shelf: Home) -> None:
    dry = {"json": {"dry_run": True}}
    with opened(shelf, admin_key="open sesame ü") as request:
        right = [
            {"Authorization": b"Bearer " + "open sesame ü".encode("latin-1")},
            {"Authorization": b"bearer   " + "open sesame ü".encode("latin-1")},
            {"X-API-Key": "open sesame ü".encode("latin-1")},
        ]
        wrong = [
            {},
            {"X-API-Key": b""},
            {"X-API-Key": b"Open sesame \xfc"},
            {"X-API-Key": b"open sesame \xc3\xbc\xff"},
            {"Authorization": b"Bearer"},
            {"Authorization": b"Basic " + "open sesame ü".encode("latin-1")},
            {"Authorization": b"Bearer zebrafinch"},
        ]
        for sender in ("127.0.0.1", "203.0.113.9"):
            for headers in right:
                assert (
                    request("POST", "/v1/reindex", sender=sender, headers=headers, **dry).status_code == 202
                )
            for headers in wrong:
                reply = request("POST", "/v1/reindex", sender=sender, headers=headers, **dry)
                assert reply.status_code == 401 and reply.headers["www-authenticate"] == "Bearer"
        assert request("POST", "/v1/reindex", content=b"zebrafinch").status_code == 401
        assert request("GET", "/v1/ask", params={"q": "x"}, sender="203.0.113.9").status_code == 200


def test_a_job_says_where_it_is_and_how_it_ended(library: Home, tmp_path: Path) -> None:
    home = library.copy(tmp_path)
    home.write("quagga.md", "# Quagga\n\nThe quagga is an extinct subspecies of zebra.\n")
    with opened(home) as request:
        before = request.get("/v1/index")
        for body, published in (({"dry_run": True}, False), (None, True)):
            reply = request("POST", "/v1/reindex", **({"json": body} if body else {}))
            assert reply.status_code == 202
            address = reply.headers["location"]
            assert address == f"/v1/jobs/{reply.json()['id']}"
            job = request.finished(address)
            assert (job["state"], job["counts"]["added"], job["counts"]["encoded"]) == ("succeeded", 1, 1)
            after = request.get("/v1/index")
            assert (after["version"] == job["index_version"]) is published
            assert (after["version"] != before["version"]) is published
        assert request("DELETE", address).status_code == 409
        assert after["documents"] == 2 and after["state"] == "idle"
