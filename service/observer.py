"""Every request seen from beginning to end: counted, logged in one line, traced where that is asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from service.metrics import Metrics
from service.observing import Observation
from service.settings import Settings
from service.tracecontext import new_span_id, traceparent_of, traceresponse
from service.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger()


class Observer:
    """Sees the requests of an application."""

    def __init__(self, metrics: Metrics, settings: Settings, tracing: Tracing | None = None) -> None:
        """Count in `metrics`, and make spans with `tracing`."""
        self.metrics = metrics
        self.tracing = tracing
        self._with_questions = settings.log_questions

    def begin(self, scope: Scope, headers: Headers) -> Seen:
        """Return the request that begins."""
        return Seen(self, scope, headers, with_question=self._with_questions)

    def close(self) -> None:
        """Send the spans that wait."""
        if self.tracing is not None:
            self.tracing.close()


class Seen(Observation):
    """A request that is being served."""

    def __init__(self, observer: Observer, scope: Scope, headers: Headers, *, with_question: bool) -> None:
        """Begin to count its time."""
        super().__init__(observer.metrics)
        self._begun = time.perf_counter()
        self._scope = scope
        self._with_question = with_question
        self._tracing = observer.tracing
        self._span: Span | None = None
        self._trace: dict[str, str] = {}
        self._response = ""
        self._read_trace(headers)
        self._counting = observer.metrics
        self._counting.begin()

    def _read_trace(self, headers: Headers) -> None:
        parent = traceparent_of(headers.getlist("traceparent"))
        sampled = False
        if self._tracing is not None:
            self._span = self._tracing.begin(self._scope["method"], parent)
            about = self._span.get_span_context()
            trace_id, span_id, sampled = (
                f"{about.trace_id:032x}",
                f"{about.span_id:016x}",
                about.trace_flags.sampled,
            )
        elif parent is not None:
            trace_id, span_id = parent.trace_id, new_span_id()
        else:
            return
        self._trace = {"trace_id": trace_id, "span_id": span_id}
        if parent is not None:
            self._trace["parent_id"] = parent.span_id
            self._response = traceresponse(trace_id, span_id, sampled=sampled)

    def answer(self, headers: MutableHeaders) -> None:
        """Add to the headers of the reply what belongs to the trace."""
        if self._response:
            headers["traceresponse"] = self._response

    def end(self, status: int) -> None:
        """Count and log the request, which has ended; `status` is 0 where its client left before a reply."""
        scope = self._scope
        seconds = time.perf_counter() - self._begun
        route = _route_of(scope)
        self._counting.end(route, scope["method"], status, seconds)
        state = scope["state"]
        facts: dict[str, Any] = {"client": state["sender"].address or None, "key": state.get("key")}
        if self.outcome is not None:
            facts["outcome"] = self.outcome
        facts |= {f"{name}_ms": round(took, 1) for name, _, took in self.stages}
        if self._with_question and self.question is not None:
            facts["question"] = self.question
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 1),
            request_id=state["request_id"],
            **{name: value for name, value in facts.items() if value is not None},
            **self._trace,
        )
        if self._tracing is not None and self._span is not None:
            named = {"pullquote.request_id": state["request_id"]}
            if self.outcome is not None:
                named["pullquote.outcome"] = self.outcome
            self._tracing.end(
                self._span,
                method=scope["method"],
                route=route,
                status=status,
                facts=named,
                stages=self.stages,
            )


def _route_of(scope: Scope) -> str | None:
    """Return the path of the route that a request came to, as it is declared; None where it came to none."""
    route = scope.get("route")
    if route is not None:
        return str(getattr(route, "path", "")) or None
    # A plain route of Starlette's leaves no trace but what it serves with.
    return getattr(scope.get("endpoint"), "path", None)
