"""What the cross-encoder learns from: questions with known answers, each with the candidates found for it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality.fit import is_right
from benchmarks.quality.mechanisms import constant, patched
from benchmarks.quality.projects import PROJECTS, TRAINING
from benchmarks.quality.sets import Remembering, exported, index_of
from benchmarks.reader.packed import Asked, Candidate
from corpus.document import CandidateKind
from index.columns import KINDS
from index.quoting import Reading
from index.saying import said_of
from service.answer import ask
from service.finding import Index
from service.followup import Turn
from service.known import KnownQuestion, read_questions

HERE = Path(__file__).resolve().parent

KEPT = 12
"""Candidates of a question, best first by the weighted sum, that training draws from."""

MOST_RIGHT = 3
"""Right candidates behind those that are taken along."""

OWN_DOCUMENT = 2
"""Of the questions about our own short documents every second one is asked of its document alone, as in a
corpus that holds nothing else, the others of all documents of their kind."""

FOLDERS = {
    "black-copier-conda-lock": ("black/", "copier/", "conda-lock/"),
    "cibuildwheel-jupyter-book": ("cibuildwheel/", "jupyter-book/"),
    "pyinfra-singer-sdk": ("pyinfra/", "singer-sdk/"),
    "outlines-griffe-bump-my-version": ("outlines/", "griffe/", "bump-my-version/"),
    "jupyterlab": ("jupyterlab/",),
    "fastapi": ("fastapi/",),
    "instructor": ("instructor/",),
    "briefcase-molecule": ("briefcase/", "molecule/"),
    "mcp-starlette": ("mcp/", "starlette/"),
    "ansible-lint-scikit-build-core-isort-pikepdf": (
        "ansible-lint/",
        "scikit-build-core/",
        "isort/",
        "pikepdf/",
    ),
    "oauthenticator-jupyter-ai-salt": ("oauthenticator/", "jupyter-ai/", "salt/"),
    "netbox": ("netbox/",),
    "aider-chat-schemathesis": ("aider-chat/", "schemathesis/"),
    "vllm-zarr": ("vllm/", "zarr/"),
    "codeceptjs-concurrently-markdownlint-piscina": (
        "codeceptjs/",
        "concurrently/",
        "markdownlint/",
        "piscina/",
    ),
    "eslint-plugin-jest-node-gyp": ("eslint-plugin-jest/", "node-gyp/"),
    "versus": ("versus/",),
    "versus2": ("versus2/",),
    "versus3": ("versus3/",),
    "versus4": ("versus4/",),
    "everyday": ("everyday/",),
    "everyday2": ("everyday2/",),
    "encyclopedia": ("encyclopedia/",),
    "encyclopedia2": ("encyclopedia2/",),
    "encyclopedia3": ("encyclopedia3/",),
    "encyclopedia4": ("encyclopedia4/",),
    "encyclopedia5": ("encyclopedia5/",),
    "encyclopedia6": ("encyclopedia6/",),
}
"""For each file of questions the documents that it asks about."""
OURS = (
    *("versus", "versus2", "versus3", "versus4"),
    *("everyday", "everyday2", "encyclopedia", "encyclopedia2", "encyclopedia3", "encyclopedia4"),
    *("encyclopedia5", "encyclopedia6"),
)
"""Those whose documents were written for them and lie in docs/."""

SQUAD = "squad"
"""The set of SQuAD's own questions and ours about its articles."""
ABOUT_SQUAD = ("squad", "squad2")
"""The files of our own."""


def training_index(work: Path, model: str, fetched: Path) -> Index:
    """Return the index of all documents that there are questions about to learn from, but SQuAD's.

    Those of other projects are what fetch.py has put into `fetched`; the index is kept in `work`.
    """
    documents = work / "training-documents"
    documents.mkdir(parents=True, exist_ok=True)
    training = [one.folder for one in PROJECTS if one.set == TRAINING]
    places = {name: fetched / TRAINING / name for name in training} | {
        name: HERE / "docs" / name for name in OURS
    }
    for name, place in places.items():
        if not (documents / name).exists():
            shutil.copytree(place, documents / name)
    export = exported(model, work)
    return index_of(work / "training", documents, export, Remembering(Path(export)))


def from_documentation(work: Path, model: str, fetched: Path) -> dict[str, list[Asked]]:
    """Return our own questions about documents that are our own, or that fetch.py has put into `fetched`.

    By the file of questions that they stand in.
    """
    index = training_index(work, model, fetched)
    found: dict[str, list[Asked]] = {}
    for name, folders in FOLDERS.items():
        known = read_questions(HERE / "questions" / f"{name}.jsonl")
        found[name] = useful(index, known, folders, alone=name in OURS)
    return found


def useful(
    index: Index, questions: Sequence[KnownQuestion], folders: tuple[str, ...] = (), *, alone: bool = False
) -> list[Asked]:
    """Return the questions with their candidates, without those whose answer is not among the candidates.

    They are asked of the documents in `folders`; with `alone` every second one of its own document.
    """
    found = []
    for number, known in enumerate(questions):
        own = (known.document,) if alone and known.document and number % OWN_DOCUMENT == 0 else folders
        asked = candidates_of(index, known, own)
        if not known.answerable or any(one.right for one in asked.candidates):
            found.append(asked)
    return found


def candidates_of(index: Index, known: KnownQuestion, documents: tuple[str, ...] = ()) -> Asked:
    """Return a question with its candidates, by the weighted sum alone."""
    plain = Index(index.snapshot, index.encoder)
    history = [Turn(one.role, one.content) for one in known.history]
    with patched(constant("index.reader", "KEPT", sys.maxsize)):
        reply = ask(plain, known.question, history=history, documents=documents, threshold=0.0)
    found: list[Candidate] = []
    behind = 0
    for number, reading in enumerate(reply.trace.readings if reply.trace else ()):
        right = is_right(index.snapshot, known, reading)
        if number < KEPT or (right and behind < MOST_RIGHT):
            behind += number >= KEPT
            said = said_of(index.snapshot, reading.hit.passage, _row(index, reading))
            found.append(Candidate(said, right, reading.score))
    return Asked(reply.used, tuple(found))


def _row(index: Index, reading: Reading) -> np.void:
    """Return the row of the candidate that is quoted in whole or in part."""
    row: np.void
    for row in index.snapshot.candidates_of(reading.hit.passage):
        whole = KINDS[row["kind"]] is not CandidateKind.SPAN
        if whole and row["start"] <= reading.span.start and reading.span.end <= row["end"]:
            return row
    raise LookupError(f"no candidate holds {reading.span}")
