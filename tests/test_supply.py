"""What we ship and how it is looked after: licences, audit, bill of materials, workflows, threats."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from tests.image import MAKES_THE_WHEEL

ROOT = Path(__file__).resolve().parent.parent
CI = ROOT / ".ci"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
THREATS = ROOT / "docs/threats.md"

PERMISSIVE = {
    *(
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "Zlib",
    ),
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(CI))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"ci_{name}", CI / f"{name}.py")
        assert spec and spec.loader
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    return load


# ---------------------------------------------------------------- licences


def test_the_page_of_licences_is_that_of_the_locks(script: Callable[[str], ModuleType]) -> None:
    kept = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    assert script("licences").page() == kept, "run .ci/licences.py"
    for lock in ("image.lock", "image-openvino.lock"):
        for name, version in re.findall(
            r"^([a-z0-9-]+)==(\S+)", (CI / lock).read_text(encoding="utf-8"), re.M
        ):
            assert f"\n| {name} | {version} | " in kept


def test_every_dependency_allows_every_use() -> None:
    rows = re.findall(
        r"^\| [a-z0-9-]+ \| \d[\w.]* \| (.+?) \| ", (ROOT / "docs/licences.md").read_text("utf-8"), re.M
    )
    assert len(rows) > 50
    for row in rows:
        # Of several that all hold, each has to; of a choice, one.
        for needed in row.split(" AND "):
            assert {*needed.split(" OR ")} & PERMISSIVE, row


# ---------------------------------------------------------------- locks


@pytest.mark.parametrize("locks", [("image",), ("build", "torch"), ("image", "image-openvino")], ids="+".join)
def test_a_lock_has_all_that_its_packages_need(
    locks: tuple[str, ...], script: Callable[[str], ModuleType]
) -> None:
    left_out = script("lock_image").NEVER_LOADED
    texts = "".join((CI / f"{lock}.lock").read_text(encoding="utf-8") for lock in locks)
    names = {*re.findall(r"^([a-z0-9-]+)==", texts, re.MULTILINE)}
    # What makes the wheel is installed in no environment of ours; the image tests make one with it.
    for name in names - MAKES_THE_WHEEL:
        for one in map(Requirement, metadata.requires(name) or []):
            needed = re.sub(r"[-_.]+", "-", one.name).lower()
            asked = one.marker is None or one.marker.evaluate({"extra": ""})
            assert not asked or needed in names or (name, needed) in left_out, f"{name} needs {needed}"


# ---------------------------------------------------------------- audit

SKIPPED = {"name": "a", "skip_reason": "Dependency not found on PyPI and could not be audited: a (1)"}
CLEAN = {"name": "b", "version": "1", "vulns": []}
BAD = {"name": "c", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}

REPORTS: list[tuple[list[dict[str, Any]] | str, int, str]] = [
    ([CLEAN], 0, ""),
    ([CLEAN, BAD], 1, "c 1: CVE-1; fixed in 2"),
    ([CLEAN, SKIPPED], 3, "1 of 2 not looked up"),
    ([BAD, SKIPPED], 1, "not looked up"),
    ("ConnectionError: no such host", 3, "not looked up: ConnectionError"),
]


@pytest.mark.parametrize(("found", "status", "said"), REPORTS)
def test_what_could_not_be_looked_up_is_not_called_clean(
    found: list[dict[str, Any]] | str,
    status: int,
    said: str,
    script: Callable[[str], ModuleType],
    tmp_path: Path,
) -> None:
    # Stands for pip-audit: writes its report where it is told to, or ends as it does without a network.
    program = tmp_path / "pip-audit"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfound = {found!r}\n"
        "if isinstance(found, str): sys.exit(found)\n"
        "import json\n(file,) = [one.partition('=')[2] for one in sys.argv if one.startswith('--output=')]\n"
        "json.dump({'dependencies': found, 'fixes': []}, open(file, 'w'))\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    audit = script("audit")
    seen = [*audit.judged("image.lock", audit.audited(CI / "image.lock", program))]
    assert audit.verdict(seen) == status
    assert said in "\n".join(line for _, line in seen)


def test_every_lock_of_the_image_is_audited(script: Callable[[str], ModuleType]) -> None:
    hashed = {path.name for path in CI.glob("*.lock")} - {"requirements.lock", "tools.lock"}
    assert {*script("audit").LOCKS} == hashed


# ---------------------------------------------------------------- bill of materials


@pytest.mark.slow
def test_the_bill_names_all_that_is_locked(tmp_path: Path) -> None:
    image = tmp_path / "image/var/lib/dpkg/status.d"
    image.mkdir(parents=True)
    (image / "libc6").write_text("Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\n", encoding="utf-8")
    file = tmp_path / "bill.json"
    subprocess.run([sys.executable, CI / "sbom.py", file, tmp_path / "image"], check=True, timeout=500)
    bill = json.loads(file.read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX" and bill["metadata"]["component"]["name"] == "pullquote"
    named = {(re.sub(r"[-_.]+", "-", one["name"]).lower(), one.get("version")) for one in bill["components"]}
    locked = {*re.findall(r"^([a-z0-9-]+)==(\S+)", (CI / "image.lock").read_text(encoding="utf-8"), re.M)}
    models = {("all-minilm-l6-v2", None), ("cross-encoder-weights", None), ("questions-safetensors", None)}
    assert named == {*locked, *models, ("libc6", "2.36-9")}
    assert [one["name"] for one in bill["components"] if not one.get("licenses")] == ["libc6"]


# ---------------------------------------------------------------- workflows


def _workflow(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def _steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in _workflow(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more(path: Path) -> None:
    workflow = _workflow(path)
    assert workflow["permissions"] == {"contents": "read"}
    # YAML reads the key `on` as true. A pull request from a fork must get no secrets.
    assert "pull_request_target" not in workflow[True]
    assert "secrets." not in path.read_text(encoding="utf-8")
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert 0 < job["timeout-minutes"] <= 120
    for step in _steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_our_scripts_and_githubs_own_actions(path: Path) -> None:
    for step in _steps(path):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"])
            continue
        (named,) = re.findall(r"(?<![\w/])\.ci/[\w.]+", step["run"])
        assert os.access(ROOT / named, os.X_OK), named
        # What anybody can name must not become a part of a command.
        assert "${{" not in step["run"]


def test_every_check_of_a_release_is_in_a_workflow() -> None:
    run = " ".join(step.get("run", "") for path in WORKFLOWS for step in _steps(path))
    for name in (".ci/run", ".ci/image", ".ci/audit.py", ".ci/sbom.py"):
        assert name in run
        assert name in (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    crons = [_workflow(path)[True].get("schedule") for path in WORKFLOWS]
    assert [one for one in crons if one]


# ---------------------------------------------------------------- threats


def _tests_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_of_the_ten_has_tests_that_exist() -> None:
    text = THREATS.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| API(\d+) .*\| (.+?) \|$", text, re.MULTILINE))
    assert [*rows] == [str(number) for number in range(1, 11)]
    for held in rows.values():
        assert re.search(r"`tests/\S+::\S+`", held)
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 20
    for file, test in named:
        assert test in _tests_of(file), f"{file} has no {test}"
    # Whatever is named in another way would not be looked up.
    assert text.count("tests/") == len(named)
