"""What the OpenAPI description says of access: which keys a route takes, and how it refuses."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service import openai_schemas as oai
from service.doors.replies import TEXTS, problems
from service.openai_errors import speaks_openai
from service.permits import Need, need_of

SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key that `pullquote key add` has made, or PULLQUOTE_ADMIN_KEY.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
}

EITHER: list[dict[str, list[str]]] = [{name: []} for name in SCHEMES]

LIMIT_FIELDS = {
    "RateLimit-Policy": "How many requests may be made: `q` at once, as many again in `w` seconds.",
    "RateLimit": "How many of them are left (`r`), and in how many seconds they are all there again (`t`).",
}
"""draft-ietf-httpapi-ratelimit-headers-11."""


def describe_access(app: FastAPI, *, require_key: bool) -> None:
    """Add to the description what service.permits holds for each route, with PULLQUOTE_REQUIRE_KEY or not."""
    made = app.openapi

    def described() -> dict[str, Any]:
        schema = made()
        parts = schema["components"]
        if "securitySchemes" not in parts:
            parts["securitySchemes"] = SCHEMES
            for path, operations in schema["paths"].items():
                for method, operation in operations.items():
                    need = need_of(method.upper(), path)
                    _describe(operation, path, need, must=require_key and not need.is_watching)
        return schema

    app.openapi = described  # type: ignore[method-assign]


def _describe(operation: dict[str, Any], path: str, need: Need, *, must: bool) -> None:
    # The empty one means that it may go without a key: what is open as long as PULLQUOTE_REQUIRE_KEY is not
    # set, all else from the server's own machine as long as there is no key for it.
    operation["security"] = [] if need.scope is None else EITHER if must else [{}, *EITHER]
    replies = operation["responses"]
    replies.setdefault("400", _refusal(path, 400))
    # Told by the protocol, which does not know the address yet: a problem at every one.
    replies["431"] = dict(problems(431)[431])
    operation["responses"] = dict(sorted(replies.items()))
    if need.scope is None:
        return
    operation["x-scope"] = need.scope
    for status in (401, 403, 503, *((429,) if need.is_limited else ())):
        replies.setdefault(str(status), _refusal(path, status))
    if need.is_limited:
        fields = {name: _field(text) for name, text in LIMIT_FIELDS.items()}
        for status, reply in replies.items():
            if status.startswith("2"):
                reply["headers"] = reply.get("headers", {}) | fields
        retry = {"Retry-After": _field("Seconds until the next request may be made.")}
        replies["429"]["headers"] = fields | retry
    operation["responses"] = dict(sorted(replies.items()))


def _refusal(path: str, status: int) -> dict[str, Any]:
    if speaks_openai(path):
        reference = {"$ref": f"#/components/schemas/{oai.ErrorReply.__name__}"}
        return {"description": TEXTS[status], "content": {"application/json": {"schema": reference}}}
    return dict(problems(status)[status])


def _field(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}
