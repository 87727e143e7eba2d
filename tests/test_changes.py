"""Changes of the index as integrators ask for them: who may, what became of it, and ways back."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.jobs import REMEMBERED, Job, Jobs
from tests.contract import DEVELOPER, Checked, opened
from tests.server import Home, Reply

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


# ---------------------------------------------------------------- jobs across restarts


def without_progress(job: Reply) -> Reply:
    """Return what is kept of a job: how far it was is not."""
    return {name: value for name, value in job.items() if name != "progress"}


def test_a_job_is_known_after_a_restart_as_it_was(home: Home) -> None:
    home.write("quagga.md", "# Quagga\n\nThe quagga is an extinct subspecies of zebra.\n")
    with opened(home) as request:
        addresses = [
            request("POST", "/v1/reindex", json=body).headers["location"] for body in ({"dry_run": True}, {})
        ]
        before = [without_progress(request.finished(one)) for one in addresses]
    assert [one["documents"]["added"] for one in before] == [["quagga.md"]] * 2
    with opened(home) as request:
        assert [without_progress(request.get(one)) for one in addresses] == before
        assert request("DELETE", addresses[0]).status_code == 409


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_that_was_cut_short_has_failed_and_says_why(state: str, home: Home) -> None:
    left, over = Job("changed", only={"a.md"}), Job("full", state="succeeded")
    left.state = "queued" if state == "queued" else "running"
    jobs = Jobs(home.data)
    for job in (left, over):
        jobs.add(job, f"key of {job.mode}")
    jobs.close()
    for _ in range(2):  # and stays so
        with opened(home) as request:
            found = request.get(f"/v1/jobs/{left.id}")
            assert found["state"] == "failed" and found["finished_at"] and not found["counts"]
            assert "stopped before the job was over" in found["problem"]
            assert request.get(f"/v1/jobs/{over.id}")["state"] == "succeeded"
            assert request.get("/v1/index")["state"] == "idle"
            again = request("POST", "/v1/reindex", headers={"Idempotency-Key": "key of changed"})
            assert again.json()["id"] == left.id


def test_the_last_jobs_are_remembered(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    made = [jobs.add(Job("changed", state="succeeded"), f"{number}") for number in range(REMEMBERED + 5)]
    waiting = jobs.add(Job("changed"))
    jobs.close()
    again = Jobs(tmp_path)
    again.open()
    known = [one.id for one in [*made, waiting] if again.get(one.id)]
    assert known == [one.id for one in [*made[6:], waiting]]
    # The key of one that is forgotten is free again.
    assert again.add(Job("full"), "0").mode == "full"
    again.close()


def reindex(request: Checked, key: str, **body: object) -> Reply:
    """Return the job that a reindex with a key came to."""
    reply = request("POST", "/v1/reindex", json=body, headers={"Idempotency-Key": key})
    assert reply.status_code == 202 and reply.headers["location"] == f"/v1/jobs/{reply.json()['id']}"
    job: Reply = reply.json()
    return job


def test_the_same_key_gives_the_same_job(home: Home) -> None:
    with opened(home) as request:
        first = reindex(request, "a")
        assert request.finished(f"/v1/jobs/{first['id']}")["state"] == "succeeded"
        assert reindex(request, "a")["id"] == first["id"]
        other, dry = reindex(request, "b"), reindex(request, "c", dry_run=True)
        assert len({one["id"] for one in (first, other, dry)}) == 3
        for key, body in (("a", {"mode": "full"}), ("a", {"dry_run": True}), ("c", {})):
            reply = request("POST", "/v1/reindex", json=body, headers={"Idempotency-Key": key})
            assert (reply.status_code, reply.json()["type"]) == (409, "urn:pullquote:problem:key-in-use")
        without = request("POST", "/v1/reindex").json()["id"]
        assert without not in {first["id"], dry["id"]}
    with opened(home) as request:
        assert reindex(request, "a") == request.get(f"/v1/jobs/{first['id']}")
        assert reindex(request, "c", dry_run=True)["id"] == dry["id"]


@pytest.mark.parametrize(("key", "status"), [("", 422), ("k" * 256, 422), ("k" * 255, 202), ("é ; \t'", 202)])
def test_a_key_is_any_text_of_some_length(key: str, status: int, shelf: Home) -> None:
    with opened(shelf) as request:
        headers = {"Idempotency-Key": key.encode("latin-1")}
        replies = [request("POST", "/v1/reindex", json={"dry_run": True}, headers=headers) for _ in range(2)]
        assert [one.status_code for one in replies] == [status] * 2
        assert status != 202 or replies[0].json()["id"] == replies[1].json()["id"]


# ---------------------------------------------------------------- ways back


WHAT = "What does the lamp of Brindle harbour burn?"
LAMP = "# Harbour lamp\n\nThe lamp of Brindle harbour burns {oil}.\n"


def put(request: Checked, name: str, text: str) -> str:
    """Put a document, searchable when this returns; return the version that has it."""
    reply = request("PUT", f"/v1/documents/{name}?wait=true", content=text.encode())
    assert reply.is_success and reply.json()["searchable"], reply.text
    return str(reply.json()["index_version"])


def burns(request: Checked, **fields: object) -> str:
    """Return what the lamp burns, as the index has it."""
    return str(request.ask(WHAT, min_confidence=0, **fields)["passages"][0]["text"])


@pytest.fixture
def versions(home: Home) -> tuple[str, str]:
    """Return the versions of two states of the lamp, the older first, the newer in use."""
    with opened(home) as request:
        old, new = (put(request, "lamp.md", LAMP.format(oil=oil)) for oil in ("whale oil", "petroleum"))
        assert request.get("/v1/index")["snapshots"][:2] == [new, old]
    return old, new


def test_a_kept_version_can_be_asked(home: Home, versions: tuple[str, str]) -> None:
    old, new = versions
    with opened(home) as request:
        assert "whale oil" in burns(request, as_of=old)
        assert burns(request) == burns(request, as_of=new) and "petroleum" in burns(request)
        for version, oil in ((old, "whale oil"), (new, "petroleum")):
            posted = request("POST", "/v1/ask", json={"question": WHAT, "as_of": version})
            got = request("GET", "/v1/ask", params={"q": WHAT, "as_of": version})
            found = request("GET", "/v1/search", params={"q": WHAT, "as_of": version})
            for reply in (posted, got, found):
                assert reply.headers["x-index-version"] == reply.json()["index_version"] == version
                assert oil in reply.json()["passages"][0]["text"]
            again = {"If-None-Match": got.headers["etag"]}
            asked = [
                request("GET", "/v1/ask", params={"q": WHAT, "as_of": one}, headers=again).status_code
                for one in (old, new)
            ]
            assert asked == ([304, 200] if version == old else [200, 304])
        assert request.get("/v1/index")["version"] == new


@pytest.mark.parametrize("version", ["0123456789abcdef", "", "../current", "current", "\x00", "%2e%2e"])
def test_a_version_that_is_not_kept_is_not_there(version: str, home: Home, versions: tuple[str, str]) -> None:
    with opened(home) as request:
        before = request.get("/v1/index")
        replies = [
            request("POST", "/v1/ask", json={"question": WHAT, "as_of": version}),
            request("GET", "/v1/ask", params={"q": WHAT, "as_of": version}),
            request("GET", "/v1/search", params={"q": WHAT, "as_of": version}),
            request("POST", "/v1/index/rollback", json={"version": version}),
        ]
        for reply in replies:
            assert (reply.status_code, reply.json()["type"]) == (404, "urn:pullquote:problem:no-such-version")
            assert versions[0] in reply.json()["detail"]
        assert request.get("/v1/index") == before


@pytest.mark.parametrize("body", [{}, {"version": "v" * 65}, {"version": None}, {"version": "v", "x": 1}, []])
def test_a_bad_rollback_is_refused(body: object, shelf: Home) -> None:
    with opened(shelf) as request:
        assert request("POST", "/v1/index/rollback", json=body).status_code == 422


def roll_back(request: Checked, version: str) -> None:
    reply = request("POST", "/v1/index/rollback", json={"version": version})
    assert (reply.status_code, reply.json()["version"], reply.json()["pinned"]) == (200, version, True)
    assert reply.headers["x-index-version"] == version


def test_going_back_lasts_until_the_next_reindex(home: Home, versions: tuple[str, str]) -> None:
    old, new = versions
    with opened(home) as request:
        assert not request.get("/v1/index")["pinned"]
        roll_back(request, old)
        assert "whale oil" in burns(request) and "petroleum" in burns(request, as_of=new)
        # A document that is put builds upon the older state.
        newer = put(request, "quagga.md", "# Quagga\n\nThe quagga is an extinct subspecies of zebra.\n")
        about = request.get("/v1/index")
        assert (about["version"], about["pinned"]) == (newer, True) and newer not in versions
        assert about["snapshots"] == [newer, old, new]
        assert "whale oil" in burns(request)
        assert "zebra" in request.ask("What is the quagga?", min_confidence=0)["passages"][0]["text"]
        assert "petroleum" in request("GET", "/v1/documents/lamp.md/raw").text
    with opened(home) as request:  # also across a restart
        assert request.get("/v1/index")["pinned"] and "whale oil" in burns(request)
        job = request.finished(request("POST", "/v1/reindex").headers["location"])
        assert (job["documents"]["added"], job["documents"]["changed"]) == ([], ["lamp.md"])
        about = request.get("/v1/index")
        assert (about["version"], about["pinned"]) == (job["index_version"], False)
        assert "petroleum" in burns(request)
        assert request.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"


def test_the_document_that_was_gone_back_on_can_be_put_again(home: Home, versions: tuple[str, str]) -> None:
    old, new = versions
    with opened(home) as request:
        roll_back(request, old)
        # On disk nothing changes; in the index it does.
        reply = request(
            "PUT", "/v1/documents/lamp.md?wait=true", content=LAMP.format(oil="petroleum").encode()
        )
        assert (reply.json()["status"], reply.json()["searchable"]) == ("unchanged", True)
        assert reply.json()["index_version"] == new and "petroleum" in burns(request)


def test_a_reindex_that_finds_nothing_to_do_ends_going_back_too(
    home: Home, versions: tuple[str, str]
) -> None:
    with opened(home) as request:
        roll_back(request, versions[1])
        request.finished(request("POST", "/v1/reindex").headers["location"])
        assert not request.get("/v1/index")["pinned"]


def test_a_damaged_version_is_no_way_back(home: Home, versions: tuple[str, str]) -> None:
    old, new = versions
    (home.data / "snapshots" / f"{old}.json").write_bytes(b"{")
    with opened(home) as request:
        reply = request("POST", "/v1/index/rollback", json={"version": old})
        assert (reply.status_code, reply.json()["type"]) == (503, "urn:pullquote:problem:damaged-index")
        assert request("POST", "/v1/ask", json={"question": WHAT, "as_of": old}).status_code == 503
        about = request.get("/v1/index")
        assert (about["version"], about["pinned"]) == (new, False)
        assert "petroleum" in burns(request)
