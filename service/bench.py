"""What this machine does with this index: questions a second, and where the time of one goes."""

from __future__ import annotations

import http.client
import json
import os
import random
import resource
import statistics
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from index.snapshot import Snapshot
from service.answer import ask
from service.askers import SERVER_SECONDS, CannotMeasure, ServerFailed
from service.finding import Index, find
from service.known import BadQuestions, read_questions
from service.outside import open_index
from service.settings import Settings

FEWEST_WORDS, MOST_WORDS = 5, 12
"""Words of a question that is made of a passage: as many as questions that people write have."""

MADE = 20_000
"""Questions made where none are given; more than are asked in half a minute."""

SEED = 1
"""The same index is always asked the same."""

WARM = 20
"""Questions of each measurement that are not counted."""

BATCH = 16
"""Questions that the encoder is given together where it is measured alone."""

PARTS = 5
"""Measurements that share the time: the encoder, and search and ask, each alone and many at a time."""

Put = Callable[[str], dict[str, float]]
"""Puts a question and returns the milliseconds of its stages; called by several threads at a time."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of questions that some clients asked one after the other."""

    kind: str
    """`search` or `ask`."""
    clients: int
    per_second: float
    milliseconds: list[float]
    """Of each question as its client saw it, in ascending order."""
    stages: dict[str, float]
    """Medians of the stages' milliseconds."""

    def percentile(self, share: float) -> float:
        """Return the milliseconds within which at least this share of the questions was answered."""
        last = len(self.milliseconds) - 1
        return self.milliseconds[min(last, int(share * len(self.milliseconds)))]


@dataclass(frozen=True, slots=True)
class Measured:
    """The whole measurement."""

    source: str
    """The index's folder, or the server's address."""
    passages: int | None
    """None of a server."""
    cores: int
    loads: tuple[Load, ...]
    open_ms: float | None = None
    """From nothing to an index that can be asked; None of a server."""
    encoded_per_second: float | None = None
    """Questions that the encoder alone encodes, on all cores: the bound of any search. None of a server."""
    memory_mb: float | None = None
    """The most that this process has held, in 1,000,000 bytes. None of a server."""
    notes: list[str] = field(default_factory=list)


def questions_in(path: Path) -> list[str]:
    """Return the questions of a file, each once: JSON Lines as for `eval`, or one a line.

    Raises CannotMeasure when there is none.
    """
    try:
        if path.suffix == ".jsonl":
            found = [one.question for one in read_questions(path)]
        else:
            found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (BadQuestions, UnicodeDecodeError) as error:
        raise CannotMeasure(f"{path} cannot be used: {error}") from error
    found = [one for one in dict.fromkeys(found) if one]
    if not found:
        raise CannotMeasure(f"{path} holds no question; write one a line")
    return found


def made_of(snapshot: Snapshot) -> list[str]:
    """Return questions made of the documents' own words, some in a row, each once.

    Raises CannotMeasure where the documents have too few words.
    """
    chance = random.Random(SEED)
    found: dict[str, None] = {}
    for _ in range(2 * MADE):
        passage = chance.randrange(snapshot.passages) if snapshot.passages else 0
        words = snapshot.span(passage).of(snapshot.text(snapshot.document_of(passage))).split()
        if len(words) >= FEWEST_WORDS:
            size = chance.randint(FEWEST_WORDS, min(MOST_WORDS, len(words)))
            at = chance.randint(0, len(words) - size)
            found[" ".join(words[at : at + size])] = None
        if len(found) == MADE:
            break
    if len(found) <= PARTS * WARM:
        raise CannotMeasure(
            f"the {snapshot.passages} passages hold too few words to make questions of; "
            "give questions with --questions"
        )
    return list(found)


class _Fresh:
    """Questions handed out one by one, to several threads; from the start again when all were asked."""

    def __init__(self, questions: Sequence[str]) -> None:
        self._questions = questions
        self._next = 0
        self._lock = threading.Lock()

    @property
    def repeated(self) -> bool:
        """Return whether a question was handed out more than once."""
        return self._next > len(self._questions)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        with self._lock:
            at = self._next
            self._next += 1
        return self._questions[at % len(self._questions)]


def measure_here(
    settings: Settings,
    *,
    questions: Sequence[str] = (),
    clients: int,
    seconds: float,
    told: Callable[[str], None],
) -> Measured:
    """Return what an index in this process does; without `questions` they are made of its documents.

    `told` is told what is measured next. Raises CannotMeasure, NoIndex and EncoderError.
    """
    told("opening the index")
    begun = time.perf_counter()
    index = open_index(settings)
    find(index, "ready?")
    opened = (time.perf_counter() - begun) * 1000
    if not index.snapshot.passages:
        raise CannotMeasure(f"the index in {settings.data} holds no passage; add documents first")
    fresh = _Fresh(questions or made_of(index.snapshot))
    told("the encoder alone")
    encoded = _encoded_per_second(index, fresh, seconds / PARTS)
    puts: dict[str, Put] = {
        "search": lambda question: find(index, question).milliseconds,
        "ask": lambda question: ask(index, question).milliseconds,
    }
    return Measured(
        source=str(settings.data),
        passages=index.snapshot.passages,
        cores=os.cpu_count() or 1,
        loads=_loads(puts, fresh, clients, seconds, told),
        open_ms=opened,
        encoded_per_second=encoded,
        memory_mb=_most_memory(),
        notes=_notes(fresh),
    )


def measure_server(
    url: str,
    *,
    key: str | None,
    questions: Sequence[str],
    clients: int,
    seconds: float,
    told: Callable[[str], None],
) -> Measured:
    """Return what a server does, with these questions. Raises ServerFailed."""
    fresh = _Fresh(questions)
    puts: dict[str, Put] = {kind: _Server(url, key, kind).put for kind in ("search", "ask")}
    loads = _loads(puts, fresh, clients, seconds, told)
    return Measured(url, None, os.cpu_count() or 1, loads, notes=_notes(fresh))


class _Server:
    """A server, asked over connections that stay open, one for each thread."""

    def __init__(self, url: str, key: str | None, kind: str) -> None:
        self._url = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ServerFailed(f"{url} is no address of a server; write it as http://127.0.0.1:8000")
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._kind = kind
        self._own = threading.local()

    def put(self, question: str) -> dict[str, float]:
        """Put one question. Raises ServerFailed."""
        path = self._url.path.rstrip("/")
        if self._kind == "search":
            method, body = "GET", None
            path += "/v1/search?" + urllib.parse.urlencode({"q": question})
        else:
            method, body, path = "POST", json.dumps({"question": question}).encode(), path + "/v1/ask"
        try:
            connection = self._connection()
            connection.request(method, path, body, self._headers)
            reply = connection.getresponse()
            said = reply.read()
            if reply.status != http.client.OK:
                shown = said[:300].decode("utf-8", "replace")
                raise ServerFailed(f"{self._url.geturl()} answered {reply.status} to {question!r}: {shown}")
            return {name: float(value) for name, value in json.loads(said)["took_ms"].items()}
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise ServerFailed(
                f"{self._url.geturl()} did not answer {question!r} as it should: {error!r}"
            ) from error

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if found is None:
            secure = self._url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            found = kind(self._url.hostname or "", self._url.port, timeout=SERVER_SECONDS)
            self._own.connection = found
        return found


def _loads(
    puts: dict[str, Put], fresh: _Fresh, clients: int, seconds: float, told: Callable[[str], None]
) -> tuple[Load, ...]:
    found = []
    for kind, put in puts.items():
        for count in dict.fromkeys((1, clients)):
            told(f"{kind}, {count} at a time")
            found.append(_load(kind, put, fresh, count, seconds / PARTS))
    return tuple(found)


def _load(kind: str, put: Put, fresh: _Fresh, clients: int, seconds: float) -> Load:
    for _ in range(WARM):
        put(next(fresh))
    milliseconds: list[float] = []
    stages: list[dict[str, float]] = []
    begun = time.perf_counter()

    def client(_: int) -> None:
        while time.perf_counter() < begun + seconds:
            asked = time.perf_counter()
            stages.append(put(next(fresh)))
            milliseconds.append((time.perf_counter() - asked) * 1000)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    took = time.perf_counter() - begun
    names = dict.fromkeys(name for one in stages for name in one)
    medians = {name: statistics.median(one.get(name, 0.0) for one in stages) for name in names}
    return Load(kind, clients, len(milliseconds) / took, sorted(milliseconds), medians)


def _encoded_per_second(index: Index, fresh: _Fresh, seconds: float) -> float:
    begun = time.perf_counter()

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < begun + seconds:
            index.encoder.encode_questions([next(fresh) for _ in range(BATCH)])
            done += BATCH
        return done

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        done = sum(pool.map(work, range(os.cpu_count() or 1)))
    return done / (time.perf_counter() - begun)


def _most_memory() -> float:
    status = Path("/proc/self/status")
    if status.exists():
        # Not `getrusage`: on Linux that goes on counting from what started this process.
        (most,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(most.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _notes(fresh: _Fresh) -> list[str]:
    return ["there were fewer questions than could be asked: some were asked again"] if fresh.repeated else []
