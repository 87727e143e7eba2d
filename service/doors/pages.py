"""Pages for people: the start page, a document with the cited place marked, the widget for other pages.

Documents are data, never markup.
"""

from __future__ import annotations

import hashlib
from functools import cache
from html import escape
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from index.snapshot import Snapshot
from service.doors.replies import live_of, problems, take_index
from service.doors.safety import ASKING, DESCRIBING, STRICT, page_headers
from service.problems import Refused

router = APIRouter(include_in_schema=False)

ASSETS = Path(__file__).parent / "assets"
TYPES = {
    "place.js": "text/javascript",
    "page.css": "text/css",
    "demo.js": "text/javascript",
    "demo.css": "text/css",
    "journal.js": "text/javascript",
    "journal.css": "text/css",
    "docs.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
HTML = "text/html; charset=utf-8"
WIDGET = Path(__file__).parent.parent / "widget/widget.js"

WIDGET_HEADERS = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
"""A page anywhere may load the file, as a module and under its own isolation; asking is another matter."""

ARTICLE = "pytorch-vs-tensorflow.md"
ARTICLE_QUESTIONS = (
    "Who developed PyTorch?",
    "When did TensorFlow come out?",
    "Which industries prefer PyTorch?",
    "What is the capital of France?",
)
"""The first corpus is known, so it is known what to ask it; the last question shows what is not in it."""

MOST_SUGGESTED = 4
LONGEST_SUGGESTED = 90
MOST_LOOKED_AT = 2000
"""Passages whose headings are looked at for suggestions: enough to find some, and no time at all."""

START = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pullquote: ask your documents, get the quote</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/demo.css">
<script type="module" src="/widget.js"></script>
<script type="module" src="/assets/demo.js"></script>
<main>
<div>
<p class="name">Pullquote</p>
<h1>Ask your documents; <em>get the quote.</em></h1>
<p class="lead">Every answer is a word-for-word quotation with its exact place in the source. Where the
documents hold no answer, it says so. Nothing is made up, because nothing is written: it only ever quotes.</p>
</div>
<pull-quote src="/" lang="en" suggestions="{suggestions}"></pull-quote>
<section>
<h2>It speaks for these documents</h2>
<ul id="documents"><li><a href="/v1/documents">/v1/documents</a></li></ul>
<h2>From a terminal</h2>
<pre id="curl" tabindex="0" aria-label="Command">curl -s http://localhost:8000/v1/ask \\
  -H 'content-type: application/json' \\
  -d '{{"question": "{question}"}}'</pre>
</section>
</main>
<footer><a href="/docs">The interface</a><a href="/v1/index">The index</a>
<a href="/openapi.json">OpenAPI</a></footer>
</html>
"""

DESCRIPTION = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pullquote: the interface</title>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static-offline-docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/static-offline-docs/swagger-ui-bundle.js"></script>
<script src="/assets/docs.js"></script>
</html>
"""

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
def get_start(request: Request) -> Response:
    """Show what this is: the widget over this server's documents."""
    index = live_of(request).index
    questions = _suggested(index.snapshot) if index else ()
    page = START.format(
        suggestions=escape("|".join(questions)),
        # Inside the quotes of a shell's word and of a JSON text, so none of theirs may be in it.
        question=escape(questions[0]) if questions and questions[0].isascii() else "Who wrote this?",
    )
    return Response(page, media_type=HTML, headers=_headers(request, ASKING))


def _suggested(snapshot: Snapshot) -> tuple[str, ...]:
    """Return questions to begin with: those of the known article, else headings that are questions."""
    if ARTICLE in snapshot.numbers:
        return ARTICLE_QUESTIONS
    found: dict[str, None] = {}
    for passage in range(min(snapshot.passages, MOST_LOOKED_AT)):
        heading = next(iter(snapshot.headings(passage)[-1:]), "")
        if heading.endswith("?") and len(heading) <= LONGEST_SUGGESTED and not {*heading} & {*"|'\"\\"}:
            found[heading] = None
        if len(found) == MOST_SUGGESTED:
            break
    return tuple(found)


@router.get("/docs")
def get_description(request: Request) -> Response:
    """Show the interface, its files with it: whoever reads it may have no other network."""
    return Response(DESCRIPTION, media_type=HTML, headers=_headers(request, DESCRIBING))


def _headers(request: Request, policy: str) -> dict[str, str]:
    return page_headers(policy, live_of(request).settings.frame_ancestors)


@router.get("/journal")
def get_journal(request: Request) -> Response:
    """Show administrators what the documents lack. The page holds none of it: it is the same for all."""
    page = (ASSETS / "journal.html").read_bytes()
    return Response(page, media_type=HTML, headers=_headers(request, ASKING))


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
    return Response(page, media_type=HTML, headers=_headers(request, STRICT))


@router.get("/assets/{name}")
def get_asset(name: str) -> Response:
    """Return a file the pages are made with."""
    if name not in TYPES:
        raise Refused(404, "no-such-asset", "there is no such file")
    return Response((ASSETS / name).read_bytes(), media_type=TYPES[name])


@cache
def _widget() -> tuple[bytes, str]:
    """Return the built widget and the beginning of its SHA-256, which names it."""
    content = WIDGET.read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


@router.get("/widget.js")
def get_widget(request: Request) -> Response:
    """Return the widget, asked for anew by its ETag."""
    content, name = _widget()
    headers = WIDGET_HEADERS | {
        "ETag": f'"{name}"',
        "Cache-Control": "no-cache",
        "Link": f"</widget.{name}.js>",
    }
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if f'"{name}"' in given:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="text/javascript", headers=headers)


@router.get("/widget.{name}.js")
def get_pinned_widget(name: str) -> Response:
    """Return the widget under the name of its content, which never changes."""
    content, current = _widget()
    if name != current:
        raise Refused(
            404, "no-such-asset", "this server holds another version of the widget; ask for /widget.js"
        )
    headers = WIDGET_HEADERS | {"ETag": f'"{name}"', "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(content, media_type="text/javascript", headers=headers)
