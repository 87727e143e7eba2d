"""Changes that are refused: other formats, names that cannot be ids, places that are taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract import MARKER, Checked, opened
from tests.edited import NEW, OLD, at, put
from tests.laws.test_editing import ids, tree
from tests.server import ARTICLE, Home

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


@pytest.mark.parametrize(
    ("name", "media", "fits"),
    [
        *((name, media, True) for name in ("a.md", "a.html", "a.pdf") for media in ("text/plain", "")),
        *((name, "application/octet-stream", True) for name in ("a.md", "a.txt", "a.docx")),
        ("a.md", "text/markdown; charset=utf-8", True),
        ("a.MD", "Text/Markdown", True),
        ("a.htm", "text/html", True),
        ("a.md", "application/x-www-form-urlencoded", True),
        ("a.md", "text/html", False),
        ("a.txt", "TEXT/HTML;charset=utf-8", False),
        ("a.html", "text/markdown", False),
        ("a.pdf", "text/csv", False),
        ("a.csv", "application/pdf", False),
    ],
)
def test_a_body_of_another_format_is_refused(
    name: str, media: str, fits: bool, request_: Checked, room: Home
) -> None:
    before = tree(room.corpus)
    reply = put(request_, f"media/{name}", b"x", headers={"Content-Type": media} if media else {})
    assert reply.status_code == (201 if fits else 415)
    assert fits or tree(room.corpus) == before
    if fits:
        assert request_("DELETE", at(f"media/{name}")).status_code == 200


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Content-Encoding", "gzip", 415),
        ("Content-Encoding", "identity", 201),
        ("Content-Range", "bytes 0-3/100", 400),
    ],
)
def test_a_part_or_a_packed_body_is_never_taken_for_the_document(
    header: str, value: str, status: int, request_: Checked, room: Home
) -> None:
    before = tree(room.corpus)
    reply = put(request_, "packed.md", OLD, headers={header: value})
    assert reply.status_code == status
    assert status == 201 or tree(room.corpus) == before
    request_("DELETE", at("packed.md"))


LONG = "x" * 228
BAD = {
    "": "empty",
    "..%2fout.md": "'..'",
    "%2e%2e/out.md": "'..'",
    "a%2f..%2f..%2fout.md": "'..'",
    "%2e%2e": "'..'",
    "a/b/%2e%2e": "'..'",
    "%2fetc%2fout.md": "absolute",
    "/etc/out.md": "absolute",
    "a//b.md": "part ''",
    "a%2f%2fb.md": "part ''",
    "a.md/": "part ''",
    "a%2f.%2fb.md": "part '.'",
    ".a.md": "full stop",
    "a/.b/c.md": "full stop",
    ".pullquote-x.md": "full stop",
    "a%00.md": "control",
    "a%0a.md": "control",
    "a%1b%5b2J.md": "control",
    "a%7f.md": "control",
    "a%c2%85.md": "control",
    "a%ed%a0%80.md": "UTF-8",
    "caf%e9.md": "UTF-8",
    "a%c0%ae%c0%ae%2fb.md": "UTF-8",
    "a%5cb.md": "backslash",
    "a%5c..%5cout.md": "backslash",
    f"{LONG}.md": "231 bytes",
    quote(f"{'字' * 80}.md"): "243 bytes",
    f"{'x/' * 511}abc.md": "1028 bytes",
    "a": "extension",
    "a.png": "extension",
    "a.md.bak": "extension",
    "a.md%20": "extension",
    "md": "extension",
}


@pytest.mark.parametrize("part", ["raw", "text"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "OPTIONS"])
def test_parts_of_a_document_are_only_read(method: str, part: str, request_: Checked) -> None:
    reply = request_(method, f"/v1/documents/a.md/{part}")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")
    whole = request_("POST", "/v1/documents/a.md")
    assert (whole.status_code, whole.headers["allow"]) == (405, "DELETE, GET, PUT")


@pytest.mark.parametrize("path", BAD)
def test_what_cannot_be_an_id_is_refused_with_its_reason(path: str, request_: Checked, room: Home) -> None:
    before = tree(room.folder / "corpus")
    for method in ("PUT", "DELETE"):
        reply = request_(method, f"/v1/documents/{path}", content=OLD if method == "PUT" else None)
        assert (reply.status_code, reply.json()["type"]) == (400, "urn:pullquote:problem:bad-document-id")
        assert BAD[path] in reply.json()["detail"]
    assert request_("GET", f"/v1/documents/{path}/raw").status_code == 404
    assert tree(room.folder / "corpus") == before
    assert not [*room.folder.parent.rglob("*out.md")] and not Path("/etc/out.md").exists()


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ("same/kept.md", "same/KEPT.md"),
        ("same/kept.md", "Same/kept.md"),
        ("same/kept.md", "SAME/other.md"),
        ("same/ü.md", "same/u\u0308.md"),
        ("same/u\u0308/a.md", "same/ü/b.md"),
        ("same/straße.md", "same/STRASSE.md"),
        ("same/ǅ.md", "same/ǆ.md"),
    ],
)
def test_a_name_that_looks_like_another_is_refused(
    there: str, name: str, request_: Checked, room: Home
) -> None:
    room.write(there, OLD)
    before = tree(room.corpus)
    reply = put(request_, name, NEW)
    assert (reply.status_code, reply.json()["type"]) == (400, "urn:pullquote:problem:bad-document-id")
    assert "in case or composition alone" in reply.json()["detail"]
    assert request_("DELETE", at(name)).status_code == 404
    assert tree(room.corpus) == before
    (room.corpus / there).unlink()


PLACES: dict[str, Callable[[Path, Path], object]] = {
    "a folder": lambda place, _: place.mkdir(),
    "a pipe": lambda place, _: os.mkfifo(place),
    "a link to a file": lambda place, outside: place.symlink_to(outside / "a.md"),
    "a link to a folder": lambda place, outside: place.symlink_to(outside),
    "a link to nothing": lambda place, outside: place.symlink_to(outside / "nothing.md"),
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_that_is_taken_is_left_as_it_is(
    kind: str, request_: Checked, room: Home, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_bytes(b"# Secret\n")
    place = room.corpus / "taken.md"
    PLACES[kind](place, outside)
    before = tree(room.corpus), tree(tmp_path)
    for name in ("taken.md", "taken.md/a.md", "taken.md/new/b.md"):
        if kind == "a folder" and name != "taken.md":
            continue  # a folder may be called so
        for method in ("PUT", "DELETE"):
            reply = request_(method, at(name), content=NEW if method == "PUT" else None)
            assert (reply.status_code, reply.json()["type"]) == (409, "urn:pullquote:problem:place-taken")
        assert request_("GET", at(name, "/raw")).status_code == 404
    assert (tree(room.corpus), tree(tmp_path)) == before
    place.rmdir() if kind == "a folder" else place.unlink()


def test_a_document_is_no_folder(request_: Checked, room: Home) -> None:
    put(request_, "leaf.md", OLD)
    before = tree(room.corpus)
    for method in ("PUT", "DELETE"):
        reply = request_(method, at("leaf.md/a.md"), content=NEW if method == "PUT" else None)
        assert reply.status_code == 409 and "leaf.md is not a folder" in reply.json()["detail"]
    assert tree(room.corpus) == before


def test_a_document_too_large_is_refused_however_it_comes(home: Home) -> None:
    with opened(home, max_document_bytes=100, max_body_bytes=50) as request:
        before = tree(home.corpus)
        lying = {"Content-Length": "10"}
        for body, headers in (
            (b"x" * 101, {}),
            (iter([b"x" * 60, b"x" * 41]), {}),
            (iter([b"x" * 101]), lying),
        ):
            reply = request("PUT", at("large.md"), content=body, headers=headers)
            assert reply.status_code == 413 and "PULLQUOTE_MAX_DOCUMENT_BYTES" in reply.json()["detail"]
        assert tree(home.corpus) == before
        reply = put(request, "large.md", b"x" * 100, more="?wait=true")
        assert reply.status_code == 201 and reply.json()["searchable"]
        assert request("PUT", "/v1/ask", content=b"x" * 101).status_code == 413
        assert request("DELETE", at("large.md"), content=b"x" * 51).status_code == 413


@pytest.mark.parametrize("query", ["wait=maybe", "wait=", "wait=2", "wait=true&now=1", f"{MARKER}=1"])
def test_a_bad_query_changes_nothing(query: str, request_: Checked, room: Home) -> None:
    before = tree(room.corpus)
    for method in ("PUT", "DELETE"):
        reply = request_(method, at(ARTICLE.name, f"?{query}"), content=NEW if method == "PUT" else None)
        assert reply.status_code == 422
    assert tree(room.corpus) == before


@settings(max_examples=60)
@given(name=ids, content=st.sampled_from([b"", b"# X\n\nx\n", b"\xff"]))
def test_no_id_breaks_the_server(name: str, content: bytes, request_: Checked, room: Home) -> None:
    before = tree(room.corpus)
    # Clients shorten paths with dots in them, so those are written otherwise too.
    path = f"/v1/documents/{quote(name.encode('utf-8', 'surrogatepass'), safe='').replace('.', '%2e')}"
    reply = request_("PUT", path, content=content)
    assert reply.status_code in (201, 400)
    if reply.status_code == 201:
        assert tree(room.corpus)[name] == content
        assert request_("DELETE", path).status_code == 200
    assert tree(room.corpus) == before
