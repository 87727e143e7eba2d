"""What is shown of a build: a bar on a terminal, a line now and then elsewhere, and true figures in both."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading
from contextlib import suppress

import pytest

from index.progress import Progress
from service.commands.progress import LINE_SECONDS, lines, said
from tests.server import COMMAND, PATIENCE_SECONDS, Home

pytest_plugins = ("tests.server",)


def test_only_what_is_encoded_makes_the_pace() -> None:
    progress = Progress(passages=5000, done=4500, bytes=50, total_bytes=100)
    assert said(progress) == "4500 of about 10000 passages", "taken over in no time, which is no pace"
    progress.encoded, progress.seconds = 100, 4.0
    assert said(progress) == "4500 of about 10000 passages · 25/s · 0:03:40 left"
    progress.kept = 5000
    assert said(progress).endswith("0:00:20 left"), "what is kept need not be encoded"
    progress.passages = progress.done = 10000
    progress.bytes, progress.kept = 100, 0
    assert said(progress) == "10000 of 10000 passages · 25/s · 0:00:00 left"


def test_before_the_first_passage_there_is_no_number() -> None:
    assert said(Progress()) == "reading documents"
    assert Progress().per_second is None and Progress().seconds_left is None


def test_without_a_terminal_a_line_comes_now_and_then() -> None:
    time, put = 0.0, list[str]()
    listener = lines(put.append, lambda: time)
    for second in range(int(3.5 * LINE_SECONDS)):
        time = float(second)
        listener(Progress(passages=1000, done=second))
    assert put == [f"indexing: {int(n * LINE_SECONDS)} of 1000 passages" for n in (1, 2, 3)]


@pytest.mark.slow
def test_a_terminal_shows_a_bar_that_goes_away(home: Home) -> None:
    parts = [f"## Part {n}\n\nThe crate {n} lies in harbour {n * 7}.\n" for n in range(150)]
    home.write("crates.md", "# Crates\n\n" + "\n".join(parts))
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        with suppress(OSError):  # how a terminal ends
            while data := os.read(ours, 4096):
                seen.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        [COMMAND, "index"],
        cwd=home.folder,
        env=home.environment() | {"TERM": "xterm", "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert re.search(r"\d+ of (about )?\d+ passages · \d+/s · \d+:\d\d:\d\d left", shown), shown
    assert b"(encoded 150)" in done.stdout and done.stdout.count(b"\n") == 1
