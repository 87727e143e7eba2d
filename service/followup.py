"""Follow-ups: a question and its history -> a question that stands alone, and what was changed.

Rules of English over closed classes of words; names come from the corpus's vocabulary and from capitals.
A question that is complete is left alone, and so is one for which no rule is sure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from index.vocabulary import Rewrite, Vocabulary
from service import antecedent, ellipsis
from service.antecedent import Exchange, Talk
from service.pronouns import applied, resolved
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
    r"(?P<asking>why not|why|how come|how so|how exactly|how|(?:since|until|till|by|from) when|when exactly|when"
    r"|(?:by|for|to|from|with) whom?|who else|what else|where else|who|whom|where exactly|where|for how long"
    r"|since what (?:year|date)|how (?:much|many|long|often|soon|far|fast)|for what reason|for what)"
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
    r"(?:what|who)(?:['’]s| is| are| was| were) (?!there\b)|(?:what does|define|meaning of) ", re.I
)
"""A question for what something is names its topic itself."""

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
    for asked, answer, refused in _exchanges(history)[-REMEMBERED:]:
        standing, _ = _completed(asked, talk, known)
        talk.append(Exchange(read_wording(standing.strip(), known), answer, refused))
    completed, changes = _completed(question, talk, known)
    return completed, [Rewrite("follow-up", old, new) for old, new in changes]


def _exchanges(history: Sequence[Turn]) -> list[tuple[str, str, bool]]:
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
                found[-1] = (found[-1][0], antecedent.shown_answer(content), False)
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
    linked: bool
    """Whether it begins with `and`, `but`, `so`."""
    announced: bool
    """Whether it begins with `what about`."""
    core: Wording
    """What remains without these and without `too`."""

    @property
    def text(self) -> str:
        """Return its words."""
        return self.wording.text

    @property
    def first(self) -> str:
        """Return the first word of what remains; empty for none."""
        return self.core.tokens[0].lower if self.core.tokens else ""


def _read(question: str, known: Known) -> Asked:
    core = question.strip()
    interjection = INTERJECTION.match(core)
    core = core[interjection.end() :] if interjection else core
    link = LINK.match(core)
    core = core[link.end() :] if link else core
    about = ABOUT.match(core)
    core = core[about.end() :] if about else core
    core = TRAILING.sub("", core.rstrip(ellipsis.ENDING)).strip(ellipsis.ENDING)
    begins = link is None and about is None
    return Asked(
        read_wording(question, known),
        linked=link is not None,
        announced=about is not None,
        core=read_wording(core, known, begins=begins),
    )


def _by_rule(asked: Asked, talk: Talk, known: Known) -> tuple[str, list[Change]]:
    question, core = asked.text, asked.core.text
    if not core or CHATTER.fullmatch(core):
        return question, []
    again = ASKED_AGAIN.fullmatch(core)
    if again and not (REFERS.search(core) and again["asking"].lower() not in ("why", "how come")):
        return _whole(question, ellipsis.asked_again(again["asking"], antecedent.last_asked(talk)))
    places = resolved(asked.wording, talk, known)
    if places:
        new = applied(question, places)
        whole = _read(new, known)
        if ellipsis.without_preposition(whole.core.text) == places[0][1]:
            return _whole(question, _filled(whole, whole.core.text, talk, known))
        return new, [(span.of(question), to) for span, to in places]
    fragment = _fragment(asked)
    if fragment:
        return _whole(question, _filled(asked, fragment, talk, known))
    return _whole(question, _continued(asked, talk, known))


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
    finite = any(token.lower in AUXILIARIES for token in tokens) and asked.first not in CONDITIONS
    if finite or not tokens or asked.first in (*ASKING, *TELLING) or _stands_alone(core):
        return ""
    if asked.linked:
        return core.text if len(tokens) <= FRAGMENT else ""
    return core.text if len(tokens) <= BARE_FRAGMENT and _is_bare(asked) else ""


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
    bare = question.rstrip(ellipsis.ENDING)
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
    if asked.linked:
        return len(tokens) <= CONTINUED
    if len(tokens) > IMPLICIT or DEFINED.fullmatch(asked.core.text):
        return False
    if asked.first in (*ASKING, *AUXILIARIES, *TELLING):
        return len(content) < SELF_CONTAINED
    return len(tokens) <= BARE_FRAGMENT and asked.text.rstrip().endswith("?")
