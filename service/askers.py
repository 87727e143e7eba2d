"""Putting known questions to an index in this process, or to a server, with nothing held back."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterable

from service import schemas, wire
from service.answer import Reply, ask
from service.figures import DEPTHS
from service.finding import Index
from service.followup import Turn
from service.known import KnownQuestion

SERVER_SECONDS = 60
"""How long a server may take for one question."""

Asker = Callable[[KnownQuestion], schemas.AskReply]
"""Puts a question with nothing refused for want of confidence, and with its trace."""


class CannotMeasure(Exception):
    """The evaluation cannot be done as it was asked for; the message says why and what to do."""


class ServerFailed(CannotMeasure):
    """The server did not answer a question as it should."""


def put_here(index: Index, known: KnownQuestion) -> Reply:
    """Return what an index in this process brings to light."""
    history = [Turn(one.role, one.content) for one in known.history]
    return ask(index, known.question, history=history, top_k=DEPTHS[-1], threshold=0.0)


def ask_here(index: Index) -> Asker:
    """Return what puts questions to an index in this process."""

    def put(known: KnownQuestion) -> schemas.AskReply:
        reply = put_here(index, known)
        return wire.ask_reply(index.snapshot, known.question, reply, explain=True)

    return put


def missing_files(index: Index, questions: Iterable[KnownQuestion]) -> list[str]:
    """Return the files named by gold places that the index does not hold, in alphabetical order."""
    held = {*index.snapshot.ids}
    return sorted({place.file for one in questions for place in one.gold_places} - held)


def ask_server(url: str, key: str | None = None) -> Asker:
    """Return what puts questions to the server at `url`; it raises ServerFailed."""

    def put(known: KnownQuestion) -> schemas.AskReply:
        return _post(url, key, _request(known, min_confidence=0.0, top_k=DEPTHS[-1]))

    return put


def server_threshold(url: str, known: KnownQuestion, key: str | None = None) -> float:
    """Return the threshold that a server applies by itself, from the trace of one question."""
    trace = _post(url, key, _request(known, min_confidence=None, top_k=1)).trace
    if trace is None:
        raise ServerFailed(
            f"{url} keeps its threshold to itself on {known.question!r}; give it with --threshold"
        )
    return trace.threshold


def _request(known: KnownQuestion, *, min_confidence: float | None, top_k: int) -> schemas.AskRequest:
    return schemas.AskRequest(
        question=known.question,
        history=known.history,
        top_k=top_k,
        min_confidence=min_confidence,
        explain=True,
    )


def _post(url: str, key: str | None, body: schemas.AskRequest) -> schemas.AskReply:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = body.model_dump_json(exclude_defaults=True).encode()
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/v1/ask", data, headers)
        with urllib.request.urlopen(request, timeout=SERVER_SECONDS) as answer:
            return schemas.AskReply.model_validate_json(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(2000).decode("utf-8", "replace")
        raise ServerFailed(f"{url} answered {error.code} to {body.question!r}: {said}") from error
    except (OSError, ValueError) as error:  # unreachable, no such address, not a reply of ours
        raise ServerFailed(f"{url} did not answer {body.question!r} as it should: {error}") from error
