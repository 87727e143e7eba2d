"""A file's bytes in, a Document with exact places out: one module per format."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable
from pathlib import PurePosixPath

from corpus.document import Document
from corpus.formats import markdown, plaintext
from corpus.formats.plain import plain
from corpus.formats.reading import Reading

__all__ = ["SUFFIXES", "UnreadableDocument", "UnsupportedFormat", "parse", "plain"]

SUFFIXES: dict[str, str] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdown": "markdown",
    ".txt": "text",
    ".text": "text",
}
"""The format of a file by its extension, in lower case."""

_READERS: dict[str, Callable[[str], Reading]] = {"markdown": markdown.read, "text": plaintext.read}


class UnreadableDocument(Exception):
    """The bytes are not a document of the format their name promises."""


class UnsupportedFormat(UnreadableDocument):
    """The file's extension stands for no format that can be read."""


def parse(document_id: str, data: bytes) -> Document:
    """Return the Document in `data`, read as the format that the extension of `document_id` names."""
    path = PurePosixPath(document_id)
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        seen = f"the extension {path.suffix!r}" if path.suffix else "no extension"
        raise UnsupportedFormat(f"{document_id} has {seen}; save it as one of {', '.join(SUFFIXES)}")
    text = _decode(data)
    reading = _READERS[form](text)
    return Document(
        id=document_id,
        title=reading.title or _from_name(path.stem),
        text=text,
        sha=hashlib.sha256(text.encode("utf-8")).hexdigest(),
        format=form,
        blocks=reading.blocks,
        fields=reading.fields,
    )


def _decode(data: bytes) -> str:
    """Return the text in `data` without a byte order mark and otherwise unaltered."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16") if utf16 else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        name = "UTF-16" if utf16 else "UTF-8"
        # utf-8-sig counts from behind the mark, people count from the start of the file.
        offset = error.start + (len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0)
        seen = f"byte 0x{data[offset]:02x} at offset {offset}" if offset < len(data) else "an incomplete end"
        raise UnreadableDocument(f"not {name}: {seen}; save the file as UTF-8") from error
    if (offset := text.find("\0")) >= 0:
        raise UnreadableDocument(
            f"looks binary: NUL character at offset {offset}; save the document as UTF-8 text"
        )
    return text


def _from_name(stem: str) -> str:
    """Return a title made of a file's name."""
    return " ".join(stem.replace("-", " ").replace("_", " ").split()) or stem
