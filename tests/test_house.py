"""The house keeps its plan: corpus <- index <- service, and every library behind its door."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("corpus", "index", "service")

PEOPLE = {
    *("anyio", "fastapi", "fastapi_offline", "pydantic", "pydantic_settings", "starlette", "uvicorn"),
    *("opentelemetry", "prometheus_client", "rich", "structlog", "typer"),
}
BUILDING = {"onnx", "onnxscript", "safetensors", "sentence_transformers", "sklearn", "torch", "transformers"}
NUMBERS = {"faiss", "numpy", "onnxruntime", "openvino", "scipy", "Stemmer", "tokenizers"}

FORBIDDEN = {
    "corpus": {"index", "service", *PEOPLE, *BUILDING, *NUMBERS},
    "index": {"service", *PEOPLE},
    "service": {*BUILDING, *NUMBERS},
}

DOORS = {
    "docx": {f"corpus/formats/docx{part}.py" for part in ("", "_numbering", "_styles", "_words")},
    "pypdf": {"corpus/formats/pdf.py", "corpus/formats/pdf_lines.py"},
    "selectolax": {f"corpus/formats/html{part}.py" for part in ("", "_nodes", "_tables", "_words")},
    "faiss": {"index/cells.py", "index/vectors.py"},
    "onnxruntime": {"index/graphs.py"},
    "openvino": {"index/openvino_graphs.py"},
    "opentelemetry": {"service/observer.py", "service/tracing.py"},
    "prometheus_client": {"service/exposition.py"},
    "tokenizers": {"index/cross_encoder.py", "index/tokens.py"},
    **{library: {"index/export.py"} for library in BUILDING},
    "onnx": {"index/shared_weights.py"},
    "safetensors": {"index/low_rank.py"},
    "torch": {"index/export.py", "index/low_rank.py"},
}
"""The only modules that may import a library."""

MAY_SET = {
    # Libraries read them when they are imported, so they must be there before any module of the room is.
    "index/__init__.py": {"ORT_DISABLE_TELEMETRY", "OPENBLAS_NUM_THREADS", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"},
    # A local model asks no hub for anything, and the hub's client is told so nowhere else.
    "index/export.py": {"HF_HUB_OFFLINE"},
}
"""Variables of the environment that a module other than the settings may set; none may read any."""

LONGEST = 400
VAGUE = {"base", "common", "core", "helpers", "manager", "misc", "util", "utils"}

HEAVY = ("torch", "transformers", "sentence_transformers", "sklearn", "onnx")
"""Never loaded by importing the application, where installed."""


@dataclass(frozen=True, slots=True)
class Import:
    """An import: where it stands, what it names, and when it happens."""

    module: str
    """Path of the module it stands in, from the root."""
    line: int
    name: str
    """Dotted name of what is imported; "?" where it is only known at run time."""
    lazy: bool
    """Whether it stands in a function, so that importing the module does not run it."""
    for_types: bool
    """Whether it stands under TYPE_CHECKING, so that it never runs."""

    @property
    def library(self) -> str:
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


@cache
def _texts() -> dict[str, str]:
    paths = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@cache
def _trees() -> dict[str, ast.Module]:
    return {module: ast.parse(text) for module, text in _texts().items()}


@cache
def _imports() -> tuple[Import, ...]:
    return tuple(one for module, tree in _trees().items() for one in _imports_of(module, tree))


def _imports_of(
    module: str, node: ast.AST, *, lazy: bool = False, for_types: bool = False
) -> Iterator[Import]:
    """Yield the imports under a node of a module's syntax tree."""
    for name in _names(module, node):
        yield Import(module, getattr(node, "lineno", 0), name, lazy, for_types)
    inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for child in node.body:
            yield from _imports_of(module, child, lazy=inside, for_types=True)
        for child in node.orelse:
            yield from _imports_of(module, child, lazy=inside, for_types=for_types)
        return
    for below in ast.iter_child_nodes(node):
        yield from _imports_of(module, below, lazy=inside, for_types=for_types)


def _names(module: str, node: ast.AST) -> list[str]:
    """Return what a node imports by itself."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom):
        # A relative import starts `level` names up, counted from the module's own.
        start = module.split("/")[: -node.level] if node.level else []
        return [".".join([*start, node.module] if node.module else start)]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("__import__", "import_module")):
        named = node.args[0] if node.args else None
        return [str(named.value) if isinstance(named, ast.Constant) else "?"]
    return []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_its_vocabulary_allows(room: str) -> None:
    inside = [one for one in _imports() if one.module.startswith(f"{room}/")]
    assert inside, f"no imports found under {room}/"
    assert [str(one) for one in inside if one.library in FORBIDDEN[room]] == []


def test_nothing_but_service_imports_service() -> None:
    users = [one for one in _imports() if one.library == "service"]
    assert [str(one) for one in users if not one.module.startswith("service/")] == []


@pytest.mark.parametrize("library", sorted(DOORS))
def test_a_library_is_imported_by_its_doors_alone(library: str) -> None:
    users = [one for one in _imports() if one.library == library]
    assert [str(one) for one in users if one.module not in DOORS[library]] == []


def test_every_door_exists() -> None:
    named = {"service/settings.py", *MAY_SET}.union(*DOORS.values())
    assert sorted(named - _texts().keys()) == []


def test_building_libraries_are_imported_only_inside_functions() -> None:
    users = [one for one in _imports() if one.library in BUILDING]
    assert users, "nothing imports a building library any more: take them out of the lists above"
    assert [str(one) for one in users if not (one.lazy or one.for_types)] == []


def test_no_import_hides_its_name() -> None:
    assert [str(one) for one in _imports() if one.name == "?"] == []


ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def _uses_of_environment(tree: ast.Module) -> list[ast.stmt]:
    """Return the statements that touch the environment, the innermost of each."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for node in ast.walk(tree):
        used = isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT
        taken = isinstance(node, ast.ImportFrom) and any(one.name in ENVIRONMENT for one in node.names)
        if used or taken:
            within: ast.AST = node
            while not isinstance(within, ast.stmt):
                within = parents[within]
            found.append(within)
    return list(dict.fromkeys(found))


def _only_sets(statement: ast.stmt, names: set[str]) -> bool:
    """Return whether a statement gives one of these variables a plain text and does nothing else."""
    setting = re.fullmatch(r"os\.environ\.setdefault\('(\w+)', '[^']*'\)", ast.unparse(statement))
    return setting is not None and setting[1] in names


def test_only_the_settings_read_the_environment() -> None:
    found = [
        f"{module}:{use.lineno} {ast.unparse(use).splitlines()[0]}"
        for module, tree in _trees().items()
        if module != "service/settings.py"
        for use in _uses_of_environment(tree)
        if not _only_sets(use, MAY_SET.get(module, set()))
    ]
    assert found == []


def test_no_module_is_too_long() -> None:
    lengths = {module: len(text.splitlines()) for module, text in _texts().items()}
    assert {module: lines for module, lines in lengths.items() if lines > LONGEST} == {}


def test_modules_are_named_for_what_they_hold() -> None:
    assert [module for module in _texts() if VAGUE & {*module.removesuffix(".py").split("/")}] == []


def test_importing_the_application_loads_nothing_heavy() -> None:
    code = f"import sys, service.app; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_importing_the_application_writes_nothing_and_tells_nobody(tmp_path: Path) -> None:
    # Where telemetry is on, ONNX Runtime has put a device id and a queue of events here once it is imported.
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = kept | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", "import service.app"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=60)
    assert [*tmp_path.rglob("*")] == []


WRONG = """
from . import sibling
from ..answer import ask
if TYPE_CHECKING:
    import torch
def late():
    import transformers
    __import__("faiss")
home = os.environ["HOME"]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", os.environ["OTHER"])
"""


def test_these_tests_see_what_they_look_for() -> None:
    tree = ast.parse(WRONG)
    seen = {one.name: one for one in _imports_of("service/doors/wrong.py", tree)}
    assert [*seen] == ["service.doors", "service.answer", "torch", "transformers", "faiss"]
    assert [one.name for one in seen.values() if one.for_types] == ["torch"]
    assert [one.name for one in seen.values() if one.lazy] == ["transformers", "faiss"]
    uses = _uses_of_environment(tree)
    assert [_only_sets(use, {"HF_HUB_OFFLINE"}) for use in uses] == [False, True, False]
