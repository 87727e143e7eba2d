"""What a short form stands for: whether a question asks for it, and whether a text says it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.analysis import Word, words
from index.vocabulary import Vocabulary

ASKS = re.compile(
    r"\b(?:stands? for|(?:short|shorthand) for|(?:full|long|expanded|unabbreviated) (?:form|name|version)"
    r"|acronym|initialism|abbreviat(?:ion|ed|es?)|spelled out|written out)\b",
    re.I,
)
ASKING = re.compile(
    r"(?:stands?|short|shorthand|form|full|long|name|version|expanded|unabbreviated|acronym|initialism"
    r"|abbreviat\w+|spelled|written|letters?|words?|means?|meaning)",
    re.I,
)
"""Words that say what is asked, and are not what it is asked of."""

SAYS = re.compile(
    r"\b(?:stands? for|(?:short|shorthand) for|acronym|initialism|abbreviat\w+"
    r"|(?:contraction|shortening) of)\b",
    re.I,
)
SHORT = re.compile(r"[^\W_][\w&.-]{0,9}")
ITSELF = re.compile(r"\W{0,4}(?:it|this|that|the (?:name|acronym|abbreviation|letters?))\b", re.I)
"""How a sentence begins whose subject is the short form of the sentence before."""

BEHIND = re.compile(r"\W{0,4}(?:\(|[:=–—-]|is\b|means?\b|or\b|,)\W{0,4}")
"""Between a short form and the long one behind it."""

LONGEST_BEFORE = 120
"""Code points before a bracket in which the long form is looked for."""

PHRASE = re.compile(r"[^()\[\].,;:]{1,120}")
QUOTES = "\"'‘“_ "
MARKS = re.compile(r"[*`]")
SMALL = frozenset(
    ("a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "per", "the", "to", "with")
)
"""Words of a long form that a short one may leave out."""


def asked_of(question: str, found: Sequence[Word], vocabulary: Vocabulary) -> str | None:
    """Return the short form whose long form a question asks for, as the corpus spells it, or None."""
    if not ASKS.search(question):
        return None
    left = [word.text for word in found if not word.is_stopword and not ASKING.fullmatch(word.text)]
    if len(left) != 1 or not SHORT.fullmatch(left[0]):
        return None
    return left[0] if is_short_form(left[0]) else vocabulary.spelled(left[0])


def is_short_form(name: str) -> bool:
    """Return whether a name is written as a short form is: with two capitals at least."""
    return sum(character.isupper() for character in name) > 1


def long_form(short: str, before: str) -> str | None:
    """Return the words at the end of a text that a short form behind it stands for, or None.

    After Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions in
    biomedical text" (2003): the letters of the short form are looked for from the right, and the
    first must begin a word.
    """
    at = len(before)
    for number, letter in enumerate(reversed(short)):
        if not letter.isalnum():
            continue
        first = number == len(short) - 1
        at -= 1
        while at >= 0 and not (
            before[at].casefold() == letter.casefold()
            and (not first or at == 0 or not before[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return None
    long = before[at:]
    longest = min(len(short) + 5, len(short) * 2)
    if not 1 < len(long.split()) <= longest or "\n" in long or short in long.split():
        return None
    return long


def expands(short: str, texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """Return float64 (texts,): 1 for a text that says what `short` stands for, else -1.

    0 for the others when `short` is not written as a short form is: "What does llama stand for?" may have
    answers that spell nothing out. `labels` are the row labels of cells.
    """
    other = -1.0 if is_short_form(short) else 0.0
    return np.array(
        [1.0 if _says(short, *one) else other for one in zip(texts, labels, strict=True)], dtype=np.float64
    )


def _says(short: str, text: str, label: str) -> bool:
    text = MARKS.sub("", text)  # as in `**C**reate, **R**ead, **U**pdate, **D**elete`
    if SAYS.search(text) and (ITSELF.match(text) or short.casefold() in text.casefold()):
        return True
    return spelled_out(short, text, label)


def spelled_out(short: str, text: str, label: str = "") -> bool:
    """Return whether a text says what a short form stands for; `label` is that of a cell's row, if any."""
    if label.strip().casefold() == short.casefold() and _is_long(short, text):
        return True
    for word in words(text):
        if word.text.casefold() != short.casefold():
            continue
        before = text[max(0, word.span.start - LONGEST_BEFORE) : word.span.start].rstrip(QUOTES)
        if before.endswith("(") and long_form(short, before.rstrip(QUOTES + "(")):
            return True
        between = BEHIND.match(text, word.span.end)
        if between and _is_long(short, text[between.end() :]):
            return True
    return _has_initials(short, text)


def _is_long(short: str, text: str) -> bool:
    """Return whether a text begins with the long form of a short one."""
    found = PHRASE.match(text.lstrip(QUOTES))
    parts = found.group().split() if found else []
    begun = [" ".join(parts[:count]) for count in range(2, len(parts) + 1)]
    return any(long_form(short, one) == one for one in begun)


def _has_initials(short: str, text: str) -> bool:
    """Return whether words that follow each other begin with the letters of a short form of three or more."""
    letters = [letter for letter in short.casefold() if letter.isalnum()]
    if len(letters) < 3 or not is_short_form(short):
        return False
    begins = [word.text[0].casefold() for word in words(text) if word.text.lower() not in SMALL]
    return any(begins[at : at + len(letters)] == letters for at in range(len(begins)))
