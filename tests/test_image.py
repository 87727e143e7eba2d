"""The image: what its build files promise, and its runtime environment made and run without an engine."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from service.__main__ import app
from service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
LOCK = ".ci/requirements.lock"
BUILDING = ("torch", "sentence_transformers", "transformers", "onnx", "onnxscript")


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction of a Dockerfile: its name in capitals, its flags, and the rest as written."""

    name: str
    flags: dict[str, str]
    rest: str

    @property
    def exec_form(self) -> list[str] | None:
        """The words of the JSON form, None in the shell form."""
        return [str(word) for word in json.loads(self.rest)] if self.rest.startswith("[") else None

    @property
    def words(self) -> list[str]:
        return self.exec_form or shlex.split(self.rest)

    @property
    def pairs(self) -> dict[str, str]:
        """The values of ENV, ARG and LABEL by name."""
        return dict(word.partition("=")[::2] for word in self.words)


def parse(text: str) -> list[Instruction]:
    """Return the instructions of a Dockerfile: lines joined at their backslashes, comments left out."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = []
    for line in re.sub(r"\\[ \t]*\n", "", kept).splitlines():
        name, _, rest = line.strip().partition(" ")
        flags = {}
        while flag := re.match(r"\s*--([a-z-]+)=(\S+)", rest):
            flags[flag[1]] = flag[2]
            rest = rest[flag.end() :]
        if name:
            found.append(Instruction(name.upper(), flags, rest.strip()))
    return found


@cache
def _stages() -> list[list[Instruction]]:
    """Return the instructions of each stage, its FROM first; those before the first FROM are left out."""
    stages: list[list[Instruction]] = []
    for one in parse((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        if one.name == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(one)
    return stages


def _all(stage: int, name: str) -> list[Instruction]:
    return [one for one in _stages()[stage] if one.name == name]


def _one(stage: int, name: str) -> Instruction:
    """Return the only instruction of that name in a stage."""
    (found,) = _all(stage, name)
    return found


BUILD, LAST = 0, 1


def _commands(run: Instruction) -> list[str]:
    return [part.strip() for part in run.rest.split("&&")]


def _environment(stage: int) -> dict[str, str]:
    return {name: value for one in _all(stage, "ENV") for name, value in one.pairs.items()}


def _compose() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


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
    assert _commands(seen[2]) == ["first", "second"]
    assert seen[3].pairs == {"X": "1", "Y": "two words"}
    assert seen[4].exec_form == ["serve", "now"]


def test_two_stages_on_the_same_python() -> None:
    assert len(_stages()) == 2
    assert _one(BUILD, "FROM").words == ["${PYTHON}", "AS", "build"]
    assert _one(LAST, "FROM").words == ["${PYTHON}"]
    preamble = parse((ROOT / "Dockerfile").read_text(encoding="utf-8"))[0]
    assert preamble.pairs == {"PYTHON": "python:3.11-slim"}


def test_the_last_stage_installs_nothing() -> None:
    shell = " ".join(run.rest for run in _all(LAST, "RUN"))
    assert not re.search(r"\bpip\b|\btorch\b|sentence.transformers|\bapt", shell)
    assert _all(LAST, "ADD") == []


def test_the_last_stage_takes_what_the_build_stage_made_to_the_same_place() -> None:
    copied = _all(LAST, "COPY")
    assert [one.flags for one in copied] == [{"from": "build"}] * len(copied)
    assert {tuple(one.words) for one in copied} == {
        (place, place) for place in ("/opt/pullquote/encoder", "/opt/pullquote/venv", "/opt/pullquote/texts")
    }


def test_torch_comes_first_and_from_the_cpu_index() -> None:
    first = _all(BUILD, "RUN")[0]
    assert "--index-url" in first.rest
    assert "$TORCH_INDEX" in first.rest
    assert "--no-deps" in first.rest
    named = [one.pairs for one in _all(BUILD, "ARG")]
    assert named[0] == {"TORCH_INDEX": "https://download.pytorch.org/whl/cpu"}


def test_extras_are_installed_only_where_they_are_asked_for() -> None:
    assert _all(BUILD, "ARG")[-1].pairs == {"EXTRAS": ""}
    serving = [run.rest for run in _all(BUILD, "RUN") if "--without-pip" in run.rest]
    assert len(serving) == 1
    assert '"$(echo dist/*.whl)${EXTRAS:+[$EXTRAS]}"' in serving[0]


def test_every_install_after_torch_uses_the_lock() -> None:
    commands = [command for run in _all(BUILD, "RUN")[1:] for command in _commands(run)]
    installs = [command for command in commands if re.search(r"\bpip\b.*\binstall\b", command)]
    assert len(installs) == 3
    assert [command for command in installs if f"--constraint {LOCK}" not in command] == []
    wheels = [command for command in commands if re.search(r"\bpip wheel\b", command)]
    assert [command for command in wheels if "--no-build-isolation" not in command] == []


def test_torch_has_one_version_everywhere() -> None:
    places = ("Dockerfile", "Makefile", LOCK, "pyproject.toml")
    versions = {
        version
        for place in places
        for version in re.findall(r"\btorch==([\w.]+)", (ROOT / place).read_text(encoding="utf-8"))
    }
    assert len(versions) == 1, versions


def test_the_commands_it_runs_exist() -> None:
    commands = [command.split() for run in _all(BUILD, "RUN") for command in _commands(run)]
    named = {words[1] for words in commands if words[0] == "pullquote"}
    known = {str(one.name or getattr(one.callback, "__name__", "")) for one in app.registered_commands}
    assert named == {"export-model"}
    assert named | {*_one(LAST, "CMD").words} <= known


def test_whoever_serves_is_not_root() -> None:
    last = _all(LAST, "USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.rest)
    below = _stages()[LAST][_stages()[LAST].index(last) :]
    assert [one for one in below if one.name in ("RUN", "COPY")] == []


def test_the_only_state_is_data() -> None:
    assert _one(LAST, "VOLUME").exec_form == ["/data"]
    assert _environment(LAST)["PULLQUOTE_DATA"] == "/data"
    # Docker gives a new volume the mode of the folder under it, so it must be there before.
    names = [one.name for one in _stages()[LAST]]
    assert "mkdir --mode=1777 /data" in _commands(_all(LAST, "RUN")[-1])
    assert names.index("VOLUME") > len(names) - names[::-1].index("RUN") - 1


def test_nothing_is_fetched_or_told_while_it_serves() -> None:
    served = _environment(LAST)
    assert served["HF_HUB_OFFLINE"] == "1"
    assert served["ORT_DISABLE_TELEMETRY"] == "1"


def test_how_it_starts_and_stops() -> None:
    assert _one(LAST, "ENTRYPOINT").exec_form == ["pullquote"]
    assert _one(LAST, "CMD").exec_form == ["serve"]
    assert _one(LAST, "STOPSIGNAL").rest == "SIGTERM"
    assert _one(LAST, "EXPOSE").rest == _environment(LAST)["PULLQUOTE_PORT"]


def _health_command() -> list[str]:
    check = parse(_one(LAST, "HEALTHCHECK").rest)[0]
    assert check.name == "CMD"
    assert check.exec_form is not None
    return check.exec_form


def test_it_looks_after_its_health() -> None:
    command = _health_command()
    assert command[:2] == ["python", "-c"]
    assert "/livez" in command[2]
    assert _one(LAST, "HEALTHCHECK").flags.keys() >= {"interval", "timeout", "start-period"}


def test_everything_set_is_a_setting() -> None:
    served = {**_environment(LAST), **_compose()["services"]["pullquote"]["environment"]}
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
    sources = [source for one in _all(BUILD, "COPY") for source in one.words[:-1]]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not _is_sent(source)] == []
    assert _is_sent("corpus/texts/article.md")
    assert _is_sent("service/doors/rest.py")


def test_nothing_else_is_sent() -> None:
    for path in (".git/config", ".env", "var/current", "tests/test_image.py", ".ci/lock", "pullquote.toml"):
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


def test_compose_runs_the_image_with_next_to_no_rights() -> None:
    (service,) = _compose()["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["tmpfs"] == ["/tmp"]
    assert service["mem_limit"]
    assert service["stop_grace_period"] == "30s"
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert "privileged" not in service


def test_compose_keeps_data_and_reads_the_documents_of_the_repository() -> None:
    found = _compose()
    (service,) = found["services"].values()
    assert service["volumes"] == ["data:/data", "./corpus/texts:/corpus:ro"]
    assert [*found["volumes"]] == ["data"]
    assert service["environment"]["PULLQUOTE_CORPUS"] == "/corpus"
    assert service["healthcheck"]["test"][:2] == ["CMD", "python"]


# From here on: the image made as far as it goes without an engine. A folder stands for its root; the
# instructions of the build stage that do not need torch run in it, on a copy of this Python.


@pytest.fixture(scope="module")
def image(exported_encoder: Path) -> Iterator[Path]:
    """Give the folder that stands for the image's root."""
    # Not under pytest's folders: no other user may go through those.
    with tempfile.TemporaryDirectory(prefix="pullquote-") as name:
        root = Path(name)
        root.chmod(0o755)
        _lay_python(root / "usr/local")
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        for one in _all(BUILD, "COPY"):
            _copy(one, root / "src")
        shutil.copytree(exported_encoder, root / "opt/pullquote/encoder")
        for stage in (BUILD, LAST):
            for one in _all(stage, "RUN"):
                if not re.search(r"torch==|\[build\]|export-model", one.rest):
                    _run(one, root)
        shutil.rmtree(root / "src")
        yield root


def _lay_python(prefix: Path) -> None:
    """Copy the running Python, which another user may not be able to reach, as the base image has it."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns("__pycache__", "site-packages", "test", "tests", "config-*", "idlelib")
    shutil.copytree(stdlib, prefix / "lib" / stdlib.name, ignore=left_out)
    for library in (Path(sys.base_prefix) / "lib").glob("libpython3*.so*"):
        shutil.copy2(library, prefix / "lib", follow_symlinks=False)
    (prefix / "bin").mkdir()
    own = prefix / "bin" / stdlib.name
    shutil.copy2(Path(sys.executable).resolve(), own)
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(own.name)
    subprocess.run(
        [own, "-m", "ensurepip", "--default-pip"],
        env=_shell(prefix.parents[1]),
        check=True,
        capture_output=True,
    )


def _our_environment() -> dict[str, str]:
    """Return our environment without what would reach into the image."""
    apart = re.compile(r"(PULLQUOTE|PYTHON|VIRTUAL|ORT)_|CI$")
    return {name: value for name, value in os.environ.items() if not apart.match(name)}


def _shell(root: Path) -> dict[str, str]:
    """Return the environment of a build step: ours, with the image's Python before all others."""
    return _our_environment() | {
        "PATH": f"{root}/usr/local/bin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": f"{root}/usr/local/lib",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }


def _inside(text: str, root: Path) -> str:
    """Return a text with the image's absolute paths put under `root`."""
    return re.sub(r"(?<![\w./])/(?=(?:data|opt|src|tmp|usr/local)\b)", f"{root}/", text)


def _copy(one: Instruction, workdir: Path) -> None:
    *sources, target = one.words
    for source in sources:
        into = workdir / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            into.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / source, into)


def _run(one: Instruction, root: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", _inside(one.rest, root)],
        cwd=root / "src",
        env=_shell(root),
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{one.rest}\n{done.stdout}{done.stderr}"


def _serving(root: Path, port: int) -> dict[str, str]:
    """Return the environment that the last stage gives, under `root`."""
    given = {name: _inside(value, root) for name, value in _environment(LAST).items()}
    given["PATH"] = given["PATH"].replace("$PATH", f"{root}/usr/local/bin:/usr/bin:/bin")
    # The base image registers its library, and its temporary folder is /tmp without being told.
    apart = {"LD_LIBRARY_PATH": f"{root}/usr/local/lib", "TMPDIR": f"{root}/tmp"}
    return given | apart | {"PULLQUOTE_HOST": "127.0.0.1", "PULLQUOTE_PORT": str(port)}


def _user() -> dict[str, Any]:
    """Return the arguments that run a process as the image's user, where we may choose."""
    if os.geteuid() != 0:
        return {}
    user, group = map(int, _one(LAST, "USER").rest.split(":"))
    return {"user": user, "group": group, "extra_groups": []}


def _state(root: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything under `root` but the data."""
    found = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == root:
            folders.remove("data")
        for name in (*folders, *files):
            about = (Path(folder) / name).lstat()
            found[os.path.join(folder, name)] = about.st_size, about.st_mtime_ns  # noqa: PTH118 (20,000 of them)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _get(url: str, body: dict[str, str] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        found = json.load(reply)
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_the_runtime_environment_holds_nothing_for_building(image: Path) -> None:
    code = f"import importlib.util as look; print([one for one in {BUILDING!r} if look.find_spec(one)])"
    python = image / "opt/pullquote/venv/bin/python"
    assert subprocess.check_output([python, "-c", code], env=_serving(image, 0), text=True).strip() == "[]"
    assert not (image / "opt/pullquote/venv/bin/pip").exists()


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_the_last_stage_stays_small(image: Path) -> None:
    files = [
        path for path in (image / "opt/pullquote").rglob("*") if path.is_file() and not path.is_symlink()
    ]
    assert sum(path.stat().st_size for path in files) < LARGEST


LARGEST = 540_000_000
"""Bytes in /opt/pullquote: 370 MB of libraries (onnxruntime, faiss and numpy are 200, lxml and what mcp
brings along 40), an encoder of 130 MB, 42 of them for questions, and a 20 MB cross-encoder."""


@pytest.mark.slow
@pytest.mark.xdist_group("image")
def test_it_serves_as_somebody_writes_only_data_and_stops_when_told(image: Path, tmp_path: Path) -> None:
    port = _free_port()
    environment = _serving(image, port)
    before = _state(image)
    command = [*_one(LAST, "ENTRYPOINT").words, *_one(LAST, "CMD").words]
    with (tmp_path / "log").open("w+b") as log:
        server = subprocess.Popen(
            [image / "opt/pullquote/venv/bin" / command[0], *command[1:]],
            cwd=_inside(_one(LAST, "WORKDIR").rest, image),
            env=environment,
            stdout=log,
            stderr=log,
            **_user(),
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/readyz", server)
            reply = _get(f"http://127.0.0.1:{port}/v1/ask", {"question": "Who developed PyTorch?"})
            health = subprocess.run(_health_command(), env=environment, check=False, timeout=10, **_user())
            server.terminate()
            code = server.wait(timeout=10)
        finally:
            server.kill()
            server.wait()
            log.seek(0)
            said = log.read().decode()
    assert reply["status"] == "answered", reply
    assert "Facebook" in reply["answer"]["text"]
    assert health.returncode == 0
    assert code == 0, said
    after = _state(image)
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            _get(url)
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > until:
                raise AssertionError(
                    f"the server is not ready ({error}), exit code {server.poll()}"
                ) from error
            time.sleep(0.1)
