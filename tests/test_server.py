"""The user's walk, on real servers: ask, change the folder, reindex, kill, start again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from index.store import Store
from service.listening import listen
from tests.server import ARTICLE, Home, Reply, Server, unwired, wait_for

pytest_plugins = ("tests.server",)

Start = Callable[..., Server]

DEVELOPER = "Who developed PyTorch?"
OBSERVATORY = (
    "# Valdora observatory\n\nThe Valdora observatory was opened by the astronomer Ilse Brandt in 1987.\n"
)
WHO_OPENED = "Who opened the Valdora observatory?"

# Offsets differ in every unit: astral characters, a letter of several bytes, CRLF, a byte order mark.
MIXED = (
    "\ufeff# Ōkami fleet 🚀\r\n\r\nThe fleet 𝒳 flies from Ōsaka 🐺 every spring.\r\n\r\n"
    "| Vehicle | Maker | First flight |\r\n| --- | --- | --- |\r\n"
    "| Zephyr 🚁 | Ōkami Works 🐺 | 2031 |\r\n| Borealis | Ñandú Łabs | 2029 |\r\n"
)


@pytest.fixture(scope="module")
def server(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server that no test changes anything on."""
    home = library.copy(tmp_path_factory.mktemp("server"))
    server = Server(home)
    yield server
    server.end()


def is_exact(server: Server, citation: Reply) -> bool:
    """Return whether all offsets of a citation, in all units, lead to its words in the canonical text."""
    reply = server.client.get(f"/v1/documents/{citation['document_id']}/text")
    raw, text = reply.content, reply.content.decode()
    start, end, quote = citation["start_char"], citation["end_char"], citation["quote"]
    assert quote, citation
    lines = text[:start].replace("\r\n", "\n").count("\n") + 1
    return (
        text[start:end] == quote
        and raw[citation["start_byte"] : citation["end_byte"]].decode() == quote
        and text.encode("utf-16-le")[2 * citation["start_utf16"] : 2 * citation["end_utf16"]]
        == quote.encode("utf-16-le")
        and text[:start].endswith(citation["prefix"])
        and text[end:].startswith(citation["suffix"])
        and citation["start_line"] == lines
        and citation["text_sha256"] == hashlib.sha256(raw).hexdigest()
    )


def cited(reply: Reply) -> list[Reply]:
    """Return every citation of a reply, those of the alternatives too."""
    answers = [*([reply["answer"]] if reply["answer"] else []), *reply["alternatives"]]
    return [citation for answer in answers for citation in answer["citations"]]


def test_a_table_answers_with_cell_row_label_and_column_header(server: Server) -> None:
    reply = server.ask(DEVELOPER)
    assert reply["status"] == "answered" and reply["reason"] is None
    answer = reply["answer"]
    assert (answer["text"], answer["kind"]) == ("Facebook AI Research", "cell")
    quotes = {one["role"]: one["quote"] for one in answer["citations"]}
    assert quotes == {
        "answer": "Facebook AI Research",
        "row_label": "Developer",
        "column_header": "PyTorch",
    }
    assert all(is_exact(server, one) for one in cited(reply))
    assert answer["citations"][0]["heading_path"][-1] == "Table of Comparison"
    assert len(reply["passages"]) == 5


def test_passages_are_slices_of_the_text_best_first(server: Server) -> None:
    reply = server.ask(DEVELOPER)
    text = server.client.get(f"/v1/documents/{ARTICLE.name}/text").content.decode()
    for one in reply["passages"]:
        assert text[one["start_char"] : one["end_char"]] == one["text"]
        for mark in one["highlights"]:
            assert one["start_char"] <= mark["start_char"] < mark["end_char"] <= one["end_char"]
    scores = [one["score"] for one in reply["passages"]]
    assert scores == sorted(scores, reverse=True)


def test_when(server: Server) -> None:
    reply = server.ask("When did TensorFlow come out?")
    assert reply["answer"]["text"] == "2015"
    assert all(is_exact(server, one) for one in cited(reply))


def test_prose_answers_with_a_sentence_or_a_clause_of_it(server: Server) -> None:
    reply = server.ask("Which industries prefer PyTorch for rapid prototyping?")
    assert reply["answer"]["kind"] in ("sentence", "span")
    assert reply["answer"]["text"].startswith("Industries like healthcare and automotive prefer PyTorch")
    assert all(is_exact(server, one) for one in cited(reply))


def test_what_the_documents_do_not_say_is_not_found(server: Server) -> None:
    reply = server.ask("What is the capital of France?")
    assert (reply["status"], reply["answer"]) == ("not_found", None)
    assert reply["reason"] in ("below_threshold", "no_candidate")
    assert len(reply["passages"]) == 5


def test_the_text_served_is_the_file(server: Server) -> None:
    assert server.client.get(f"/v1/documents/{ARTICLE.name}/text").content == ARTICLE.read_bytes()


def test_an_answer_by_address_can_be_cached(server: Server) -> None:
    first = server.client.get("/v1/ask", params={"q": DEVELOPER})
    tag = first.headers["etag"]
    assert tag.startswith('"') and first.json()["answer"]["text"] == "Facebook AI Research"
    again = server.client.get("/v1/ask", params={"q": DEVELOPER}, headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = server.client.get("/v1/ask", params={"q": DEVELOPER, "top_k": 3}, headers={"If-None-Match": tag})
    assert other.status_code == 200 and other.headers["etag"] != tag


def test_a_body_too_large_is_refused_while_it_is_sent(server: Server) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    for body in (b" " * 2_000_000, parts()):
        reply = server.client.post("/v1/ask", content=body, headers={"Content-Type": "application/json"})
        assert reply.status_code == 413 and reply.json()["status"] == 413
    assert server.ask(DEVELOPER)["status"] == "answered"


def test_many_questions_at_once_get_the_answers_they_get_alone(server: Server) -> None:
    questions = [DEVELOPER, "When did TensorFlow come out?", "What is the capital of France?"] * 8
    alone = {one: server.ask(one)["answer"] for one in questions[:3]}
    found: dict[int, object] = {}

    def put(number: int) -> None:
        found[number] = server.ask(questions[number])["answer"]

    threads = [threading.Thread(target=put, args=(number,)) for number in range(len(questions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: alone[question] for number, question in enumerate(questions)}


def test_offsets_are_exact_in_every_unit(home: Home, start: Start) -> None:
    home.write("fleet.md", MIXED)
    server = start(home)
    server.reindex()
    reply = server.ask("Who is the maker of the Zephyr?", min_confidence=0, filter={"documents": ["fleet"]})
    assert reply["answer"]["text"] == "Ōkami Works 🐺"
    places = cited(reply)
    assert all(is_exact(server, one) for one in places)
    units = [tuple(one[f"start_{unit}"] for unit in ("char", "utf16", "byte")) for one in places]
    assert all(char < utf16 < byte for char, utf16, byte in units)


def test_the_index_follows_the_folder(home: Home, start: Start) -> None:
    server = start(home)
    before = server.get("/v1/index")

    home.write("observatory.md", OBSERVATORY)
    plan = server.reindex(dry_run=True)
    assert server.get("/v1/index")["version"] == before["version"]
    job = server.reindex()
    assert job["counts"] == plan["counts"] and job["index_version"] == plan["index_version"]
    assert job["documents"] == {"added": ["observatory.md"], "changed": [], "removed": [], "renamed": []}
    # Only the new document's passages went through the encoder.
    assert (job["counts"]["encoded"], job["counts"]["unchanged"]) == (1, 1)
    assert job["counts"]["passages"] == before["passages"] + 1
    reply = server.ask(WHO_OPENED)
    assert reply["status"] == "answered" and "Ilse Brandt" in reply["answer"]["text"]
    kept = reply["answer"]["citations"]
    assert server.post("/v1/verify", {"citations": kept})["results"][0]["status"] == "holds"

    home.write("observatory.md", "Edited.\n\n" + OBSERVATORY.replace("Ilse Brandt", "Oda Lindqvist"))
    job = server.reindex()
    assert (job["counts"]["changed"], job["counts"]["unchanged"]) == (1, 1)
    assert job["counts"]["encoded"] <= 2
    assert "Oda Lindqvist" in server.ask(WHO_OPENED)["answer"]["text"]
    assert "Ilse Brandt" not in json.dumps(server.ask(WHO_OPENED, top_k=50))
    assert server.post("/v1/verify", {"citations": kept})["results"][0]["status"] == "gone"

    (home.corpus / "observatory.md").unlink()
    job = server.reindex()
    assert (job["counts"]["removed"], job["counts"]["encoded"]) == (1, 0)
    reply = server.ask(WHO_OPENED, min_confidence=0, top_k=50)
    assert {one["document_id"] for one in reply["passages"]} == {ARTICLE.name}
    # The same documents are the same version, and a new date alone changes nothing.
    assert job["index_version"] == before["version"]
    os.utime(home.corpus / ARTICLE.name, (1, 1))
    job = server.reindex()
    assert (job["index_version"], job["counts"]["encoded"]) == (before["version"], 0)
    assert server.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"


@dataclass
class Asked:
    """What clients that ask without a pause have seen."""

    failures: list[str] = field(default_factory=list)
    versions: list[list[str]] = field(default_factory=list)
    """Of each client in the order of its replies."""


@contextmanager
def asking(server: Server) -> Iterator[Asked]:
    """Ask one question over and over, from two clients."""
    seen, stop = Asked(), threading.Event()

    def ask() -> None:
        versions: list[str] = []
        seen.versions.append(versions)
        with httpx.Client(base_url=server.address, timeout=30) as client:
            while not stop.is_set():
                try:
                    reply = client.post("/v1/ask", json={"question": DEVELOPER})
                    right = reply.json()["answer"]["text"] == "Facebook AI Research"
                    same = reply.json()["index_version"] == reply.headers["x-index-version"]
                except (httpx.HTTPError, TypeError, KeyError, ValueError) as error:
                    seen.failures.append(repr(error))
                    continue
                if not (reply.status_code == 200 and right and same):
                    seen.failures.append(reply.text)
                versions.append(reply.headers["x-index-version"])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_no_question_is_refused_while_the_index_changes(home: Home, start: Start) -> None:
    server = start(home)
    versions = [server.get("/v1/index")["version"]]
    with asking(server) as seen:
        for number in range(5):
            home.write(f"station-{number}.md", OBSERVATORY.replace("Valdora", f"Station {number}"))
            versions.append(server.reindex()["index_version"])
    assert seen.failures == []
    assert server.get("/v1/index")["snapshots"] == versions[:-4:-1]
    for client in seen.versions:
        places = [versions.index(one) for one, _ in groupby(client)]
        assert len(places) > 1 and places == sorted({*places})  # no version again once a newer one was seen


@pytest.mark.slow
def test_what_another_process_builds_is_taken_up_and_outlives_a_killed_server(
    home: Home, start: Start
) -> None:
    server = start(home)
    home.write("observatory.md", OBSERVATORY)
    done = home.run("index", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["encoded"] == 1
    version = home.snapshots()[0]
    wait_for(lambda: server.get("/v1/index")["version"] == version, "the new version")
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]

    home.write("observatory.md", OBSERVATORY.replace("Ilse Brandt", "Oda Lindqvist"))
    version = server.reindex()["index_version"]
    server.kill()
    again = start(home)
    assert again.get("/v1/index")["version"] == version
    assert "Oda Lindqvist" in again.ask(WHO_OPENED)["answer"]["text"]


def many_documents(home: Home, count: int) -> None:
    """Write documents that take a few seconds to encode, one of them the observatory's."""
    for number in range(count):
        lines = [f"Depot {number} keeps crate {line} of plan {number * line}." for line in range(12)]
        home.write(f"depots/{number}.md", f"# Depot {number}\n\n" + "\n\n".join(lines) + "\n")
    home.write("observatory.md", OBSERVATORY)


def is_building(server: Server) -> bool:
    return bool(server.get("/v1/index")["state"] == "building")


@pytest.mark.slow
def test_a_server_killed_while_it_builds_starts_with_the_old_index_and_catches_up(
    home: Home, start: Start
) -> None:
    server = start(home)
    old = server.get("/v1/index")["version"]
    many_documents(home, 30)
    planned = server.reindex(dry_run=True)["index_version"]
    job = server.request_reindex()
    wait_for(lambda: server.get(f"/v1/jobs/{job}")["progress"]["done"], "some of the build")
    server.kill()
    assert home.snapshots() == [old]

    again = start(home)
    assert again.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"
    wait_for(lambda: again.get("/v1/index")["version"] == planned, "the new version")
    assert "Ilse Brandt" in again.ask(WHO_OPENED)["answer"]["text"]
    assert [*home.data.rglob(".*")] == []


@pytest.mark.slow
def test_sigterm_while_the_index_is_built_ends_soon_and_leaves_the_index_whole(
    home: Home, start: Start
) -> None:
    server = start(home)
    many_documents(home, 30)
    server.request_reindex()
    wait_for(lambda: is_building(server), "the build")
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 20  # it would take as long as the requests under way, 25 at most
    assert home.run("verify").returncode == 0
    assert home.run("ask", DEVELOPER).stdout.startswith("Facebook AI Research")


def damage(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.slow
def test_a_damaged_snapshot_is_refused_and_made_again(home: Home, start: Start) -> None:
    home.write("observatory.md", OBSERVATORY)
    assert home.run("index").returncode == 0
    newest, before = home.snapshots()
    store = Store(home.data)
    new, old = ({used.file.name for used in store.manifest(one).segments} for one in (newest, before))
    (own,) = new - old
    damage(home.data / "segments" / f"{own}.segment")
    server = start(home)
    assert server.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"
    refused = [one for one in server.messages() if one["event"] == "snapshot refused"]
    assert own in refused[0]["problem"]
    wait_for(lambda: server.get("/v1/index")["version"] == newest, "the damaged version, made again")
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]
    assert home.run("verify").returncode == 0


@pytest.mark.slow
def test_where_every_snapshot_is_damaged_only_what_is_lost_is_made_again(home: Home, start: Start) -> None:
    many_documents(home, 3)
    assert home.run("index").returncode == 0
    store = Store(home.data)
    (first,), (_, own) = (
        [one.file.name for one in store.manifest(version).segments] for version in reversed(home.snapshots())
    )
    damage(home.data / "segments" / f"{first}.segment")
    done = home.run("index", "--json")
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert 0 < counts["encoded"] < counts["passages"]
    assert own in [one.file.name for one in store.manifest(store.kept()[0]).segments]
    server = start(home)
    assert server.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"
    assert server.get("/v1/index")["damaged"] == []


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["data", "current", "encoder"])
def test_a_server_with_nothing_whole_builds_before_it_serves(
    broken: str, home: Home, start: Start, tmp_path: Path
) -> None:
    settings: dict[str, object] = {}
    if broken == "data":
        shutil.rmtree(home.data)
    elif broken == "current":
        (home.data / "current").write_bytes(b"{")
    else:
        # A model that the index was not made with, as after an upgrade.
        other = shutil.copytree(home.encoder, tmp_path / "other")
        made = json.loads((other / "encoder.json").read_text(encoding="utf-8"))
        (other / "encoder.json").write_text(json.dumps(made | {"fingerprint": "f" * 64}), encoding="utf-8")
        settings["model"] = other
    server = start(home, **settings)
    assert server.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"
    assert server.get("/v1/index")["damaged"] == []


def test_an_empty_folder_is_served(home: Home, start: Start) -> None:
    (home.corpus / ARTICLE.name).unlink()
    server = start(home)
    wait_for(lambda: server.get("/v1/index")["documents"] == 0, "the empty index")
    reply = server.ask(DEVELOPER)
    assert (reply["status"], reply["reason"], reply["passages"]) == ("not_found", "empty_index", [])
    home.write("observatory.md", OBSERVATORY)
    server.reindex()
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]


def test_serving_loads_nothing_that_only_building_needs(
    home: Home, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python then writes every module it imports to the log, those without a library of their own too.
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    server = start(home)
    server.ask(DEVELOPER)
    home.write("observatory.md", OBSERVATORY)
    version = server.reindex()["index_version"]
    assert server.reindex(mode="full")["index_version"] == version
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")
    assert "onnxruntime" in mapped
    assert [name for name in ("libtorch", "/torch/", "/sklearn/", "/transformers/") if name in mapped] == []
    lines = server.log.read_text(encoding="utf-8").splitlines()
    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines if "import time:" in line}
    assert "onnxruntime" in modules
    assert modules & {"torch", "sentence_transformers", "transformers", "sklearn", "onnx"} == set()


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """Hold the data folder as another process that writes does."""
    with (home.data / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_only_one_process_writes(home: Home, start: Start) -> None:
    server = start(home)
    wait_for(lambda: not is_building(server), "the refresh at the start")
    home.write("observatory.md", OBSERVATORY)
    with locked(home):
        done = home.run("index")
        assert done.returncode == 2
        assert "another process is writing" in done.stderr and "Traceback" not in done.stderr
        job = server.request_reindex()
        wait_for(lambda: server.get(f"/v1/jobs/{job}")["state"] == "running", "the job to begin")
        assert server.ask(DEVELOPER)["status"] == "answered"
    assert server.job(job)["state"] == "succeeded"
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]

    version = server.get("/v1/index")["version"]
    (home.corpus / "observatory.md").unlink()
    with locked(home):
        job = server.request_reindex()
        assert server.client.delete(f"/v1/jobs/{job}").status_code == 202
        assert server.job(job)["state"] == "cancelled"
    assert server.get("/v1/index")["version"] == version
    assert server.client.delete(f"/v1/jobs/{job}").status_code == 409


def put(server: Server, name: str, content: str, **query: str) -> Reply:
    """Return the reply to a document that was put; anything but success fails the test."""
    return server._read(server.client.put(f"/v1/documents/{name}", content=content.encode(), params=query))


def station(number: int, name: str = "Ilse Brandt") -> str:
    return OBSERVATORY.replace("Valdora", f"Valdora {number}").replace("Ilse Brandt", name)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_however_the_server_ends(home: Home, start: Start) -> None:
    server = start(home)
    put(server, "observatory.md", OBSERVATORY)
    server.kill()
    server = start(home)
    wait_for(lambda: "Ilse Brandt" in str(server.ask(WHO_OPENED)["answer"]), "the document that was put")

    put(server, "observatory.md", OBSERVATORY.replace("Ilse Brandt", "Oda Lindqvist"))
    assert server.client.delete(f"/v1/documents/{ARTICLE.name}").status_code == 200
    server.kill()
    server = start(home)
    wait_for(
        lambda: "Oda Lindqvist" in str(server.ask(WHO_OPENED)["answer"]), "the document that was replaced"
    )
    wait_for(lambda: server.get("/v1/index")["documents"] == 1, "the other one to be gone")

    put(server, "new/observatory.md", station(7), wait="true")
    server.kill()
    server = start(home)  # nothing has to be waited for
    assert "Ilse Brandt" in server.ask("Who opened the Valdora 7 observatory?")["answer"]["text"]
    assert home.run("verify").returncode == 0


@pytest.mark.slow
def test_a_server_killed_between_changes_has_all_it_acknowledged(home: Home, start: Start) -> None:
    server = start(home)
    acknowledged: list[str] = []

    def change() -> None:
        with suppress(httpx.HTTPError, ValueError):  # the end of the server
            for number in range(10_000):
                put(server, f"stations/{number}.md", station(number))
                acknowledged.append(f"stations/{number}.md")

    client = threading.Thread(target=change)
    client.start()
    wait_for(lambda: len(acknowledged) > 30, "some changes")
    server.kill()
    client.join()
    written = {path.relative_to(home.corpus).as_posix() for path in home.corpus.rglob("[!.]*.md")}
    assert written - {*acknowledged, ARTICLE.name} <= {f"stations/{len(acknowledged)}.md"}

    again = start(home)
    assert [*home.corpus.rglob(".*")] == []
    wait_for(lambda: again.get("/v1/index")["documents"] == len(written), "all documents")
    listed = {one["id"]: one["sha256"] for one in again.get("/v1/documents", limit=1000)["documents"]}
    assert listed.keys() == written
    for number, name in enumerate(acknowledged):
        assert listed[name] == hashlib.sha256(station(number).encode()).hexdigest()


@pytest.mark.slow
def test_a_second_server_of_a_data_folder_can_only_read(home: Home, start: Start) -> None:
    first = start(home)
    code, said = one_line(home)
    assert code == 2 and said.count("\n") == 1
    assert str(home.data / "serving") in said and "PULLQUOTE_READ_ONLY" in said
    assert first.ask(DEVELOPER)["status"] == "answered"

    reader = start(home, read_only=True)
    assert reader.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"
    for method, path in (("PUT", "a.md"), ("DELETE", ARTICLE.name)):
        assert reader.client.request(method, f"/v1/documents/{path}").status_code == 403
    assert reader.client.post("/v1/reindex").status_code == 403
    version = reader.get("/v1/index")["version"]
    assert reader.client.post("/v1/index/rollback", json={"version": version}).status_code == 403
    assert (home.corpus / ARTICLE.name).exists()

    put(first, "observatory.md", OBSERVATORY, wait="true")
    version = first.get("/v1/index")["version"]
    wait_for(lambda: reader.get("/v1/index")["version"] == version, "what the first server published")
    assert "Ilse Brandt" in reader.ask(WHO_OPENED)["answer"]["text"]
    first.kill()
    assert reader.ask(DEVELOPER)["status"] == "answered"
    put(start(home), "observatory.md", OBSERVATORY)  # the lock went with its holder


@pytest.mark.slow
def test_jobs_can_be_asked_about_after_a_restart(home: Home, start: Start) -> None:
    server = start(home)
    wait_for(lambda: not is_building(server), "the refresh at the start")
    put(server, "observatory.md", OBSERVATORY, wait="true")
    over = server.reindex(mode="full")
    with locked(home):
        key = {"Idempotency-Key": "nightly"}
        begun = server.client.post("/v1/reindex", headers=key).json()["id"]
        wait_for(lambda: server.get(f"/v1/jobs/{begun}")["state"] == "running", "the job to begin")
        waiting = put(server, "observatory.md", OBSERVATORY + "\nIt stands on a hill.\n")["job"]
        assert server.get(f"/v1/jobs/{waiting}")["state"] == "queued"
        server.kill()
    server = start(home)
    found = server.get(f"/v1/jobs/{over['id']}")
    assert (found["state"], found["counts"]) == ("succeeded", over["counts"])
    for job in (begun, waiting):
        found = server.get(f"/v1/jobs/{job}")
        assert found["state"] == "failed" and "server stopped" in found["problem"]
    assert server.client.post("/v1/reindex", headers=key).json()["id"] == begun
    wait_for(lambda: "hill" in str(server.ask("Where does it stand?", min_confidence=0)), "the change")


@pytest.mark.slow
def test_what_was_gone_back_to_stays_across_restarts(home: Home, start: Start) -> None:
    server = start(home)
    old, new = (
        put(server, "observatory.md", OBSERVATORY.replace("Ilse Brandt", name), wait="true")["index_version"]
        for name in ("Ilse Brandt", "Oda Lindqvist")
    )
    server.post("/v1/index/rollback", {"version": old})
    assert server.stop() == 0
    server = start(home)
    about = server.get("/v1/index")
    assert (about["version"], about["pinned"], about["snapshots"][:2]) == (old, True, [old, new])
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]
    assert "Oda Lindqvist" in server.ask(WHO_OPENED, as_of=new)["answer"]["text"]


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_after_going_back_either(home: Home, start: Start) -> None:
    server = start(home)
    old = put(server, "observatory.md", OBSERVATORY, wait="true")["index_version"]
    put(server, "observatory.md", OBSERVATORY.replace("Ilse Brandt", "Oda Lindqvist"), wait="true")
    server.post("/v1/index/rollback", {"version": old})
    with locked(home):
        put(server, "seven.md", station(7, "Edda Quist"))
        server.kill()
    server = start(home)
    wait_for(
        lambda: "Edda Quist" in str(server.ask("Who opened the Valdora 7 observatory?")["answer"]),
        "the document that was put",
    )
    assert server.get("/v1/index")["pinned"]
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]


def test_a_damaged_list_of_jobs_is_said_in_one_line(home: Home) -> None:
    (home.data / "jobs.sqlite").write_bytes(b"no database" * 100)
    code, said = one_line(home)
    last = said.splitlines()[-1]
    assert code == 1 and str(home.data / "jobs.sqlite") in last and "not a database" in last


def test_what_cannot_be_read_is_listed_with_its_reason_and_the_rest_is_served(
    home: Home, start: Start
) -> None:
    home.write("latin.md", b"# Caf\xe9\n")
    home.write("photo.png", b"\x89PNG\r\n")
    home.write("zeros.txt", b"a\0b")
    (home.corpus / "link.md").symlink_to(ARTICLE)
    (home.corpus / ".hidden.md").write_text("hidden", encoding="utf-8")
    home.write("observatory.md", OBSERVATORY)
    server = start(home)
    assert server.reindex()["counts"]["skipped"] == 4
    skipped = {one["id"]: one["reason"] for one in server.get("/v1/index")["skipped"]}
    assert "not UTF-8: byte 0xe9" in skipped["latin.md"]
    assert ".png" in skipped["photo.png"]
    assert "NUL" in skipped["zeros.txt"]
    assert "symbolic link" in skipped["link.md"]
    listed = server.get("/v1/documents")["documents"]
    assert {one["id"]: one["problem"] for one in listed if one["problem"]} == skipped
    assert [one["id"] for one in listed if not one["problem"]] == ["observatory.md", ARTICLE.name]
    assert server.get("/v1/documents/latin.md")["problem"] == skipped["latin.md"]
    assert "Ilse Brandt" in server.ask(WHO_OPENED)["answer"]["text"]


def test_a_corpus_that_disappears_leaves_the_index_in_use(home: Home, start: Start) -> None:
    server = start(home)
    home.corpus.rename(home.folder / "elsewhere")
    job = server.job(server.request_reindex())
    assert job["state"] == "failed" and "cannot be read" in job["problem"]
    assert "cannot be read" in server.get("/v1/index")["last_failure"]["problem"]
    assert server.ask(DEVELOPER)["answer"]["text"] == "Facebook AI Research"
    (home.folder / "elsewhere").rename(home.corpus)
    server.reindex()
    assert server.get("/v1/index")["last_failure"] is None


def test_sigterm_ends_the_server_as_done_and_no_question_was_logged(home: Home, start: Start) -> None:
    server = start(home, log_level="debug")
    server.ask("Where is the zebrafinch?")
    server.client.get("/v1/ask", params={"q": "Where is the zebrafinch?"})
    server.client.post("/v1/ask", content=b'{"question": "zebrafinch", "x": 1}')
    assert server.stop() == 0
    logged = server.log.read_text(encoding="utf-8")
    assert "zebrafinch" not in logged and "Traceback" not in logged
    assert len([one for one in server.messages() if one["event"] == "request"]) >= 3


def one_line(home: Home, *arguments: str, **settings: object) -> tuple[int, str]:
    """Return exit code and message of a server that cannot start."""
    done = home.run("serve", *arguments, **settings)
    assert "Traceback" not in done.stderr and done.stdout == ""
    return done.returncode, done.stderr


def test_a_missing_corpus_is_said_in_one_line(library: Home, tmp_path: Path) -> None:
    code, said = one_line(Home(tmp_path, library.encoder))
    assert code == 2 and said.count("\n") == 1
    assert "corpus folder" in said and "set PULLQUOTE_CORPUS" in said


def test_a_taken_port_is_said_in_one_line(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = one_line(home, port=port)
    assert code == 1 and said.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said


def test_what_the_server_serves_the_application_serves_without_a_socket(
    server: Server, library: Home
) -> None:
    with unwired(library) as request:
        mine = request("POST", "/v1/ask", json={"question": DEVELOPER}).json()
    theirs = server.ask(DEVELOPER)
    assert {**mine, "took_ms": 0} == {**theirs, "took_ms": 0}


def test_a_reply_in_two_parts_is_not_held_back() -> None:
    # asyncio switches the delay off (TCP_NODELAY) only for sockets that name their protocol.
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
