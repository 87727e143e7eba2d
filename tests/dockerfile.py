"""A Dockerfile as data: its instructions, stage by stage."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "Dockerfile"
BUILD, LAST = 0, 1
"""The stages of ours."""


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

    @property
    def commands(self) -> list[str]:
        """What the shell form runs one after the other."""
        return [part.strip() for part in self.rest.split("&&")]


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
def stages() -> list[list[Instruction]]:
    """Return the instructions of each stage, its FROM first; those before the first FROM are left out."""
    found: list[list[Instruction]] = []
    for one in parse(FILE.read_text(encoding="utf-8")):
        if one.name == "FROM":
            found.append([])
        if found:
            found[-1].append(one)
    return found


def every(stage: int, name: str) -> list[Instruction]:
    """Return the instructions of that name in a stage."""
    return [one for one in stages()[stage] if one.name == name]


def only(stage: int, name: str) -> Instruction:
    """Return the only instruction of that name in a stage."""
    (found,) = every(stage, name)
    return found


def environment(stage: int) -> dict[str, str]:
    """Return what the ENV instructions of a stage set."""
    return {name: value for one in every(stage, "ENV") for name, value in one.pairs.items()}


def health_command() -> list[str]:
    """Return the words of the command that looks after the container's health."""
    check = parse(only(LAST, "HEALTHCHECK").rest)[0]
    assert check.name == "CMD"
    assert check.exec_form is not None
    return check.exec_form
