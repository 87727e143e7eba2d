"""The widget in a real browser: what it shows in every state, for every hand and eye, and what it never does.

Most tests give it replies of their own at an address that is not there; the last ones ask a real server.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api as api

from tests.browser import NODE, PLAIN, WIDGET, lacking, violations, watch
from tests.pages import served
from tests.server import ARTICLE, ROOT, Home, Server, wait_for

pytest_plugins = ("tests.server", "tests.browser")

BUILT = WIDGET / "widget.js"

MOST_BYTES = 12_500
"""Of the whole widget, compressed as a web server does."""

SITE = "http://widget.localhost"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
    "require-trusted-types-for 'script'"
)
INLINE = f'<pull-quote src="{SITE}" suggestions="Who developed PyTorch?|When did it come out?"></pull-quote>'

TEXT = (
    "# Comparison 🚀\n\nPyTorch was developed by Facebook AI Research and is popular in research. "
    + "More. " * 60
)
ANSWER = "Facebook AI Research"
AT = TEXT.index(ANSWER)


def citation(text: str = TEXT, quote: str = ANSWER, **more: Any) -> dict[str, Any]:
    """Return a citation of the first place of `quote` in a document with that text."""
    at = text.index(quote)
    return {
        "document_id": "guide.md",
        "title": "The guide",
        "heading_path": ["The guide", "Comparison"],
        "passage_id": "p1",
        "quote": quote,
        "start_char": at,
        "end_char": at + len(quote),
        "prefix": text[max(0, at - 32) : at],
        "suffix": text[at + len(quote) :][:32],
        "page": None,
        "url": f"/documents/guide.md#c={at}-{at + len(quote)}",
        "role": "answer",
    } | more


def passage(text: str = TEXT, **more: Any) -> dict[str, Any]:
    """Return the passage that is a whole text."""
    about = {
        name: citation(text, text[:1])[name]
        for name in ("document_id", "title", "heading_path", "passage_id")
    }
    return (
        about
        | {"text": text, "start_char": 0, "end_char": len(text), "url": "/documents/guide.md#c=0-9"}
        | more
    )


def reply(
    *, found: bool = True, rewrites: bool = False, cited: Any = None, passages: Any = None
) -> dict[str, Any]:
    """Return a reply as /v1/ask gives it."""
    cited = cited or [citation()]
    changes = [{"kind": "follow-up", "from": "and TensorFlow?", "to": "Who developed TensorFlow?"}]
    text = "; ".join(one["quote"] for one in cited if one["role"] == "answer")
    return {
        "status": "answered" if found else "not_found",
        "reason": None if found else "below_threshold",
        "answer": {"text": text, "kind": "span", "confidence": 0.9, "citations": cited} if found else None,
        "alternatives": [],
        "passages": passages
        or [passage(), passage(passage_id="p2", heading_path=["The guide", "Deployment"])],
        "query": {
            "asked": "and TensorFlow?" if rewrites else "q",
            "used": "Who developed TensorFlow?" if rewrites else "q",
            "rewrites": changes if rewrites else [],
        },
    }


class Site:
    """A page with the widget at an address that is not there, and the replies that it is to get."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[dict[str, Any]] = []
        self.rated: list[dict[str, Any]] = []
        self.keys: dict[str, str | None] = {}
        """By path, the key that came along."""
        self.outside: list[str] = []
        self.troubles: list[str] = []
        self.reply: Callable[[Any], None] = lambda route: route.fulfill(json=reply())
        self.rating = 404
        self.fields: dict[str, list[str]] = {}
        self.body = INLINE
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", self._dialog)
        page.route("**/*", self._serve)

    def _dialog(self, dialog: Any) -> None:
        self.troubles.append("a dialog")
        dialog.dismiss()

    def _console(self, message: Any) -> None:
        # The browser itself reports statuses that a test asked for.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.troubles.append(message.text)

    def _serve(self, route: Any) -> None:
        request = route.request
        path = request.url.removeprefix(SITE).partition("#")[0]
        if path.startswith("/v1/"):
            self.keys[path] = request.headers.get("x-api-key")
        if not request.url.startswith(SITE):
            self.outside.append(request.url)
            route.abort()
        elif path == "/widget.js":
            route.fulfill(body=BUILT.read_bytes(), content_type="text/javascript")
        elif path == "/v1/ask":
            self.asked.append(request.post_data_json)
            self.reply(route)
        elif path == "/v1/feedback":
            self.rated.append(request.post_data_json)
            route.fulfill(status=self.rating, json={})
        elif path.startswith("/v1/documents/"):
            route.fulfill(json={"fields": self.fields})
        else:
            page = (
                f'<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>{self.body}</main>'
            )
            script = '<script type="module" src="/widget.js"></script></html>'
            route.fulfill(
                body=page + script, content_type="text/html", headers={"Content-Security-Policy": POLICY}
            )

    def open(self, body: str | None = None, path: str = "/") -> Any:
        """Return the page once the widget is there."""
        self.body = INLINE if body is None else body
        self.page.goto(SITE + path)
        self.page.wait_for_selector("pull-quote", state="attached")
        return self.page

    def ask(self, question: str = "Who developed PyTorch?", *, wait: str = "article") -> None:
        """Ask as people do; return when there is a card."""
        before = self.page.locator(wait).count()
        self.page.locator("textarea").fill(question)
        self.page.locator("textarea").press("Enter")
        api.expect(self.page.locator(wait)).to_have_count(before + 1)


@pytest.fixture
def site(browser: Any) -> Iterator[Site]:
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    site = Site(context.new_page())
    yield site
    context.close()
    assert site.troubles == [] and site.outside == []


def status(code: int, **headers: str) -> Callable[[Any], None]:
    return lambda route: route.fulfill(status=code, json={"detail": "seen and expected"}, headers=headers)


def nothing(_: Any) -> None:
    """Leave a request without a reply, as one that is still going on."""


# ---------------------------------------------------------------- the file


def test_the_widget_is_small() -> None:
    assert len(gzip.compress(BUILT.read_bytes(), 9)) <= MOST_BYTES


def test_the_widget_is_what_its_source_makes(tmp_path: Path) -> None:
    if NODE is None or not (WIDGET / "node_modules/esbuild").is_dir():
        lacking("Node with esbuild; `make widget` brings it")
    subprocess.run([NODE, WIDGET / "build.mjs", tmp_path / "widget.js"], check=True, timeout=60)
    assert (tmp_path / "widget.js").read_bytes() == BUILT.read_bytes(), (
        "run `make widget` and commit the file"
    )


def test_importing_the_widget_without_a_browser_does_nothing() -> None:
    if NODE is None:
        lacking("Node")
    code = f"await import({json.dumps(BUILT.as_uri())}); console.log('quiet')"
    command = [NODE, "--input-type=module", "-e", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "quiet\n" and done.stderr == ""


def test_the_source_makes_no_markup_and_keeps_nothing() -> None:
    source = "".join(one.read_text(encoding="utf-8") for one in (WIDGET / "src").glob("*.ts"))
    never = r"(?:inner|outer|adjacent)HTML|DOMParser|document\.write|\beval\b|(?:local|session)Storage|cookie"
    assert re.findall(never, source, re.IGNORECASE) == []


def test_what_a_page_may_set_is_documented() -> None:
    source = "".join(one.read_text(encoding="utf-8") for one in (WIDGET / "src").glob("*.*s"))
    described = (ROOT / "docs/widget.md").read_text(encoding="utf-8")
    looks = set(re.findall(r"var\((--pullquote-[a-z-]+)", source))
    assert looks == set(re.findall(r"^\| `(--pullquote-[a-z-]+)`", described, re.MULTILINE))
    parts = set(re.findall(r'part: "([a-z-]+)"', source))
    listed = described.partition("Parts for")[2].partition("##")[0]
    assert parts == set(re.findall(r"`([a-z-]+)`", listed))


# ---------------------------------------------------------------- what is shown


def test_an_answer_is_shown_in_its_passage_with_its_source(site: Site) -> None:
    page = site.open()
    site.ask()
    card = page.locator("article")
    assert card.locator(".quote").inner_text() == ANSWER
    assert card.locator("mark").inner_text() == ANSWER
    link = card.locator(".source a")
    assert link.get_attribute("href") == f"{SITE}/documents/guide.md#c={AT}-{AT + len(ANSWER)}"
    assert link.get_attribute("target") == "_blank" and link.get_attribute("rel") == "noopener"
    assert card.locator(".source .path").inner_text() == "Comparison"
    assert page.get_by_role("status").inner_text() == f"Answer: {ANSWER}"
    assert site.asked == [{"question": "Who developed PyTorch?", "history": []}]
    card.get_by_role("button", name="Show whole passage").click()
    assert card.locator(".passage").text_content() == TEXT
    assert card.locator("mark").inner_text() == ANSWER


def test_a_cell_is_shown_with_its_labels(site: Site) -> None:
    text = "| Feature | PyTorch |\n| --- | --- |\n| Developer | Facebook AI Research |"
    cited = [
        citation(text),
        citation(text, "Developer", role="row_label"),
        citation(text, "PyTorch", role="column_header"),
    ]
    site.reply = lambda route: route.fulfill(json=reply(cited=cited, passages=[passage(text)]))
    page = site.open()
    site.ask()
    assert page.locator(".labels").inner_text() == "Developer · PyTorch"
    assert page.locator("mark").all_inner_texts() == ["PyTorch", "Developer", ANSWER]


def test_not_found_is_a_card_of_its_own_and_no_source(site: Site) -> None:
    site.reply = lambda route: route.fulfill(json=reply(found=False))
    page = site.open()
    site.ask("What is the capital of France?")
    assert page.locator("article.none h3").inner_text() == "That is not in the documents"
    assert page.locator("blockquote, mark").count() == 0
    assert page.locator(".places li").all_inner_texts() != []
    site.ask("And of Spain?")
    assert site.asked[1]["history"] == [
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": ""},
    ]


def test_a_follow_up_sends_the_history_and_can_be_undone(site: Site) -> None:
    page = site.open()
    site.ask()
    site.reply = lambda route: route.fulfill(json=reply(rewrites=True))
    site.ask("and TensorFlow?")
    assert site.asked[1]["history"] == [
        {"role": "user", "content": "Who developed PyTorch?"},
        {"role": "assistant", "content": ANSWER},
    ]
    assert page.locator(".rewrite q").inner_text() == "Who developed TensorFlow?"
    page.get_by_role("button", name="Undo").click()
    api.expect(page.locator("article")).to_have_count(3)
    assert site.asked[2] == {"question": "and TensorFlow?", "history": []}
    assert page.get_by_role("button", name="Undo").count() == 1  # the third had nothing to be completed from


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_stages_are_shown_as_they_come(line_end: str, site: Site) -> None:
    body = ": a comment\n\n" + "".join(map(event, staged(reply())))
    site.reply = lambda route: route.fulfill(
        body=body.replace("\n", line_end), content_type="text/event-stream; charset=utf-8"
    )
    page = site.open()
    site.ask()
    assert page.locator(".quote").inner_text() == ANSWER
    site.reply = lambda route: route.fulfill(body=body[:-60], content_type="text/event-stream")
    site.ask(wait="article.error")


def staged(whole: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the stages of a reply as /v1/ask sends them."""
    decided = {name: whole[name] for name in ("status", "reason", "answer", "alternatives")}
    return [("passages", {"passages": whole["passages"]}), ("answer", decided), ("done", whole)]


def event(stage: tuple[str, dict[str, Any]]) -> str:
    return f"event: {stage[0]}\ndata: {json.dumps(stage[1])}\n\n"


BY_HAND = """
window.asked = [];
window.streams = [];
window.fetch = async (address, given) => {
    if (!String(address).endsWith('/v1/ask')) return Response.json({fields: {}});
    asked.push(JSON.parse(given.body));
    const made = new TransformStream();
    const written = made.writable.getWriter();
    streams.push({send: (text) => written.write(new TextEncoder().encode(text)).catch(() => 0),
        end: () => written.close().catch(() => 0)});
    given.signal.addEventListener('abort', () => written.abort().catch(() => 0));
    return new Response(made.readable, {headers: {'Content-Type': 'text/event-stream'}});
};
"""
"""Replies that come bit by bit, when a test says so."""


class Slow:
    """A page whose questions are answered by hand."""

    def __init__(self, site: Site) -> None:
        site.page.add_init_script(BY_HAND)
        self.page = site.open()

    def type(self, question: str) -> None:
        """Ask, and wait for nothing but the request."""
        before = self.page.evaluate("asked.length")
        self.page.locator("textarea").fill(question)
        self.page.locator("textarea").press("Enter")
        wait_for(lambda: self.page.evaluate("asked.length") == before + 1, "the request")

    def send(self, number: int, *stages: tuple[str, dict[str, Any]]) -> None:
        """Send stages of the reply to a question."""
        for one in stages:
            self.page.evaluate(f"text => streams[{number}].send(text)", event(one))

    def history(self, number: int) -> list[tuple[str, str]]:
        """Return what came along with a question."""
        sent = self.page.evaluate(f"asked[{number}].history")
        return [(one["role"], one["content"]) for one in sent]


FIRST = "Who developed PyTorch?"


def test_what_is_asked_right_after_an_answer_follows_it(site: Site) -> None:
    slow = Slow(site)
    found, answer, done = staged(reply())
    slow.type(FIRST)
    slow.send(0, found, answer)
    api.expect(slow.page.locator(".quote")).to_have_text(ANSWER)
    slow.type("and TensorFlow?")
    assert slow.history(1) == [("user", FIRST), ("assistant", ANSWER)]
    # The first goes on beside it, keeps its card, and neither speaks up nor moves what is seen.
    slow.send(0, done)
    api.expect(slow.page.locator("[data-thumb]")).to_have_count(2)
    api.expect(slow.page.get_by_role("status")).to_have_text("Searching the documents…")
    slow.send(1, *staged(reply(found=False)))
    api.expect(slow.page.locator("article")).to_have_count(2)
    slow.type("why?")
    said = [("user", FIRST), ("assistant", ANSWER), ("user", "and TensorFlow?"), ("assistant", "")]
    assert slow.history(2) == said


def test_what_is_asked_before_the_answer_follows_the_question(site: Site) -> None:
    slow = Slow(site)
    slow.type(FIRST)
    slow.send(0, staged(reply())[0])
    slow.type("and TensorFlow?")
    assert slow.history(1) == [("user", FIRST)]
    slow.send(0, *staged(reply())[1:])
    slow.send(1, *staged(reply()))
    api.expect(slow.page.locator("[data-thumb]")).to_have_count(2)
    assert slow.page.locator("article").count() == 1 and slow.page.locator(".wait").count() == 0
    slow.type("why?")
    assert slow.history(2) == [("user", FIRST), ("user", "and TensorFlow?"), ("assistant", ANSWER)]


def test_what_failed_or_was_cleared_is_no_history(site: Site) -> None:
    slow = Slow(site)
    slow.type(FIRST)
    slow.send(0, *staged(reply())[:2])
    api.expect(slow.page.locator(".quote")).to_have_count(1)
    slow.page.evaluate("streams[0].end()")
    api.expect(slow.page.locator("article.error")).to_have_count(1)
    slow.type("and TensorFlow?")
    assert slow.history(1) == []
    api.expect(slow.page.locator("article.error")).to_have_count(1)
    slow.send(1, *staged(reply())[:2])
    api.expect(slow.page.locator(".quote")).to_have_count(1)
    slow.page.get_by_role("button", name="New conversation").click()
    slow.send(1, staged(reply())[2])
    slow.type("Who is it?")
    assert slow.history(2) == []
    slow.send(2, *staged(reply()))
    api.expect(slow.page.locator("article")).to_have_count(1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda route: route.abort("internetdisconnected"), "No connection"),
        (status(429, **{"Retry-After": "7"}), "again in 7 s"),
        (status(503), "broke on the server"),
        (status(422), "seen and expected"),
        (status(401), "may not ask here"),
        (status(403), "may not ask here"),
        (lambda route: route.fulfill(body="<html>", content_type="application/json"), "broke on the server"),
        (lambda route: route.fulfill(json=None), "broke on the server"),
    ],
)
def test_what_goes_wrong_has_its_own_words_and_a_way_on(
    answer: Callable[[Any], None], words: str, site: Site
) -> None:
    site.reply = answer
    page = site.open()
    site.ask()
    assert words in page.locator("article.error").inner_text()
    site.reply = lambda route: route.fulfill(json=reply())
    page.get_by_role("button", name="Try again").click()
    api.expect(page.locator("blockquote")).to_have_count(1)
    assert page.locator("article").count() == 1
    assert site.asked[1] == site.asked[0]


@pytest.mark.parametrize("key", ["pq_ask_0123456789ab_" + "0" * 48, None])
def test_the_page_s_key_goes_along_with_everything(key: str | None, site: Site) -> None:
    site.rating = 204
    site.fields = {"url": ["https://example.org/guide"]}
    page = site.open(f"<pull-quote{f' key={key}' if key else ''}></pull-quote>")
    site.ask()
    helpful = page.get_by_role("button", name="Helpful", exact=True)
    helpful.click()
    api.expect(helpful).to_have_attribute("aria-pressed", "true")
    api.expect(page.locator(".source a")).to_have_attribute("href", re.compile("example.org"))
    assert site.keys == dict.fromkeys(("/v1/ask", "/v1/feedback", "/v1/documents/guide.md"), key)


def test_thumbs_are_sent_and_hidden_where_nobody_takes_them(site: Site) -> None:
    site.rating = 204
    page = site.open()
    site.ask()
    page.get_by_role("button", name="Helpful", exact=True).click()
    expected = {"question": "Who developed PyTorch?", "answer": ANSWER, "passage_id": "p1", "good": True}
    api.expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    site.rating = 404
    page.get_by_role("button", name="Not helpful").click()
    api.expect(page.locator("[data-thumb]")).to_have_count(0)
    assert site.rated == [expected, expected | {"good": False}]
    site.ask("Another?")
    assert page.locator("[data-thumb]").count() == 0


def test_quotation_and_link_can_be_copied(site: Site) -> None:
    page = site.open()
    site.ask()
    link = f"{SITE}/documents/guide.md#c={AT}-{AT + len(ANSWER)}"
    page.get_by_role("button", name="Copy quotation").click()
    api.expect(page.get_by_role("status")).to_have_text("Copied")
    copied = "navigator.clipboard.readText()"
    assert page.evaluate(copied) == f"“{ANSWER}”\n— The guide › Comparison\n{link}"
    page.get_by_role("button", name="Copy link").click()
    wait_for(lambda: page.evaluate(copied) == link, "the link on the clipboard")


WITHOUT_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"


def test_pages_on_plain_http_copy_too(site: Site) -> None:
    """They have no navigator.clipboard; where nothing can be copied, the card says so."""
    site.page.add_init_script(WITHOUT_CLIPBOARD)
    page = site.open(f"{INLINE}<textarea id=paste aria-label=Paste></textarea>")
    site.page.locator("pull-quote textarea").fill("q")
    site.page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Copy quotation")
    button.click()
    api.expect(page.get_by_role("status")).to_have_text("Copied")
    api.expect(page.locator(".actions .gap")).to_have_text("Copied")
    focused = "document.querySelector('pull-quote').shadowRoot.activeElement"
    assert page.evaluate(f"{focused}.title") == "Copy quotation with source"
    assert page.locator(".actions textarea").count() == 0
    page.locator("#paste").focus()
    page.keyboard.press("Control+v")
    link = f"{SITE}/documents/guide.md#c={AT}-{AT + len(ANSWER)}"
    api.expect(page.locator("#paste")).to_have_value(f"“{ANSWER}”\n— The guide › Comparison\n{link}")
    page.evaluate("document.execCommand = () => false")
    page.get_by_role("button", name="Copy link").click()
    api.expect(page.get_by_role("status")).to_have_text("Could not copy")
    api.expect(page.locator(".actions .gap")).to_have_text("Could not copy")


def test_a_quotation_on_the_page_being_read_is_shown_there(site: Site) -> None:
    site.fields = {"url": [f"{SITE}/article?id=1"]}
    text = "<p>PyTorch was <b>developed</b> by Facebook\n AI <i>Research</i> and is popular in research.</p>"
    page = site.open(f"<p>Facebook AI Research, elsewhere.</p>{text}{INLINE}", "/article?id=1")
    site.ask()
    api.expect(page.locator(".source a")).to_have_attribute(
        "href", re.compile(":~:text=Facebook%20AI%20Research$")
    )
    page.locator(".source a").click()
    marked = "[...CSS.highlights.get('pullquote')].map(one => `${one.startContainer.data}|${one}`)"
    assert page.evaluate(marked) == [" by Facebook\n AI |Facebook\n AI Research"]
    assert page.url == f"{SITE}/article?id=1"


def test_a_document_elsewhere_is_linked_to_at_its_words(site: Site) -> None:
    site.fields = {"url": ["https://example.org/guide"]}
    page = site.open()
    site.ask()
    place = "https://example.org/guide#:~:text=Facebook%20AI%20Research"
    api.expect(page.locator(".source a")).to_have_attribute("href", place)


# ---------------------------------------------------------------- hands

LAUNCHER = f'<button id="before">before</button><input><pull-quote launcher src="{SITE}"></pull-quote>'


def test_from_open_to_source_with_the_keyboard_alone(site: Site) -> None:
    page = site.open(LAUNCHER)
    launcher = page.get_by_role("button", name="Ask the documents")
    page.locator("#before").focus()
    page.keyboard.press("/")
    api.expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.type("Who developed")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("PyTorch?")
    page.keyboard.press("Enter")
    api.expect(page.locator("article")).to_have_count(1)
    assert site.asked[0]["question"] == "Who developed\nPyTorch?"
    focused = "document.querySelector('pull-quote').shadowRoot.activeElement"
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate(f"{focused}?.matches('.source a')"):
            break
    assert page.evaluate(f"{focused}.matches('.source a')")
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    opened.value.close()
    page.keyboard.press("Escape")
    api.expect(page.get_by_role("dialog")).to_have_count(0)
    wait_for(lambda: page.evaluate("document.activeElement.id") == "before", "the focus where it was")
    launcher.click()
    page.keyboard.press("Escape")
    wait_for(lambda: page.evaluate(f"{focused}?.matches('.launcher')"), "the focus on the launcher")
    for keys in ("Control+k", "Meta+k"):
        page.keyboard.press(keys)
        api.expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        api.expect(page.get_by_role("dialog")).to_have_count(0)


def test_shortcuts_leave_typing_alone_and_can_be_turned_off(site: Site) -> None:
    page = site.open(LAUNCHER)
    page.locator("input").press("/")
    page.locator("input").press("Control+k")
    assert page.locator("input").input_value() == "/"
    api.expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("#before").focus()
    page.evaluate("document.querySelector('pull-quote').setAttribute('no-shortcuts', '')")
    page.keyboard.press("/")
    api.expect(page.get_by_role("dialog")).to_have_count(0)


def test_enter_takes_a_word_while_an_input_method_composes(site: Site) -> None:
    page = site.open()
    field = page.locator("textarea")
    field.fill("ni")
    event = "new KeyboardEvent('keydown', {key: 'Enter', isComposing: composing})"
    press = f"(one, composing) => one.dispatchEvent({event})"
    field.evaluate(press, True)
    assert field.input_value() == "ni" and site.asked == []
    field.evaluate(press, False)
    assert field.input_value() == ""


def test_on_a_small_screen_the_dialog_is_all_of_it(site: Site) -> None:
    page = site.open(LAUNCHER)
    page.set_viewport_size({"width": 360, "height": 640})
    page.get_by_role("button", name="Ask the documents").click()
    box = page.get_by_role("dialog").bounding_box()
    assert box == {"x": 0, "y": 0, "width": 360, "height": 640}
    page.keyboard.press("Escape")
    api.expect(page.get_by_role("dialog")).to_have_count(0)


# ---------------------------------------------------------------- pages around it


def test_the_script_alone_puts_a_launcher_there(site: Site) -> None:
    page = site.open("")
    page.get_by_role("button", name="Ask the documents").click()
    site.ask()
    assert page.locator("pull-quote").count() == 1


def test_methods_and_events(site: Site) -> None:
    page = site.open(LAUNCHER)
    page.evaluate(
        """() => {
            window.seen = [];
            for (const name of ['ask', 'answer', 'error'])
                addEventListener(`pullquote-${name}`, (event) => {
                    seen.push([name, event.composed, event.detail.question]);
                    if (event.detail.question === 'stop') event.preventDefault();
                });
        }"""
    )
    page.evaluate("document.querySelector('pull-quote').open()")
    page.evaluate("document.querySelector('pull-quote').ask('one')")
    api.expect(page.locator("article")).to_have_count(1)
    page.evaluate("document.querySelector('pull-quote').ask('stop')")
    site.reply = status(500)
    page.evaluate("document.querySelector('pull-quote').ask('two')")
    api.expect(page.locator("article.error")).to_have_count(1)
    seen = [["ask", True, "one"], ["answer", True, "one"], ["ask", True, "stop"], ["ask", True, "two"]]
    assert page.evaluate("seen") == [*seen, ["error", True, "two"]]
    assert [one["question"] for one in site.asked] == ["one", "two"]
    page.evaluate("document.querySelector('pull-quote').reset()")
    assert page.locator("article").count() == 0
    page.evaluate("document.querySelector('pull-quote').close()")
    api.expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize(
    ("lang", "title"), [("de-AT", "Frag"), ("es", "Pregunta"), ("zh", "向"), ("ar", "اسأل"), ("fr", "Ask")]
)
def test_it_speaks_the_language_of_its_place(lang: str, title: str, site: Site) -> None:
    page = site.open(f'<div lang="{lang}">{INLINE}</div>')
    assert page.locator("h2").inner_text().startswith(title)
    page.evaluate("document.querySelector('pull-quote').strings = {title: 'My own'}")
    assert page.locator("h2").inner_text() == "My own"


def test_right_to_left(site: Site) -> None:
    page = site.open(f'<pull-quote lang="ar" src="{SITE}"></pull-quote>')
    assert page.locator(".root").get_attribute("dir") == "rtl"
    field, send = page.locator("textarea").bounding_box(), page.locator(".send").bounding_box()
    assert send["x"] < field["x"]


def test_a_thousand_times_in_and_out_leave_nothing_behind(site: Site) -> None:
    page = site.open()
    session = page.context.new_cdp_session(page)

    def listeners() -> int:
        session.send("HeapProfiler.collectGarbage")
        found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
        return int(found["JSEventListeners"])

    session.send("Performance.enable")
    churn = """count => {
        for (let at = 0; at < count; at++) {
            const made = document.createElement('pull-quote');
            made.setAttribute('launcher', '');
            document.body.append(made);
            made.remove();
            document.body.append(made);
            made.remove();
        }
    }"""
    page.evaluate(churn, 10)
    before = listeners()
    page.evaluate(churn, 1000)
    assert listeners() <= before


# ---------------------------------------------------------------- hostile texts

BAD = (
    "<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)></svg>"
    "[x](javascript:alert(4))\u202egnp.exe\u2066\u200b\u2069 {0} $& ${alert(5)}"
)


def test_hostile_texts_run_nothing_and_link_to_nothing_else(site: Site) -> None:
    about = {"title": BAD, "heading_path": [BAD, BAD + "2"], "document_id": BAD}
    cited = [citation(BAD, BAD, **about, url="javascript:alert(6)")]
    bad = reply(cited=cited, passages=[passage(BAD, **about, url="data:text/html,<script>alert(7)</script>")])
    bad["query"] = {
        "asked": BAD,
        "used": BAD + "3",
        "rewrites": [{"kind": "spelling", "from": BAD, "to": BAD}],
    }
    site.fields = {"url": ["javascript:alert(8)"]}
    site.reply = lambda route: route.fulfill(json=bad)
    page = site.open()
    site.ask(BAD)
    site.reply = lambda route: route.fulfill(json=bad | {"status": "not_found", "answer": None})
    site.ask(BAD, wait="article.none")
    site.reply = lambda route: route.fulfill(status=422, json={"detail": BAD})
    site.ask(BAD, wait="article.error")
    inside = page.locator("pull-quote").evaluate(
        "one => [...one.shadowRoot.querySelectorAll('*')].map(node => [node.localName, node.href ?? ''])"
    )
    assert {name for name, _ in inside} & {"script", "img", "iframe", "style"} == set()
    assert {str(address) for name, address in inside if name == "a"} <= {""}
    shown = page.locator("article").first.inner_text()
    assert "<script>alert(1)</script>" in shown and not re.search("[\u202a-\u202e\u2066-\u2069\u200b]", shown)


# ---------------------------------------------------------------- eyes and ears

STATES = ("closed", "open", "streaming", "answered", "not found", "error")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_is_accessible(state: str, scheme: str, width: int, site: Site) -> None:
    page = site.page
    page.set_viewport_size({"width": width, "height": 800})
    replies = {
        "streaming": nothing,
        "answered": lambda route: route.fulfill(json=reply(rewrites=True)),
        "not found": lambda route: route.fulfill(json=reply(found=False)),
        "error": status(503),
    }
    site.open(
        LAUNCHER.replace("<input>", "").replace(
            "launcher", f'launcher theme="{scheme}" suggestions="One?|Two?"'
        )
    )
    if state != "closed":
        page.keyboard.press("Control+k")
    if state in replies:
        site.reply = replies[state]
        site.ask(wait=".wait" if state == "streaming" else "article")
    assert violations(page, "pull-quote") == []


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_who_wants_no_motion_sees_none(motion: Any, browser: Any) -> None:
    site = Site(browser.new_context(reduced_motion=motion).new_page())
    site.reply = nothing
    page = site.open()
    site.ask(wait=".wait")
    moving = page.locator(".dots i").first.evaluate("one => getComputedStyle(one).animationName")
    assert moving == ("none" if motion == "reduce" else "beat")
    page.context.close()


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_runs_off_the_side(width: int, site: Site) -> None:
    page = site.open(LAUNCHER)
    page.set_viewport_size({"width": width, "height": 360})
    page.keyboard.press("Control+k")
    site.ask("Who? " + "x" * 200)
    for name in (".scroll", "form", "dialog"):
        assert page.locator(name).evaluate("one => one.scrollWidth <= one.clientWidth + 1"), name
    assert page.locator(".scroll").bounding_box()["height"] > 120


SEEN = """(one, wanted) => {
    const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgb = (colour) => {
        probe.clearRect(0, 0, 1, 1);
        probe.fillStyle = colour;
        probe.fillRect(0, 0, 1, 1);
        return [...probe.getImageData(0, 0, 1, 1).data];
    };
    return wanted.map((name) => rgb(getComputedStyle(one)[name]).join());
}"""
"""Returns an element's colours, those of the system as what they are."""


def colours(one: Any, *names: str) -> list[str]:
    """Return some colours of an element as it is drawn."""
    found: list[str] = one.evaluate(SEEN, names)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colours_keep_everything_apart(scheme: Any, browser: Any) -> None:
    context = browser.new_context(forced_colors="active", color_scheme=scheme, reduced_motion="reduce")
    site = Site(context.new_page())
    site.rating = 204
    page = site.open(LAUNCHER.replace("launcher", 'launcher suggestions="One?"'))
    launcher = page.get_by_role("button", name="Ask the documents")
    edge, surface = colours(launcher, "borderTopColor", "backgroundColor")
    assert edge != surface
    launcher.click()
    page.keyboard.press("Shift+Tab")
    focused = page.evaluate_handle("document.querySelector('pull-quote').shadowRoot.activeElement")
    ring = focused.evaluate("one => getComputedStyle(one).outlineStyle + getComputedStyle(one).outlineWidth")
    assert ring == "solid2px"
    assert colours(focused, "outlineColor") != colours(page.locator(".scroll"), "backgroundColor")
    site.reply = nothing
    site.ask(wait=".wait")
    dot, behind = page.locator(".dots i").first, page.locator("dialog")
    assert colours(dot, "backgroundColor") != colours(behind, "backgroundColor")
    assert violations(page, "pull-quote") == []
    site.reply = lambda route: route.fulfill(json=reply(rewrites=True))
    site.ask()
    mark, around = page.locator("mark"), page.locator(".passage")
    assert colours(mark, "backgroundColor") != colours(behind, "backgroundColor")
    assert colours(mark, "backgroundColor") != colours(mark, "color")
    assert colours(around, "color") != colours(behind, "backgroundColor")
    good = page.get_by_role("button", name="Helpful", exact=True)
    good.click()
    bad = page.get_by_role("button", name="Not helpful")
    assert colours(good, "backgroundColor") != colours(bad, "backgroundColor")
    assert colours(good, "backgroundColor") != colours(good, "color")
    drawing = good.locator("svg")
    assert colours(drawing, "stroke") != colours(good, "backgroundColor")
    assert violations(page, "pull-quote") == []
    site.reply = lambda route: route.fulfill(json=reply(found=False))
    site.ask(wait="article.none")
    assert colours(page.locator("article.none"), "borderTopColor") != colours(behind, "backgroundColor")
    context.close()
    assert site.troubles == []


CUT = """one => [...one.shadowRoot.querySelectorAll('button, a, textarea, summary, h2, .quote, mark')]
    .filter((made) => made.checkVisibility({visibilityProperty: true}) && !made.closest('.unseen'))
    .filter((made) => {
        made.scrollIntoView({block: 'nearest', inline: 'nearest'});
        const box = made.getBoundingClientRect();
        const [x, y] = [box.x + box.width / 2, box.y + Math.min(box.height, 40) / 2];
        const at = one.shadowRoot.elementFromPoint(x, y);
        const seen = at && (made.contains(at) || at.contains(made));
        return box.left < -1 || box.right > innerWidth + 1 || !seen;
    }).map((made) => made.outerHTML.slice(0, 80))"""
"""Returns what of the widget runs off the side, or lies under something else, once it is scrolled to."""

ZOOMS = {
    "the page": ({"width": 640, "height": 400}, 2, ""),
    "the text alone": ({"width": 1280, "height": 800}, 1, "html { font-size: 200% }"),
    "both": ({"width": 640, "height": 400}, 2, "html { font-size: 200% }"),
}
"""Twice as large: 1280 x 800 points of a screen are 640 x 400 of the page, each of two pixels."""


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("zoomed", ZOOMS)
def test_twice_as_large_it_is_all_there(zoomed: str, inline: bool, browser: Any) -> None:
    screen, pixels, style = ZOOMS[zoomed]
    context = browser.new_context(viewport=screen, device_scale_factor=pixels, reduced_motion="reduce")
    site = Site(context.new_page())
    page = site.open(INLINE if inline else LAUNCHER)
    page.evaluate(
        "style => { const made = new CSSStyleSheet(); made.replaceSync(style);"
        " document.adoptedStyleSheets.push(made); }",
        style,
    )
    if not inline:
        page.keyboard.press("Control+k")
    field = page.locator("pull-quote textarea")
    if style:
        assert field.evaluate("one => getComputedStyle(one).fontSize") == "32px"
    widget = page.locator("pull-quote")
    assert widget.evaluate(CUT) == []
    answers = (("Who?", reply(rewrites=True), ANSWER), ("Why?", reply(found=False), "not in the documents"))
    for question, answer, words in answers:
        site.reply = partial(api.Route.fulfill, json=answer)
        field.fill(question)
        field.press("Enter")
        api.expect(page.locator("article").last).to_contain_text(words)
        assert widget.evaluate(CUT) == []
    assert page.locator(".scroll").evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # There is room left to read in, beside the heading and the field.
    assert page.locator(".scroll").bounding_box()["height"] >= 0.3 * screen["height"] - 20
    page.locator(".source a").first.scroll_into_view_if_needed()
    page.locator(".source a").first.click(trial=True)
    context.close()
    assert site.troubles == []


# ---------------------------------------------------------------- with a real server


@pytest.fixture(scope="module")
def server(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = library.copy(tmp_path_factory.mktemp("demo"))
    server = Server(home)
    yield server
    server.end()


def test_the_file_is_served_for_pages_anywhere(server: Server) -> None:
    reply = server.client.get("/widget.js", headers={"Origin": "https://elsewhere.example"})
    assert reply.content == BUILT.read_bytes()
    assert reply.headers["content-type"].startswith("text/javascript")
    assert reply.headers["access-control-allow-origin"] == "*"
    tag = reply.headers["etag"]
    assert server.client.get("/widget.js", headers={"If-None-Match": tag}).status_code == 304
    twin = server.client.get(f"/widget.{tag.strip(chr(34))}.js")
    assert twin.content == reply.content and "immutable" in twin.headers["cache-control"]
    assert server.client.get("/widget.0000.js").status_code == 404


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_start_page_answers_at_once(scheme: str, server: Server, browser: Any, tmp_path: Path) -> None:
    context = browser.new_context(
        color_scheme=scheme, reduced_motion="reduce", viewport={"width": 1280, "height": 820}
    )
    page = context.new_page()
    troubles: list[str] = []
    watch(page, troubles)
    page.goto(server.address)
    api.expect(page.locator("#documents a")).to_have_text(
        "PyTorch vs TensorFlow: Which is Better for Data Science in 2024?"
    )
    assert server.address in page.locator("#curl").inner_text()
    page.get_by_role("button", name="Who developed PyTorch?").click()
    api.expect(page.locator("blockquote .quote")).to_have_text("Facebook AI Research")
    page.locator("textarea").fill("and TensorFlow?")
    page.locator("textarea").press("Enter")
    api.expect(page.locator("blockquote .quote").last).to_have_text("Google Brain")
    page.wait_for_timeout(100)
    # Pictures differ from run to run; those of the documentation are made anew only when it is asked for.
    folder = ROOT / "docs/images" if os.environ.get("PICTURES") else tmp_path
    page.locator("#curl").evaluate(
        "(one, own) => one.textContent = one.textContent.replace(own, 'http://127.0.0.1:8000')",
        server.address,
    )
    page.screenshot(path=folder / f"widget-{scheme}.png")
    assert troubles == []
    with context.expect_page() as opened:
        page.locator(".source a").last.click()
    api.expect(opened.value.locator("mark")).to_have_text("Google Brain")
    context.close()


def test_the_stages_of_a_real_server_are_shown_as_they_come(server: Server, browser: Any) -> None:
    page = browser.new_context(reduced_motion="reduce").new_page()
    troubles: list[str] = []
    watch(page, troubles)
    kinds: list[str] = []
    page.on(
        "response",
        lambda one: kinds.append(one.headers["content-type"]) if one.url.endswith("/v1/ask") else None,
    )
    page.goto(server.address)
    page.evaluate(
        """() => {
            window.seen = [];
            const root = document.querySelector('pull-quote').shadowRoot;
            new MutationObserver(() => {
                const card = root.querySelector('.log > :last-child');
                const now = card.querySelector('article') ? card.ariaBusy ? 'answer' : 'done'
                    : card.textContent.startsWith('Reading') ? 'passages' : 'waiting';
                if (seen.at(-1) !== now) seen.push(now);
            }).observe(root.querySelector('.log'), {subtree: true, childList: true, attributes: true,
                characterData: true});
        }"""
    )
    field = page.locator("textarea")
    for question, answer in (
        ("Who developed PyTorch?", "Facebook AI Research"),
        ("and TensorFlow?", "Google Brain"),
        ("When did it come out?", "2015"),
    ):
        page.evaluate("seen.length = 0")
        field.fill(question)
        field.press("Enter")
        # The next is typed as soon as there is something to be read.
        api.expect(page.locator("blockquote .quote").last).to_contain_text(answer)
    wait_for(lambda: page.evaluate("seen").count("done"), "the last card")
    seen = page.evaluate("seen")
    assert seen[-1] == "done" and seen == [
        one for one in ("waiting", "passages", "answer", "done") if one in seen
    ]
    assert "passages" in seen or "answer" in seen
    assert kinds == ["text/event-stream; charset=utf-8"] * 3
    page.context.close()
    assert troubles == []


def test_thumbs_reach_the_journal(library: Home, browser: Any, tmp_path: Path) -> None:
    server = Server(library.copy(tmp_path), journal="true")
    page = browser.new_context(reduced_motion="reduce").new_page()
    try:
        page.goto(server.address)
        page.get_by_role("button", name="Who developed PyTorch?").click()
        page.get_by_role("button", name="Not helpful").click()
        kept = wait_for(lambda: server.get("/v1/journal/feedback")["feedback"], "the thumb")
        assert [(one["question"], one["answer"], one["good"]) for one in kept] == [
            ("Who developed PyTorch?", "Facebook AI Research", False)
        ]
        assert server.get("/v1/journal/unanswered")["groups"][0]["thumbs_down"] == 1
        assert page.locator("[data-thumb]").count() == 2
    finally:
        page.context.close()
        server.end()


def test_on_plain_http_a_quotation_is_copied_from_a_real_server(server: Server, browser: Any) -> None:
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.goto(server.address.replace("127.0.0.1", PLAIN))
    assert page.evaluate("[isSecureContext, navigator.clipboard === undefined]") == [False, True]
    page.get_by_role("button", name="Who developed PyTorch?").click()
    page.get_by_role("button", name="Copy quotation").click()
    api.expect(page.locator(".gap")).to_have_text("Copied")
    page.locator("textarea").focus()
    page.keyboard.press("Control+v")
    pasted = page.locator("textarea").input_value()
    assert pasted.startswith("“Facebook AI Research”\n— PyTorch vs TensorFlow") and PLAIN in pasted
    page.context.close()


def examples(language: str) -> list[str]:
    """Return the blocks of docs/widget.md in a language."""
    page = (ROOT / "docs/widget.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_page_run_in_a_foreign_page(library: Home, browser: Any, tmp_path: Path) -> None:
    described = " ".join((ROOT / "docs/widget.md").read_text(encoding="utf-8").split())
    (policy,) = re.findall(r"`Content-Security-Policy: (.*?)`", described)
    launcher, inline = examples("html")
    (program,) = examples("js")
    pages: dict[str, str | Path] = {}
    headers: dict[str, str] = {}
    with served(pages, headers) as site:
        server = Server(library.copy(tmp_path), allowed_origins=site)
        page = browser.new_context(reduced_motion="reduce").new_page()
        troubles: list[str] = []
        said: list[str] = []
        watch(page, troubles)
        page.on("console", lambda message: said.append(message.text))
        try:
            headers["Content-Security-Policy"] = policy.replace("https://docs.example.com", server.address)
            for path, example in (("/launcher", launcher), ("/inline", inline)):
                pages[path] = example.replace("https://docs.example.com", server.address)
            page.goto(f"{site}/launcher")
            page.get_by_role("button", name="Ask the documents").click()
            page.locator("textarea").fill("Who developed PyTorch?")
            page.keyboard.press("Enter")
            api.expect(page.locator(".quote")).to_have_text("Facebook AI Research")
            page.goto(f"{site}/inline")
            page.get_by_role("button", name="When did TensorFlow come out?").click()
            api.expect(page.locator(".quote")).to_contain_text("2015")
            page.reload()
            page.wait_for_selector("pull-quote textarea")
            page.evaluate(f"async () => {{ {program} }}")
            assert said == ["answered"] and page.locator("article").count() == 0
        finally:
            page.context.close()
            server.end()
        assert troubles == []


def test_the_start_page_is_accessible(server: Server, browser: Any) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(server.address)
        page.wait_for_selector("#documents a")
        assert violations(page) == []
        context.close()


@pytest.mark.slow
def test_a_hostile_corpus_runs_nothing(home: Home, start: Callable[..., Server], browser: Any) -> None:
    front = "title: '<svg onload=alert(1)>'\nurl: 'javascript:alert(1)'"
    home.write(
        "<img src=x onerror=alert(1)>.md", f"---\n{front}\n---\n# {BAD}\n\nThe quagga is {BAD} a zebra.\n"
    )
    assert home.run("index").returncode == 0
    server = start(home)
    page = browser.new_context().new_page()
    troubles: list[str] = []
    watch(page, troubles)
    page.goto(server.address)
    api.expect(page.locator("#documents a")).to_have_count(2)
    page.locator("textarea").fill("What is the quagga?")
    page.locator("textarea").press("Enter")
    api.expect(page.locator("article")).to_have_count(1)
    for link in page.locator("article a").all():
        assert (link.get_attribute("href") or "").startswith(server.address)
    page.goto(f"{server.address}/documents/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.md#c=5-40")
    api.expect(page.locator("mark")).to_have_count(1)
    page.context.close()
    assert troubles == []
    assert ARTICLE.name in [one["id"] for one in server.get("/v1/documents")["documents"]]
