"""Which parts of a PDF are headings, by its outline and by how they are set, and of which level."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from corpus.formats.pdf_layout import HEADING_SIZE, ITEM, Group, Manner, Outline, plain_title

MOST_LEVEL = 6
LONGEST_HEADING = 120
"""Characters."""

SHORTEST_TEXT = 40
"""Characters below a line in bold that make a heading of it, and not a label in a drawing or a table."""

MOST_LABELS = 0.25
"""Of the parts of a page: where more of them are lines in bold, it is a drawing, and they are its labels."""


_CAPTION = re.compile(r"(?:figure|fig\.|table|abbildung|tabelle)\s*\d", re.IGNORECASE)


def name_headings(found: Sequence[Group], how: Manner, outline: Outline) -> None:
    """Say which groups are headings, of which level: those of the outline, and those that are set as such.

    Where the outline names most of what is set in a size, what it leaves out is none.
    """
    known: dict[float, int] = {}
    named: Counter[float] = Counter()
    for group in found:
        level = outline.get((group.first.page, plain_title(group.words)), 0)
        if level and len(group.words) <= 2 * LONGEST_HEADING:
            group.heading = level
            named[_set(group, how)] += 1
            known.setdefault(_set(group, how), level)
    looks = [
        group
        for group, following in zip_longest(found, found[1:])
        if not group.heading and _looks_like_one(group, how) and _heads(group, following, how)
    ]
    parts = Counter(group.first.page for group in found)
    labels = Counter(group.first.page for group in looks if not _set(group, how))
    crowded = {page for page, count in labels.items() if count > max(1, MOST_LABELS * parts[page])}
    looks = [group for group in looks if _set(group, how) or group.first.page not in crowded]
    left = Counter(_set(group, how) for group in looks)
    levels = {size: level for size, level in known.items() if named[size] < left[size]}
    deepest = max(known.values(), default=0)
    others = sorted((size for size in left if size not in known), reverse=True)
    above = [size for size in others if known and size > max(known)]
    for rank, size in enumerate((size for size in others if size not in above), start=1):
        levels[size] = deepest + rank
    for group in looks:
        size = _set(group, how)
        group.heading = min(1 if size in above else levels.get(size, 0), MOST_LEVEL)


def _set(group: Group, how: Manner) -> float:
    """Return how large a heading is set; one no larger than the text stands below all others."""
    size = round(group.first.size * 2) / 2
    return size if size >= HEADING_SIZE * how.size else 0.0


def _looks_like_one(group: Group, how: Manner) -> bool:
    words = group.words
    if len(words) > LONGEST_HEADING or not any(character.isalpha() for character in words) or group.is_code():
        return False
    if words.endswith((".", ",", ";", ":")) or words[0].islower() or group.first.angle:
        return False
    if _CAPTION.match(words) or (ITEM.match(words) and not words[0].isalnum()):
        return False
    large = group.first.size >= HEADING_SIZE * how.size
    bold = all(line.bold for line in group.lines) and not how.bold and group.first.size >= 0.95 * how.size
    return large or (bold and len(group.lines) == 1)


def _heads(group: Group, following: Group | None, how: Manner) -> bool:
    """Return whether there is text below what looks like a heading; one in large letters needs none."""
    if _set(group, how):
        return True
    if following is None:
        return False
    text = len(following.words) >= SHORTEST_TEXT or following.words.endswith((".", ":", "?"))
    return following.marker() > 0 or text
