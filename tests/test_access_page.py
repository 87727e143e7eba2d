"""docs/access.md does what it says: its commands, typed by somebody with a server at hand, and its page."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright import sync_api as api

from service import keys
from service.keyring import KeyFile
from tests.browser import watch
from tests.pages import served
from tests.server import COMMAND, PATIENCE_SECONDS, ROOT, Home, Server, wait_for
from tests.test_docs import commands

pytest_plugins = ("tests.server", "tests.browser")
pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/access.md").read_text(encoding="utf-8")
SECTIONS = {one.partition("\n")[0]: one for one in PAGE.split("\n## ")[1:] if "```sh" in one}
SLUG = re.compile(
    r'^\s+"([a-z]+(?:-[a-z]+)+)",$|Refused\(\d+, "([a-z-]+)"|Refused\(\s*\d+,\s*"([a-z-]+)"', re.MULTILINE
)


@pytest.mark.parametrize("title", SECTIONS)
def test_the_commands_do_what_they_should(title: str, home: Home, start: Callable[..., Server]) -> None:
    lines = commands(SECTIONS[title])
    (serving,) = (one for one in lines if "pullquote serve" in one)
    words = shlex.split(serving)
    settings = dict(
        one.removeprefix("PULLQUOTE_").lower().split("=", 1) for one in words if one.startswith("PULLQUOTE_")
    )
    if "--workers" in words:
        settings["workers"] = words[words.index("--workers") + 1]
    server = start(home, **settings)
    typed = "\n".join(one for one in lines if one != serving).replace("localhost:8000", server.address)
    typed = re.sub(r"\bcurl -s (?!.*-w)", "curl -s --fail-with-body ", typed)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", typed],
        env=home.environment() | {"PATH": f"{COMMAND.parent}:/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-500:]
    assert "Facebook AI Research" in done.stdout


def test_every_refusal_is_listed() -> None:
    modules = ("access", "cors", "envelope")
    found = {
        slug
        for name in modules
        for one in SLUG.findall((ROOT / f"service/{name}.py").read_text(encoding="utf-8"))
        for slug in one
        if slug
    }
    listed = {*re.findall(r"`([a-z-]+)`", PAGE.partition("## Refusals")[2])}
    assert {"key-not-valid", "origin-not-allowed", "unknown-host"} <= found
    assert found - {"body-too-large", "packed-body"} <= listed


def test_a_page_of_another_origin_asks_with_its_key_in_a_real_browser(
    home: Home, start: Callable[..., Server], browser: Any
) -> None:
    server = start(home, require_key="true", rate_per_minute=1, rate_burst=2, workers=2)
    page = browser.new_context(reduced_motion="reduce").new_page()
    troubles: list[str] = []
    watch(page, troubles)
    pages: dict[str, str | Path] = {}
    with served(pages) as origin:
        key, text = keys.make("ask", origins=(keys.origin_of(origin),))
        KeyFile(home.data).add(key)

        def opened(given: str) -> None:
            pages["/"] = (
                f'<!doctype html><script type="module" src="{server.address}/widget.js"></script>'
                f'<pull-quote src="{server.address}" key="{given}"></pull-quote>'
            )
            page.goto(origin)
            page.locator("textarea").fill("Who developed PyTorch?")
            page.locator("textarea").press("Enter")

        opened(text)
        api.expect(page.locator("blockquote .quote")).to_have_text("Facebook AI Research")
        page.locator("textarea").fill("When did TensorFlow come out?")
        page.locator("textarea").press("Enter")
        api.expect(page.locator("blockquote .quote").last).to_contain_text("2015")
        page.locator("textarea").fill("Who developed TensorFlow?")
        page.locator("textarea").press("Enter")
        api.expect(page.locator("article.error")).to_contain_text(re.compile(r"again in \d+ s"))
        KeyFile(home.data).revoke(key.id)
        wait_for(lambda: _ask(server, text, origin) == 401, "the key to end")
        opened(text)
        api.expect(page.locator("article.error")).to_contain_text("may not ask here")
    page.context.close()


def _ask(server: Server, key: str, origin: str) -> int:
    headers = {"X-API-Key": key, "Origin": origin}
    return server.client.get("/v1/ask", params={"q": "x"}, headers=headers).status_code


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{}}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
uwsgi_temp_path {folder}; scgi_temp_path {folder};
{server}
}}
"""


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_the_proxy_of_the_page_names_its_visitors(
    home: Home, start: Callable[..., Server], tmp_path: Path
) -> None:
    server = start(home, trusted_proxies="127.0.0.1", allowed_hosts="docs.example.com,127.0.0.1")
    found = re.search(r"```nginx\n(.*?)```", PAGE, re.DOTALL)
    assert found
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    block = re.sub(r"    ssl_.*\n", "", found[1]).replace("443 ssl", f"127.0.0.1:{port}")
    block = block.replace("127.0.0.1:8000", server.address.removeprefix("http://"))
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, server=block))
    proxy = subprocess.Popen(["nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf"])
    visitor = httpx.HTTPTransport(local_address="127.0.0.2")
    try:
        with httpx.Client(transport=visitor, base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            def asked() -> httpx.Response | None:
                try:
                    headers = {"Host": "docs.example.com", "X-Forwarded-For": "203.0.113.9"}
                    return client.get("/v1/documents", headers=headers)
                except httpx.TransportError:
                    return None

            assert wait_for(asked, "nginx").status_code == 200
    finally:
        proxy.terminate()
        proxy.wait(PATIENCE_SECONDS)
    (request,) = (one for one in server.messages() if one.get("path") == "/v1/documents")
    assert request["client"] == "127.0.0.2", "as the proxy has noted it, not as the visitor wrote it"
