"""What is counted while the server runs: requests, stages, what came of questions, refreshes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Literal, get_args

from service.answer import Reason
from service.counting import Counts, Family, Labels
from service.finding import TOGETHER
from service.jobs import Job
from service.observing import ANSWERED, STAGES

OTHER = "other"
"""The route of requests that were refused before they came to one, or ask for what is not served; and the
method of those whose route does not take it. Nothing that a sender can make up is a label."""

LEFT = "499"
"""In place of a status: the client left before there was a reply. nginx's number, which no reply carries."""

CONVERTOR = re.compile(r":\w+\}")

STATUSES = (*(str(one.value) for one in HTTPStatus), LEFT)

REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""A health check takes 0.5 ms, a search 7, an answer 25, a busy one 300; a change that waits to be searchable
takes seconds."""

STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Alone a question is encoded in 4 ms, searched for in 1 to 3, read in 15; the rest is for busy machines."""

REFRESH_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""One changed document takes 50 ms, ten thousand new ones hours."""

MEMORIES = ("search", "answer")
CHANGES = ("added", "changed", "removed", "renamed")
OUTCOMES = ("succeeded", "failed", "cancelled")

Turned = Literal["full", "late"]
"""Why a question is not let in: too many wait, or it has waited for too long."""

POLICIES = ("address", "key")

Cut = Literal["headers", "body", "reply", "malformed", "crowded"]
"""Why a connection is ended against its client's will: the headers or the body did not come in time, the
reply was not read, it was not HTTP, there were too many."""

Route = tuple[str, Collection[str]]
"""A path as it is declared, such as `/v1/jobs/{job_id}`, and the methods that it takes."""


def families(routes: Iterable[Route]) -> tuple[Family, ...]:
    """Return everything that is counted, for a server of these routes."""
    asked = {(path, method) for path, methods in routes for method in (*methods, OTHER)} | {(OTHER, OTHER)}
    each = tuple(sorted(asked))
    outcomes = ((ANSWERED, ""), *(("not_found", reason) for reason in get_args(Reason)))
    return (
        Family(
            "pullquote_http_requests",
            "counter",
            "Requests that have ended, by route, method and status.",
            ("route", "method", "status"),
            tuple((*one, status) for one in each for status in STATUSES),
        ),
        Family(
            "pullquote_http_request_duration_seconds",
            "histogram",
            "How long requests took, from their headers to the end of the reply.",
            ("route", "method"),
            each,
            REQUEST_SECONDS,
        ),
        Family("pullquote_http_requests_in_progress", "gauge", "Requests that have begun and not ended."),
        Family(
            "pullquote_questions",
            "counter",
            "Questions that were decided, by status and by the reason where there was no answer.",
            ("status", "reason"),
            outcomes,
        ),
        Family("pullquote_questions_waiting", "gauge", "Questions that wait to be worked on."),
        Family(
            "pullquote_questions_refused",
            "counter",
            "Questions that were not let in, because too many waited or they had waited for too long.",
            ("reason",),
            tuple((one,) for one in get_args(Turned)),
        ),
        Family(
            "pullquote_limited_requests",
            "counter",
            "Requests that were refused because an address or a key had asked too often.",
            ("limit",),
            tuple((one,) for one in POLICIES),
        ),
        Family("pullquote_connections", "gauge", "Connections that are open."),
        Family(
            "pullquote_connections_cut",
            "counter",
            "Connections that were ended against their clients' will; most of them made no request.",
            ("reason",),
            tuple((one,) for one in get_args(Cut)),
        ),
        Family(
            "pullquote_stage_duration_seconds",
            "histogram",
            "How long a stage of a question took, waiting for its turn included; not of remembered ones.",
            ("stage",),
            tuple((one,) for one in STAGES),
            STAGE_SECONDS,
        ),
        Family(
            "pullquote_encoder_batch_size",
            "histogram",
            "Questions that were encoded together.",
            (),
            ((),),
            tuple(float(one) for one in range(1, TOGETHER + 1)),
        ),
        Family(
            "pullquote_cache_requests",
            "counter",
            "Looks for what is remembered of a question that was asked before, and what came of them.",
            ("cache", "result"),
            tuple((one, result) for one in MEMORIES for result in ("hit", "miss")),
        ),
        Family("pullquote_refreshes_unfinished", "gauge", "Refreshes of the index that wait or run."),
        Family(
            "pullquote_refreshes",
            "counter",
            "Refreshes of the index that are over, by how they ended.",
            ("outcome",),
            tuple((one,) for one in OUTCOMES),
        ),
        Family(
            "pullquote_refresh_duration_seconds",
            "histogram",
            "How long refreshes ran.",
            (),
            ((),),
            REFRESH_SECONDS,
        ),
        Family(
            "pullquote_refresh_documents",
            "counter",
            "Documents that refreshes found changed, by what had become of them.",
            ("change",),
            tuple((one,) for one in CHANGES),
        ),
        Family("pullquote_refresh_passages_encoded", "counter", "Passages that refreshes have encoded."),
        Family(
            "pullquote_refresh_last_success_timestamp_seconds",
            "latest",
            "When a refresh succeeded last; 0 for never since the start.",
        ),
        Family(
            "pullquote_refresh_last_failure_timestamp_seconds",
            "latest",
            "When a refresh failed last; 0 for never since the start.",
        ),
    )


class Metrics:
    """Where everything is counted. Called from any thread."""

    def __init__(
        self, routes: Collection[Route] = (), folder: Path | None = None, *, row: int = 1, rows: int = 1
    ) -> None:
        """Count for a server of these routes; `folder`, `row` and `rows` are those of `Counts`."""
        self._names: dict[str, str] = {}
        self._known: dict[str, set[str]] = {}
        for path, methods in routes:
            # As docs/openapi.json has it: how a part of the path is read is nobody's business.
            name = self._names[path] = CONVERTOR.sub("}", path)
            self._known.setdefault(name, set()).update(methods)
        self.counts = Counts(families(self._known.items()), folder, row=row, rows=rows)

    def begin(self) -> None:
        """Count a request that begins."""
        self.counts.add("pullquote_http_requests_in_progress")

    def end(self, path: str | None, method: str, status: int, seconds: float) -> None:
        """Count a request that has ended; `path` is its route's, `status` 0 where there was no reply."""
        self.counts.add("pullquote_http_requests_in_progress", amount=-1.0)
        name = self._names.get(path or "")
        route: Labels = (OTHER, OTHER)
        if name is not None:
            route = (name, method if method in self._known[name] else OTHER)
        self.counts.add("pullquote_http_requests", (*route, str(status) if status else LEFT))
        self.counts.observe("pullquote_http_request_duration_seconds", seconds, route)

    def stages(self, milliseconds: Mapping[str, float]) -> None:
        """Count how long the stages took that are named."""
        for name in STAGES:
            if name in milliseconds:
                self.counts.observe("pullquote_stage_duration_seconds", milliseconds[name] / 1000, (name,))

    def looked(self, memory: str, *, hit: bool) -> None:
        """Count a look for what is remembered."""
        self.counts.add("pullquote_cache_requests", (memory, "hit" if hit else "miss"))

    def decided(self, outcome: str) -> None:
        """Count a question that was `answered`, or not for a reason."""
        labels = (ANSWERED, "") if outcome == ANSWERED else ("not_found", outcome)
        self.counts.add("pullquote_questions", labels)

    def waiting(self, questions: int) -> None:
        """Say how many questions wait to be worked on."""
        self.counts.set("pullquote_questions_waiting", questions)

    def turned_away(self, reason: Turned) -> None:
        """Count a question that was not let in."""
        self.counts.add("pullquote_questions_refused", (reason,))

    def limited(self, policy: str) -> None:
        """Count a request that an `address` or a `key` has made too much."""
        self.counts.add("pullquote_limited_requests", (policy,))

    def connected(self, connections: int) -> None:
        """Say how many connections this process has."""
        self.counts.set("pullquote_connections", connections)

    def cut(self, reason: Cut) -> None:
        """Count a connection that is ended against its client's will."""
        self.counts.add("pullquote_connections_cut", (reason,))

    def encoded(self, questions: int) -> None:
        """Count questions that were encoded together."""
        self.counts.observe("pullquote_encoder_batch_size", questions)

    def unfinished(self, refreshes: int) -> None:
        """Say how many refreshes wait or run."""
        self.counts.set("pullquote_refreshes_unfinished", refreshes)

    def refreshed(self, job: Job, seconds: float, now: float) -> None:
        """Count a refresh that is over and took so many seconds; `now` is the time of day."""
        self.counts.add("pullquote_refreshes", (job.state,))
        self.counts.observe("pullquote_refresh_duration_seconds", seconds)
        if job.state == "failed":
            self.counts.set("pullquote_refresh_last_failure_timestamp_seconds", now)
        if job.state != "succeeded":
            return
        self.counts.set("pullquote_refresh_last_success_timestamp_seconds", now)
        if job.counts is not None:
            for change in CHANGES:
                self.counts.add("pullquote_refresh_documents", (change,), float(getattr(job.counts, change)))
            self.counts.add("pullquote_refresh_passages_encoded", amount=float(job.counts.encoded))
