"""The sets that quality is measured on: documents, their index, and questions with known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.quality.projects import SETS
from index.encoder import Encoder, Encoding, OnnxEncoder
from index.models import is_export
from index.progress import Progress
from service.finding import Index, find
from service.known import KnownQuestion, read_questions
from service.outside import build_index, open_index
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Source:
    """What a set is made from."""

    name: str
    family: str
    documents: Path
    """The folder of its documents; sets of one folder share an index."""
    questions: Path
    """Without a split `score` all of its questions are looked at."""


OWN = (
    Source("article", "article", ROOT / "corpus/texts", ROOT / "tests/data/article/questions.jsonl"),
    Source("article, fresh", "article", ROOT / "corpus/texts", ROOT / "tests/data/article/fresh.jsonl"),
    Source(
        "manuals", "manuals", ROOT / "tests/data/manuals/docs", ROOT / "tests/data/manuals/questions.jsonl"
    ),
)
"""The sets whose documents come with the project."""

SQUAD_HELD_OUT = ("Amazon_rainforest.md", "Economic_inequality.md", "Oxygen.md", "Sky_United_Kingdom.md")
"""Articles of SQuAD whose questions the cross-encoder has not learned from; only these are asked."""

EVERY = 3
"""Of their questions every third is looked at, the others are scored."""


@dataclass(frozen=True, slots=True)
class Set:
    """One set: its index and its two halves, of which the scored one may be empty."""

    name: str
    family: str
    """Sets of one family share their documents or their kind, and count as one where sets are weighed."""
    index: Index
    look: Sequence[KnownQuestion]
    score: Sequence[KnownQuestion]


class Remembering(OnnxEncoder):
    """An encoder that encodes each question once: every run over a set asks the same ones."""

    def __init__(self, folder: Path) -> None:
        """Open the export in `folder`."""
        super().__init__(folder)
        self._asked: dict[str, Encoding] = {}

    def encode_questions(self, questions: Sequence[str]) -> list[Encoding]:
        """Return the encodings of some questions."""
        new = [one for one in dict.fromkeys(questions) if one not in self._asked]
        self._asked |= zip(new, super().encode_questions(new), strict=True)
        return [self._asked[one] for one in questions]


def exported(model: str, work: Path) -> str:
    """Return the MODEL setting of an export of `model`, which is made in `work` where there is none."""
    if is_export(model):
        return model
    folder = work / "encoder"
    if not is_export(str(folder)):
        from index.export import export_model, load_model  # noqa: PLC0415  # takes torch along

        folder.mkdir(parents=True, exist_ok=True)
        export_model(load_model(model), model, folder)
    return str(folder)


def open_sets(
    work: Path, model: str, *, squad: Path | None = None, projects: Path | None = None
) -> list[Set]:
    """Return all sets, their indexes built in `work`, or taken up where they follow the documents already."""
    export = exported(model, work)
    encoder = Remembering(Path(export))
    indexes: dict[Path, Index] = {}
    found = []
    for one in (*OWN, *(_fetched(projects) if projects is not None else ())):
        if one.documents not in indexes:
            indexes[one.documents] = index_of(work / one.name, one.documents, export, encoder)
        found.append(Set(one.name, one.family, indexes[one.documents], *_halves(one.questions)))
    if squad is not None:
        index = index_of(work / "squad", squad / "docs", export, encoder)
        questions = [
            one
            for one in read_questions(squad / "questions.jsonl")
            if article_of(index, one) in SQUAD_HELD_OUT
        ]
        score = [one for number, one in enumerate(questions) if number % EVERY]
        found.append(Set("squad", "squad", index, questions[::EVERY], score))
    return found


def article_of(index: Index, known: KnownQuestion) -> str:
    """Return the article that a question of SQuAD is about; where no answer says it, what is nearest."""
    if known.gold_places:
        return known.gold_places[0].file
    snapshot = index.snapshot
    hits = find(index, known.question, top_k=1).hits
    return snapshot.documents[snapshot.document_of(hits[0].passage)].id if hits else ""


def _fetched(folder: Path) -> list[Source]:
    """Return the sets whose documents fetch.py has put into a folder."""
    return [
        Source(name, "projects", folder / name, ROOT / "tests/data" / name / "questions.jsonl")
        for name in SETS
    ]


def _halves(path: Path) -> tuple[list[KnownQuestion], list[KnownQuestion]]:
    questions = read_questions(path)
    return [one for one in questions if one.split == "look"], [
        one for one in questions if one.split == "score"
    ]


def index_of(data: Path, documents: Path, export: str, encoder: Encoder) -> Index:
    """Return the index of a folder of documents, built in `data` or taken up where it follows them."""
    settings = Settings(corpus=documents, data=data, model=export)
    build_index(settings, Progress())
    return replace(open_index(settings), encoder=encoder)
