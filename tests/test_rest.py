"""The REST interface as integrators see it: replies as docs/openapi.json says, errors of one shape."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.app import create_app
from service.settings import Settings
from tests.contract import (
    DEVELOPER,
    HOSTILE,
    JSON_VALUES,
    MARKER,
    ODD,
    WINDOWS,
    Checked,
    check_envelope,
    check_problem,
    misfits,
    opened,
)
from tests.server import ARTICLE, Home, unwired

__all__ = ["JSON_VALUES", "MARKER", "Checked", "opened"]
"""What the tests of filters take from here."""

pytest_plugins = ("tests.server", "tests.contract")


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


def test_a_search_reads_nothing(request_: Checked) -> None:
    """It finds the passages that are read for an answer, and says nothing of where in them the answer is."""
    found, asked = request_.get("/v1/search", q=DEVELOPER, top_k=50), request_.ask(DEVELOPER, top_k=50)
    assert set(found["took_ms"]) == {"total", "encode", "search"} and "read" in asked["took_ms"]
    assert all(one["highlights"] == [] for one in found["passages"])
    assert any(one["highlights"] for one in asked["passages"])
    ids = [{one["passage_id"] for one in reply["passages"]} for reply in (found, asked)]
    assert ids[0] == ids[1] and len(ids[0]) == len(found["passages"])
    scores = [one["score"] for one in found["passages"]]
    assert scores == sorted(scores, reverse=True)


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
    with opened(shelf, read_only=True, min_confidence=0.9) as strict:
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
        assert reply["passages"], (prefixes, request_.get("/v1/documents"), request_.get("/v1/index"))
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
    limits = {"max_question_chars": 10, "max_top_k": 3, "max_body_bytes": 100}
    with opened(shelf, read_only=True, **limits) as request:
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
    with opened(shelf, read_only=True, allowed_hosts=["docs.example", "::1"]) as request:
        for host in ("docs.example", "DOCS.example:8000", "[::1]:8000"):
            assert request("GET", "/version", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "docs.example.evil.example", ""):
            assert request("GET", "/version", headers={"Host": host}).status_code == 400
            # Whoever looks after the server asks by its bare address.
            assert request("GET", "/readyz", headers={"Host": host}).status_code == 200


def test_an_error_nobody_foresaw_says_nothing_of_its_cause(shelf: Home) -> None:
    def broken() -> None:
        raise RuntimeError(MARKER)

    with unwired(shelf, read_only=True) as request:
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


def test_signs_of_life(request_: Checked) -> None:
    assert request_.get("/livez") == {"status": "ok"}
    assert request_.get("/readyz") == {"status": "ready"}
    assert request_.get("/version")["index_version"] == request_.get("/v1/index")["version"]
