"""The worst inputs of a regular expression, made from its own parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

ENDS = ("", "\0", "\n", "!", "a", " x", "1")
"""What a repetition may break off at: nothing, no letter, a line's end, a letter, a digit."""

GENERAL = (*"aA1 \t\n.,:-\"'(<", "a ", "a.", "1.", "1,", "a-", ", ", "\r\n", "aA", "a1")
"""What most expressions are about, where their own parts do not tell."""

VARIETY = 3
"""How many members of a set or branches of a choice stand for all of them."""

MOST_SIGNS = 12
"""Signs of an expression that are tried in pairs, such as a quote that is escaped."""

REPEATS = (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT)

Parts = tuple[str, str, str]
"""What stands first and once, what is repeated, and what stands last."""


def worst(pattern: re.Pattern[Any]) -> list[Parts]:
    """Return inputs that might take long: each repetition alone, after what stands before it, and with it."""
    told = pattern.pattern.decode("latin-1") if isinstance(pattern.pattern, bytes) else pattern.pattern
    parsed = parser.parse(told, pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else 0)
    signs = sorted({one for one in told if not one.isalnum() and not one.isspace()})[:MOST_SIGNS]
    pumps = {("", one) for one in (*GENERAL, *(f"{one}{other}" for one in signs for other in signs))}
    for which in range(VARIETY):
        for optional in (0, 1):
            pumps.add(("", sample(parsed, which, optional)))
            for before, pump in repeated(parsed, which, optional):
                pumps |= {(before, pump), ("", before + pump), ("", pump), (before, pump + " ")}
    return sorted((before, pump, end) for before, pump in pumps if pump for end in ENDS)


def made(parts: Parts, length: int) -> str:
    """Return an input of about so many characters."""
    before, pump, end = parts
    return before + pump * (length // len(pump)) + end


def sample(parsed: Any, which: int, optional: int) -> str:
    """Return a text that a part of an expression takes, or something like it.

    `which` chooses among members and branches; `optional` is how often what need not stand there does.
    """
    text = ""
    for kind, value in parsed:
        if kind is kinds.LITERAL:
            text += chr(value)
        elif kind is kinds.NOT_LITERAL:
            text += "a" if value != ord("a") else "b"
        elif kind is kinds.ANY:
            text += "a1 "[which]
        elif kind is kinds.IN:
            text += _member(value, which)
        elif kind is kinds.BRANCH:
            text += sample(value[1][which % len(value[1])], which, optional)
        elif kind is kinds.SUBPATTERN:
            text += sample(value[3], which, optional)
        elif kind is kinds.ATOMIC_GROUP:
            text += sample(value, which, optional)
        elif kind in REPEATS:
            text += sample(value[2], which, optional) * min(value[1], max(value[0], optional))
    return text


def _member(items: Any, which: int) -> str:
    """Return a character of a set."""
    if items[0][0] is kinds.NEGATE:
        out = re.compile("".join(map(_written, items[1:])) and f"[{''.join(map(_written, items[1:]))}]")
        taken = [one for one in "a1 .-\t\n\"'(<&|" if not out.match(one)]
        return taken[which % len(taken)]
    kind, value = items[which % len(items)]
    if kind is kinds.LITERAL:
        return chr(value)
    if kind is kinds.RANGE:
        return chr(value[0])
    members = {
        kinds.CATEGORY_SPACE: " \t\n",
        kinds.CATEGORY_DIGIT: "123",
        kinds.CATEGORY_WORD: "aA1",
        kinds.CATEGORY_NOT_WORD: "-. ",
        kinds.CATEGORY_NOT_SPACE: "a-1",
        kinds.CATEGORY_NOT_DIGIT: "a- ",
    }
    return members[value][which]


def _written(item: Any) -> str:
    kind, value = item
    if kind is kinds.LITERAL:
        return re.escape(chr(value))
    if kind is kinds.RANGE:
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    return {
        kinds.CATEGORY_SPACE: r"\s",
        kinds.CATEGORY_DIGIT: r"\d",
        kinds.CATEGORY_WORD: r"\w",
        kinds.CATEGORY_NOT_WORD: r"\W",
        kinds.CATEGORY_NOT_SPACE: r"\S",
        kinds.CATEGORY_NOT_DIGIT: r"\D",
    }[value]


def repeated(parsed: Any, which: int, optional: int, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield for each repetition in an expression what stands before it, and what it repeats."""
    for at, (kind, value) in enumerate(parsed):
        here = before + sample(parsed[:at], which, optional)
        if kind in REPEATS:
            yield here, sample(value[2], which, 1)
            yield from repeated(value[2], which, optional, here)
        elif kind is kinds.SUBPATTERN:
            yield from repeated(value[3], which, optional, here)
        elif kind is kinds.ATOMIC_GROUP:
            yield from repeated(value, which, optional, here)
        elif kind is kinds.BRANCH:
            for branch in value[1]:
                yield from repeated(branch, which, optional, here)
        elif kind in (kinds.ASSERT, kinds.ASSERT_NOT):
            yield from repeated(value[1], which, optional, here)
