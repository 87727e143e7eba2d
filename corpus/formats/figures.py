"""Raised and lowered figures as plain text: `10` with a raised `6` must never read as 106."""

from __future__ import annotations

_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")


def raised(words: str) -> str:
    """Return superscript as plain text; words without figures stay as they are (`1st`)."""
    return _shifted(words, _RAISED, "^")


def lowered(words: str) -> str:
    """Return subscript as plain text; words without figures stay as they are."""
    return _shifted(words, _LOWERED, "_")


def _shifted(words: str, table: dict[int, int], sign: str) -> str:
    if not any(character.isdigit() for character in words):
        return words
    bare = words.strip()
    shifted = bare.translate(table) if all(ord(one) in table for one in bare) else f"{sign}{bare}"
    return words.replace(bare, shifted)
