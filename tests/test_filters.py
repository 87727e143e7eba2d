"""Filters by front matter as people use them: in a body, in an address, at a terminal, on a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.schemas import AskReply, SearchReply
from tests.server import Home, Server
from tests.test_rest import JSON_VALUES, MARKER, Checked, opened

pytest_plugins = ("tests.server",)

QUESTION = "Where does the zebra sleep?"
PAGE = "---\n{head}---\n\n# Zebra\n\nThe zebra sleeps in the {place}.\n"
SHED = "lang: en\ntags: [Night, stable]\nyear: 2024\ndraft: false\nsince: 2024-05-01\n"
BARN = "lang: de\ntags:\n  - stable\nyear: 2023\ndraft: true\nversion: 1.10\ntime: 10:30\n"
OPEN = "Lang: EN\ntags: day\nsecret: zebrafinch\n"
PLACES = {"guides/shed.md": SHED, "guides/barn.md": BARN, "open.md": OPEN}
BARE = "bare.md"
ALL = {*PLACES, BARE}

FOUND: list[tuple[dict[str, Any], set[str]]] = [
    ({"lang": "en"}, {"guides/shed.md", "open.md"}),
    ({"lang": ["en", "de"]}, {*PLACES}),
    ({"lang": "en", "tags": "day"}, {"open.md"}),
    ({"tags": ["night", "day"]}, {"guides/shed.md", "open.md"}),
    ({"tags": "STABLE", "lang": ["de", "fr"]}, {"guides/barn.md"}),
    ({"year": 2024}, {"guides/shed.md"}),
    ({"year": 2024.0}, {"guides/shed.md"}),
    ({"year": "2024"}, {"guides/shed.md"}),
    ({"year": [2023, "2024"]}, {"guides/shed.md", "guides/barn.md"}),
    ({"version": 1.1}, {"guides/barn.md"}),
    ({"draft": True}, {"guides/barn.md"}),
    ({"draft": "False"}, {"guides/shed.md"}),
    ({"since": "2024-05-01"}, {"guides/shed.md"}),
    ({"time": "10:30"}, {"guides/barn.md"}),
    ({}, ALL),
    ({"lang": "fr"}, set()),
    ({"lang": ""}, set()),
    ({"colour": "en"}, set()),
    ({"lang": "en", "colour": "en"}, set()),
    ({"year": 10**1000}, set()),
]
WRITTEN = [(fields, expected) for fields, expected in FOUND if float not in map(type, fields.values())]
"""Those that an address can ask for: it has no numbers, only what is written."""


@pytest.fixture(scope="module")
def stable(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home of four pages on one matter, three of them with front matter."""
    home = Home(tmp_path_factory.mktemp("stable"), library.encoder)
    for name, head in PLACES.items():
        home.write(name, PAGE.format(head=head, place=name.removesuffix(".md")))
    home.write(BARE, "# Zebra\n\nThe zebra sleeps in the meadow.\n")
    done = home.run("index")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def request_(stable: Home) -> Iterator[Checked]:
    with opened(stable) as checked:
        yield checked


def found(reply: dict[str, Any]) -> set[str]:
    return {one["document_id"] for one in reply["passages"]}


def pairs(fields: dict[str, Any]) -> list[str]:
    """Return fields as an address has them."""
    return [
        f"{name}:{json.dumps(value).strip(chr(34))}"
        for name, values in fields.items()
        for value in (values if isinstance(values, list) else [values])
    ]


@pytest.mark.parametrize(("fields", "expected"), FOUND, ids=[json.dumps(one)[:40] for one, _ in FOUND])
def test_a_filter_finds_what_has_its_fields(
    fields: dict[str, Any], expected: set[str], request_: Checked
) -> None:
    reply = request_.ask(QUESTION, top_k=50, min_confidence=0, filter={"fields": fields})
    assert found(reply) == expected
    cited = [one["document_id"] for one in reply["answer"]["citations"]] if reply["answer"] else []
    assert set(cited) <= expected
    if expected:
        assert reply["status"] == "answered"
    else:
        assert (reply["status"], reply["reason"], reply["alternatives"]) == ("not_found", "no_candidate", [])


@pytest.mark.parametrize(("fields", "expected"), WRITTEN, ids=[json.dumps(one)[:40] for one, _ in WRITTEN])
def test_an_address_takes_the_same_filter(
    fields: dict[str, Any], expected: set[str], request_: Checked
) -> None:
    searched = request_.get("/v1/search", q=QUESTION, top_k=50, field=pairs(fields))
    assert found(searched) == expected
    asked = request_.get("/v1/ask", q=QUESTION, top_k=50, field=pairs(fields))
    names = [{one["passage_id"] for one in reply["passages"]} for reply in (asked, searched)]
    assert names[0] == names[1], "the same passages, in an order of their own"
    by_body = request_.ask(QUESTION, top_k=50, filter={"fields": fields})
    assert {**asked, "took_ms": 0} == {**by_body, "took_ms": 0}


def test_fields_and_documents_hold_together(request_: Checked) -> None:
    both = {"documents": ["guides/"], "fields": {"lang": "en"}}
    assert found(request_.ask(QUESTION, filter=both)) == {"guides/shed.md"}
    for path in ("/v1/ask", "/v1/search"):
        reply = request_.get(path, q=QUESTION, documents="guides/", field="lang:en")
        assert found(reply) == {"guides/shed.md"}


def test_the_entity_tag_knows_the_filter(request_: Checked) -> None:
    queries: list[dict[str, Any]] = [
        {},
        {"field": "lang:en"},
        {"field": "lang:de"},
        {"field": ["lang:en", "lang:de"]},
        {"documents": "lang:en"},
    ]
    tags = {request_("GET", "/v1/ask", params={"q": QUESTION, **one}).headers["etag"] for one in queries}
    assert len(tags) == len(queries)


def test_a_filter_changes_nothing_about_how_sure_an_answer_must_be(request_: Checked) -> None:
    def threshold(**given: Any) -> float:
        return float(request_.ask(QUESTION, explain=True, **given)["trace"]["threshold"])

    assert threshold(filter={"fields": {"lang": "de"}}) == threshold()
    other = request_.ask("What is the capital of France?", filter={"fields": {"lang": "en"}})
    assert (other["status"], other["reason"]) == ("not_found", "below_threshold")


def test_documents_show_their_fields(request_: Checked) -> None:
    listed = {one["id"]: one["fields"] for one in request_.get("/v1/documents")["documents"]}
    assert listed["guides/shed.md"] == {
        "lang": ["en"],
        "tags": ["Night", "stable"],
        "year": ["2024"],
        "draft": ["false"],
        "since": ["2024-05-01"],
    }
    assert listed[BARE] == {}
    assert request_.get("/v1/documents/open.md")["fields"] == listed["open.md"] != {}


WRONG: dict[str, object] = {
    "null": None,
    "a list": ["zebrafinch"],
    "a value of null": {"zebrafinch": None},
    "an object for a value": {"zebrafinch": {"zebrafinch": 1}},
    "no values": {"zebrafinch": []},
    "null among values": {"zebrafinch": ["x", None]},
    "a list among values": {"zebrafinch": [["x"]]},
    "no name": {"": "zebrafinch"},
    "a long name": {MARKER * 200: "x"},
    "a long value": {"x": MARKER * 200},
    "many names": {f"zebrafinch{number}": "x" for number in range(101)},
    "many values": {"zebrafinch": ["x"] * 101},
    "NaN": {"zebrafinch": float("nan")},
    "infinity": {"zebrafinch": [float("inf")]},
    "a lone surrogate": {"x": "\ud800zebrafinch"},
    "a lone surrogate for a name": {"\ud800zebrafinch": "x"},
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_filter_is_refused_without_being_repeated(case: str, request_: Checked) -> None:
    content = json.dumps({"question": "x", "filter": {"fields": WRONG[case]}}).encode()
    reply = request_("POST", "/v1/ask", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    assert [one["location"] for one in reply.json()["errors"]] == [["body", "filter", "fields"]]


@pytest.mark.parametrize("value", ["1e999", "9" * 5000])
def test_a_number_beyond_all_is_refused(value: str, request_: Checked) -> None:
    content = b'{"question": "x", "filter": {"fields": {"x": %s}}}' % value.encode()
    reply = request_("POST", "/v1/ask", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code in (400, 422)


@pytest.mark.parametrize("pair", ["zebrafinch", "", ":zebrafinch", " :zebrafinch", "zebrafinch=x"])
@pytest.mark.parametrize("path", ["/v1/ask", "/v1/search"])
def test_a_field_without_a_colon_is_refused(path: str, pair: str, request_: Checked) -> None:
    reply = request_("GET", path, params={"q": "x", "field": ["lang:en", pair]})
    assert reply.status_code == 422
    (error,) = reply.json()["errors"]
    assert error["location"] == ["query", "field", 1] and "name:value" in error["message"]
    assert "name:value" in reply.json()["detail"]


def test_strange_bytes_in_a_field_match_nothing(request_: Checked) -> None:
    for pair in ("%ff:%fe", "lang:%ED%A0%80", "%00:%00", "lang:%F0%9F%9A%80"):
        reply = request_("GET", f"/v1/search?q=zebra&field={pair}")
        assert (reply.status_code, reply.json()["passages"]) == (200, [])


@settings(max_examples=100)
@given(
    fields=st.dictionaries(st.sampled_from(["lang", "tags"]) | st.text(max_size=8), JSON_VALUES) | JSON_VALUES
)
def test_no_filter_breaks_the_server(fields: object, request_: Checked) -> None:
    content = json.dumps({"question": QUESTION, "filter": {"fields": fields}}).encode()
    reply = request_("POST", "/v1/ask", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code in (200, 400, 422)


@pytest.mark.slow
def test_fields_are_there_after_a_restart_and_a_change(
    stable: Home, tmp_path: Any, start: Callable[..., Server]
) -> None:
    home = stable.copy(tmp_path / "home")
    german = {"fields": {"lang": ["DE"]}}
    first = start(home)
    assert found(first.ask(QUESTION, filter=german)) == {"guides/barn.md"}
    home.write("open.md", PAGE.format(head="lang: de\n", place="open"))
    assert first.reindex()["counts"]["changed"] == 1
    assert found(first.ask(QUESTION, filter=german)) == {"guides/barn.md", "open.md"}
    assert first.stop() == 0
    again = start(home)
    assert found(again.ask(QUESTION, filter=german)) == {"guides/barn.md", "open.md"}
    assert found(again.get("/v1/search", q=QUESTION, field="tags:night")) == {"guides/shed.md"}


def test_the_command_takes_fields(stable: Home) -> None:
    done = stable.run("ask", QUESTION, "--json", "--field", "lang=DE", min_confidence=0)
    assert done.returncode == 0, done.stderr
    assert {one.document_id for one in AskReply.model_validate_json(done.stdout).passages} == {
        "guides/barn.md"
    }
    wanted = ("--field", "lang=en", "--field", "tags=night", "--field", "tags=day", "--in", "guides/")
    done = stable.run("search", "zebra", "--json", *wanted)
    assert done.returncode == 0, done.stderr
    assert [one.document_id for one in SearchReply.model_validate_json(done.stdout).passages] == [
        "guides/shed.md"
    ]
    for arguments in (("lang=fr",), ("lang=en", "--field", b"\xff=x"), ("x=y=z",)):
        done = stable.run("ask", QUESTION, "--field", *arguments)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.startswith("Not in the documents: ") and "Nearest" not in done.stdout


@pytest.mark.parametrize("pair", ["lang", "lang:en", "=en"])
@pytest.mark.parametrize("command", ["ask", "search"])
def test_misuse_of_a_field_ends_with_2(command: str, pair: str, stable: Home) -> None:
    done = stable.run(command, QUESTION, "--field", pair)
    assert done.returncode == 2 and done.stdout == ""
    assert "name=value" in done.stderr and "Traceback" not in done.stderr
