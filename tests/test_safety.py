"""What browsers are told of every reply, and what a hostile document can do in one: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import watch
from tests.contract import HOSTILE, HOSTILE_TEXT
from tests.server import ARTICLE, Home, Server, unwired

pytest_plugins = ("tests.browser", "tests.server")

PAGES = ("/", "/docs", "/journal", f"/documents/{ARTICLE.name}")
OTHERS = ("/livez", "/v1/documents", "/openapi.json", "/nowhere", "/widget.js")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_what_is_its_own_and_stands_in_no_frame(library: Home, path: str) -> None:
    with unwired(library) as request:
        reply = request("GET", path)
    policy = [one.strip() for one in reply.headers["content-security-policy"].split(";")]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy and reply.headers["x-frame-options"] == "DENY"
    assert {"base-uri 'none'", "form-action 'none'"} <= {*policy}
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in reply.text and "style=" not in reply.text and " on" not in policy


@pytest.mark.parametrize("path", PAGES)
def test_a_page_stands_in_the_frames_that_the_settings_allow(library: Home, path: str) -> None:
    with unwired(library, frame_ancestors=["https://a.example", "https://b.example"]) as request:
        reply = request("GET", path)
    assert "frame-ancestors https://a.example https://b.example" in reply.headers["content-security-policy"]
    assert "x-frame-options" not in reply.headers


@pytest.mark.parametrize("path", OTHERS)
def test_what_is_no_page_is_taken_for_none(library: Home, path: str) -> None:
    with unwired(library) as request:
        reply = request("GET", path)
    assert reply.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"


@pytest.fixture(scope="module")
def hostile(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = library.copy(tmp_path_factory.mktemp("hostile"))
    home.write(HOSTILE, HOSTILE_TEXT)
    assert home.run("index").returncode == 0
    server = Server(home)
    yield server
    server.end()


@pytest.mark.slow
def test_a_hostile_document_is_text_in_every_page(hostile: Server, browser: Any) -> None:
    page, troubles = browser.new_page(), list[str]()
    asked: list[str] = []
    watch(page, troubles)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{hostile.address}/documents/{HOSTILE}")
    assert page.locator("#text").text_content() == HOSTILE_TEXT
    assert page.locator("#text *").count() == 0 and page.locator("img, iframe, form").count() == 0
    page.goto(f"{hostile.address}/docs")
    page.get_by_text("Pullquote").first.wait_for()
    page.locator(".opblock").first.wait_for()
    page.goto(f"{hostile.address}/v1/documents/{HOSTILE}/text")
    assert page.locator("img").count() == 0
    assert troubles == []
    assert [one for one in asked if not one.startswith((hostile.address, "data:"))] == []
    page.close()
