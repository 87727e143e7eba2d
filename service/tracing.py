"""OpenTelemetry spans of requests and their stages, where PULLQUOTE_TRACES asks for them.

Only then is anything of the SDK loaded (`pullquote[otel]`) and any connection opened: to the collector that
the standard variables name (OTEL_EXPORTER_OTLP_ENDPOINT, by default http://localhost:4318), over OTLP/HTTP.
The provider is our own and nobody else's: libraries that would record by themselves find none, and a span
never has the question, the query of the address or a key in it.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from service import __version__
from service.tracecontext import TraceParent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

CLOSING_MILLISECONDS = 5000
"""How long the last spans may take on their way when the server ends."""


class TracingMissing(Exception):
    """Traces are asked for and cannot be made; the message says what to do."""


class Tracing:
    """Makes spans, and has them sent in the background."""

    def __init__(self, provider: TracerProvider) -> None:
        """Make them by `provider`."""
        self._provider = provider
        self._tracer = provider.get_tracer("pullquote", __version__)

    def begin(self, method: str, parent: TraceParent | None) -> Span:
        """Return the span of a request that begins now, a part of the sender's trace where it has one."""
        from opentelemetry import trace

        context = None
        if parent is not None:
            above = trace.SpanContext(
                int(parent.trace_id, 16),
                int(parent.span_id, 16),
                is_remote=True,
                trace_flags=trace.TraceFlags(parent.flags),
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(above))
        span: Span = self._tracer.start_span(method, context, trace.SpanKind.SERVER)
        return span

    def end(
        self,
        span: Span,
        *,
        method: str,
        route: str | None,
        status: int,
        facts: dict[str, str],
        stages: list[tuple[str, int, float]],
    ) -> None:
        """End the span of a request; its stages (name, end in nanoseconds, milliseconds) become its parts."""
        from opentelemetry import trace

        context = trace.set_span_in_context(span)
        for name, end, milliseconds in stages:
            begun = end - int(milliseconds * 1e6)
            self._tracer.start_span(name, context, start_time=begun).end(end)
        if route is not None:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.request.method", method)
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= 500 or not status:
            span.set_status(trace.StatusCode.ERROR)
        for name, value in facts.items():
            span.set_attribute(name, value)
        span.end()

    def close(self) -> None:
        """Send what waits and end."""
        self._provider.force_flush(CLOSING_MILLISECONDS)
        self._provider.shutdown()


def open_tracing() -> Tracing:
    """Return what sends spans to the collector that the standard variables name.

    Raises TracingMissing where the extra is not installed.
    """
    if not is_installed():
        raise TracingMissing(
            "PULLQUOTE_TRACES is true, and OpenTelemetry's SDK is not installed; run "
            "`pip install 'pullquote[otel]'`, or set it to false"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes before these.
    named = Resource({"service.name": "pullquote", "service.version": __version__})
    provider = TracerProvider(resource=named.merge(Resource.create()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def is_installed() -> bool:
    """Return whether what traces need is installed; nothing of it is loaded."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in NEEDED)
    except ModuleNotFoundError:  # not even what it would be a part of
        return False
