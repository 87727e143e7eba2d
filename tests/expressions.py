"""Every regular expression of the three rooms, and the methods that the code calls it with."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

from tests.server import ROOT

ROOMS = ("corpus", "index", "service")
METHODS = {"search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}

Pattern = re.Pattern[Any]


@dataclass(slots=True)
class _Module:
    """What a module holds of expressions, and what its calls say of them."""

    name: str
    tree: ast.Module
    loaded: ModuleType
    used: list[tuple[str, Pattern, str]] = field(default_factory=list)
    """Name, expression and method."""
    unknown: set[str] = field(default_factory=set)
    """Methods called on what only running the module would tell: the expressions it hands on may be meant."""


@cache
def used() -> dict[str, tuple[Pattern, str]]:
    """Return each expression with each method it is called with, by place, name and method."""
    found: dict[tuple[Pattern, str], str] = {}
    for module in _modules():
        for name, pattern, method in (*module.used, *_handed_on(module)):
            found.setdefault((pattern, method), f"{module.name}.{name}:{method}")
    return {name: pair for pair, name in found.items()}


@cache
def held() -> dict[Pattern, str]:
    """Return every expression that a module or a container in it holds, with its name."""
    found: dict[Pattern, str] = {}
    for module in _modules():
        for name, value in vars(module.loaded).items():
            for pattern in _within(value):
                found.setdefault(pattern, f"{module.name}.{name}")
    return found


@cache
def _modules() -> tuple[_Module, ...]:
    found = []
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        if not any(isinstance(one, ast.Attribute) and one.attr in METHODS for one in ast.walk(tree)):
            continue
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if dotted.endswith("__main__"):  # importing it is running it
            continue
        module = _Module(dotted, tree, importlib.import_module(dotted))
        _read(module, tree, {})
        found.append(module)
    return tuple(found)


def _read(module: _Module, node: ast.AST, local: dict[str, ast.expr]) -> None:
    """Note the calls under a node; `local` is what the names of the function around it were given."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = [one for one in ast.walk(node) if isinstance(one, ast.Assign)]
        pairs = [(target, one.value) for one in given for target in one.targets]
        local = local | {
            name.id: value
            for target, whole in pairs
            for name, value in _named(target, whole)
            if isinstance(name, ast.Name)
        }
    if isinstance(node, ast.Attribute) and node.attr in METHODS:
        if isinstance(node.value, ast.Name) and getattr(module.loaded, node.value.id, None) is re:
            pass  # read with its arguments, below
        elif patterns := list(_meant(module, node.value, local)):
            module.used += [(name, pattern, node.attr) for name, pattern in patterns]
        elif node.attr != "split":  # that of texts
            module.unknown.add(node.attr)
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
        method = ast.unparse(node.func).removeprefix("re.")
        if method in METHODS:
            flags = next((one.value for one in node.keywords if one.arg == "flags"), ast.Constant(0))
            made = re.compile(_value(module, node.args[0]), _value(module, flags))
            module.used.append((f"{node.lineno}", made, method))
    for below in ast.iter_child_nodes(node):
        _read(module, below, local)


def _named(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _meant(
    module: _Module, node: ast.expr, local: dict[str, ast.expr], depth: int = 0
) -> Iterator[tuple[str, Pattern]]:
    """Yield the expressions that a part of the code stands for."""
    if depth > 4:  # a name that is given itself
        return
    if isinstance(node, ast.Name) and node.id in local:
        yield from _meant(module, local[node.id], local, depth + 1)
    elif isinstance(node, ast.Name):
        for at, pattern in enumerate(_within(getattr(module.loaded, node.id, None))):
            yield f"{node.id}{f'.{at}' if at else ''}", pattern
    elif isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name):
            found = getattr(getattr(module.loaded, node.value.id, None), node.attr, None)
            yield from ((ast.unparse(node), pattern) for pattern in _within(found))
    elif isinstance(node, ast.Subscript):
        yield from _meant(module, node.value, local, depth + 1)
    elif isinstance(node, ast.IfExp):
        yield from _meant(module, node.body, local, depth + 1)
        yield from _meant(module, node.orelse, local, depth + 1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        maker = getattr(module.loaded, node.func.id, None)
        if "Pattern" in str(getattr(maker, "__annotations__", {}).get("return", "")):
            assert callable(maker)
            yield f"{node.func.id}()", maker(",")  # all that are made so far, are made of a delimiter


def _handed_on(module: _Module) -> Iterator[tuple[str, Pattern, str]]:
    """Yield the expressions that are used otherwise than by name, each with all the methods of unknowns."""
    bases = {id(one.value) for one in ast.walk(module.tree) if isinstance(one, ast.Attribute)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in bases:
            value = getattr(module.loaded, node.id, None)
            patterns = _within(value)
            yield from (
                (f"{node.id}{f'.{at}' if at else ''}", one, method)
                for at, one in enumerate(patterns)
                for method in sorted(module.unknown)
            )


def _value(module: _Module, node: ast.expr) -> Any:
    """Return what an argument is: a constant, or made of the module's own."""
    return eval(ast.unparse(node), dict(vars(module.loaded)))


def _within(value: object) -> Iterator[Pattern]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from (one for pair in value.items() for part in pair for one in _within(part))
    elif isinstance(value, tuple | list | frozenset | set):
        yield from (one for part in value for one in _within(part))
