"""A question that may be a follow-up: how it begins, and whether it is a fragment of a question."""

from __future__ import annotations

import re
from dataclasses import dataclass

from service.wording import (
    ASKING,
    AUXILIARIES,
    DETERMINERS,
    PREPOSITIONS,
    Known,
    Wording,
    read_wording,
)

FRAGMENT = 8
"""Words of a fragment after `and`, `what about`; a longer one says what it wants."""

BARE_FRAGMENT = 4
"""Words of a fragment that nothing announces: `on Sundays?`."""

LINK = re.compile(r"(?:(?:and|but|so|also|or|then)\b[\s,;:.!–-]*+)++", re.I)
INTERJECTION = re.compile(
    r"(?:(?:ok|okay|well|now|no|yes|sorry|thanks|thank you|right|oh|ah|hmm|great|cool)\s*+[,;:.!–-]++\s*+)++",
    re.I,
)
ABOUT = re.compile(
    r"(?:(?:what|how) about|what of|what(?= if\b)|(?:the )?same (?:question |thing )?(?=for|with|about|in|on)"
    r"|(?:is|does|do|was|are) (?:it|that|this|they) (?:be |also )?(?:the same|true|different|hold|apply)"
    r"(?= for| with| of| to| in| on)|i (?:mean|meant)|make (?:it|that))\s+(?:about (?=\w))?",
    re.I,
)
"""What announces a fragment."""

TRAILING = re.compile(r"(?<![\s,])[\s,]*+\b(?:too|then|instead|as well|though|please)\W*+$", re.I)

CONDITIONS = ("if", "unless", "because", "while")
"""With which a fragment may hold a verb."""

TELLING = ("tell", "explain", "describe", "more", "summarise", "summarize", "elaborate")
"""With which a request begins."""

ENDING = " \t\n?!.…,;:"
"""What may stand behind a question's last word."""


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


def read_asked(question: str, known: Known) -> Asked:
    """Return a question with what it begins and ends with told apart."""
    start = len(question) - len(question.lstrip())
    start = _behind(INTERJECTION, question, start)
    link = _behind(LINK, question, start)
    begins = _behind(ABOUT, question, link)
    core = TRAILING.sub("", question[begins:].rstrip(ENDING)).strip(ENDING)
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


def fragment_of(asked: Asked) -> str:
    """Return the words to be put into the question before; empty if this is a question of its own."""
    core, tokens = asked.core, asked.core.tokens
    if asked.announced:
        return "" if _stands_alone(core) else core.text
    if asked.first in AUXILIARIES:  # `does TensorFlow?`
        rest = tokens[1:]
        bare = all(token.is_name or token.lower in DETERMINERS for token in rest)
        return core.text[rest[0].span.start :] if rest and bare else ""
    finite = core.has_auxiliary and asked.first not in CONDITIONS
    if not tokens or finite or asked.first in (*ASKING, *TELLING) or _stands_alone(core):
        return ""
    if asked.linked:
        return core.text if len(tokens) <= FRAGMENT else ""
    return core.text if len(tokens) <= BARE_FRAGMENT and _is_bare(asked) else ""


def _is_bare(asked: Asked) -> bool:
    """Return whether a few words that nothing announces are a fragment: `for mobile`, `the lamp?`."""
    core = asked.core
    if asked.first in PREPOSITIONS or (core.names and not core.content):
        return True
    if not asked.text.rstrip().endswith("?") or core.names:
        return False
    return asked.first in DETERMINERS or len(core.content) == 1


def _stands_alone(core: Wording) -> bool:
    """Return whether a phrase names what it is about: `the license of TensorFlow`."""
    if not core.names or not core.content:
        return False
    return bool(core.before(core.names[0])) and core.content[0].span.end < core.names[0].start
