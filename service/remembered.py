"""Finding and settling for the doors: a question asked before of the same Index costs nothing again.

What is remembered is a part of the Index, so that a new snapshot begins with nothing. The same question gets
the same reply, but for the milliseconds it took. Measuring and fitting, which ask the same question under
other circumstances, go past this.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import replace

from index.fields import Wanted
from service import answer, finding, observing
from service.answer import NotFound, Reply
from service.finding import Found, Index
from service.followup import Turn


def find(
    index: Index,
    question: str,
    *,
    history: Sequence[Turn] = (),
    top_k: int = 5,
    documents: Sequence[str] = (),
    fields: Wanted | None = None,
) -> Found:
    """Return what `service.finding.find` returns for the same parameters."""
    begun = time.perf_counter()
    wanted = tuple(sorted((name, tuple(values)) for name, values in fields.items())) if fields else ()
    key = (question, tuple(history), top_k, tuple(documents), wanted)
    known: Found | None = index.memory.get(key)
    seen = observing.current()
    if seen is not None:
        seen.asked(question)
        seen.looked("search", hit=known is not None)
    if known is None:
        found = finding.find(
            index, question, history=history, top_k=top_k, documents=documents, fields=fields
        )
        known = replace(found, key=key)
        index.memory.put(key, known)
        if seen is not None:
            seen.worked("encode", "search", took=found.milliseconds)
        return known
    took = dict.fromkeys(known.milliseconds, 0.0) | {"total": (time.perf_counter() - begun) * 1000}
    return replace(known, milliseconds=took)


def settle(index: Index, found: Found, *, top_k: int = 5, threshold: float = answer.THRESHOLD) -> Reply:
    """Return what `service.answer.settle` returns for the same parameters."""
    if found.key is None:
        return answer.settle(index, found, top_k=top_k, threshold=threshold)
    key: Hashable = (found.key, top_k, threshold)
    known: Reply | None = index.memory.get(key)
    seen = observing.current()
    if seen is not None:
        seen.looked("answer", hit=known is not None)
    if known is None:
        known = answer.settle(index, found, top_k=top_k, threshold=threshold)
        index.memory.put(key, known)
        if seen is not None:
            seen.worked("read", took=known.milliseconds)
            seen.decided(_reason(known))
        return known
    if seen is not None:
        seen.decided(_reason(known))
    took = dict.fromkeys(known.milliseconds, 0.0) | found.milliseconds
    return replace(known, milliseconds=took)


def _reason(reply: Reply) -> str | None:
    return reply.verdict.reason if isinstance(reply.verdict, NotFound) else None
