"""What the documents lack: the journal's questions without a good answer, by what they ask."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from index.question import read_together
from index.sameness import together
from service import journal_schemas, wire
from service.answer import ask
from service.finding import Index
from service.journal import Feedback, Unanswered

SAME = 0.58
"""How alike the questions of a group are, on average and at least. Of pairs of questions about anything
that were left out, 0.41 of those that ask the same come together, and 0.95 of those that come together
ask the same; as it was before, by a cosine of 0.8 to the most frequent wording, these were 0.20 and 0.90.
Of questions about one narrow subject they are 0.42 and 0.36, before 0.28 and 0.45: there, a group also
holds what asks something near. From 0.5 on they would be 0.58 and 0.79, and 0.51 and 0.16; from 0.66 on
0.29 and 1.00, and 0.29 and 0.45 (benchmarks/journal/grouping.py)."""

LOOKED_AT = 1000
"""Different questions that are compared, the newest: each has to be encoded, 2 ms or so."""

NEAREST = 3
"""Passages shown with each group."""

SHOWN = 10
"""Wordings shown of each group, the most frequent."""


@dataclass(slots=True)
class Asked:
    """A question as it was asked of the documents, again and again."""

    question: str
    count: int = 0
    thumbs_down: int = 0
    """How many of them got an answer that was thumbed down."""
    disliked: set[str | None] = field(default_factory=set)
    """Those answers; None for one that was not told."""
    first: str = ""
    last: str = ""

    def add(self, entry: Unanswered | Feedback) -> None:
        """Count one more."""
        self.count += 1
        if isinstance(entry, Feedback):
            self.thumbs_down += 1
            self.disliked.add(entry.answer)
        self.first = min(self.first or entry.at, entry.at)
        self.last = max(self.last, entry.at)


def report(
    index: Index, entries: Iterable[Unanswered | Feedback], limit: int, threshold: float
) -> journal_schemas.UnansweredReply:
    """Return the groups of the newest LOOKED_AT different questions, the most asked first, at most `limit`.

    Each is asked again of `index`, so that one whose answer has been written meanwhile is told apart.
    """
    asked: dict[str, Asked] = {}
    for one in entries:
        question = one.used if isinstance(one, Unanswered) else one.question
        if question not in asked and len(asked) == LOOKED_AT:
            break
        asked.setdefault(question, Asked(question)).add(one)
    found = [_by_count(group) for group in _groups(index, [asked[one] for one in sorted(asked)])]
    found.sort(key=lambda group: (-_total(group), group[0].question))
    return journal_schemas.UnansweredReply(
        groups=[_shown(index, group, threshold) for group in islice(found, limit)],
        total_groups=len(found),
        total_questions=sum(map(_total, found)),
        index_version=index.snapshot.version,
    )


def _groups(index: Index, asked: Sequence[Asked]) -> list[list[Asked]]:
    """Return the questions that mean the same together, the most typical of each group first."""
    snapshot = index.snapshot
    texts = [one.question for one in asked]
    read = read_together(texts, index.encoder, snapshot.terms, snapshot.vocabulary)
    return [[asked[number] for number in group] for group in together(read, SAME)]


def _by_count(group: Sequence[Asked]) -> list[Asked]:
    return sorted(group, key=lambda one: -one.count)


def _total(group: Sequence[Asked]) -> int:
    return sum(one.count for one in group)


def _shown(index: Index, group: Sequence[Asked], threshold: float) -> journal_schemas.UnansweredGroup:
    """Return a group, the question most asked speaking for it."""
    leader = group[0].question
    reply = wire.ask_reply(
        index.snapshot, leader, ask(index, leader, top_k=NEAREST, threshold=threshold), explain=False
    )
    disliked = set().union(*(one.disliked for one in group))
    answered = reply.answer is not None and not disliked & {reply.answer.text, None}
    return journal_schemas.UnansweredGroup(
        question=leader,
        count=_total(group),
        thumbs_down=sum(one.thumbs_down for one in group),
        wordings=[journal_schemas.Wording(question=one.question, count=one.count) for one in group[:SHOWN]],
        first_asked_at=min(one.first for one in group),
        last_asked_at=max(one.last for one in group),
        answered_now=answered,
        passages=reply.passages,
    )


def as_csv(found: journal_schemas.UnansweredReply) -> str:
    """Return the groups as a table, with a header, the nearest passages by their ids."""
    written = io.StringIO()
    table = csv.writer(written)
    table.writerow(
        [
            "question",
            "count",
            "thumbs_down",
            "wordings",
            "first_asked_at",
            "last_asked_at",
            "answered_now",
            "passages",
        ]
    )
    for one in found.groups:
        table.writerow(
            [
                _cell(one.question),
                one.count,
                one.thumbs_down,
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
