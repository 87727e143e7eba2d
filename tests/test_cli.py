"""The `pullquote` command as people and scripts use it: real processes, exit codes, what is printed."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from service.jobs import Counts
from service.schemas import AskReply, SearchReply
from tests.server import ARTICLE, Home

pytest_plugins = ("tests.server",)

DEVELOPER = "Who developed PyTorch?"
FRANCE = "What is the capital of France?"
QUAGGA = "# Quagga\n\nThe quagga is an extinct subspecies of zebra.\n"

# What could steer a terminal or this program's own printing: escapes, C1 controls, a bell, an override of
# the writing direction, markup and picture names as rich knows them, a backslash before a bracket.
STEERING = (
    "# Gnu \x1b]0;title\x07 [bold]herds[/bold]\n\n"
    "The \x1b[31mgnu\x1b[0m \x9b2J\x7f\u202e [red]grazes[/red] :smile: [/] at C:\\[x]\\ in the Serengeti.\n"
)
MARKUP = "[red]grazes[/red] :smile: [/] at C:\\[x]\\ in the Serengeti."


@pytest.fixture(scope="module")
def zoo(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return the library with a document that tries to steer the terminal."""
    home = library.copy(tmp_path_factory.mktemp("zoo"))
    home.write("gnu.md", STEERING)
    assert home.run("index").returncode == 0
    return home


def said(done: CompletedProcess[str], code: int) -> str:
    """Return all that a command printed, once it has ended as it should and as a program, not a crash."""
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    assert done.returncode == code, text
    return text


def tree(folder: Path) -> dict[str, int]:
    """Return every path under a folder with its time of change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_ask_prints_the_quote_and_its_place(zoo: Home) -> None:
    lines = said(zoo.run("ask", DEVELOPER), 0).splitlines()
    assert lines[0] == "Facebook AI Research"
    assert lines[1].strip().startswith(f"{ARTICLE.name}:11 ")
    assert [one.strip() for one in lines[3:5]] == ["row label: Developer", "column header: PyTorch"]


def test_ask_ends_with_1_where_there_is_no_answer(zoo: Home) -> None:
    done = zoo.run("ask", FRANCE)
    assert said(done, 1).startswith("Not in the documents: ")
    assert "Nearest:\n1. " in done.stdout and done.stderr == ""


def test_ask_as_json_is_the_reply_of_the_rest_interface(zoo: Home) -> None:
    done = zoo.run("ask", DEVELOPER, "--json", "--top-k", "2", "--explain")
    said(done, 0)
    reply = AskReply.model_validate_json(done.stdout)
    assert reply.answer is not None and reply.answer.text == "Facebook AI Research"
    assert len(reply.passages) == 2 and reply.trace is not None
    refused = zoo.run("ask", FRANCE, "--json")
    said(refused, 1)
    assert AskReply.model_validate_json(refused.stdout).status == "not_found"


def test_search_prints_passages(zoo: Home) -> None:
    text = said(zoo.run("search", "dynamic computation graphs", "--top-k", "3"), 0)
    assert [line[:3] for line in text.splitlines() if line[0].isdigit()] == ["1. ", "2. ", "3. "]
    done = zoo.run("search", "dynamic computation graphs", "--json", "--in", "gnu")
    said(done, 0)
    found = SearchReply.model_validate_json(done.stdout).passages
    assert [one.document_id for one in found] == ["gnu.md"]
    assert said(zoo.run("search", "graphs", "--in", "nowhere/"), 1) == ""


@pytest.mark.parametrize("arguments", [("ask", "--explain"), ("search",), ("ask", "--json")])
def test_no_document_steers_the_terminal(arguments: tuple[str, ...], zoo: Home) -> None:
    command, *flags = arguments
    done = zoo.run(command, "Where does the gnu graze?", "--in", "gnu", *flags, min_confidence=0)
    text = said(done, 0)
    steering = {one for one in text if unicodedata.category(one) in ("Cc", "Cf") and one not in "\n"}
    assert steering == set()
    if "--json" in flags:
        answer = AskReply.model_validate_json(done.stdout).answer
        assert answer is not None and answer.text in STEERING
    else:
        assert MARKUP in " ".join(text.split())


def test_a_question_of_strange_bytes_is_a_question(zoo: Home) -> None:
    assert said(zoo.run("ask", b"\xff\xfe?"), 1).startswith("Not in the documents: ")


def test_index_does_what_its_dry_run_says(home: Home) -> None:
    home.write("quagga.md", QUAGGA)
    before = tree(home.data)
    planned = json.loads(home.run("index", "--dry-run", "--json").stdout)
    assert "would encode 1" in said(home.run("index", "--dry-run"), 0)
    assert tree(home.data) == before

    done = home.run("index", "--json")
    said(done, 0)
    assert json.loads(done.stdout) == planned
    assert {*planned} == {*Counts.__slots__}
    assert (planned["added"], planned["unchanged"], planned["encoded"]) == (1, 1, 1)
    assert "encoded 0" in said(home.run("index"), 0)
    everything = json.loads(home.run("index", "--full", "--dry-run", "--json").stdout)
    assert everything["encoded"] == everything["passages"] == planned["passages"]


def test_verify_names_the_damaged_file(home: Home) -> None:
    version = home.snapshots()[0]
    assert said(home.run("verify"), 0) == f"{version}  whole\n"
    (path,) = (home.data / "segments").iterdir()
    path.write_bytes(path.read_bytes().replace(b"PyTorch", b"PyTorsh", 1))
    assert f"{path} is damaged" in said(home.run("verify"), 1)
    done = home.run("verify", "--json")
    said(done, 1)
    assert path.name in json.loads(done.stdout)["snapshots"][version]
    assert "no snapshot" in said(home.run("verify", data=home.folder / "nowhere"), 1)


@pytest.mark.parametrize("command", ["ask", "search"])
def test_without_an_index_the_message_says_what_to_do(command: str, home: Home) -> None:
    done = home.run(command, DEVELOPER, data=home.folder / "nowhere")
    assert said(done, 1).count("\n") == 1
    assert "holds no snapshot; run `pullquote index`" in done.stderr


def test_export_model_leaves_a_full_folder_alone(home: Home) -> None:
    before = tree(home.corpus)
    assert "is not empty; give a new folder" in said(home.run("export-model", home.corpus), 2)
    assert tree(home.corpus) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "usage"),
        (("ask",), "question"),
        (("ask", "x", "--loud"), "--loud"),
        (("search", "x", "--top-k", "0"), "top-k"),
    ],
)
def test_misuse_ends_with_2(arguments: tuple[str, ...], named: str, home: Home) -> None:
    assert named in said(home.run(*arguments), 2).replace("Usage", "usage")


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("serve", "port", "eighty"),
        ("export-openapi", "log_level", "loud"),
    ],
)
def test_a_wrong_setting_is_named(command: str, name: str, value: str, home: Home) -> None:
    text = said(home.run(*command.split(), **{name: value}), 2)
    # One line says what is wrong, what was seen, and what to do.
    assert text.startswith(f"PULLQUOTE_{name.upper()} is '{value}': ") and text.count("\n") == 1
    assert f"set PULLQUOTE_{name.upper()} (or `{name}` in pullquote.toml) to " in text


@pytest.mark.parametrize("content", [b"host = = 3", b"hots = '::1'", b"\xff"])
def test_a_wrong_settings_file_is_named(content: bytes, home: Home) -> None:
    (home.folder / "pullquote.toml").write_bytes(content)
    text = said(home.run("ask", "x"), 2)
    assert "pullquote.toml" in text and text.count("\n") <= 2


def test_the_environment_is_stronger_than_the_file(home: Home) -> None:
    (home.folder / "pullquote.toml").write_text("min_confidence = 1.0\n", encoding="utf-8")
    assert said(home.run("ask", DEVELOPER), 1).startswith("Not in the documents: ")
    assert said(home.run("ask", DEVELOPER, min_confidence=0.1), 0).startswith("Facebook AI Research")
