"""Processes of the benchmark: run to their end or served from, with deadlines, and what memory they take.

On Linux alone: what they take is read from /proc.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

TAIL_LINES = 15
GRACE_SECONDS = 15.0
"""How long a server may take to end when it is asked to."""

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    # Neither sends anything while it is measured.
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "False",
}
OURS = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONSTARTUP")


class Failed(Exception):
    """A system could not be built, started or asked; the message says why."""


def inherited() -> dict[str, str]:
    """Return the environment that this process was started with: importing our modules adds to it."""
    entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (os.fsdecode(entry).partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}


def variables(more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process: this one's, without what would lead into our packages."""
    kept = {
        name: value
        for name, value in inherited().items()
        if name not in OURS and not name.startswith("PULLQUOTE_")
    }
    return kept | OFFLINE | dict(more)


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def run(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    deadline: float,
    given: str = "",
    folder: Path | None = None,
) -> str:
    """Run a command to its end and return what it printed; its errors go to the log.

    Raises Failed when it ends otherwise than well or not before the deadline (seconds).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            cwd=folder,
            text=True,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(given, timeout=deadline)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"not done after {deadline:.0f} s: {command}\n{tail(log)}") from error
        finally:
            _end(process)
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
    if process.returncode:
        raise Failed(f"ended with {process.returncode}: {command}\n{printed[-2000:]}\n{tail(log)}")
    return printed


@contextmanager
def served(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str], folder: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a server's process, which is ended afterwards, with all that it has started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a process and its descendants, by their numbers."""
    if process.poll() is not None:
        return
    everyone = tree(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    for pid in everyone:
        # Those that are left; a number may have been given to another process only if its own has ended.
        if pid == process.pid or _started_by(pid, process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait(GRACE_SECONDS)


def _started_by(pid: int, leader: int) -> bool:
    """Return whether a process is of the session that was opened for `leader`."""
    try:
        return os.getsid(pid) == leader
    except ProcessLookupError:
        return False


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for one in found:
        for listed in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(number) for number in listed.read_text().split()]
    return found


def resident(pid: int) -> float:
    """Return the memory of a process and its descendants in MB: what is shared counts by its share (PSS)."""
    kilobytes = 0
    for one in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1000


def busy(seconds: float) -> float:
    """Return the share of all cores, 0 to 1, that was in use while it looked."""
    before = _jiffies()
    time.sleep(seconds)
    idle, total = (now - then for now, then in zip(_jiffies(), before, strict=True))
    return 1 - idle / max(total, 1)


def _jiffies() -> tuple[int, int]:
    """Return how long the cores were idle, and how long there were in all."""
    numbers = [int(one) for one in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def waited(seconds: float) -> Iterator[None]:
    """Yield again and again until the seconds are over."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield
