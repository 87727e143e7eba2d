"""A gate before a new snapshot is used: questions that it has to answer, and what becomes of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service import wire
from service.answer import Answer
from service.askers import put_here
from service.finding import Index
from service.known import BadQuestions, KnownQuestion, judge, read_questions
from service.settings import Settings
from service.threshold import threshold_of

SHOWN = 5
"""Questions named in the reason why a snapshot was refused; `pullquote eval` lists all."""


class GateClosed(Exception):
    """A new snapshot was not published; the message says which questions it does not answer."""

    def __init__(self, version: str, reason: str) -> None:
        super().__init__(reason)
        self.version = version
        """The snapshot that was refused."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one snapshot says to a question."""

    answer: str | None
    """Its words, None where none is given."""
    right: bool
    """Whether that is what it should say."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A question to which two snapshots say different things."""

    kind: Literal["gained", "changed", "lost"]
    question: str
    before: Given
    after: Given


def replies(known: Iterable[KnownQuestion], index: Index, threshold: float) -> list[Given]:
    """Return what `index` says to each question."""
    found: list[Given] = []
    for one in known:
        reply = put_here(index, one)
        sent = wire.ask_reply(index.snapshot, one.question, reply, explain=False)
        verdict = reply.verdict
        given = isinstance(verdict, Answer) and verdict.confidence >= threshold
        text = sent.answer.text if given and sent.answer else None
        found.append(Given(text, judge(one, sent).is_right(threshold)))
    return found


def differences(
    known: Sequence[KnownQuestion], before: Sequence[Given], after: Sequence[Given]
) -> list[Difference]:
    """Return the questions whose answers differ, in their order."""
    found: list[Difference] = []
    for one, old, new in zip(known, before, after, strict=True):
        if old.answer != new.answer:
            kind: Literal["gained", "changed", "lost"] = (
                "gained" if old.answer is None else "lost" if new.answer is None else "changed"
            )
            found.append(Difference(kind, one.question, old, new))
    return found


class Gate:
    """What a new snapshot has to pass."""

    def __init__(self, settings: Settings, file: Path) -> None:
        """Want the questions in `file` answered as well as the settings say."""
        self._file = file
        self._least = settings.gate_min_right
        self._threshold = threshold_of(settings)

    def questions(self, version: str = "") -> list[KnownQuestion]:
        """Return the questions. Raises GateClosed, for a new `version`, when they cannot be read."""
        try:
            return read_questions(self._file, None)
        except (BadQuestions, OSError) as error:
            raise GateClosed(
                version,
                f"the gate's questions cannot be read: {error}; set PULLQUOTE_GATE to a file of questions, "
                "or unset it",
            ) from error

    def check(self, after: Index, before: Index | None = None) -> list[Difference]:
        """Return what becomes of the answers of `before`.

        Raises GateClosed when too few of those of `after` are right.
        """
        version = after.snapshot.version
        known = self.questions(version)
        given = replies(known, after, self._threshold)
        right = sum(one.right for one in given)
        if right < self._least * len(known):
            wrong = [one.question for one, said in zip(known, given, strict=True) if not said.right]
            shown = "; ".join(wrong[:SHOWN]) + ("; …" if len(wrong) > SHOWN else "")
            raise GateClosed(
                version,
                f"the new snapshot answers {right} of the {len(known)} questions in {self._file} right, "
                f"{self._least:.0%} are wanted; the one before stays in use. Not right: {shown}",
            )
        return differences(known, replies(known, before, self._threshold), given) if before else []


def gate_of(settings: Settings) -> Gate | None:
    """Return the gate that the settings want, None where they want none."""
    return None if settings.gate is None else Gate(settings, settings.gate)
