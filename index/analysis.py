"""Words of a text, as the terms that are matched and counted.

A word keeps what makes it a name (`C++`, `TensorFlow.js`, `2.13.0`, `TFX`); inflected forms share a
stem; a compound (`TensorFlow.js`, `max_retries`, `define-by-run`, `TensorFlow`) is also found by its parts.
The options of a command that are one letter (`-e`) keep their hyphen and their case: `-E` is another one.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

from corpus.document import Span

WORD = re.compile(r"[^\W_](?:[\w'’.+#&/-]*[\w+#])?", re.UNICODE)
"""One class repeated, so it is linear; what it takes too much is cut in `_parts`."""

WITHIN = re.compile(r"[^\W_](?:[\w'’.+#-]*[\w+#])?")
"""The words of `and/or` and `R&D`, one by one."""

PART = re.compile(r"[^\W_]+")
CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+")
NUMBER = re.compile(r"[\d.,:/-]+")
YEAR = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)")
VERSION = re.compile(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])")
"""What people ask for by itself and documents write within a longer word: `2021-02-12`, `v2.13.0`."""

OPTION = re.compile(r"-[A-Za-z]")
HYPHENS = "-\u2010\u2011\u2212"
"""What stands before the letter of an option; typeset documents have others than the keyboard's."""

POSSESSIVE = ("'s", "’s")
LONGEST_TERM = 64
"""Code points kept of a term: longer "words" are data, and the vocabulary stays small beside them."""

STOPWORDS = frozenset(
    word
    for line in (
        "a about above after again all also am an and any are as at be because been before being",
        "below between both but by can could did do does doing done during each else few for from",
        "further get give had has have having he her here hers him his how however i if in into is it",
        "its itself just let many may me might more most much must my no nor not of off on once only",
        "or other our out over own please same say says shall she should so some such tell than that",
        "the their them then there these they this those through to too under until up upon us very",
        "was we were what whats when where whether which while who whom whose why will with would you",
        "your",
    )
    for word in line.split()
)
"""English words that say nothing of a subject. They are ranked like any others; they only carry no weight
when the reader asks how much of a question a text covers."""

_stemmers = threading.local()


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: its place and its terms, the whole word first, then its parts."""

    span: Span
    text: str
    terms: tuple[str, ...]
    aside: bool = False
    """Whether a question says it to whoever answers ("in the table"), and not of its subject."""

    @property
    def is_stopword(self) -> bool:
        """Return whether the word says nothing of a subject."""
        return self.aside or self.text.lower() in STOPWORDS

    @property
    def is_option(self) -> bool:
        """Return whether the word is an option of one letter."""
        return OPTION.fullmatch(self.terms[0]) is not None


def words(text: str) -> Iterator[Word]:
    """Yield the words of `text` in order."""
    for match in WORD.finditer(text):
        found = match.group()
        trimmed = found.rstrip(".'’&/-_")
        if "/" in trimmed or "&" in trimmed:
            for part in WITHIN.finditer(trimmed):
                yield _word(text, match.start() + part.start(), part.group().rstrip("_"))
        elif trimmed:
            yield _word(text, match.start(), trimmed)


def terms(text: str) -> list[str]:
    """Return the terms of `text` in order, a compound's parts behind it."""
    return [term for word in words(text) for term in word.terms]


def _word(text: str, start: int, found: str) -> Word:
    end = start + len(found)
    bare = found[:-2] if found.endswith(POSSESSIVE) else found
    if len(found) == 1 and _begins_option(text, start):
        return Word(Span(start - 1, end), text[start - 1 : end], (f"-{found}", *_terms_of(bare)))
    return Word(Span(start, end), bare, _terms_of(bare))


def _begins_option(text: str, start: int) -> bool:
    """Return whether the letter there is an option's: behind one hyphen that is behind no word."""
    if start == 0 or text[start - 1] not in HYPHENS or not (text[start].isascii() and text[start].isalpha()):
        return False
    return start == 1 or not (text[start - 2].isalnum() or text[start - 2] in HYPHENS + "_")


@lru_cache(maxsize=65_536)
def _terms_of(word: str) -> tuple[str, ...]:
    whole = _stem(word)
    dated = YEAR.findall(word) + VERSION.findall(word) if len(word) <= LONGEST_TERM else []
    if NUMBER.fullmatch(word):
        return tuple(dict.fromkeys([whole, *dated]))
    parts = [_stem(part) for part in _parts(word)]
    return tuple(dict.fromkeys([whole, *(parts if len(parts) > 1 else ()), *dated]))


def _parts(word: str) -> list[str]:
    """Return the parts of a compound; a word without any is its own only part."""
    pieces = PART.findall(word.replace("'", "").replace("’", ""))
    return [part for piece in pieces for part in (CAMEL.findall(piece) if piece.isascii() else [piece])]


def _stem(word: str) -> str:
    folded = unicodedata.normalize("NFKC", word).casefold()[:LONGEST_TERM]
    stemmer = getattr(_stemmers, "english", None)
    if stemmer is None:  # a stemmer is not to be shared between threads
        stemmer = _stemmers.english = Stemmer.Stemmer("english")
    return str(stemmer.stemWord(folded))
