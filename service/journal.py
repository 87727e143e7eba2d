"""The journal: questions without an answer, and thumbs, in a file of the data folder. Off unless it is set.

Neither addresses nor headers are kept, only what was asked and said. It is written in a thread of its own:
an answer never waits for it, and is never lost because of it.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import merge
from pathlib import Path
from typing import Any

import structlog

from service.answer import NotFound, Reply
from service.jobs import now
from service.settings import Settings

FILE = "journal.sqlite"

WAITING = 1000
"""Entries that may wait to be written; what comes on top of them is dropped."""

MOST = 50_000
"""Entries kept of each kind, the newest: some 100 MB when all are as long as they may be."""

PRUNE_SECONDS = 3600.0
"""How often entries that are too old are looked for."""

CLOSE_SECONDS = 5.0
"""How long the end of the server waits for what is still to be written."""

TABLES = """
CREATE TABLE IF NOT EXISTS unanswered (at TEXT, question TEXT, used TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS feedback (
    at TEXT, question TEXT, answer TEXT, passage_id TEXT, good INTEGER, comment TEXT
);
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that got no answer."""

    question: str
    used: str
    """As it was asked of the documents: completed and corrected."""
    reason: str
    at: str = field(default_factory=now)
    """ISO 8601 in UTC."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody thinks of an answer."""

    question: str
    answer: str | None
    passage_id: str | None
    good: bool
    comment: str | None
    at: str = field(default_factory=now)


Entry = Unanswered | Feedback

Note = Callable[[str, Reply], Reply]
"""What returns the reply to a question, having noted it where it holds no answer."""


class Journal:
    """Takes entries at once and writes them behind, from `open` to `close`."""

    def __init__(self, settings: Settings) -> None:
        """Keep the journal that the settings ask for."""
        self.path = settings.data / FILE
        # Who shares the data folder to read it changes nothing in it.
        self.is_on = settings.journal and not settings.read_only
        self._days = settings.journal_days
        self._entries: queue.Queue[Entry | None] = queue.Queue(WAITING)
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._problem: str | None = None

    def open(self) -> None:
        """Begin to write, where the journal is on."""
        if self.is_on:
            self._writer.start()

    def close(self) -> None:
        """Write what waits, within CLOSE_SECONDS, and stop."""
        if self._writer.is_alive():
            with contextlib.suppress(queue.Full):
                self._entries.put(None, timeout=CLOSE_SECONDS)
            self._writer.join(CLOSE_SECONDS)

    def note(self, question: str, reply: Reply) -> Reply:
        """Return `reply`; where it holds no answer to a question, that is noted."""
        verdict = reply.verdict
        if isinstance(verdict, NotFound) and verdict.reason != "not_a_question":
            self.add(Unanswered(question, reply.used, verdict.reason))
        return reply

    def add(self, entry: Entry) -> bool:
        """Take an entry, and return whether there was room for it. Never waits."""
        if not self.is_on:
            return False
        try:
            self._entries.put_nowait(entry)
        except queue.Full:
            self._tell("too many entries wait to be written; new ones are dropped")
            return False
        return True

    def _tell(self, problem: str | None) -> None:
        """Log a problem once, not with every entry."""
        if problem is not None and problem != self._problem:
            log.error("journal not written", path=str(self.path), problem=problem)
        self._problem = problem

    def _write(self) -> None:
        """Write entry after entry until None comes."""
        self._attempt(self._prune)
        while True:
            try:
                entry = self._entries.get(timeout=PRUNE_SECONDS)
            except queue.Empty:
                self._attempt(self._prune)
                continue
            if entry is None:
                return
            self._attempt(partial(_insert, entry))

    def _attempt(self, change: Callable[[sqlite3.Connection], None]) -> None:
        """Make a change. Where it cannot be made it is logged and forgotten: the next one may succeed."""
        try:
            with closing(sqlite3.connect(self.path, timeout=10)) as connection, connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                # What is past its days is overwritten, not only unlinked.
                connection.execute("PRAGMA secure_delete=ON")
                connection.executescript(TABLES)
                change(connection)
        except (sqlite3.Error, OSError) as error:
            self._tell(str(error))
        else:
            self._tell(None)

    def _prune(self, connection: sqlite3.Connection) -> None:
        """Remove what is older than the settings allow, or more than is kept."""
        oldest = datetime.now(tz=UTC) - timedelta(days=self._days)
        before = oldest.isoformat(timespec="seconds").replace("+00:00", "Z")
        for table in ("unanswered", "feedback"):
            connection.execute(f"DELETE FROM {table} WHERE at < ?", (before,))
            connection.execute(
                f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - ?", (MOST,)
            )


def _insert(entry: Entry, connection: sqlite3.Connection) -> None:
    if isinstance(entry, Unanswered):
        statement = "INSERT INTO unanswered (question, used, reason, at) VALUES (?, ?, ?, ?)"
    else:
        statement = (
            "INSERT INTO feedback (question, answer, passage_id, good, comment, at) VALUES (?, ?, ?, ?, ?, ?)"
        )
    connection.execute(statement, astuple(entry))


def read_unanswered(data: Path) -> Iterator[Unanswered]:
    """Yield the questions without an answer in the journal of a data folder, the newest first.

    Raises OSError when it cannot be read; without a journal there are none.
    """
    for row in _rows(data, "SELECT question, used, reason, at FROM unanswered ORDER BY rowid DESC"):
        _check(data, row)
        yield Unanswered(*row)


def read_lacking(data: Path) -> Iterator[Unanswered | Feedback]:
    """Yield what found no good answer in the journal of a data folder, the newest first.

    These are the questions without an answer and the thumbs down. Raises OSError when it cannot be read;
    without a journal there are none.
    """
    thumbs = read_feedback(data, MOST)
    disliked = (one for one in thumbs if not one.good)
    return merge(read_unanswered(data), disliked, key=lambda one: one.at, reverse=True)


def read_feedback(data: Path, limit: int) -> Iterator[Feedback]:
    """Yield up to `limit` thumbs in the journal of a data folder, the newest first.

    Raises OSError when it cannot be read; without a journal there are none.
    """
    query = "SELECT question, answer, passage_id, good, comment, at FROM feedback ORDER BY rowid DESC LIMIT ?"
    for question, answer, passage_id, good, comment, at in _rows(data, query, limit):
        _check(data, (question, at), (answer, passage_id, comment))
        yield Feedback(question, answer, passage_id, bool(good), comment, at)


def _check(data: Path, texts: Iterable[object], others: Iterable[object] = ()) -> None:
    """Raise OSError where an entry is none that was written here: a damaged file can be a whole database."""
    if not all(isinstance(one, str) for one in (*texts, *(one for one in others if one is not None))):
        raise OSError(f"{data / FILE} cannot be read: it is damaged, an entry is no text; move it away")


def _rows(data: Path, query: str, *values: int) -> list[tuple[Any, ...]]:
    path = data / FILE
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection:
            connection.execute("PRAGMA query_only=ON")
            return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []  # made this moment, by a writer that has not come to its tables yet
        raise OSError(f"{path} cannot be read: {error}") from error
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be read: {error}") from error
