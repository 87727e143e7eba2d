"""The gate: a new snapshot is used only when it answers the questions that its owner wrote down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server import Home, Reply, unwired, wait_for

pytest_plugins = ("tests.server",)

LAMP = "# Lamp\n\nThe harbour lamp burns whale oil.\n"
WHAT = "What does the harbour lamp burn?"
QUESTIONS = [
    {"question": WHAT, "answerable": True, "gold_spans": ["whale oil"]},
    {"question": "Who developed PyTorch?", "answerable": True, "gold_spans": ["Facebook AI Research"]},
    {"question": "What is the capital of Peru?", "answerable": False},
]


@pytest.fixture(name="questions")
def _questions(home: Home) -> Path:
    """Return a gate's questions, written beside an index that answers all of them."""
    home.write("lamp.md", LAMP)
    assert home.run("index").returncode == 0
    file = home.folder / "gate.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in QUESTIONS), encoding="utf-8")
    return file


def put(request: Any, text: str) -> Any:
    return request("PUT", "/v1/documents/lamp.md", content=text.encode(), params={"wait": "true"})


def test_an_index_that_loses_an_answer_is_not_used(home: Home, questions: Path) -> None:
    with unwired(home, gate=questions) as request:
        reply = put(request, LAMP.replace("whale oil", "nothing"))
        assert reply.status_code == 503
        problem = reply.json()["detail"]
        assert "2 of the 3" in problem and WHAT in problem and str(questions) in problem
        # The document is what was put, the answers are those from before, and both can be seen.
        assert b"nothing" in request("GET", "/v1/documents/lamp.md/raw").content
        assert "whale oil" in asked(request)["answer"]["text"]
        assert WHAT in request("GET", "/v1/index").json()["last_failure"]["problem"]
        assert request("GET", "/readyz").status_code == 200

        reply = put(request, LAMP.replace("harbour lamp burns", "harbour lamp always burns"))
        assert reply.status_code == 200 and reply.json()["searchable"]
        job = request("GET", f"/v1/jobs/{reply.json()['job']}").json()
        (one,) = job["differences"]
        assert (one["kind"], one["question"]) == ("changed", WHAT)
        assert "always" in one["after"]["answer"] and one["before"]["right"] and one["after"]["right"]
        assert request("GET", "/v1/index").json()["last_failure"] is None


def asked(request: Any) -> Reply:
    reply: Reply = request("POST", "/v1/ask", json={"question": WHAT}).json()
    return reply


def test_how_many_have_to_be_right_can_be_set(home: Home, questions: Path) -> None:
    with unwired(home, gate=questions, gate_min_right=0.6) as request:
        reply = put(request, LAMP.replace("whale oil", "nothing"))
        assert reply.status_code == 200
        (one,) = request("GET", f"/v1/jobs/{reply.json()['job']}").json()["differences"]
        assert one["question"] == WHAT and one["before"]["right"] and not one["after"]["right"]


@pytest.mark.parametrize("content", [b"{", b"", None], ids=["no JSON", "empty", "missing"])
def test_a_gate_that_cannot_be_read_is_shut(home: Home, questions: Path, content: bytes | None) -> None:
    if content is None:
        questions.unlink()
    else:
        questions.write_bytes(content)
    with unwired(home, gate=questions) as request:
        reply = put(request, LAMP.replace("whale", "rape"))
        assert reply.status_code == 503 and "questions cannot be read" in reply.json()["detail"]


@pytest.mark.slow
def test_the_command_line_has_the_same_gate(home: Home, questions: Path) -> None:
    before = home.snapshots()
    home.write("lamp.md", LAMP.replace("whale oil", "nothing"))
    done = home.run("index", gate=questions)
    assert done.returncode == 1 and WHAT in done.stderr
    assert home.snapshots() == before
    assert not [*home.data.rglob(".*")]
    assert home.run("index").returncode == 0
    new, old = home.snapshots()[:2]
    done = home.run("eval", questions, "--diff", old, new, "--json")
    assert done.returncode in (0, 1)
    (one,) = json.loads(done.stdout)["differences"]
    assert one["question"] == WHAT and "whale oil" in one["before"]["answer"]
    assert done.returncode == (one["kind"] == "lost")
    same = home.run("eval", questions, "--diff", new, new)
    assert (same.returncode, "same answers" in same.stdout) == (0, True)
    assert home.run("eval", questions, "--diff", old, "nope").returncode == 1


@pytest.mark.slow
def test_what_failed_for_want_of_a_folder_is_tried_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.keeper.RETRY_SECONDS", 0.2)
    with unwired(home) as request:
        aside = home.folder / "away"
        home.corpus.rename(aside)
        job = request("POST", "/v1/reindex").json()["id"]
        wait_for(lambda: request("GET", f"/v1/jobs/{job}").json()["state"] == "failed", "the failure")
        assert request("GET", "/v1/index").json()["last_failure"] is not None
        assert request("GET", "/readyz").status_code == 200
        (aside / "lamp.md").write_text(LAMP, encoding="utf-8")
        aside.rename(home.corpus)
        wait_for(lambda: request("GET", "/v1/index").json()["last_failure"] is None, "another try")
        assert "whale oil" in asked(request)["answer"]["text"]
