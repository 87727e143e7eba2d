"""What tests of access share: every route there is, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from service.app import create_app
from service.settings import Settings
from tests.contract import OPENAPI
from tests.server import Unwired

FAR = "203.0.113.9"
SHOP = "https://shop.example"
OWN = "open sesame"

BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/ask": {"question": "Who developed PyTorch?"},
    "POST /v1/feedback": {"question": "x", "answer": "x", "passage_id": "x", "good": True},
    "POST /v1/verify": {"citations": []},
    "POST /v1/reindex": {"dry_run": True},
    "POST /v1/index/rollback": {"version": "none"},
}
PLACES = {
    "{document_id}": "nowhere.md",
    "{job_id}": "nowhere",
    "{model_id}": "nowhere",
    "{name}": "nowhere",
    "{path}": "nowhere",
}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield every method and path that the application serves, also those that no description has."""
    for one in iter_route_contexts(app.routes):
        for method in sorted(one.methods or {"GET"}):
            yield method, str(one.path_format)


APP = create_app(Settings())
ROUTES = sorted({*routes_of(APP)})
DESCRIBED = sorted(
    (method.upper(), path)
    for path, found in OPENAPI["paths"].items()
    for method in found
    if method != "parameters"
)


def filled(path: str) -> str:
    for name, value in PLACES.items():
        path = path.replace(name, value)
    return path


def ask_at(request: Unwired, method: str, path: str, **given: Any) -> httpx.Response:
    body = BODIES.get(f"{method} {path}")
    return request(method, filled(path), json=body if method in ("POST", "PUT") else None, **given)


def is_refused(reply: httpx.Response) -> bool:
    """Return whether it was a matter of access that the request failed at."""
    return reply.status_code in (401, 403)
