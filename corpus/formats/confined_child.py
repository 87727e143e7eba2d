"""The child process in which documents are parsed that may harm their parser.

It reads requests from standard input, each a line with the format and the number of bytes, then the
bytes; it answers on standard output with a line holding the number of bytes and the most memory it has
held, then JSON. It ends when its input does.
"""

from __future__ import annotations

import logging
import os
import resource
import select
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from corpus.formats import confined_wire
from corpus.formats.reading import Extract, UnreadableDocument

OUT_OF_MEMORY = 77
"""The exit status that says so."""

PATIENCE_SECONDS = 5
"""The parent ends what takes too long. Where it cannot any more, the kernel does, this much later."""


def serve(cpu_seconds: int, wall_seconds: int, memory_mib: int) -> None:
    """Answer requests until the input ends, within these limits for each of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the input
    requests, replies = os.fdopen(0, "rb"), _take_output()
    _go_first()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)  # a parser has no file to write
    _limit(resource.RLIMIT_AS, memory_mib * 1024 * 1024)
    logging.disable()
    threading.stack_size(256 * 1024)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    while head := requests.readline():
        form, size = head.split()
        data = requests.read(int(size))
        if len(data) < int(size):
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, wall_seconds + PATIENCE_SECONDS)
        reply = _answer(form.decode("ascii"), data)
        del data
        signal.setitimer(signal.ITIMER_REAL, 0)
        replies.write(b"%d %d\n" % (len(reply), _peak_mib()))
        replies.write(reply)
        replies.flush()
        del reply


def _answer(form: str, data: bytes) -> bytes:
    """Return the reply to one request."""
    try:
        return confined_wire.packed(_read(form, data))
    except UnreadableDocument as error:
        return confined_wire.packed_problem(str(error))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except ImportError as error:
        return confined_wire.packed_problem(f"cannot be read by this installation ({error}); install it anew")
    except RecursionError:
        return confined_wire.packed_problem("is nested too deeply to be read; save it anew in a simpler form")
    except Exception as error:  # whatever a parser stumbles over
        seen = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return confined_wire.packed_problem(
            f"is damaged: the parser stopped ({seen}); open it in its program and save it anew"
        )


def _read(form: str, data: bytes) -> Extract:
    """Return what is in `data`. A format's library is loaded when its first document comes."""
    match form:
        case "docx":
            from corpus.formats import docx

            return docx.read(data)
        case "html":
            from corpus.formats import html

            return html.read(data)
        case "csv" | "tsv":
            from corpus.formats import delimited

            return delimited.read(data, tabs=form == "tsv")
        case "pdf":
            from corpus.formats import pdf

            return pdf.read(data)
    raise ValueError(f"no reader for {form!r}")


def _peak_mib() -> int:
    """Return the most memory that this process has had, in MiB."""
    # On Linux the usual way (getrusage) also counts what the process had that started this one: a server's
    # memory, which would make every child look worn.
    with (
        suppress(OSError, ValueError, StopIteration),
        Path("/proc/self/status").open(encoding="ascii") as file,
    ):
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) // 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // (1024 * 1024)


def _take_output() -> BinaryIO:
    """Return standard output for replies alone; what a library prints goes nowhere."""
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return os.fdopen(kept, "wb")


def _go_first() -> None:
    """Ask the system to end this process before the server, where memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _limit(kind: int, most: int) -> None:
    """Set a limit, as far as the system knows it and the one already set allows it."""
    # macOS has no limit of the address space; the limits of time hold there all the same.
    with suppress(OSError, ValueError):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _leave_with_parent() -> None:
    """End the process when the input has no writer any more, even in the middle of a document."""
    watched = select.poll()
    watched.register(0, 0)  # a hang-up is always reported
    watched.poll()
    os._exit(0)
