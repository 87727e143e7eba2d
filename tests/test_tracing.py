"""Spans of OpenTelemetry: none unless asked for, and then each request and its stages, to a collector."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from service import tracing
from service.app import create_app
from service.exits import MISUSE, code_of
from service.settings import Settings
from service.tracing import TracingMissing
from tests.server import ROOT, Home, Server, unwired, wait_for

pytest_plugins = ("tests.server",)

INSTALLED = pytest.mark.skipif(not tracing.is_installed(), reason="the `otel` extra is not installed")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
QUESTION = "Who developed PyTorch?"


class Collector:
    """Takes spans over OTLP/HTTP, as a collector on this machine would."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.paths.append(self.path)
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                collector.bodies.append(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        read = [ExportTraceServiceRequest.FromString(one) for one in self.bodies]
        return [
            span
            for one in read
            for resource in one.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Return a collector on loopback."""
    made = Collector()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@contextmanager
def traced(home: Home, collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the application with traces on; on leaving, all spans are with the collector."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
    with unwired(home, traces=True) as request:
        yield request
        request.app.state.observer.close()


@INSTALLED
def test_a_question_is_a_span_with_its_stages_in_the_trace_of_the_sender(
    library: Home, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(library, collector, monkeypatch) as request:
        given = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "the-request"}
        reply = request("GET", "/v1/ask", params={"q": QUESTION}, headers=given)
        request("GET", "/nowhere")
    assert set(collector.paths) == {"/v1/traces"}
    spans = {span.name: span for span in collector.spans}
    asked = spans["GET /v1/ask"]
    assert asked.trace_id.hex() == TRACE and asked.parent_span_id.hex() == PARENT
    assert reply.headers["traceresponse"] == f"00-{TRACE}-{asked.span_id.hex()}-01"
    assert asked.kind == asked.SPAN_KIND_SERVER
    assert attributes(asked) == {
        "http.route": "/v1/ask",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "pullquote.request_id": "the-request",
        "pullquote.outcome": "answered",
    }
    last = asked.start_time_unix_nano
    for name in ("encode", "search", "read"):
        stage = spans[name]
        assert stage.parent_span_id == asked.span_id and stage.trace_id == asked.trace_id
        assert (
            last <= stage.start_time_unix_nano + 5_000_000
            and stage.end_time_unix_nano <= asked.end_time_unix_nano
        )
        took = (stage.end_time_unix_nano - stage.start_time_unix_nano) / 1e6
        assert took == pytest.approx(reply.json()["took_ms"][name], abs=0.1)
        last = stage.end_time_unix_nano
    other = spans["GET"]
    assert attributes(other)["http.response.status_code"] == 404 and other.trace_id.hex() != TRACE
    assert not any(b"PyTorch" in one for one in collector.bodies), "no span has the question in it"


@INSTALLED
def test_a_sender_that_does_not_record_is_followed(
    library: Home, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(library, collector, monkeypatch) as request:
        reply = request("GET", "/livez", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert reply.headers["traceresponse"].endswith("-00") and collector.spans == []


@INSTALLED
@pytest.mark.slow
def test_a_server_that_ends_sends_what_waits_and_one_without_a_collector_serves(
    home: Home, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
    server = Server(home, traces=True, workers=2)
    try:
        for _ in range(3):
            server.ask(QUESTION)
        assert server.stop() == 0
    finally:
        server.end()
    wait_for(lambda: sum(one.name == "POST /v1/ask" for one in collector.spans) == 3, "the spans")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    server = Server(home, traces=True)
    try:
        assert server.ask(QUESTION)["status"] == "answered"
        assert server.stop() == 0
    finally:
        server.end()


def test_traces_without_what_makes_them_are_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "NEEDED", ("opentelemetry.no_such_part",))
    with pytest.raises(TracingMissing, match=r"PULLQUOTE_TRACES.*pip install 'pullquote\[otel\]'") as told:
        create_app(Settings(traces=True))
    assert code_of(told.value) == MISUSE
    monkeypatch.setattr(tracing, "NEEDED", ("no_such_library.part",))
    assert not tracing.is_installed()


LOADED = """
import json, sys
from service.app import create_app
from service.settings import Settings
create_app(Settings())
names = ("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client", "requests")
print(json.dumps([name for name in names if name in sys.modules]))
"""


def test_without_the_setting_nothing_of_it_is_loaded_whatever_the_environment_says() -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_TRACES_EXPORTER": "otlp",
    }
    done = subprocess.run(
        ["env", *(f"{name}={value}" for name, value in environment.items()), sys.executable, "-c", LOADED],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == []


@pytest.mark.slow
def test_no_telemetry_is_sent_because_the_environment_of_others_says_so(
    home: Home, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for signal in ("", "_TRACES", "_METRICS", "_LOGS"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP{signal}_ENDPOINT", collector.address)
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    server = Server(home)
    try:
        server.ask(QUESTION)
        assert server.client.post("/v1/ask", json={"question": 1}).status_code == 422
        assert server.stop() == 0
    finally:
        server.end()
    assert collector.paths == []


def test_telemetry_of_the_framework_and_of_the_runtimes_is_off() -> None:
    app = create_app(Settings())
    config = app._telemetry
    assert not any(config[name] for name in ("auto_configure", "tracing", "metrics", "logs"))
    told = "os.environ['ORT_DISABLE_TELEMETRY'], 'openvino_telemetry' in sys.modules"
    code = f"import os, sys, service.app; print({told})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert done.stdout.split() == [b"1", b"False"]
