"""Measuring: an answer is right or not, the command says what is wrong and exits as promised."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.quality import mechanisms
from service import known, report, schemas, summary
from service.__main__ import app
from service.answer import THRESHOLD
from service.evaluate import Evaluation, evaluate
from service.figures import (
    by_type,
)
from service.known import BadQuestions, KnownQuestion, exact_match, read_questions, token_f1
from service.settings import Settings
from service.threshold import threshold_of

ROOT = Path(__file__).resolve().parent.parent


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
