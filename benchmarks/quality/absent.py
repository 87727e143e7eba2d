"""Telling what the documents say from what they do not: the same questions with their answer taken away.

    python benchmarks/quality/absent.py --squad FOLDER [--work FOLDER]

The area under the ROC curve of confidence: how often a question that the documents answer gets more than one
that they do not. Three ways of not answering, from easy to hard: the question is about other documents, its
whole document is left out of the search, or only the passages with the answer are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.quality import tables
from benchmarks.quality.run import arguments, folder
from benchmarks.quality.sets import Set, open_sets
from index.question import read_together
from index.reader import READ, read
from index.search import Hit, search
from service.answer import confidence
from service.finding import Index
from service.known import KnownQuestion

out = Console(highlight=False, soft_wrap=True)

Scores = dict[str, float]


def scores(index: Index, question: str, among: NDArray[np.bool_] | None = None) -> Scores:
    """Return what a question gets by cosine alone, by the ranking and by confidence; 0 for nothing found."""
    snapshot = index.snapshot
    (asked,) = read_together([question], index.encoder, snapshot.terms, snapshot.vocabulary)
    hits: list[Hit] = search(snapshot, asked, READ, among)
    readings = read(snapshot, asked, hits, index.pairs)
    return {
        "cosine": max((hit.similarity for hit in hits), default=0.0),
        "search score": max((hit.score for hit in hits), default=0.0),
        "confidence": confidence(readings[0]) if readings else 0.0,
    }


def without_document(index: Index, known: KnownQuestion) -> NDArray[np.bool_]:
    """Return bool (passages,): all but those of the document with the answer."""
    snapshot = index.snapshot
    kept = np.ones(snapshot.passages, dtype=bool)
    for file in {place.file for place in known.gold_places}:
        passages = snapshot.passages_of(snapshot.numbers[file])
        kept[passages.start : passages.stop] = False
    return kept


def without_answer(index: Index, known: KnownQuestion) -> NDArray[np.bool_]:
    """Return bool (passages,): all but those that overlap a place of the answer."""
    snapshot = index.snapshot
    kept = np.ones(snapshot.passages, dtype=bool)
    for file in {place.file for place in known.gold_places}:
        for passage in snapshot.passages_of(snapshot.numbers[file]):
            span = snapshot.span(passage)
            kept[passage] = not known.is_at_gold(file, span.start, span.end)
    return kept


def area(present: Sequence[float], absent: Sequence[float]) -> float:
    """Return the share of pairs in which the present one gets more; equal ones count half."""
    one, other = np.asarray(present)[:, None], np.asarray(absent)[None, :]
    return float(np.mean((one > other) + 0.5 * (one == other)))


def areas(one: Set, elsewhere: Sequence[KnownQuestion]) -> str:
    """Return a table: the areas under the curve of each signal for each way of not answering."""
    asked = [known for known in one.score if known.answerable and known.gold_places]
    here = [scores(one.index, known.question) for known in asked]
    away = {
        "questions about other documents": [scores(one.index, known.question) for known in elsewhere],
        "its document left out": [
            scores(one.index, known.question, without_document(one.index, known)) for known in asked
        ],
        "its passages left out": [
            scores(one.index, known.question, without_answer(one.index, known)) for known in asked
        ],
    }
    signals = tuple(here[0])
    rows = [
        [name, *(f"{area([s[key] for s in here], [s[key] for s in found]):.3f}" for key in signals)]
        for name, found in away.items()
    ]
    return tables.table((f"{one.name}, {len(asked)} questions", *signals), rows)


def main() -> None:
    """Measure SQuAD's scored questions; those from elsewhere are the manuals' and the article's."""
    given = arguments()
    if given.squad is None:
        raise SystemExit("--squad FOLDER is needed: a folder with docs/ and questions.jsonl")
    with folder(given.work) as work:
        sets = {one.name: one for one in open_sets(work, given.model, squad=given.squad)}
        elsewhere = [
            known for name in ("article", "manuals") for known in sets[name].look if not known.history
        ]
        out.print(areas(sets["squad"], elsewhere), markup=False)


if __name__ == "__main__":
    main()
