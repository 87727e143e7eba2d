"""Fragments put into the question before them: `and Team?` in the place of `Plus`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpus.document import Span
from index.analysis import terms
from service.antecedent import joined, subjects_of
from service.asked import ENDING
from service.wording import (
    AUXILIARIES,
    CALENDAR,
    DETERMINERS,
    PREPOSITIONS,
    Known,
    Token,
    Wording,
    read_wording,
)

MEASURING = ("per", "as", "like", "than")
"""What stands behind these is not replaced without them: `per month` by `storage`."""

PLAIN_CAPITAL = re.compile(r"[A-Z][a-z]+")
"""How the members of a family are often named: `Plus` and `Team` of Ostrelio."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """What is put into an earlier question: `for the rye tin loaf`."""

    wording: Wording
    preposition: str
    body: Span
    """Without the preposition."""

    @property
    def text(self) -> str:
        """Return its words, the preposition too."""
        return self.wording.text

    @property
    def determiner(self) -> bool:
        """Return whether it begins with the, a, my ..."""
        return self.body.of(self.text).partition(" ")[0].lower() in DETERMINERS

    @property
    def bare(self) -> str:
        """Return its words without preposition and determiner."""
        body = self.body.of(self.text)
        # `the free one` is `free`
        body = body.split(maxsplit=1)[1] if self.determiner and " " in body else body
        return re.sub(r"(?<=\w) ones?$", "", body)


def read_fragment(text: str, known: Known, *, begins: bool) -> Fragment:
    """Return `text` as a fragment; `begins` where nothing announced it."""
    first, _, rest = text.partition(" ")
    preposition = first.lower() if first.lower() in PREPOSITIONS and rest.strip() else ""
    start = len(text) - len(rest.lstrip()) if preposition else 0
    return Fragment(read_wording(text, known, begins=begins), preposition, Span(start, len(text)))


def filled(fragment: Fragment, frame: Wording, known: Known) -> str:
    """Return the question `frame` with the fragment in the place of what is parallel to it."""
    behind = _adjunct(fragment)
    if behind:  # `and PyTorch in academia?` for `Why is TensorFlow preferred in industry?`
        first = read_fragment(fragment.text[:behind].rstrip(), known, begins=False)
        frame = read_wording(filled(first, frame, known), known)
        fragment = read_fragment(fragment.text[behind:], known, begins=False)
    place = (
        _compared(fragment, frame, known)
        or _named(fragment, frame, known)
        or _beside_name(fragment, frame)
        or _numbered(fragment, frame)
        or _phrased(fragment, frame)
    )
    if place is None:
        return _about(fragment, frame) or f"{frame.text.rstrip(ENDING)} {fragment.text}?"
    span, new = place
    return frame.text[: span.start] + new + frame.text[span.end :]


def _adjunct(fragment: Fragment) -> int:
    """Return where a preposition behind the fragment's name begins; 0 for none."""
    if not fragment.wording.names:
        return 0
    tokens = fragment.wording.tokens
    behind = [token for token in tokens if token.span.start > fragment.wording.names[0].end]
    return next((token.span.start for token in behind if token.lower in PREPOSITIONS), 0)


Place = tuple[Span, str]
"""What is replaced in the frame, and by what."""


def _compared(fragment: Fragment, frame: Wording, known: Known) -> Place | None:
    """Find a name that the corpus compares with the one in the fragment: `Plus` for `Team`."""
    wanted = {word.casefold() for word in fragment.bare.split()} or {""}
    for span in reversed(frame.names):
        for part in _parts(frame, span):
            for other in known.vocabulary.rivals(part.of(frame.text)):
                if other not in frame.named and wanted <= {word.casefold() for word in other.split()}:
                    return part, other
    return None


def _parts(frame: Wording, span: Span) -> list[Span]:
    """Return a name and, behind it, its ends: `Ostrelio Plus`, `Plus`."""
    starts = [token.span.start for token in frame.tokens if span.contains(token.span)]
    return [Span(start, span.end) for start in starts]


def _named(fragment: Fragment, frame: Wording, known: Known) -> Place | None:
    """Find the name that the name in the fragment takes the place of."""
    if not fragment.wording.names or not frame.names:
        return None
    name = fragment.wording.names[0]
    rivals = {one.casefold() for one in known.vocabulary.rivals(name.of(fragment.text))}
    own = set(terms(name.of(fragment.text)))

    def fit(span: Span) -> tuple[bool, bool, bool, int]:
        text = span.of(frame.text)
        same = bool(fragment.preposition) and frame.before(span) == fragment.preposition
        return (text.casefold() in rivals, bool(own & set(terms(text))), same, span.start)

    best = max(frame.names, key=fit)
    if name.of(fragment.text).casefold() in {one.casefold() for one in frame.named}:
        return _alone(frame, name.of(fragment.text))
    if fragment.preposition not in ("", "for", "of", "with", "about") and not any(fit(best)[:3]):
        return None
    extra = len(fragment.wording.content) > 0
    if _is_member(name.of(fragment.text), known):
        best = _family_member(frame, best)
    behind = _behind(frame, best) if extra else best.end
    return Span(best.start, behind), fragment.bare


def _alone(frame: Wording, name: str) -> Place:
    """Return the place where names are joined, for the one of them that is asked about; else no change."""
    first, last = frame.names[0], frame.names[-1]
    joins = frame.text[first.end : last.start].strip() in ("and", "or")
    return (Span(first.start, last.end), name) if joins else (Span(0, 0), "")


def _is_member(name: str, known: Known) -> bool:
    return PLAIN_CAPITAL.fullmatch(name) is not None and known.is_word(name.lower())


def _family_member(frame: Wording, span: Span) -> Span:
    """Return the last word of a name of several if it is spelled like a member of a family."""
    last = _parts(frame, span)[-1]
    return last if PLAIN_CAPITAL.fullmatch(last.of(frame.text)) else span


def _behind(frame: Wording, span: Span) -> int:
    """Return where the words that belong to a name end: `for PyTorch model deployment`."""
    before = [token.lower for token in frame.tokens if token.span.end <= span.start][-2:]
    if not before or before[-1] not in DETERMINERS | PREPOSITIONS:
        return span.end
    ends = [span.end, *(token.span.end for token in _following(frame, span))]
    # `does the Plus plan cost`: behind an auxiliary and a subject comes the verb.
    drops = len(ends) > 1 and before[0] in AUXILIARIES and ends[-1] == frame.tokens[-1].span.end
    return ends[-1 - drops]


def _following(frame: Wording, span: Span) -> list[Token]:
    """Return the content words right behind a name."""
    found: list[Token] = []
    for token in frame.tokens:
        if token.span.start > span.end:
            if not token.has_content:
                break
            found.append(token)
    return found


def _beside_name(fragment: Fragment, frame: Wording) -> Place | None:
    """Find a name with a noun in common: `the Team plan` for `the free plan`."""
    own = {term for token in fragment.wording.content for term in terms(token.lower)}
    for span in frame.names:
        for token in _following(frame, span):
            if own & set(terms(token.lower)):
                return Span(_family_member(frame, span).start, token.span.end), fragment.bare
    return None


def _numbered(fragment: Fragment, frame: Wording) -> Place | None:
    """Find the number of the same shape: `3.2.1` for `3.2.0`."""
    shape = _shape(fragment.bare)
    if not any(one.isdigit() for one in shape) or " " in fragment.bare.strip():
        return None
    shapes = [(_shape(one.span.of(frame.text)), one.span) for one in frame.tokens]
    same = [span for other, span in shapes if other == shape]
    alike = [span for other, span in shapes if set(other) == set(shape)]
    return ((same or alike)[-1], fragment.bare) if same or alike else None


def _shape(text: str) -> str:
    """Return how a number or code is written, each run of digits as one: `3.2.1` as `9.9.9`."""
    return re.sub(r"\d+", "9", text)


def _phrased(fragment: Fragment, frame: Wording) -> Place | None:
    """Find the noun phrase that is parallel: with a word in common, the same preposition or article."""
    own = {term for token in fragment.wording.tokens if token.has_content for term in terms(token.lower)}
    for phrase in reversed(frame.phrases):
        if own & set(terms(phrase.span.of(frame.text))):
            keeps = phrase.determiner and not fragment.determiner
            determiner = phrase.span.of(frame.text).split()[0] + " " if keeps else ""
            return phrase.span, determiner + fragment.body.of(fragment.text)
    if fragment.preposition:
        same = [one for one in frame.phrases if one.preposition == fragment.preposition]
    elif CALENDAR.fullmatch(fragment.bare) or fragment.wording.names or fragment.bare.endswith("ing"):
        same = []
    else:
        same = [
            one
            for one in frame.phrases
            if one.determiner == fragment.determiner and one.preposition not in MEASURING
        ]
        # `What is the capacity of the lamp?`, `and the weight?`: what is asked for comes first.
        same = same[:1] if fragment.determiner else sorted(same, key=lambda one: not one.asked)
    return (same[-1].span, fragment.body.of(fragment.text)) if same else None


def _about(fragment: Fragment, frame: Wording) -> str:
    """Return the fragment as a question about the frame's names; empty if it is nothing of theirs."""
    names = subjects_of(frame)
    if fragment.preposition or fragment.wording.names or CALENDAR.fullmatch(fragment.bare) or not names:
        return ""
    return f"What about {fragment.text} for {joined(names)}?"


def without_preposition(text: str) -> str:
    """Return the words behind the preposition that a text begins with, if it does."""
    first, _, rest = text.partition(" ")
    return rest if first.lower() in PREPOSITIONS else text
