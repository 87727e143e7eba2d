"""A real browser, Node, and what looks at accessibility: for the widget, the pages, and foreign clients.

A plugin beside tests/server.py, for its fixture; test files import it too, before pytest does, so its
assertions stay as they are (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from playwright import sync_api as api

from tests.server import ROOT

WIDGET = ROOT / "service/widget"
AXE = WIDGET / "node_modules/axe-core/axe.min.js"
CHROMIUM = shutil.which("chromium")
NODE = shutil.which("node")


PLAIN = "plain.example"
"""A name of this machine that browsers trust no more than any other."""


def lacking(what: str) -> NoReturn:
    """Leave a test out where it cannot be run: users need neither Node nor a browser. In CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"there is no {what}")
    pytest.skip(f"there is no {what}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        lacking("chromium; `apt-get install chromium` brings it")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    # A name that is no secure context without https, as 127.0.0.1 is.
    arguments.append(f"--host-resolver-rules=MAP {PLAIN} 127.0.0.1")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def watch(page: Any, troubles: list[str]) -> None:
    """Note whatever goes wrong on a page; the browser itself reports statuses, which is no trouble."""

    def dialog(shown: Any) -> None:
        troubles.append("a dialog")
        shown.dismiss()

    def console(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            troubles.append(message.text)

    page.on("dialog", dialog)
    page.on("console", console)
    page.on("pageerror", lambda error: troubles.append(str(error)))


def violations(page: Any, within: str = "html") -> list[tuple[str, list[str]]]:
    """Return what axe finds wrong on a page: each rule with the elements that break it."""
    if not AXE.is_file():
        lacking("axe-core; `make widget` brings it")
    # The page's rules keep out scripts that are not its own; the checker comes in past them.
    page.context.new_cdp_session(page).send("Page.setBypassCSP", {"enabled": True})
    page.evaluate(AXE.read_text(encoding="utf-8"))
    # The size of targets is part of WCAG 2.2 AA, and the one rule of it that has to be asked for.
    options = {"rules": {"target-size": {"enabled": True}}}
    found = page.evaluate("([within, options]) => axe.run(within, options)", [within, options])
    assert any(
        one["id"] == "target-size" for name in ("passes", "inapplicable", "violations") for one in found[name]
    )
    assert len(found["passes"]) > 3
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
