"""Several processes that answer on one port: started, started again when one dies, ended together.

The port is bound here, once, and handed to each of them. One of them writes; the others hand it what changes
something (`service.forwarding`). Nothing is answered here, so nothing is loaded for that: the command, which
needs the index's libraries to look whether there is one, gives its place to `python -m service.supervisor`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import structlog

from service import limits, logs
from service.crew import SPREAD_SECONDS
from service.keyring import say_who_may
from service.listening import address_of, inherited, listen, turn_away
from service.process import Worker, shown
from service.settings import Settings
from service.sharing import Tally, size_of

GRACE_SECONDS = 27.0
"""How long workers may take to end after SIGTERM: what requests may (service.server), and a little."""

STEADY_SECONDS = 2.0
"""A worker that ends sooner after it was ready, or before it was, has died at once."""

DEATHS = 5
"""So many of them in a row, and the server ends and says why."""

BACKOFF_SECONDS = 0.1
"""Before a worker is started again; twice as long each time that it dies at once."""

WRITER = 1

UNEXPLAINED = 1
"""Exit code where a worker said none."""

log = structlog.get_logger()


class WorkersFailed(Exception):
    """The workers cannot serve; the message says why."""

    def __init__(self, problem: str, code: int) -> None:
        super().__init__(problem)
        self.code = code
        """The exit code that the worker gave, or would have given alone."""


def become(settings: Settings) -> NoReturn:
    """Make this process one that has as many others serve as the settings say, until SIGINT or SIGTERM.

    Its exit code is that of `serve` in one process: 0 when it was told to end, else what a worker that cannot
    serve would have ended with. Raises OSError when the address cannot be taken.
    """
    listener = listen(settings.host, settings.port)
    listener.set_inheritable(True)
    # Neither in the command line nor in the environment: the key is among them.
    with tempfile.TemporaryFile() as told:
        told.write(json.dumps(_values(settings)).encode())
        told.seek(0)
        os.set_inheritable(told.fileno(), True)
        numbers = (str(listener.fileno()), str(told.fileno()))
        os.execv(sys.executable, [sys.executable, "-m", "service.supervisor", *numbers])


def main() -> None:
    """Serve on a socket that was bound, by settings in a file: two descriptors."""
    with os.fdopen(int(sys.argv[2]), "rb") as told:
        settings = Settings(**json.load(told))
    logs.configure(settings)
    folder = Path(tempfile.mkdtemp(prefix="pullquote-"))
    try:
        with inherited(int(sys.argv[1]), settings.host) as listener:
            asyncio.run(Supervisor(settings, listener, folder).run())
    except WorkersFailed as error:
        red, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
        sys.stderr.write(f"{red}{error}{plain}\n")
        raise SystemExit(error.code) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _values(settings: Settings) -> dict[str, Any]:
    """Return settings from which the same are made again."""
    values = settings.model_dump(mode="json")
    if settings.admin_key is not None:
        values["admin_key"] = settings.admin_key.get_secret_value()
    return values


class Supervisor:
    """Looks after the workers."""

    def __init__(self, settings: Settings, listener: socket.socket, folder: Path) -> None:
        """Have `listener` answered; `folder`, which nobody else may enter, is for what the workers share."""
        self._settings = settings
        self._listener = listener
        self._shared = str(folder)
        self._counter = None if settings.read_only else str(folder / "counter")
        self._workers = [
            Worker(number, writes=number == WRITER and not settings.read_only)
            for number in range(1, settings.workers + 1)
        ]
        self._connections = (folder / "tally").open("w+b")
        self._connections.truncate(size_of(settings.workers))
        self._tally = Tally(self._connections.fileno(), settings.workers)
        for one in self._workers:
            self._tally.clear(one.number)
        limits.create(folder / limits.FILE)
        self._ending = asyncio.Event()
        self._failure: WorkersFailed | None = None
        self._first_ready = asyncio.Event()
        self._spreading = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until a signal. Raises WorkersFailed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        first, *others = self._workers
        lives = [self._begun(first)]
        # The first one finds out whether there is anything to serve; what is wrong is said once.
        await self._either(self._first_ready)
        if not self._ending.is_set():
            address = address_of(self._listener)
            say_who_may(self._settings)
            log.info("serving", address=address, docs=f"{address}/docs", workers=self._settings.workers)
            lives += [self._begun(one) for one in others]
        await self._ending.wait()
        turn_away(self._listener)
        self._listener.close()
        await self._ended(lives)
        for life in lives:
            life.result()
        if self._failure is not None:
            raise self._failure

    def _begun(self, worker: Worker) -> asyncio.Task[None]:
        """Keep a worker running from now on; what nobody foresaw ends them all."""
        life = asyncio.create_task(self._keep(worker))
        life.add_done_callback(lambda done: self._ending.set() if done.exception() else None)
        return life

    def _end(self) -> None:
        """Begin to end; whoever asks twice does not want to wait."""
        if self._ending.is_set():
            for one in self._workers:
                one.signal(signal.SIGKILL)
        self._ending.set()

    async def _ended(self, lives: list[asyncio.Task[None]]) -> None:
        """End the workers, the one that writes last: the others still hand it what they were asked."""
        for one in self._workers:
            one.signal(signal.SIGTERM)
        writing = [life for one, life in zip(self._workers, lives, strict=False) if one.writes]
        others = [life for life in lives if life not in writing]
        loop = asyncio.get_running_loop()
        end = loop.time() + GRACE_SECONDS
        for some in (others, writing):
            if some:
                await asyncio.wait(some, timeout=max(0.1, end - loop.time()))
            for one, life in zip(self._workers, lives, strict=False):
                if life in some and not life.done():
                    log.error("worker does not end and is killed", number=one.number)
                    one.signal(signal.SIGKILL)
            for one in self._workers:
                one.tell("alone")
        await asyncio.wait(lives)

    async def _either(self, event: asyncio.Event) -> None:
        """Wait for the event or the end."""
        waits = [asyncio.create_task(one.wait()) for one in (event, self._ending)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    async def _keep(self, worker: Worker) -> None:
        """Keep a worker running until the end."""
        deaths = 0
        while not self._ending.is_set():
            try:
                status = await self._live(worker)
            except OSError as error:  # the system gives no process, or no file
                status, worker.problem = UNEXPLAINED, str(error)
            if self._ending.is_set():
                return
            now = asyncio.get_running_loop().time()
            at_once = worker.ready_at is None or now - worker.ready_at < STEADY_SECONDS
            deaths = deaths + 1 if at_once else 0
            if not worker.has_served and not self._first_ready.is_set() and worker.problem is not None:
                self._give_up(WorkersFailed(worker.problem, worker.code or UNEXPLAINED))
            elif deaths == DEATHS:
                said = f": {worker.problem}" if worker.problem else ""
                self._give_up(
                    WorkersFailed(
                        f"worker {worker.number} has ended {DEATHS} times in a row as soon as it was "
                        f"started, the last time {shown(status)}{said}",
                        worker.code or UNEXPLAINED,
                    )
                )
            else:
                log.error(
                    "worker has ended and is started again",
                    number=worker.number,
                    status=shown(status),
                    problem=worker.problem,
                )
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), BACKOFF_SECONDS * 2**deaths)

    def _give_up(self, failure: WorkersFailed) -> None:
        self._failure = self._failure or failure
        self._ending.set()

    async def _live(self, worker: Worker) -> int:
        """Run a worker from its start to its end, and return its exit status."""
        worker.ready_at = worker.problem = worker.code = None
        ours, theirs = socket.socketpair()
        with theirs:
            given = (theirs.fileno(), self._listener.fileno(), self._connections.fileno())
            worker.process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service.worker"),
                *map(str, given),
                pass_fds=given,
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, line = await asyncio.open_unix_connection(sock=ours)
        if self._ending.is_set():
            worker.signal(signal.SIGTERM)
        hearing = asyncio.create_task(self._hear(worker, reader, line))
        try:
            status = await process.wait()
            await hearing  # what it said last; its end of the line has closed with it
        finally:
            worker.line = None
            self._tally.clear(worker.number)
            line.close()
            for one in worker.asked.values():
                one.cancel()
            worker.asked.clear()
        return status

    async def _hear(self, worker: Worker, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        """Do what a worker's messages ask for, until its end of the line closes."""
        with suppress(ConnectionError):
            while text := await reader.readline():
                self._do(worker, json.loads(text), line)

    def _do(self, worker: Worker, message: dict[str, Any], line: asyncio.StreamWriter) -> None:
        say = message["say"]
        if say == "here":
            # From here on it is told of every snapshot: it opens the index only after this.
            worker.line = line
            worker.tell("begin", orders=self._orders(worker))
        elif say == "ready":
            worker.ready_at, worker.has_served = asyncio.get_running_loop().time(), True
            assert worker.process is not None
            log.info("worker ready", number=worker.number, pid=worker.process.pid, writes=worker.writes)
            self._first_ready.set()
        elif say == "failed":
            worker.problem, worker.code = message["problem"], message["code"]
        elif say == "published":
            self._begin(self._spread(worker, message["number"]))
        elif say == "taken" and (asked := worker.asked.pop(message["number"], None)) and not asked.done():
            asked.set_result(None)

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _spread(self, source: Worker, number: int) -> None:
        """Have every worker take up what `source` has published, and tell it when they have."""
        self._spreading += 1
        own, waits = self._spreading, {}
        for one in self._workers:
            if one is not source and one.line is not None:
                waits[one.number] = one.asked[own] = asyncio.get_running_loop().create_future()
                one.tell("take_up", number=own)
        if waits:
            await asyncio.wait(waits.values(), timeout=SPREAD_SECONDS)
        source.tell("taken", number=number, missing=[one for one, wait in waits.items() if not wait.done()])

    def _orders(self, worker: Worker) -> dict[str, Any]:
        return {
            "number": worker.number,
            "writes": worker.writes,
            "shared": self._shared,
            "counter": self._counter,
            "settings": _values(self._settings),
        }


if __name__ == "__main__":
    main()
