"""The server opens no connection to anywhere, and needs no network to answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server import ARTICLE, PATIENCE_SECONDS, ROOT, Home, Server

pytest_plugins = ("tests.server",)

WATCH = """
import os, socket, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        if event == "socket.connect" and arguments[0].family == socket.AF_UNIX:
            return  # workers among themselves
        with open({log!r}, "a") as log:
            log.write(f"{{event}} {{arguments[1:] if event == 'socket.connect' else arguments}}\\n")

sys.addaudithook(note)
with open({log!r}, "a") as log:
    log.write("watched\\n")
"""
"""Put before everything else that Python does, in every process that the server starts."""


def use(server: Server) -> None:
    """Do with a server what people do."""
    assert server.ask("Who developed PyTorch?")["status"] == "answered"
    assert server.get("/v1/search", q="Which year did TensorFlow appear?", top_k=3)["passages"]
    put = server.client.put("/v1/documents/new.html?wait=true", content=b"<p>The lamp was lit by Ada Brandt.")
    assert put.is_success, put.text
    server.reindex(mode="full")
    chat = {"model": "pullquote", "messages": [{"role": "user", "content": "Who lit the lamp?"}]}
    assert server.client.post("/v1/chat/completions", json=chat).is_success
    headers = {"Accept": "application/json, text/event-stream"}
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    assert server.client.post("/mcp", json=listed, headers=headers).is_success
    for path in ("/", "/docs", "/journal", "/widget.js", f"/documents/{ARTICLE.name}", "/version"):
        assert server.client.get(path).is_success, path
    assert server.client.delete("/v1/documents/new.html?wait=true").is_success


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_no_connection_is_opened_whatever_is_asked(
    home: Home, start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: int
) -> None:
    log, hook = tmp_path / "log", tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH.format(log=str(log)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(hook), os.environ.get("PYTHONPATH", "")]))
    server = start(home, workers=workers, watch=True, journal=True)
    use(server)
    assert server.stop() == 0
    lines = log.read_text(encoding="utf-8").splitlines()
    assert len(lines) >= workers  # each process is watched
    assert set(lines) == {"watched"}


ALONE = """
import fcntl, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
    named = struct.pack("16sh", b"lo", 1)  # IFF_UP: the machine may talk to itself, and there is nobody else
    fcntl.ioctl(ours, 0x8914, named)
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    assert error.errno == 101, error  # no network
else:
    raise SystemExit("there is a network here")
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.server import Home, Server
from tests.test_outgoing import use
server = Server(Home(Path({folder!r}), Path({encoder!r})), journal=True)
try:
    use(server)
    assert server.stop() == 0
finally:
    server.end()
"""


@pytest.mark.slow
def test_all_is_answered_where_there_is_no_network(home: Home) -> None:
    unshare = shutil.which("unshare")
    apart = [str(unshare), "--net", "--map-root-user"]
    if unshare is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody leave the network (unshare --net)")
    script = ALONE.format(root=str(ROOT), folder=str(home.folder), encoder=str(home.encoder))
    done = subprocess.run(
        [*apart, sys.executable, "-c", script],
        capture_output=True,
        encoding="utf-8",
        timeout=5 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
