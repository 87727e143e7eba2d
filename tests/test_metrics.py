"""What is counted: every request and question, over all workers, under names and labels that are fixed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from starlette.types import Message

from service import keys
from service.admission import Admission
from service.counting import Counts, Family
from service.keyring import KeyFile
from service.metrics import Metrics
from service.problems import Refused
from tests.server import ROOT, Home, Server, unwired, wait_for
from tests.test_workers import one_client_each, started, workers

pytest_plugins = ("tests.server",)

ELSEWHERE = "203.0.113.9"
KEY = "a key of the tests"

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
Start = Callable[..., Server]

FAMILIES = (
    Family("asked", "counter", "", ("door",), (("a",), ("b",))),
    Family("open", "gauge", ""),
    Family("last", "latest", ""),
    Family("took", "histogram", "", (), ((),), (1.0, 2.0, 4.0)),
)


def scraped(text: str) -> Series:
    """Return the series of a scrape; one that is there twice fails the test."""
    found: Series = {}
    for family in read_text(text):
        for one in family.samples:
            key = (one.name, tuple(sorted(one.labels.items())))
            assert key not in found, key
            found[key] = one.value
    return found


def value(series: Series, name: str, **labels: str) -> float:
    """Return the sum of the series of a name that have these labels."""
    wanted = set(labels.items())
    return sum(number for (one, own), number in series.items() if one == name and wanted <= set(own))


# ---------------------------------------------------------------- counting

DONE = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from("abo"), st.floats(0, 8, allow_nan=False, width=16)),
    max_size=40,
)


@given(done=DONE)
def test_every_row_counts_and_the_totals_are_their_sums(
    done: list[tuple[int, str, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    rows = {row: Counts(FAMILIES, folder, row=row, rows=3) for row in (1, 2, 3)}
    for row, what, number in done:
        if what == "o":
            rows[row].observe("took", number)
            rows[row].add("open")
            rows[row].set("last", number)
        else:
            rows[row].add("asked", (what,), number)
    observed = [number for _, what, number in done if what == "o"]
    for counts in rows.values():
        totals = {(one.family.name, one.labels): one for one in counts.totals()}
        for door in "ab":
            assert totals["asked", (door,)].value == sum(number for _, what, number in done if what == door)
        assert totals["open", ()].value == len(observed)
        took = totals["took", ()]
        assert took.buckets == tuple(
            sum(number <= bound for number in observed) for bound in (1.0, 2.0, 4.0, float("inf"))
        )
        assert took.value == sum(observed)
    last = [next((n for r, w, n in reversed(done) if r == row and w == "o"), 0.0) for row in rows]
    assert next(one.value for one in rows[1].totals() if one.family.name == "last") == max(last)


KILLED = """
import sys, time
from pathlib import Path
from tests.test_metrics import FAMILIES
from service.counting import Counts
counts = Counts(FAMILIES, Path(sys.argv[1]), row=2, rows=2)
counts.add("asked", ("a",), 5)
counts.add("open", amount=7)
print("counted", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_has_counted_stays_and_what_was_true_of_it_goes(tmp_path: Path) -> None:
    first = Counts(FAMILIES, tmp_path, row=1, rows=2)
    first.add("asked", ("a",))
    first.add("open")
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"counted\n"
        assert _values(first) == (6.0, 8.0)
        assert [pid for _, pid in first.processes()] == [os.getpid(), other.pid]
        other.kill()
    assert _values(first) == (6.0, 1.0)
    assert [pid for _, pid in first.processes()] == [os.getpid()]
    again = Counts(FAMILIES, tmp_path, row=2, rows=2)
    again.add("asked", ("a",))
    assert _values(first) == (7.0, 1.0)


def _values(counts: Counts) -> tuple[float, float]:
    totals = {(one.family.name, one.labels): one.value for one in counts.totals()}
    return totals["asked", ("a",)], totals["open", ()]


def test_versions_that_count_other_things_do_not_share_a_file(tmp_path: Path) -> None:
    Counts(FAMILIES, tmp_path).add("asked", ("a",))
    assert _values(Counts(FAMILIES, tmp_path)) == (1.0, 0.0)
    Counts(FAMILIES[:3], tmp_path).add("asked", ("b",))
    assert len([*tmp_path.iterdir()]) == 2
    assert _values(Counts(FAMILIES, tmp_path)) == (1.0, 0.0)


def test_a_series_that_was_not_declared_is_an_error() -> None:
    with pytest.raises(KeyError):
        Counts(FAMILIES).add("asked", ("c",))


# ---------------------------------------------------------------- of one process


def test_requests_are_counted_by_route_method_and_status_whatever_is_sent(library: Home) -> None:
    with unwired(library) as request:
        before = scraped(request("GET", "/metrics").text)
        for path in ("/v1/documents/a.md", "/v1/documents/b/c.md", "/v1/jobs/nothing", "/v1/jobs/other"):
            request("GET", path)
        for number in range(20):
            request("GET", f"/nowhere/{number}%0A%22}}evil")
            request(f"ODD{number}", "/v1/ask")
            request(
                "POST", "/v1/ask", content=b'{"question": 1}', headers={"Content-Type": "application/json"}
            )
        request("GET", "/livez")
        after = scraped(request("GET", "/metrics").text)
    name = "pullquote_http_requests_total"
    assert value(after, name, route="/v1/documents/{document_id}", status="404") == 2
    assert value(after, name, route="/v1/jobs/{job_id}", status="404") == 2
    assert value(after, name, route="other", method="other", status="404") == 20
    assert value(after, name, route="/v1/ask", method="other", status="405") == 20
    assert value(after, name, route="/v1/ask", method="POST", status="422") == 20
    assert value(after, name, route="/livez", method="GET", status="200") == 1
    assert value(after, name) - value(before, name) == 66, "the one that told of the first look, too"
    assert value(after, "pullquote_http_request_duration_seconds_count", route="/v1/ask") == 40
    assert value(after, "pullquote_http_requests_in_progress") == 1, "the one that looks"


def test_questions_stages_batches_and_what_is_remembered_are_counted(library: Home) -> None:
    with unwired(library) as request:
        for _ in range(3):
            assert (
                request("GET", "/v1/ask", params={"q": "Who developed PyTorch?"}).json()["status"]
                == "answered"
            )
        request("GET", "/v1/search", params={"q": "deployment on phones"})
        request("GET", "/v1/ask", params={"q": "What is the capital of France?"})
        request("GET", "/v1/ask", params={"q": "hello"})
        body = {"model": "pullquote", "messages": [{"role": "user", "content": "Who developed PyTorch?"}]}
        assert request("POST", "/v1/chat/completions", json=body).status_code == 200
        series = scraped(request("GET", "/metrics").text)
    asked = "pullquote_questions_total"
    assert value(series, asked, status="answered", reason="") == 4, "over every door, remembered or not"
    assert value(series, asked, reason="below_threshold") == 1
    assert value(series, asked, reason="not_a_question") == 1
    assert value(series, asked) == 6
    stages = "pullquote_stage_duration_seconds_count"
    assert [value(series, stages, stage=one) for one in ("encode", "search", "read")] == [4, 4, 3]
    assert value(series, "pullquote_encoder_batch_size_sum") == 4
    looks = "pullquote_cache_requests_total"
    assert value(series, looks, cache="search", result="hit") == 3
    assert value(series, looks, cache="search", result="miss") == 4
    assert value(series, looks, cache="answer", result="hit") == 3
    assert value(series, looks, cache="answer", result="miss") == 3


async def never() -> Message:
    """Receive nothing for long: the client waits for its reply."""
    await asyncio.sleep(60)
    return {"type": "http.disconnect"}


def test_what_is_refused_is_counted(library: Home) -> None:
    with unwired(
        library, rate_per_minute=1, rate_burst=1, max_questions=1, max_waiting_questions=0
    ) as request:
        ask = partial(request, "GET", "/v1/ask", params={"q": "Who developed PyTorch?"})
        assert [ask().status_code for _ in range(3)] == [200, 429, 429]
        gate: Admission = request.app.state.admission
        turn = asyncio.run(gate.enter(never))
        assert ask(sender=ELSEWHERE).status_code == 503
        turn.leave()
        series = scraped(request("GET", "/metrics").text)
    assert value(series, "pullquote_limited_requests_total", limit="address") == 2
    assert value(series, "pullquote_limited_requests_total", limit="key") == 0
    assert value(series, "pullquote_questions_refused_total", reason="full") == 1


def test_who_waits_is_counted_and_who_waited_in_vain() -> None:
    metrics = Metrics()

    def counted() -> dict[tuple[str, ...], float]:
        return {(one.family.name, *one.labels): one.value for one in metrics.counts.totals()}

    async def scene() -> None:
        gate = Admission(at_once=1, waiting=1, seconds=0.2, metrics=metrics)
        await gate.enter(never)
        waiting = asyncio.create_task(gate.enter(never))
        await asyncio.sleep(0.05)
        assert counted()["pullquote_questions_waiting",] == 1
        with pytest.raises(Refused):
            await waiting

    asyncio.run(scene())
    assert counted()["pullquote_questions_waiting",] == 0
    assert counted()["pullquote_questions_refused", "late"] == 1


def test_the_index_the_process_and_what_runs_are_named(library: Home) -> None:
    with unwired(library) as request:
        index = request("GET", "/v1/index").json()
        series = scraped(request("GET", "/metrics").text)
    assert value(series, "pullquote_index_info", version=index["version"], model=index["model"]) == 1
    assert value(series, "pullquote_index_documents") == index["documents"]
    assert value(series, "pullquote_index_passages") == index["passages"]
    assert value(series, "pullquote_index_ready") == 1
    assert value(series, "pullquote_index_built_timestamp_seconds") > 1.7e9
    assert value(series, "pullquote_workers") == 1
    assert value(series, "process_resident_memory_bytes", worker="1") > 1e7
    assert value(series, "process_open_fds", worker="1") > 2
    assert value(series, "process_cpu_seconds_total", worker="1") > 0


def test_it_is_openmetrics_for_who_asks_for_that(library: Home) -> None:
    with unwired(library) as request:
        request("GET", "/v1/ask", params={"q": "Who developed PyTorch?"})
        accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        reply = request("GET", "/metrics", headers={"Accept": accept})
        plain = request("GET", "/metrics", headers={"Accept": "*/*"})
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {one.name: one.type for one in read_openmetrics(reply.text)}  # type: ignore[no-untyped-call]
    assert families["pullquote_http_requests"] == "counter"
    assert families["pullquote_stage_duration_seconds"] == "histogram"
    assert families["pullquote_index"] == "info"
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    helped = set(re.findall(r"^# HELP (\S+) \S", plain.text, re.MULTILINE))
    assert set(re.findall(r"^# TYPE (\S+) ", plain.text, re.MULTILINE)) == helped


def test_refreshes_are_counted_by_how_they_end(home: Home) -> None:
    with unwired(home) as request:
        home.write("lamp.md", "# Lamp\n\nThe harbour lamp burns whale oil.\n")
        path = request("POST", "/v1/reindex", json={}).headers["location"]
        wait_for(lambda: request("GET", path).json()["state"] == "succeeded", "the first refresh")

        def counted(outcome: str) -> float:
            return value(
                scraped(request("GET", "/metrics").text), "pullquote_refreshes_total", outcome=outcome
            )

        wait_for(lambda: counted("succeeded") == 1, "it to be counted")
        series = scraped(request("GET", "/metrics").text)
        assert value(series, "pullquote_refresh_documents_total", change="added") == 1
        assert value(series, "pullquote_refresh_passages_encoded_total") == 1
        assert value(series, "pullquote_refresh_duration_seconds_count") == 1
        assert value(series, "pullquote_refresh_last_failure_timestamp_seconds") == 0
        assert value(series, "pullquote_refreshes_unfinished") == 0
        success = value(series, "pullquote_refresh_last_success_timestamp_seconds")
        home.corpus.rename(home.folder / "elsewhere")
        request("POST", "/v1/reindex", json={})
        wait_for(lambda: counted("failed") == 1, "the second refresh")
        series = scraped(request("GET", "/metrics").text)
        assert value(series, "pullquote_refresh_last_failure_timestamp_seconds") >= success > 1.7e9


# ---------------------------------------------------------------- who may look


def test_it_is_for_this_machine_and_from_elsewhere_for_keys_that_read(library: Home, home: Home) -> None:
    with unwired(library) as request:
        assert request("GET", "/metrics").status_code == 200
        refused = request("GET", "/metrics", sender=ELSEWHERE)
        proxied = request("GET", "/metrics", headers={"X-Forwarded-For": ELSEWHERE})
        rebound = request("GET", "/metrics", headers={"Host": "evil.example"})
    for one in (refused, proxied, rebound):
        assert one.status_code == 401 and "PULLQUOTE_METRICS_PUBLIC" in one.json()["detail"]
    made = {scope: keys.make(scope) for scope in keys.SCOPES}
    for key, _ in made.values():
        KeyFile(home.data).add(key)
    with unwired(home, require_key=True) as request:
        assert request("GET", "/metrics").status_code == 200
        for scope, (_, text) in made.items():
            reply = request("GET", "/metrics", sender=ELSEWHERE, headers={"X-API-Key": text})
            assert reply.status_code == (403 if scope == "ask" else 200), scope
    with unwired(library, admin_key=KEY) as request:
        assert request("GET", "/metrics").status_code == 200
        assert request("GET", "/metrics", sender=ELSEWHERE).status_code == 401
        wrong = {"Authorization": "Bearer another key"}
        assert request("GET", "/metrics", sender=ELSEWHERE, headers=wrong).status_code == 401
        right = {"Authorization": f"Bearer {KEY}"}
        assert request("GET", "/metrics", sender=ELSEWHERE, headers=right).status_code == 200
    with unwired(library, metrics_public=True) as request:
        assert request("GET", "/metrics", sender=ELSEWHERE).status_code == 200


# ---------------------------------------------------------------- of several processes


@pytest.mark.slow
def test_a_look_shows_the_sum_over_the_workers_and_a_killed_one_takes_nothing_along(
    home: Home, start: Start
) -> None:
    server = started(home, start)
    with one_client_each(server) as clients:
        for number, client in clients.items():
            for one in range(number * 3):
                assert client.get("/v1/ask", params={"q": f"Who developed PyTorch {one}?"}).status_code == 200
        looks = [scraped(client.get("/metrics").text) for client in clients.values()]
    for series in looks:
        assert value(series, "pullquote_http_requests_total", route="/v1/ask", status="200") == 9
        assert value(series, "pullquote_questions_total") == 9
        assert value(series, "pullquote_stage_duration_seconds_count", stage="encode") == 9
        assert value(series, "pullquote_workers") == 2
        for worker in ("1", "2"):
            assert value(series, "process_resident_memory_bytes", worker=worker) > 1e7
    killed = workers(server)[2]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: workers(server)[2] != killed, "the worker to be started again")
    with one_client_each(server) as clients:
        assert clients[2].get("/v1/ask", params={"q": "Who developed PyTorch?"}).status_code == 200
        series = scraped(clients[1].get("/metrics").text)
    assert value(series, "pullquote_http_requests_total", route="/v1/ask", status="200") == 10
    assert value(series, "pullquote_workers") == 2


# ---------------------------------------------------------------- the dashboard, the rules, the page

DASHBOARD = ROOT / "docs/grafana.json"
RULES = ROOT / "docs/alerts.yml"
PAGE = ROOT / "docs/monitoring.md"
NAME = re.compile(r"\b(?:pullquote|process)_[a-z0-9_]+\b")
SUFFIXES = re.compile(r"_(?:bucket|count|sum|total|info)$")


@pytest.fixture(scope="module")
def names(library: Home) -> Iterator[set[str]]:
    """Return the names of a scrape's samples after one question."""
    with unwired(library) as request:
        request("GET", "/v1/ask", params={"q": "Who developed PyTorch?"})
        yield {name for name, _ in scraped(request("GET", "/metrics").text)}


def expressions(found: Any) -> Iterator[str]:
    """Yield the expressions of a dashboard or of rules, however deep they lie."""
    if isinstance(found, dict):
        yield from (str(found[key]) for key in ("expr", "query") if isinstance(found.get(key), str))
        for one in found.values():
            yield from expressions(one)
    elif isinstance(found, list):
        for one in found:
            yield from expressions(one)


def test_the_dashboard_and_the_rules_name_only_what_is_exported(names: set[str]) -> None:
    for found in (json.loads(DASHBOARD.read_text("utf-8")), yaml.safe_load(RULES.read_text("utf-8"))):
        used = {name for one in expressions(found) for name in NAME.findall(one)}
        assert len(used) > 5
        assert used - names == set()


def test_everything_that_is_exported_is_on_the_dashboard_and_explained(names: set[str]) -> None:
    shown = set(NAME.findall(" ".join(expressions(json.loads(DASHBOARD.read_text("utf-8"))))))
    told = set(NAME.findall(PAGE.read_text("utf-8")))
    families = {SUFFIXES.sub("", name) for name in names if not name.endswith("_created")}
    assert families - {SUFFIXES.sub("", name) for name in told} == set()
    unshown = {name for name in families if name not in {SUFFIXES.sub("", one) for one in shown}}
    assert {
        name for name in unshown if f"`{name}" not in PAGE.read_text("utf-8").partition("## Not on")[2]
    } == set()


def test_the_page_explains_nothing_that_is_not_exported(names: set[str]) -> None:
    families = {SUFFIXES.sub("", name) for name in names}
    assert {SUFFIXES.sub("", name) for name in NAME.findall(PAGE.read_text("utf-8"))} - families == set()


def test_every_rule_says_what_to_do() -> None:
    rules = [one for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for one in group["rules"]]
    assert len(rules) > 5
    for one in rules:
        assert {"alert", "expr", "labels", "annotations"} <= one.keys()
        assert one["labels"]["severity"] in ("page", "ticket")
        assert one["annotations"]["summary"] and one["annotations"]["description"]
        page = PAGE.read_text("utf-8")
        assert f"`{one['alert']}`" in page
