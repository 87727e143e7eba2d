"""A file's bytes in, a Document with exact places out: one reader a format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import PurePosixPath

from corpus.document import Document
from corpus.formats import confined, markdown, plaintext
from corpus.formats.encodings import decode
from corpus.formats.plain import plain
from corpus.formats.reading import Extract, Reading, UnreadableDocument, UnsupportedFormat

__all__ = [
    "MEDIA_TYPES",
    "SUFFIXES",
    "UnreadableDocument",
    "UnsupportedFormat",
    "form_of",
    "parse",
    "plain",
]

SUFFIXES: dict[str, str] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".csv": "csv",
    ".tsv": "tsv",
}
"""The format of a file by its extension, in lower case."""

MEDIA_TYPES: dict[str, str] = {
    "markdown": "text/markdown",
    "text": "text/plain",
    "html": "text/html",
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
}
"""The media type of each format that can be read."""

_READERS: dict[str, Callable[[str], Reading]] = {"markdown": markdown.read, "text": plaintext.read}
"""Formats whose text is the file's own and whose readers are ours. All others go to the child process."""

_confined = confined.Confined()


def form_of(document_id: str) -> str | None:
    """Return the format that the extension of `document_id` stands for, None where it stands for none."""
    return SUFFIXES.get(PurePosixPath(document_id).suffix.lower())


def parse(document_id: str, data: bytes, *, form: str | None = None) -> Document:
    """Return the Document in `data`, read as `form` or else as the extension of `document_id` says.

    Raises UnreadableDocument, whose message says what was seen and what to do, and nothing else.
    """
    path = PurePosixPath(document_id)
    if form is None:
        form = form_of(document_id)
    elif form not in MEDIA_TYPES:
        raise UnsupportedFormat(f"there is no format {form!r}; use one of {', '.join(MEDIA_TYPES)}")
    if form is None:
        seen = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        raise UnsupportedFormat(f"{document_id} has {seen}; save it as one of {', '.join(SUFFIXES)}")
    reader = _READERS.get(form)
    fields: tuple[tuple[str, str], ...] = ()
    if reader is None:
        extract = _confined.read(form, data)
    else:
        text = decode(data)
        reading = reader(text)
        extract, fields = Extract(text, reading.title, reading.blocks), reading.fields
    return Document(
        id=document_id,
        title=extract.title or _from_name(path.stem),
        text=extract.text,
        sha=hashlib.sha256(extract.text.encode("utf-8")).hexdigest(),
        format=form,
        blocks=extract.blocks,
        fields=fields,
        pages=extract.pages,
    )


def _from_name(stem: str) -> str:
    """Return a title made of a file's name."""
    return " ".join(stem.replace("-", " ").replace("_", " ").split()) or stem
