"""The passages that all are measured with: cut by our own code out of other projects' documentation."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.projects import SETS, TRAINING
from corpus.folder import Source, scan
from index.build import read_source
from index.encoder import Encoder

QUESTIONS = Path(__file__).resolve().parents[1] / "reader" / "questions"
SEED = 11

CHANGED_ID = "changed.md"
NAMES = ("Idris Tavernake", "Maud Pellorin")
"""Of the document that is changed: who it names at first, and who after a change."""

ABOUT_CHANGED = "Who is the harbour master of Quennlow?"


@dataclass(frozen=True, slots=True)
class State:
    """The changed document as it is at one time; it comes to one passage."""

    name: str
    document: str
    text: str
    """Of the passage, as the peers index it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is indexed."""

    documents: Path
    """Folder of the documents, for Pullquote."""
    passages: Path
    """JSON Lines with `id` and `text`, for all others; the last one is the changed document's."""
    count: int
    states: tuple[State, State]
    """The changed document at first, and otherwise."""


def prepare(fetched: Path, folder: Path, count: int, encoder: Encoder) -> Prepared:
    """Write documents that come to exactly `count` passages, and the passages, into a folder made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    documents = folder / "documents"
    first, other = (_state(name, encoder) for name in NAMES)
    passages: list[dict[str, str]] = []
    for source in _shuffled(fetched):
        cut = _cut(source, encoder)
        if not cut or len(passages) + len(cut) >= count:
            continue
        path = documents / source.id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.data)
        passages += [{"id": f"{source.id}#{number}", "text": text} for number, text in enumerate(cut)]
        if len(passages) == count - 1:
            break
    if len(passages) != count - 1:
        raise SystemExit(f"the documents in {fetched} do not come to {count} passages")
    (documents / CHANGED_ID).write_text(first.document, encoding="utf-8")
    passages.append({"id": f"{CHANGED_ID}#0", "text": first.text})
    lines = folder / "passages.jsonl"
    lines.write_text("".join(json.dumps(one) + "\n" for one in passages), encoding="utf-8")
    return Prepared(documents, lines, count, (first, other))


def _shuffled(fetched: Path) -> list[Source]:
    """Return the documents in an order of chance that is always the same, so that small numbers mix too."""
    found = [
        Source(f"{name}/{one.id}", one.data, one.sha, one.updated_at)
        for name in (*SETS, TRAINING)
        for one in scan(fetched / name)
        if isinstance(one, Source) and one.id.endswith(".md")
    ]
    random.Random(SEED).shuffle(found)
    return found


def _cut(source: Source, encoder: Encoder) -> list[str]:
    """Return the texts that we embed of a document; none if it cannot be read."""
    found = read_source(source, encoder)
    return [one.embedded for one in found[1]] if isinstance(found, tuple) else []


def _state(name: str, encoder: Encoder) -> State:
    document = f"# Quennlow\n\nThe harbour master of Quennlow is {name}.\n"
    (text,) = _cut(Source(CHANGED_ID, document.encode(), "", ""), encoder)
    return State(name, document, text)


def questions(files: Iterable[Path] | None = None) -> list[str]:
    """Return every question once, in an order of chance that is always the same."""
    found: dict[str, None] = {}
    for path in sorted(QUESTIONS.glob("*.jsonl")) if files is None else files:
        for line in path.read_text(encoding="utf-8").splitlines():
            found.setdefault(json.loads(line)["question"])
    shuffled = list(found)
    random.Random(SEED).shuffle(shuffled)
    return shuffled
