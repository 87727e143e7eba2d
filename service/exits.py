"""Exit codes, and the one table from our errors to them."""

from __future__ import annotations

from corpus.folder import CorpusError
from index.encoder import EncoderError
from index.manifest import SnapshotError
from index.store import AlreadyServed, Locked, NoIndex
from index.writable import FULL
from service.gate import GateClosed
from service.tracing import TracingMissing

FOUND, NOTHING, MISUSE = 0, 1, 2


def said(error: Exception) -> str:
    """Return what an error says, with what to do where it comes from the system alone."""
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{error}; make room, or set PULLQUOTE_DATA (or --data) to a folder on a larger disk"
    return str(error)


def code_of(error: Exception) -> int | None:
    """Return the exit code of an error that is said in one line; None for one that nobody foresaw."""
    if isinstance(error, (AlreadyServed, Locked, CorpusError, EncoderError, TracingMissing)):
        return MISUSE
    if isinstance(error, (NoIndex, SnapshotError, GateClosed, OSError)):
        return NOTHING
    return None
