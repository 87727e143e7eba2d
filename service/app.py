"""create_app(settings): the one place where things are wired."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.routing import Route

from service import __version__, limits, problems
from service.access import Access, sealed
from service.admission import admission_of
from service.cors import Cors
from service.crew import ALONE, Place
from service.described import describe_access
from service.doors import documents, edits, feedback, metrics, openai, operations, pages, rest
from service.doors.mcp_route import HEADERS, PATH, McpRoute
from service.doors.tools import Desk
from service.envelope import Envelope
from service.forwarding import Counter, Forward
from service.journal import Journal
from service.keeper import Keeper
from service.keyring import Ring
from service.limits import Buckets
from service.live import Live
from service.metrics import Metrics
from service.observer import Observer
from service.permits import Routes
from service.schemas import Problem
from service.settings import Settings
from service.tracing import open_tracing

DESCRIPTION = """Ask your documents; get the quote. Every answer is a verbatim quotation with its exact place
in the source, or it says that the documents hold none. Offsets are half-open and count Unicode code points
of the document's canonical text (`/v1/documents/{id}/text`)."""


CONDITIONS = ("Content-Type", "If-Match", "If-None-Match", "Idempotency-Key")
"""Headers that a change may carry, and that a browser asks leave for."""

ROUTERS = tuple(one.router for one in (rest, edits, documents, openai, operations, metrics, pages, feedback))

OWN_ROUTES = (("/openapi.json", ("GET",)),)
"""What the framework serves by itself."""

NO_TELEMETRY = {"auto_configure": False, "tracing": False, "metrics": False, "logs": False}
"""FastAPI has telemetry of its own, which the environment alone would switch on: its spans would have the
address with the question in it."""


def create_app(settings: Settings, place: Place = ALONE) -> FastAPI:
    """Return the application; it opens the index when it starts and follows the folder from then on.

    `place` says what the process is among several that serve together.
    """
    live = Live(settings)
    journal = Journal(settings)
    declared = [one for router in ROUTERS for one in router.routes if isinstance(one, Route)]
    paths = [*((one.path, one.methods or ()) for one in declared), (PATH, ("POST",)), *OWN_ROUTES]
    counted = Metrics(paths, place.shared, row=place.number, rows=settings.workers)
    keeper = Keeper(live, place, counted)
    observer = Observer(counted, settings, open_tracing() if settings.traces else None)
    gate = admission_of(settings, counted)
    mcp = McpRoute(Desk(live, journal.note), gate)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keeper.open()
        journal.open()
        if keeper.follows_folder:
            keeper.request_refresh("changed")  # whatever changed while nothing was running
        try:
            taking = Counter(app, place.counter) if place.counter and place.writes else None
            async with mcp.open(), taking.open(place.wait_until_alone) if taking else nullcontext():
                yield
        finally:
            keeper.close()
            journal.close()
            observer.close()

    app = FastAPIOffline(
        title="Pullquote",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(sealed)],
        telemetry=NO_TELEMETRY,
    )
    app.state.settings = settings
    app.state.live = live
    app.state.keeper = keeper
    app.state.journal = journal
    app.state.metrics = counted
    app.state.observer = observer
    app.state.admission = gate
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.append(mcp.route)
    problems.install(app)
    _document_problems(app)
    describe_access(app, require_key=settings.require_key)
    routes, ring = Routes(app), Ring(settings.data)
    buckets = Buckets(place.shared and place.shared / limits.FILE)
    app.add_middleware(
        Access, settings=settings, routes=routes, ring=ring, buckets=buckets, gate=gate, metrics=counted
    )
    fields = ("X-API-Key", "Authorization", *CONDITIONS, *HEADERS)
    app.add_middleware(Cors, settings=settings, routes=routes, ring=ring, fields=fields)
    app.add_middleware(Envelope, settings=settings, live=live, observer=observer)
    if place.counter and not place.writes:
        # Outside of the envelope: what is handed on comes back with that of the worker that wrote.
        app.add_middleware(Forward, counter=place.counter)
    return app


def _document_problems(app: FastAPI) -> None:
    """Put the problem document into the OpenAPI description, and take the framework's own out."""
    made = app.openapi

    def described() -> dict[str, object]:
        if app.openapi_schema is None:
            schema = made()
            parts = schema.setdefault("components", {}).setdefault("schemas", {})
            for unused in ("HTTPValidationError", "ValidationError"):
                parts.pop(unused, None)
            own = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            parts |= own.pop("$defs", {})
            parts["Problem"] = own
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
