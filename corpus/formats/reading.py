"""What a format makes of a text, before it is a Document."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.document import Block


@dataclass(frozen=True, slots=True)
class Reading:
    """The blocks of a text, with the title and the fields it declares (empty where it has none)."""

    title: str
    blocks: tuple[Block, ...]
    fields: tuple[tuple[str, str], ...] = ()
