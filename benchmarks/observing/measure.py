"""What it costs to count, log and name the trace of a request: processor time with and without, in turns.

    python benchmarks/observing/measure.py CORPUS DATA

Requests go to the application without a socket, so that nothing but it is measured. Each round puts the same
questions to it as it is, to it without counting, and to it without counting and the line of log; processor
time is that of all threads, so that what else the machine does counts little.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from service import logs
from service.app import create_app
from service.observer import Observer, Seen
from service.observing import Observation
from service.settings import Settings

ROUNDS = 15
REQUESTS = 400


class Blind:
    """Counts nothing, as Metrics and its callers see it."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Silent(Seen):
    """A request that is not logged."""

    def end(self, status: int) -> None:
        """Say nothing."""


class Off(Observer):
    """Begins requests that are not logged, counted in nothing."""

    def begin(self, scope: Any, headers: Any) -> Seen:  # noqa: ARG002 # as Observer has it
        """Return a request."""
        made = Silent.__new__(Silent)
        Observation.__init__(made, Blind())  # type: ignore[arg-type]
        made._response = ""
        return made


async def one(app: Any, path: str, query: str) -> None:
    """Put one request."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), (b"user-agent", b"measure")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    await app(scope, receive, send)


def microseconds(app: Any, path: str, query: str) -> float:
    """Return the processor time of a request."""

    async def many() -> float:
        begun = time.process_time()
        for number in range(REQUESTS):
            await one(app, path, query.format(number % 5))
        return (time.process_time() - begun) / REQUESTS * 1e6

    return asyncio.run(many())


def main() -> None:
    """Measure and print."""
    settings = Settings(corpus=Path(sys.argv[1]), data=Path(sys.argv[2]), log_format="json")
    logs.configure(settings)
    made = {}
    for name in ("as it is", "not counted", "nothing"):
        app = create_app(settings)
        app.state.keeper.open()
        observer = next(each.kwargs["observer"] for each in app.user_middleware if "observer" in each.kwargs)
        if name == "not counted":
            observer.metrics = Blind()
        if name == "nothing":
            observer.__class__ = Off
        made[name] = app
        app.state.keeper._lock.close()  # the next one of these shares the folder
    for path, query in (("/livez", ""), ("/v1/search", "q=deployment+on+phones+{}")):
        took: dict[str, list[float]] = {name: [] for name in made}
        for _ in range(ROUNDS):
            for name, app in made.items():
                took[name].append(microseconds(app, path, query))
        for name, found in took.items():
            more = [a - b for a, b in zip(found, took["nothing"], strict=True)]
            middle, beyond = statistics.median(found), statistics.median(more)
            sys.stdout.write(f"{path} {name}: {middle:.0f} us, {beyond:+.0f} us\n")


if __name__ == "__main__":
    main()
