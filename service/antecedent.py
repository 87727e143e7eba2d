"""What a conversation is about: the thing, group, person or place that a pronoun stands for.

Only a user's own questions and answers that were given are read; a refusal is a source of nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.document import Span
from index.analysis import terms
from service.wording import CALENDAR, DETERMINERS, FUNCTION_WORDS, Known, Phrase, Wording, read_wording

LONGEST_ANTECEDENT = 80
"""Code points that a pronoun is replaced by at most: a name or a short phrase, no sentence."""

SHORT_ANSWER = 8
"""An answer of so many words or fewer can stand in a question."""

PERSONS = ("who", "whom", "whose", "who's")

REFUSAL = re.compile(
    r"\W*(?:"
    r"(?:(?:i['’]?m|i am|we are|we['’]?re)\s+)?(?:so |very )?(?:sorry|afraid|unable)\b"
    r"|not (?:found|in|covered|mentioned|available|answered|stated|known)\b|(?:n/?a|none|unknown|null)\W*$"
    r"|(?:there (?:is|was) )?(?:no|nothing|not enough|insufficient)\b.{0,30}?"
    r"\b(?:answers?|information|mention|results?|documents?|match(?:es)?|found|passages?|sources?)\b"
    r"|(?:i|we) (?:can(?:no|['’])t|(?:could|do|did)(?: not|n['’]t)|was unable|were unable|have no)\b"
    r"|(?:that|this|it|the (?:answer|question)) (?:(?:is|was)(?: not|n['’]t)|can(?:not|['’]t)) (?:be )?"
    r"(?:in|found|covered|mentioned|stated|answered|available)\b"
    r"|(?:the|my|our|your|these) (?:\w+ )?(?:documents?|docs|sources?|texts?|corpus|articles?|passages?)"
    r" (?:do(?:es)?|did|is|are|has|have|hold|contain|say)s? ?(?:not\b|n['’]t\b|no\b|nothing\b)"
    r")",
    re.I,
)
"""How a server begins when it says that it has no answer."""

DATED = re.compile(rf" (?:in|on|of|from) (?:{CALENDAR.pattern}|\d+)(?: \d+)*\b", re.I)
"""What tells one meeting from another: `in March`, `of 2024`."""

ANSWER_MARKS = re.compile(r"\[\^?\d+\]|[*`“”\"]")
"""Notes and quotation marks around an answer as it was shown."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question that stands alone, and what was answered to it; empty for nothing."""

    question: Wording
    answer: str
    refused: bool


Talk = Sequence[Exchange]
"""The exchanges so far, the latest last."""


def is_refusal(content: str) -> bool:
    """Return whether an assistant's turn says that there is no answer."""
    return not any(one.isalnum() for one in content) or REFUSAL.match(content) is not None


def shown_answer(content: str, known: Known) -> str:
    """Return the first line of an answer as it can stand in a sentence, without notes and quotation marks."""
    lines = (line.strip() for line in ANSWER_MARKS.sub("", content).splitlines())
    line = next((line for line in lines if line), "").rstrip(" .")
    first, _, rest = line.partition(" ")
    small = first.lower()
    # A name's first word stands in small letters too where it begins a cell: its second word tells.
    plain = small in known.vocabulary and known.vocabulary.spelled(small) == small and rest[:1].islower()
    return f"{small} {rest}" if rest and (plain or small in FUNCTION_WORDS - {"i"}) else line


def short_answer(exchange: Exchange) -> str:
    """Return the answer as words that can stand in a question: `finance and e-commerce`; empty if too long.

    An answer that goes on in the question's words (`... leverage TensorFlow`) ends before them.
    """
    question = exchange.question
    asked = next((one.span for one in question.phrases if one.asked), None)
    own = [one for one in question.tokens if asked is None or not asked.contains(one.span)]
    echoed = {term for one in own if one.has_content or one.is_name for term in terms(one.lower)}
    found = list(re.finditer(r"\S+", exchange.answer))
    end = next(
        (number for number, word in enumerate(found) if number and echoed & set(terms(word.group()))),
        len(found),
    )
    if not 0 < end <= SHORT_ANSWER:
        return ""
    return _short(exchange.answer[: found[end - 1].end()].rstrip(" ,;:"))


def thing(talk: Talk, known: Known, *, plural: bool = False) -> str:
    """Return what `it` stands for: the latest name, or the noun phrase asked about; empty for none."""
    fallback = ""
    for exchange in reversed(talk):
        found = _named(exchange.question) or _unnamed(exchange, known, plural=plural)
        if found and (exchange.question.names or not exchange.refused):
            return found
        fallback = fallback or found
    return fallback


def group(talk: Talk, known: Known) -> str:
    """Return what `they` stands for: names asked about together, those who were asked for, or a company."""
    if not talk:
        return ""
    latest = talk[-1]
    names = names_of(latest.question)
    pair = _in_parallel(talk, known)
    if len(names) > 1 or pair:
        return joined(pair or names)
    asked = next((one for one in latest.question.phrases if one.asked), None)
    if _asks_for_person(latest.question) or (asked and _is_plural(latest.question, asked)):
        found = short_answer(latest) or (asked.span.of(latest.question.text) if asked else "")
        if found:
            return found
    return thing(talk, known, plural=True)


def person(talk: Talk, known: Known) -> str:
    """Return whom `he` or `she` stands for: the answer to who, or a name in an answer."""
    for exchange in reversed(talk):
        if exchange.answer:
            named = _names_in_answer(exchange, known)
            found = short_answer(exchange) if _asks_for_person(exchange.question) else ""
            if found or named:
                return (named[-1] if len(found.split()) > 4 and named else found) or named[-1]
    return thing(talk, known)


def rival(talk: Talk, known: Known) -> str:
    """Return what `the other one` stands for: what the corpus or the talk sets beside the latest name."""
    mentioned = [name for exchange in reversed(talk) for name in names_of(exchange.question)]
    if not mentioned:
        return ""
    compared = known.vocabulary.rivals(mentioned[0])
    others = [name for name in mentioned if name.casefold() != mentioned[0].casefold()]
    return next((name for name in others if name in compared), (compared + others + [""])[0])


def alternatives(talk: Talk, known: Known) -> tuple[str, ...]:
    """Return the two things that a choice is between, in the order they were named; empty for none."""
    pair = _in_parallel(talk, known)
    if pair:
        return (pair[0], pair[1])
    for exchange in reversed(talk):
        names = exchange.question.named
        if len(names) > 1:
            return (names[0], names[1])
        if names:
            other = rival(talk, known)
            return (names[0], other) if other else ()
    return ()


def topic(talk: Talk, known: Known, *, only_names: bool) -> str:
    """Return what a question is about that does not say it: the latest names, else the latest thing."""
    named = next((one.question for one in reversed(talk) if one.question.names), None)
    if named is not None and (only_names or named is talk[-1].question):
        return joined(subjects_of(named))
    return "" if only_names else thing(talk, known)


def last_asked(talk: Talk) -> Exchange:
    """Return the exchange that `why?` asks about: the latest that was not refused, else the latest."""
    return next((one for one in reversed(talk) if not one.refused), talk[-1])


def _in_parallel(talk: Talk, known: Known) -> list[str]:
    """Return the names that the last two questions asked the same about: `Who made A?`, `And B?`."""
    if len(talk) < 2:
        return []
    earlier, latest = talk[-2].question, talk[-1].question
    if len(earlier.named) != 1 or len(latest.named) != 1 or earlier.named == latest.named:
        return []
    (one,), (other,) = earlier.named, latest.named
    alike = earlier.text.replace(one, "") == latest.text.replace(other, "")
    return [one, other] if alike or other in known.vocabulary.rivals(one) else []


def names_of(question: Wording) -> list[str]:
    """Return the names in a question, what it is about first."""
    return list(dict.fromkeys(_short(span.of(question.text)) for _, span in _ranked(question)))


def subjects_of(question: Wording) -> list[str]:
    """Return the names that a question is about, without those of a place or circumstance."""
    ranked = _ranked(question)
    return list(
        dict.fromkeys(_short(span.of(question.text)) for rank, span in ranked if rank == ranked[0][0])
    )


def _ranked(question: Wording) -> list[tuple[int, Span]]:
    """Return the names by rank: those that no preposition announces, those with `of`, the others."""
    ranks: list[int] = []
    for number, span in enumerate(question.names):
        before = question.before(span)
        between = question.text[question.names[number - 1].end : span.start].strip() if number else ""
        paired = between in ("and", "or", ",", ", and", ", or")
        ranks.append(ranks[-1] if paired else 0 if not before else 1 if before == "of" else 2)
    return sorted(zip(ranks, question.names, strict=True), key=lambda one: (one[0], one[1].start))


def joined(names: Sequence[str]) -> str:
    """Return names as one phrase: `A, B and C`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _named(question: Wording) -> str:
    """Return the name a question is about; with what is in it, if that is what it asks about."""
    names = names_of(question)
    if not names:
        return ""
    place = next(span for span in question.names if _short(span.of(question.text)) == names[0])
    if question.before(place) in ("in", "on", "at", "from", "with"):
        for phrase in question.phrases:
            between = question.text[phrase.span.end : place.start].split()
            near = len(between) == 1 or (len(between) == 2 and between[1].lower() in DETERMINERS)
            if phrase.determiner and near and phrase.span.end < place.start:
                return _short(question.text[phrase.span.start : place.end])
    return names[0]


def _unnamed(exchange: Exchange, known: Known, *, plural: bool) -> str:
    """Return what a question without a name is about."""
    question = exchange.question
    asked = next((one for one in question.phrases if one.asked), None)
    if asked is not None and exchange.answer:
        named = _names_in_answer(exchange, known)
        found = named[0] if named else short_answer(exchange)
        if found and not any(one.isdigit() for one in found):
            return found
    fitting = [one for one in question.phrases if _is_plural(question, one) == plural]
    fitting = fitting or (list(question.phrases) if plural else [])
    best = sorted(fitting, key=lambda one: (one.asked, not one.determiner, one.span.start))
    return _short(_with_complement(question, best[0])) if best else ""


def _with_complement(question: Wording, phrase: Phrase) -> str:
    """Return a noun phrase with the one that `of` or `for` ties to it: `the return period for tools`."""
    for other in question.phrases:
        between = question.text[phrase.span.end : other.span.start]
        if other.span.start > phrase.span.end and between.strip() in ("of", "for"):
            return question.text[phrase.span.start : other.span.end]
    dated = DATED.match(question.text, phrase.span.end)
    return question.text[phrase.span.start : dated.end() if dated else phrase.span.end]


def _is_plural(question: Wording, phrase: Phrase) -> bool:
    last = phrase.span.of(question.text).split()[-1].lower()
    return last.endswith("s") and not last.endswith(("ss", "us", "is"))


def _asks_for_person(question: Wording) -> bool:
    return any(token.lower in PERSONS for token in question.tokens[:3])


def _names_in_answer(exchange: Exchange, known: Known) -> list[str]:
    return [found for name in read_wording(exchange.answer, known).named if (found := _short(name))]


def _short(text: str) -> str:
    """Return a text of one line, empty if it is too long to stand for a pronoun."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_ANTECEDENT else ""
