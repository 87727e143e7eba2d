"""The policy: an Answer or NotFound. The only place that says either.

Confidence is the chance that the answer given is right, for questions like the development sets': a
logistic model over how well question, candidate and passage agree, fitted on answerable and unanswerable
questions together (benchmarks/quality). It means the same whatever `top_k` and filters are.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import BoundedSemaphore
from typing import Literal

from corpus.document import CandidateKind, Span
from index.fields import Wanted
from index.question import Question
from index.quoting import Reading
from index.reader import FEATURES, READ, read
from index.search import Hit
from index.vocabulary import Rewrite
from service import finding
from service.finding import SIDE_BY_SIDE, Found, Index, find
from service.followup import Turn

Reason = Literal["no_candidate", "below_threshold", "not_a_question", "empty_index"]
Role = Literal["answer", "row_label", "column_header"]

THRESHOLD = 0.4
"""Least confidence of an answer that is given. Right replies, answers and refusals together, on the questions
that may be looked at, the mean of four families of sets, each left out of the fit: 0.704 at 0.25, 0.710 at
0.3, 0.708 at 0.35, 0.711 at 0.4, 0.705 at 0.45. At 0.4, of the answers given to the questions that are only
scored, 9 and 14 % are wrong on the article, 16 % on the manuals, 34 and 37 % on projects' documentation and
43 % on SQuAD, half of whose questions are made to look answered."""

SMALL_TALK = re.compile(
    r"(?:(?:hi|hello|hey|hiya|howdy|greetings|welcome|good (?:morning|afternoon|evening|day|night)|cheers"
    r"|thanks?(?: you)?(?: (?:so|very) much| a lot)?|bye|goodbye|see you|ok(?:ay)?|yes|no|please|help|test"
    r"|cool|great|nice|how are you(?: doing)?|who are you|what are you|what(?:'s| is) your name"
    r"|are you (?:a )?(?:human|robot|bot|ai)|what can you do|there|bot|everyone|all|friend)[\s,.!?]*)+",
    re.I,
)
"""What people say to whoever answers, not to the documents."""

ALTERNATIVES = 3

SEARCH_WEIGHT = 4.0
"""Weight of a passage's search score beside its best candidate's, in the order of the passages: recall@5
is 0.97 on the article against 0.96 by search alone, on the manuals 0.93, on SQuAD 0.98 (0, 4 and 10
tried)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic model of the chance that the best candidate is right."""

    weights: Mapping[str, float]
    """For features of the reader, `share` and `crossed`."""
    intercept: float


UNKNOWN_DATE = -2.5
"""Weight of a year or version that no document has. Of 105 questions with one among the 84,000 that the
cross-encoder learned from and SQuAD's, 8 % have an answer, 5 % but for addresses of machines; with any other
unknown number 40 %, 2.5 of the logit more. Too few are among those to be looked at to fit it there."""

EXPANDS = 2.0
"""Weight of whether the candidate says what a short form stands for, where that is asked."""

CROSSED = Calibration(
    {
        "share": 3.29,
        "crossed": 0.49,
        "new": 1.71,
        "label": 1.1,
        "unknown_name": -0.36,
        "unknown_date": UNKNOWN_DATE,
        "expands": EXPANDS,
    },
    -3.8,
)
"""With the cross-encoder. A logistic regression on the questions that may be looked at, each family of sets
with the same weight (benchmarks/quality/fit.py). The inputs were chosen one by one by the loss on families
left out of the fit, from all features of the reader and several forms of the logit: 0.450 with the first two,
0.437 with the first four; names that no document has were kept at no gain, because whoever asks for them
must not be told of others. The number of passages adds nothing any more (0.446 with it)."""

PLAIN = Calibration(
    {
        "share": 2.61,
        "similarity": 2.46,
        "words": 0.94,
        "worst": 0.52,
        "unmet": -2.62,
        "covered_passage": -1.01,
        "unknown_name": -1.66,
        "unknown_date": UNKNOWN_DATE,
        "expands": EXPANDS,
        "rival": -1.74,
        "reason": 0.61,
        "label": 0.67,
        "passages": -0.23,
    },
    -1.01,
)
"""Without the cross-encoder, fitted likewise. The number of passages belongs to it, because a chance match is
likelier among more: from 13 to 3,500 passages it takes 1.3 off the logit."""


@dataclass(frozen=True, slots=True)
class Place:
    """A quotation: where it is and what it is for. Its words are sliced from the document."""

    passage: int
    span: Span
    role: Role


@dataclass(frozen=True, slots=True)
class Answer:
    """One short answer and how sure it is."""

    kind: CandidateKind
    confidence: float
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class NotFound:
    """The documents hold no answer that is sure enough."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Trace:
    """How the decision was made."""

    question: Question
    readings: tuple[Reading, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class Reply:
    """Everything a question brings to light."""

    verdict: Answer | NotFound
    alternatives: tuple[Answer, ...]
    hits: tuple[Hit, ...]
    used: str
    """The question as it was asked, after the rewrites."""
    rewrites: tuple[Rewrite, ...]
    best_in_passage: dict[int, Span]
    """For each hit's passage, the place in it that answers best."""
    trace: Trace | None
    milliseconds: dict[str, float] = field(default_factory=dict)


def ask(
    index: Index,
    question: str,
    *,
    history: Sequence[Turn] = (),
    top_k: int = 5,
    documents: Sequence[str] = (),
    fields: Wanted | None = None,
    threshold: float = THRESHOLD,
) -> Reply:
    """Return what the documents say to `question`.

    `history` is the conversation before it, oldest first. The search is kept to documents whose id begins
    with one of `documents`, where there are any, and that have, in every one of `fields`, one of its values.
    """
    found = find(index, question, history=history, top_k=top_k, documents=documents, fields=fields)
    return settle(index, found, top_k=top_k, threshold=threshold)


_SETTLING = BoundedSemaphore(SIDE_BY_SIDE)


def keep_to(cores: int) -> None:
    """Work on so many questions at a time from now on, where that is less. Called once, before the first."""
    finding.keep_to(cores)
    for _ in range(SIDE_BY_SIDE - cores):
        _SETTLING.acquire()


def settle(index: Index, found: Found, *, top_k: int = 5, threshold: float = THRESHOLD) -> Reply:
    """Return the Reply that what was found amounts to: the second half of `ask`."""
    if found.question is None:
        return Reply(NotFound("empty_index"), (), (), found.used, (), {}, None, dict(found.milliseconds))
    begun = time.perf_counter()
    with _SETTLING:
        readings = read(index.snapshot, found.question, found.among, index.pairs)
        verdict, alternatives = decide(found.question, readings, threshold)
    took = _since(begun)
    return Reply(
        verdict=verdict,
        alternatives=alternatives,
        hits=_reordered(found.among, readings)[:top_k],
        used=found.used,
        rewrites=found.rewrites,
        best_in_passage=_best_in_passage(readings),
        trace=Trace(found.question, tuple(readings), threshold),
        milliseconds={
            **found.milliseconds,
            "total": found.milliseconds["total"] + took,
            "read": took,
        },
    )


def decide(
    question: Question, readings: Sequence[Reading], threshold: float
) -> tuple[Answer | NotFound, tuple[Answer, ...]]:
    """Return the verdict on the candidates read, best first, and the next best answers."""
    if not question.subject or SMALL_TALK.fullmatch(question.text.strip()):
        return NotFound("not_a_question"), ()
    if not readings:
        return NotFound("no_candidate"), ()
    answers = [_answer(one, confidence(one)) for one in _as_read(readings)[: 1 + ALTERNATIVES]]
    if answers[0].confidence < threshold:
        return NotFound("below_threshold"), tuple(answers[:ALTERNATIVES])
    return answers[0], tuple(answers[1:])


def _as_read(readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings with those that the cross-encoder did not read as good as the worst that it did."""
    read = [one.crossed for one in readings if one.crossed is not None]
    return [replace(one, crossed=min(read)) if read and one.crossed is None else one for one in readings]


def confidence(reading: Reading) -> float:
    """Return the chance from 0 to 1 that `reading` is a right answer."""
    model = PLAIN if reading.crossed is None else CROSSED
    values = dict(zip(FEATURES, reading.features, strict=True)) | {"share": reading.share}
    values["crossed"] = reading.crossed or 0.0
    logit = model.intercept + sum(weight * values[name] for name, weight in model.weights.items())
    return 1 / (1 + math.exp(-logit))


def _answer(reading: Reading, sure: float) -> Answer:
    places = [Place(reading.hit.passage, span, "answer") for span in (reading.span, *reading.also)]
    if reading.row_label is not None:
        places.append(Place(reading.hit.passage, reading.row_label, "row_label"))
    if reading.column_header is not None:
        places.append(Place(reading.hit.passage, reading.column_header, "column_header"))
    return Answer(reading.kind, sure, tuple(places))


def _reordered(hits: Sequence[Hit], readings: Sequence[Reading]) -> tuple[Hit, ...]:
    """Return the hits that were read with those first that hold the better answers, then the others."""
    best: dict[int, float] = {}
    for reading in readings:
        best.setdefault(reading.hit.passage, reading.score)
    lowest = min(best.values(), default=0.0)
    scored = [
        replace(hit, score=best.get(hit.passage, lowest) + SEARCH_WEIGHT * hit.score) for hit in hits[:READ]
    ]
    scored.sort(key=lambda hit: (-hit.score, hit.passage))
    floor = scored[-1].score if scored else 0.0
    return (*scored, *(replace(hit, score=min(hit.score, floor)) for hit in hits[READ:]))


def _best_in_passage(readings: Sequence[Reading]) -> dict[int, Span]:
    found: dict[int, Span] = {}
    for reading in readings:
        found.setdefault(reading.hit.passage, reading.span)
    return found


def _since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
