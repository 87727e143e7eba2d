"""Processes that die, and systems that fail, at a step of their work on disk."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STEPS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "shutil.rmtree", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def stopped_after(count: int, folder: Path, work: Callable[[], object]) -> bool:
    """Run `work` in a process that dies at its step number `count` in `folder`; return whether it died.

    A step is anything the operating system is asked to change. A machine that loses its power also loses
    what was not made durable: every such file is left cut in half.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in (0, 9), "the child failed by itself"
        return os.waitstatus_to_exitcode(status) == 9
    code = 1
    try:
        durable = {path.stat().st_ino for path in folder.rglob("*")}
        taken = 0

        def step() -> None:
            nonlocal taken
            taken += 1
            if taken != count:
                return
            for path in folder.rglob("*"):
                if path.is_file() and path.stat().st_ino not in durable:
                    os.truncate(path, path.stat().st_size // 2)
            os._exit(9)

        def fsync(fd: Any) -> None:
            step()
            durable.add(os.fstat(fd).st_ino)

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if event not in STEPS or taken >= count or not is_inside(arguments[0]):
                return
            if event != "open" or (arguments[2] or 0) & WRITES:
                step()

        def is_inside(given: Any) -> bool:
            if isinstance(given, int):
                return False  # a file that is open already
            # A path that is not absolute goes by the handle of a folder.
            path = Path(os.fsdecode(given))
            return path.is_relative_to(folder) or not path.is_absolute()

        setattr(os, "fsync", fsync)  # noqa: B010 (mypy knows another signature)
        sys.addaudithook(watch)
        work()
        code = 0
    finally:
        os._exit(code)


CALLS = ("open", "mkdir", "rename", "fsync", "unlink", "rmdir")


BEHIND = ("refresh", "merge")
"""How the names of a server's threads behind its changes begin."""


@contextmanager
def failing_at(count: int, error: int, *, ever_after: bool) -> Iterator[list[str]]:
    """Have the operating system refuse the change number `count` with this error, and all after it too.

    Gives the names of the calls that were refused. What a server does behind a change goes on: refreshing and
    merging in threads of their own, of which nobody can say how far they are.
    """
    refused: list[str] = []
    taken = 0

    def refusing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*given: Any, **named: Any) -> Any:
            nonlocal taken
            behind = threading.current_thread().name.startswith(BEHIND)
            if behind or (name == "open" and not given[1] & WRITES):
                return call(*given, **named)
            taken += 1
            if taken == count or (ever_after and taken > count):
                refused.append(name)
                raise OSError(error, os.strerror(error))
            return call(*given, **named)

        return asked

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, refusing(name, getattr(os, name)))
        yield refused
