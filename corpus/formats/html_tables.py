"""Tables of a page: which of them are data, and the cells of those."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

from corpus.formats import grids
from corpus.formats.grids import Slot
from corpus.formats.html_nodes import is_hidden, names
from corpus.formats.html_words import flat
from corpus.formats.writing import Writing

LONGEST_DESCRIPTION = 1000
"""Characters of what stands beside a term; more than that does not fit into a passage with it."""

_LAID_OUT = names("table h1 h2 h3 h4 h5 h6 form hr")
_DESCRIBED = names("dl ul ol table pre blockquote h1 h2 h3 h4 h5 h6")
_PARAGRAPHS = 3  # in one cell of a table without a header: that cell is a column of a page

_NUMBER = re.compile(r"\s*\+?(\d{1,6})")
_MOST_ACROSS = 1000  # as in the HTML standard


def is_data(table: LexborNode) -> bool:
    """Return whether a table holds data, and does not just put parts of the page side by side."""
    role = table.attributes.get("role")
    if role in ("presentation", "none"):
        return False
    if _holds(table, _LAID_OUT):
        return False
    if table.css_first("th, thead, caption") is not None:
        return True
    rows = [list(_children(row, ("td", "th"))) for part in _parts(table) for row in part]
    if len(rows) < 2 or max(map(len, rows)) < 2:
        return False
    return not any(len(cell.css("p, ul, ol, pre, blockquote")) >= _PARAGRAPHS for row in rows for cell in row)


def write(writing: Writing, table: LexborNode) -> None:
    """Write a table of data, its caption before it."""
    for caption in _children(table, ("caption",)):
        writing.add_paragraph(flat(caption))
    rows: list[list[Slot]] = []
    headers = named = 0
    for part in _parts(table):
        for number, row in enumerate(part):
            cells = list(_children(row, ("td", "th")))
            slots = [_slot(cell, len(part) - number) for cell in cells]
            rows.append(slots)
            said = [cell for cell, slot in zip(cells, slots, strict=True) if slot.words]
            if len(rows) == headers + 1 and (not said or (row.parent and row.parent.tag == "thead")):
                headers += 1
            if len(rows) == named + 1 and all(cell.tag == "th" for cell in said):
                named += 1
    grids.write(writing, rows, headers or (named if named < len(rows) else 0) or None)


Described = str | list[tuple[str, str]]
"""What a node of a `dl` is written as: the words of a caption, the rows of a table, nothing where empty."""


def described(listed: LexborNode) -> dict[int, Described]:
    """Return by `mem_id` what the terms of a `dl`, and descriptions of a few words, are written as.

    Terms with such descriptions are rows, those that follow each other one table; a term whose description
    holds lists, code or much else is the caption of what is there. Terms that share a description are named
    together. What is not returned is to be written as it stands.
    """
    found: dict[int, Described] = {}
    rows: list[tuple[str, str]] | None = None
    for terms, told in _groups(listed):
        named = [] if any(_holds(one, _DESCRIBED) for one in terms) else [flat(one) for one in terms]
        name = ", ".join(dict.fromkeys(named)) if all(named) else ""
        if not name or not told:
            rows = None
            continue
        if any(_holds(one, _DESCRIBED) for one in told) or any(
            len(flat(one)) > LONGEST_DESCRIPTION for one in told
        ):
            rows = None
            if name.endswith("?"):
                continue  # a question leads in to all of its answer, and not to the first block alone
            found |= dict.fromkeys((one.mem_id for one in terms), "") | {terms[0].mem_id: name}
            continue
        found |= dict.fromkeys((one.mem_id for one in (*terms, *told)), "")
        if rows is None:
            rows = found[terms[0].mem_id] = []
        rows.extend((name, flat(one)) for one in told)
    return found


def _groups(listed: LexborNode) -> list[tuple[list[LexborNode], list[LexborNode]]]:
    """Return the terms of a `dl` that share descriptions, with those."""
    found: list[tuple[list[LexborNode], list[LexborNode]]] = []
    for part in _children(listed, ("dt", "dd", "div")):
        for one in _children(part, ("dt", "dd")) if part.tag == "div" else (part,):
            if not found or (one.tag == "dt" and found[-1][1]):
                found.append(([], []))
            found[-1][one.tag == "dd"].append(one)
    return found


def _parts(table: LexborNode) -> list[list[LexborNode]]:
    """Return the rows of each part of a table, those of its foot last. No cell spans two parts."""
    parts: list[list[LexborNode]] = [[]]
    feet: list[list[LexborNode]] = []
    for part in _children(table, ("tr", "thead", "tbody", "tfoot")):
        if part.tag == "tr":
            parts[-1].append(part)
        elif part.tag == "tfoot":
            feet.append(list(_children(part, ("tr",))))
        else:
            parts += [list(_children(part, ("tr",))), []]
    return [part for part in parts + feet if part]


def _holds(node: LexborNode, tags: frozenset[str]) -> bool:
    """Return whether an element with one of `tags` stands inside of `node`."""
    return any(inner.tag in tags and inner.mem_id != node.mem_id for inner in node.traverse())


def _children(node: LexborNode, tags: tuple[str, ...]) -> Iterator[LexborNode]:
    """Yield the shown children of `node` with one of `tags`."""
    child = node.child
    while child is not None:
        if child.tag in tags and not is_hidden(child.tag or "", child.attributes):
            yield child
        child = child.next


def _slot(cell: LexborNode, left: int) -> Slot:
    words = flat(cell)
    bold = cell.css_first("b, strong") if cell.tag == "td" else None
    return Slot(
        words,
        min(max(_number(cell, "colspan", 1), 1), _MOST_ACROSS),
        min(_number(cell, "rowspan", 1) or left, left),  # 0: down to the end
        strong=cell.tag == "th" or (bold is not None and flat(bold) == words),
    )


def _number(cell: LexborNode, name: str, otherwise: int) -> int:
    found = _NUMBER.match(cell.attributes.get(name) or "")
    return int(found[1]) if found else otherwise
