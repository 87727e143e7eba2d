"""What clients of the OpenAI API see: its own client, plain and streamed, and one that is built on it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import httpx2  # what that client speaks with
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_openai import ChatOpenAI
from openai.types.responses import ResponseErrorEvent

from index.encoder import EncoderError
from service.answer import settle
from service.app import create_app
from service.doors import openai_asking
from service.finding import find
from service.openai_text import NOT_FOUND
from service.settings import Settings
from tests.contract import (
    DEVELOPER,
    JSON_VALUES,
    MARKER,
    ODD,
    check_documented,
    check_envelope,
)
from tests.server import ARTICLE, PATIENCE_SECONDS, ROOT, Home, Reply, Server, Unwired, unwired

pytest_plugins = ("tests.server", "tests.contract")

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
NOWHERE = "What is the capital of France?"
LISTED = "Which industries prefer PyTorch?"
STREAM = {"Accept": "text/event-stream"}
PAGE = ROOT / "docs/openai.md"


def user(content: Any) -> Any:
    """Return a message by the user."""
    return {"role": "user", "content": content}


class Held(Unwired):
    """Requests whose replies are held to docs/openapi.json and to that API's shape of errors."""

    def __call__(self, method: str, path: str, **given: Any) -> httpx.Response:
        reply = super().__call__(method, path, **given)
        check_envelope(reply)
        check_documented(reply)
        if reply.status_code >= 400 and method != "HEAD":
            check_error(reply)
        return reply

    def chat(self, *messages: Reply, **fields: Any) -> httpx.Response:
        """Return the reply to a chat completion that is asked for."""
        return self("POST", CHAT, json={"model": "pullquote", "messages": messages, **fields})

    def respond(self, given: Any, **fields: Any) -> httpx.Response:
        """Return the reply to a response that is asked for."""
        return self("POST", RESPONSES, json={"model": "pullquote", "input": given, **fields})


def check_error(reply: httpx.Response) -> None:
    """Fail unless an error has the one shape of that API."""
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert {*body} == {"error"} and {*body["error"]} == {"message", "type", "param", "code"}
    assert body["error"]["message"] and MARKER not in reply.text
    kind = "server_error" if reply.status_code >= 500 else "invalid_request_error"
    assert body["error"]["type"] == kind


@contextmanager
def held(home: Home, **settings: Any) -> Iterator[Held]:
    """Give the application over `home`."""
    with unwired(home, **settings) as plain:
        yield Held(plain.app)


@pytest.fixture(scope="module")
def request_(shelf: Home) -> Iterator[Held]:
    """Return the application over the shelf."""
    with held(shelf) as opened:
        yield opened


# ---------------------------------------------------------------- the text and its annotations


def plain(request: Held, question: str, **fields: Any) -> Reply:
    """Return the reply of /v1/ask."""
    read: Reply = request("POST", "/v1/ask", json={"question": question, **fields}).json()
    return read


@pytest.mark.parametrize(
    "question", [DEVELOPER, LISTED, "What is a quagga?", "When did TensorFlow come out?"]
)
def test_every_quotation_has_its_marker(question: str, request_: Held) -> None:
    asked = plain(request_, question)
    quoted = [one for one in asked["answer"]["citations"] if one["role"] == "answer"]
    message = request_.chat(user(question)).json()["choices"][0]["message"]
    (part,) = request_.respond(question).json()["output"][0]["content"]
    assert message["content"] == part["text"]
    text = part["text"]
    assert re.sub(r" \[\d+\]", "", text) == asked["answer"]["text"]
    assert [one["url_citation"] for one in message["annotations"]] == [
        {name: one[name] for name in ("start_index", "end_index", "url", "title")}
        for one in part["annotations"]
    ]
    for number, (one, cited) in enumerate(zip(part["annotations"], quoted, strict=True), start=1):
        assert one["type"] == "url_citation"
        assert text[one["start_index"] : one["end_index"]] == f"[{number}]"
        assert text[: one["start_index"] - 1].endswith(cited["quote"])
        assert one["url"] == "http://localhost" + cited["url"] and "#c=" in one["url"]
        assert one["title"] == cited["title"]
        page = request_("GET", cited["url"].partition("#")[0])
        assert page.status_code == 200


def test_the_whole_reply_comes_along(request_: Held) -> None:
    asked = plain(request_, DEVELOPER)
    for reply in (request_.chat(user(DEVELOPER)), request_.respond(DEVELOPER)):
        told = reply.json()["pullquote"]
        assert {**told, "took_ms": 0} == {**asked, "took_ms": 0}


def test_where_there_is_no_answer_one_sentence_says_so(request_: Held) -> None:
    chat = request_.chat(user(NOWHERE)).json()
    assert chat["choices"][0]["finish_reason"] == "stop"
    assert chat["choices"][0]["message"]["content"] == NOT_FOUND
    assert chat["choices"][0]["message"]["annotations"] == []
    assert chat["pullquote"]["status"] == "not_found"
    (part,) = request_.respond(NOWHERE).json()["output"][0]["content"]
    assert (part["text"], part["annotations"]) == (NOT_FOUND, [])


def test_earlier_messages_are_the_history(request_: Held) -> None:
    first = request_.chat(user(DEVELOPER)).json()["choices"][0]["message"]
    said = [user(DEVELOPER), {"role": "assistant", "content": first["content"]}, user("And TensorFlow?")]
    asked = plain(request_, "And TensorFlow?", history=said[:2])
    assert asked["query"]["rewrites"] and asked["status"] == "answered"
    system = {"role": "system", "content": "Answer in French."}
    for reply in (request_.chat(system, *said), request_.respond([system, *said])):
        told = reply.json()["pullquote"]
        assert (told["query"], told["answer"]) == (asked["query"], asked["answer"])
    refused = [user(NOWHERE), {"role": "assistant", "content": NOT_FOUND}, user(DEVELOPER)]
    assert request_.chat(*refused).json()["pullquote"]["query"]["used"] == DEVELOPER


@pytest.mark.parametrize("kind", ["text", "input_text"])
def test_content_may_come_in_parts(kind: str, request_: Held) -> None:
    parts = [{"type": kind, "text": "Who developed"}, {"type": kind, "text": "PyTorch?"}]
    for reply in (request_.chat(user(parts)), request_.respond([{"type": "message", **user(parts)}])):
        assert reply.json()["pullquote"]["answer"]["text"] == "Facebook AI Research"


def test_what_comes_after_the_question_is_no_question(request_: Held) -> None:
    told = request_.chat(user(DEVELOPER), {"role": "assistant", "content": None}, user("")).json()
    assert told["pullquote"]["query"]["asked"] == DEVELOPER


def test_tokens_are_those_of_the_encoder(request_: Held) -> None:
    count = request_.app.state.live.current.encoder.count_tokens
    chat = request_.chat({"role": "system", "content": "Be brief."}, user(DEVELOPER)).json()
    asked, told = count("Be brief.") + count(DEVELOPER), count("Facebook AI Research [1]")
    assert chat["usage"] == {
        "prompt_tokens": asked,
        "completion_tokens": told,
        "total_tokens": asked + told,
    }
    usage = request_.respond(DEVELOPER).json()["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (count(DEVELOPER), told)


def test_what_has_no_effect_is_taken(request_: Held) -> None:
    ignored: Reply = {
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 1,
        "max_completion_tokens": 1,
        "seed": 7,
        "stop": ["AI"],
        "user": "u",
        "metadata": {"a": "b"},
        "presence_penalty": 1,
        "store": True,
        "n": 1,
        "tools": [],
        "tool_choice": "none",
        "logprobs": False,
        "modalities": ["text"],
        "response_format": {"type": "text"},
        "reasoning_effort": "high",
        "parallel_tool_calls": True,
    }
    told = request_.chat(user(DEVELOPER), **ignored).json()
    assert told["choices"][0]["message"]["content"] == "Facebook AI Research [1]"
    ignored = {
        "instructions": "Lie.",
        "temperature": 1,
        "max_output_tokens": 16,
        "store": True,
        "tools": [],
        "metadata": {"a": "b"},
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low"},
    }
    assert request_.respond(DEVELOPER, **ignored).json()["output"][0]["content"][0]["text"]


# ---------------------------------------------------------------- errors

IMAGE = {"type": "image_url", "image_url": {"url": f"http://{MARKER}/"}}
TOOL = {"type": "function", "function": {"name": MARKER}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [TOOL]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": MARKER}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": MARKER}}, "audio"),
        ({"messages": [user([IMAGE])]}, "messages.0.content.0"),
        ({"messages": [user("x"), {"role": "tool", "content": MARKER}]}, "messages.1.role"),
        ({"messages": [{"content": MARKER}]}, "messages.0.role"),
    ],
)
def test_what_a_chat_cannot_have_is_refused(fields: Reply, param: str, request_: Held) -> None:
    body = {"model": "pullquote", "messages": [user(DEVELOPER)], **fields}
    reply = request_("POST", CHAT, json=body)
    assert reply.status_code == 400
    assert (reply.json()["error"]["param"], reply.json()["error"]["code"]) == (param, "unsupported_value")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"text": {"format": {"type": "json_schema"}}}, "text"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"background": True}, "background"),
        ({"previous_response_id": MARKER}, "previous_response_id"),
        ({"conversation": {"id": MARKER}}, "conversation"),
        ({"prompt": {"id": MARKER}}, "prompt"),
        ({"input": [{"type": "function_call_output", "output": MARKER}]}, "input.0.type"),
        ({"input": [user([{"type": "input_image"}])]}, "input.0.content.0"),
    ],
)
def test_what_a_response_cannot_have_is_refused(fields: Reply, param: str, request_: Held) -> None:
    reply = request_("POST", RESPONSES, json={"model": "pullquote", "input": DEVELOPER, **fields})
    assert reply.status_code == 400
    assert (reply.json()["error"]["param"], reply.json()["error"]["code"]) == (param, "unsupported_value")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", CHAT, {"model": MARKER, "messages": [user("x")]}, 404),
        ("POST", RESPONSES, {"model": MARKER, "input": "x"}, 404),
        ("POST", EMBEDDINGS, {"model": MARKER, "input": "x"}, 404),
        ("GET", f"/v1/models/{MARKER}", None, 404),
        ("GET", f"/v1/models/a/{MARKER}", None, 404),
        ("GET", f"{CHAT}/{MARKER}", None, 404),
        ("GET", CHAT, None, 405),
        ("DELETE", "/v1/models/pullquote", None, 405),
        ("POST", CHAT, {"model": "pullquote"}, 422),
        ("POST", CHAT, {"model": "pullquote", "messages": []}, 422),
        ("POST", CHAT, {"model": "pullquote", "messages": [{"role": MARKER, "content": "x"}]}, 422),
        ("POST", CHAT, {"model": "pullquote", "messages": [{"role": "system", "content": "x"}]}, 422),
        ("POST", CHAT, {"model": "pullquote", "messages": [user("w" * 2001)]}, 422),
        ("POST", CHAT, {"model": "pullquote", "messages": [user(MARKER)], "n": "many"}, 422),
        ("POST", RESPONSES, {"model": "pullquote", "input": ""}, 422),
        ("POST", RESPONSES, {"model": "pullquote", "input": []}, 422),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": ""}, 422),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": []}, 422),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": ["x"] * 2049}, 422),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": "x", "encoding_format": MARKER}, 422),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": [1, 2]}, 400),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": [[1], [2]]}, 400),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": "x", "dimensions": 100}, 400),
        ("POST", EMBEDDINGS, {"model": "pullquote", "input": ["x", "word " * 300]}, 400),
    ],
)
def test_every_refusal_has_the_one_shape(
    method: str, path: str, body: Reply | None, status: int, request_: Held
) -> None:
    assert request_(method, path, json=body).status_code == status


@pytest.mark.parametrize("path", [CHAT, RESPONSES, EMBEDDINGS])
def test_a_large_body_is_refused_however_it_comes(path: str, request_: Held) -> None:
    large = b'{"model": "' + b"w" * (1024 * 1024) + b'"}'
    parts = (large[at : at + 10_000] for at in range(0, len(large), 10_000))
    for body in (large, parts):
        reply = request_("POST", path, content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code == 413


@pytest.mark.parametrize("host", ["[", "a b", "x:99999", "x/../y", "\xe9", "]", "", "a@b"])
def test_a_strange_host_breaks_nothing(host: str, request_: Held) -> None:
    body = {"model": "pullquote", "messages": [user(DEVELOPER)]}
    reply = request_("POST", CHAT, json=body, headers={"Host": host.encode()})
    assert reply.status_code in (200, 400)


def test_before_the_index_is_open_every_door_says_so(shelf: Home) -> None:
    request = Held(create_app(Settings(corpus=shelf.corpus, data=shelf.data, model=str(shelf.encoder))))
    asked = (
        request.chat(user(DEVELOPER)),
        request.respond(DEVELOPER),
        request("POST", EMBEDDINGS, json={"model": "pullquote", "input": "x"}),
        request("GET", "/v1/models"),
        request("GET", "/v1/models/pullquote"),
    )
    assert {(one.status_code, one.json()["error"]["code"]) for one in asked} == {(503, "no_index")}


def test_an_error_nobody_foresaw_says_nothing_of_its_cause(shelf: Home) -> None:
    def broken() -> None:
        raise RuntimeError(MARKER)

    with held(shelf, read_only=True) as request:
        request.app.add_api_route("/v1/responses/broken", broken)
        assert request("GET", "/v1/responses/broken").status_code == 500


NEAR = st.fixed_dictionaries(
    {
        "model": st.just("pullquote"),
        "messages": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text() | JSON_VALUES}
            )
            | JSON_VALUES,
            max_size=3,
        ),
    },
    optional=dict.fromkeys(("n", "tools", "response_format", "stream", "text", "stop"), JSON_VALUES),
)


@settings(max_examples=150)
@given(body=NEAR | JSON_VALUES)
def test_no_body_breaks_the_server(body: object, request_: Held) -> None:
    headers = {"Content-Type": "application/json"}
    for path in (CHAT, RESPONSES):
        sent = {**body, "input": body.get("messages")} if isinstance(body, dict) else body
        reply = request_("POST", path, content=json.dumps(sent).encode(), headers=headers)
        assert reply.status_code in (200, 400, 404, 422)


# ---------------------------------------------------------------- streamed, part by part


def streamed(
    request: Held,
    path: str,
    *,
    leaves_after: int | None = None,
    waits: threading.Event | None = None,
) -> list[str]:
    """Return what is sent of a streamed reply; the client leaves after so many parts, or stays.

    `waits` is set once the first part has come.
    """
    parts: list[str] = []
    asked = {"messages": [user(DEVELOPER)]} if path == CHAT else {"input": DEVELOPER}
    body = json.dumps({"model": "pullquote", "stream": True, **asked}).encode()

    async def served() -> None:
        left = asyncio.Event()
        sent = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Reply:
            for one in sent:
                return one
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                parts.append(message["body"].decode())
                if waits is not None:
                    waits.set()
                if len(parts) == leaves_after:
                    left.set()
                    await asyncio.sleep(0.1)

        scope: Any = {"type": "http", "method": "POST", "path": path, "raw_path": b"", "scheme": "http"}
        scope |= {"headers": [(b"content-type", b"application/json")], "query_string": b"", "root_path": ""}
        await request.app(scope, receive, send)
        # Whatever had been begun would go on here.
        await asyncio.sleep(0.3)

    asyncio.run(served())
    return parts


BEGINNINGS = {CHAT: 1, RESPONSES: 2}
"""How many parts come before anything is searched."""


@pytest.mark.parametrize("path", BEGINNINGS)
def test_a_stream_begins_before_anything_is_searched(
    path: str, request_: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, searched = threading.Event(), []

    def late(*given: Any, **more: Any) -> Any:
        searched.append(begun.wait(PATIENCE_SECONDS))
        return find(*given, **more)

    monkeypatch.setattr(openai_asking, "find", late)
    parts = streamed(request_, path, waits=begun)
    assert searched == [True]
    first = json.loads(parts[0].partition("data: ")[2])
    if path == CHAT:
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert parts[-1] == "data: [DONE]\n\n"
    else:
        assert (first["type"], first["response"]["status"]) == ("response.created", "in_progress")
        assert '"response.completed"' in parts[-1]


@pytest.mark.parametrize("path", BEGINNINGS)
def test_nothing_is_searched_or_read_for_who_has_left(
    path: str, request_: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str, does: Any) -> Any:
        def run(*given: Any, **more: Any) -> Any:
            done.append(name)
            time.sleep(0.1)
            return does(*given, **more)

        return run

    monkeypatch.setattr(openai_asking, "find", noted("find", find))
    monkeypatch.setattr(openai_asking, "settle", noted("settle", settle))
    assert len(streamed(request_, path, leaves_after=1)) == 1
    assert done == []
    assert len(streamed(request_, path)) > BEGINNINGS[path] + 1
    assert done == ["find", "settle"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(EncoderError("the graph is gone"), "no_encoder"), (RuntimeError(MARKER), "internal_error")],
)
@pytest.mark.parametrize("path", BEGINNINGS)
def test_an_error_after_the_start_is_the_last_part(
    path: str, error: Exception, code: str, request_: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(openai_asking, "settle", broken)
    *before, last = streamed(request_, path)
    assert len(before) == BEGINNINGS[path] and MARKER not in last
    told = json.loads(last.partition("data: ")[2])
    assert (told["error"]["code"], told["error"]["type"]) == (code, "server_error")
    if path == RESPONSES:
        assert last.startswith("event: error\n")
        assert (told["type"], told["code"], told["sequence_number"]) == ("error", code, 2)
        assert told["message"] == told["error"]["message"]
        assert ResponseErrorEvent.model_validate(told).code == code


def test_the_client_raises_what_went_wrong_after_the_start(
    request_: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise EncoderError("the graph is gone")

    monkeypatch.setattr(openai_asking, "settle", broken)
    sent: dict[str, str] = {}
    for path in BEGINNINGS:
        sent[path] = "".join(streamed(request_, path))

    def replied(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(
            200, text=sent[request.url.path], headers={"Content-Type": "text/event-stream"}
        )

    with openai.OpenAI(
        base_url="http://localhost/v1",
        api_key="none",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(replied)),
    ) as client:
        with pytest.raises(openai.APIError, match="the graph is gone"):
            list(client.chat.completions.create(model="pullquote", messages=[user("x")], stream=True))
        with pytest.raises(openai.APIError, match="the graph is gone"):
            list(client.responses.create(model="pullquote", input="x", stream=True))


# ---------------------------------------------------------------- embeddings and models


def test_texts_are_embedded_as_passages_are(request_: Held) -> None:
    encoder = request_.app.state.live.current.encoder
    texts = [f"text {number}" for number in range(40)]
    reply = request_("POST", EMBEDDINGS, json={"model": "pullquote", "input": texts}).json()
    assert [one["index"] for one in reply["data"]] == list(range(40))
    for text, one in zip(texts, reply["data"], strict=True):
        vector = encoder.encode_documents([text])[0].vector
        assert one["embedding"] == pytest.approx(vector.tolist(), abs=1e-5)
    assert reply["usage"]["prompt_tokens"] == sum(map(encoder.count_tokens, texts))
    alone = {"model": "pullquote", "input": texts[0], "dimensions": len(reply["data"][0]["embedding"])}
    assert len(request_("POST", EMBEDDINGS, json=alone).json()["data"]) == 1


def test_nothing_more_is_embedded_for_who_has_left(request_: Held) -> None:
    body = json.dumps({"model": "pullquote", "input": ["a text"] * 2000}).encode()
    waiting: list[Reply] = [
        {"type": "http.request", "body": body, "more_body": False},
        {"type": "http.disconnect"},
    ]
    told: list[Any] = []

    async def receive() -> Reply:
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    async def send(message: Any) -> None:
        told.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": EMBEDDINGS, "raw_path": b"", "scheme": "http"}
    scope |= {"headers": [(b"content-type", b"application/json")], "query_string": b"", "root_path": ""}
    asyncio.run(request_.app(scope, receive, send))
    assert told[0]["status"] == 499 and not any(one.get("body") for one in told)


def test_the_one_model_is_listed(request_: Held) -> None:
    (listed,) = request_("GET", "/v1/models").json()["data"]
    assert listed == request_("GET", "/v1/models/pullquote").json()
    assert listed["id"] == "pullquote" and listed["created"] > 1_700_000_000


# ---------------------------------------------------------------- real clients on a real server


@pytest.fixture(scope="module")
def server(shelf: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server of the shelf."""
    started = Server(shelf.copy(tmp_path_factory.mktemp("openai")))
    yield started
    started.end()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    """Return that API's own client, which checks what comes back."""
    with openai.OpenAI(
        base_url=f"{server.address}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


@pytest.mark.slow
def test_the_client_reads_annotations_and_the_whole_reply(server: Server, client: openai.OpenAI) -> None:
    chat = client.chat.completions.create(model="pullquote", messages=[user(DEVELOPER)])
    message = chat.choices[0].message
    (cited,) = message.annotations or []
    assert message.content == "Facebook AI Research [1]"
    place = cited.url_citation
    assert message.content[place.start_index : place.end_index] == "[1]"
    assert place.url.startswith(f"{server.address}/documents/{ARTICLE.name}#c=")
    assert httpx.get(place.url).status_code == 200
    assert (chat.model_extra or {})["pullquote"]["answer"]["text"] == "Facebook AI Research"
    response = client.responses.create(model="pullquote", input=DEVELOPER)
    part: Any = response.output[0].content[0]  # type: ignore[union-attr,index]
    assert part.annotations[0].url == place.url
    assert (response.model_extra or {})["pullquote"]["status"] == "answered"


@pytest.mark.slow
def test_a_streamed_chat_ends_as_that_api_ends_it(server: Server, client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="pullquote",
            messages=[user(DEVELOPER)],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [one.choices[0].finish_reason for one in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert chunks[-1].choices == [] and chunks[-1].usage and chunks[-1].usage.total_tokens > 0
    assert (chunks[-2].model_extra or {})["pullquote"]["status"] == "answered"
    added = [one.choices[0].delta.model_extra for one in chunks[:-1]]
    assert [one["annotations"][0]["url_citation"]["title"] for one in added if one]
    body = {"model": "pullquote", "messages": [user(DEVELOPER)], "stream": True}
    reply = server.client.post(CHAT, json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text.endswith("\n\ndata: [DONE]\n\n")
    assert reply.text.count("[DONE]") == 1 and "usage" not in reply.text


@pytest.mark.slow
def test_a_streamed_response_has_that_apis_events(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="pullquote", input=LISTED, stream=True))
    names = [one.type for one in events]
    assert [name for at, name in enumerate(names) if name not in names[:at]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [one.sequence_number for one in events] == list(range(len(events)))
    deltas = "".join(one.delta for one in events if one.type == "response.output_text.delta")
    last: Any = events[-1]
    assert deltas == last.response.output_text
    assert last.response.output[0].content[0].annotations


@pytest.mark.slow
def test_the_client_embeds_in_both_forms(server: Server) -> None:
    # Held strictly, the client refuses the base64 that it asks for by itself.
    client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)
    by_itself = client.embeddings.create(model="pullquote", input=["a zebra", "a quagga"])
    numbers = client.embeddings.create(
        model="pullquote", input=["a zebra", "a quagga"], encoding_format="float"
    )
    for packed, plainly in zip(by_itself.data, numbers.data, strict=True):
        assert packed.embedding == pytest.approx(plainly.embedding, abs=1e-6)
        assert sum(value * value for value in plainly.embedding) == pytest.approx(1, abs=1e-4)
    client.close()


@pytest.mark.slow
def test_the_client_reads_models_and_errors(client: openai.OpenAI) -> None:
    assert [one.id for one in client.models.list()] == ["pullquote"]
    assert client.models.retrieve("pullquote").object == "model"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve(MARKER)
    assert unknown.value.code == "model_not_found" and MARKER not in unknown.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="pullquote", messages=[user("x")], n=2)
    assert (refused.value.param, refused.value.type) == ("n", "invalid_request_error")
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="pullquote", messages=[], stream=True)


@pytest.mark.slow
def test_langchain_keeps_the_citations_of_responses(server: Server) -> None:
    given: Reply = {"model": "pullquote", "base_url": f"{server.address}/v1", "api_key": "none"}
    assert ChatOpenAI(**given).invoke(DEVELOPER).content == "Facebook AI Research [1]"
    streamed = [one.content for one in ChatOpenAI(**given).stream(DEVELOPER)]
    assert "".join(map(str, streamed)) == "Facebook AI Research [1]"
    told = ChatOpenAI(**given, use_responses_api=True, output_version="v1").invoke(DEVELOPER)
    (block,) = [one for one in told.content_blocks if one["type"] == "text"]
    assert block["text"] == "Facebook AI Research [1]"
    (cited,) = block["annotations"]
    assert str(cited.get("url")).startswith(f"{server.address}/documents/{ARTICLE.name}#c=")


def test_an_odd_name_is_a_whole_address(request_: Held) -> None:
    (cited,) = request_.respond("What is the quagga?").json()["output"][0]["content"][0]["annotations"]
    path = cited["url"].removeprefix("http://localhost").partition("#")[0]
    assert re.fullmatch(r"[!-~]+", path) and ODD.partition("/")[0].replace(" ", "%20") in path
    assert request_("GET", path).status_code == 200


# ---------------------------------------------------------------- the page about it


@pytest.mark.slow
def test_the_examples_of_the_page_run(server: Server) -> None:
    page = PAGE.read_text(encoding="utf-8").replace("http://localhost:8000", server.address)
    for language, command in (("sh", ["bash", "-c"]), ("python", [sys.executable, "-c"])):
        (example,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        done = subprocess.run(
            [*command, example], capture_output=True, encoding="utf-8", timeout=PATIENCE_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        if language == "sh":
            assert json.loads(done.stdout)["choices"][0]["message"]["annotations"]
        else:
            (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
            assert done.stdout == shown
