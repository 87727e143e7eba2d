"""What a format makes of a file, before it is a Document, and why it may make nothing of it."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.document import Block


class UnreadableDocument(Exception):
    """The bytes are not a document of the format their name promises, or not one that can be read."""


class UnsupportedFormat(UnreadableDocument):
    """The file's extension stands for no format that can be read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The blocks of a text, with the title and the fields it declares (empty where it has none)."""

    title: str
    blocks: tuple[Block, ...]
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Extract:
    """The text taken out of a file that is more than text, and the blocks in it."""

    text: str
    title: str
    blocks: tuple[Block, ...]
    pages: tuple[int, ...] = ()
    """As in `Document.pages`."""
