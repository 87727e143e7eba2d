"""Measuring: the figures keep their laws, the command says what is wrong and exits as promised."""

from __future__ import annotations

import json
import math
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from benchmarks.quality import mechanisms
from service import known, report, schemas, summary
from service.__main__ import app
from service.answer import THRESHOLD
from service.evaluate import Evaluation, Fitted, evaluate, fit_threshold, gates, write_threshold
from service.figures import (
    Outcome,
    aurc,
    by_type,
    calibration_error_by_chance,
    curve,
    expected_calibration_error,
    figures,
    latency,
    reliability,
    wilson,
)
from service.known import BadQuestions, KnownQuestion, exact_match, read_questions, token_f1
from service.settings import Settings
from service.threshold import threshold_of

ROOT = Path(__file__).resolve().parent.parent


def right(confidence: float, **more: Any) -> Outcome:
    return Outcome("fact", True, confidence, True, **more)


def wrong(confidence: float, **more: Any) -> Outcome:
    return Outcome("fact", True, confidence, False, **more)


def no_answer(confidence: float | None, **more: Any) -> Outcome:
    return Outcome("near_miss", False, confidence, False, **more)


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    def one() -> Outcome:
        answerable = draw(st.booleans())
        confidence = draw(st.none() | st.floats(0, 1))
        is_right = answerable and confidence is not None and draw(st.booleans())
        return Outcome(draw(st.sampled_from("abc")), answerable, confidence, is_right)

    return [one() for _ in range(draw(st.integers(1, 30)))]


def test_perfect_answers_and_refusals_give_perfect_figures() -> None:
    found = figures(
        [
            right(0.9, placed=True, rank=1, exact=1.0, f1=1.0),
            right(0.8, placed=True, rank=1, exact=1.0, f1=1.0),
            *(no_answer(0.1), no_answer(None)),
        ],
        0.5,
    )
    assert (found.right_in_all, found.right, found.always, found.wrong) == (1, 1, 1, 0)
    assert (found.recall, found.mrr) == ({1: 1, 3: 1, 5: 1, 10: 1}, 1)
    assert (found.exact, found.f1, found.refusal_precision, found.refusal_recall) == (1, 1, 1, 1)


def test_refusing_everything_gives_the_share_of_unanswerable_questions() -> None:
    found = figures([right(0.9), right(0.9), wrong(0.4), no_answer(0.2)], 1.0)
    assert (found.right_in_all, found.given, found.wrong) == (0.25, 0, None)
    assert (found.refusal_precision, found.refusal_recall) == (0.25, 1)
    assert found.always == pytest.approx(2 / 3)


def test_figures_of_a_small_set_by_hand() -> None:
    found = figures(
        [
            *(right(0.9, placed=True, rank=2), wrong(0.8, placed=True, rank=4), right(0.2, placed=True)),
            *(no_answer(0.7), no_answer(0.1)),
        ],
        0.5,
    )
    assert found.recall == {1: 0, 3: pytest.approx(1 / 3), 5: pytest.approx(2 / 3), 10: pytest.approx(2 / 3)}
    assert found.mrr == pytest.approx((1 / 2 + 1 / 4) / 3)
    assert (found.right_in_all, found.given) == (2 / 5, 3)
    assert found.wrong == pytest.approx(2 / 3)
    assert (found.refusal_precision, found.refusal_recall) == (1 / 2, 1 / 2)


def test_a_share_of_nothing_is_none() -> None:
    found = figures([no_answer(None)], 0.5)
    assert (found.always, found.recall[5], found.mrr, found.wrong, found.aurc, found.ece) == (None,) * 6


@given(outcomes(), st.floats(0, 1))
def test_every_figure_is_a_share(made: list[Outcome], threshold: float) -> None:
    """Every figure is None or between 0 and 1, and the interval holds its share."""
    found = figures(made, threshold)
    shares = (found.right, found.always, found.right_in_all, found.wrong, found.aurc, found.ece)
    assert all(one is None or 0 <= one <= 1 + 1e-12 for one in shares)
    assert found.interval is not None and found.right_in_all is not None
    assert 0 <= found.interval[0] <= found.right_in_all <= found.interval[1] <= 1


@given(outcomes(), st.randoms(use_true_random=False))
def test_the_order_of_the_file_changes_nothing(made: list[Outcome], chance: random.Random) -> None:
    """Figures do not depend on the order of the questions, equally sure ones included."""
    mixed = list(made)
    chance.shuffle(mixed)
    here, there = figures(made, 0.5), figures(mixed, 0.5)
    assert here.right_in_all == there.right_in_all
    for one, other in ((here.aurc, there.aurc), (here.ece, there.ece)):
        assert (one is None) == (other is None) and (
            one is None or math.isclose(one, other or 0, abs_tol=1e-9)
        )


@given(outcomes())
def test_the_curve_begins_sure_and_ends_with_all_candidates(made: list[Outcome]) -> None:
    """Coverage grows and confidence falls along the curve; its last point gives every candidate."""
    points = curve(made)
    assert [one.coverage for one in points] == sorted({one.coverage for one in points})
    assert [one.confidence for one in points] == sorted({one.confidence for one in points}, reverse=True)
    if points:
        candidates = [one for one in made if one.confidence is not None]
        assert points[-1].coverage == pytest.approx(len(candidates) / len(made))


def test_area_under_the_curve() -> None:
    assert aurc([right(0.9), right(0.5)]) == 0
    assert aurc([wrong(0.9), no_answer(0.5)]) == 1
    # Right, then wrong: risks 0 and 1/2. The other way round: 1 and 1/2. Equally sure: drawn at random.
    assert aurc([right(0.9), wrong(0.5)]) == pytest.approx(0.25)
    assert aurc([wrong(0.9), right(0.5)]) == pytest.approx(0.75)
    assert aurc([wrong(0.5), right(0.5)]) == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_what_chance_alone_makes_of_the_calibration_error(sure: list[float], seed: int) -> None:
    """As in draws in which each confidence is exactly the chance to be right; a normal law is near enough."""
    chance = random.Random(seed)
    drawn = [
        expected_calibration_error([right(one) if chance.random() < one else wrong(one) for one in sure])
        for _ in range(300)
    ]
    expected = sum(one or 0.0 for one in drawn) / len(drawn)
    assert calibration_error_by_chance([right(one) for one in sure]) == pytest.approx(expected, abs=0.1)
    assert calibration_error_by_chance([right(0.0), wrong(1.0)]) == 0
    assert calibration_error_by_chance([]) is None


def test_calibrated_confidence_has_no_error_and_overconfidence_has() -> None:
    chance = random.Random(1)
    sure = [chance.random() for _ in range(20_000)]
    calibrated = [right(one) if chance.random() < one else wrong(one) for one in sure]
    assert expected_calibration_error(calibrated) == pytest.approx(0, abs=0.02)
    assert expected_calibration_error([wrong(0.9), wrong(0.9)]) == pytest.approx(0.9)
    bins = reliability(calibrated)
    assert [round(one.low, 1) for one in bins] == [number / 10 for number in range(10)]
    assert sum(one.count for one in bins) == 20_000
    assert [one.high for one in reliability([right(1.0)])] == [1.0]


def test_wilson_interval_by_hand() -> None:
    assert list(wilson(8, 10)) == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert wilson(0, 5)[0] == 0 and wilson(5, 5)[1] == 1


def test_latency_is_of_questions_that_were_asked() -> None:
    times = [right(0.9, milliseconds={"total": float(number)}) for number in range(1, 101)]
    assert latency(times)["total"].p50 == 50 and latency(times)["total"].p95 == 95


@given(outcomes(), st.floats(0, 1), st.floats(0, 1))
def test_a_fitted_threshold_keeps_its_promise(made: list[Outcome], one: float, other: float) -> None:
    """On its own questions at most `max_error` of the answers given are wrong; allowing more lowers it."""
    low, high = min(one, other), max(one, other)
    threshold = fit_threshold(made, low)
    given_here = [each for each in made if each.given(threshold)]
    if threshold < 1:
        assert sum(not each.right for each in given_here) <= low * len(given_here) + 1e-9
    assert fit_threshold(made, high) <= threshold


def test_a_fitted_threshold_gives_as_many_answers_as_it_may() -> None:
    made = [right(0.9), wrong(0.8), right(0.7), right(0.6), no_answer(0.2)]
    assert fit_threshold(made, 0.0) == pytest.approx(0.85)
    assert fit_threshold(made, 0.25) == pytest.approx(0.4)
    assert fit_threshold(made, 1.0) == 0
    assert fit_threshold([wrong(0.9), right(0.1)], 0.1) == 1


def test_the_fitted_threshold_is_kept_whole(tmp_path: Path) -> None:
    fitted = write_threshold(tmp_path, [right(0.9), wrong(0.1)], 0.0)
    kept = json.loads((tmp_path / "threshold.json").read_text())
    assert Fitted(**kept) == fitted
    assert fitted.threshold == 0.5 and fitted.questions == 2
    assert [one.name for one in tmp_path.iterdir()] == ["threshold.json"]


def test_gates_say_which_failed_and_by_how_much() -> None:
    found = figures([right(0.9), wrong(0.9), no_answer(0.1), no_answer(0.1)], 0.5)
    asked = gates(min_right=0.8, max_wrong=0.1, min_recall5=None)
    assert [one.failure(found) for one in asked] == [
        "gate failed: right in all is 0.750, 0.050 below 0.8",
        "gate failed: wrong among answers given is 0.500, 0.400 above 0.1",
    ]
    assert [one.failure(found) for one in gates(min_right=0.75, max_wrong=0.5)] == [None, None]
    assert "cannot be measured" in (gates(min_recall5=0.9)[0].failure(found) or "")


def test_text_is_compared_as_squad_does() -> None:
    assert exact_match("The Facebook, AI Research!", "facebook AI research") == 1
    assert token_f1("the cat sat", "a cat") == pytest.approx(2 / 3)
    assert token_f1("dog", "cat") == 0


def asked(**values: Any) -> KnownQuestion:
    return KnownQuestion.model_validate(
        {"question": "who?", "answerable": True, "gold_spans": ["Ada"], **values}
    )


def cited(text: str, start: int = 0, role: str = "answer", file: str = "a.md") -> dict[str, Any]:
    return {
        "document_id": file,
        "title": "",
        "heading_path": [],
        "passage_id": "p",
        "quote": text,
        "start_char": start,
        "end_char": start + len(text),
        "start_byte": 0,
        "end_byte": 0,
        "start_utf16": 0,
        "end_utf16": 0,
        "start_line": 1,
        "end_line": 1,
        "prefix": "",
        "suffix": "",
        "text_sha256": "",
        "url": "",
        "index_version": "v",
        "role": role,
    }


def answered(*cites: dict[str, Any], confidence: float = 0.9) -> schemas.AnswerOut:
    text = "; ".join(one["quote"] for one in cites if one["role"] == "answer")
    return schemas.AnswerOut.model_validate(
        {"text": text, "kind": "sentence", "confidence": confidence, "citations": list(cites)}
    )


PLACE = [{"file": "a.md", "start": 5, "end": 9}]


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        (asked(), answered(cited("It was ada.")), True),
        (asked(gold_spans=["Ada Byron"]), answered(cited("It was Ada\nByron.")), True),
        (asked(forbidden=["Bob"]), answered(cited("Ada and Bob.")), False),
        (asked(gold_spans=["Ada", "Bob"]), answered(cited("Bob.")), True),
        (asked(gold_spans=["Ada", "Bob"], gold_mode="all"), answered(cited("Bob.")), False),
        (asked(gold_spans=["Ada", "Bob"], gold_mode="all"), answered(cited("Bob."), cited("Ada.")), True),
        (asked(gold_places=PLACE), answered(cited("Ada", 6)), True),
        (asked(gold_places=PLACE), answered(cited("Ada", 9)), False),
        (asked(gold_places=PLACE), answered(cited("Ada", 6, file="b.md")), False),
        (asked(gold_places=PLACE), answered(cited("Ada", 9), cited("Label", 5, "row_label")), False),
        (asked(), answered(cited("Ada " * 40)), True),
        (asked(), answered(cited("Ada " * 41)), False),
        (asked(), answered(cited("It was Ada. She wrote it.")), False),
        (asked(answerable=False, gold_spans=[]), answered(cited("Ada")), False),
    ],
)
def test_right(question: KnownQuestion, answer: schemas.AnswerOut, expected: bool) -> None:
    assert known.is_right(question, answer) is expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no question"),
        (b"\n \n", "holds no question"),
        (b'{"question": "a", "answerable": false}\n{"question": ', "line 2: not JSON"),
        (b"[1]", "line 1: a JSON object was expected, not list"),
        (b'{"answerable": true}', "line 1: question: Field required"),
        (b'{"question": "a", "answerable": "yes"}', "line 1: answerable: "),
        (b'{"question": "a", "answerable": true}', "line 1: an answerable question needs `gold_spans`"),
        (
            b'{"question": "a", "answerable": false, "gold_spans": ["b"]}',
            "line 1: an unanswerable question has",
        ),
        (b'{"question": "a", "answerable": true, "gold_spans": [""]}', "empty strings"),
        (b'{"question": "a", "answerable": true, "gold_spans": ["b"], "gold_mode": "some"}', "gold_mode: "),
        (
            b'{"question": "a", "answerable": true, "gold_spans": ["b"],'
            b' "gold_places": [{"file": "a", "start": 3, "end": 3}]}',
            "line 1: gold_places.0: `end` must be greater than `start`",
        ),
        (b'\n{"question": "\xff"}', "line 2: not UTF-8"),
        (b"[" * 100_000, "line 1: not usable JSON"),
    ],
)
def test_a_malformed_file_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadQuestions, match=re.escape(message)):
        read_questions(path)
    done = CliRunner().invoke(app, ["eval", str(path), "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert message.partition(":")[0] in done.output


def test_an_unknown_split_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a", "answerable": false, "split": "look"}\n')
    with pytest.raises(BadQuestions, match="'score'; its splits: look"):
        read_questions(path, "score")


def test_the_development_sets_are_readable() -> None:
    counts = {
        "article/questions": 332,
        "article/fresh": 210,
        "manuals/questions": 459,
        "projects/questions": 150,
        "packages/questions": 180,
    }
    for name, count in counts.items():
        assert len(read_questions(ROOT / f"tests/data/{name}.jsonl")) == count


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["eval", str(tmp_path / "none.jsonl")]).exit_code == 2


def reply(text: str, confidence: float, document: str = "a.md") -> schemas.AskReply:
    passage = {
        "passage_id": "p",
        "document_id": document,
        "title": "",
        "heading_path": [],
        "text": text,
        "start_char": 0,
        "end_char": len(text),
        "score": 1.0,
        "url": "",
        "highlights": [],
    }
    candidate = {
        "passage_id": "p",
        "text": text,
        "kind": "sentence",
        "score": 1.0,
        "confidence": confidence,
        "features": {"match": 0.5},
    }
    return schemas.AskReply.model_validate(
        {
            "status": "answered",
            "reason": None,
            "answer": answered(cited(text, file=document), confidence=confidence).model_dump(),
            "alternatives": [],
            "passages": [passage],
            "query": {"asked": "", "used": "", "rewrites": []},
            "index_version": "v1",
            "took_ms": {"total": 1.0},
            "trace": {
                "threshold": 0.4,
                "words": {},
                "passages": [],
                "candidates": [candidate],
                "runner_up": None,
            },
        }
    )


HOSTILE = "</td><script>alert('x')</script><img src=https://example.com/x.png onerror=alert(1)> $x$ \x1b[31m"


def hostile_evaluation() -> Evaluation:
    questions = [
        asked(question=HOSTILE, type=HOSTILE, id=HOSTILE, history=[{"role": "user", "content": HOSTILE}]),
        asked(question="good", gold_spans=["Ada"]),
    ]
    texts = {HOSTILE: HOSTILE, "good": "It was Ada."}
    results = evaluate(questions, lambda one: reply(texts[one.question], 0.8, HOSTILE))
    return Evaluation(HOSTILE, tuple(results), 0.5)


def test_the_report_asks_nothing_of_any_network_and_escapes_everything() -> None:
    pytest.importorskip("matplotlib")
    page = report.page(hostile_evaluation(), [HOSTILE])
    assert "<script" not in page and "\x1b" not in page
    tags = re.findall(r"<(\w+)[^>]*>", page)
    assert set(tags) <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "figure", "img", "span"),
        *("table", "tr", "th", "td", "details", "summary"),
    }
    addresses = re.findall(r"<img [^>]*src=\"([^\"]*)\"", page)
    assert len(addresses) == 3 and all(one.startswith("data:image/svg+xml;base64,") for one in addresses)
    inside_tags = "".join(re.findall(r"<[^>]*>", page))
    assert re.findall(r"https?:|//|href|@import|url\(", inside_tags) == []
    assert "Content-Security-Policy" in page and "1 of 2" in page and "&lt;script&gt;" in page


def test_the_table_and_the_json_hold_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    done = hostile_evaluation()
    console = Console(width=200, record=True)
    summary.show(console, done)
    assert "\x1b" not in console.export_text()
    values = json.loads(json.dumps(summary.as_json(done, [])))
    assert values["figures"]["right_in_all"] == 0.5
    assert [one["verdict"] for one in values["misses"]] == ["wrong answer"]
    assert set(values["by_type"]) == set(by_type(done.outcomes, 0.5))


@contextmanager
def server(status: int = 200, body: bytes = b"") -> Iterator[tuple[str, list[Any]]]:
    """Hand out a server that always gives the same reply, and what it was asked."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            seen.append((self.path, self.headers.get("Authorization"), json.loads(self.rfile.read(length))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}", seen
        listening.shutdown()
        thread.join()


def question_file(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "q.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return str(path)


def test_a_server_is_asked_once_a_question_with_nothing_held_back(tmp_path: Path) -> None:
    history = [{"role": "user", "content": "before"}]
    file = question_file(
        tmp_path,
        {"question": "who?", "answerable": True, "gold_spans": ["Ada"], "history": history},
        {"question": "what?", "answerable": False},
    )
    with server(body=reply("It was Ada.", 0.39).model_dump_json().encode()) as (url, seen):
        done = CliRunner().invoke(app, ["eval", file, "--url", url + "/", "--key", "k", "--json"])
    assert done.exit_code == 0, done.output
    assert [path for path, _, _ in seen] == ["/v1/ask"] * 3  # the first one learns the server's threshold
    assert {key for _, key, _ in seen} == {"Bearer k"}
    assert seen[1][2] == {
        "question": "who?",
        "history": history,
        "top_k": 10,
        "min_confidence": 0.0,
        "explain": True,
    }
    values = json.loads(done.stdout)
    assert values["threshold"] == 0.4
    assert values["figures"]["right_in_all"] == 0.5 and values["figures"]["given"] == 0


@pytest.mark.parametrize(("status", "body"), [(500, b"broken"), (200, b"{}")])
def test_a_broken_server_is_no_wrong_answer(tmp_path: Path, status: int, body: bytes) -> None:
    file = question_file(tmp_path, {"question": "what?", "answerable": False})
    with server(status, body) as (url, _):
        done = CliRunner().invoke(app, ["eval", file, "--url", url, "--threshold", "0.5"])
    assert done.exit_code == 2 and "'what?'" in done.output


def test_fit_needs_an_index_here(tmp_path: Path) -> None:
    file = question_file(tmp_path, {"question": "what?", "answerable": False})
    done = CliRunner().invoke(app, ["eval", file, "--url", "http://127.0.0.1:9", "--fit"])
    assert done.exit_code == 2 and "--fit" in done.output


@pytest.fixture(scope="module")
def article(tmp_path_factory: pytest.TempPathFactory, exported_encoder: Path) -> list[str]:
    """Return the flags that ask an index of the article."""
    from index.progress import Progress
    from service.outside import build_index

    data = tmp_path_factory.mktemp("article")
    build_index(Settings(corpus=ROOT / "corpus/texts", data=data, model=str(exported_encoder)), Progress())
    return ["--data", str(data), "--model", str(exported_encoder)]


QUESTIONS = (
    {
        "question": "Who developed PyTorch?",
        "answerable": True,
        "gold_spans": ["Facebook"],
        "gold_places": [{"file": "pytorch-vs-tensorflow.md", "start": 0, "end": 100_000}],
    },
    {"question": "How long do cats sleep in winter?", "answerable": False},
)


@pytest.mark.slow
def test_the_command_on_the_article(tmp_path: Path, article: list[str]) -> None:
    pytest.importorskip("matplotlib")
    file = question_file(tmp_path, *QUESTIONS)
    run = CliRunner()
    passed = ["--min-right", "0.9", "--max-wrong", "0.1", "--min-recall5", "1"]
    page = tmp_path / "report.html"
    done = run.invoke(app, ["eval", file, *article, *passed, "--report", str(page)])
    assert done.exit_code == 0, done.output
    assert "right in all" in done.stdout and page.read_text().startswith("<!doctype html>")
    failed = run.invoke(app, ["eval", file, *article, "--threshold", "1", "--min-right", "0.9"])
    assert failed.exit_code == 1 and "right in all is 0.500, 0.400 below 0.9" in failed.output
    fitted = run.invoke(app, ["eval", file, *article, "--fit", "--max-error", "0", "--json"])
    kept = json.loads((Path(article[1]) / "threshold.json").read_text())
    assert json.loads(fitted.stdout)["fitted"] == kept and kept["questions"] == 2


@pytest.mark.slow
def test_gold_in_files_that_are_not_indexed_is_said(tmp_path: Path, article: list[str]) -> None:
    strange = {**QUESTIONS[0], "gold_places": [{"file": "elsewhere.md", "start": 0, "end": 9}]}
    done = CliRunner().invoke(app, ["eval", question_file(tmp_path, strange), *article])
    assert "elsewhere.md" in done.output


@pytest.mark.parametrize("name", sorted(mechanisms.MECHANISMS))
def test_every_mechanism_can_be_switched_off_and_is_on_again(name: str) -> None:
    patches = mechanisms.MECHANISMS[name]
    modules = [__import__(one.module, fromlist=[one.name]) for one in patches]
    held = [getattr(module, one.name) for module, one in zip(modules, patches, strict=True)]
    with mechanisms.switched_off(name):
        off = [getattr(module, one.name) for module, one in zip(modules, patches, strict=True)]
        assert all(there is not here for there, here in zip(off, held, strict=True))
    assert [getattr(module, one.name) for module, one in zip(modules, patches, strict=True)] == held


def test_a_fitted_threshold_counts_at_once_and_a_set_one_before_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert threshold_of(settings) == THRESHOLD
    (tmp_path / "threshold.json").write_text('{"threshold": 0.7}', encoding="utf-8")
    assert threshold_of(settings) == 0.7
    (tmp_path / "new.json").write_text('{"threshold": 0.2}', encoding="utf-8")
    (tmp_path / "new.json").replace(tmp_path / "threshold.json")
    assert threshold_of(settings) == 0.2
    assert threshold_of(Settings(data=tmp_path, min_confidence=0.9)) == 0.9


@pytest.mark.parametrize("words", ["", "{", "[]", '{"threshold": "x"}', '{"threshold": 7}'])
def test_a_threshold_file_that_cannot_be_read_leaves_the_default(tmp_path: Path, words: str) -> None:
    (tmp_path / "threshold.json").write_text(words, encoding="utf-8")
    assert threshold_of(Settings(data=tmp_path)) == THRESHOLD
