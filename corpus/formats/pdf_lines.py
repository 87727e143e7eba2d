"""The lines on the pages of a PDF: their words, and where and how they are set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pypdf import PageObject

_MONOSPACED = re.compile(
    r"courier|mono|consol|menlo|typewriter|inconsolata|sourcecode|firacode|(?<![a-z])cmtt|(?<![a-z])lmtt",
    re.IGNORECASE,
)
_BOLD = re.compile(r"bold|black|heavy|semibold|demi|(?<![a-z])cmbx|(?<![a-z])cmb\d", re.IGNORECASE)
FEWEST_LETTERS = 8
"""Of a font: with fewer, their widths are the same by chance."""

_LIGATURES = str.maketrans(
    {
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "\u200b": "",
        "\ufeff": "",
        "\x7f": "•",
    }
)
_BULLETS = "•‣⁃◦▪▫●○∙■□❖➢➤✓✔\uf0b7\uf0a7\uf0d8\uf0fc·"
_BULLET_ALONE = re.compile(rf"[{_BULLETS}]")

SAME_LINE = 0.5
"""Lines whose baselines are less than this share of their size apart stand beside one another."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page. Places are in points from the page's lower left, along the line's own direction."""

    words: str
    page: int
    """From 0."""
    x: float
    y: float
    size: float
    angle: int = 0
    """Degrees by which it is turned."""
    bold: bool = False
    monospaced: bool = False


@dataclass(slots=True)
class _Piece:
    text: str
    x: float
    y: float
    size: float
    angle: int
    bold: bool
    monospaced: bool


def lines_of(page: PageObject, number: int, fonts: dict[str, bool]) -> list[Line]:
    """Return the lines of a page in the order in which they are set.

    `fonts` keeps from page to page which fonts, by name, have letters of one width.
    """
    pieces: list[_Piece] = []

    def visit(text: str, cm: Sequence[float], tm: Sequence[float], font: Any, size: float) -> None:
        if not text:
            return
        name = str(font.get("/BaseFont", "")) if font is not None else ""
        if name not in fonts:
            fonts[name] = font is not None and _is_monospaced(name, font)
        pieces.append(
            _placed(text, cm, tm, size, bold=_BOLD.search(name) is not None, monospaced=fonts[name])
        )

    page.extract_text(visitor_text=visit)
    return list(_with_bullets(_line(line, number) for line in _divided(pieces)))


def _placed(
    text: str, cm: Sequence[float], tm: Sequence[float], size: float, *, bold: bool, monospaced: bool
) -> _Piece:
    """Return a piece of text with its place: both matrices multiplied, then turned to lie flat."""
    across = (tm[0] * cm[0] + tm[1] * cm[2], tm[0] * cm[1] + tm[1] * cm[3])
    up = (tm[2] * cm[0] + tm[3] * cm[2], tm[2] * cm[1] + tm[3] * cm[3])
    x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
    y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
    angle = round(math.degrees(math.atan2(across[1], across[0]))) if any(across) else 0
    turn = math.radians(-angle)
    flat = (x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn))
    return _Piece(text, *flat, abs(size) * math.hypot(*up), angle, bold, monospaced)


def _is_monospaced(name: str, font: Any) -> bool:
    """Return whether the letters of a font are all of one width: as it says, or by its name."""
    told = font.get("/Widths")
    widths = [width.get_object() for width in told.get_object()] if told is not None else []
    letters = [width for width in widths if width]
    one_width = len(letters) >= FEWEST_LETTERS and len(set(letters)) == 1
    return one_width or _MONOSPACED.search(name) is not None


def _divided(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Yield the pieces of each line."""
    line: list[_Piece] = []
    for piece in pieces:
        first, *others = piece.text.split("\n")
        line.append(replace(piece, text=first))
        for other in others:
            yield line
            line = [replace(piece, text=other)]
    yield line


def _line(pieces: Sequence[_Piece], number: int) -> Line | None:
    """Return the line that `pieces` make, None where it has no words."""
    words = cleaned("".join(piece.text for piece in pieces))
    written = [piece for piece in pieces if piece.text.strip()]
    if not words or not written:
        return None
    first = written[0]
    largest: dict[float, int] = {}
    for piece in written:
        largest[piece.size] = largest.get(piece.size, 0) + len(piece.text)
    return Line(
        words,
        number,
        first.x,
        first.y,
        max(largest, key=lambda size: largest[size]),
        first.angle,
        bold=all(piece.bold for piece in written),
        monospaced=all(piece.monospaced for piece in written),
    )


def cleaned(text: str) -> str:
    """Return the words of a line: ligatures as their letters, nothing that cannot be shown, single spaces."""
    text = text.translate(_LIGATURES)
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    kept = (
        character if character.isprintable() or character.isspace() else _unprintable(character)
        for character in text
    )
    words = " ".join("".join(kept).split())
    # A soft hyphen is seen at the end of a line alone, and there it says that the word goes on.
    whole = " ".join(words.replace("\xad", "").split())
    return f"{whole}\xad" if whole and words.endswith("\xad") else whole


def _unprintable(character: str) -> str:
    """Return what stays of a character that is not printed: marks that join letters, and private signs."""
    return character if character in "\u200c\u200d\xad" or "\ue000" <= character <= "\uf8ff" else ""


def _with_bullets(lines: Iterator[Line | None]) -> Iterator[Line]:
    """Yield the lines, a bullet that stands alone joined with the words beside it."""
    bullet: Line | None = None
    for line in lines:
        if line is None:
            continue
        if (
            bullet is not None
            and abs(bullet.y - line.y) < SAME_LINE * line.size
            and bullet.angle == line.angle
        ):
            yield replace(line, words=f"{bullet.words} {line.words}", x=bullet.x)
            bullet = None
            continue
        if bullet is not None:
            yield bullet
            bullet = None
        if _BULLET_ALONE.fullmatch(line.words):
            bullet = line
        else:
            yield line
    if bullet is not None:
        yield bullet
