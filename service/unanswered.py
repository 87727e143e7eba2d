"""What the documents lack: the journal's questions without an answer, those that mean the same together."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from service import journal_schemas, wire
from service.answer import Answer, Index, ask
from service.journal import Unanswered

SAME = 0.8
"""Least cosine of two questions that are counted as one. Of pairs of questions about one subject that ask the
same 0.15 are above it, and 0.52 of the pairs above it ask the same, the others something near; at 0.7 it
would be 0.31 and 0.24, at 0.9 0.06 and 0.83 (benchmarks/journal/threshold.py)."""

LOOKED_AT = 1000
"""Different questions that are compared, the newest: each has to be encoded, 2 ms or so."""

NEAREST = 3
"""Passages shown with each group."""

SHOWN = 10
"""Wordings shown of each group, the most frequent."""


@dataclass(slots=True)
class Group:
    """Questions that mean the same; the one most asked speaks for them."""

    leader: str
    vector: Any
    """Of the leader, float32 (dimension,), length 1."""
    wordings: Counter[str] = field(default_factory=Counter)
    first: str = ""
    last: str = ""


def report(
    index: Index, entries: Iterable[Unanswered], limit: int, threshold: float
) -> journal_schemas.UnansweredReply:
    """Return the groups of the newest LOOKED_AT different questions, the most asked first, at most `limit`.

    Each is asked again of `index`, so that one whose answer has been written meanwhile is told apart.
    """
    counts: Counter[str] = Counter()
    times: dict[str, tuple[str, str]] = {}
    for one in entries:
        if one.used not in counts and len(counts) == LOOKED_AT:
            break
        counts[one.used] += 1
        first, last = times.get(one.used, (one.at, one.at))
        times[one.used] = min(first, one.at), max(last, one.at)
    found = sorted(_groups(index, counts, times), key=lambda one: (-one.wordings.total(), one.leader))
    return journal_schemas.UnansweredReply(
        groups=[_shown(index, group, threshold) for group in islice(found, limit)],
        total_groups=len(found),
        total_questions=counts.total(),
        index_version=index.snapshot.version,
    )


def _groups(index: Index, counts: Counter[str], times: dict[str, tuple[str, str]]) -> list[Group]:
    """Return every question in the group whose leader is nearest, or in one of its own; ties by wording."""
    groups: list[Group] = []
    for question, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        vector = index.encoder.encode_question(question).vector
        near, nearest = max(
            ((float(group.vector @ vector), at) for at, group in enumerate(groups)),
            default=(0.0, -1),
            key=lambda one: (one[0], -one[1]),
        )
        if near < SAME:
            groups.append(Group(question, vector))
        group = groups[nearest if near >= SAME else -1]
        group.wordings[question] = count
        first, last = times[question]
        group.first = min(group.first or first, first)
        group.last = max(group.last, last)
    return groups


def _shown(index: Index, group: Group, threshold: float) -> journal_schemas.UnansweredGroup:
    reply = ask(index, group.leader, top_k=NEAREST, threshold=threshold)
    return journal_schemas.UnansweredGroup(
        question=group.leader,
        count=group.wordings.total(),
        wordings=[
            journal_schemas.Wording(question=question, count=count)
            for question, count in group.wordings.most_common(SHOWN)
        ],
        first_asked_at=group.first,
        last_asked_at=group.last,
        answered_now=isinstance(reply.verdict, Answer),
        passages=wire.passages(index.snapshot, reply),
    )


def as_csv(found: journal_schemas.UnansweredReply) -> str:
    """Return the groups as a table, with a header, the nearest passages by their ids."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(
        ["question", "count", "wordings", "first_asked_at", "last_asked_at", "answered_now", "passages"]
    )
    for one in found.groups:
        table.writerow(
            [
                _cell(one.question),
                one.count,
                _cell(" | ".join(wording.question for wording in one.wordings)),
                one.first_asked_at,
                one.last_asked_at,
                str(one.answered_now).lower(),
                _cell(" | ".join(passage.passage_id for passage in one.passages)),
            ]
        )
    return written.getvalue()


def _cell(text: str) -> str:
    """Return a text that a spreadsheet takes for one: what begins like a formula would be run as one."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
