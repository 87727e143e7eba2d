"""A PDF with a text layer: paragraphs, list items, code, and headings where the file or its type tells."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, EmptyFileError, LimitReachedError, PyPdfError

from corpus.document import BlockKind
from corpus.formats import pdf_headings, pdf_layout, pdf_margins
from corpus.formats.pdf_headings import MOST_LEVEL
from corpus.formats.pdf_layout import Group, Manner
from corpus.formats.pdf_lines import Line, lines_of
from corpus.formats.reading import Extract, UnreadableDocument
from corpus.formats.writing import Writing

UNREADABLE_SHARE = 0.3
"""Of the signs of a text. Where more than these stand for no letter, the fonts do not say what they show."""

_STUMBLES = (
    *(PyPdfError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    NotImplementedError,  # for a file that says it is locked in a way that nobody knows
)
_OPEN_AND_SAVE = "open it in a viewer and print it to PDF anew"
_LOCKED = "is encrypted with AES; save a copy without encryption"
_NO_TITLE = re.compile(
    r"untitled.*|microsoft (?:word|powerpoint|excel).*|powerpoint presentation|(?:slide|document) ?\d*|"
    r".*\.(?:docx?|pptx?|xlsx?|pdf|tex|dvi|indd|qxd|rtf|html?|odt|fm|ps)",
    re.IGNORECASE,
)


def read(data: bytes) -> Extract:
    """Return the text of a PDF; raise UnreadableDocument for one that is locked, damaged or all pictures."""
    reader = _opened(data)
    pages = list(_pages(reader))
    how = pdf_layout.manner(pages)
    _check(pages)
    kept = pdf_margins.without(pages, how.size)
    outline = _outline(reader)
    found = pdf_layout.groups(kept if any(kept) else pages, how, outline)
    pdf_headings.name_headings(found, how, outline)
    writing, starts = _written(found, how)
    title = _title(reader, pages, writing)
    whole = writing.extract(title)
    return Extract(whole.text, title, whole.blocks, _page_starts(starts, len(pages), len(whole.text)))


def _opened(data: bytes) -> PdfReader:
    """Return a reader that can read the file."""
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableDocument("is protected by a password; save a copy without one")
        return reader
    except DependencyError as error:
        raise UnreadableDocument(_LOCKED) from error
    except EmptyFileError as error:
        raise UnreadableDocument("is empty") from error
    except _STUMBLES as error:
        raise UnreadableDocument(f"is no PDF or a damaged one ({_said(error)}); {_OPEN_AND_SAVE}") from error


def _pages(reader: PdfReader) -> Iterator[list[Line]]:
    """Yield the lines of each page."""
    number = 0
    fonts: dict[str, bool] = {}
    try:
        for number, page in enumerate(reader.pages):
            yield lines_of(page, number, fonts)
    except DependencyError as error:
        if reader.is_encrypted:
            raise UnreadableDocument(_LOCKED) from error
        raise UnreadableDocument(
            f"needs a decoder that is not here ({_said(error)}); {_OPEN_AND_SAVE}"
        ) from error
    except LimitReachedError as error:
        raise UnreadableDocument(
            f"asks for too much on page {number + 1} ({_said(error)}); {_OPEN_AND_SAVE}"
        ) from error
    except _STUMBLES as error:
        raise UnreadableDocument(
            f"is damaged: page {number + 1} cannot be read ({_said(error)}); {_OPEN_AND_SAVE}"
        ) from error


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _check(pages: Sequence[Sequence[Line]]) -> None:
    """Raise UnreadableDocument where there is no text, or none that means anything."""
    signs = "".join(line.words for page in pages for line in page)
    unknown = sum(sign == "\ufffd" or "\ue000" <= sign <= "\uf8ff" for sign in signs)
    if unknown > UNREADABLE_SHARE * len(signs):
        raise UnreadableDocument(
            f"has fonts that do not say which letters they show ({unknown} of {len(signs)} are unknown); "
            "have its text recognized (OCR) and save that"
        )
    if not any(sign.isalnum() for sign in signs):
        count = f"{len(pages)} page" + ("" if len(pages) == 1 else "s")
        raise UnreadableDocument(
            f"has no text layer ({count} of pictures, or empty); have its text recognized (OCR) and save that"
            if pages
            else f"has no pages; {_OPEN_AND_SAVE}"
        )


def _outline(reader: PdfReader) -> dict[tuple[int, str], int]:
    """Return the level of each heading that the file's outline names, by its page and letters."""
    found: dict[tuple[int, str], int] = {}
    try:
        waiting: list[tuple[Any, int]] = [(one, 1) for one in reversed(reader.outline)]
        while waiting:
            one, level = waiting.pop()
            if isinstance(one, list):
                waiting += [(inner, level + 1) for inner in reversed(one)]
                continue
            page = reader.get_destination_page_number(one)
            title = pdf_layout.plain_title(str(one.title or ""))
            if page is not None and title:
                found.setdefault((page, title), min(level, MOST_LEVEL))
    except _STUMBLES:
        return {}  # an outline helps; a damaged one is no reason to refuse the text
    return found


def _written(found: Sequence[Group], how: Manner) -> tuple[Writing, list[tuple[int, int]]]:
    """Return the groups written one behind the other, and where each line's page stands: (page, place)."""
    writing = Writing()
    starts: list[tuple[int, int]] = []
    open_columns: list[float] = []
    for group, is_code in pdf_layout.code_apart(found, how):
        text, offsets = pdf_layout.joined(group.lines, how, code=is_code)
        marker = 0 if is_code else group.marker()
        if not marker:
            open_columns.clear()
        if group.heading:
            begin = writing.add(BlockKind.HEADING, text.replace("\n", " "), level=group.heading)
        elif is_code:
            begin = writing.add(BlockKind.CODE, text)
        elif marker:
            while open_columns and open_columns[-1] >= group.first.x - group.first.size / 4:
                open_columns.pop()
            open_columns.append(group.first.x)
            level = min(len(open_columns), MOST_LEVEL)
            begin = writing.add(
                BlockKind.LIST_ITEM, text[marker:], level=level, marker=text[:marker], indent=2 * level - 2
            )
        else:
            begin = writing.add(BlockKind.PARAGRAPH, text)
        lead = marker + (len(text[marker:]) - len(text[marker:].lstrip()))
        starts += [
            (line.page, begin + max(offset - lead, -marker))
            for line, offset in zip(group.lines, offsets, strict=True)
        ]
    return writing, starts


def _page_starts(starts: Sequence[tuple[int, int]], count: int, end: int) -> tuple[int, ...]:
    """Return where each page begins: at the first line of it, or of a page behind it."""
    first = [end] * count
    for page, place in starts:
        first[page] = min(first[page], place)
    for page in range(count - 2, -1, -1):
        first[page] = min(first[page], first[page + 1])
    return tuple(first)


def _title(reader: PdfReader, pages: Sequence[Sequence[Line]], writing: Writing) -> str:
    """Return the title that the file tells, if its first pages show it too, or else its first heading."""
    try:
        told = " ".join(str((reader.metadata and reader.metadata.title) or "").split())
    except _STUMBLES:
        told = ""
    told = "".join(sign for sign in told if sign.isprintable() and not "\ud800" <= sign <= "\udfff")
    if _NO_TITLE.fullmatch(told):
        told = ""
    heading = writing.first_heading(1)
    shown = _letters(" ".join(line.words for page in pages[:2] for line in page))
    return told if told and (_letters(told) in shown or not heading) else heading


def _letters(words: str) -> str:
    return "".join(sign for sign in words.casefold() if sign.isalnum())
