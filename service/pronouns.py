"""Pronouns of a question replaced by what they stand for: `it`, `their`, `that lamp`, `the other one`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from corpus.document import Span
from service import antecedent
from service.antecedent import Talk
from service.wording import (
    AUXILIARIES,
    BE,
    DETERMINERS,
    DO,
    HAVE,
    MODALS,
    PREPOSITIONS,
    SUBJECTS,
    Known,
    Token,
    Wording,
    word_set,
)

Place = tuple[Span, str]
"""A part of a question and what takes its place."""

POSSESSIVE = {"its", "their", "theirs", "his", "hers"}
THINGS = {"it", "its", "itself"}
GROUPS = {"they", "them", "their", "theirs", "themselves"}
PERSONS = {"he", "she", "him", "her", "his", "hers"}
DEMONSTRATIVES = {"that", "this", "these", "those"}
CLAUSE = word_set("and but or if when after before because that so while once which who")
"""Words behind which a pronoun may stand for something in its own question: `buy a lamp and return it`."""

MOTION = word_set("get go come travel drive walk reach send ship move")
"""Behind these, `there` is `to` a place."""

DEICTIC = re.compile(
    r"(?:document|page|article|policy|guide|manual|site|website|handbook|text|section|chapter|faq|report|file"
    r"|list|table|year|month|week|day|morning|evening|season|time|way|kind|sort|moment|point)s?"
)
"""What `this` points at without anything having been said of it."""

JUDGED = (
    r"true|possible|likely|necessary|allowed|important|ok|okay|clear|better|best|worth|common|"
    r"hard|easy|safe|required|advisable|recommended|normal|legal|enough|time|fine|good|bad|too|"
    r"permitted|difficult|sensible"
)
EXPLETIVE = re.compile(
    rf"it (?:be )?(?:still |really |also )?(?:(?:{JUDGED})\b.*\b(?:to|that|if|when|whether|\w+ing)\b"
    r"|(?:takes?|took|taking|costs?)\b.* to\b|(?:rain|snow)(?:s|ing|ed)?\b)",
    re.I | re.S,
)
"""`is it true that`, `does it take ... to`: the word stands for nothing."""

JUDGEMENT = re.compile(
    r"(?:is|was|isn['’]t|wasn['’]t) (?:it|that|this) (?:really |all |actually )?"
    r"(?:true|correct|right|so|possible|ok|okay|certain|sure|wrong|all)\W*"
    r"|(?:who|where) (?:says?|said) (?:that|so|it|this)\W*",
    re.I,
)
"""`is that true?` asks about what was said, not about a thing."""

VERBS = word_set(
    "include cost mean work happen take apply cover help need require make change affect come",
    "go use run last expire start begin end stop have support count matter exist say show",
    "contain depend differ",
)

CLOCK = re.compile(r"\bwhat (?:time|day|date|year) is it\b", re.I)

CHOICES = re.compile(
    r"\bthe (?:(?P<side>former|latter)|(?P<number>first|second)(?: one|(?=\W*$))"
    r"|(?P<other>other)(?: ones?)?(?! (?:day|hand|side|way|half|end|party|direction)s?\b))\b"
    r"(?P<noun>(?<=other) [a-z]+(?=\W*$))?",
    re.I,
)
"""One of two: `the latter`, `the first one`, `the other framework`."""

COMPARING = re.compile(
    r"\b(?:differ|differences?|compared?|comparison|alike|each|both|between|in common)\b", re.I
)
"""What is said of two things at once."""

THE_ONE = re.compile(r"\b(?:this|that|the) one\b", re.I)


def applied(question: str, places: Sequence[Place]) -> str:
    """Return the question with each place replaced."""
    parts: list[str] = []
    behind = 0
    for span, new in places:
        parts += [question[behind : span.start], new]
        behind = span.end
    return "".join([*parts, question[behind:]])


def resolved(question: Wording, talk: Talk, known: Known) -> list[Place]:
    """Return the places of the question's pronouns and what they stand for, in order."""
    found = [one for one in _choices(question, talk, known) if one[1]]
    for at, token in enumerate(question.tokens):
        if any(span.overlaps(token.span) for span, _ in found):
            continue
        place = _place(question, at, talk, known)
        if place is not None and place[1]:
            found.append(place)
    return sorted(found, key=lambda one: one[0].start)


def _choices(question: Wording, talk: Talk, known: Known) -> Iterator[Place]:
    """Yield `the other one`, `the former`, `the latter`, `that one`."""
    for match in CHOICES.finditer(question.text):
        pair = antecedent.alternatives(talk, known)
        if match["other"]:
            chosen = antecedent.rival(talk, known)
        else:
            second = (match["side"] or match["number"]).lower() in ("latter", "second")
            chosen = pair[second] if pair else ""
        if chosen:
            noun = match["noun"] or ""
            yield Span(match.start(), match.end()), f"the {chosen}{noun}" if noun else chosen
    for match in THE_ONE.finditer(question.text):
        yield Span(match.start(), match.end()), antecedent.thing(talk, known)


def _place(question: Wording, at: int, talk: Talk, known: Known) -> Place | None:
    token = question.tokens[at]
    if token.lower in DEMONSTRATIVES:
        return _demonstrative(question, at, talk, known)
    if token.lower == "there":
        return _there(question.tokens, at, talk, known)
    if token.lower == "both":
        pair = antecedent.alternatives(talk, known)
        behind = _at(question.tokens, at + 1)
        listed = behind is not None and (behind.is_name or behind.lower in DETERMINERS)
        return (token.span, f"both {antecedent.joined(pair)}") if pair and not listed else None
    possessive = token.lower in POSSESSIVE or (
        token.lower == "her"
        and _at(question.tokens, at + 1) is not None
        and question.tokens[at + 1].has_content
    )
    stands_for: Callable[[Talk, Known], str]
    if token.lower in THINGS and not _is_expletive(question.text, token):
        stands_for = antecedent.thing
    elif token.lower in GROUPS:
        stands_for = antecedent.group
    elif token.lower in PERSONS:
        stands_for = antecedent.person
    else:
        return None
    if _stands_inside(question, at, possessive=possessive):
        return None
    found = stands_for(talk, known)
    if token.lower in GROUPS and COMPARING.search(question.text):
        found = antecedent.joined(antecedent.alternatives(talk, known) or (found,))
    return token.span, _possessive(found) if possessive and found else found


def _possessive(name: str) -> str:
    return name + ("'" if name.endswith("s") else "'s")


def _is_expletive(text: str, token: Token) -> bool:
    if EXPLETIVE.match(text, token.span.start):
        return True
    return any(match.end() == token.span.end for match in CLOCK.finditer(text))


def _stands_inside(question: Wording, at: int, *, possessive: bool) -> bool:
    """Return whether a pronoun may stand for something named before it in its own question.

    In one clause it cannot: in `does TensorFlow support it?` it is something else.
    """
    place = question.tokens[at].span
    earlier = [*question.names, *(one.span for one in question.phrases)]
    for span in earlier:
        between = [one.lower for one in question.tokens if span.end <= one.span.start < place.start]
        if span.end > place.start:
            continue
        if set(between) & CLAUSE or "," in question.text[span.end : place.start]:
            return True
        if possessive and not (between and between[0] in PREPOSITIONS and len(between) == 1):
            return True
    return False


def _at(tokens: Sequence[Token], number: int) -> Token | None:
    return tokens[number] if 0 <= number < len(tokens) else None


def _demonstrative(question: Wording, at: int, talk: Talk, known: Known) -> Place | None:
    """Return what `that`, `this lamp` or `those` stands for; None for what joins clauses or points."""
    tokens, token = question.tokens, question.tokens[at]
    before, behind = _at(tokens, at - 1), _at(tokens, at + 1)
    stands_for = antecedent.group if token.lower in ("these", "those") else antecedent.thing
    if behind is None:
        return token.span, stands_for(talk, known)
    joins = before is not None and (before.has_content or before.is_name)
    if not behind.has_content:
        clause = behind.is_name or behind.lower in DETERMINERS | SUBJECTS | AUXILIARIES | {"who", "which"}
        plain = before is None or before.lower in AUXILIARIES
        if (joins and behind.lower not in PREPOSITIONS) or (clause and not plain):
            return None
        return (token.span, stands_for(talk, known)) if not behind.is_name else None
    if joins or DEICTIC.fullmatch(behind.lower) or (before and before.lower in ("so", "such", "all")):
        return None
    last = at + 2 == len(tokens)
    acts = before is not None and before.lower in DO | MODALS
    manner = tokens[0].lower in ("how", "when", "where", "why")
    judged = before is not None and before.lower in BE and (at == 1 or manner)
    if acts and behind.lower in ("mean", "stand") and talk:
        return token.span, antecedent.short_answer(talk[-1]) or stands_for(talk, known)
    if acts and behind.lower in VERBS:
        return token.span, stands_for(talk, known)
    alone = last or not question.tokens[at + 2].has_content
    if (last and acts) or (alone and judged):  # `does that cost`, `is that better for`
        return token.span, stands_for(talk, known)
    return _with_noun(question, at, drops=acts, stands_for=stands_for(talk, known))


def _with_noun(question: Wording, at: int, *, drops: bool, stands_for: str) -> Place | None:
    """Return what `that lamp` stands for, with its noun."""
    end = at + 1
    while end < len(question.tokens) and question.tokens[end].has_content:
        end += 1
    end -= drops and end - at > 2
    span = Span(question.tokens[at].span.start, question.tokens[end - 1].span.end)
    noun = question.text[question.tokens[at + 1].span.start : span.end]
    if not stands_for:
        return None
    if noun.lower() in stands_for.lower():
        return span, stands_for
    named = len(stands_for.split()) <= 3
    return span, f"the {stands_for} {noun}" if named else f"the {noun} ({stands_for})"


def _there(tokens: Sequence[Token], at: int, talk: Talk, known: Known) -> Place | None:
    """Return the place that `there` stands for; None in `is there`."""
    before, behind = _at(tokens, at - 1), _at(tokens, at + 1)
    exists = BE | HAVE | MODALS | {"exist", "seem"}
    if any(one is not None and one.lower in exists for one in (before, behind)):
        return None
    found = antecedent.thing(talk, known)
    if not found or before is None or before.lower in PREPOSITIONS:
        return tokens[at].span, found
    return tokens[at].span, f"to {found}" if before.lower in MOTION else f"at {found}"
