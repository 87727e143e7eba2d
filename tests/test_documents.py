"""Documents as integrators see them: the list, one document, its text, its page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from tests.contract import HOSTILE, ODD, OPENAPI, UNREADABLE, WINDOWS, Checked
from tests.server import ARTICLE, Home, Reply

pytest_plugins = ("tests.server", "tests.contract")


def test_the_list_of_documents_can_be_read_in_pages(request_: Checked) -> None:
    whole = request_.get("/v1/documents")
    assert whole["next_cursor"] is None
    ids = [one["id"] for one in whole["documents"]]
    assert ids == sorted([ARTICLE.name, ODD, HOSTILE, WINDOWS, UNREADABLE])
    for limit in (1, 2, 4, 5):
        seen: list[Reply] = []
        cursor: dict[str, str] = {}
        for _ in range(len(ids)):
            page = request_.get("/v1/documents", limit=limit, **cursor)
            assert 0 < len(page["documents"]) <= limit
            seen += page["documents"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == whole["documents"]
    assert [one["id"] for one in whole["documents"] if one["problem"]] == [UNREADABLE]


@pytest.mark.parametrize("name", [ARTICLE.name, ODD, HOSTILE, WINDOWS])
def test_a_document_is_found_under_its_id_whatever_it_is(name: str, request_: Checked, shelf: Home) -> None:
    address = f"/v1/documents/{quote(name, safe='/')}"
    about = request_.get(address)
    assert about["id"] == name and about["bytes"] == (shelf.corpus / name).stat().st_size
    text = request_("GET", f"{address}/text")
    assert text.content == (shelf.corpus / name).read_bytes()
    assert text.headers["etag"] == f'"{about["text_sha256"]}"'
    again = request_("GET", f"{address}/text", headers={"If-None-Match": text.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    whole = f"/v1/documents/{quote(name, safe='')}"  # the slash escaped as well
    assert request_.get(whole) == about


def test_an_unreadable_document_has_its_problem(request_: Checked) -> None:
    about = request_.get(f"/v1/documents/{UNREADABLE}")
    assert "not UTF-8" in about["problem"] and about["text_sha256"] is None
    assert request_("GET", f"/v1/documents/{UNREADABLE}/text").status_code == 404
    assert [one["id"] for one in request_.get("/v1/index")["skipped"]] == [UNREADABLE]


class Page(HTMLParser):
    """What a browser would make of a page, as far as these tests ask."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data


@pytest.mark.parametrize("name", [ARTICLE.name, ODD, HOSTILE, WINDOWS])
def test_a_document_page_shows_the_text_to_the_code_point(name: str, request_: Checked, shelf: Home) -> None:
    reply = request_("GET", f"/documents/{quote(name, safe='/')}")
    assert "\r" not in reply.text  # a browser would turn it into a line feed, or drop it
    page = Page(reply.text)
    text = (shelf.corpus / name).read_bytes().decode()
    # HTML drops the first line break of a <pre>; all others count.
    assert page.texts["pre"] == "\n" + text
    assert page.texts["title"] == page.texts["h1"] == request_.get(f"/v1/documents/{quote(name)}")["title"]
    assert page.texts["p"] == name
    allowed = {"html", "meta", "title", "link", "header", "p", "h1", "main", "pre", "script"}
    assert {tag for tag, _ in page.tags} == allowed
    assert [given.get("src") for tag, given in page.tags if tag == "script"] == ["/assets/place.js"]


def test_a_document_page_may_run_nothing_but_its_own_script(request_: Checked) -> None:
    policy = request_("GET", f"/documents/{HOSTILE}").headers["content-security-policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == rules["style-src"] == "'self'"
    assert rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy and "http" not in policy
    for asset, media in (("/assets/place.js", "text/javascript"), ("/assets/page.css", "text/css")):
        assert request_("GET", asset).headers["content-type"].startswith(media)


def test_citations_lead_to_their_page(request_: Checked) -> None:
    reply = request_.ask("What is the quagga?", min_confidence=0, filter={"documents": ["odd names/"]})
    cited = [*reply["answer"]["citations"], *reply["passages"]]
    for one in cited:
        address, _, place = one["url"].partition("#")
        assert place == f"c={one['start_char']}-{one['end_char']}"
        assert Page(request_("GET", address).text).texts["p"] == ODD


def test_the_description_needs_no_other_host(request_: Checked) -> None:
    reply = request_("GET", "/docs")
    assert not re.search(r"(https?:)?//[a-z0-9]", reply.text.replace("http://localhost", ""), re.IGNORECASE)
    page = Page(reply.text)
    linked = [given.get("src") or given.get("href") for _, given in page.tags]
    needed = [one for one in linked if one]
    assert len(needed) >= 3
    for address in needed:
        assert address.startswith("/") and request_("GET", address).status_code == 200
    assert "/docs" in [given.get("href") for _, given in Page(request_("GET", "/").text).tags]
    assert request_("GET", "/openapi.json").json() == OPENAPI


def test_a_document_is_known_by_any_name_a_client_may_use(request_: Checked) -> None:
    # An id is data: dots, double slashes and escapes lead to nothing else.
    for path in (f"./{ARTICLE.name}", f"x/../{ARTICLE.name}", f"/{ARTICLE.name}", f"{ARTICLE.name}/"):
        assert request_("GET", f"/v1/documents/{quote(path, safe='')}").status_code == 404


@pytest.mark.parametrize("more", ["", "/text"])
def test_a_line_break_belongs_to_an_id(more: str, request_: Checked) -> None:
    assert request_("GET", f"/v1/documents/{ARTICLE.name}%0a{more}").status_code == 404
