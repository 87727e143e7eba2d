"""Documents parsed in a child process, so that one that loops or breaks its parser harms itself alone.

The child holds the libraries for these formats, has limits of its own and is killed when it takes too
long. It is started on first need, serves one document after the other, and is replaced after a failure.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

from corpus.formats import confined_wire
from corpus.formats.confined_child import OUT_OF_MEMORY
from corpus.formats.reading import Extract, UnreadableDocument

CPU_SECONDS = 60
"""Processor time for one document. A PDF takes 10 to 35 ms a page: a thousand full pages are read on a slower
processor, too; all other formats are faster. What takes longer loops, or is made to."""

WALL_SECONDS = 120
"""Twice the processor time, so that a busy machine refuses nothing that it would read when idle."""

MEMORY_MIB = 1024
"""Address space of the child, of which Python and the libraries take 150. Pages, manuals and reports need 50
more, and 32 MiB of plain text, the largest document read by default, 250."""

WORN_MIB = 256
"""A child that has needed more than this is replaced before the next document: its memory is fragmented, and
what one document may use must not depend on those before it."""

IDLE_SECONDS = 60
"""A child without work goes after this time and gives its memory back; starting one takes 0.1 s."""

LARGEST_REPLY = 512 * 1024 * 1024
"""Bytes of a reply. A child within its memory says less; one that says more is broken."""

_PIECE = 1024 * 1024
_LONGEST_HEAD = 40
_FAREWELL_SECONDS = 2

_BOOT = """
import json, sys
path, *limits = json.loads(sys.argv[1])
sys.path[:] = path
sys.dont_write_bytecode = True
from corpus.formats.confined_child import serve
serve(*limits)
"""


class Confined:
    """A child process that parses, and its life. Threads may share it: one document at a time."""

    def __init__(
        self,
        *,
        cpu_seconds: int = CPU_SECONDS,
        wall_seconds: int = WALL_SECONDS,
        memory_mib: int = MEMORY_MIB,
        idle_seconds: float = IDLE_SECONDS,
        boot: str = _BOOT,
    ) -> None:
        self._limits = (cpu_seconds, wall_seconds, memory_mib)
        self._idle_seconds = idle_seconds
        self._boot = boot
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None
        self._known_at_exit = False

    def read(self, form: str, data: bytes) -> Extract:
        """Return what is in `data`, a file of the format `form`; raise UnreadableDocument saying why not."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            before = self._child
            child = self._ready()
            try:
                try:
                    reply = self._asked(child, form, data)
                except UnreadableDocument:
                    if child is not before or child.returncode != -signal.SIGKILL:
                        raise
                    # One that was ended while it rested says nothing of this document.
                    self._end(kill=True)
                    child = self._ready()
                    reply = self._asked(child, form, data)
                said = confined_wire.unpacked(reply.content)
            except ValueError as error:
                self._end(kill=True)
                raise UnreadableDocument(
                    f"the parser gave an answer that makes no sense ({error})"
                ) from error
            except BaseException:
                # Whatever interrupts an exchange leaves its rest in the pipes.
                self._end(kill=True)
                raise
            if reply.peak_mib > WORN_MIB:
                self._end()
            else:
                self._idle = threading.Timer(self._idle_seconds, self._rest, args=[child])
                self._idle.daemon = True
                self._idle.start()
        if isinstance(said, str):
            raise UnreadableDocument(said)
        return said

    def close(self) -> None:
        """End the child, if there is one. The next document starts another."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self._end()

    def _ready(self) -> subprocess.Popen[bytes]:
        """Return a living child."""
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None:
            if not self._known_at_exit:
                self._known_at_exit = True
                atexit.register(self._at_exit)
                os.register_at_fork(after_in_child=self._after_fork)
            path = [os.path.abspath(one) for one in sys.path]  # noqa: PTH100 - "" is the working folder
            # A new interpreter and not a fork, which in a process with threads may never get going.
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", "-c", self._boot, json.dumps([path, *self._limits])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
            )
        return self._child

    def _asked(self, child: subprocess.Popen[bytes], form: str, data: bytes) -> _Reply:
        """Return the child's whole reply; raise UnreadableDocument where it gives none in time."""
        assert child.stdin is not None and child.stdout is not None
        to_child, from_child = child.stdin.fileno(), child.stdout.fileno()
        os.set_blocking(to_child, False)
        os.set_blocking(from_child, False)
        unsent = [memoryview(data), memoryview(f"{form} {len(data)}\n".encode("ascii"))]
        waiting = select.poll()
        waiting.register(to_child, select.POLLOUT)
        waiting.register(from_child, select.POLLIN)
        reply = _Reply()
        wall_seconds = self._limits[1]
        deadline = time.monotonic() + wall_seconds
        while not reply.whole():
            left = deadline - time.monotonic()
            ready = dict(waiting.poll(left * 1000)) if left > 0 else {}
            if not ready:
                raise UnreadableDocument(f"took longer than {wall_seconds} s to parse; split or simplify it")
            if to_child in ready and not _send(to_child, unsent):
                waiting.unregister(to_child)
            if from_child in ready:
                said = os.read(from_child, _PIECE)
                if not said:
                    raise UnreadableDocument(self._why(child))
                reply.add(said)
        if unsent:
            raise ValueError("it was not waited for")
        return reply

    def _why(self, child: subprocess.Popen[bytes]) -> str:
        """Return why the child has gone."""
        try:
            status = child.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            return "the parser stopped answering"
        if status == OUT_OF_MEMORY:
            return f"needed more than {self._limits[2]} MiB to parse; split or simplify it"
        if status == -signal.SIGXCPU:
            return f"took longer than {self._limits[0]} s of processor time to parse; split or simplify it"
        if status == -signal.SIGKILL:
            return "was ended by the system (signal 9), most likely for want of memory; split or simplify it"
        if status < 0:
            return f"the parser crashed (signal {-status}); open it in its program and save it anew"
        return f"the parser ended (exit status {status})"

    def _end(self, *, kill: bool = False) -> None:
        """End the child, in peace where it is at rest. The lock is held."""
        child, self._child = self._child, None
        if child is None:
            return
        assert child.stdin is not None and child.stdout is not None
        if kill:
            child.kill()
        with suppress(OSError):
            child.stdin.close()
        child.stdout.close()
        try:
            child.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            # On a busy machine the system may take seconds to take a gigabyte back.
            threading.Thread(target=child.wait, name="farewell", daemon=True).start()

    def _rest(self, child: subprocess.Popen[bytes]) -> None:
        """End the child that has had no work for a while, unless it has got some just now."""
        with self._lock:
            if self._child is child and self._idle is threading.current_thread():
                self._end()

    def _at_exit(self) -> None:
        # Without the lock: a thread that waits for a document must not hold the end of the process up.
        if (child := self._child) is not None:
            child.kill()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_FAREWELL_SECONDS)

    def _after_fork(self) -> None:
        """Forget the child in a fork: it is another process's."""
        self._lock = threading.Lock()
        self._idle = None
        child, self._child = self._child, None
        if child is not None:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
            child.returncode = 0  # it is not ours to wait for


class _Reply:
    """What the child has said so far: a line with the number of bytes and its peak memory, then the bytes."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.peak_mib = 0
        self._size = -1

    def add(self, said: bytes) -> None:
        """Take in what was read. Raises ValueError where it is no reply."""
        self.content += said
        if self._size < 0:
            head, found, _ = self.content.partition(b"\n")
            if found:
                self._size, self.peak_mib = map(int, head.split())
                if not 0 <= self._size <= LARGEST_REPLY:
                    raise ValueError(f"{self._size} bytes announced")
                del self.content[: len(head) + 1]
            elif len(head) > _LONGEST_HEAD:
                raise ValueError("no number of bytes")
        if self._size >= 0 and len(self.content) > self._size:
            raise ValueError("more was said than announced")

    def whole(self) -> bool:
        """Return whether all of it has come."""
        return 0 <= self._size == len(self.content)


def _send(pipe: int, unsent: list[memoryview]) -> bool:
    """Write what the pipe takes of the last of `unsent`, and return whether anything is left to send."""
    try:
        sent = os.write(pipe, unsent[-1][:_PIECE])
    except BlockingIOError:
        return True
    except BrokenPipeError:
        return False  # why it has gone is found out where its answer is read
    unsent[-1] = unsent[-1][sent:]
    while unsent and not unsent[-1]:
        unsent.pop()
    return bool(unsent)
