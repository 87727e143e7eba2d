"""The development questions keep the format that tests/data/README.md describes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent

TYPES = {
    "adversarial",
    "comparison",
    "definition",
    "fact",
    "followup",
    "keyword",
    "list",
    "near_miss",
    "out_of_scope",
    "paraphrase",
    "table",
    "typo",
    "why",
    "yesno",
}
TYPES_OF_PROJECTS = TYPES - {"adversarial", "comparison"} | {"howto"}


@dataclass(frozen=True)
class Questions:
    """A file of questions, and where its documents are if they come with the project."""

    file: str
    docs: Path | None
    letter: str
    """The first of every id."""
    about: frozenset[str]
    """The documents, or the folders of documents, each of which is asked about."""
    splits: str
    """`even`, `mostly scored`, or `all looked at`."""
    types: frozenset[str] = frozenset(TYPES)


MANUALS = HERE / "data/manuals/docs"
TEXTS = HERE.parent / "corpus/texts"
ARTICLE = frozenset({"pytorch-vs-tensorflow.md"})

SETS = {
    "article": Questions("article/questions.jsonl", TEXTS, "a", ARTICLE, "even"),
    "article, fresh": Questions("article/fresh.jsonl", TEXTS, "b", ARTICLE, "mostly scored"),
    "manuals": Questions(
        *("manuals/questions.jsonl", MANUALS, "m"), frozenset(p.name for p in MANUALS.iterdir()), "even"
    ),
    "projects": Questions(
        *("projects/questions.jsonl", None, "p"),
        frozenset({"hatch", "pandera", "fastify"}),
        "mostly scored",
        frozenset(TYPES_OF_PROJECTS),
    ),
    "packages": Questions(
        *("packages/questions.jsonl", None, "d"),
        frozenset({"jupyterhub", "sqlmesh", "undici"}),
        "all looked at",
        frozenset(TYPES_OF_PROJECTS),
    ),
    "tools": Questions(
        *("tools/questions.jsonl", None, "t"),
        frozenset({"pino", "semantic-release", "redocly-cli"}),
        "mostly scored",
        frozenset({"fact", "followup", "howto", "near_miss", "out_of_scope", "table", "why", "yesno"}),
    ),
}
ALWAYS_UNANSWERABLE = {"near_miss", "out_of_scope"}
REQUIRED = {
    "id",
    "question",
    "type",
    "answerable",
    "gold_spans",
    "gold_mode",
    "document",
    "gold_places",
    "split",
}
OPTIONAL = {"history", "forbidden"}

every_set = pytest.mark.parametrize("name", sorted(SETS))
with_documents = pytest.mark.parametrize("name", sorted(name for name, one in SETS.items() if one.docs))


@cache
def rows(name: str) -> tuple[dict[str, Any], ...]:
    """Return the questions of a set."""
    lines = (HERE / "data" / SETS[name].file).read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return tuple(json.loads(line) for line in lines)


@cache
def text_of(name: str, document: str) -> str:
    """Return the text of a document, with its line ends as they are in the file."""
    docs = SETS[name].docs
    assert docs is not None
    return (docs / document).read_bytes().decode("utf-8")


def slices(name: str, row: dict[str, Any]) -> list[str]:
    """Return the text of each gold place of a question."""
    found = []
    for place in row["gold_places"]:
        text = text_of(name, place["file"])
        assert 0 <= place["start"] < place["end"] <= len(text), row["id"]
        found.append(text[place["start"] : place["end"]])
    return found


@every_set
def test_fields(name: str) -> None:
    for row in rows(name):
        assert set(row) >= REQUIRED, row["id"]
        assert set(row) <= REQUIRED | OPTIONAL, row["id"]
        assert row["question"].strip() == row["question"] != "", row["id"]
        assert row["type"] in SETS[name].types, row["id"]
        assert row["gold_mode"] in {"any", "all"}, row["id"]
        assert row["split"] in {"look", "score"}, row["id"]
        assert isinstance(row["answerable"], bool), row["id"]


@every_set
def test_ids_and_questions_are_unique(name: str) -> None:
    letter = SETS[name].letter
    assert [row["id"] for row in rows(name)] == [f"{letter}{one:03}" for one in range(1, len(rows(name)) + 1)]
    asked = Counter((row["question"], json.dumps(row.get("history"))) for row in rows(name))
    assert max(asked.values()) == 1


@every_set
def test_history_belongs_to_followups(name: str) -> None:
    for row in rows(name):
        assert ("history" in row) == (row["type"] == "followup"), row["id"]
        roles = [turn["role"] for turn in row.get("history", [])]
        assert roles == ["user", "assistant"] * (len(roles) // 2), row["id"]
        assert all(turn["content"] for turn in row.get("history", [])), row["id"]


@every_set
def test_unanswerable_questions_hold_no_gold(name: str) -> None:
    for row in rows(name):
        if row["type"] in ALWAYS_UNANSWERABLE:
            assert not row["answerable"], row["id"]
        if not row["answerable"]:
            assert row["gold_spans"] == row["gold_places"] == [], row["id"]
            assert row["document"] is None, row["id"]
            assert "forbidden" not in row, row["id"]


@every_set
def test_answerable_questions_name_gold_and_places(name: str) -> None:
    for row in rows(name):
        if not row["answerable"]:
            continue
        spans, places = row["gold_spans"], row["gold_places"]
        assert spans and places, row["id"]
        assert all(span.strip() == span != "" and "\n" not in span for span in spans), row["id"]
        assert row["document"] == places[0]["file"], row["id"]
        for place in places:
            path = PurePosixPath(place["file"])
            assert path.parts[0] in SETS[name].about and ".." not in path.parts, row["id"]
            assert isinstance(place["start"], int) and isinstance(place["end"], int), row["id"]
            assert 0 <= place["start"] < place["end"], row["id"]
            room = place["end"] - place["start"]
            fitting = [len(span) <= room for span in spans]
            assert all(fitting) if row["gold_mode"] == "all" else any(fitting), row["id"]


@with_documents
def test_every_place_holds_the_gold(name: str) -> None:
    for row in rows(name):
        if not row["answerable"]:
            continue
        spans, passages = row["gold_spans"], slices(name, row)
        for passage in passages:
            assert passage == passage.strip(), row["id"]
            held = [span in passage for span in spans]
            assert all(held) if row["gold_mode"] == "all" else any(held), row["id"]
        for span in spans:
            assert any(span in passage for passage in passages), row["id"]


@every_set
def test_forbidden_words_are_no_part_of_the_gold(name: str) -> None:
    for row in rows(name):
        for bad in row.get("forbidden", []):
            assert bad and not any(bad in span for span in row["gold_spans"]), row["id"]


@every_set
def test_share_of_unanswerable_questions(name: str) -> None:
    asked = rows(name)
    assert len(asked) >= 150
    share = sum(not row["answerable"] for row in asked) / len(asked)
    assert 0.28 <= share <= 0.42


@every_set
def test_every_type_is_split_as_described(name: str) -> None:
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(name):
        splits[row["type"]][row["split"]] += 1
    assert set(splits) == SETS[name].types
    for kind, count in splits.items():
        if SETS[name].splits == "even":
            assert abs(count["look"] - count["score"]) <= 1, kind
        if SETS[name].splits == "mostly scored":
            assert count["look"] < count["score"], kind
        assert (count["score"] == 0) == (SETS[name].splits == "all looked at"), kind
        assert count["look"], kind


@every_set
def test_everything_is_asked_about(name: str) -> None:
    asked = {row["document"].partition("/")[0] for row in rows(name) if row["answerable"]}
    assert asked == SETS[name].about


@every_set
def test_the_counts_are_as_described(name: str) -> None:
    described = (HERE / "data/README.md").read_text(encoding="utf-8")
    answerable = sum(row["answerable"] for row in rows(name))
    splits = Counter(row["split"] for row in rows(name))
    counts = (len(rows(name)), answerable, len(rows(name)) - answerable, splits["look"], splits["score"])
    assert f"| `{SETS[name].file}` | {' | '.join(map(str, counts))} |" in described
