"""Documents changed over REST: put, removed, read as they are; preconditions, refusals, full disks."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import httpx
import pytest

from tests.contract import DEVELOPER, Checked, opened
from tests.edited import LAMP, NEW, OLD, WHAT, at, is_answered, put, tag_of
from tests.laws.stopping import failing_at
from tests.laws.test_editing import tree
from tests.server import ARTICLE, PATIENCE_SECONDS, Home, Reply, wait_for

pytest_plugins = ("tests.server", "tests.contract")


@pytest.fixture(scope="module")
def room(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home that these tests change, each under names of its own."""
    return library.copy(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def request_(room: Home) -> Iterator[Checked]:
    """Return the application over that home."""
    with opened(room) as checked:
        yield checked


# ---------------------------------------------------------------- putting and removing


def test_a_document_is_created_replaced_or_unchanged(request_: Checked, room: Home) -> None:
    for content, status, code in ((OLD, "created", 201), (NEW, "replaced", 200), (NEW, "unchanged", 200)):
        reply = put(request_, "states/a.md", content, more="?wait=true")
        sha = hashlib.sha256(content).hexdigest()
        assert (reply.status_code, reply.json()["status"], reply.json()["sha256"]) == (code, status, sha)
        assert reply.headers["etag"] == f'"{sha}"'
        assert (room.corpus / "states/a.md").read_bytes() == content
        assert reply.json()["id"] == "states/a.md" and reply.json()["searchable"]
        assert (reply.json()["job"] is None) is (status == "unchanged")
        about = request_("GET", at("states/a.md"))
        assert (about.json()["sha256"], about.headers["etag"]) == (sha, f'"{sha}"')


def test_what_was_waited_for_is_searchable(request_: Checked) -> None:
    for oil in ("whale oil", "petroleum"):
        reply = put(request_, "lamp.md", LAMP.format(oil=oil), more="?wait=true")
        assert reply.json()["searchable"] and reply.json()["problem"] is None
        assert is_answered(request_, WHAT, oil)
        version = request_.get("/v1/index")["version"]
        assert reply.json()["index_version"] == reply.headers["x-index-version"] == version


def test_without_waiting_the_job_says_when_it_is_searchable(request_: Checked) -> None:
    reply = put(request_, "later.md", LAMP.format(oil="tallow").replace("Brindle", "Quorn"))
    job = request_.finished(f"/v1/jobs/{reply.json()['job']}")
    assert job["state"] == "succeeded" and "later.md" in job["documents"]["added"]
    assert is_answered(request_, WHAT.replace("Brindle", "Quorn"), "tallow")


def test_many_changes_at_once_are_all_taken_up(request_: Checked) -> None:
    names = [f"many/{number}.md" for number in range(12)]
    jobs = {put(request_, name, f"# {name}\n\nNumber {name}.\n").json()["job"] for name in names}
    assert {request_.finished(f"/v1/jobs/{job}")["state"] for job in jobs} == {"succeeded"}
    listed = {one["id"] for one in request_.get("/v1/documents", limit=1000)["documents"]}
    assert listed >= {*names}


def test_a_removed_document_is_gone_with_its_folders_and_answers(request_: Checked, room: Home) -> None:
    words = LAMP.format(oil="kelp gas").replace("Brindle", "Tarn")
    assert put(request_, "gone/far/lamp.md", words, more="?wait=true").status_code == 201
    assert is_answered(request_, WHAT.replace("Brindle", "Tarn"), "kelp gas")
    reply = request_("DELETE", at("gone/far/lamp.md", "?wait=true"))
    assert (reply.status_code, reply.json()["status"], reply.json()["sha256"]) == (200, "removed", None)
    assert reply.json()["searchable"] and "etag" not in reply.headers
    assert not (room.corpus / "gone").exists()
    assert "kelp gas" not in str(request_.ask(WHAT.replace("Brindle", "Tarn"), min_confidence=0))
    for method, more in (("DELETE", ""), ("DELETE", "?wait=true"), ("GET", ""), ("GET", "/raw")):
        assert request_(method, at("gone/far/lamp.md", more)).status_code == 404


def test_a_document_that_cannot_be_read_is_kept_and_says_why(request_: Checked) -> None:
    reply = put(request_, "latin.md", b"# Caf\xe9\n", more="?wait=true")
    assert reply.status_code == 201 and not reply.json()["searchable"]
    assert "not UTF-8" in reply.json()["problem"]
    assert request_("GET", at("latin.md", "/raw")).content == b"# Caf\xe9\n"
    assert request_.get(at("latin.md"))["problem"] == reply.json()["problem"]
    reply = put(request_, "latin.md", "# Café\n\nOpen.\n", more="?wait=true")
    assert (reply.status_code, reply.json()["searchable"], reply.json()["problem"]) == (200, True, None)
    put(request_, "latin.md", b"\xff", more="?wait=true")
    reply = request_("DELETE", at("latin.md", "?wait=true"))
    assert reply.json()["searchable"] and reply.json()["problem"] is None
    assert "latin.md" not in {one["id"] for one in request_.get("/v1/index")["skipped"]}


@pytest.mark.parametrize(
    "name", ["ü/🚀 a%2f&b?c#d;e=f.md", "a b/c+d.txt", "u\u0308.md", "raw/text.md", "\ufffd.md"]
)
def test_an_id_is_data_whatever_it_is(name: str, request_: Checked, room: Home) -> None:
    before = tree(room.corpus)
    content = b"# Odd\n\nNothing.\n"
    assert put(request_, name, content, more="?wait=true").json()["id"] == name
    assert {**tree(room.corpus)}[name] == content
    assert request_("GET", at(name, "/raw")).content == request_("GET", at(name, "/text")).content == content
    assert request_.get(at(name))["id"] == name
    assert request_("DELETE", at(name)).status_code == 200
    assert tree(room.corpus) == before


# ---------------------------------------------------------------- preconditions


RIGHT, WRONG = tag_of(OLD), tag_of(b"other")
CONDITIONS: list[tuple[str, list[str], bool, bool]] = [
    # header, its lines, whether it is met by a document, whether it is met where there is none
    ("If-Match", [RIGHT], True, False),
    ("If-Match", [WRONG], False, False),
    ("If-Match", ["*"], True, False),
    ("If-Match", [f"W/{RIGHT}"], False, False),
    ("If-Match", [f"{WRONG}, {RIGHT}"], True, False),
    ("If-Match", [f'{WRONG},W/{RIGHT} , "x,y"'], False, False),
    ("If-Match", [WRONG, RIGHT], True, False),
    ("If-Match", [RIGHT.strip('"')], False, False),
    ("If-Match", [RIGHT.upper()], False, False),
    ("If-Match", [""], False, False),
    ("If-None-Match", ["*"], False, True),
    ("If-None-Match", [RIGHT], False, True),
    ("If-None-Match", [WRONG], True, True),
    ("If-None-Match", [f"W/{RIGHT}"], False, True),
    ("If-None-Match", [f"{WRONG}, {RIGHT}"], False, True),
    ("If-None-Match", [WRONG, RIGHT], False, True),
]


@pytest.mark.parametrize(("header", "lines", "met", "met_by_none"), CONDITIONS)
def test_a_change_is_made_in_the_state_it_is_meant_for_alone(
    header: str, lines: list[str], met: bool, met_by_none: bool, request_: Checked, room: Home
) -> None:
    headers = [(header, line) for line in lines]
    path = room.write("conditions/a.md", OLD)
    before = tree(room.corpus)
    for method, content in (("PUT", NEW), ("DELETE", None)):
        path.write_bytes(OLD)
        reply = request_(method, at("conditions/a.md"), content=content, headers=headers)
        assert reply.status_code == (200 if met else 412)
        assert met or tree(room.corpus) == before
        path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.parent.rmdir()
    before = tree(room.corpus)
    reply = request_("DELETE", at("conditions/a.md"), headers=headers)
    assert reply.status_code == (404 if met_by_none else 412)
    reply = request_("PUT", at("conditions/a.md"), content=NEW, headers=headers)
    assert reply.status_code == (201 if met_by_none else 412)
    assert met_by_none or tree(room.corpus) == before


def test_the_tag_of_a_reply_is_the_condition_of_the_next_change(request_: Checked) -> None:
    tag = put(request_, "chain.md", OLD, headers={"If-None-Match": "*"}).headers["etag"]
    for content in (NEW, OLD, OLD):
        stale = {"If-Match": tag}
        tag = put(request_, "chain.md", content, headers=stale).headers["etag"]
        assert request_("GET", at("chain.md", "/raw")).headers["etag"] == tag == tag_of(content)
    assert put(request_, "chain.md", NEW, headers={"If-Match": tag_of(NEW)}).status_code == 412
    assert request_("DELETE", at("chain.md"), headers={"If-Match": tag}).status_code == 200


def together(count: int, work: Callable[[int], httpx.Response]) -> list[int]:
    """Return the statuses of requests that were sent at once, in order."""
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: found.append(work(number).status_code))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def test_of_two_changes_to_one_state_one_is_made(request_: Checked, room: Home) -> None:
    new = {"If-None-Match": "*"}
    assert together(6, lambda number: put(request_, "race.md", f"{number}", headers=new)) == [201] + 5 * [412]
    held = {"If-Match": tag_of((room.corpus / "race.md").read_bytes())}
    assert together(6, lambda number: put(request_, "race.md", f"+{number}", headers=held)) == [200] + 5 * [
        412
    ]


def test_a_server_may_want_every_change_to_have_a_condition(home: Home) -> None:
    with opened(home, require_if_match=True) as request:
        before = tree(home.corpus)
        for method in ("PUT", "DELETE"):
            reply = request(method, at(ARTICLE.name), content=NEW if method == "PUT" else None)
            assert (reply.status_code, reply.json()["type"]) == (
                428,
                "urn:pullquote:problem:precondition-required",
            )
        assert tree(home.corpus) == before
        assert put(request, "a.md", OLD, headers={"If-None-Match": "*"}).status_code == 201
        assert put(request, "a.md", NEW, headers={"If-Match": RIGHT}).status_code == 200
        assert request("DELETE", at("a.md"), headers={"If-Match": "*"}).status_code == 200


# ---------------------------------------------------------------- who may


CHANGES = [("PUT", at("who.md")), ("DELETE", at(ARTICLE.name)), ("POST", "/v1/index/rollback")]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_changes_are_for_those_who_may_reindex(method: str, path: str, home: Home) -> None:
    before = tree(home.corpus)

    def ask(request: Checked, *, sender: str = "127.0.0.1", **headers: str) -> int:
        # Were the body read before anybody is let in, this one would be refused as wrong.
        return request(method, path, sender=sender, headers=headers, content=b"{").status_code

    with opened(home) as request:
        assert ask(request, sender="203.0.113.9") == 403
        assert ask(request, Origin="https://evil.example") == 403
        assert ask(request, Host="evil.example") == 403
        assert ask(request, **{"X-Forwarded-For": "127.0.0.1"}) == 403
    with opened(home, admin_key="open sesame") as request:
        assert ask(request) == ask(request, **{"X-API-Key": "close sesame"}) == 401
        assert tree(home.corpus) == before
        right = {"X-API-Key": "open sesame"}
        assert ask(request, sender="203.0.113.9", **right) in (200, 201, 422)
        assert request("GET", at(ARTICLE.name, "/raw"), sender="203.0.113.9").status_code in (200, 404)


def test_a_server_that_only_reads_changes_nothing(home: Home) -> None:
    with opened(home, read_only=True) as request:
        before, version = tree(home.folder), home.snapshots()[0]
        for method, path in [*CHANGES, ("POST", "/v1/reindex")]:
            body = {"version": version} if "rollback" in path else None
            reply = request(method, path, json=body)
            assert (reply.status_code, reply.json()["type"]) == (403, "urn:pullquote:problem:read-only")
        assert tree(home.folder) == before
        assert request("GET", at(ARTICLE.name, "/raw")).content == ARTICLE.read_bytes()
        assert request.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"


# ---------------------------------------------------------------- the file as it is


def test_the_file_is_returned_to_the_byte_and_harmless(request_: Checked) -> None:
    page = b"\xef\xbb\xbf<script>alert(1)</script>\r\n"
    for name, media in (("raw.html", "text/html"), ("raw.md", "text/markdown"), ("raw.txt", "text/plain")):
        put(request_, name, page)
        reply = request_("GET", at(name, "/raw"))
        assert reply.content == page and reply.headers["content-type"].partition(";")[0] == media
        assert reply.headers["content-disposition"] == "attachment"
        assert reply.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert reply.headers["etag"] == tag_of(page) and reply.headers["cache-control"] == "no-cache"
        for header in (tag_of(page), f"W/{tag_of(page)}", f'"x", {tag_of(page)}', "*"):
            again = request_("GET", at(name, "/raw"), headers={"If-None-Match": header})
            assert (again.status_code, again.content) == (304, b"")
        other = request_("GET", at(name, "/raw"), headers={"If-None-Match": WRONG})
        assert other.status_code == 200


def test_the_file_may_be_empty_or_ahead_of_the_index(request_: Checked, room: Home) -> None:
    put(request_, "ahead.md", b"", more="?wait=true")
    assert request_("GET", at("ahead.md", "/raw")).content == b""
    room.write("ahead.md", NEW)
    assert request_("GET", at("ahead.md", "/raw")).content == NEW
    assert request_("GET", at("ahead.md", "/text")).content == b""
    # The content is on disk already, and now it is taken up as well.
    reply = put(request_, "ahead.md", NEW, more="?wait=true")
    assert (reply.json()["status"], reply.json()["searchable"]) == ("unchanged", True)
    assert request_("GET", at("ahead.md", "/text")).content == NEW


def test_a_folder_that_is_gone_holds_no_news_about_documents(home: Home) -> None:
    with opened(home) as request:
        home.corpus.rename(home.folder / "elsewhere")
        assert request("GET", at(ARTICLE.name, "/raw")).status_code == 503
        assert put(request, "a.md", NEW).status_code == 503
        assert request("DELETE", at(ARTICLE.name)).status_code == 503
        (home.folder / "elsewhere").rename(home.corpus)
        assert request("GET", at(ARTICLE.name, "/raw")).content == ARTICLE.read_bytes()
        assert put(request, "a.md", NEW, more="?wait=true").json()["searchable"]


# ---------------------------------------------------------------- disks that fail


@pytest.mark.parametrize(
    ("error", "status"),
    [
        *((one, 507) for one in (errno.ENOSPC, errno.EDQUOT)),
        *((one, 503) for one in (errno.EIO, errno.EROFS)),
    ],
)
@pytest.mark.parametrize("work", ["create", "replace", "remove"])
def test_a_disk_that_refuses_leaves_all_as_it_was(
    work: str, error: int, status: int, request_: Checked, room: Home
) -> None:
    name = "disk/deep/a.md" if work == "create" else "disk.md"
    method, content = ("DELETE", None) if work == "remove" else ("PUT", NEW)
    for count in range(1, 20):
        request_("DELETE", at("disk/deep/a.md"))
        settled(request_, put(request_, "disk.md", OLD))
        before = tree(room.corpus)
        with failing_at(count, error, ever_after=False) as refused:
            reply = request_(method, at(name), content=content)
        if reply.status_code < 300:
            break  # what was refused was no part of the change
        assert reply.status_code == status and "everything is as it was" in reply.json()["detail"]
        assert tree(room.corpus) == before
        assert request_("GET", at("disk.md", "/raw")).content == OLD
    assert count > (1 if work == "remove" else 3), refused
    # Nothing had to be repaired for it to work again.
    assert put(request_, "disk.md", NEW, more="?wait=true").json()["searchable"]
    assert request_("DELETE", at("disk.md")).status_code == 200
    # What could not be removed aside stays hidden until a start sweeps it.
    left = [*room.corpus.rglob(".*")]
    assert len(left) == refused.count("unlink")
    for path in left:
        path.unlink()


def settled(request: Checked, reply: httpx.Response) -> Reply:
    """Return what became of a change once no job of it writes any more."""
    body: Reply = reply.json()
    if body["job"]:
        request.finished(f"/v1/jobs/{body['job']}")
    return body


def test_a_full_disk_is_said_to_be_full(request_: Checked, room: Home) -> None:
    settled(request_, put(request_, "full.md", OLD))
    before = tree(room.corpus)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most[1]))  # of any file: the system says EFBIG
    try:
        reply = put(request_, "full.md", b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert (reply.status_code, reply.json()["type"]) == (507, "urn:pullquote:problem:disk-full")
    assert tree(room.corpus) == before
    assert put(request_, "full.md", b"x" * 200_000).status_code == 200


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the data folder as another process that writes does."""
    with (home.data / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_changes_that_are_waited_for_keep_nobody_else_waiting(request_: Checked, room: Home) -> None:
    count = 50  # more than the threads that the framework lends at once

    async def send(holding: ExitStack) -> tuple[httpx.Response, list[httpx.Response]]:
        transport = httpx.ASGITransport(request_.app, client=("127.0.0.1", 50000))
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            waiting = [
                asyncio.create_task(client.put(at(f"queue/{number}.md", "?wait=true"), content=NEW))
                for number in range(count)
            ]
            while len([*room.corpus.glob("queue/*.md")]) < count:
                await asyncio.sleep(0.01)
            asked = await client.get("/v1/ask", params={"q": DEVELOPER})
            assert not any(one.done() for one in waiting)
            holding.close()
            return asked, await asyncio.gather(*waiting)

    with ExitStack() as holding:
        holding.enter_context(locked(room))
        asked, changed = asyncio.run(send(holding))
    assert asked.json()["answer"]["text"] == "Facebook AI Research"
    assert {one.status_code for one in changed} == {201}
    assert {one.json()["searchable"] for one in changed} == {True}


def test_a_change_that_the_index_cannot_follow_is_on_disk_all_the_same(home: Home) -> None:
    replies: list[httpx.Response] = []
    with opened(home) as request, ExitStack() as holding:
        holding.enter_context(locked(home))
        waiting = threading.Thread(
            target=lambda: replies.append(put(request, "a.md", OLD, more="?wait=true"))
        )
        waiting.start()
        wait_for((home.corpus / "a.md").exists, "the document to be written")
        home.corpus.rename(home.folder / "elsewhere")
        holding.close()
        waiting.join()
        (reply,) = replies
        assert (reply.status_code, reply.json()["type"]) == (503, "urn:pullquote:problem:not-searchable")
        assert "is on disk" in reply.json()["detail"] and "cannot be read" in reply.json()["detail"]
        (home.folder / "elsewhere").rename(home.corpus)
        reply = put(request, "a.md", OLD, more="?wait=true")
        assert (reply.json()["status"], reply.json()["searchable"]) == ("unchanged", True)


def test_without_a_list_of_jobs_a_change_is_made_or_all_is_as_it_was(home: Home) -> None:
    with opened(home) as request:
        before = tree(home.corpus)
        with closing(sqlite3.connect(home.data / "jobs.sqlite")) as base:
            base.execute("ALTER TABLE jobs RENAME TO lost")
        reply = put(request, "a.md", OLD, more="?wait=true")
        assert reply.status_code == 201 or tree(home.corpus) == before, reply.text
        reply = request("DELETE", at(ARTICLE.name, "?wait=true"))
        assert reply.status_code == 200 or (home.corpus / ARTICLE.name).exists(), reply.text
