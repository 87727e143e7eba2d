"""What a question asks for, by its words of asking, and whether an answer has it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.analysis import terms, words

ASKS_DATE = re.compile(r"\b(when|(what|which) (year|date|day|month)|since when|how long ago)\b", re.I)
ASKS_NUMBER = re.compile(
    r"\bhow (many|much|long|often|old|far|big|large|fast|high|deep|heavy|wide)\b"
    r"|\bwhat (is the )?(number|percentage|size|price|cost|limit|port|version|share|amount)\b",
    re.I,
)
ASKS_NAME = re.compile(r"\b(who|whom|whose|where)\b", re.I)
ASKS_REASON = re.compile(r"\b(why|how come|what (makes|made|is the reason)|reasons?)\b", re.I)
DATE = re.compile(
    r"\b\d{4}\b|\b\d{1,2}[./:]\d|\b(january|february|march|april|may|june|july|august|september|october"
    r"|november|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|century|centuries)\b",
    re.I,
)
NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty"
    r"|hundred|thousand|million|billion|dozen|daily|weekly|monthly|yearly|once|twice|never|always|half|no)\b",
    re.I,
)
NAME = re.compile(r"(?<=[\w,;:)] )[A-Z]\w+|^[A-Z][\w.]+ [A-Z]\w+")
REASON = re.compile(
    r"\b(because|since|due to|so that|thanks to|owing to|in order to|therefore|thus|as a result|making"
    r"|which (is|makes|means)|to (avoid|prevent|ensure|keep|allow|reduce|protect)|for its)\b",
    re.I,
)
ONLY_DATE = re.compile(r"(?:\w+\.? )?\d[\d./: -]*(?: \w+ \d+)?")
ONLY_NUMBER = re.compile(r"[^\w\s]?\s?\d[\d.,: -]*\s?[^\W\d]{0,12}[^\w\s]?(?: (?:per|a|an) \w+)?")
ONLY_NAME = re.compile(r"[A-Z][\w.&'-]*(?: (?:of|the|and|&|[A-Z][\w.&'-]*))*")
DATE_LABEL = re.compile(
    r"\b(years?|dates?|times?|days?|months?|released?|since|when|founded|published|until)\b", re.I
)
NUMBER_LABEL = re.compile(
    r"\b(number|amount|price|cost|size|weight|height|width|length|limit|capacity|count|quantity|period|duration"
    r"|rate|default|max(imum)?|min(imum)?|total|age|speed|hours?|minutes?|days?)\b",
    re.I,
)
NAME_LABEL = re.compile(
    r"\b\w+(er|or|ist|ant)s?\b|\b(by|who|team|company|organi[sz]ation|contact|name|person|people|chair|staff"
    r"|place|location|address|city|country|region|where|venue)\b",
    re.I,
)
FORMS = ((ONLY_DATE, DATE_LABEL), (ONLY_NUMBER, NUMBER_LABEL), (ONLY_NAME, NAME_LABEL))
"""For the first three of SHAPES: a cell that is nothing else, and the label of a column or row of them."""

PLAIN_WORD = re.compile(r"\w[\w'’-]*")

SHAPES = ((ASKS_DATE, DATE), (ASKS_NUMBER, NUMBER), (ASKS_NAME, NAME), (ASKS_REASON, REASON))
"""What a question asks for, and what an answer to it has. In the order of the last four features."""


ASKS_YES_NO = re.compile(
    r"(?:(?:and|but|so|hi|hello|hey)\b,? )?(?:is|are|was|were|do|does|did|can|could|may|will|would|should"
    r"|has|have|had|must|isn't|aren't|doesn't|don't|can't)\b",
    re.I,
)
ASKS_DEFINITION = re.compile(
    r"(?:what(?:'?s| is| are| does)|define|definition of|meaning of|explain)\s++(?:an? |the )?"
    # What could end within the spaces or the marks at the end could end before them, where it is looked for.
    r"(?P<what>.(?=\s*+[?.!]*+\Z)|.+?(?=(?:(?<=[^\s?.!])| mean| stand for| do| refer to)\s*+[?.!]*+\Z"
    r"|(?<=[?.!])\s++[?.!]*+\Z))(?: mean| stand for| do| refer to)?\s*+[?.!]*+"
    r"|(?P<bare>[\w`._-]+(?: [\w`._-]+)?)\s*\?+$",
    re.I,
)
MOST_DEFINED = 4
"""Words of a thing whose definition is asked for: "what is the best way to do it" asks for none."""

DEFINING = re.compile(
    r"\W*+(?:(?:an?|the)\s)?(?P<what>.{1,60}?)[`*\"')]*+\s{0,40}(?:\([^)]{1,40}\)\s{0,40})?"
    r"(?:(?:is|are|means?|refers? to|stands? for|describes?|denotes?|was)\b|[:–—]|\s-\s)",
    re.I | re.S,
)
"""The beginning of a sentence that says what something is."""


POINTER = re.compile(
    r"\W*(?:please )?(?:see|refer to|read|check out|consult|visit|have a look|take a look"
    r"|for (?:more|further|details|a list)|more (?:information|details)|click)\b",
    re.I,
)
"""A sentence that only says where to read on."""

BOILERPLATE = re.compile(
    r"\b(?:disclaimers?|subject to change|all rights reserved|copyrights?|©|licen[sc]ed under|trademarks?"
    r"|for informational purposes|cookies?|privacy policy|terms of (?:use|service)|table of contents"
    r"|edit this page|last (?:updated|modified)|back to top|without warrant(?:y|ies)|not responsible for"
    r")(?!\w)",
    re.I,
)
"""What stands under texts of every subject and answers nothing about any."""

ASKS_LIST = re.compile(
    r"\b(?:which|what)\s+(?!is\b|was\b|does\b|has\b|this\b|its\b)[\w-]*[^\Wsu']s\b"
    r"(?!\s+(?:the|an?|it|my|your|this|that|these|to|when|if|with|from|after|by|in|on)\b)"
    r"|\b(?:which|what)\s+[\w-]+\s+[\w-]*[^\Wsu']s\s+(?:are|do|does|did|can|have|were|may|should|will|must|could|of)\b"
    r"|\bwhat (?:are|were) (?!you\b)|\b(?:list|name|enumerate|give me) (?:of )?(?:[\w-]+ ){0,4}[\w-]+s\b",
    re.I,
)
"""A question after several things: a noun in the plural behind "which", or a list by name."""


def asks_list(question: str) -> bool:
    """Return whether a question asks for several things."""
    return ASKS_LIST.search(question) is not None


def boilerplate(question: str, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return float64 (texts,): 1 for boilerplate, 0 for all when the question asks for such a thing."""
    if BOILERPLATE.search(question):
        return np.zeros(len(texts))
    return np.array([float(BOILERPLATE.search(text) is not None) for text in texts])


def is_yes_no(question: str) -> bool:
    """Return whether a question asks yes or no."""
    return ASKS_YES_NO.match(question.strip()) is not None


def thing_asked(question: str) -> str:
    """Return the thing that a question asks the meaning of: "What is a lease?"; empty for any other one."""
    asked = ASKS_DEFINITION.fullmatch(question.strip())
    what = (asked["what"] or asked["bare"]) if asked else ""
    return what if len(what.split()) <= MOST_DEFINED else ""


def defines(thing: str, answers: Sequence[str], names: Sequence[str]) -> NDArray[np.float64]:
    """Return float64 (answers,): 1 for one that begins by saying what the thing is, else -1.

    So does one that stands first under a name which is that thing's: `names` are those, empty for the others.
    """
    wanted, parts = set(terms(thing)), _parts(thing)
    found = np.full(len(answers), -1.0)
    for at, answer in enumerate(answers):
        opening = DEFINING.match(answer)
        says = opening is not None and bool(wanted.intersection(terms(opening["what"])[:1]))
        if says or (parts and parts == _parts(names[at])):
            found[at] = 1.0
    return found


def _parts(name: str) -> frozenset[str]:
    """Return the terms of a name, of a compound those of its parts: `peerDependencies`, peer dependency."""
    said = [word for word in words(name) if not word.is_stopword and word.text.lower() != "used"]
    return frozenset(term for word in said for term in word.terms[len(word.terms) > 1 :])


def shapes(question: str, answers: Sequence[str]) -> NDArray[np.float64]:
    """Return float64 (answers, SHAPES): 1 if the answer has what is asked, -1 if not, 0 if not asked."""
    found = np.zeros((len(answers), len(SHAPES)))
    for at, (asks, wanted) in enumerate(SHAPES):
        if asks.search(question):
            told = [_untold(question, answer) for answer in answers] if wanted is NAME else answers
            found[:, at] = [1.0 if wanted.search(answer) else -1.0 for answer in told]
    return found


def _untold(question: str, answer: str) -> str:
    """Return the answer without the words of the question: "who made Keras?" is not answered by "Keras"."""
    known = {word.casefold() for word in PLAIN_WORD.findall(question)}
    return PLAIN_WORD.sub(lambda word: "" if word.group().casefold() in known else word.group(), answer)


def cell_forms(question: str, cells: Sequence[tuple[str, str] | None]) -> dict[str, NDArray[np.float64]]:
    """Return `only` and `label`, float64 (cells,): what a cell is, and what it is said to be.

    `cells` are the words of each cell with those of its label and header; None for what is no cell.
    """
    only, label = np.zeros(len(cells)), np.zeros(len(cells))
    asked = [form for (asks, _), form in zip(SHAPES, FORMS, strict=False) if asks.search(question)]
    for at, cell in enumerate(cells if asked else ()):
        if cell is not None:
            only[at] = any(form.fullmatch(cell[0]) for form, _ in asked)
            label[at] = any(named.search(cell[1]) for _, named in asked)
    return {"only": only, "label": label}
