"""Limits from outside: 429 and its fields, whom they count together, and that workers count together."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from service import keys, limits
from service.keyring import KeyFile
from service.limits import MINUTE_NS, Buckets, Policy
from tests.contract import Checked, opened
from tests.server import Home, Server, unwired, wait_for

pytest_plugins = ("tests.server", "tests.contract")

FAR = "203.0.113.9"
ASK = ("GET", "/v1/ask?q=Who+developed+PyTorch%3F")


def statuses(request: Checked, times: int, sender: str = FAR, **given: Any) -> list[int]:
    return [request(*ASK, sender=sender, **given).status_code for _ in range(times)]


def test_too_many_are_told_when_to_come_again(shelf: Home) -> None:
    with opened(shelf, rate_per_minute=6, rate_burst=3) as request:
        replies = [request(*ASK, sender=FAR) for _ in range(4)]
        assert [one.status_code for one in replies] == [200, 200, 200, 429]
        assert [one.headers["ratelimit"] for one in replies[:2]] == [
            '"address";r=2;t=10',
            '"address";r=1;t=20',
        ]
        assert {one.headers["ratelimit-policy"] for one in replies} == {'"address";q=3;w=30'}
        last = replies[3]
        assert last.json()["type"] == "urn:pullquote:problem:quota-exceeded"
        assert 0 < int(last.headers["retry-after"]) <= 10
        assert last.headers["ratelimit"] == f'"address";r=0;t={last.headers["retry-after"]}'
        assert request(*ASK, sender="203.0.113.10").status_code == 200, "another address has its own"


def test_all_doors_that_give_words_away_are_counted_together(shelf: Home) -> None:
    chat = {"model": "pullquote", "messages": [{"role": "user", "content": "Who developed PyTorch?"}]}
    doors: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/ask", {"json": {"question": "x"}}),
        ("GET", "/v1/search?q=x", {}),
        ("GET", "/v1/documents", {}),
        ("GET", "/v1/documents/pytorch-vs-tensorflow.md/text", {}),
        ("GET", "/v1/documents/pytorch-vs-tensorflow.md/raw", {}),
        ("GET", "/documents/pytorch-vs-tensorflow.md", {}),
        ("POST", "/v1/verify", {"json": {"citations": []}}),
        ("POST", "/v1/responses", {"json": {"model": "pullquote", "input": "x"}}),
        ("POST", "/v1/embeddings", {"json": {"model": "pullquote", "input": "x"}}),
        ("POST", "/mcp", {"json": {}}),
        ("POST", "/v1/feedback", {"json": {}}),
    ]
    with unwired(shelf, rate_per_minute=1, rate_burst=1) as request:
        for number, (method, path, body) in enumerate(doors):
            sender = f"198.51.100.{number}"
            assert request(method, path, sender=sender, **body).status_code != 429, path
            assert request(method, path, sender=sender, **body).status_code == 429, path
            openai = request("POST", "/v1/chat/completions", sender=sender, json=chat)
        assert openai.status_code == 429 and openai.json()["error"]["type"] == "rate_limit_error"
        assert "retry-after" in openai.headers
        for path in ("/livez", "/readyz", "/version", "/v1/index", "/v1/models", "/"):
            assert request("GET", path, sender=sender).status_code == 200


def test_this_machine_is_limited_where_that_is_set_alone(shelf: Home) -> None:
    with opened(shelf, rate_burst=1) as request:
        assert statuses(request, 5, "127.0.0.1") == [200] * 5
        assert statuses(request, 2, "127.0.0.1", headers={"X-Forwarded-For": "127.0.0.1"}) == [200, 429]
        assert statuses(request, 2) == [200, 429]
    with opened(shelf, rate_per_minute=1, rate_burst=1) as request:
        assert statuses(request, 2, "127.0.0.1") == [200, 429]
    with opened(shelf, rate_per_minute=0, rate_burst=1) as request:
        assert statuses(request, 5) == [200] * 5


def test_an_ipv6_connection_is_one_sender(shelf: Home) -> None:
    with opened(shelf, rate_per_minute=1, rate_burst=1) as request:
        assert statuses(request, 1, "2001:db8:0:1::1") == [200]
        assert statuses(request, 1, "2001:db8:0:1:ffff::2") == [429]
        assert statuses(request, 1, "2001:db8:0:2::1") == [200]
        assert statuses(request, 1, "::ffff:198.51.100.7") == [200]
        assert statuses(request, 1, "198.51.100.7") == [429]


def test_keys_are_limited_and_publishable_ones_by_address_too(home: Home) -> None:
    def made(scope: keys.Scope) -> dict[str, str]:
        key, text = keys.make(scope)
        KeyFile(home.data).add(key)
        return {"X-API-Key": text}

    ask, read = made("ask"), made("read")
    with opened(home, rate_per_minute=1, rate_burst=2, key_rate_per_minute=1, key_rate_burst=3) as request:
        first = request(*ASK, sender=FAR, headers=ask)
        assert first.headers["ratelimit"] == '"address";r=1;t=60, "key";r=2;t=60'
        assert first.headers["ratelimit-policy"] == '"address";q=2;w=120, "key";q=3;w=180'
        assert statuses(request, 2, headers=ask) == [200, 429], "its address has asked twice"
        assert statuses(request, 2, "203.0.113.1", headers=ask) == [200, 429], "it was asked with three times"
        assert statuses(request, 1, "203.0.113.1") == [200], "whom a key stops keeps what its address has"
        assert statuses(request, 4, headers=read) == [200, 200, 200, 429], "a program has its key's alone"
        assert '"address"' not in request(*ASK, sender=FAR, headers=read).headers["ratelimit"]


def test_whom_a_trusted_proxy_speaks_for_is_counted(shelf: Home) -> None:
    with opened(shelf, rate_per_minute=1, rate_burst=1, trusted_proxies=["10.0.0.0/8"]) as request:
        for client, status in ((FAR, 200), (FAR, 429), (f"{FAR}, 10.1.1.1", 429), (f"1.1.1.1, {FAR}", 429)):
            reply = request(*ASK, sender="10.0.0.1", headers={"X-Forwarded-For": client})
            assert reply.status_code == status, client
        assert statuses(request, 1, "10.0.0.1", headers={"X-Forwarded-For": "198.51.100.1"}) == [200]
        # From anybody else the header changes nothing.
        assert statuses(request, 1, "192.0.2.1", headers={"X-Forwarded-For": "198.51.100.2"}) == [200]
        assert statuses(request, 1, "192.0.2.1", headers={"X-Forwarded-For": "198.51.100.3"}) == [429]


def _takes(path: Path, times: int, results: multiprocessing.Queue[int]) -> None:
    buckets, policy = Buckets(path), Policy("address", 1, 500)
    results.put(sum(buckets.take([("a", policy)]).passes for _ in range(times)))


def test_processes_count_together_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "limits"
    limits.create(path)
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[int] = context.Queue()
    workers = [context.Process(target=_takes, args=(path, 2_000, results)) for _ in range(3)]
    begun = time.monotonic_ns()
    for one in workers:
        one.start()
    passed = sum(results.get(timeout=60) for _ in workers)
    for one in workers:
        one.join()
    assert 500 <= passed <= 500 + (time.monotonic_ns() - begun) // MINUTE_NS + 1


def _heard(server: Server) -> bool:
    """Ask without a limit, some at once; return whether both workers have been heard of by now."""
    with ThreadPoolExecutor(8) as together:
        list(together.map(lambda _: httpx.get(f"{server.address}/livez", timeout=60), range(8)))
    return {one["worker"] for one in server.messages() if one.get("path") == "/livez"} == {1, 2}


@pytest.mark.slow
def test_workers_count_together(home: Home) -> None:
    server = Server(
        home, workers=2, rate_per_minute=60, rate_burst=10, trusted_proxies="127.0.0.1", reader="plain"
    )
    try:
        wait_for(lambda: _heard(server), "both workers")
        begun = time.monotonic()
        headers = {"X-Forwarded-For": FAR, "Connection": "close"}

        def asked(_: int) -> int:
            return httpx.get(f"{server.address}{ASK[1]}", headers=headers, timeout=60).status_code

        with ThreadPoolExecutor(8) as together:  # so that both workers are asked
            got = [*together.map(asked, range(60))]
        took = time.monotonic() - begun
        workers = {one["worker"] for one in server.messages() if one.get("path") == "/v1/ask"}
        assert workers == {1, 2} and {*got} == {200, 429}
        assert 10 <= got.count(200) <= 10 + took + 1
        assert all(one["client"] == FAR for one in server.messages() if one.get("path") == "/v1/ask")
    finally:
        server.end()
