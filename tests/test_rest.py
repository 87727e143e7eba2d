"""The REST interface as integrators see it: replies as docs/openapi.json says, errors of one shape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.app import create_app
from service.settings import Settings
from tests.server import ARTICLE, ROOT, Home, Reply, Unwired, unwired, wait_for

pytest_plugins = ("tests.server",)

OPENAPI: Reply = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))

DEVELOPER = "Who developed PyTorch?"
MARKER = "zebrafinch"
"""Stands in what must not come back."""

ODD = "odd names/ü 100% #1? & 'x'.md"
HOSTILE = "hostile.md"
HOSTILE_TEXT = (
    "# </h1><script>alert(1)</script> & \"quoted\" 'title'\n\n"
    "The text ends here: </pre><img src=x onerror=alert(2)> {title} &#13; &amp; 🚀 done.\n"
)
WINDOWS = "windows.txt"
WINDOWS_TEXT = (
    "\r\nFirst line 🚀.\r\nA lone\rreturn, a form\ffeed and a C1 \x85 control.\r\n\nThe end of it.\r\n"
)
UNREADABLE = "unreadable.md"


class Checked(Unwired):
    """Requests whose replies are held to the contract, whatever they are."""

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        reply = super().__call__(method, path, **given)
        assert reply.status_code < 500 or reply.status_code == 503, reply.text
        check_envelope(reply)
        if reply.status_code >= 400 and method != "HEAD":
            check_problem(reply)
        check_documented(reply)
        return reply

    def ask(self, question: str, **fields: Any) -> Reply:
        """Return the reply to a question that can be asked."""
        reply = self("POST", "/v1/ask", json={"question": question, **fields})
        assert reply.status_code == 200, reply.text
        read: Reply = reply.json()
        return read

    def get(self, path: str, **query: Any) -> Reply:
        """Return the JSON at a path."""
        reply = self("GET", path, params=query)
        assert reply.status_code == 200, reply.text
        read: Reply = reply.json()
        return read

    def finished(self, address: str) -> Reply:
        """Return a job once it is over."""
        wait_for(lambda: self.get(address)["finished_at"], "the job to end")
        return self.get(address)


def check_envelope(reply: httpx.Response) -> None:
    """Fail unless a reply carries what every reply carries."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", reply.headers["x-request-id"])
    assert "x-index-version" in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff"


def check_problem(reply: httpx.Response) -> None:
    """Fail unless an error has the one shape of errors."""
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert {*body} - {"errors"} == {"type", "title", "status", "detail", "instance", "request_id"}
    assert body["status"] == reply.status_code
    assert body["request_id"] == reply.headers["x-request-id"]
    assert misfits(body, {"$ref": "#/components/schemas/Problem"}) == []
    assert body["detail"] and MARKER not in reply.text.replace(body["instance"], "")


def check_documented(reply: httpx.Response) -> None:
    """Fail unless docs/openapi.json has this status for this route, with a schema that the body fits."""
    route = route_of(reply.request.url.path)
    described = OPENAPI["paths"].get(route, {}).get(reply.request.method.lower())
    if described is None:
        return
    assert str(reply.status_code) in described["responses"], f"{reply.status_code} at {route}: {reply.text}"
    content = described["responses"][str(reply.status_code)].get("content", {})
    media = reply.headers.get("content-type", "").partition(";")[0]
    assert (media in content) if reply.content else not content
    if "schema" in content.get(media, {}):
        assert misfits(reply.json(), content[media]["schema"]) == []


def route_of(path: str) -> str | None:
    """Return the documented path that a request's path is for, the most literal one."""
    fitting = [
        route
        for route in OPENAPI["paths"]
        if re.fullmatch("(.+)".join(re.escape(part) for part in re.split(r"\{\w+\}", route)), path)
    ]
    return max(fitting, key=len, default=None)


KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def misfits(value: Any, schema: Reply, place: str = "$") -> list[str]:
    """Return where a value breaks a JSON schema, as far as ours go; fields it does not name break it too."""
    if "$ref" in schema:
        return misfits(value, OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]], place)
    if "anyOf" in schema:
        tried = [misfits(value, one, place) for one in schema["anyOf"]]
        return min(tried, key=len)
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is none of {schema['enum']}"]
    kind = schema.get("type")
    if kind and (not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return [f"{place}: {value!r} is no {kind}"]
    if isinstance(value, dict):
        return _misfits_of_fields(value, schema, place)
    if isinstance(value, list):
        return [
            one
            for at, item in enumerate(value)
            for one in misfits(item, schema.get("items", {}), f"{place}[{at}]")
        ]
    return []


def _misfits_of_fields(value: Reply, schema: Reply, place: str) -> list[str]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    found = [f"{place}: no {name}" for name in schema.get("required", []) if name not in value]
    for name, field in value.items():
        if name in known or isinstance(rest, dict):
            found += misfits(field, known.get(name, rest), f"{place}.{name}")
        else:
            found.append(f"{place}: {name} is not documented")
    return found


@pytest.fixture(scope="module")
def shelf(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return the library with documents that are hard to carry."""
    home = library.copy(tmp_path_factory.mktemp("shelf"))
    home.write(ODD, "# Oddly named\n\nThe quagga is an extinct subspecies of zebra.\n")
    home.write(HOSTILE, HOSTILE_TEXT)
    home.write(WINDOWS, WINDOWS_TEXT)
    home.write(UNREADABLE, b"\xff\xff")
    assert home.run("index").returncode == 0
    return home


@pytest.fixture(scope="module")
def request_(shelf: Home) -> Iterator[Checked]:
    """Return the application over the shelf, with the settings as they come."""
    with opened(shelf) as checked:
        yield checked


@contextmanager
def opened(home: Home, **settings: Any) -> Iterator[Checked]:
    """Give the application over `home`, held to the contract."""
    with unwired(home, **settings) as plain:
        yield Checked(plain.app)


def test_these_tests_see_what_breaks_a_schema() -> None:
    schema = {"$ref": "#/components/schemas/Health"}
    assert misfits({"status": "ok"}, schema) == []
    wrong: list[object] = [{}, {"status": "bad"}, {"status": 1}, {"status": "ok", "more": 1}, [], None]
    assert [one for one in wrong if not misfits(one, schema)] == []


# ---------------------------------------------------------------- asking


def test_an_answer_fits_what_is_documented(request_: Checked) -> None:
    reply = request_.ask(DEVELOPER)
    assert reply["answer"]["text"] == "Facebook AI Research"
    assert "trace" not in reply
    assert reply["query"]["asked"] == DEVELOPER
    assert reply["index_version"] == request_.get("/v1/index")["version"]


def test_an_explained_answer_has_its_trace(request_: Checked) -> None:
    reply = request_.ask(DEVELOPER, explain=True)
    trace = reply["trace"]
    assert {one["passage_id"] for one in trace["passages"]} == {
        one["passage_id"] for one in reply["passages"]
    }
    assert trace["candidates"][0]["text"] == reply["answer"]["text"]
    assert trace["candidates"][0]["confidence"] == pytest.approx(reply["answer"]["confidence"], abs=1e-3)
    assert trace["threshold"] <= reply["answer"]["confidence"]


def test_asking_by_address_answers_as_by_body(request_: Checked) -> None:
    by_address = request_.get("/v1/ask", q=DEVELOPER, top_k=3)
    by_body = request_.ask(DEVELOPER, top_k=3)
    assert {**by_address, "took_ms": 0} == {**by_body, "took_ms": 0}
    assert request_.get("/v1/search", q=DEVELOPER, top_k=3)["passages"] == by_body["passages"]


def test_the_entity_tag_stands_for_question_index_and_settings(request_: Checked, shelf: Home) -> None:
    def tag(request: Checked, **query: Any) -> str:
        return str(request("GET", "/v1/ask", params=query).headers["etag"])

    first = tag(request_, q=DEVELOPER)
    assert first == tag(request_, q=DEVELOPER) and re.fullmatch(r'"[0-9a-f]{32}"', first)
    others = {
        tag(request_, q=DEVELOPER, top_k=3),
        tag(request_, q="Who developed TensorFlow?"),
        tag(request_, q=DEVELOPER, documents="odd"),
    }
    with opened(shelf, min_confidence=0.9) as strict:
        others.add(tag(strict, q=DEVELOPER))
    assert len(others) == 4 and first not in others
    for header in (first, f"W/{first}", f'"x", {first}', "*"):
        reply = request_("GET", "/v1/ask", params={"q": DEVELOPER}, headers={"If-None-Match": header})
        assert (reply.status_code, reply.content) == (304, b"")
    reply = request_("GET", "/v1/ask", params={"q": DEVELOPER}, headers={"If-None-Match": first[:-2] + '"'})
    assert reply.status_code == 200


@pytest.mark.parametrize("question", [DEVELOPER, "What is the capital of France?", "quagga"])
def test_top_k_changes_the_number_of_passages_alone(question: str, request_: Checked) -> None:
    most = request_.ask(question, top_k=50)
    for count in (1, 2, 5):
        fewer = request_.ask(question, top_k=count)
        assert len(fewer["passages"]) == count
        assert fewer["passages"] == most["passages"][:count]
        same = ("status", "reason", "answer", "alternatives")
        assert [fewer[name] for name in same] == [most[name] for name in same]


def test_a_filter_keeps_to_its_documents(request_: Checked) -> None:
    for prefixes in (["odd names/"], [WINDOWS, HOSTILE], [ARTICLE.name]):
        reply = request_.ask(DEVELOPER, top_k=50, min_confidence=0, filter={"documents": prefixes})
        assert reply["passages"]
        cited = [one["document_id"] for one in reply["answer"]["citations"]] if reply["answer"] else []
        found = [one["document_id"] for one in reply["passages"]] + cited
        assert [one for one in found if not one.startswith(tuple(prefixes))] == []
    by_address = request_.get("/v1/search", q=DEVELOPER, documents=["odd names/", HOSTILE])
    assert {one["document_id"] for one in by_address["passages"]} == {ODD, HOSTILE}
    nowhere = request_.ask(DEVELOPER, filter={"documents": ["no such/"]})
    assert (nowhere["status"], nowhere["reason"], nowhere["passages"]) == ("not_found", "no_candidate", [])


def test_min_confidence_decides_what_is_given(request_: Checked) -> None:
    assert request_.ask(DEVELOPER, min_confidence=1)["reason"] == "below_threshold"
    sure = request_.ask(DEVELOPER, min_confidence=0)["answer"]["confidence"]
    assert request_.ask(DEVELOPER, min_confidence=max(0, sure - 0.01))["status"] == "answered"
    assert request_.ask("What is the capital of France?", min_confidence=0)["status"] == "answered"


@pytest.mark.parametrize("question", ["?", "?!… 🚀", " ", "\t\n", "\x00\x1b", "the of and", "\u202e\u200b"])
def test_what_asks_nothing_is_not_found(question: str, request_: Checked) -> None:
    reply = request_.ask(question)
    assert reply["status"] == "not_found" and reply["reason"] in ("not_a_question", "no_candidate")


@pytest.mark.parametrize("question", ["?" * 2000, "w" * 2000, "who " * 500, "🚀" * 2000, "a"])
def test_questions_of_any_allowed_length_are_answered(question: str, request_: Checked) -> None:
    assert request_.ask(question)["query"]["asked"] == question


def test_answers_repeat_to_the_byte(request_: Checked) -> None:
    first, second = (request_.ask(DEVELOPER, explain=True) for _ in range(2))
    assert {**first, "took_ms": 0} == {**second, "took_ms": 0}


# ---------------------------------------------------------------- what is refused


DEEP = 100_000
REFUSED = {
    "no body": b"",
    "null": b"null",
    "a list": b"[]",
    "a string": b'"zebrafinch"',
    "not JSON": b"zebrafinch",
    "cut off": b'{"question": "zebrafinch',
    "invalid UTF-8": b'{"question": "zebrafinch \xff"}',
    "lone surrogate": b'{"question": "zebrafinch \\ud800"}',
    "lone surrogate in the history": b'{"question":"x","history":[{"role":"user","content":"\\udfff"}]}',
    "lone surrogate in the filter": b'{"question": "x", "filter": {"documents": ["\\ud800zebrafinch"]}}',
    "brackets": b"[" * DEEP,
    "nested lists": b'{"question": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "nested objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "no question": b"{}",
    "empty question": b'{"question": ""}',
    "question too long": b'{"question": "' + b"w" * 2001 + b'"}',
    "question of another type": b'{"question": {"zebrafinch": ["zebrafinch"]}}',
    "unknown field": b'{"question": "x", "zebrafinch": "zebrafinch"}',
    "hostile field": b'{"question": "x", "<script>zebrafinch</script>": 1}',
    "field that is no text": b'{"question": "x", "zebrafinch\\ud800": 1}',
    "unknown field in the filter": b'{"question": "x", "filter": {"zebrafinch": 1}}',
    "unknown field of a turn": b'{"question":"x","history":[{"role":"user","content":"","zebrafinch":1}]}',
    "unknown role": b'{"question": "x", "history": [{"role": "zebrafinch", "content": ""}]}',
    "long history": b'{"question": "x", "history": ['
    + b",".join([b'{"role":"user","content":""}'] * 101)
    + b"]}",
    "top_k 0": b'{"question": "x", "top_k": 0}',
    "top_k 51": b'{"question": "x", "top_k": 51}',
    "top_k -1": b'{"question": "x", "top_k": -1}',
    "top_k NaN": b'{"question": "x", "top_k": NaN}',
    "top_k 1e999": b'{"question": "x", "top_k": 1e999}',
    "top_k of 5,000 digits": b'{"question": "x", "top_k": ' + b"9" * 5000 + b"}",
    "top_k of 4,000 digits": b'{"question": "x", "top_k": ' + b"9" * 4000 + b"}",
    "top_k half": b'{"question": "x", "top_k": 1.5}',
    "min_confidence NaN": b'{"question": "x", "min_confidence": NaN}',
    "min_confidence -Infinity": b'{"question": "x", "min_confidence": -Infinity}',
    "min_confidence 1e999": b'{"question": "x", "min_confidence": 1e999}',
    "min_confidence 2": b'{"question": "x", "min_confidence": 2}',
    "empty prefix": b'{"question": "x", "filter": {"documents": [""]}}',
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_body_is_refused_without_being_repeated(case: str, request_: Checked) -> None:
    for path in ("/v1/ask", "/v1/verify", "/v1/reindex"):
        if path == "/v1/reindex" and case in ("no body", "null"):
            continue  # there, a body is not needed
        reply = request_("POST", path, content=REFUSED[case], headers={"Content-Type": "application/json"})
        assert reply.status_code in (400, 422) or (path == "/v1/reindex" and case == "no question")
        assert "script" not in reply.text


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml; ü"]
)
def test_a_body_of_another_type_is_refused(media: str, request_: Checked) -> None:
    headers = {"Content-Type": media.encode()}
    reply = request_("POST", "/v1/ask", content=b'{"question": "zebrafinch"}', headers=headers)
    assert reply.status_code == 422


QUERIES = ["", "q=", "q=x&top_k=0", "q=x&top_k=51", "q=x&top_k=zebrafinch", "q=x&zebrafinch=1", "top_k=3"]


@pytest.mark.parametrize("query", [*QUERIES, "q=" + "w" * 2001, "q=x&top_k=1e999", "q=x&%FF%00<script>=1"])
@pytest.mark.parametrize("path", ["/v1/ask", "/v1/search"])
def test_a_bad_address_is_refused_without_being_repeated(path: str, query: str, request_: Checked) -> None:
    reply = request_("GET", f"{path}?{query}")
    assert reply.status_code == 422 and reply.json()["errors"]
    assert "script" not in reply.text


def test_strange_bytes_in_an_address_are_a_question_like_any_other(request_: Checked) -> None:
    for query in ("q=%ff%fe", "q=%ED%A0%80", "q=%00", "q=%F0%9F%9A%80"):
        assert request_("GET", f"/v1/ask?{query}").status_code == 200


def test_a_large_body_is_refused_however_it_comes(request_: Checked) -> None:
    large = b'{"question": "' + b"w" * (1024 * 1024) + b'"}'
    parts = (large[at : at + 10_000] for at in range(0, len(large), 10_000))
    for body in (large, parts):
        reply = request_("POST", "/v1/ask", content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code == 413
    lying = {"Content-Type": "application/json", "Content-Length": "10"}
    reply = request_("POST", "/v1/ask", content=iter([large]), headers=lying)
    assert reply.status_code == 413
    exactly = b'{"question": "x"}'
    reply = request_("POST", "/v1/ask", content=exactly + b" " * (1024 * 1024 - len(exactly)))
    assert reply.status_code != 413


def test_the_limits_are_settings(shelf: Home) -> None:
    with opened(shelf, max_question_chars=10, max_top_k=3, max_body_bytes=100) as request:
        assert request("POST", "/v1/ask", json={"question": "w" * 10, "top_k": 3}).status_code == 200
        assert request("POST", "/v1/ask", json={"question": "w" * 11}).status_code == 422
        assert request("POST", "/v1/ask", json={"question": "w", "top_k": 4}).status_code == 422
        assert request("POST", "/v1/ask", json={"question": "w" * 100}).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/ask/", 404),
        ("GET", "/v1/documents/zebrafinch.md", 404),
        ("GET", "/v1/documents/zebrafinch.md/text", 404),
        ("GET", "/v1/documents/%00%ff%1b%5b2J", 404),
        ("GET", "/v1/documents/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/v1/documents/" + "w" * 5000, 404),
        ("GET", "/v1/documents?cursor=%C3%A9", 422),
        ("GET", "/v1/documents?cursor=_w", 422),
        ("GET", "/v1/documents?limit=0", 422),
        ("GET", "/v1/documents?limit=1001", 422),
        ("GET", "/v1/jobs/zebrafinch", 404),
        ("DELETE", "/v1/jobs/zebrafinch", 404),
        ("GET", "/documents/zebrafinch.md", 404),
        ("GET", "/assets/zebrafinch.js", 404),
        ("GET", "/assets/..%2f..%2f__main__.py", 404),
        ("GET", "/static-offline-docs/zebrafinch", 404),
        ("PUT", "/v1/ask", 405),
        ("DELETE", "/v1/index", 405),
        ("POST", "/livez", 405),
        ("BREW", "/v1/ask", 405),
        ("OPTIONS", "/v1/ask", 405),
        ("HEAD", "/v1/ask", 405),
    ],
)
def test_every_refusal_has_the_one_shape(method: str, path: str, status: int, request_: Checked) -> None:
    reply = request_(method, path)
    assert reply.status_code == status
    assert status != 405 or reply.headers["allow"]


@pytest.mark.parametrize("host", ["[", "a b", "x:99999", "x/../y", "\xe9", "]", "", "a@b"])
def test_a_strange_host_breaks_nothing(host: str, request_: Checked) -> None:
    reply = request_("GET", "/nowhere", headers={"Host": host.encode()})
    assert reply.status_code in (400, 404)


def test_hosts_that_are_not_allowed_are_refused(shelf: Home) -> None:
    with opened(shelf, allowed_hosts=["docs.example", "::1"]) as request:
        for host in ("docs.example", "DOCS.example:8000", "[::1]:8000"):
            assert request("GET", "/version", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "docs.example.evil.example", ""):
            assert request("GET", "/version", headers={"Host": host}).status_code == 400
            # Whoever looks after the server asks by its bare address.
            assert request("GET", "/readyz", headers={"Host": host}).status_code == 200


def test_an_error_nobody_foresaw_says_nothing_of_its_cause(shelf: Home) -> None:
    def broken() -> None:
        raise RuntimeError(MARKER)

    with unwired(shelf) as request:
        request.app.add_api_route("/broken", broken)
        reply = request("GET", "/broken")
    assert reply.status_code == 500
    check_envelope(reply)
    check_problem(reply)


def test_before_the_index_is_open_every_door_says_so(shelf: Home) -> None:
    app = create_app(Settings(corpus=shelf.corpus, data=shelf.data, model=str(shelf.encoder)))
    request = Checked(app)
    for path in ("/readyz", "/v1/index", "/v1/ask?q=x", "/v1/search?q=x", "/v1/documents", "/documents/x.md"):
        reply = request("GET", path)
        assert (reply.status_code, reply.json()["type"]) == (503, "urn:pullquote:problem:no-index")
        assert reply.headers["x-index-version"] == ""
    assert request("POST", "/v1/ask", json={"question": DEVELOPER}).status_code == 503
    assert request("GET", "/livez").status_code == 200
    assert request("GET", "/version").json()["index_version"] is None


def test_a_well_formed_request_id_is_kept(request_: Checked) -> None:
    for given_id in ("a", "Trace_42-x", "w" * 64):
        reply = request_("GET", "/nowhere", headers={"X-Request-Id": given_id})
        assert reply.headers["x-request-id"] == given_id
    for given_id in ("", "a b", "w" * 65, "é", "<script>", "a\tb"):
        reply = request_("GET", "/nowhere", headers={"X-Request-Id": given_id.encode()})
        assert reply.headers["x-request-id"] != given_id
    assert len({request_("GET", "/livez").headers["x-request-id"] for _ in range(5)}) == 5


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NEAR = st.fixed_dictionaries(
    {"question": st.text(min_size=1, max_size=30) | JSON_VALUES},
    optional={
        "top_k": st.integers(-1, 60) | JSON_VALUES,
        "history": st.lists(
            st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text()})
            | JSON_VALUES,
            max_size=3,
        ),
        "filter": st.fixed_dictionaries({}, optional={"documents": st.lists(st.text(), max_size=3)})
        | JSON_VALUES,
        "min_confidence": st.floats() | JSON_VALUES,
        "explain": st.booleans() | JSON_VALUES,
    },
)


@settings(max_examples=150)
@given(body=NEAR | JSON_VALUES)
def test_no_body_breaks_the_server(body: object, request_: Checked) -> None:
    content = json.dumps(body).encode()
    reply = request_("POST", "/v1/ask", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code in (200, 400, 422)


@settings(max_examples=50)
@given(body=st.binary(max_size=60))
def test_no_bytes_break_the_server(body: bytes, request_: Checked) -> None:
    for path in ("/v1/ask", "/v1/verify"):
        reply = request_("POST", path, content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code in (400, 422)


# ---------------------------------------------------------------- verifying


def test_citations_hold_move_or_are_gone(request_: Checked) -> None:
    answer = request_.ask(DEVELOPER)["answer"]["citations"][0]
    start, end = answer["start_char"], answer["end_char"]
    shifted = {**answer, "start_char": start - 40, "end_char": end - 40}
    other = {**answer, "quote": "Facebook BI Research"}
    nowhere = {**answer, "document_id": "zebrafinch.md"}
    beyond = {**answer, "start_char": 10**30, "end_char": 10**30 + 1}
    sent = [answer, shifted, other, nowhere, beyond]
    reply = request_("POST", "/v1/verify", json={"citations": sent}).json()
    assert [one["status"] for one in reply["results"]] == ["holds", "moved", "gone", "gone", "moved"]
    for one in (reply["results"][0], reply["results"][1], reply["results"][4]):
        assert (one["start_char"], one["end_char"], one["url"]) == (start, end, answer["url"])
    assert reply["results"][2] == {"status": "gone", "start_char": None, "end_char": None, "url": None}


def test_a_repeated_quotation_is_found_where_it_is_nearest(request_: Checked) -> None:
    text = ARTICLE.read_text(encoding="utf-8")
    words = "dynamic computation graphs"
    places = [found.start() for found in re.finditer(words, text)]
    assert len(places) > 3
    for place in places:
        cited = {"document_id": ARTICLE.name, "quote": words, "start_char": place + 3, "end_char": place + 9}
        result = request_("POST", "/v1/verify", json={"citations": [cited]}).json()["results"][0]
        assert (result["status"], result["start_char"]) == ("moved", place)


# ---------------------------------------------------------------- documents


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
    assert request_("GET", "/").headers["location"] == "/docs"
    assert request_("GET", "/openapi.json").json() == OPENAPI


# ---------------------------------------------------------------- changes


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


def test_signs_of_life(request_: Checked) -> None:
    assert request_.get("/livez") == {"status": "ok"}
    assert request_.get("/readyz") == {"status": "ready"}
    assert request_.get("/version")["index_version"] == request_.get("/v1/index")["version"]


def test_a_document_is_known_by_any_name_a_client_may_use(request_: Checked) -> None:
    # An id is data: dots, double slashes and escapes lead to nothing else.
    for path in (f"./{ARTICLE.name}", f"x/../{ARTICLE.name}", f"/{ARTICLE.name}", f"{ARTICLE.name}/"):
        assert request_("GET", f"/v1/documents/{quote(path, safe='')}").status_code == 404
