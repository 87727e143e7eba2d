"""How a question is worded: its names and noun phrases, found by closed classes of English words alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from corpus.document import Span
from index.analysis import STOPWORDS, words
from index.vocabulary import Vocabulary


def word_set(*lines: str) -> frozenset[str]:
    """Return the words of some lines."""
    return frozenset(word for line in lines for word in line.split())


ASKING = word_set("what which who whom whose when where why how what's who's where's")
DETERMINERS = word_set(
    "the a an my your our their its his her this that these those any some each every no all",
    "another",
)
DO = word_set("do does did don't doesn't didn't")
MODALS = word_set(
    "can could may might must shall should will would can't couldn't mustn't shouldn't won't",
    "wouldn't",
)
BE = word_set("is are was were am be been isn't aren't wasn't weren't")
HAVE = word_set("has have had hasn't haven't hadn't")
AUXILIARIES = DO | MODALS | BE | HAVE
PREPOSITIONS = word_set(
    "of in on at for to from with without by about into onto over under between during before",
    "after since until within through per via as like than against across around besides except",
    "inside outside near if unless while because",
)
"""With the conjunctions that begin an adjunct in the same way: `if I pay yearly`."""
SUBJECTS = word_set("i you we they he she it one people somebody someone")
CALENDAR = re.compile(
    r"(mon|tues|wednes|thurs|fri|satur|sun)days?|weekdays?|weekends?|january|february|march|april|june|july"
    r"|august|september|october|november|december",
    re.I,
)
"""Written with a capital, but never what a conversation is about."""

FUNCTION_WORDS = (
    STOPWORDS
    | ASKING
    | DETERMINERS
    | AUXILIARIES
    | PREPOSITIONS
    | SUBJECTS
    | word_set("there here not yes no ok okay please also too instead else let's i'm i've i'd")
)

PREDICATE = re.compile(
    r".+(?:ed|en|ing|ble)|fed|kept|made|held|built|sold|sent|paid|due|free|ready|known|grown|done|full|hot|cold",
    re.I,
)
"""What may follow the subject of `is`, where a second noun would be a part of the subject."""

ADVERBS = word_set("last first ever still already usually often always never normally currently")
"""What may stand between a subject and its verb."""

TITLE_CASE = 4
"""From so many words on, capitals on all of them are a way of writing and show no names."""


@dataclass(frozen=True, slots=True)
class Known:
    """What helps to tell names from other words, however they are written."""

    vocabulary: Vocabulary
    is_word: Callable[[str], bool]
    """Whether a word in small letters is an ordinary word of the language."""

    def is_name(self, word: str) -> bool:
        """Return whether the corpus writes `word` as a name, and the language has no such ordinary word."""
        if not self.vocabulary.is_name(word):
            return False
        return (
            _is_marked(self.vocabulary.spelled(word))
            or not self.is_word(word.lower())
            or bool(self.vocabulary.rivals(word))
        )


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a question, without a possessive ending."""

    span: Span
    lower: str
    is_name: bool

    @property
    def has_content(self) -> bool:
        """Return whether the word says something of a subject and is no name."""
        return not self.is_name and self.lower not in FUNCTION_WORDS


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase without a name: where it stands and what announces it."""

    span: Span
    determiner: bool
    asked: bool
    """Whether it is what is asked for: `which light`, `how many grams`."""
    preposition: str


@dataclass(frozen=True, slots=True)
class Wording:
    """A text with its words, its names in order, and its noun phrases."""

    text: str
    tokens: tuple[Token, ...]
    names: tuple[Span, ...]
    phrases: tuple[Phrase, ...]

    @property
    def content(self) -> list[Token]:
        """Return the words that say something of a subject and are no names."""
        return [token for token in self.tokens if token.has_content]

    @property
    def has_auxiliary(self) -> bool:
        """Return whether there is a word like is, does or can: most questions that are whole have one."""
        return any(token.lower in AUXILIARIES for token in self.tokens)

    @property
    def named(self) -> list[str]:
        """Return the names in the order they stand, each once."""
        return list(dict.fromkeys(span.of(self.text) for span in self.names))

    def before(self, span: Span) -> str:
        """Return the preposition before a place, a determiner skipped; empty for none."""
        earlier = [token.lower for token in self.tokens if token.span.end <= span.start]
        if earlier and earlier[-1] in DETERMINERS:
            earlier.pop()
        return earlier[-1] if earlier and earlier[-1] in PREPOSITIONS else ""


def read_wording(text: str, known: Known, *, begins: bool = True) -> Wording:
    """Return `text` with its names and noun phrases; `begins` where its first word begins a sentence."""
    tokens = tuple(_tokens(text, known, begins))
    return Wording(text, tokens, tuple(_names(text, tokens)), tuple(_phrases(tokens)))


def _tokens(text: str, known: Known, begins: bool) -> Iterator[Token]:
    found = [word for word in words(text) if word.text]
    shouted, titled = text.isupper() and len(found) > 1, _is_titled([word.text for word in found])
    behind = 0
    in_name = False
    for word in found:
        gap = text[behind : word.span.start]
        first = (begins and not behind) or any(mark in gap for mark in '.?!:\n“"')
        lower = word.text.lower().replace("’", "'")
        if word.text[0].isdigit():
            is_name = in_name and gap == " "
        elif lower in FUNCTION_WORDS or CALENDAR.fullmatch(lower):
            is_name = False
        else:
            capital = word.text[0].isupper() and not first and not titled
            shown = not shouted and (capital or _is_marked(word.text))
            alone = len(found) == 1 and word.text[0].isupper() and known.vocabulary.is_name(word.text)
            is_name = shown or alone or known.is_name(word.text)
        yield Token(Span(word.span.start, word.span.start + len(word.text)), lower, is_name)
        in_name, behind = is_name, word.span.end


def _is_titled(found: Sequence[str]) -> bool:
    """Return whether capitals are on all words, or on words that never ask for one."""
    letters = [one for one in found if one[0].isalpha()]
    if any(one[0].isupper() and one != "I" and one.lower() in FUNCTION_WORDS for one in letters[1:]):
        return True
    return len(letters) >= TITLE_CASE and all(one[0].isupper() for one in letters)


def _is_marked(word: str) -> bool:
    """Return whether a word shows by capitals or digits inside it that it is a name: `TFX`, `iOS`, `vm2`."""
    return any(one.isupper() for one in word[1:]) or (
        word[:1].isalpha() and any(one.isdigit() for one in word)
    )


def _names(text: str, tokens: tuple[Token, ...]) -> Iterator[Span]:
    """Yield the runs of words that are names: `TensorFlow Lite`, `Verdimist 2 Mini`."""
    run: Span | None = None
    for token in tokens:
        if run is not None and token.is_name and text[run.end : token.span.start] in (" ", "&", "-"):
            run = Span(run.start, token.span.end)
            continue
        if run is not None:
            yield run
        run = token.span if token.is_name else None
    if run is not None:
        yield run


def _phrases(tokens: tuple[Token, ...]) -> Iterator[Phrase]:
    at = 0
    while at < len(tokens):
        end = at
        while end < len(tokens) and tokens[end].has_content:
            end += 1
        if end > at:
            first, last = _trimmed(tokens, at, end)
            if first < last:
                yield _phrase(tokens, first, last)
        at = max(end, at + 1)


def _trimmed(tokens: tuple[Token, ...], first: int, end: int) -> tuple[int, int]:
    """Return which words of a run of content words are a noun phrase, by what stands around the run."""
    before = tokens[first - 1] if first else None
    earlier = tokens[first - 2].lower if first > 1 else ""
    after = tokens[end].lower if end < len(tokens) else ""
    if before is None:
        return first, end
    if before.lower in PREPOSITIONS:
        return first, end - (end == len(tokens) and end - first > 1 and _in_subject(tokens, first - 1))
    if before.lower == "how":
        return end, end
    if before.lower in ("who", "whom", "who's"):  # `who made it`
        return first + 1, end
    if before.lower in ("what", "which", "whose", "many", "much"):
        # `which light gave the basil`: without an auxiliary behind it, the last word is the verb.
        return first, end if after in AUXILIARIES else end - 1
    if before.lower in DETERMINERS:
        acts = earlier in DO | MODALS or (earlier in BE and PREDICATE.fullmatch(tokens[end - 1].lower))
        drops = acts and end - first > 1 and after != "of"
        return first, end - 1 - (tokens[end - 2].lower in ADVERBS) if drops else end
    if before.lower in SUBJECTS or before.is_name:
        # `may I return tools`, `does Linux support threads`; not `for Linux users`
        return (first + 1, end) if earlier in AUXILIARIES else (end, end)
    if before.lower in AUXILIARIES:
        return first, end if after == "of" else first + 1
    return first, end


def _in_subject(tokens: tuple[Token, ...], preposition: int) -> bool:
    """Return whether `of` belongs to a subject whose verb is yet to come: `does code 5 of drembake mean`."""
    if tokens[preposition].lower != "of":
        return False
    at = preposition - 1
    while at >= 0 and (tokens[at].has_content or tokens[at].lower in DETERMINERS):
        at -= 1
    return at >= 0 and tokens[at].lower in DO | MODALS


def _phrase(tokens: tuple[Token, ...], first: int, end: int) -> Phrase:
    before = tokens[first - 1].lower if first else ""
    determiner = before in DETERMINERS
    start = tokens[first - 1].span.start if determiner else tokens[first].span.start
    announcing = tokens[first - 1 - determiner].lower if first > determiner else ""
    return Phrase(
        span=Span(start, tokens[end - 1].span.end),
        determiner=determiner,
        asked=before in ("what", "which", "whose", "many", "much"),
        preposition=announcing if announcing in PREPOSITIONS else "",
    )
