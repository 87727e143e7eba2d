"""The journal: what is kept, for how long, what is made of it, and that no answer ever depends on it."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from mcp import Client, StdioServerParameters

from service.answer import Answer, NotFound, Reply
from service.finding import Index
from service.journal import (
    FILE,
    MOST,
    WAITING,
    Entry,
    Feedback,
    Journal,
    Unanswered,
    read_feedback,
    read_lacking,
    read_unanswered,
)
from service.outside import open_index
from service.settings import Settings
from service.unanswered import as_csv, report
from tests.contract import DEVELOPER, Checked, check_problem, opened
from tests.server import COMMAND, PATIENCE_SECONDS, ROOT, Home, Server, wait_for

pytest_plugins = ("tests.server", "tests.contract")

NOWHERE = "What is the capital of France?"
ADMIN = {"X-API-Key": "a-long-enough-key"}


def made(data: Path, **more: object) -> Journal:
    """Return a journal in a folder."""
    return Journal(Settings.model_validate({"data": data, "journal": True} | more))


def refused(question: str, reason: str = "below_threshold") -> Reply:
    """Return a reply without an answer."""
    return Reply(NotFound(reason), (), (), question, (), {}, None)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what is kept


def test_what_is_added_is_read_back_newest_first(tmp_path: Path) -> None:
    journal = made(tmp_path)
    journal.open()
    said = [Unanswered(f"Who is {name}?", f"who is {name}?", "no_candidate") for name in "abc"]
    thumbs = [
        Feedback("q", None, None, True, None),
        Feedback("q\x00🚀", "a", "d#0-1", False, "not 'this';--"),
    ]
    entries: list[Entry] = [*said, *thumbs]
    for entry in entries:
        assert journal.add(entry)
    journal.close()
    assert [*read_unanswered(tmp_path)] == said[::-1]
    assert [*read_feedback(tmp_path, 10)] == thumbs[::-1]
    assert [*read_feedback(tmp_path, 1)] == thumbs[:0:-1]


def test_only_questions_without_an_answer_are_noted(tmp_path: Path) -> None:
    journal = made(tmp_path)
    journal.open()
    answered = Reply(Answer("span", 0.9, ()), (), (), "x", (), {}, None)  # type: ignore[arg-type]
    for reply in (answered, refused("hello", "not_a_question"), refused("who is y?")):
        assert journal.note("y?", reply) is reply
    journal.close()
    assert [(one.question, one.used) for one in read_unanswered(tmp_path)] == [("y?", "who is y?")]


@pytest.mark.parametrize("off", [{"journal": False}, {"read_only": True}])
def test_a_journal_that_is_off_writes_nothing(tmp_path: Path, off: dict[str, object]) -> None:
    journal = made(tmp_path, **off)
    journal.open()
    journal.note("y?", refused("y?"))
    assert not journal.add(Feedback("q", None, None, True, None))
    journal.close()
    assert [*tmp_path.iterdir()] == []
    assert [*read_unanswered(tmp_path)] == []


def test_what_is_too_old_or_too_much_is_removed(tmp_path: Path) -> None:
    journal = made(tmp_path, journal_days=10)
    journal.open()
    journal.add(Unanswered("old", "old", "no_candidate", at="2020-01-01T00:00:00Z"))
    journal.add(Feedback("old", None, None, True, None, at="2020-01-01T00:00:00Z"))
    journal.add(Unanswered("new", "new", "no_candidate"))
    journal.close()
    assert len([*read_unanswered(tmp_path)]) == 2
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(
            "INSERT INTO feedback (rowid, at, question, good) "
            "VALUES (?, '9999', 'far', 1), (5, '9999', 'x', 1)",
            (MOST + 5,),
        )
    connection.close()
    again = made(tmp_path, journal_days=10)
    again.open()
    again.close()
    assert [one.question for one in read_unanswered(tmp_path)] == ["new"]
    assert [one.question for one in read_feedback(tmp_path, 10)] == ["far"]
    assert b"2020-01-01" not in (tmp_path / FILE).read_bytes()


# ---------------------------------------------------------------- what may go wrong


def test_a_disk_that_fails_is_said_once_and_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / FILE
    broken.write_bytes(b"this is no database at all" * 100)
    journal = made(tmp_path)
    journal.open()
    for number in range(20):
        assert journal.add(Unanswered(str(number), str(number), "no_candidate"))
    journal.close()
    said = capsys.readouterr()
    assert (said.out + said.err).count("journal not written") == 1
    with pytest.raises(OSError, match="cannot be read"):
        [*read_unanswered(tmp_path)]
    broken.unlink()
    later = made(tmp_path)
    later.open()
    later.add(Unanswered("after", "after", "no_candidate"))
    later.close()
    assert [one.question for one in read_unanswered(tmp_path)] == ["after"]


def test_nobody_waits_where_too_much_waits_to_be_written(tmp_path: Path) -> None:
    journal = made(tmp_path)  # never opened: nothing is taken from the queue
    entry = Unanswered("q", "q", "no_candidate")
    begun = time.process_time()
    assert [journal.add(entry) for _ in range(WAITING + 10)] == [True] * WAITING + [False] * 10
    assert time.process_time() - begun < 5


# ---------------------------------------------------------------- what is made of it


@pytest.fixture(scope="module")
def index(library: Home) -> Index:
    """Return the article's index."""
    settings = {"data": library.data, "model": str(library.encoder), "corpus": library.corpus}
    return open_index(Settings.model_validate(settings))


def asked(*questions: str) -> list[Unanswered]:
    return [
        Unanswered(one, one, "below_threshold", at=f"2026-01-{number + 1:02d}T00:00:00Z")
        for number, one in reversed([*enumerate(questions)])
    ]


def test_questions_that_mean_the_same_are_counted_together(index: Index) -> None:
    entries = asked(NOWHERE, "How do I bake bread?", "what is the capital city of France", NOWHERE, DEVELOPER)
    found = report(index, entries, 10, 0.4)
    assert [(one.question, one.count) for one in found.groups] == [
        (NOWHERE, 3),
        ("How do I bake bread?", 1),
        (DEVELOPER, 1),
    ]
    first = found.groups[0]
    assert [(one.question, one.count) for one in first.wordings] == [
        (NOWHERE, 2),
        ("what is the capital city of France", 1),
    ]
    assert (first.first_asked_at, first.last_asked_at) == ("2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z")
    assert [one.answered_now for one in found.groups] == [False, False, True]
    assert all(one.passages for one in found.groups)
    assert (found.total_groups, found.total_questions) == (3, 5)


def test_the_order_of_the_entries_changes_nothing(index: Index) -> None:
    entries = asked("who is Otto?", "Who's Otto", NOWHERE, "what is the capital city of France")
    assert report(index, entries, 10, 0.4) == report(index, entries[::-1], 10, 0.4)
    assert len(report(index, entries, 1, 0.4).groups) == 1
    assert report(index, [], 10, 0.4).groups == []


def test_another_thing_is_another_question(index: Index) -> None:
    asked_of = ("What is the capital of France?", "What is the capital of Germany?", "capital of Germany?")
    found = report(index, asked(*asked_of), 10, 0.4)
    assert [one.count for one in found.groups] == [2, 1]
    assert {one.question for one in found.groups[0].wordings} == {*asked_of[1:]}


def test_the_most_typical_wording_speaks_for_a_group_that_is_asked_once_each(index: Index) -> None:
    wordings = ("is there parking nearby", "where can I park?", "parking", "parking for visitors")
    (group,) = report(index, asked(*wordings), 10, 0.4).groups
    assert group.count == 4 and group.question != "where can I park?"
    (again,) = report(index, asked(*wordings, "where can I park?"), 10, 0.4).groups
    assert again.question == "where can I park?"


def test_answers_that_were_thumbed_down_are_lacking_too(index: Index, tmp_path: Path) -> None:
    journal = made(tmp_path)
    journal.open()
    for entry in (
        Unanswered(NOWHERE, NOWHERE, "below_threshold", at="2026-01-02T00:00:00Z"),
        Feedback(DEVELOPER, "Facebook AI Research", None, False, None, at="2026-01-01T00:00:00Z"),
        Feedback(
            "who developed pytorch", "Facebook AI Research", None, False, None, at="2026-01-03T00:00:00Z"
        ),
        Feedback("When did TensorFlow come out?", "last week", None, False, None, at="2026-01-04T00:00:00Z"),
        Feedback("Which industries prefer PyTorch?", "All", None, True, None, at="2026-01-05T00:00:00Z"),
    ):
        journal.add(entry)
    journal.close()
    kept = [*read_lacking(tmp_path)]
    assert [one.at[:10] for one in kept] == [f"2026-01-0{day}" for day in (4, 3, 2, 1)]
    found = {one.question: one for one in report(index, kept, 10, 0.4).groups}
    disliked = found[DEVELOPER] if DEVELOPER in found else found["who developed pytorch"]
    assert (disliked.count, disliked.thumbs_down, disliked.answered_now) == (2, 2, False)
    assert (found[NOWHERE].count, found[NOWHERE].thumbs_down) == (1, 0)
    # What it was told then is not what it is told now.
    assert found["When did TensorFlow come out?"].answered_now
    header, *rows = csv.reader(io.StringIO(as_csv(report(index, kept, 10, 0.4))))
    assert header[2] == "thumbs_down" and sorted(row[2] for row in rows) == ["0", "1", "2"]


def test_no_cell_of_the_table_is_a_formula(index: Index) -> None:
    found = report(index, asked('=HYPERLINK("http://evil")', 'a "quoted", question?'), 10, 0.4)
    header, *rows = csv.reader(io.StringIO(as_csv(found)))
    assert header[:2] == ["question", "count"]
    assert sorted(row[0] for row in rows) == ['\'=HYPERLINK("http://evil")', 'a "quoted", question?']


# ---------------------------------------------------------------- over REST and at the terminal


def test_without_a_journal_the_routes_say_so(request_: Checked) -> None:
    thumb = {"question": DEVELOPER, "good": True}
    replies = [
        request_("POST", "/v1/feedback", json=thumb),
        request_("GET", "/v1/journal/unanswered"),
        request_("GET", "/v1/journal/feedback"),
    ]
    for reply in replies:
        assert reply.status_code == 404
        assert reply.json()["type"].endswith("journal-off")


def test_reading_is_for_administrators(home: Home) -> None:
    with opened(home, journal=True, admin_key=ADMIN["X-API-Key"]) as request:
        for path in ("/v1/journal/unanswered", "/v1/journal/feedback"):
            assert request("GET", path).status_code == 401
            assert request("GET", path, headers=ADMIN).status_code == 200
        assert request("POST", "/v1/feedback", json={"question": "x", "good": True}).status_code == 204
    with opened(home, journal=True) as request:
        assert request("GET", "/v1/journal/unanswered", sender="192.0.2.1").status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": "x"},
        {"question": "", "good": True},
        {"question": "x" * 2001, "good": True},
        {"question": "x", "good": "perhaps"},
        {"question": "x", "good": True, "comment": "y" * 2001},
        {"question": "x", "good": True, "address": "192.0.2.1"},
    ],
)
def test_a_thumb_that_is_none_is_refused(home: Home, body: dict[str, object]) -> None:
    with opened(home, journal=True) as request:
        assert request("POST", "/v1/feedback", json=body).status_code == 422


def test_a_journal_that_cannot_be_read_is_no_empty_one(home: Home) -> None:
    (home.data / FILE).write_bytes(b"this is no database at all" * 100)
    with opened(home, journal=True) as request:
        reply = request("GET", "/v1/journal/unanswered")
        assert reply.status_code == 503
        check_problem(reply)
    done = home.run("journal")
    assert done.returncode == 1 and "cannot be read" in done.stderr


@pytest.mark.slow
def test_a_server_keeps_what_it_could_not_answer(home: Home, start: Callable[..., Server]) -> None:
    server = start(home, journal="true")
    server.ask(NOWHERE)
    server.get("/v1/ask", q=NOWHERE)
    stages = server.client.post(
        "/v1/ask", json={"question": "Who is Otto?"}, headers={"Accept": "text/event-stream"}
    )
    assert stages.headers["content-type"].startswith("text/event-stream") and stages.text
    server.ask(DEVELOPER)
    server.ask("hello")
    history = [{"role": "user", "content": NOWHERE}, {"role": "assistant", "content": "Paris"}]
    server.ask("and of Germany?", history=history)
    thumb = {"question": DEVELOPER, "answer": "Facebook AI Research", "good": False, "comment": "why?"}
    assert server.client.post("/v1/feedback", json=thumb).status_code == 204

    def written() -> bool:
        counted = server.get("/v1/journal/unanswered")["total_questions"]
        return counted == 5 and bool(server.get("/v1/journal/feedback")["feedback"])

    wait_for(written, "the journal to be written")
    found = server.get("/v1/journal/unanswered")
    assert (found["groups"][0]["question"], found["groups"][0]["count"]) == (NOWHERE, 2)
    [given] = server.get("/v1/journal/feedback")["feedback"]
    assert {name: given[name] for name in thumb} == thumb
    table = server.client.get("/v1/journal/unanswered", params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert len([*csv.reader(io.StringIO(table.text))]) == len(found["groups"]) + 1

    assert "also" not in home.run("journal").stdout and NOWHERE in home.run("journal").stdout
    as_json = httpx.Response(200, text=home.run("journal", "--json").stdout).json()
    assert as_json == found
    assert home.run("journal", "--csv").stdout.splitlines() == table.text.splitlines()
    assert home.run("journal", "--csv", "--json").returncode == 2
    assert server.stop() == 0
    kept = (home.data / FILE).read_bytes()
    assert b"127.0.0.1" not in kept and b"python-httpx" not in kept


@pytest.mark.slow
def test_every_door_notes_what_it_could_not_answer(home: Home, start: Callable[..., Server]) -> None:
    server = start(home, journal="true")
    stream = {"Accept": "text/event-stream"}

    async def over_mcp(to: str | StdioServerParameters) -> None:
        async with Client(to, read_timeout_seconds=PATIENCE_SECONDS) as client:
            for question in ("Who is Mcp?", DEVELOPER, "hello"):
                await client.call_tool("ask", {"question": question})
            await client.call_tool("search", {"question": "Who is only searched for?"})

    server.client.get("/v1/ask", params={"q": "Who is Events?"}, headers=stream).raise_for_status()
    for streamed in (False, True):
        for question in ("Who is Openai?", DEVELOPER, "hello"):
            said = [{"role": "user", "content": question}]
            server.client.post(
                "/v1/chat/completions",
                json={"model": "pullquote", "messages": said, "stream": streamed},
            ).raise_for_status()
            server.client.post(
                "/v1/responses", json={"model": "pullquote", "input": question, "stream": streamed}
            ).raise_for_status()
    asyncio.run(over_mcp(f"{server.address}/mcp"))
    # A program's own server writes into the same file, beside the one that serves.
    environment = home.environment(journal="true")
    asyncio.run(
        over_mcp(StdioServerParameters(command=str(COMMAND), args=["mcp"], env=environment, cwd=home.folder))
    )

    def counted() -> dict[str, int] | None:
        found = server.get("/v1/journal/unanswered")
        kept = {one["question"]: one["count"] for group in found["groups"] for one in group["wordings"]}
        return kept if found["total_questions"] >= 7 else None

    assert wait_for(counted, "the journal to be written") == {
        "Who is Events?": 1,
        "Who is Openai?": 4,
        "Who is Mcp?": 2,
    }
    assert b"httpx" not in (home.data / FILE).read_bytes()


@pytest.mark.slow
def test_answers_come_where_the_journal_cannot_be_written(home: Home, start: Callable[..., Server]) -> None:
    os.mkdir(home.data / FILE)  # noqa: PTH102
    server = start(home, journal="true")
    assert [server.ask(NOWHERE)["status"] for _ in range(5)] == ["not_found"] * 5
    said = wait_for(
        lambda: [one for one in server.messages() if one["event"] == "journal not written"],
        "a word in the log",
    )
    assert len(said) == 1
    assert server.ask(DEVELOPER)["status"] == "answered"


PAGE = (ROOT / "docs/journal.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_examples_of_the_page_run(home: Home, start: Callable[..., Server]) -> None:
    thumb, lacking = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    server = start(home, journal="true")
    server.ask(NOWHERE)

    def run(commands: str) -> str:
        own = commands.replace("localhost:8000", urlsplit(server.address).netloc).replace(
            "curl -s", "curl -sfS"
        )
        command = ["bash", "-ec", own]
        environment = home.environment() | {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    wait_for(lambda: server.get("/v1/journal/unanswered")["groups"], "the journal to be written")
    assert run(thumb) == ""
    wait_for(lambda: server.get("/v1/journal/feedback")["feedback"], "the thumb")
    told = run(lacking)
    assert NOWHERE in told.partition("{")[0]
    assert '"groups":[{"question":"What is the capital of France?"' in told
    assert server.client.get("/journal").status_code == 200


def test_without_a_journal_the_command_says_how_to_have_one(home: Home) -> None:
    done = home.run("journal")
    assert done.returncode == 1 and "PULLQUOTE_JOURNAL" in done.stderr
