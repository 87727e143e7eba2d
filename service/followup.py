"""Follow-ups: a question and its history -> a question that stands alone, and what was changed.

Rules of English over closed classes of words; names come from the corpus's vocabulary and from capitals.
A question that is complete is left alone, and so is one for which no rule is sure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from corpus.document import Span
from index.vocabulary import Rewrite, Vocabulary
from service import antecedent, ellipsis
from service.antecedent import Exchange, Talk
from service.pronouns import CLOCK, JUDGEMENT, Place, applied, resolved
from service.wording import (
    ASKING,
    AUXILIARIES,
    DETERMINERS,
    PREPOSITIONS,
    Known,
    Wording,
    read_wording,
)

REMEMBERED = 6
"""User turns that are read: what was said before them is no longer talked about."""

LONGEST_QUESTION = 300
"""Code points of a question that may be a follow-up; a longer one explains itself."""

LONGEST_ANSWER = 400
"""Code points of an earlier answer that are read."""

LONGEST_COMPLETED = 600
"""Code points of a completed question."""

FRAGMENT = 8
"""Words of a fragment after `and`, `what about`; a longer one says what it wants."""

BARE_FRAGMENT = 4
"""Words of a fragment that nothing announces: `on Sundays?`."""

CONTINUED = 14
"""Words of a question that begins with `and` and may take over the topic."""

IMPLICIT = 6
"""Words of a question that nothing ties to the last one and that may still leave its topic out."""

SELF_CONTAINED = 2
"""Content words from which on a question that nothing ties to the last one has a topic of its own."""

LINK = re.compile(r"(?:(?:and|but|so|also|or|then)\b[\s,;:.!–-]*)+", re.I)
INTERJECTION = re.compile(
    r"(?:(?:ok|okay|well|now|no|yes|sorry|thanks|thank you|right|oh|ah|hmm|great|cool|plus)\s*[,;:.!–-]+\s*)+",
    re.I,
)
ABOUT = re.compile(
    r"(?:(?:what|how) about|what of|what(?= if\b)|(?:the )?same (?:question |thing )?(?=for|with|about|in|on)"
    r"|(?:is|does|do|was|are|would) (?:it|that|this|they) (?:be |also )?(?:the same|true|different|hold|apply)"
    r"(?= for| with| of| to| in| on)|i (?:mean|meant)|make (?:it|that))\s+(?:about (?=\w))?",
    re.I,
)
"""What announces a fragment."""

TRAILING = re.compile(r"[\s,]*\b(?:too|then|instead|as well|though|please)\W*$", re.I)

ASKED_AGAIN = re.compile(
    r"(?P<asking>why not|why so \w+|why (?:such|that) an? \w+(?: \w+)?|why|how come|how so|for what reason"
    r"|how exactly|how (?:much|many|long|often|soon|far|fast)|how|(?:since|until|till|by|from) when"
    r"|when exactly|when|(?:by|for|to|from|with) whom?|(?:who|what|where) else|who|whom|where exactly|where"
    r"|for how long|(?:since|from|until|at|in|on|by|for|with|under|to) (?:what|which) \w+|for what)"
    r"(?: (?:is|was|are|were|does|do|did|would|should|has|have) (?:it|that|this|they|these|those|he|she)"
    r"(?: (?:so|the case|happen|do (?:that|it|so)))?|['’]s that)?",
    re.I,
)
REFERS = re.compile(r"(?:is|was|are|does|do|did|would|should|has|have) (?:it|they|he|she|these|those)$", re.I)
"""`where is it` asks for a thing, `why is that` for what was said."""

CHATTER = re.compile(
    r"(?:hi|hello|hey|bye|really|sure|nice|good|fine|great|cool|thanks?|thank you|yes|no|ok(?:ay)?|never ?mind)"
    r"(?: (?:there|so much|very much|that|you|a lot|enough))?",
    re.I,
)
DEFINED = re.compile(
    r"(?:what|who)(?:['’]s| is| are| was| were) (?!there\b|the\b|included\b)\w+(?: \w+)?"
    r"|(?:define|meaning of) .*|what does (?:\w+ ){1,3}(?:mean|stand for)",
    re.I,
)
"""A question for what something is names its topic itself: `what is overfitting?`, not `what is the price?`."""

ASKED_OF = re.compile(r"(?:which|how (?:much|many)|whose|what(?= \S+(?<!ed)(?<!s)$)) \w+(?: \w+)?", re.I)
"""Other words of asking for the question before: `how much water`."""

CONDITIONS = ("if", "unless", "because", "while")
TELLING = ("tell", "explain", "describe", "more", "summarise", "summarize", "elaborate")
CHOICE = re.compile(
    r"which (?:one|ones|of (?:the (?:two|both)|them|these|those|both))\b|which(?= (?:is|was|has)\b)", re.I
)


Change = tuple[str, str]
"""What was replaced in a question, and by what."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side of a conversation said."""

    role: Literal["user", "assistant"]
    content: str


def complete(
    question: str,
    history: Sequence[Turn],
    vocabulary: Vocabulary,
    *,
    is_word: Callable[[str], bool] = lambda _: True,
) -> tuple[str, list[Rewrite]]:
    """Return a question that stands alone, and what was changed.

    `is_word` says whether a word is an ordinary word of the language; without it, a name in small letters
    is known only by the corpus's capitals inside it or by a table that compares it.
    """
    known = Known(vocabulary, is_word)
    talk: list[Exchange] = []
    for asked, answer, refused in _exchanges(history, known)[-REMEMBERED:]:
        standing, _ = _completed(asked, talk, known)
        talk.append(Exchange(read_wording(standing.strip(), known), answer, refused))
    completed, changes = _completed(question, talk, known)
    return completed, [Rewrite("follow-up", old, new) for old, new in changes]


def _exchanges(history: Sequence[Turn], known: Known) -> list[tuple[str, str, bool]]:
    """Return (question, answer, refused) for each user turn, shortened."""
    found: list[tuple[str, str, bool]] = []
    for turn in history:
        content = turn.content[:LONGEST_ANSWER]
        if turn.role == "user":
            found.append((" ".join(content[:LONGEST_QUESTION].split()), "", False))
        elif found and not found[-1][1]:
            if antecedent.is_refusal(content):
                found[-1] = (found[-1][0], "", True)
            else:
                found[-1] = (found[-1][0], antecedent.shown_answer(content, known), False)
    return [one for one in found if one[0]]


def _completed(question: str, talk: Talk, known: Known) -> tuple[str, list[Change]]:
    """Return the question completed by what was said so far, and the changes."""
    if not talk or len(question) > LONGEST_QUESTION:
        return question, []
    new, changes = _by_rule(_read(question, known), talk, known)
    if new == question or len(new) > LONGEST_COMPLETED:
        return question, []
    return new, changes


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that may be a follow-up, and how it begins."""

    wording: Wording
    link: int
    """Where `and`, `but`, `so` at its beginning ends; 0 for none."""
    start: int
    """Where what remains begins."""
    announced: bool
    """Whether it begins with `what about`."""
    core: Wording
    """What remains without these and without `too`."""

    @property
    def text(self) -> str:
        """Return its words."""
        return self.wording.text

    @property
    def linked(self) -> bool:
        """Return whether it begins with `and`, `but`, `so`."""
        return self.link > 0

    @property
    def first(self) -> str:
        """Return the first word of what remains; empty for none."""
        return self.core.tokens[0].lower if self.core.tokens else ""


def _read(question: str, known: Known) -> Asked:
    start = len(question) - len(question.lstrip())
    start = _behind(INTERJECTION, question, start)
    link = _behind(LINK, question, start)
    begins = _behind(ABOUT, question, link)
    core = TRAILING.sub("", question[begins:].rstrip(ellipsis.ENDING)).strip(ellipsis.ENDING)
    return Asked(
        read_wording(question, known),
        link=link if link > start else 0,
        start=begins,
        announced=begins > link,
        core=read_wording(core, known, begins=begins == start),
    )


def _behind(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _by_rule(asked: Asked, talk: Talk, known: Known) -> tuple[str, list[Change]]:
    question, core = asked.text, asked.core.text
    if not core or CHATTER.fullmatch(core):
        return question, []
    if JUDGEMENT.fullmatch(core):
        return question, []
    again = ASKED_AGAIN.fullmatch(core)
    if again and not (REFERS.search(core) and again["asking"].lower() not in ("why", "how come")):
        return _whole(question, ellipsis.asked_again(_asking(again["asking"]), antecedent.last_asked(talk)))
    fragment = _fragment(asked)
    if asked.first not in CONDITIONS or not fragment:
        places = [one for one in resolved(asked.wording, talk, known) if one[0].start >= asked.start]
        if places:
            return _with_antecedents(asked, places, talk, known)
    if fragment:
        return _whole(question, _filled(asked, fragment, talk, known))
    if ASKED_OF.fullmatch(core) and not _is_clause(asked.core):
        new = ellipsis.asked_of(core, talk[-1].question)
        if new:
            return _whole(question, new)
    return _whole(question, _continued(asked, talk, known))


def _with_antecedents(
    asked: Asked, places: list[Place], talk: Talk, known: Known
) -> tuple[str, list[Change]]:
    """Return the question with its pronouns replaced; put into the one before if it was nothing else."""
    question = asked.text
    whole = _read(applied(question, places), known)
    if len(places) == 1 and ellipsis.without_preposition(whole.core.text) == places[0][1]:
        return _whole(question, _filled(whole, whole.core.text, talk, known))
    if asked.linked:
        places = [(Span(0, asked.link), ""), *places]
    return applied(question, places), [(span.of(question).strip(), to) for span, to in places]


def _asking(text: str) -> str:
    return "why" if text.lower() in ("how come", "how so", "for what reason") else text


def _whole(question: str, new: str) -> tuple[str, list[Change]]:
    return new, [(question, new)]


def _filled(asked: Asked, fragment: str, talk: Talk, known: Known) -> str:
    begins = not (asked.linked or asked.announced)
    return ellipsis.filled(ellipsis.read_fragment(fragment, known, begins=begins), talk[-1].question, known)


def _fragment(asked: Asked) -> str:
    """Return the words to be put into the question before; empty if this is a question of its own."""
    core, tokens = asked.core, asked.core.tokens
    if asked.announced:
        return "" if _stands_alone(core) else core.text
    if asked.first in AUXILIARIES:  # `does TensorFlow?`
        rest = tokens[1:]
        bare = all(token.is_name or token.lower in DETERMINERS for token in rest)
        return core.text[rest[0].span.start :] if rest and bare else ""
    if (
        (_is_clause(core) and asked.first not in CONDITIONS)
        or not tokens
        or asked.first in (*ASKING, *TELLING)
        or _stands_alone(core)
    ):
        return ""
    if asked.linked:
        return core.text if len(tokens) <= FRAGMENT else ""
    return core.text if len(tokens) <= BARE_FRAGMENT and _is_bare(asked) else ""


def _is_clause(core: Wording) -> bool:
    return any(token.lower in AUXILIARIES for token in core.tokens)


def _is_bare(asked: Asked) -> bool:
    """Return whether a few words that nothing announces are a fragment: `for mobile`, `3.2.0`, `the lamp?`."""
    core = asked.core
    if asked.first in PREPOSITIONS or (core.names and not core.content):
        return True
    if not asked.text.rstrip().endswith("?") or core.names:
        return False
    return asked.first in DETERMINERS or len(core.content) == 1


def _stands_alone(core: Wording) -> bool:
    """Return whether a phrase names what it is about: `the license of TensorFlow`."""
    first = core.names[0] if core.names else None
    return (
        first is not None
        and bool(core.before(first))
        and core.content[:1] != []
        and (core.content[0].span.end < first.start)
    )


def _continued(asked: Asked, talk: Talk, known: Known) -> str:
    """Return a question without a topic of its own with the conversation's: `... for Pellworth?`."""
    question, wording = asked.text, asked.wording
    bare = question[asked.link :].rstrip(ellipsis.ENDING)
    if wording.names:
        return question
    choice = antecedent.alternatives(talk, known) if CHOICE.match(asked.core.text) else ()
    if choice:
        return f"{bare}, {' or '.join(choice)}?"
    topic = antecedent.topic(talk, known, only_names=len(wording.content) > SELF_CONTAINED)
    if not topic or not _wants_topic(asked):
        return question
    return f"{bare} {'about' if asked.first in TELLING else 'for'} {topic}?"


def _wants_topic(asked: Asked) -> bool:
    tokens, content = asked.wording.tokens, asked.wording.content
    if DEFINED.fullmatch(asked.core.text) or CLOCK.search(asked.text):
        return False
    if asked.linked:
        return len(tokens) <= CONTINUED
    if len(tokens) > IMPLICIT:
        return False
    if asked.first in AUXILIARIES:
        return len(content) <= SELF_CONTAINED
    if asked.first in (*ASKING, *TELLING):
        return len(content) < SELF_CONTAINED
    return len(tokens) <= BARE_FRAGMENT and asked.text.rstrip().endswith("?")
