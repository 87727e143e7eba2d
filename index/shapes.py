"""What a question asks for, by its words of asking, and whether an answer has it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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

SHAPES = ((ASKS_DATE, DATE), (ASKS_NUMBER, NUMBER), (ASKS_NAME, NAME), (ASKS_REASON, REASON))
"""What a question asks for, and what an answer to it has. In the order of the last four features."""


def shapes(question: str, answers: Sequence[str]) -> NDArray[np.float64]:
    """Return float64 (answers, SHAPES): 1 if the answer has what is asked, -1 if not, 0 if not asked."""
    found = np.zeros((len(answers), len(SHAPES)))
    for at, (asks, wanted) in enumerate(SHAPES):
        if asks.search(question):
            found[:, at] = [1.0 if wanted.search(answer) else -1.0 for answer in answers]
    return found


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
