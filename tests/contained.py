"""Runs a container of the image in the namespaces that it is started in; tests/image.py does.

On standard input is a JSON object: `root`, `data` (a folder), `user` (its number, and its group's),
`environment`, `command`, `workdir`, `health`, and maybe `asks` (path and body by name), `probe` (a program
for the image's Python, run beside the server) and `writes` (false where the data are mounted read-only). On
standard output is what was seen.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
READY_SECONDS, STOP_SECONDS = 90, 30


def mounted(root: str, data: str, *, writes: bool) -> str:
    """Return a folder with the image's root in it, read-only, and what an engine mounts on top."""
    place = tempfile.mkdtemp()
    mount("--make-rprivate", "/")
    mount("--bind", root, place)
    mount("-o", "remount,bind,ro,nosuid,nodev", place)
    mount("-t", "tmpfs", "-o", "mode=1777,nosuid,nodev,noexec", "tmpfs", f"{place}/tmp")
    mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", f"{place}/proc")
    mount("-t", "tmpfs", "-o", "mode=755,nosuid", "tmpfs", f"{place}/dev")
    for name in ("null", "zero", "random", "urandom"):
        Path(place, "dev", name).touch()
        mount("--bind", f"/dev/{name}", f"{place}/dev/{name}")
    Path(place, "dev/shm").mkdir(mode=0o1777)
    mount("--bind", data, f"{place}/data")
    if not writes:
        mount("-o", "remount,bind,ro", f"{place}/data")
    return place


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def loopback_up() -> None:
    """Bring up the one interface of a new network namespace."""
    with socket.socket() as one:
        fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def without_rights(place: str, user: int, workdir: str) -> Callable[[], None]:
    """Return what a child does before it becomes the container's process."""
    libc = ctypes.CDLL(None, use_errno=True)

    def become() -> None:
        os.chroot(place)
        os.chdir(workdir)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for capability in range(64):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    return become


def asked(url: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """Return status and text of a reply."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def main() -> None:
    """Run the container that standard input describes."""
    wish = json.load(sys.stdin)
    loopback_up()
    place = mounted(wish["root"], wish["data"], writes=wish.get("writes", True))
    become = without_rights(place, wish["user"], wish["workdir"])
    # A program is looked up in the image, by the PATH that it is given.
    env = wish["environment"]
    seen: dict[str, Any] = {"replies": {}}

    def run(words: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            found(words),
            env=env,
            preexec_fn=become,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def found(words: list[str]) -> list[str]:
        for folder in env["PATH"].split(":"):
            if os.path.lexists(place + folder + "/" + words[0]):
                return [f"{folder}/{words[0]}", *words[1:]]
        raise FileNotFoundError(words[0])

    with tempfile.TemporaryFile("w+") as log:
        server = subprocess.Popen(
            found(wish["command"]),
            env=env,
            preexec_fn=become,  # noqa: PLW1509 (one thread)
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{env['PULLQUOTE_PORT']}"
            started = time.monotonic()
            while server.poll() is None and time.monotonic() - started < READY_SECONDS:
                try:
                    if asked(f"{address}/readyz")[0] == 200:
                        seen["ready_seconds"] = time.monotonic() - started
                        break
                except OSError:
                    pass
                time.sleep(0.05)
            if "ready_seconds" in seen:
                for name, (path, body) in wish.get("asks", {}).items():
                    seen["replies"][name] = asked(address + path, body)
                seen["status"] = Path(f"{place}/proc/{server.pid}/status").read_text()
                seen["health"] = run(wish["health"])[0]
                if "probe" in wish:
                    seen["probe"] = run(["python", "-c", wish["probe"]])
            server.terminate()
            seen["exit"] = server.wait(timeout=STOP_SECONDS)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
            log.seek(0)
            seen["log"] = log.read()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
