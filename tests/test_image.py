"""The image: what its build files promise, and the image itself, made and run without an engine."""

from __future__ import annotations

import base64
import csv
import fnmatch
import hashlib
import json
import os
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import docx
import pytest
from reportlab.pdfgen.canvas import Canvas

from service.__main__ import app
from service.settings import Settings
from tests.dockerfile import BUILD, FILE, LAST, ROOT, environment, every, health_command, only, parse, stages
from tests.image import contained, made, why_not

LOCK = ".ci/requirements.lock"
HASHED = {name: f".ci/{name}.lock" for name in ("torch", "build", "image", "image-openvino")}
BUILDING = ("torch", "sentence_transformers", "transformers", "onnx", "onnxscript")


def _settings_variables() -> set[str]:
    return {f"PULLQUOTE_{name.upper()}" for name in Settings.model_fields}


def test_the_parser_reads_what_docker_reads() -> None:
    text = """
# a comment
ARG A=1
from ${A} AS one
RUN --mount=type=cache,target=/c \\
    first \\
    # a comment inside
    && second
ENV X=1 \\
    Y="two words"
CMD ["serve", "now"]
"""
    seen = parse(text)
    assert [one.name for one in seen] == ["ARG", "FROM", "RUN", "ENV", "CMD"]
    assert seen[2].flags == {"mount": "type=cache,target=/c"}
    assert seen[2].commands == ["first", "second"]
    assert seen[3].pairs == {"X": "1", "Y": "two words"}
    assert seen[4].exec_form == ["serve", "now"]


def test_two_stages_and_the_last_begins_with_nothing() -> None:
    assert len(stages()) == 2
    assert only(BUILD, "FROM").words == ["${PYTHON}", "AS", "build"]
    assert only(LAST, "FROM").words == ["scratch"]
    preamble = parse(FILE.read_text(encoding="utf-8"))[0]
    assert preamble.pairs == {"PYTHON": "python:3.11-slim"}


def test_the_last_stage_installs_nothing_and_tries_itself() -> None:
    assert every(LAST, "ADD") == []
    run = only(LAST, "RUN")
    # There is no shell in it, and the state of the trial goes with its mount.
    assert run.exec_form == ["pullquote", "index"]
    assert "type=tmpfs" in run.flags["mount"]


def test_the_last_stage_takes_what_the_build_stage_made_to_the_same_place() -> None:
    copied = every(LAST, "COPY")
    assert [one.flags for one in copied] == [{"from": "build"}] * len(copied)
    places = ("/opt/pullquote/encoder", "/opt/pullquote/venv", "/opt/pullquote/texts")
    assert {tuple(one.words) for one in copied} == {("/opt/root", "/"), *((one, one) for one in places)}


def test_torch_comes_first_and_from_the_cpu_index() -> None:
    first = every(BUILD, "RUN")[0]
    assert '--index-url "$TORCH_INDEX"' in first.rest
    assert HASHED["torch"] in first.rest
    named = [one.pairs for one in every(BUILD, "ARG")]
    assert named[0] == {"TORCH_INDEX": "https://download.pytorch.org/whl/cpu"}


def test_extras_are_installed_only_where_they_are_asked_for() -> None:
    assert every(BUILD, "ARG")[-1].pairs == {"EXTRAS": ""}
    (serving,) = [run.rest for run in every(BUILD, "RUN") if "--without-pip" in run.rest]
    assert '${EXTRAS:+--requirement ".ci/image-$EXTRAS.lock"}' in serving
    assert "--build-arg EXTRAS=openvino" in FILE.read_text(encoding="utf-8")


def test_everything_from_an_index_has_a_known_hash() -> None:
    assert environment(BUILD)["PIP_NO_DEPS"] == "1"
    commands = [command for run in every(BUILD, "RUN") for command in run.commands]
    installs = [
        command for command in commands if re.search(r"\bpip\b.*\b(install|wheel|download)\b", command)
    ]
    assert len(installs) == 6
    for command in installs:
        own = "--no-index" in command and ("dist/*.whl" in command or "--no-build-isolation" in command)
        hashed = "--require-hashes --only-binary=:all:" in command and ".lock" in command
        assert own or hashed, command


def _entries(file: str) -> dict[str, list[str]]:
    """Return the hashes of a lock by its pins."""
    text = "\n".join(one for one in (ROOT / file).read_text(encoding="utf-8").splitlines() if one[:1] != "#")
    entries = [one.split() for one in text.replace("\\\n", " ").splitlines()]
    return {pin: hashes for pin, *hashes in entries}


@pytest.mark.parametrize("file", HASHED.values())
def test_a_hashed_lock_has_the_versions_of_the_other_one(file: str) -> None:
    pins = {*(ROOT / LOCK).read_text(encoding="utf-8").splitlines()}
    entries = _entries(file)
    assert entries.keys() - pins == set(), "run .ci/lock_image.py"
    for pin, hashes in entries.items():
        assert hashes, pin
        assert [one for one in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one)] == []


def test_all_that_the_product_asks_for_is_in_the_image() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        asked = tomllib.load(file)["project"]["dependencies"]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", one, maxsplit=1)[0]).lower() for one in asked}
    assert names - {pin.partition("==")[0] for pin in _entries(HASHED["image"])} == set(), (
        "run .ci/lock_image.py"
    )


def test_torch_has_one_version_everywhere() -> None:
    places = ("Makefile", LOCK, HASHED["torch"], "pyproject.toml")
    found = [re.findall(r"\btorch==([\w.]+)", (ROOT / place).read_text(encoding="utf-8")) for place in places]
    assert all(found)
    assert len({version for versions in found for version in versions}) == 1, found


def test_the_commands_it_runs_exist() -> None:
    commands = [command.split() for run in every(BUILD, "RUN") for command in run.commands]
    named = {words[1] for words in commands if words[0] == "pullquote"}
    known = {str(one.name or getattr(one.callback, "__name__", "")) for one in app.registered_commands}
    assert named == {"export-model"}
    assert named | {*only(LAST, "CMD").words, only(LAST, "RUN").words[1]} <= known


def test_whoever_serves_is_not_root() -> None:
    last = every(LAST, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.rest)
    below = stages()[LAST][stages()[LAST].index(last) :]
    assert [one for one in below if one.name in ("RUN", "COPY")] == []


def test_the_only_state_is_data() -> None:
    assert only(LAST, "VOLUME").exec_form == ["/data"]
    assert environment(LAST)["PULLQUOTE_DATA"] == "/data"
    # What runs after it would be lost.
    names = [one.name for one in stages()[LAST]]
    assert names.index("VOLUME") > len(names) - names[::-1].index("RUN") - 1


def test_nothing_is_fetched_or_told_while_it_serves() -> None:
    served = environment(LAST)
    assert served["HF_HUB_OFFLINE"] == "1"
    assert served["ORT_DISABLE_TELEMETRY"] == "1"


def test_how_it_starts_and_stops() -> None:
    assert only(LAST, "ENTRYPOINT").exec_form == ["pullquote"]
    assert only(LAST, "CMD").exec_form == ["serve"]
    assert only(LAST, "STOPSIGNAL").rest == "SIGTERM"
    assert only(LAST, "EXPOSE").rest == environment(LAST)["PULLQUOTE_PORT"]


def test_it_looks_after_its_health() -> None:
    command = health_command()
    assert command[:2] == ["python", "-c"]
    assert "/livez" in command[2]
    assert only(LAST, "HEALTHCHECK").flags.keys() >= {"interval", "timeout", "start-period"}


def test_everything_set_is_a_setting() -> None:
    served = environment(LAST)
    named = {name for name in served if name.startswith("PULLQUOTE_")}
    assert named <= _settings_variables(), named - _settings_variables()
    assert named >= {"PULLQUOTE_MODEL", "PULLQUOTE_CORPUS", "PULLQUOTE_DATA", "PULLQUOTE_HOST"}
    Settings.model_validate({name.removeprefix("PULLQUOTE_").lower(): served[name] for name in named})


def _is_sent(path: str) -> bool:
    """Return whether .dockerignore lets a file go to the engine: the last pattern that fits decides."""
    places = [path, *map(str, PurePosixPath(path).parents)]
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        anywhere = line.removeprefix("!").startswith("**/")
        if not line or line.startswith("#"):
            continue
        if any(
            fnmatch.fnmatchcase(PurePosixPath(one).name if anywhere else one, pattern) for one in places[:-1]
        ):
            sent = line.startswith("!")
    return sent


def test_what_is_copied_is_in_the_repository_and_sent() -> None:
    sources = [source for one in every(BUILD, "COPY") for source in one.words[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not _is_sent(source)] == []
    assert _is_sent("corpus/texts/article.md")
    assert _is_sent("service/doors/rest.py")


def test_nothing_else_is_sent() -> None:
    for path in (".git/config", ".env", "var/current", "tests/test_image.py", ".ci/audit", "pullquote.toml"):
        assert not _is_sent(path), path
    assert not _is_sent("corpus/formats/__pycache__/plain.cpython-311.pyc")


def test_the_lock_pins_every_requirement_once() -> None:
    lines = (ROOT / LOCK).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins == sorted(pins)
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", pin)] == []
    names = [pin.partition("==")[0] for pin in pins]
    assert len(names) == len(set(names))
    with (ROOT / "pyproject.toml").open("rb") as file:
        made = tomllib.load(file)
    extras = made["project"]["optional-dependencies"]
    wanted = [
        *made["build-system"]["requires"],
        *made["project"]["dependencies"],
        *extras["build"],
        *extras["dev"],
    ]
    asked = {re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[]", one, maxsplit=1)[0]).lower() for one in wanted}
    assert asked - set(names) == set(), "run .ci/lock"


# ---------------------------------------------------------------- the image itself

LARGEST = 442_000_000
"""Bytes of all that its layers hold: an encoder of 134 MB, 42 of them for questions; 272 of libraries, of
which two builds of OpenBLAS are 64, ONNX Runtime and FAISS 60 and the cross-encoder 23; 34 of Python and the
system's libraries. docs/decisions/0014-image.md has what was left out and what was not."""

PERSON = 4711
"""A user that nothing in the image knows."""

QUESTIONS = {
    "docx": ("Which colour is the lighthouse?", "red"),
    "html": ("Which bird lives in the harbour?", "cormorant"),
    "pdf": ("What does the ferry cost?", "seven euros"),
    "csv": ("Who keeps the lighthouse?", "Ingrid Solberg"),
}


@pytest.fixture(scope="module")
def image(exported_encoder: Path) -> Iterator[Path]:
    """Give the folder that holds the image's root."""
    reason = why_not()
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Not under pytest's folders: no other user may go through those.
    with tempfile.TemporaryDirectory(prefix="pullquote-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield made(folder, exported_encoder)


def _in_layers(image: Path) -> list[Path]:
    return [path for path in image.rglob("*") if path.is_file() and not path.is_symlink()]


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_its_layers_hold_no_more_than_is_said(image: Path) -> None:
    seen = sum(path.stat().st_size for path in _in_layers(image))
    assert LARGEST - 20_000_000 < seen < LARGEST, seen


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_there_is_nothing_in_it_but_what_serves(image: Path) -> None:
    programs = {
        path.relative_to(image).as_posix()
        for path in _in_layers(image)
        if path.stat().st_mode & 0o111 and ".so" not in path.name and ".py" not in path.suffix
    }
    assert programs == {"usr/local/bin/python3.11", "opt/pullquote/venv/bin/pullquote"}
    packages = image / "opt/pullquote/venv/lib/python3.11/site-packages"
    assert [name for name in ("pip", "setuptools", *BUILDING) if (packages / name).exists()] == []
    # No file of another user, nothing that runs as somebody else, nothing that anybody may change.
    for path in _in_layers(image):
        mode = path.stat().st_mode
        assert not mode & 0o6022 and mode & 0o444 == 0o444, (path, oct(mode))


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_every_file_is_as_its_wheel_had_it(image: Path) -> None:
    packages = image / "opt/pullquote/venv/lib/python3.11/site-packages"
    recorded: dict[str, str] = {}
    for record in packages.glob("*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as file:
            recorded |= {row[0]: row[1] for row in csv.reader(file)}
    written_here = re.compile(r"\.pyc$|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$")
    seen = 0
    for path in _in_layers(packages):
        name = path.relative_to(packages).as_posix()
        if written_here.search(name):
            continue
        kind, _, value = recorded[name].partition("=")
        digest = hashlib.new(kind, path.read_bytes()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == value, name
        seen += 1
    assert seen > 300
    sources = {path.relative_to(packages).parts[0] for path in packages.rglob("*.py")}
    assert sources == {"corpus", "index", "service"}


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_it_says_which_of_debians_packages_it_holds(image: Path) -> None:
    status = image / "var/lib/dpkg/status.d"
    named = {path.name: path.read_text(encoding="utf-8") for path in status.iterdir()}
    assert named.keys() >= {"libc6", "libssl3", "libsqlite3-0", "libstdc++6"}
    for name, about in named.items():
        assert f"Package: {name}\n" in about and "\nVersion: " in about
        assert (image / "usr/share/doc" / name / "copyright").stat().st_size


def _library(folder: Path) -> None:
    """Write a document of every format that has a library of its own."""
    folder.mkdir()
    made = docx.Document()
    made.add_paragraph("The lighthouse is red.")
    made.save(str(folder / "light.docx"))
    (folder / "birds.html").write_text(
        "<h1>Birds</h1><p>The cormorant lives in the harbour.</p>", encoding="utf-8"
    )
    page = Canvas(str(folder / "ferry.pdf"))
    page.drawString(72, 720, "The ferry costs seven euros.")
    page.save()
    (folder / "people.csv").write_text("Place,Keeper\nlighthouse,Ingrid Solberg\n", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.xdist_group("image")
@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_as_anybody_without_rights_or_network(image: Path, tmp_path: Path, workers: int) -> None:
    data = image.parent / f"data-{workers}"
    data.mkdir()
    data.chmod(0o1777)
    _library(data / "texts")
    tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    asks: dict[str, Any] = {
        kind: ("/v1/ask", {"question": question}) for kind, (question, _) in QUESTIONS.items()
    }
    asks |= {"mcp": ("/mcp", tools), "docs": ("/docs", None), "widget": ("/widget.js", None)}
    probe = (
        "import os, socket, errno\n"
        "for place in ('/', '/opt/pullquote/encoder', '/usr/local/lib', '/etc'):\n"
        "    try: open(os.path.join(place, 'x'), 'w')\n"
        "    except OSError as error: assert error.errno in (errno.EROFS, errno.EACCES), error\n"
        "    else: raise SystemExit(place)\n"
        "one = socket.socket(); one.settimeout(5)\n"
        "try: one.connect(('192.0.2.1', 443))\n"
        "except OSError as error: assert error.errno == errno.ENETUNREACH, error\n"
        "else: raise SystemExit('a network')\n"
    )
    seen = contained(
        image,
        data,
        user=PERSON,
        asks=asks,
        probe=probe,
        variables={
            "PULLQUOTE_CORPUS": "/data/texts",
            "PULLQUOTE_DATA": "/data/var",
            "PULLQUOTE_WORKERS": str(workers),
        },
    )
    assert seen["exit"] == 0, seen["log"]
    assert "ready_seconds" in seen, seen["log"]
    assert seen["health"] == 0
    assert seen["probe"] == [0, ""]
    replies = seen["replies"]
    for kind, (_, answer) in QUESTIONS.items():
        status, text = replies[kind]
        assert status == 200 and answer in (json.loads(text)["answer"] or {"text": ""})["text"], (kind, text)
    assert {name: status for name, (status, _) in replies.items() if status != 200} == {}
    assert "list_documents" in replies["mcp"][1]
    about = dict(line.split(":\t", 1) for line in seen["status"].splitlines() if ":\t" in line)
    assert about["Uid"].split() == [str(PERSON)] * 4 and about["Gid"].split() == [str(PERSON)] * 4
    assert {about[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}
    assert about["NoNewPrivs"] == "1"


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_these_tests_see_an_image_that_lacks_something(image: Path, tmp_path: Path) -> None:
    broken = image.parent / "broken"
    subprocess.run(["cp", "-a", "--reflink=auto", image, broken], check=True)
    (broken / "opt/pullquote/venv/lib/python3.11/site-packages/faiss/libfaiss.so").unlink()
    data = image.parent / "data-broken"
    data.mkdir(mode=0o777)
    seen = contained(broken, data, user=PERSON)
    assert "ready_seconds" not in seen and seen["exit"] != 0


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_a_replica_answers_from_a_volume_that_it_cannot_write(image: Path, tmp_path: Path) -> None:
    data = image.parent / "data-shared"
    data.mkdir()
    data.chmod(0o1777)
    _library(data / "texts")
    places = {"PULLQUOTE_CORPUS": "/data/texts", "PULLQUOTE_DATA": "/data/var"}
    question, answer = QUESTIONS["docx"]
    asks = {"ask": ("/v1/ask", {"question": question}), "reindex": ("/v1/reindex", {})}
    replica: dict[str, Any] = {"variables": places | {"PULLQUOTE_READ_ONLY": "true"}, "writes": False}
    alone = contained(image, data, user=PERSON + 1, asks=asks, **replica)
    assert "ready_seconds" not in alone and alone["exit"] != 0, alone["log"]
    writer = contained(image, data, user=PERSON, variables=places)
    assert writer["exit"] == 0 and "ready_seconds" in writer, writer["log"]
    beside = contained(image, data, user=PERSON + 1, asks=asks, **replica)
    assert beside["exit"] == 0, beside["log"]
    assert answer in json.loads(beside["replies"]["ask"][1])["answer"]["text"]
    assert beside["replies"]["reindex"][0] in (403, 503), beside["replies"]["reindex"]
