"""The documentation is held to the code: settings, the REST description, the README's commands, links."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from service.settings import FILE, Settings
from tests.server import COMMAND, PATIENCE_SECONDS, ROOT, Home, Server

pytest_plugins = ("tests.server",)

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]

# ---------------------------------------------------------------- settings


def row(name: str, field: FieldInfo) -> tuple[str, ...]:
    """Return the row of docs/settings.md that a setting asks for."""
    default = field.default
    secret = default is None or isinstance(default, SecretStr)
    shown = "none" if secret or default == [] else f"`{default}`"
    return f"`PULLQUOTE_{name.upper()}`", f"`{name}`", shown, str(field.description)


def documented() -> list[tuple[str, ...]]:
    """Return the rows of the table in docs/settings.md."""
    lines = (ROOT / "docs/settings.md").read_text(encoding="utf-8").splitlines()
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line[:1] == "|"]
    return cells[2:]  # without the header and its rule


def test_every_setting_is_documented_as_it_is() -> None:
    assert documented() == [row(name, field) for name, field in Settings.model_fields.items()]


def test_every_setting_can_be_set_by_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [name for name in Settings.model_fields if name.startswith("max_")]
    assert len(names) > 2
    (tmp_path / FILE).write_text("".join(f"{name} = 7\n" for name in names), encoding="utf-8")
    assert {getattr(Settings(), name) for name in names} == {7}
    for name in names:
        monkeypatch.setenv(f"PULLQUOTE_{name.upper()}", "8")
    monkeypatch.setenv("PULLQUOTE_ALLOWED_ORIGINS", "https://a.example, https://b.example,")
    assert {getattr(Settings(), name) for name in names} == {8}
    assert Settings().allowed_origins == ["https://a.example", "https://b.example"]


def test_every_setting_named_anywhere_exists() -> None:
    known = {f"PULLQUOTE_{name.upper()}" for name in Settings.model_fields}
    places = [*PAGES, ROOT / "Makefile", *(ROOT / "service").rglob("*.py")]
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in places
        for name in re.findall(r"PULLQUOTE_[A-Z]+(?:_[A-Z]+)*", path.read_text(encoding="utf-8"))
        if name not in known and name != "PULLQUOTE_NAME"
    }
    assert found == set()


# ---------------------------------------------------------------- the REST description


def test_the_rest_description_is_that_of_the_code(tmp_path: Path) -> None:
    made = subprocess.run(
        [COMMAND, "export-openapi"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    )
    kept = (ROOT / "docs/openapi.json").read_text(encoding="utf-8")
    again = "docs/openapi.json is not what the code serves: `pullquote export-openapi > docs/openapi.json`"
    assert json.loads(made.stdout) == json.loads(kept), again
    assert made.stdout == kept, again


# ---------------------------------------------------------------- the README's commands

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """Return the commands of a page's `sh` blocks, each in one line."""
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(BLOCK.findall(page)))
    lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


class Reader:
    """Somebody who types a page's commands, with a server at hand."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.home = server.home

    def problem(self, command: str) -> str | None:
        """Return what is wrong with a command; None where it does what it should."""
        try:
            words = shlex.split(command, comments=True)
        except ValueError as error:
            return str(error)
        name = words[0].rpartition("/")[2]
        if name == "make":
            return self._make(words[1:])
        if name == "curl":
            return self._curl(words[1:])
        if name == "pullquote":
            return self._pullquote(words[1:])
        return f"these tests cannot run {name}"

    def _make(self, words: list[str]) -> str | None:
        targets = set(
            re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        )
        missing = [word for word in words if "=" not in word and word not in targets]
        return f"there is no target {missing[0]}" if missing else None

    def _curl(self, words: list[str]) -> str | None:
        address = r"(?:https?://)?(?:localhost|127\.0\.0\.1):8000\b"
        if not any(re.match(address, word) for word in words):
            return "it does not ask the server at port 8000"
        own = [re.sub(address, self.server.address, word) for word in words]
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--fail", *own],
            capture_output=True,
            encoding="utf-8",
            cwd=ROOT,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode:
            return f"exit code {done.returncode}: {done.stderr}"
        try:
            json.loads(done.stdout)
        except ValueError:
            return f"no JSON came back: {done.stdout[:200]}"
        return None

    def _pullquote(self, words: list[str]) -> str | None:
        if words[:1] == ["serve"]:
            # It would not end, and one is running already: its options are looked up instead.
            told = self.home.run_in(ROOT, "serve", "--help").stdout
            unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in told]
            return f"serve has no option {unknown[0]}" if unknown else None
        done = self.home.run_in(ROOT, *words)
        return f"exit code {done.returncode}: {done.stderr}" if done.returncode else None


@pytest.fixture(scope="module")
def reader(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a reader with a server of the article."""
    assert shutil.which("curl"), "the README's commands need curl; install it to test them"
    server = Server(library.copy(tmp_path_factory.mktemp("reader")))
    yield Reader(server)
    server.end()


@pytest.mark.slow
def test_every_command_of_the_readme_does_what_it_should(reader: Reader) -> None:
    found = {one: reader.problem(one) for one in commands(README.read_text(encoding="utf-8"))}
    assert {command: wrong for command, wrong in found.items() if wrong} == {}


SAMPLE = """
```sh
make serve PORT=8001
# a comment
$ pullquote ask "Who developed PyTorch?" \\
    --json
pullquote serve --port 9000
curl -s localhost:8000/v1/ask -H 'Content-Type: application/json' -d '{"question": "Who developed PyTorch?"}'
```

```sh
make coffee
pullquote ask "What is the capital of France?"
pullquote serve --loud
curl http://127.0.0.1:8000/nowhere
curl http://localhost:8000/docs
curl https://example.com
rm -rf /
pullquote ask "unbalanced
```

```json
make nothing of this
```
"""


@pytest.mark.slow
def test_these_tests_see_a_command_that_fails(reader: Reader) -> None:
    found = [(one, reader.problem(one)) for one in commands(SAMPLE)]
    assert [one for one, wrong in found if wrong is None] == [
        "make serve PORT=8001",
        'pullquote ask "Who developed PyTorch?" --json',
        "pullquote serve --port 9000",
        "curl -s localhost:8000/v1/ask -H 'Content-Type: application/json' "
        '-d \'{"question": "Who developed PyTorch?"}\'',
    ]
    wrong = [(wrong or "").partition(":")[0] for _, wrong in found[4:]]
    assert wrong == [
        "there is no target coffee",
        "exit code 1",
        "serve has no option --loud",
        "exit code 22",
        "no JSON came back",
        "it does not ask the server at port 8000",
        "these tests cannot run rm",
        "No closing quotation",
    ]


# ---------------------------------------------------------------- links

LINK = re.compile(
    r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)|(?:src|href)=\"([^\"]+)\"", re.M
)


def broken_links(page: str, folder: Path) -> list[str]:
    """Return the relative links of a page in `folder` that lead nowhere."""
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page, flags=re.MULTILINE | re.DOTALL)
    targets = [next(filter(None, found)) for found in LINK.findall(prose)]
    relative = [one for one in targets if not re.match(r"[a-z][a-z0-9+.-]*:|//|#", one, re.IGNORECASE)]
    return [one for one in relative if not (folder / unquote(one.partition("#")[0])).exists()]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path.read_text(encoding="utf-8"), path.parent) == []


def test_these_tests_see_a_broken_link() -> None:
    page = (
        "[a](README.md) [b](docs/openapi.json#x) [c](https://example.com) [d](#here) `[e](code.md)`\n"
        '![f](gone.png) [g](docs/gone.md#x) <img src="gone.svg">\n\n[h]: gone.txt\n'
    )
    assert broken_links(page, ROOT) == ["gone.png", "docs/gone.md#x", "gone.svg", "gone.txt"]


def test_make_serve_leaves_the_port_to_the_settings_unless_it_is_given() -> None:
    def serving(*given: str) -> str:
        command = ["make", "--dry-run", "serve", *given]
        bare = {name: value for name, value in os.environ.items() if name != "PORT"}
        done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=True)
        return next(line for line in done.stdout.splitlines() if "pullquote serve" in line)

    assert "PULLQUOTE_PORT" not in serving()
    assert "PULLQUOTE_PORT=9000 " in serving("PORT=9000")
