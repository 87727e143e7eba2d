"""What is logged: one whole line a message, its ids, and never what was asked unless that is switched on."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from index.encoder import OnnxEncoder
from service import logs
from service.settings import Settings
from tests.server import Home, Unwired, unwired

pytest_plugins = ("tests.server",)

WORD = "zebrafinch"
KEY = "a key that nobody may read"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
FORMATS = ("json", "console")
HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\n\r\x00\x1b\x85\u2028\u202e\ud800\udfff\"{}=' ")),
    max_size=40,
)


@contextmanager
def logged(**settings: Any) -> Iterator[io.StringIO]:
    """Give what is logged in the block, at every level."""
    written = io.StringIO()
    with redirect_stderr(written):
        logs.configure(Settings(log_level="debug", **settings))
        # A logger that a test has used would keep to the settings of that test.
        structlog.configure(cache_logger_on_first_use=False)
        for name, module in list(sys.modules.items()):
            if name.startswith("service.") and hasattr(module, "log"):
                vars(module.log).pop("bind", None)
        yield written
    structlog.reset_defaults()
    logging.getLogger().handlers = [
        one for one in logging.getLogger().handlers if type(one).__module__ != logs.__name__
    ]


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    """Return what was logged as JSON; a line that is none fails the test."""
    return [json.loads(line) for line in written.getvalue().splitlines()]


def requests(written: io.StringIO) -> list[dict[str, Any]]:
    return [one for one in lines(written) if one["event"] == "request"]


# ---------------------------------------------------------------- one line a message


@given(name=HOSTILE, value=HOSTILE)
@pytest.mark.parametrize("form", FORMATS)
def test_a_message_is_one_line_whatever_is_in_it(form: str, name: str, value: str) -> None:
    with logged(log_format=form) as written:
        structlog.get_logger().warning(name, problem=value, number=1)
    text = written.getvalue()
    assert text.endswith("\n") and text[:-1].isprintable()
    text.encode("utf-8")
    if form == "json":
        [read] = lines(written)
        assert (read["event"], read["problem"]) == (name, value)


@pytest.mark.parametrize("form", FORMATS)
def test_what_an_error_says_cannot_pass_for_another_message(form: str) -> None:
    said = "\n2026-01-01 00:00:00 [info     ] request   status=200\x1b[2J"
    with logged(log_format=form, log_questions=True) as written:
        try:
            raise ValueError(said)
        except ValueError as error:
            structlog.get_logger().error("unexpected error", exc_info=error)
    begun = [line for line in written.getvalue().splitlines() if line[:1] in "2{"]
    assert len(begun) == 1 and "\x1b" not in written.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_requests_are_logged_in_one_line_each(library: Home, form: str) -> None:
    with unwired(library) as request, logged(log_format=form) as written:
        for path in ("/a%0Ab%1B%5B2J", "/%ED%A0%80", "/%E2%80%AE%C2%85", "/%00"):
            assert request("GET", path).status_code == 404
        request("GET", "/livez", headers={"X-Request-Id": "a\x7fb", "User-Agent": "x"})
    found = written.getvalue()
    assert all(line.isprintable() for line in found.splitlines())
    assert len(found.splitlines()) == 5
    assert found.count("[info") == (5 if form == "console" else 0)


# ---------------------------------------------------------------- what a line of a request has


def test_a_request_says_who_asked_what_came_of_it_and_how_long_its_stages_took(library: Home) -> None:
    with unwired(library) as request, logged(log_format="json") as written:
        reply = request("GET", "/v1/ask", params={"q": "Who developed PyTorch?"}, sender="203.0.113.9")
        request("GET", "/v1/ask", params={"q": "hello"})
        request("GET", "/v1/ask", params={"q": "hello"})
    first, second, third = requests(written)
    assert first["request_id"] == reply.headers["x-request-id"] and first["client"] == "203.0.113.9"
    assert (first["method"], first["path"], first["status"]) == ("GET", "/v1/ask", 200)
    assert first["outcome"] == "answered" and second["outcome"] == third["outcome"] == "not_a_question"
    for name in ("encode_ms", "search_ms", "read_ms"):
        assert first[name] == pytest.approx(reply.json()["took_ms"][name.removesuffix("_ms")], abs=0.1)
        assert name not in third, "it was remembered"
    assert first["ms"] >= first["read_ms"] and {"level", "timestamp"} <= first.keys()
    assert "trace_id" not in first and "traceresponse" not in reply.headers


def test_a_trace_is_taken_from_the_request_logged_and_named_in_the_reply(library: Home) -> None:
    given = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    with unwired(library) as request, logged(log_format="json") as written:
        reply = request("GET", "/version", headers=given)
        failed = request("GET", "/nowhere", headers=given)
    first, second = requests(written)
    assert (
        (first["trace_id"], first["parent_id"])
        == (TRACE, PARENT)
        == (second["trace_id"], second["parent_id"])
    )
    assert len(first["span_id"]) == 16 and first["span_id"] not in (PARENT, second["span_id"])
    assert reply.headers["traceresponse"] == f"00-{TRACE}-{first['span_id']}-00", "nothing is recorded here"
    assert failed.headers["traceresponse"] == f"00-{TRACE}-{second['span_id']}-00"


def test_a_trace_that_is_not_valid_is_none(library: Home) -> None:
    with unwired(library) as request, logged(log_format="json") as written:
        for value in (f"00-{TRACE.upper()}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", "", "\xff" * 55):
            reply = request("GET", "/livez", headers=[("traceparent", value.encode("latin-1"))])
            assert reply.status_code == 200 and "traceresponse" not in reply.headers
        twice = [("traceparent", f"00-{TRACE}-{PARENT}-01")] * 2
        assert "traceresponse" not in request("GET", "/livez", headers=twice).headers
    assert len(requests(written)) == 5
    assert not any("trace_id" in one for one in requests(written))


# ---------------------------------------------------------------- what no line may have


def ask_everywhere(request: Unwired, question: str) -> list[int]:
    """Return the statuses of a question asked by every door, also of requests that are not valid."""
    messages = [{"role": "user", "content": question}]
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/ask", {"question": question}),
        ("/v1/ask", {"question": question, "history": messages}),
        ("/v1/ask", {"question": question, "filter": {"documents": [question]}}),
        ("/v1/ask", {"question": question, "top_k": question}),
        ("/v1/ask", {"question": question, question: 1}),
        (
            "/v1/verify",
            {"citations": [{"document_id": question, "quote": question, "start_char": 0, "end_char": 1}]},
        ),
        ("/v1/chat/completions", {"model": "pullquote", "messages": messages}),
        ("/v1/chat/completions", {"model": "pullquote", "messages": messages, "stream": True}),
        ("/v1/chat/completions", {"model": question, "messages": messages, "n": question}),
        ("/v1/responses", {"model": "pullquote", "input": question}),
        ("/v1/embeddings", {"model": "pullquote", "input": question}),
    ]
    statuses = [request("POST", path, json=body).status_code for path, body in bodies]
    for path in ("/v1/ask", "/v1/search"):
        ways: list[dict[str, str]] = [{}, {"top_k": question}, {"as_of": question[:60]}, {"field": question}]
        statuses += [request("GET", path, params={"q": question, **more}).status_code for more in ways]
        streamed = {"Accept": "text/event-stream"}
        statuses.append(request("GET", path, params={"q": question}, headers=streamed).status_code)
    return statuses


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("broken", [False, True])
def test_nothing_that_is_asked_is_logged_also_where_something_breaks(
    library: Home, form: str, broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = f"Where does the {WORD} sleep?"

    def fails(self: OnnxEncoder, questions: list[str]) -> None:
        try:
            raise KeyError(questions[0])
        except KeyError as error:
            raise ValueError(f"cannot encode {questions!r}") from error

    with unwired(library, admin_key=KEY) as request, logged(log_format=form) as written:
        if broken:
            monkeypatch.setattr(OnnxEncoder, "encode_questions", fails)
        statuses = ask_everywhere(request, question)
        for name in ("Authorization", "X-API-Key"):
            value = f"Bearer {KEY}" if name == "Authorization" else KEY
            request("POST", "/v1/reindex", headers={name: value}, json={"dry_run": True})
            request("POST", "/v1/reindex", headers={name: f"{value} {WORD}"}, json={})
        logging.getLogger("mcp.server").warning("cannot read %r", question)
    assert 422 in statuses and (500 in statuses) == broken
    found = written.getvalue()
    assert len(found.splitlines()) >= len(statuses)
    assert WORD not in found and KEY not in found
    if broken:
        assert "ValueError" in found and "KeyError" in found and "in fails" in found, (
            "the cause is told all the same"
        )


def test_what_is_asked_is_logged_where_that_is_switched_on(library: Home) -> None:
    question = f"Where does the {WORD} sleep?"
    with (
        unwired(library, log_questions=True) as request,
        logged(log_format="json", log_questions=True) as written,
    ):
        request("GET", "/v1/ask", params={"q": question})
        request("GET", "/livez")
    first, second = requests(written)
    assert first["question"] == question and "question" not in second


# ---------------------------------------------------------------- what libraries log


def test_warnings_of_libraries_come_as_ours_do(capsys: pytest.CaptureFixture[str]) -> None:
    with logged(log_format="json") as written:
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
        logging.getLogger("uvicorn.error").info("too quiet")
        logging.getLogger("another").error("about %s", WORD)
        try:
            raise ValueError(WORD)
        except ValueError:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    first, second, third = lines(written)
    assert (first["event"], first["level"], first["logger"]) == (
        "Invalid HTTP request received.",
        "warning",
        "uvicorn.error",
    )
    assert second["event"] == logs.WITHHELD and second["place"].startswith("test_logs.py:")
    assert "ValueError" in third["exception"] and WORD not in written.getvalue()
    assert "ValueError" not in capsys.readouterr().err


def test_errors_of_the_system_say_what_it_said() -> None:
    with logged(log_format="json") as written:
        try:
            open("/nowhere/at all")  # noqa: PTH123, SIM115
        except OSError:
            structlog.get_logger().error("it broke", exc_info=True)
    [read] = lines(written)
    assert "No such file or directory: '/nowhere/at all'" in read["exception"]
    assert sys.exc_info() == (None, None, None)
