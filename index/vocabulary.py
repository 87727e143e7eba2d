"""What the corpus itself says about words: its spellings and names, acronyms it defines, the alias file.

Nothing here knows any subject. A rewrite replaces a word that the corpus does not know by one that it does,
and every rewrite is reported.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from rapidfuzz import process
from rapidfuzz.distance import OSA

from corpus.document import Span
from index.analysis import NUMBER, Word, terms, words

SHORTEST_CORRECTED = 4
"""Words of fewer letters have too many neighbours to be corrected."""

NAME_SHARE = 0.4
"""A word is a name when at least this share of its places has a capital, sentence beginnings not counted."""

Kind = Literal["spelling", "alias", "acronym"]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A part of a question that was replaced before it was asked."""

    kind: Literal["follow-up", "spelling", "alias", "acronym"]
    old: str
    new: str


class WordCounts:
    """What some documents say about words: how often each is spelled how, what they define and compare."""

    def __init__(self) -> None:
        self.spellings: Counter[str] = Counter()
        self.acronyms: Counter[tuple[str, str]] = Counter()
        self.rivals: Counter[tuple[str, ...]] = Counter()


Forms = tuple[tuple[str, int], ...]
"""How one word is spelled, and how often each way."""


class Vocabulary:
    """The words of a corpus: which it knows, which are names, what stands for what."""

    def __init__(
        self,
        spellings: Mapping[str, int],
        *,
        acronyms: Iterable[tuple[str, str]] = (),
        rivals: Iterable[tuple[str, ...]] = (),
        aliases: Iterable[tuple[str, str]] = (),
        stands: Callable[[str], bool] | None = None,
    ) -> None:
        """Know the words of `spellings`, counted as they are spelled.

        `stands` says whether a term stands in any passage; without it the terms of `spellings` do.
        """
        self._forms: dict[str, Forms] = {}
        self._add(spellings)
        self._acronyms = Counter(acronyms)
        self._groups = Counter(tuple(names) for names in rivals)
        self._name(aliases, stands)

    def _name(self, aliases: Iterable[tuple[str, str]], stands: Callable[[str], bool] | None) -> None:
        self.acronyms = _by_short_form(self._acronyms)
        self.aliases = {short.casefold(): long for short, long in aliases}
        self._stands = stands

    def _add(self, spellings: Mapping[str, int]) -> Set[str]:
        """Change the counts of some spellings, and return the words they are of, folded."""
        changed: dict[str, dict[str, int]] = {}
        for spelling, count in spellings.items():
            if count:
                changed.setdefault(spelling.casefold(), {})[spelling] = count
        for folded, counts in changed.items():
            forms = self._forms.get(folded)
            if forms:
                for form, before in forms:
                    counts[form] = counts.get(form, 0) + before
            left = tuple((form, count) for form, count in counts.items() if count > 0)
            if left:
                self._forms[folded] = left
            else:
                self._forms.pop(folded, None)
        return changed.keys()

    def changed(
        self,
        *,
        gone: WordCounts,
        come: WordCounts,
        aliases: Iterable[tuple[str, str]],
        stands: Callable[[str], bool] | None,
    ) -> Vocabulary:
        """Return the vocabulary of the corpus after some documents have gone and others have come.

        It knows what one made of all documents would; the words of documents that stay are not looked at.
        """
        after = copy.copy(self)
        after._forms = dict(self._forms)
        difference = Counter(come.spellings)
        difference.subtract(gone.spellings)
        touched = after._add(difference)
        after._acronyms = self._acronyms + come.acronyms - gone.acronyms
        after._groups = self._groups + come.rivals - gone.rivals
        after._name(aliases, stands)
        after._forget(touched)
        return after

    def _forget(self, touched: Set[str]) -> None:
        """Bring what was derived from the words up to date; `touched` are those that changed."""
        held = self.__dict__  # where cached properties keep their values
        for name in ("names", "_compared", "_stems"):
            held.pop(name, None)
        if "_capitals" in held:
            held["_capitals"] = (held["_capitals"] - touched) | {
                one for one in touched if self._is_capital(one)
            }
        if "_correctable" in held:
            stay = [word for word in held["_correctable"] if word not in touched]
            held["_correctable"] = sorted(stay + [one for one in touched if self._is_correctable(one)])

    def __contains__(self, word: str) -> bool:
        return word.casefold() in self._forms

    def frequency(self, word: str) -> int:
        """Return how often the word stands in the corpus, however it is spelled."""
        return sum(count for _, count in self._forms.get(word.casefold(), ()))

    def spelled(self, word: str) -> str:
        """Return the word as the corpus spells it most often; an unknown one unchanged."""
        forms = self._forms.get(word.casefold())
        return max((count, form) for form, count in forms)[1] if forms else word

    def is_name(self, word: str) -> bool:
        """Return whether the corpus writes the word as a name."""
        return word.casefold() in self.names

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the words written as names, folded.

        They have a capital nearly wherever they stand, or a table's header sets them against such a name.
        """
        return self._capitals | {
            word.text.casefold()
            for group in self._compared
            for name in group
            for word in words(name)
            if not word.is_stopword
        }

    @cached_property
    def _capitals(self) -> frozenset[str]:
        return frozenset(filter(self._is_capital, self._forms))

    def _is_capital(self, folded: str) -> bool:
        forms = self._forms.get(folded, ())
        capital = sum(count for form, count in forms if form != form.lower())
        return bool(forms) and capital >= NAME_SHARE * sum(count for _, count in forms)

    @property
    def compares(self) -> bool:
        """Return whether any table of the corpus compares things that have names."""
        return bool(self._compared)

    def rivals(self, name: str) -> list[str]:
        """Return the things that the corpus's tables compare with `name`, most often compared first.

        `name` may be one word of a longer name.
        """
        found: Counter[str] = Counter()
        for group, times in self._compared.items():
            own = [one for one in group if name.casefold() in (one.casefold(), *one.casefold().split())]
            if len(own) == 1:  # a word of several of them tells none from another
                found.update({one: times for one in group if one != own[0]})
        return sorted(found, key=lambda one: (-found[one], one))

    @cached_property
    def _compared(self) -> dict[tuple[str, ...], int]:
        """The header rows with a name in them, and how often: `PyTorch | TensorFlow` is one."""
        return {
            group: times
            for group, times in self._groups.items()
            if not self._capitals.isdisjoint(_folded_words(group))
        }

    @cached_property
    def _correctable(self) -> list[str]:
        return sorted(filter(self._is_correctable, self._forms))

    def _is_correctable(self, folded: str) -> bool:
        return folded in self._forms and len(folded) >= SHORTEST_CORRECTED and folded.isalpha()

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(term for folded in self._forms for term in terms(folded))

    def _has_term(self, term: str) -> bool:
        return term in self._stems if self._stands is None else self._stands(term)

    def knows(self, word: Word) -> bool:
        """Return whether the corpus has the word, a form of it, or all of its parts; a number has none."""
        if word.is_option:
            return self._has_term(word.terms[0])
        if word.text in self or self._has_term(word.terms[0]):
            return True
        compound = len(word.terms) > 1 and not NUMBER.fullmatch(word.text)
        return compound and all(self._has_term(part) for part in word.terms[1:])

    def correction(self, word: str) -> str | None:
        """Return the word of the corpus that `word` is most likely a misspelling of, or None.

        Optimal string alignment distance (Damerau, "A technique for computer detection and correction of
        spelling errors", 1964), so that a transposition is one error; ties go to the word more like
        it at the beginning, then to the more frequent one.
        """
        folded = word.casefold()
        most = _errors_allowed(folded)
        if not most or not folded.isalpha():
            return None
        near = process.extract(
            folded, self._correctable, scorer=OSA.distance, processor=None, score_cutoff=most, limit=20
        )
        fitting = [
            (distance, _opening(folded, form), form)
            for form, distance, _ in near
            if _plausible(folded, form, int(distance))
        ]
        if not fitting:
            return None
        best = min(fitting, key=lambda one: (one[0], -one[1], -self.frequency(one[2]), one[2]))
        return self.spelled(best[2])


def rewrite(
    question: str, vocabulary: Vocabulary, is_word: Callable[[str], bool]
) -> tuple[str, list[Rewrite]]:
    """Return the question with aliases, misspellings and split compounds replaced, and what was replaced.

    `is_word` says whether a word is an ordinary word of the language: such a word may be missing in
    the corpus for good reasons and is never "corrected". Nor is a word that the corpus knows.
    """
    found = list(words(question))
    changes: list[tuple[Span, Rewrite]] = []
    at = 0
    while at < len(found):
        word = found[at]
        joined = _joined(found, at, vocabulary)
        if joined is not None:
            span = Span(word.span.start, found[at + 1].span.end)
            changes.append((span, Rewrite("spelling", span.of(question), joined)))
            at += 2
            continue
        change = _replacement(word, vocabulary, is_word)
        if change is not None:
            changes.append((Span(word.span.start, word.span.start + len(word.text)), change))
        at += 1
    return _applied(question, changes), [one for _, one in changes]


def _replacement(word: Word, vocabulary: Vocabulary, is_word: Callable[[str], bool]) -> Rewrite | None:
    if word.text in vocabulary:
        return None
    alias = vocabulary.aliases.get(word.text.casefold())
    if alias is not None:
        return Rewrite("alias", word.text, alias)
    acronym = vocabulary.acronyms.get(word.text.upper())
    if acronym is not None:
        return Rewrite("acronym", word.text, acronym)
    if word.is_stopword or vocabulary.knows(word) or is_word(word.text.casefold()):
        return None
    corrected = vocabulary.correction(word.text)
    return Rewrite("spelling", word.text, corrected) if corrected else None


def _joined(found: Sequence[Word], at: int, vocabulary: Vocabulary) -> str | None:
    """Return the corpus's compound that two neighbouring words are the halves of, or None."""
    if at + 1 >= len(found):
        return None
    left, right = found[at], found[at + 1]
    whole = left.text + right.text
    if whole not in vocabulary or left.is_stopword or (left.text in vocabulary and right.text in vocabulary):
        return None
    return vocabulary.spelled(whole)


def _applied(question: str, changes: Sequence[tuple[Span, Rewrite]]) -> str:
    parts: list[str] = []
    position = 0
    for span, change in changes:
        parts += [question[position : span.start], change.new]
        position = span.end
    return "".join([*parts, question[position:]])


def _errors_allowed(word: str) -> int:
    """Return how many errors a word of that length may hold: one from 4 letters, two from 9, three from 13.

    With two errors allowed in seven letters, `calories` became `carries` and `rehearse` `release`.
    """
    lengths = (SHORTEST_CORRECTED, 9, 13)
    return sum(len(word) >= length for length in lengths)


def _plausible(word: str, form: str, distance: int) -> bool:
    """Return whether `word` may be a slip for `form`: short words keep their letters or their beginning."""
    if distance > _errors_allowed(min(word, form, key=len)):
        return False
    if len(word) >= 6:
        return word[0] == form[0] or distance == 1 or sorted(word[:2]) == sorted(form[:2])
    return sorted(word) == sorted(form) or (word[0] == form[0] and abs(len(word) - len(form)) == 1)


def _opening(word: str, form: str) -> int:
    """Return how many letters two words have in common at the beginning."""
    pairs = enumerate(zip(word, form, strict=False))
    return next((at for at, (one, two) in pairs if one != two), min(len(word), len(form)))


def _by_short_form(pairs: Counter[tuple[str, str]]) -> dict[str, str]:
    """Return the long form of each acronym; the one defined most often where there are several."""
    best: dict[str, tuple[int, str]] = {}
    for (short, long), times in pairs.items():
        best[short] = max(best.get(short, (0, "")), (times, long))
    return {short: long for short, (_, long) in best.items()}


@lru_cache(maxsize=65_536)
def _folded_words(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word.text.casefold() for name in names for word in words(name))
