"""Errors as clients of the OpenAI API read them: which addresses speak so, and the one shape."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import JSONResponse, Response

from service import openai_schemas, schemas

ADDRESSES = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/models")

KINDS = {401: "authentication_error", 403: "permission_error", 409: "conflict_error", 429: "rate_limit_error"}
"""What that API calls errors by their status; other refusals are `invalid_request_error`."""


def speaks_openai(path: str) -> bool:
    """Return whether clients of that API ask at `path`."""
    return any(path == one or path.startswith(f"{one}/") for one in ADDRESSES)


def error_reply(
    status: int,
    slug: str | None,
    detail: str,
    *,
    errors: Sequence[schemas.FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return the error document; `param` is the first field that is wrong."""
    place = errors[0].location if errors else []
    if place[:1] == ["body"]:
        place = place[1:]
    body = openai_schemas.ErrorReply(
        error=openai_schemas.Error(
            message=detail,
            type="server_error" if status >= 500 else KINDS.get(status, "invalid_request_error"),
            param=".".join(map(str, place)) or None,
            code=slug.replace("-", "_") if slug else None,
        )
    )
    return JSONResponse(body.model_dump(), status, headers)
