"""Questions with known answers: what a file says of them, and what a reply is worth against it."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from corpus.document import Span
from corpus.sentences import sentences
from service import schemas
from service.figures import Outcome

MOST_WORDS = 40
"""An answer is short: a quote of more words than this is none, whatever it holds."""


class BadQuestions(Exception):
    """The file of questions cannot be used; the message names the line and what is wrong with it."""


class GoldPlace(BaseModel):
    """Where a right answer stands, in code points of the document's canonical text."""

    file: str = Field(min_length=1)
    start: int = Field(ge=0)
    end: int

    @model_validator(mode="after")
    def _in_order(self) -> GoldPlace:
        if self.end <= self.start:
            raise ValueError(f"`end` must be greater than `start`, got {self.start} and {self.end}")
        return self

    def overlaps(self, file: str, start: int, end: int) -> bool:
        """Return whether the place shares a code point with `[start, end)` of `file`."""
        return self.file == file and start < self.end and self.start < end


class KnownQuestion(BaseModel):
    """A line of the file: a question and what is known of its answer. Other fields may come along."""

    model_config = ConfigDict(frozen=True)

    question: str = Field(min_length=1)
    answerable: bool = Field(strict=True)
    id: str = ""
    type: str = Field(default="question", min_length=1)
    history: list[schemas.Turn] = []
    gold_spans: list[str] = []
    gold_mode: Literal["any", "all"] = "any"
    forbidden: list[str] = []
    gold_places: list[GoldPlace] = []
    document: str | None = None
    split: str | None = None

    @model_validator(mode="after")
    def _agrees(self) -> KnownQuestion:
        if not self.question.strip():
            raise ValueError("`question` is empty")
        if not all(one.strip() for one in (*self.gold_spans, *self.forbidden)):
            raise ValueError("`gold_spans` and `forbidden` may not hold empty strings")
        if self.answerable and not self.gold_spans:
            raise ValueError("an answerable question needs `gold_spans`: phrases that a right answer holds")
        if not self.answerable and (self.gold_spans or self.gold_places):
            raise ValueError("an unanswerable question has no `gold_spans` and no `gold_places`")
        return self

    def is_at_gold(self, file: str, start: int, end: int) -> bool:
        """Return whether `[start, end)` of `file` shares a code point with a gold place."""
        return any(one.overlaps(file, start, end) for one in self.gold_places)


def read_questions(path: Path, split: str | None = None) -> list[KnownQuestion]:
    """Return the questions of a JSONL file, those of one split where it is named; empty lines count for none.

    Raises BadQuestions, or OSError when the file cannot be read.
    """
    found = [
        _known(path, number, line)
        for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1)
        if line.strip()
    ]
    if not found:
        raise BadQuestions(f"{path} holds no question; write one JSON object a line (docs/measuring.md)")
    chosen = [one for one in found if split is None or one.split == split]
    if not chosen:
        known = ", ".join(sorted({one.split for one in found if one.split})) or "none"
        raise BadQuestions(f"{path} holds no question of the split {split!r}; its splits: {known}")
    return chosen


def _known(path: Path, number: int, line: bytes) -> KnownQuestion:
    try:
        value = json.loads(line.decode("utf-8"))
        if not isinstance(value, dict):
            raise BadQuestions(
                f"{path}, line {number}: a JSON object was expected, not {type(value).__name__}"
            )
        return KnownQuestion.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise BadQuestions(f"{path}, line {number}: {place + ': ' if place else ''}{message}") from error
    except UnicodeDecodeError as error:
        raise BadQuestions(f"{path}, line {number}: not UTF-8 at byte {error.start} of the line") from error
    except json.JSONDecodeError as error:
        raise BadQuestions(f"{path}, line {number}: not JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise BadQuestions(f"{path}, line {number}: not usable JSON: {error}") from error


def judge(known: KnownQuestion, reply: schemas.AskReply) -> Outcome:
    """Return what a reply to a known question is worth."""
    answer = reply.answer
    return Outcome(
        type=known.type,
        answerable=known.answerable,
        confidence=answer.confidence if answer else None,
        right=answer is not None and is_right(known, answer),
        placed=bool(known.gold_places),
        rank=_rank(known, reply.passages),
        exact=nearest_gold(known, answer.text, exact_match) if answer else 0.0,
        f1=nearest_gold(known, answer.text, token_f1) if answer else 0.0,
        milliseconds=reply.took_ms,
    )


def is_right(known: KnownQuestion, answer: schemas.AnswerOut) -> bool:
    """Return whether an answer is right.

    It holds the gold spans as the mode asks and none of the forbidden phrases, stands at a gold place where
    places are known, and is short: each quote at most MOST_WORDS words and one sentence.
    """
    quotes = [one for one in answer.citations if one.role == "answer"]
    return (
        known.answerable
        and holds_gold(known, answer.text)
        and (
            not known.gold_places
            or any(known.is_at_gold(one.document_id, one.start_char, one.end_char) for one in quotes)
        )
        and all(is_short(one.quote) for one in quotes)
    )


def holds_gold(known: KnownQuestion, text: str) -> bool:
    """Return whether a text holds the gold spans as the mode asks, and no forbidden phrase.

    Case and line breaks do not count: a sentence may be wrapped where the span is not.
    """
    folded = _folded(text)
    held = [_folded(span) in folded for span in known.gold_spans]
    enough = all(held) if known.gold_mode == "all" else any(held)
    return enough and not any(_folded(one) in folded for one in known.forbidden)


def is_short(quote: str) -> bool:
    """Return whether a quote is at most MOST_WORDS words and one sentence."""
    return len(quote.split()) <= MOST_WORDS and len(sentences(quote, Span(0, len(quote)))) <= 1


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _rank(known: KnownQuestion, passages: Sequence[schemas.PassageOut]) -> int | None:
    """Return the place from 1 of the first passage that overlaps a gold place."""
    for rank, one in enumerate(passages, start=1):
        if known.is_at_gold(one.document_id, one.start_char, one.end_char):
            return rank
    return None


def nearest_gold(known: KnownQuestion, text: str, measure: Callable[[str, str], float]) -> float:
    """Return how near a text comes to the nearest gold span; to all of them together in mode `all`."""
    wanted = ["; ".join(known.gold_spans)] if known.gold_mode == "all" else known.gold_spans
    return max((measure(text, one) for one in wanted if one), default=0.0)


def exact_match(text: str, gold: str) -> float:
    """Return 1 if the two are the same after SQuAD's normalisation, else 0."""
    return float(normalised(text) == normalised(gold))


def token_f1(text: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall in words, after SQuAD's normalisation."""
    said, wanted = normalised(text).split(), normalised(gold).split()
    shared = sum((Counter(said) & Counter(wanted)).values())
    if not said or not wanted:
        return float(said == wanted)
    return 2 * shared / (len(said) + len(wanted))


def normalised(text: str) -> str:
    """Return text as SQuAD compares it: lower case, without punctuation and articles, single spaces."""
    bare = "".join(one for one in text.lower() if one not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())
