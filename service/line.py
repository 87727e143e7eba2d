"""The line between a worker and its supervisor: JSON, one message a line, both ways.

Its end is how a worker knows that the supervisor is gone, however it went.

A worker says `here`, `ready`, `failed` (problem, code), `published` and `taken` (number); it is told `begin`
(what it is to be), `take_up` and `taken` (number), and `alone`.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from index.encoder import EncoderError
from index.store import NoIndex
from service.crew import SPREAD_SECONDS, Taken
from service.live import Failure, Live

ORPHAN_SECONDS = 1.0
"""How long a worker may take to end once its supervisor is gone, before it ends in the midst of its work."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is to be."""

    number: int
    writes: bool
    shared: str
    """Path of the folder that is the workers' alone."""
    counter: str | None
    """Path of the socket at which the one that writes is handed requests."""
    settings: dict[str, Any]


class Line:
    """A worker's end."""

    def __init__(self, descriptor: int) -> None:
        """Use a socket that the supervisor has opened."""
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._lines = self._socket.makefile("rb")
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, threading.Event] = {}
        self._alone = threading.Event()
        self._shared: Path | None = None

    def begin(self) -> Orders:
        """Return the orders. Raises EOFError when the supervisor is gone."""
        self._say("here")
        line = self._lines.readline()
        if not line:
            raise EOFError("the supervisor is gone")
        orders = Orders(**json.loads(line)["orders"])
        self._shared = Path(orders.shared)
        return orders

    def attend(self, live: Live) -> None:
        """Do what the supervisor says from now on, in a thread of its own."""
        threading.Thread(target=self._attend, args=(live,), name="line", daemon=True).start()

    def ready(self) -> None:
        """Say that questions are answered."""
        self._say("ready")

    def failed(self, problem: str, code: int) -> None:
        """Say why this worker ends, and with which exit code."""
        self._say("failed", problem=problem, code=code)

    def announce(self) -> Taken:
        """Tell the other workers that a snapshot was published; what is returned waits until they use it."""
        number, answered = next(self._numbers), threading.Event()
        self._waiting[number] = answered
        self._say("published", number=number)

        def taken() -> None:
            if not answered.wait(SPREAD_SECONDS + 1):
                log.warning("nobody said that the new snapshot is in use everywhere")
            self._waiting.pop(number, None)

        return taken

    def wait_until_alone(self, seconds: float) -> object:
        """Wait until there is no other worker left."""
        return self._alone.wait(seconds)

    def _say(self, what: str, **values: object) -> None:
        message = json.dumps({"say": what, **values}).encode() + b"\n"
        try:
            with self._sending:
                self._socket.sendall(message)
        except OSError:
            pass  # the supervisor is gone, which is seen where it is listened to

    def _attend(self, live: Live) -> None:
        try:
            for line in self._lines:
                message = json.loads(line)
                if message["say"] == "take_up":
                    _take_up(live)
                    self._say("taken", number=message["number"])
                elif message["say"] == "taken":
                    if message["missing"]:
                        log.warning("not every worker uses the new snapshot yet", missing=message["missing"])
                    if answered := self._waiting.get(message["number"]):
                        answered.set()
                elif message["say"] == "alone":
                    self._alone.set()
        except OSError:
            pass
        self._orphaned()

    def _orphaned(self) -> None:
        """End: without a supervisor nobody would, and the port and the data folder would stay taken."""
        self._alone.set()
        for answered in [*self._waiting.values()]:
            answered.set()
        if self._shared is not None:
            shutil.rmtree(self._shared, ignore_errors=True)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(ORPHAN_SECONDS)
        os._exit(1)


def _take_up(live: Live) -> None:
    try:
        live.take_up()
    except (NoIndex, EncoderError, OSError) as error:
        # The snapshot in use goes on answering, and following tries again.
        live.last_failure = Failure(str(error))
        log.error("new snapshot not taken up", problem=str(error))
