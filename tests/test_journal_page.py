"""The page for administrators, in a real browser: what the documents lack, and who may see it."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api as api

from service.journal import Feedback, Journal, Unanswered
from service.settings import Settings
from tests.browser import violations, watch
from tests.server import ROOT, Home, Server

pytest_plugins = ("tests.server", "tests.browser")
pytestmark = pytest.mark.slow

KEY = "a-long-enough-key"
BAD = "<img src=x onerror=alert(1)>\u202egnp.exe\u200b"

ASKED = (
    ("What does it cost to ship to Switzerland?", 7),
    ("how much is delivery to Switzerland?", 3),
    ("shipping costs Switzerland", 1),
    ("Can I train on a GPU of AMD?", 4),
    ("Does it run on Windows 7?", 2),
    ("When did TensorFlow come out?", 1),
    (f"What is {BAD}?", 1),
)


def filled(home: Home) -> Home:
    """Return the home with a journal."""
    journal = Journal(Settings(data=home.data, journal=True))
    journal.open()
    for number, (question, times) in enumerate(ASKED):
        for again in range(times):
            at = f"2026-11-{number + 1 + again:02d}T10:00:00Z"
            assert journal.add(Unanswered(question, question, "below_threshold", at=at))
    assert journal.add(
        Feedback("Who made PyTorch?", "Facebook AI Research", None, False, None, at="2026-11-20T10:00:00Z")
    )
    journal.close()
    return home


@pytest.fixture(scope="module")
def home(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return filled(library.copy(tmp_path_factory.mktemp("journal")))


@pytest.fixture(scope="module")
def server(home: Home) -> Iterator[Server]:
    """Return a server that nobody has given a key."""
    started = Server(home, journal="true", journal_days=3650)
    yield started
    started.end()


@pytest.fixture(scope="module")
def locked(home: Home, server: Server) -> Iterator[Server]:
    """Return a server with an admin key."""
    copy = home.copy(home.folder.parent / "locked")
    started = Server(copy, journal="true", journal_days=3650, admin_key=KEY)
    yield started
    started.end()


class Visit:
    """Somebody at the page."""

    def __init__(self, browser: Any, **more: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **more)
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.asked: list[str] = []
        watch(self.page, self.troubles)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, server: Server) -> Any:
        """Return the page once it has come to a result."""
        self.page.goto(f"{server.address}/journal")
        api.expect(self.page.locator("#loading")).to_be_hidden()
        return self.page

    def unlock(self, server: Server) -> Any:
        """Return the page of a server with a key, the key given."""
        page = self.open(server)
        page.get_by_label("Admin key").fill(KEY)
        page.keyboard.press("Enter")
        api.expect(page.locator(".group").first).to_be_visible()
        return page


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    made = Visit(browser)
    yield made
    made.context.close()
    assert made.troubles == []


def test_what_is_asked_and_not_said_is_shown_counted(visit: Visit, server: Server) -> None:
    page = visit.open(server)
    first = page.locator(".group").first
    assert first.locator("h2").inner_text() == ASKED[0][0]
    assert first.locator(".count").inner_text().split() == ["11", "times"]
    assert first.locator(".facts").inner_text() == "Nov 1, 2026 to Nov 7, 2026"
    first.locator("summary").click()
    assert [one.split() for one in first.locator("details li").all_inner_texts()][1][0] == "3×"
    assert first.locator(".places li").count() == 3
    page.get_by_text("20 questions of 6 kinds, 1 answered by now").wait_for()
    assert page.locator(".group").count() == 6
    assert "1 answer thumbed down" in page.get_by_text("Who made PyTorch?").locator("..").inner_text()
    page.get_by_label("Only what is still open").check()
    assert page.locator(".group").count() == 5 and page.get_by_text("When did TensorFlow").count() == 0
    with page.expect_navigation():
        first.locator(".places a").first.click()
    assert page.url.startswith(f"{server.address}/documents/") and "#c=" in page.url


def test_hostile_questions_are_text(visit: Visit, server: Server) -> None:
    page = visit.open(server)
    shown = page.get_by_text("onerror=alert(1)").inner_text()
    assert "<img src=x" in shown and "\u202e" not in shown and "\u200b" not in shown
    assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("form", ["CSV", "JSON"])
def test_it_is_exported(form: str, visit: Visit, server: Server, locked: Server) -> None:
    for place in (server, locked):
        page = visit.open(place) if place is server else visit.unlock(place)
        with page.expect_download() as began:
            page.get_by_role("link", name=form).click()
        assert began.value.suggested_filename == f"unanswered.{form.lower()}"
        text = Path(began.value.path()).read_text(encoding="utf-8")
        if form == "CSV":
            _, *rows = csv.reader(io.StringIO(text))
            found = [(row[0], int(row[1])) for row in rows]
        else:
            found = [(one["question"], one["count"]) for one in json.loads(text)["groups"]]
        assert found[0] == (ASKED[0][0], 11) and len(found) == 6


def test_the_key_is_asked_for_and_stands_in_no_address(visit: Visit, locked: Server) -> None:
    page = visit.open(locked)
    field = page.get_by_label("Admin key")
    api.expect(field).to_be_focused()
    assert page.locator(".group").count() == 0
    field.fill("not-the-key")
    page.keyboard.press("Enter")
    api.expect(page.get_by_role("alert")).to_have_text("That is not the key.")
    api.expect(field).to_have_value("")
    field.fill(KEY)
    page.get_by_role("button", name="Show the journal").click()
    api.expect(page.locator(".group")).to_have_count(6)
    api.expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert not [one for one in [*visit.asked, page.url] if KEY in one]
    assert KEY not in page.content()
    kept = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
    assert kept == [0, 0, ""]
    page.reload()
    api.expect(page.get_by_label("Admin key")).to_be_visible()


def test_without_a_journal_it_says_how_to_keep_one(visit: Visit, home: Home, tmp_path: Path) -> None:
    server = Server(home.copy(tmp_path / "off"))
    try:
        page = visit.open(server)
        api.expect(page.get_by_role("heading", level=2)).to_have_text("This server keeps no journal")
        assert "PULLQUOTE_JOURNAL=true" in page.locator("main").inner_text()
        page.route("**/v1/**", lambda route: route.abort())
        page.reload()
        api.expect(page.get_by_role("heading", level=2)).to_have_text("No connection")
        page.unroute_all()
        empty = {"groups": [], "total_groups": 0, "total_questions": 0, "index_version": ""}
        page.route("**/v1/**", lambda route: route.fulfill(json=empty))
        page.reload()
        api.expect(page.get_by_role("heading", level=2)).to_have_text("Nothing yet")
    finally:
        server.end()


def test_its_policy_is_strict(server: Server) -> None:
    reply = server.client.get("/journal")
    policy = dict(
        part.strip().partition(" ")[::2] for part in reply.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert "Switzerland" not in reply.text
    assert server.client.get("/v1/journal/unanswered").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(
    scheme: Any, width: int, browser: Any, server: Server, locked: Server, tmp_path: Path
) -> None:
    visit = Visit(browser, color_scheme=scheme, reduced_motion="reduce")
    page = visit.page
    page.set_viewport_size({"width": width, "height": 900})
    visit.open(locked)
    assert violations(page) == []
    visit.open(server)
    page.locator("summary").first.click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Pictures differ from run to run; that of the documentation is made anew only when it is asked for.
    page.locator("summary").first.click()
    wanted = os.environ.get("PICTURES") and (scheme, width) == ("light", 1280)
    page.screenshot(path=(ROOT / "docs/images" if wanted else tmp_path) / "journal.png")
    visit.context.close()
