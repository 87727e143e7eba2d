"""Whatever a request says in its headers, its address and its body: a reply that is documented, soon."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.contract import Checked, opened
from tests.server import ARTICLE, Home, Unwired

__all__ = ["opened"]

pytest_plugins = ("tests.server", "tests.contract")

SECONDS = 5.0
"""Of the processor, for one request: each takes milliseconds."""

DOCUMENT = f"/v1/documents/{ARTICLE.name}"
SHA = "a" * 64
PIECES = {
    "If-Match": ['"', "W/", f'"{SHA}"', "*", ",", ", ", "\\", "\t", "é", " "],
    "If-None-Match": ['"', "W/", f'"{SHA}"', "*", ",", ", ", "\\", "\t", "é"],
    "Range": ["bytes", "=", "0", "-", "99999999999999999999", ",", " ", "items", "\xff"],
    "Accept": ["text/event-stream", "*/*", ";q=", "0", "1.5", "-1", "nan", "application/json", ",", "/", ";"],
    "Accept-Encoding": ["gzip", "identity", ";q=0", ",", "*", "br", ";"],
    "Authorization": ["Bearer", "Basic", " ", ":", "=", "YTpi", "a" * 300, "\x80", ","],
    "X-API-Key": ["a", " ", "k-", "\xff", "=" * 64, "pq_"],
    "Cookie": ["a", "=", ";", '"', "\\", "\xff", " ", "__Host-"],
    "Content-Type": [
        "application/json",
        ";",
        "charset=",
        "utf-16",
        '"',
        "\\",
        "multipart/form-data",
        "boundary=",
        "/",
    ],
    "X-Forwarded-For": ["127.0.0.1", ",", ":", "[::1", "]", "unknown"],
    "X-Request-Id": ["a", "-", "\xff", " ", "é"],
    "traceparent": ["00", "-", "f" * 32, "0" * 16, "é"],
    "Last-Event-ID": ["1", "-", "x", "\xff"],
    "Host": ["localhost", ":", "80", "[::1", "]", "@", "/", "..", " ", "\xff", "é", ","],
    "Origin": ["http://", "//[", "null", ":", "localhost", "]", "@", "\xff", "é", " ", "*"],
    "Content-Range": ["bytes ", "0", "-", "/", "*", "99999999999999999999", "é"],
    "If-Modified-Since": ["Fri, ", "31 Feb", " 9999999", "GMT", "é"],
}


OTHER_ERRORS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings")
"""Addresses whose errors have the shape that their protocol wants."""


def soon(request_: Checked, method: str, path: str, **given_: Any) -> int:
    """Return the status of a reply that was checked and came soon."""
    begun = time.process_time()
    asked = Unwired(request_.app) if path in OTHER_ERRORS else request_
    reply = asked(method, path, **given_)
    assert reply.status_code < 500
    assert time.process_time() - begun < SECONDS
    return reply.status_code


@pytest.mark.parametrize("name", sorted(PIECES))
@settings(max_examples=40)
@given(data=st.data())
def test_no_header_breaks_the_server(name: str, data: st.DataObject, request_: Checked) -> None:
    """Law: a header of anything gets a documented reply, reading and asking."""
    pieces = st.lists(st.sampled_from(PIECES[name]), max_size=12).map("".join)
    value = data.draw(pieces | st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20))
    headers = {name: value.encode("latin-1", "replace")}
    soon(request_, "GET", DOCUMENT, headers=headers)
    soon(request_, "GET", "/v1/ask?question=Who+developed+PyTorch%3F", headers=headers)
    body = json.dumps({"question": "?"}).encode()
    soon(request_, "POST", "/v1/ask", headers={"Content-Type": b"application/json"} | headers, content=body)
    # A precondition is read before the document is: nothing is there, so nothing is changed by it.
    soon(request_, "DELETE", "/v1/documents/nowhere.md", headers=headers)


@pytest.mark.parametrize("name", sorted(PIECES))
def test_a_long_header_is_read_soon(name: str, request_: Checked) -> None:
    """Law: a header as long as a server takes (64 KiB) costs no more than its length."""
    for piece in PIECES[name]:
        value = (piece * 65536)[:65536].encode("latin-1", "replace")
        soon(request_, "GET", DOCUMENT, headers={name: value})
        soon(request_, "DELETE", "/v1/documents/nowhere.md", headers={name: value})


@given(
    cursor=st.text(max_size=20)
    | st.binary(max_size=20).map(lambda one: base64.urlsafe_b64encode(one).decode().rstrip("="))
)
@example(cursor="AAAA")
@example(cursor="=")
@example(cursor="é")
def test_a_cursor_is_one_or_refused(cursor: str, request_: Checked) -> None:
    """Law: a cursor of anything is a place in the list or refused."""
    assert soon(request_, "GET", "/v1/documents", params={"cursor": cursor}) in (200, 422)


PATHS = [
    "..",
    "/",
    "%2e%2e",
    "%2f",
    "%00",
    "%ff",
    "\\",
    "a.md",
    "C:",
    "é",
    "%",
    "%%",
    "%c0%af",
    " ",
    ";",
    "?",
    "#",
    "//",
]


@settings(max_examples=150)
@given(
    before=st.sampled_from(
        ["/v1/documents/", "/documents/", "/v1/jobs/", "/v1/snapshots/", "/v1/passages/", "/"]
    ),
    path=st.lists(st.sampled_from(PATHS) | st.text(max_size=2).map(quote), max_size=8).map("".join),
    after=st.sampled_from(["", "/raw", "/text"]),
    method=st.sampled_from(["GET", "HEAD", "DELETE"]),
)
def test_no_path_leads_out(before: str, path: str, after: str, method: str, request_: Checked) -> None:
    """Law: a path of anything gets a documented reply, and none is another file of this machine."""
    address = f"{before}{path}{after}".encode("ascii", "replace").decode()
    if method == "DELETE" and "a.md" in path:
        method = "GET"  # a document of the shelf may be called so
    # With the host: two slashes would begin one.
    soon(request_, method, f"http://localhost{address}")


DEEP = 50_000


BODIES = ("/v1/ask", "/v1/verify", "/v1/feedback", "/v1/reindex", *OTHER_ERRORS)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "inner",
    [
        "[" * DEEP + "]" * DEEP,
        '{"a":' * DEEP + "1" + "}" * DEEP,
        "[" * DEEP,
        "9" * 5000,
        "-1e999999",
        '"\\ud800"',
        "NaN",
    ],
    ids=["lists", "objects", "open", "digits", "exponent", "surrogate", "nan"],
)
def test_no_depth_breaks_the_server(path: str, inner: str, request_: Checked) -> None:
    """Law: depth, digits and half characters get a reply, wherever in a body they stand."""
    names = ("question", "filter", "citations", "messages", "input", "model", "min_confidence", "history")
    for name in names:
        body = f'{{"{name}": {inner}}}'.encode()
        status = soon(request_, "POST", path, content=body, headers={"Content-Type": "application/json"})
        assert status in (400, 404, 413, 422)
    soon(request_, "POST", path, content=inner.encode(), headers={"Content-Type": "application/json"})


@settings(max_examples=60)
@given(
    pairs=st.lists(
        st.lists(
            st.sampled_from([":", "lang", "en", "1e9999", "-0", " ", "\0", "é", "=", "9" * 200, "true"])
        ).map("".join)
        | st.text(max_size=12),
        max_size=4,
    )
)
def test_no_field_in_an_address_breaks_the_server(pairs: list[str], request_: Checked) -> None:
    """Law: a field in an address is one or refused."""
    fields = [("question", "Who?"), *(("field", one.encode("utf-8", "replace").decode()) for one in pairs)]
    assert soon(request_, "GET", "/v1/ask", params=fields) in (200, 422)


@pytest.fixture(scope="module", name="open_house")
def _open_house(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    """Return an application whose documents may be changed."""
    with opened(library.copy(tmp_path_factory.mktemp("open-house"))) as checked:
        yield checked


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(["md", "txt", "html", "csv", "docx", "pdf", "ipynb", "json", "rst", "exe", ""]),
    start=st.sampled_from(
        [b"", b"---\n", b"PK\x03\x04", b"%PDF-1.7\n", b"\xff\xfe", b"<html>", b"[{", b'"a","']
    ),
    rest=st.binary(max_size=300) | st.text(max_size=300).map(lambda one: one.encode("utf-8", "replace")),
)
def test_a_document_of_anything_is_kept_or_refused(
    form: str, start: bytes, rest: bytes, open_house: Checked
) -> None:
    """Law: bytes of any kind under any name are kept as they are or not at all, and all else is found."""
    address = f"/v1/documents/anything.{form}"
    before = open_house("GET", f"{address}/raw")
    reply = open_house("PUT", f"{address}?wait=true", content=start + rest)
    after = open_house("GET", f"{address}/raw")
    if reply.is_success:
        assert after.content == start + rest
    else:
        assert reply.status_code in (400, 404, 415, 422)
        assert (after.status_code, after.content if after.is_success else b"") == (
            before.status_code,
            before.content if before.is_success else b"",
        )
    assert open_house.ask("Who developed PyTorch?")["status"] == "answered"
