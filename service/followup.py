"""Follow-ups: a question and its history -> a question that stands alone, and what was changed.

Rules of English over closed classes of words; names come from the corpus's vocabulary and from capitals.
A question that is complete is left alone, and so is one for which no rule is sure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from corpus.document import Span
from index.vocabulary import Rewrite, Vocabulary
from service import antecedent, ellipsis, reasking
from service.antecedent import Exchange, Talk
from service.asked import BARE_FRAGMENT, CONDITIONS, ENDING, TELLING, Asked, fragment_of, read_asked
from service.pronouns import CLOCK, JUDGEMENT, Place, applied, resolved
from service.wording import ASKING, AUXILIARIES, Known, read_wording

REMEMBERED = 6
"""User turns that are read: what was said before them is no longer talked about."""

LONGEST_QUESTION = 300
"""Code points of a question that may be a follow-up; a longer one explains itself."""

LONGEST_ANSWER = 400
"""Code points of an earlier answer that are read."""

LONGEST_COMPLETED = 600
"""Code points of a completed question."""

CONTINUED = 14
"""Words of a question that begins with `and` and may take over the topic."""

IMPLICIT = 6
"""Words of a question that nothing ties to the last one and that may still leave its topic out."""

SELF_CONTAINED = 2
"""Content words from which on a question that nothing ties to the last one has a topic of its own."""

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
    r"(?:hi|hello|hey|bye|really|sure|nice|good|great|cool|thanks?|thank you|yes|no|ok|okay|never mind"
    r"|for example|for instance|such as)"
    r"(?:,? (?:there|so much|very much|that|you|a lot|enough))?",
    re.I,
)
DEFINED = re.compile(
    r"(?:what|who)(?:['’]s| is| are| was| were) (?!there\b|the\b|not\b|\w+ed\b)\w+(?: \w+)?"
    r"|(?:define|meaning of) .*|what does (?:\w+ ){1,3}(?:mean|stand for)",
    re.I,
)
"""A question for what something is names its topic: `what is overfitting?`, not `what is the price?`."""

ASKED_OF = re.compile(r"(?:which|how (?:much|many)|whose|what(?= \S+(?<!ed)(?<!s)$)) \w+(?: \w+)?", re.I)
"""Other words of asking for the question before: `how much water`."""

CHOICE = re.compile(
    r"which (?:one|ones|of (?:the (?:two|both)|them|these|those|both))\b|which(?= (?:is|was|has)\b)"
    r"|which(?= \w+ (?:first|last|more|less|most|least|better|worse|best|worst|\w+er|\w+est)\b)",
    re.I,
)

"""A choice between things that are not named."""

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
        wording = read_wording(standing.strip(), known)
        if (wording.names or wording.content) and not CHATTER.fullmatch(standing.strip(ENDING)):
            talk.append(Exchange(wording, answer, refused))
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
    new, changes = _by_rule(read_asked(question, known), talk, known)
    if new == question or len(new) > LONGEST_COMPLETED:
        return question, []
    return new, changes


def _by_rule(asked: Asked, talk: Talk, known: Known) -> tuple[str, list[Change]]:
    question, core = asked.text, asked.core.text
    if not core or CHATTER.fullmatch(core) or JUDGEMENT.fullmatch(core):
        return question, []
    again = ASKED_AGAIN.fullmatch(core)
    if again and not (REFERS.search(core) and again["asking"].lower() not in ("why", "how come")):
        return _whole(question, reasking.asked_again(_asking(again["asking"]), antecedent.last_asked(talk)))
    fragment = fragment_of(asked)
    if asked.first not in CONDITIONS or not fragment:
        places = [one for one in resolved(asked.wording, talk, known) if one[0].start >= asked.start]
        if places:
            return _with_antecedents(asked, places, talk, known)
    if fragment:
        return _whole(question, _filled(asked, fragment, talk, known))
    other = ASKED_OF.fullmatch(core) and not CHOICE.match(core)
    if other and not asked.core.names and not asked.core.has_auxiliary:
        new = reasking.asked_of(core, talk[-1].question)
        if new:
            return _whole(question, new)
    return _whole(question, _continued(asked, talk, known))


def _with_antecedents(
    asked: Asked, places: list[Place], talk: Talk, known: Known
) -> tuple[str, list[Change]]:
    """Return the question with its pronouns replaced; put into the one before if it was nothing else."""
    question = asked.text
    whole = read_asked(applied(question, places), known)
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


def _continued(asked: Asked, talk: Talk, known: Known) -> str:
    """Return a question without a topic of its own with the conversation's: `... for Pellworth?`."""
    question, wording = asked.text, asked.wording
    bare = question[asked.link :].rstrip(ENDING)
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
    tokens = asked.wording.tokens
    # In `how long is the trial`, long is no topic.
    measured = [behind for one, behind in pairwise(tokens) if one.lower == "how"]
    content = [token for token in asked.wording.content if token not in measured]
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
