"""Which route asks for what: the one table. A route that is not on it is for administrators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.types import Scope as AsgiScope

from service.keys import Scope


@dataclass(frozen=True, slots=True)
class Need:
    """What a request has to bring."""

    scope: Scope | None
    """The least scope of its key; None where none is ever asked for."""
    is_open: bool = True
    """Whether it goes without a key, as long as the settings require none."""
    is_limited: bool = False
    """Whether it counts against the limits: whatever computes, or gives words of documents away."""
    is_watching: bool = False
    """Whether it goes without a key from this machine, whatever keys there are, and by
    PULLQUOTE_METRICS_PUBLIC from anywhere: it has numbers alone."""


PUBLIC = Need(None)
ASKING = Need("ask", is_limited=True)
ABOUT = Need("ask")
"""What one document is called and where it stands on the web: none of its words."""
READING = Need("read", is_limited=True)
LOOKING = Need("read")
"""The state of index, jobs and models: asked for again and again by whoever waits for it."""
PRIVATE = Need("read", is_open=False)
"""What people typed."""
WATCHING = Need("read", is_open=False, is_watching=True)
"""What is counted."""
ADMIN = Need("admin", is_open=False)

TABLE: Mapping[str, Need] = {
    # Pages and files that are the same for everybody, and signs of life.
    "GET /": PUBLIC,
    "GET /widget.js": PUBLIC,
    "GET /widget.{name}.js": PUBLIC,
    "GET /assets/{name}": PUBLIC,
    "GET /journal": PUBLIC,  # the page alone: what it shows it asks for with the key that is typed there
    "GET /docs": PUBLIC,
    "GET /static-offline-docs/{path}": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /livez": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /version": PUBLIC,
    # Publishable keys: what the widget does, and a search box.
    "GET /v1/ask": ASKING,
    "POST /v1/ask": ASKING,
    "GET /v1/search": ASKING,
    "POST /v1/feedback": ASKING,
    "GET /v1/documents/{document_id}": ABOUT,
    # Documents, the index, and other programs' doors.
    "GET /v1/documents": READING,
    "GET /v1/documents/{document_id}/text": READING,
    "GET /v1/documents/{document_id}/raw": READING,
    "GET /documents/{document_id}": READING,
    "POST /v1/verify": READING,
    "POST /v1/chat/completions": READING,
    "POST /v1/responses": READING,
    "POST /v1/embeddings": READING,
    "POST /mcp": READING,
    "GET /v1/models": LOOKING,
    "GET /v1/models/{model_id}": LOOKING,
    "GET /v1/index": LOOKING,
    "GET /v1/jobs/{job_id}": LOOKING,
    "GET /metrics": WATCHING,
    "GET /v1/journal/unanswered": PRIVATE,
    "GET /v1/journal/feedback": PRIVATE,
    # Changes. They would need the same if they were not here.
    "PUT /v1/documents/{document_id}": ADMIN,
    "DELETE /v1/documents/{document_id}": ADMIN,
    "POST /v1/reindex": ADMIN,
    "POST /v1/index/rollback": ADMIN,
    "DELETE /v1/jobs/{job_id}": ADMIN,
}
"""By method and path as the application has it."""


def need_of(method: str, path: str) -> Need:
    """Return what a route asks for; HEAD is GET without the body."""
    return TABLE.get(f"{'GET' if method == 'HEAD' else method} {path}", ADMIN)


@dataclass(frozen=True, slots=True)
class Served:
    """A route that serves a request."""

    path: str
    """As the application has it, with names in braces."""
    need: Need


class Routes:
    """The application's routes, found by its own patterns, so that no spelling of a path is another route."""

    def __init__(self, app: FastAPI) -> None:
        """Read the routes when the first request comes: by then there are all of them."""
        self._app = app
        self._patterns: list[tuple[re.Pattern[str], frozenset[str] | None, str]] = []

    def find(self, scope: AsgiScope, method: str | None = None) -> Served | None:
        """Return what serves a request, or would with another method; None where nothing does (404, 405)."""
        if not self._patterns:
            self._patterns = patterns_of(self._app)
        path, method = get_route_path(scope), method or scope["method"]
        for pattern, methods, template in self._patterns:
            if (methods is None or method in methods) and pattern.match(path):
                return Served(template, need_of(method, template))
        return None


def patterns_of(app: FastAPI) -> list[tuple[re.Pattern[str], frozenset[str] | None, str]]:
    """Return the routes of an application in their order: pattern, methods (None for any), and path."""
    return [
        (one.path_regex, frozenset(one.methods) if one.methods else None, str(one.path_format))
        for one in iter_route_contexts(app.routes)
    ]
