"""Pages for people: a document with the cited place highlighted. Documents are data, never markup."""

from __future__ import annotations

from html import escape
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service.doors.replies import problems, take_index
from service.problems import Refused

router = APIRouter(include_in_schema=False)

ASSETS = Path(__file__).parent / "assets"
TYPES = {"place.js": "text/javascript", "page.css": "text/css"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "Referrer-Policy": "no-referrer",
}

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/assets/page.css">
<header><p>{id}</p><h1>{title}</h1></header>
<main><pre id="text">{text}</pre></main>
<script type="module" src="/assets/place.js"></script>
</html>
"""


@router.get("/")
async def get_root() -> Response:
    """Send a visitor to the description of what is served."""
    return RedirectResponse("/docs", 307)


@router.get("/documents/{document_id:document_id}", responses=problems(404, 503))
def get_page(request: Request, document_id: str) -> Response:
    """Show a document's text; `#c=start-end` highlights that place, in code points."""
    snapshot = take_index(request).snapshot
    number = snapshot.numbers.get(document_id)
    if number is None:
        raise Refused(404, "no-such-document", "the index holds no document with that id")
    # A leading line break right after <pre> is dropped by HTML, so one is given away in front.
    page = PAGE.format(
        id=escape(document_id),
        title=escape(snapshot.documents[number].title),
        # A carriage return as it stands would be normalized away, and every place behind it moved.
        text="\n" + escape(snapshot.text(number)).replace("\r", "&#13;"),
    )
    return Response(page, media_type="text/html; charset=utf-8", headers=HEADERS)


@router.get("/assets/{name}")
def get_asset(name: str) -> Response:
    """Return a file the pages are made with."""
    if name not in TYPES:
        raise Refused(404, "no-such-asset", "there is no such file")
    return Response((ASSETS / name).read_bytes(), media_type=TYPES[name])
