"""A file of questions with known answers -> what an index, or a server, makes of each of them.

Every question is asked once, with nothing refused for want of confidence; thresholds are applied to what
came back. So one run says what every threshold would have done.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from corpus.durable import sync
from service import schemas
from service.askers import Asker, CannotMeasure, ask_here, ask_server, missing_files, server_threshold
from service.figures import Figures, Outcome, curve, figures
from service.known import BadQuestions, KnownQuestion, judge, read_questions
from service.outside import open_index
from service.plots import can_plot
from service.settings import Settings
from service.threshold import FILE, threshold_of

Watch = Callable[[Sequence[KnownQuestion]], Iterable[KnownQuestion]]


@dataclass(frozen=True, slots=True)
class Result:
    """A question, what came of it, and the whole reply."""

    number: int
    """Of the question in the file, from 1."""
    known: KnownQuestion
    outcome: Outcome
    packed: bytes
    """The reply as compressed JSON: thousands of traces would fill the memory."""

    @property
    def reply(self) -> schemas.AskReply:
        """Return the reply, as it was before any threshold."""
        return schemas.AskReply.model_validate_json(zlib.decompress(self.packed))


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted threshold, as it is kept in the data folder."""

    threshold: float
    max_error: float
    questions: int
    fitted_at: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All results, and the threshold that they are judged by."""

    source: str
    """What the questions were: the file, and the split where one was named."""
    results: tuple[Result, ...]
    threshold: float
    fitted: Fitted | None = None
    """Set when the threshold was fitted to these very results."""
    warnings: tuple[str, ...] = ()

    @property
    def outcomes(self) -> list[Outcome]:
        """Return what came of each question."""
        return [one.outcome for one in self.results]

    @property
    def index_version(self) -> str:
        """Return the version of the index that answered last."""
        return self.results[-1].reply.index_version if self.results else ""

    @property
    def misses(self) -> list[Result]:
        """Return the results that are not what they should be, in the order of the file."""
        return [one for one in self.results if not one.outcome.is_right(self.threshold)]


def evaluate(questions: Iterable[KnownQuestion], put: Asker) -> list[Result]:
    """Return what came of each question, in order."""
    results: list[Result] = []
    for number, known in enumerate(questions, start=1):
        reply = put(known)
        packed = zlib.compress(reply.model_dump_json(by_alias=True).encode(), level=1)
        results.append(Result(number, known, judge(known, reply), packed))
    return results


def fit_threshold(outcomes: Sequence[Outcome], max_error: float) -> float:
    """Return the threshold that gives most answers while at most `max_error` of those given are wrong.

    The risk is the empirical one on these questions, nothing added. The threshold lies halfway between
    the last answer given and the first refused; it is 0 when all may be given, 1 when none.
    """
    points = curve(outcomes)
    allowed = [number for number, point in enumerate(points) if point.risk <= max_error]
    if not allowed:
        return 1.0
    last = allowed[-1]
    if last + 1 == len(points):
        return 0.0
    return (points[last].confidence + points[last + 1].confidence) / 2


def write_threshold(data: Path, outcomes: Sequence[Outcome], max_error: float) -> Fitted:
    """Fit the threshold, keep it in the data folder, and return it; the file is the old or the new, whole."""
    fitted = Fitted(
        threshold=round(fit_threshold(outcomes, max_error), 6),
        max_error=max_error,
        questions=len(outcomes),
        fitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    aside = data / f"{FILE}.new"
    aside.write_text(json.dumps(asdict(fitted), indent=1) + "\n", encoding="utf-8")
    sync(aside)
    aside.replace(data / FILE)
    sync(data)
    return fitted


@dataclass(frozen=True, slots=True)
class Run:
    """What to measure."""

    file: Path
    split: str | None = None
    url: str | None = None
    """Of a server; without one the index of the settings' data folder is asked in this process."""
    key: str | None = None
    threshold: float | None = None
    """To judge by, in place of the one in use."""
    max_error: float | None = None
    """Set when the threshold is to be fitted."""
    report: Path | None = None


def measure(settings: Settings, run: Run, watch: Watch = iter) -> Evaluation:
    """Return the evaluation of a file of questions; with `max_error` the fitted threshold is kept.

    `watch` hands the questions through and may show how far they are. Raises CannotMeasure, and for the
    index in this process NoIndex and EncoderError.
    """
    _check(run)
    try:
        questions = read_questions(run.file, run.split)
    except BadQuestions as error:
        raise CannotMeasure(str(error)) from error
    warnings: tuple[str, ...] = ()
    if run.url is None:
        index = open_index(settings)
        missing = missing_files(index, questions)
        if missing:
            warnings = (f"gold places name files that the index does not hold: {', '.join(missing)}",)
        put, threshold = ask_here(index), threshold_of(settings)
    else:
        put = ask_server(run.url, run.key)
        threshold = server_threshold(run.url, questions[0], run.key) if run.threshold is None else 0.0
    if run.threshold is not None:
        threshold = run.threshold
    results = evaluate(watch(questions), put)
    fitted = None
    if run.max_error is not None:
        fitted = write_threshold(settings.data, [one.outcome for one in results], run.max_error)
        threshold = fitted.threshold
    source = f"{run.file.name}, split {run.split}" if run.split else run.file.name
    return Evaluation(source, tuple(results), threshold, fitted, warnings)


def _check(run: Run) -> None:
    """Raise CannotMeasure for what would only show after all questions are asked."""
    if run.max_error is not None and (run.url is not None or run.threshold is not None):
        raise CannotMeasure(
            "--fit keeps its threshold beside the index here; leave out --url and --threshold"
        )
    if run.report is None:
        return
    if not can_plot():
        raise CannotMeasure("the report's plots need matplotlib; run `pip install 'pullquote[report]'`")
    if not run.report.absolute().parent.is_dir():
        raise CannotMeasure(f"there is no folder {run.report.absolute().parent} to write the report into")


def failures(done: Evaluation, asked: Iterable[Gate]) -> list[str]:
    """Return why gates fail, a line each."""
    found = figures(done.outcomes, done.threshold)
    return [line for line in (gate.failure(found) for gate in asked) if line is not None]


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound that a corpus owner sets on one figure."""

    name: str
    figure: Callable[[Figures], float | None]
    bound: float
    at_least: bool

    def failure(self, found: Figures) -> str | None:
        """Return why the gate fails, or None when it holds."""
        value = self.figure(found)
        if value is None:
            # Without a single answer none is wrong; a recall without gold places is not known to be good.
            return (
                f"gate failed: {self.name} cannot be measured on these questions" if self.at_least else None
            )
        short = self.bound - value if self.at_least else value - self.bound
        if short <= 0:
            return None
        side = "below" if self.at_least else "above"
        return f"gate failed: {self.name} is {value:.3f}, {short:.3f} {side} {self.bound:g}"


def gates(
    *, min_right: float | None = None, max_wrong: float | None = None, min_recall5: float | None = None
) -> list[Gate]:
    """Return the gates that were asked for."""
    asked = (
        (min_right, "right in all", _right_in_all, True),
        (max_wrong, "wrong among answers given", _wrong, False),
        (min_recall5, "recall@5", _recall5, True),
    )
    return [
        Gate(name, figure, bound, at_least) for bound, name, figure, at_least in asked if bound is not None
    ]


def _right_in_all(found: Figures) -> float | None:
    return found.right_in_all


def _wrong(found: Figures) -> float | None:
    return found.wrong


def _recall5(found: Figures) -> float | None:
    return found.recall[5]
