"""`pullquote bench`: real questions of the documents' own words, put to a real index and a real server."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import bench, bench_page
from service.askers import CannotMeasure, ServerFailed
from service.bench import FEWEST_WORDS, MOST_WORDS, Load, Measured
from tests.laws.corpora import made
from tests.server import Home, Server

pytest_plugins = ("tests.server",)


def test_questions_are_the_documents_own_words(tmp_path: Path) -> None:
    """Each is some words in a row of one passage, none comes twice, and the same index gives the same."""
    text = " ".join(f"word{number}" for number in range(150))
    snapshot = made({"a.md": f"{text}\n\n{text[::-1]}\n".encode()}, tmp_path / "one")
    found = bench.made_of(snapshot)
    assert len(set(found)) == len(found) > 500 and found == bench.made_of(snapshot)
    for one in found:
        assert one in text or one in text[::-1]
        assert FEWEST_WORDS <= len(one.split()) <= MOST_WORDS


def test_too_few_words_are_said(tmp_path: Path) -> None:
    with pytest.raises(CannotMeasure, match="too few words"):
        bench.made_of(made({"a.md": b"Only this, and nothing more.\n"}, tmp_path / "one"))


@given(
    st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
)
def test_a_file_of_questions(
    tmp_path_factory: pytest.TempPathFactory, questions: list[str], end: str
) -> None:
    path = tmp_path_factory.mktemp("asked") / "questions.txt"
    path.write_bytes(end.join(questions).encode())
    if not questions:
        with pytest.raises(CannotMeasure, match="no question"):
            bench.questions_in(path)
    else:
        assert bench.questions_in(path) == list(dict.fromkeys(questions))


@given(st.integers(1, 5), st.integers(1, 40))
def test_questions_are_handed_out_in_order_and_repetition_is_known(count: int, asked: int) -> None:
    questions = [f"question {number}" for number in range(count)]
    fresh = bench._Fresh(questions)
    assert list(itertools.islice(fresh, asked)) == list(itertools.islice(itertools.cycle(questions), asked))
    assert fresh.repeated == (asked > count)


def test_load_counts_what_was_asked() -> None:
    """Every client asks at the same moment as the others, and each question counts once."""
    together = threading.Barrier(4)
    asked: list[str] = []

    def put(question: str) -> dict[str, float]:
        asked.append(question)
        if bench.WARM < len(asked) <= bench.WARM + 4:
            together.wait(timeout=30)  # passed only when four clients are in here
        return {"encode": 2.0, "search": 1.0}

    found = bench._load("search", put, bench._Fresh([str(number) for number in range(10**6)]), 4, 0.05)
    assert len(found.milliseconds) + bench.WARM == len(asked) == len(set(asked))
    assert found.stages == {"encode": 2.0, "search": 1.0}
    assert found.milliseconds == sorted(found.milliseconds)
    assert found.percentile(0) <= found.percentile(0.5) <= found.percentile(1)


def test_the_page_loads_nothing_and_escapes_everything() -> None:
    pytest.importorskip("matplotlib")
    hostile = "<script>alert(1)</script>&\x22'"
    loads = (
        Load("search", 1, 10.0, [1.0, 2.0], {"encode": 1.0}),
        Load("ask", 16, 20.0, [3.0], {"read": 2.0, "encode": 1.0}),
    )
    assert bench_page.row(loads[1]) == ["ask", "16", "20.0", "3.0", "3.0", "3.0", "1.0", "–", "2.0"]
    page = bench_page.page(Measured(hostile, 3, 2, loads, 12.0, 800.0, 250.0, [hostile]))
    assert "<script" not in page and "&lt;script&gt;" in page
    inside_tags = "".join(re.findall(r"<[^>]*>", page))
    assert re.findall(r"https?:|//|href|@import|url\(", inside_tags) == []
    drawn = re.findall(r"svg\+xml;base64,([^\"]+)", page)
    assert len(drawn) == 2
    without = tuple(replace(one, stages={}) for one in loads)
    again = bench_page.page(Measured(hostile, 3, 2, without, 12.0, 800.0, 250.0, [hostile]))
    assert drawn[1] not in again and drawn[0] in again, "the stages that were measured are drawn"


@pytest.mark.slow
def test_the_command(library: Home, tmp_path: Path) -> None:
    """It measures the index in half a minute at most, and writes a page."""
    page = tmp_path / "bench.html"
    done = library.run("bench", "--seconds", "2", "--clients", "3", "--json", "--report", page)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(one["kind"], one["clients"]) for one in found["loads"]] == [
        ("search", 1),
        ("search", 3),
        ("ask", 1),
        ("ask", 3),
    ]
    assert all(one["per_second"] > 0 and one["milliseconds"] for one in found["loads"])
    assert found["passages"] > 10 and found["open_ms"] > 0 and found["encoded_per_second"] > 0
    assert 50 < found["memory_mb"] < 1000
    assert "read" in found["loads"][2]["stages"] and "read" not in found["loads"][0]["stages"]
    assert "How fast this machine answers" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_server_is_measured(home: Home, start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(home)
    asked = tmp_path / "asked.txt"
    asked.write_text("Who developed PyTorch?\nWho made TensorFlow?\n", encoding="utf-8")
    url = str(server.client.base_url)
    done = home.run("bench", "--url", url, "--questions", asked, "--seconds", "1", "--clients", "2")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("search", "ask"))]
    assert [row[:2] for row in rows] == [["search", "1"], ["search", "2"], ["ask", "1"], ["ask", "2"]]
    assert all(cell != "–" for row in rows[2:] for cell in row), "every stage of an answer has its time"
    assert "…" not in done.stdout and "asked again" in done.stderr
    without = home.run("bench", "--url", url)
    assert without.returncode == 2 and "--questions" in without.stderr
    missing = home.run("bench", "--url", f"{url}/nowhere", "--questions", asked, "--seconds", "1")
    assert missing.returncode == 2 and "404" in missing.stderr


def test_no_server_is_said() -> None:
    for url, problem in (("http://127.0.0.1:9", "did not answer"), ("ftp://here", "no address of a server")):
        with pytest.raises(ServerFailed, match=problem):
            bench.measure_server(
                url, key=None, questions=["ready?"], clients=1, seconds=1, told=lambda _: None
            )
