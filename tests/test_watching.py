"""The index follows its folder: every way in which people and programs change files, in real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.server import ARTICLE, Home, Server, wait_for

pytest_plugins = ("tests.server",)

OLD = "# Lamp\n\nThe harbour lamp burns whale oil.\n"
NEW = "# Lamp\n\nThe harbour lamp burns petroleum.\n"
WHAT = "What does the harbour lamp burn?"
BURST = 1000


@pytest.fixture(name="server")
def _server(home: Home) -> Iterator[Server]:
    """Return a server that watches, and does so already."""
    server = Server(home, watch=True)
    wait_for(lambda: len(refreshes(server)) >= 1, "the first look at the folder")
    yield server
    server.end()


def refreshes(server: Server) -> list[dict[str, object]]:
    return [one for one in server.messages() if one["event"] == "index refreshed"]


def ids(server: Server) -> set[str]:
    """Return the documents besides the article."""
    listed = server.get("/v1/documents", limit=1000)["documents"]
    return {one["id"] for one in listed} - {ARTICLE.name}


def holds(server: Server, *names: str) -> None:
    wait_for(lambda: ids(server) == {*names}, f"{names} and nothing else")


def says(server: Server, words: str) -> None:
    wait_for(lambda: words in str(server.ask(WHAT)["answer"]), f"an answer with {words!r}")


@pytest.mark.slow
def test_files(home: Home, server: Server) -> None:
    """Created, rewritten, replaced as editors do, renamed, made unreadable, removed."""
    path = home.write("lamp.md", OLD)
    says(server, "whale oil")
    path.write_text(NEW)
    says(server, "petroleum")
    # An editor writes beside the file and renames; the other name is a document only for that moment.
    aside = home.write("lamp.md~.txt", OLD)
    aside.replace(path)
    says(server, "whale oil")
    holds(server, "lamp.md")
    path.rename(home.corpus / "renamed.md")
    holds(server, "renamed.md")
    assert refreshes(server)[-1]["encoded"] == 0
    (home.corpus / "renamed.md").write_bytes(b"\xff")
    wait_for(lambda: server.get("/v1/documents/renamed.md")["problem"], "the problem")
    (home.corpus / "renamed.md").unlink()
    holds(server)


@pytest.mark.slow
def test_folders(home: Home, server: Server) -> None:
    """Moved in from outside, renamed, nested, moved out, removed with all that is in them."""
    outside = home.folder / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "one.md").write_text(OLD)
    (outside / "deep/two.md").write_text("# Two\n\nThe second crate is green.\n")
    outside.rename(home.corpus / "guides")
    holds(server, "guides/one.md", "guides/deep/two.md")
    (home.corpus / "guides").rename(home.corpus / "books")
    holds(server, "books/one.md", "books/deep/two.md")
    # What lies in a folder that was moved in is watched like the rest.
    (home.corpus / "books/deep/two.md").write_text(NEW)
    says(server, "petroleum")
    (home.corpus / "books/deep").rename(home.folder / "away")
    holds(server, "books/one.md")
    shutil.rmtree(home.corpus / "books")
    holds(server)


@pytest.mark.slow
def test_a_burst_is_one_refresh_and_moving_it_encodes_nothing(home: Home, server: Server) -> None:
    before = len(refreshes(server))
    for number in range(BURST):
        home.write(
            f"crates/{number}.md", f"# Crate {number}\n\nCrate {number} is kept in depot {number * 7}.\n"
        )
    wait_for(lambda: server.get("/v1/index")["documents"] == BURST + 1, "all files")
    (burst,) = (one for one in refreshes(server)[before:] if one["added"])
    assert (burst["added"], burst["encoded"]) == (BURST, BURST)
    (home.corpus / "crates").rename(home.corpus / "moved")
    wait_for(lambda: server.get("/v1/documents", limit=1)["documents"][0]["id"] == "moved/0.md", "the move")
    (move,) = (one for one in refreshes(server)[before:] if one["renamed"])
    assert (move["renamed"], move["encoded"], move["removed"]) == (BURST, 0, 0)


@pytest.mark.slow
def test_dates_and_hidden_files_change_nothing(home: Home, server: Server) -> None:
    version = server.get("/v1/index")["version"]
    os.utime(home.corpus / ARTICLE.name, (1, 1))
    home.write(".hidden.md", OLD)
    home.write(".git/lamp.md", OLD)
    # Behind these changes comes one that shows; it takes up theirs as well.
    home.write("lamp.md", OLD)
    holds(server, "lamp.md")
    (home.corpus / "lamp.md").unlink()
    wait_for(lambda: server.get("/v1/index")["version"] == version, "the state from before")
    assert all(one["encoded"] in (0, 1) for one in refreshes(server))


@pytest.mark.slow
def test_what_was_gone_back_to_stays(home: Home, server: Server) -> None:
    old = server.get("/v1/index")["version"]
    home.write("lamp.md", OLD)
    says(server, "whale oil")
    server.post("/v1/index/rollback", {"version": old})
    before = len(refreshes(server))
    home.write("other.md", NEW)
    time.sleep(1.5)  # several times as long as a change takes to be seen
    assert server.get("/v1/index")["version"] == old and len(refreshes(server)) == before
    server.reindex()
    holds(server, "lamp.md", "other.md")


@contextmanager
def watching(home: Home) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "service", "watch"]
    with subprocess.Popen(
        command, env=home.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            assert "watching" in process.stderr.readline()
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                process.kill()


@pytest.mark.slow
def test_watching_without_a_server(home: Home) -> None:
    first = home.snapshots()[0]
    with watching(home) as process:
        home.write("lamp.md", OLD)
        wait_for(lambda: len(home.snapshots()) == 2, "the new file in the index")
        assert "whale oil" in home.run("ask", WHAT).stdout
        second = home.snapshots()[0]
        home.write("lamp.md", b"\xff")
        wait_for(lambda: home.snapshots()[0] != second, "the unreadable file")
        assert home.run("ask", WHAT).returncode == 1
        (home.corpus / "lamp.md").unlink()
        # The same documents are the same version, and what could not be read has not ended the watching.
        wait_for(lambda: home.snapshots()[0] == first, "the state from before")
    assert process.returncode == 0


@pytest.mark.slow
def test_watching_sees_no_change_in_what_it_writes_itself(home: Home) -> None:
    inside = home.corpus / "var"
    server = Server(home, data=inside, watch=True)
    try:
        home.write("lamp.md", OLD)
        wait_for(lambda: server.get("/v1/index")["documents"] == 2, "the new file in the index")
        time.sleep(3)  # as long as several refreshes would take, one of which would cause the next
        done = [one for one in server.messages() if one["event"] == "index refreshed"]
        assert len(done) <= 3
    finally:
        server.end()
