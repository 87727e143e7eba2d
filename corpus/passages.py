"""A document's passages: what is indexed, cut along its own structure.

Pure: the same document and the same token counter give the same passages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from corpus.atoms import Atom, atoms
from corpus.document import Block, BlockKind, Candidate, CandidateKind, Document, Passage, Span
from corpus.formats.plain import plain

CountTokens = Callable[[str], int]
"""How many tokens the encoder makes of a text, its special tokens not counted."""

DATED = re.compile(
    r"\b(?:19|20)\d\d\b|\b\d{1,2}\.? (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|"
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2}\b",
    re.I,
)
"""A heading with a date."""

LED = (BlockKind.LIST_ITEM, BlockKind.CODE)
"""What a line that ends in a colon leads in to; after a question anything may follow."""

ELLIPTIC = re.compile(r"\W*defaults?\b", re.I)
"""How a sentence begins that says something of what its block begins with, and does not name it."""

ATTRIBUTE = re.compile(r"\W{0,4}(?:[\w-]+ ){0,3}[\w-]+\W{0,4}:\W{0,3}(?:\s|\Z)")
"""How a line begins that tells one thing of what it stands under: `Type: number`."""

GENERAL = re.compile(r"description|overview|introduction|intro|summary|about|abstract|purpose", re.I)
"""A heading that says nothing of a subject: that is the one above it."""

CONTEXT_SHARE = 4
"""Title and headings take at most this fraction (1/4) of the window; the innermost headings stay."""

FILL_TOKENS = 60
"""A passage shorter than this takes in the next block of its section, so that one-line paragraphs do not
stand alone. On the manuals set R@1 is 0.845, 0.865, 0.865 and 0.868 for 0, 30, 60 and 100, R@5 0.947
for all."""

FULL_TOKENS = 180
"""A run of list items or short paragraphs stops growing here, though the window could hold more: a vector
of many things is near to none (manuals, R@1: 0.868, 0.865 and 0.861 for 120, 180 and 240)."""


def passages(document: Document, count_tokens: CountTokens, *, window: int) -> tuple[Passage, ...]:
    """Return the passages of `document`, in its order and disjoint.

    `window` is the most tokens that the encoder reads at once, special tokens not counted. Every
    `embedded` text stays within it, so nothing is cut off in silence; every visible character lies in
    a passage or in a heading above one. Raises ValueError when the window cannot hold a single word.
    """
    found: list[Passage] = []
    for headings, blocks in _sections(document.blocks):
        context = _context(document, headings, count_tokens, window // CONTEXT_SHARE)
        room = window - count_tokens(context)
        spans = tuple(heading.content for heading in headings)
        fitting: list[Passage] = []
        for run in _runs(atoms(document.text, blocks, count_tokens, room), room):
            fitting.extend(_fitting(document, spans, context, run, count_tokens, window))
        if fitting:
            fitting[0] = _opened(document, headings, fitting[0])
        # A heading that is its own section's text does not stand right behind the one above it.
        if headings and fitting and blocks[0].kind is not BlockKind.HEADING:
            fitting[0] = _with_heading(document, headings[-1], fitting[0])
        found.extend(fitting)
    return tuple(found)


def _with_heading(document: Document, heading: Block, first: Passage) -> Passage:
    """Return the first passage under a heading with that heading as a candidate, where it has a date.

    The headings of a changelog or of minutes are often the only place that says when.
    """
    words = plain(document.text, heading.content, heading.markup)
    at = first.context - len(words) - 1
    if not DATED.search(words) or first.embedded[max(at, 0) : first.context] != f"{words}\n":
        return first
    one = Candidate(
        CandidateKind.SENTENCE,
        heading.content,
        Span(at, at + len(words)),
        statement=first.embedded[: first.context - 1],
        block=BlockKind.HEADING,
    )
    return replace(first, span=Span(heading.span.start, first.span.end), candidates=(one, *first.candidates))


def subject(names: Sequence[str]) -> Sequence[str]:
    """Return the last of some names of title and headings, outermost first, that says what it is all about.

    With those behind it that say nothing of a subject: "Description".
    """
    at = len(names) - 1
    while at > 0 and GENERAL.fullmatch(names[at].strip()):
        at -= 1
    return names[max(at, 0) :]


def _opened(document: Document, headings: Sequence[Block], first: Passage) -> Passage:
    """Return the first passage of a section with the section's heading as the label of its first sentence.

    "This defines which packages are bundled" is about what it stands under. Lines such as "Type: number" and
    code may come before it; of those only a default is labelled.
    """
    name = " > ".join(subject(_names(document, headings)))
    at = first.context - len(name) - 1
    if not name or at < 0 or first.embedded[at : first.context] != f"{name}\n":
        return first
    label, opening = Span(at, at + len(name)), Span(0, 0)
    candidates = list(first.candidates)
    for number, one in enumerate(candidates):
        words = one.embedded.of(first.embedded)
        if opening:
            if not opening.contains(one.embedded):
                break
        elif one.row_label_embedded is not None:
            break
        elif ATTRIBUTE.match(words):
            if not ELLIPTIC.match(words):
                continue
        elif one.block is BlockKind.PARAGRAPH:
            opening = one.embedded
        elif one.block is BlockKind.CODE:
            continue
        else:
            break
        candidates[number] = _led(one, label)
    return replace(first, candidates=tuple(candidates))


def _sections(blocks: Sequence[Block]) -> Iterator[tuple[tuple[Block, ...], list[Block]]]:
    """Yield each heading path with the blocks under it.

    A heading that has neither text nor a deeper heading below it is its own section's text, or its
    words would be in no passage.
    """
    path: list[Block] = []
    body: list[Block] = []
    for block, following in zip(blocks, [*blocks[1:], None], strict=False):
        if block.kind is BlockKind.HEADING:
            while path and path[-1].level >= block.level:
                path.pop()
            if _is_leaf(block, following):
                yield tuple(path), [block]
            path.append(block)
        else:
            body.append(block)
        if body and (following is None or following.kind is BlockKind.HEADING):
            yield tuple(path), body
            body = []


def _is_leaf(heading: Block, following: Block | None) -> bool:
    if following is None:
        return True
    return following.kind is BlockKind.HEADING and following.level <= heading.level


def _names(document: Document, headings: Sequence[Block]) -> list[str]:
    """Return the words of title and headings, outermost first."""
    names = [plain(document.text, heading.content, heading.markup) for heading in headings]
    if document.title not in names:
        names.insert(0, document.title)
    return [name for name in names if name]


def _context(document: Document, headings: Sequence[Block], count_tokens: CountTokens, room: int) -> str:
    """Return title and headings as the line that goes in front of a passage's words, or ""."""
    names = _names(document, headings)
    while names:
        line = " > ".join(names) + "\n"
        if count_tokens(line) <= room:
            return line
        names.pop(0)
    return ""


def _runs(parts: Sequence[Atom], room: int) -> Iterator[list[Atom]]:
    """Yield the atoms of one section in the runs that become passages."""
    full = min(FULL_TOKENS, room)
    run: list[Atom] = []
    for block in _by_block(parts):
        size = sum(atom.tokens for atom in block)
        held = sum(atom.tokens for atom in run)
        if run and held + size > room:
            yield run
            run, held = [], 0
        if run and not _joins(run, held, block, size, full):
            yield run
            run = []
        if size > room:
            *whole, run = _balanced(block, room)
            yield from whole
        else:
            run = [*run, *block]
    if run:
        yield run


def _joins(run: Sequence[Atom], held: int, block: Sequence[Atom], size: int, full: int) -> bool:
    """Return whether the next block belongs to the passage begun: a list with its lead-in, a short line."""
    if held + size > full:
        return False
    same = run[-1].kind is block[0].kind and block[0].kind is BlockKind.LIST_ITEM
    leads_in = run[-1].text.endswith(":") or run[-1].kind is BlockKind.CAPTION
    return same or leads_in or held < FILL_TOKENS or size < FILL_TOKENS // 2


def _by_block(parts: Sequence[Atom]) -> Iterator[list[Atom]]:
    block: list[Atom] = []
    for atom in parts:
        if atom.opens_block and block:
            yield block
            block = []
        block.append(atom)
    if block:
        yield block


def _balanced(block: Sequence[Atom], room: int) -> list[list[Atom]]:
    """Return a block too long for one passage as runs of about equal length, each within `room`."""
    total = sum(atom.tokens for atom in block)
    share = total / -(-total // room)
    runs: list[list[Atom]] = [[]]
    held = 0
    for atom in block:
        if runs[-1] and (held + atom.tokens > room or held + atom.tokens / 2 > share):
            runs.append([])
            held = 0
        runs[-1].append(atom)
        held += atom.tokens
    return runs


def _fitting(
    document: Document,
    headings: tuple[Span, ...],
    context: str,
    run: Sequence[Atom],
    count_tokens: CountTokens,
    window: int,
) -> Iterator[Passage]:
    """Yield `run` as one passage, or as halves where the joined text has more tokens than its parts."""
    passage = _passage(headings, context, run)
    if count_tokens(passage.embedded) <= window:
        yield passage
    elif len(run) > 1:
        middle = len(run) // 2
        for half in (run[:middle], run[middle:]):
            yield from _fitting(document, headings, context, half, count_tokens, window)
    elif context:
        yield from _fitting(document, headings, "", run, count_tokens, window)
    else:
        raise ValueError(
            f"{document.id}: the text at {run[0].span.start} does not fit a window of {window} tokens; "
            "use a model with a longer window"
        )


def _passage(headings: tuple[Span, ...], context: str, run: Sequence[Atom]) -> Passage:
    embedded = context
    candidates: list[Candidate] = []
    lead: tuple[Atom, Span] | None = None
    begun: Span | None = None
    for number, atom in enumerate(run):
        if number:
            embedded += "\n" if atom.opens_line else " "
        moved = [_moved(candidate, len(embedded)) for candidate in atom.candidates]
        if lead and lead[0].kind is BlockKind.CAPTION and atom.opens_block and run[number - 1] is not lead[0]:
            lead = None
        place = Span(len(embedded), len(embedded) + len(atom.text))
        leads = atom.kind is BlockKind.CAPTION or (atom.text.endswith((":", "?")) and atom.kind not in LED)
        led = lead is not None and not leads and _is_led(atom, lead[0])
        if atom.opens_block:
            begun = place
        label = begun if _goes_on(atom) else lead[1] if lead and led else None
        candidates.extend(moved if label is None else (_led(one, label) for one in moved))
        if not led:
            lead = (atom, place) if leads else None
        embedded += atom.text
    return Passage(
        span=Span(run[0].span.start, run[-1].span.end),
        headings=headings,
        candidates=tuple(candidates),
        embedded=embedded,
        context=len(context),
    )


def _is_led(atom: Atom, lead: Atom) -> bool:
    """Return whether `lead` leads in to `atom`: to a list or code, to an answer, to what a caption names."""
    return atom.kind in LED or lead.kind is BlockKind.CAPTION or lead.text.endswith("?")


def _goes_on(atom: Atom) -> bool:
    """Return whether `atom` says more of what its block begins with: of an item, or what its default is."""
    return not atom.opens_block and (
        atom.kind is BlockKind.LIST_ITEM or ELLIPTIC.match(atom.text) is not None
    )


def _led(candidate: Candidate, lead: Span) -> Candidate:
    """Return a candidate with what gives it its meaning: what leads in to it, or how its item begins."""
    if candidate.kind is CandidateKind.CELL:
        return candidate
    return replace(candidate, row_label_embedded=lead)


def _moved(candidate: Candidate, by: int) -> Candidate:
    """Return the candidate with its places in the embedded text moved behind what stands before it."""

    def shift(span: Span | None) -> Span | None:
        return None if span is None else Span(span.start + by, span.end + by)

    return replace(
        candidate,
        embedded=Span(candidate.embedded.start + by, candidate.embedded.end + by),
        row_label_embedded=shift(candidate.row_label_embedded),
        column_header_embedded=shift(candidate.column_header_embedded),
    )
