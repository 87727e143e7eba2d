"""What the corpus itself says about words: its spellings and names, acronyms it defines, the alias file.

Nothing here knows any subject. A rewrite replaces a word that the corpus does not know by one that it does,
and every rewrite is reported.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rapidfuzz import process
from rapidfuzz.distance import OSA

from corpus.document import BlockKind, Document, Passage, Span
from corpus.formats import plain
from index.analysis import Word, terms, words

ALIAS_FILE = "pullquote.aliases"
"""In the corpus folder: `tf = TensorFlow`, one a line, `#` begins a comment."""

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


class Vocabulary:
    """The words of a corpus: which it knows, which are names, what stands for what."""

    def __init__(
        self,
        spellings: Mapping[str, int],
        *,
        acronyms: Iterable[tuple[str, str]] = (),
        rivals: Iterable[tuple[str, ...]] = (),
        aliases: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Know the words of `spellings`, counted as they are spelled."""
        self._forms: dict[str, Counter[str]] = defaultdict(Counter)
        for spelling, count in spellings.items():
            if count:
                self._forms[spelling.casefold()][spelling] += count
        self.acronyms = _by_short_form(acronyms)
        self.aliases = {short.casefold(): long for short, long in aliases}
        self._groups = [tuple(names) for names in rivals]

    def __contains__(self, word: str) -> bool:
        return word.casefold() in self._forms

    def frequency(self, word: str) -> int:
        """Return how often the word stands in the corpus, however it is spelled."""
        return sum(self._forms.get(word.casefold(), Counter()).values())

    def spelled(self, word: str) -> str:
        """Return the word as the corpus spells it most often; an unknown one unchanged."""
        forms = self._forms.get(word.casefold())
        return max(forms, key=lambda form: (forms[form], form)) if forms else word

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
        found = set()
        for folded, forms in self._forms.items():
            capital = sum(count for form, count in forms.items() if form != form.lower())
            if capital >= NAME_SHARE * sum(forms.values()):
                found.add(folded)
        return frozenset(found)

    def rivals(self, name: str) -> list[str]:
        """Return the things that the corpus's tables compare with `name`, most often compared first.

        `name` may be one word of a longer name.
        """
        found: Counter[str] = Counter()
        for group in self._compared:
            own = [one for one in group if name.casefold() in (one.casefold(), *one.casefold().split())]
            if len(own) == 1:  # a word of several of them tells none from another
                found.update(one for one in group if one != own[0])
        return [one for one, _ in found.most_common()]

    @cached_property
    def _compared(self) -> list[tuple[str, ...]]:
        """The header rows with a name in them: `PyTorch | TensorFlow`, and not `Default | Meaning`."""
        return [
            group
            for group in self._groups
            if any(word.text.casefold() in self._capitals for name in group for word in words(name))
        ]

    @cached_property
    def _correctable(self) -> list[str]:
        return sorted(
            folded for folded in self._forms if len(folded) >= SHORTEST_CORRECTED and folded.isalpha()
        )

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(term for folded in self._forms for term in terms(folded))

    def knows(self, word: Word) -> bool:
        """Return whether the corpus has the word, a form of it, or all of its parts."""
        if word.text in self or word.terms[0] in self._stems:
            return True
        return len(word.terms) > 1 and all(part in self._stems for part in word.terms[1:])

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


def _by_short_form(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the long form of each acronym; the one defined most often where there are several."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for short, long in pairs:
        counted[short][long] += 1
    return {short: max(longs, key=lambda long: (longs[long], long)) for short, longs in counted.items()}


IN_BRACKETS = re.compile(r"\(([^\W\d_][\w&.-]{1,9})\)")


def acronyms(found: Iterable[Passage]) -> Iterator[tuple[str, str]]:
    """Yield (short, long) for each `Long Form (LF)` in the passages.

    After Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions in
    biomedical text" (2003): the letters of the short form are looked for from the right, and the
    first must begin a word.
    """
    seen: set[tuple[str, str]] = set()
    for passage in found:
        for match in IN_BRACKETS.finditer(passage.embedded):
            short = match.group(1)
            before = passage.embedded[max(0, match.start() - 120) : match.start()].rstrip()
            long = _long_form(short, before)
            if long is not None and (short, long) not in seen:
                seen.add((short, long))
                yield short, long


def _long_form(short: str, before: str) -> str | None:
    if sum(character.isupper() for character in short) < 2:
        return None
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


def rivals(document: Document) -> Iterator[tuple[str, ...]]:
    """Yield for each table the column headers that name things compared: all but the first column's."""
    for block in document.blocks:
        if block.kind is not BlockKind.TABLE or block.header is None:
            continue
        names = tuple(plain(document.text, cell.span, cell.markup) for cell in block.header.cells[1:])
        if len(names) > 1 and all(names) and all(name[0].isupper() for name in names):
            yield names


def read_aliases(data: bytes) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """Return the (short, long) pairs of an alias file, and what is wrong with it, if anything.

    A line that cannot be read is named by its number and left out; the others hold.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return (
            (),
            f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; save the file as UTF-8",
        )
    pairs: list[tuple[str, str]] = []
    wrong: list[int] = []
    for number, line in enumerate(lines, start=1):
        bare = line.partition("#")[0].strip()
        short, equals, long = (part.strip() for part in bare.partition("="))
        if equals and short and long and len(list(words(short))) == 1:
            pairs.append((short, long))
        elif bare:
            wrong.append(number)
    shown = ", ".join(map(str, wrong[:5]))
    return tuple(pairs), f"line {shown}: write `one-word = what it stands for`" if wrong else None
