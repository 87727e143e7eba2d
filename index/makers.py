"""Things that a question calls by who makes them: "Google's library", where the corpus says whose it is.

That is looked for of things which a table of the corpus compares: in the table's row for the maker, and in
sentences such as "X, backed by Y". Nothing here knows any maker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from corpus.document import CandidateKind
from index.analysis import words
from index.columns import KINDS, span_at
from index.snapshot import Snapshot
from index.vocabulary import Rewrite

CALLED = re.compile(
    r"\bthe (?:framework|library|toolkit|package|product|offering|one|software|system|engine|database)"
    r"(?: (?:made|built|developed|created|backed|maintained))? (?:by|from) (?P<by>[^\W\d_][\w&-]*+)"
    r"|(?:\bthe )?(?<![\w&-])(?P<maker>[^\W\d_][\w&-]*+)(?:['’]s?)?(?: own)? "
    r"(?:framework|library|lib|toolkit|tool|package|product|offering|one|option|contender|candidate|competitor"
    r"|alternative|software|solution|system|engine|database|language|editor|browser|app|program|creation"
    r"|brainchild)\b(?!-)",
    re.I,
)
"""A thing called by its maker and what kind of thing it is. In the singular: several are not one of them."""

MAKER = re.compile(
    r"(?:(?:main|original|lead|current|parent|developing) )?"
    r"(?:(?:develop|creat|mak|maintain|back|own|found|publish|provid|suppli|build)ers?|creators?|vendors?|authors?"
    r"|compan(?:y|ies)|manufacturers?|organi[sz]ations?|brands?"
    r"|(?:(?:developed|created|made|built|maintained|backed|owned|founded|published|provided) )?by)\W*",
    re.I,
)
"""The whole label of a row that says who makes the things compared; "Developer experience" is none."""

MADE_BY = re.compile(
    r"(?<![\w.+#-])(?P<thing>[^\W\d_][\w.+#-]*+),? (?:is |was )?(?:\w+ )?"
    r"(?:backed|developed|created|built|made|maintained|released|owned) by (?:the )?"
    r"(?P<maker>[^\W\d_][\w&-]*+)"
)
"""A sentence that says who makes a thing: "TensorFlow, backed by Google, ..."."""

MARKS = re.compile(r"[*`]")

PASSAGES = 20
"""How many of the passages that name the maker are looked at, those first that name it most."""


def called_by_name(question: str, snapshot: Snapshot) -> tuple[str, list[Rewrite]]:
    """Return the question with things called by their own name, and what was replaced."""
    if not snapshot.vocabulary.compares:
        return question, []
    parts: list[str] = []
    changes: list[Rewrite] = []
    position = 0
    said = {word.text.casefold() for word in words(question)}
    for match in CALLED.finditer(question):
        name = _made_by(match["maker"] or match["by"], snapshot)
        if name is None or name.casefold() in said:
            continue
        parts += [question[position : match.start()], name]
        position = match.end()
        changes.append(Rewrite("alias", match.group(), name))
    return "".join([*parts, question[position:]]), changes


def _made_by(maker: str, snapshot: Snapshot) -> str | None:
    """Return the one thing compared that the corpus says to be of that maker, or None."""
    asked = next(words(maker))
    if asked.is_stopword or asked.terms[0] not in snapshot.terms:
        return None
    passages, scores = snapshot.terms.best([asked.terms[0]], PASSAGES)
    first = passages[(-scores).argsort(kind="stable")[:PASSAGES]]
    found = {
        thing
        for passage in first.tolist()
        for thing, said in _makers(snapshot, passage)
        if any(asked.terms[0] in word.terms and word.text[0].isupper() for word in words(said))
    }
    return found.pop() if len(found) == 1 else None


def _makers(snapshot: Snapshot, passage: int) -> Iterator[tuple[str, str]]:
    """Yield things compared with what a passage says of their makers."""
    text = snapshot.text(snapshot.document_of(passage))
    for row in snapshot.candidates_of(passage):
        spans = (span_at(row, at) for at in range(3))
        own, label, header = (MARKS.sub("", span.of(text)).strip() if span else "" for span in spans)
        if KINDS[row["kind"]] is CandidateKind.CELL:
            if header and snapshot.vocabulary.rivals(header) and MAKER.fullmatch(label):
                yield header, own
            continue
        for match in MADE_BY.finditer(own):
            if snapshot.vocabulary.rivals(match["thing"]):
                yield match["thing"], match["maker"]
