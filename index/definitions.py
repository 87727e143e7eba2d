"""What documents say of words: acronyms that they define, names that they compare; and the alias file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from corpus.document import BlockKind, Document, Passage
from corpus.formats import plain
from index.analysis import words
from index.expansions import is_short_form, long_form

ALIAS_FILE = "pullquote.aliases"
"""In the corpus folder: `tf = TensorFlow`, one a line, `#` begins a comment."""

IN_BRACKETS = re.compile(r"\(([^\W\d_][\w&.-]{1,9})\)")


def acronyms(found: Iterable[Passage]) -> Iterator[tuple[str, str]]:
    """Yield (short, long) for each `Long Form (LF)` in the passages."""
    seen: set[tuple[str, str]] = set()
    for passage in found:
        for match in IN_BRACKETS.finditer(passage.embedded):
            short = match.group(1)
            before = passage.embedded[max(0, match.start() - 120) : match.start()].rstrip()
            long = long_form(short, before) if is_short_form(short) else None
            if long is not None and (short, long) not in seen:
                seen.add((short, long))
                yield short, long


def rivals(document: Document) -> Iterator[tuple[str, ...]]:
    """Yield for each table the column headers that name things compared: all but the first column's."""
    for block in document.blocks:
        if block.kind is not BlockKind.TABLE or block.header is None:
            continue
        names = tuple(plain(document.text, cell.span, cell.markup) for cell in block.header.cells[1:])
        if len(names) > 1 and all(names) and all(name[0].isupper() for name in names):
            yield names


def read_aliases(data: bytes) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """Return the (short, long) pairs of an alias file, and what is wrong with it, if anything.

    A line that cannot be read is named by its number and left out; the others hold.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return (
            (),
            f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; save the file as UTF-8",
        )
    pairs: list[tuple[str, str]] = []
    wrong: list[int] = []
    for number, line in enumerate(lines, start=1):
        bare = line.partition("#")[0].strip()
        short, equals, long = (part.strip() for part in bare.partition("="))
        if equals and short and long and len(list(words(short))) == 1:
            pairs.append((short, long))
        elif bare:
            wrong.append(number)
    shown = ", ".join(map(str, wrong[:5]))
    return tuple(pairs), f"line {shown}: write `one-word = what it stands for`" if wrong else None
