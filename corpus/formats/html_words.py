"""The words of a run of text on a page: white space as a browser shows it, raised and lowered figures."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborNode

from corpus.formats.figures import lowered, raised
from corpus.formats.html_nodes import BLOCKS, is_hidden, walk

_UNSEEN = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF))
"""Soft hyphens and spaces without width: where a line may be broken."""

_ANCHOR = re.compile(r"[¶§#🔗\uf0c1\s]*")
_REFERENCE = 6  # characters of a footnote's number, with its brackets
_SPACE = re.compile(r"\s+")


class Words:
    """The words since the last block, piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._open: list[int] = []
        self._said = False

    def add(self, text: str) -> None:
        """Take in text as it stands in the source."""
        self._pieces.append(_SPACE.sub(" ", text))
        self._said = self._said or not text.isspace()

    def add_image(self, description: str) -> None:
        """Take in what an image shows, which counts only beside words."""
        self._pieces.append(f" {_SPACE.sub(' ', description)} ")

    def end_line(self) -> None:
        """Begin a new line."""
        self._pieces.append("\n")

    def enter(self) -> None:
        """Remember that an element begins whose words may be changed when it ends."""
        self._open.append(len(self._pieces))

    def leave(self, node: LexborNode) -> None:
        """Change the words of an element that ends: figures are raised, links to their own place go."""
        begin = self._open.pop()
        words = "".join(self._pieces[begin:])
        if not words.strip():
            return
        changed = words
        if node.tag == "a":
            changed = "" if _ANCHOR.fullmatch(words) else words
        elif node.tag == "sup":
            note = len(words.strip()) <= _REFERENCE and node.css_first("a[href^='#']") is not None
            changed = "" if note else raised(words)
        elif node.tag == "sub":
            changed = lowered(words)
        if changed is not words:
            self._pieces[begin:] = [changed]

    def take(self) -> list[str]:
        """Return the paragraphs so far, their lines divided by a line feed, and begin anew."""
        text = "".join(self._pieces).translate(_UNSEEN) if self._said else ""
        self._pieces.clear()
        self._open = [0 for _ in self._open]
        self._said = False
        found: list[list[str]] = [[]]
        for line in text.split("\n"):
            if words := " ".join(line.split()):
                found[-1].append(words)
            elif found[-1]:
                found.append([])
        return ["\n".join(lines) for lines in found if lines]


def flat(node: LexborNode) -> str:
    """Return all that is shown inside of `node`, on one line."""
    words = Words()

    def enters(inner: LexborNode) -> bool:
        tag = inner.tag or ""
        if tag == "-text":
            words.add(inner.text_content or "")
            return False
        if tag[:1] in "-!" or is_hidden(tag, inner.attributes):
            return False
        if tag == "img":
            words.add(f" {inner.attributes.get('alt') or ''} ")
        elif tag == "br" or tag in BLOCKS:
            words.add(" ")
        elif tag in ("a", "sub", "sup"):
            words.enter()
        return tag != "button"

    def leaves(inner: LexborNode) -> None:
        if inner.tag in BLOCKS:
            words.add(" ")
        elif inner.tag in ("a", "sub", "sup"):
            words.leave(inner)

    walk(node, enters, leaves)
    return " ".join(words.take())
