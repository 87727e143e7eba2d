"""One shape for every error, and the one table from our errors to a status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Mount

from corpus.folder import CorpusError
from index.encoder import EncoderError
from index.manifest import SnapshotError
from index.store import Locked, NoIndex
from service import schemas
from service.keeper import ReadOnly
from service.keys import hidden
from service.openai_errors import error_reply, speaks_openai

MEDIA_TYPE = "application/problem+json"

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

log = structlog.get_logger()


class Refused(Exception):
    """A request that cannot be served as it is; raised by the doors, turned into a problem here."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        errors: Sequence[schemas.FieldError] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.errors = errors
        self.headers = headers


STATUS: dict[type[Exception], tuple[int, str]] = {
    NoIndex: (503, "no-index"),
    SnapshotError: (503, "damaged-index"),
    EncoderError: (503, "no-encoder"),
    CorpusError: (503, "no-corpus"),
    Locked: (409, "locked"),
}
"""What a broken part looks like from outside. None of it looks like "not found"."""


def invalid(location: Sequence[str | int], message: str) -> Refused:
    """Return the refusal of one field that the settings, not the schema, rule out."""
    error = schemas.FieldError(location=list(location), message=message, type="limit")
    return Refused(422, "invalid-request", f"{'.'.join(map(str, location))}: {message}", errors=[error])


def problem(
    request: Request,
    status: int,
    slug: str | None,
    detail: str,
    *,
    errors: Sequence[schemas.FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """Return the problem document for `request`; `slug` None stands for a plain HTTP error.

    Where clients of the OpenAI API ask, it is that API's error document instead.
    """
    if speaks_openai(request.url.path):
        return error_reply(status, slug, detail, errors=errors, headers=headers)
    body = schemas.Problem(
        type=f"urn:pullquote:problem:{slug}" if slug else "about:blank",
        title=slug.replace("-", " ").capitalize() if slug else HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=clean(request.url.path),
        request_id=request_id(request),
        errors=list(errors) if errors else None,
    )
    return JSONResponse(body.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def request_id(request: Request) -> str:
    """Return the id the request was given."""
    return str(getattr(request.state, "request_id", ""))


def clean(text: str) -> str:
    """Return text that can be sent as UTF-8 whatever came in, without the secret of a key."""
    return hidden(text.encode("utf-8", "backslashreplace").decode("utf-8"))[:512]


def install(app: FastAPI) -> None:
    """Make every error that `app` expects, the framework's own included, a problem document."""
    for kind in (*STATUS, Refused, ReadOnly):
        app.add_exception_handler(kind, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _framework)


Handler = Callable[[Request, Exception], Awaitable[Response]]


async def _expected(request: Request, error: Exception) -> Response:
    return told(request, error)


def told(request: Request, error: Exception) -> Response:
    """Return the problem document of any error, foreseen or not."""
    if isinstance(error, Refused):
        return problem(
            request, error.status, error.slug, error.detail, errors=error.errors, headers=error.headers
        )
    if isinstance(error, ReadOnly):
        return problem(request, 403, "read-only", str(error))
    known = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if known is None:
        return unexpected(request, error)
    log.error("broken part", problem=str(error), request_id=request_id(request))
    return problem(request, *known, str(error), headers={"Retry-After": "5"})


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Only place, message and type: the input, and names the sender made up, are not repeated.
    errors = [
        schemas.FieldError(
            location=_location(one), message=clean(str(one["msg"])), type=clean(str(one["type"]))
        )
        for one in error.errors()
    ]
    detail = "; ".join(f"{'.'.join(map(str, one.location))}: {one.message}" for one in errors[:3])
    return problem(request, 422, "invalid-request", detail, errors=errors)


def _location(error: dict[str, object]) -> list[str | int]:
    parts = [part if isinstance(part, int) else str(part) for part in error["loc"]]  # type: ignore[attr-defined]
    return parts[:-1] if error["type"] == "extra_forbidden" else parts


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    detail = str(error.detail)
    if error.status_code == 404:
        detail = "nothing is served at this address; /docs lists what is"
    elif error.status_code == 405:
        detail = f"this address does not take {clean(request.method)}"
        headers = (headers or {}) | {"Allow": ", ".join(_methods(request))}
    slug: str | None = getattr(error, "slug", None)
    return problem(request, error.status_code, slug, clean(detail), headers=headers)


def _methods(request: Request) -> list[str]:
    """Return the methods that an address takes by any of its routes; the framework names the first one's."""
    routes = [one for one in request.app.routes if not isinstance(one, Mount)]
    found = [
        method
        for method in METHODS
        if any(one.matches({**request.scope, "method": method})[0] == Match.FULL for one in routes)
    ]
    return found or ["GET", "HEAD"]  # a folder of files


def unexpected(request: Request, error: Exception) -> Response:
    """Return the problem document of an error nobody foresaw; its cause goes to the log alone."""
    log.error("unexpected error", request_id=request_id(request), exc_info=error)
    return problem(
        request, 500, "internal-error", "something broke here; the log has the request id with the cause"
    )
