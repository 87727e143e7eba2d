"""The development questions keep the format that tests/data/README.md describes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
SETS = {
    "article": (
        HERE / "data" / "article" / "questions.jsonl",
        HERE.parent / "corpus" / "texts",
    ),
    "manuals": (
        HERE / "data" / "manuals" / "questions.jsonl",
        HERE / "data" / "manuals" / "docs",
    ),
}
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

pytestmark = pytest.mark.parametrize("name", sorted(SETS))


@cache
def rows(name: str) -> tuple[dict[str, Any], ...]:
    """Return the questions of a set."""
    lines = SETS[name][0].read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


@cache
def text_of(name: str, document: str) -> str:
    """Return the text of a document, with its line ends as they are in the file."""
    return (SETS[name][1] / document).read_bytes().decode("utf-8")


def slices(name: str, row: dict[str, Any]) -> list[str]:
    """Return the text of each gold place of a question."""
    found = []
    for place in row["gold_places"]:
        text = text_of(name, place["file"])
        assert 0 <= place["start"] < place["end"] <= len(text), row["id"]
        found.append(text[place["start"] : place["end"]])
    return found


def test_fields(name: str) -> None:
    for row in rows(name):
        assert set(row) >= REQUIRED, row["id"]
        assert set(row) <= REQUIRED | OPTIONAL, row["id"]
        assert row["question"].strip() == row["question"] != "", row["id"]
        assert row["type"] in TYPES, row["id"]
        assert row["gold_mode"] in {"any", "all"}, row["id"]
        assert row["split"] in {"look", "score"}, row["id"]
        assert isinstance(row["answerable"], bool), row["id"]


def test_ids_and_questions_are_unique(name: str) -> None:
    assert max(Counter(row["id"] for row in rows(name)).values()) == 1
    asked = Counter((row["question"], json.dumps(row.get("history"))) for row in rows(name))
    assert max(asked.values()) == 1


def test_history_belongs_to_followups(name: str) -> None:
    for row in rows(name):
        assert ("history" in row) == (row["type"] == "followup"), row["id"]
        roles = [turn["role"] for turn in row.get("history", [])]
        assert roles == ["user", "assistant"] * (len(roles) // 2), row["id"]
        assert all(turn["content"] for turn in row.get("history", [])), row["id"]


def test_unanswerable_questions_hold_no_gold(name: str) -> None:
    for row in rows(name):
        if row["type"] in ALWAYS_UNANSWERABLE:
            assert not row["answerable"], row["id"]
        if not row["answerable"]:
            assert row["gold_spans"] == row["gold_places"] == [], row["id"]
            assert row["document"] is None, row["id"]
            assert "forbidden" not in row, row["id"]


def test_every_place_holds_the_gold(name: str) -> None:
    for row in rows(name):
        if not row["answerable"]:
            continue
        spans, passages = row["gold_spans"], slices(name, row)
        assert spans and passages, row["id"]
        assert row["document"] == row["gold_places"][0]["file"], row["id"]
        for passage in passages:
            assert passage == passage.strip(), row["id"]
            held = [span in passage for span in spans]
            assert all(held) if row["gold_mode"] == "all" else any(held), row["id"]
        for span in spans:
            assert span.strip() and any(span in passage for passage in passages), row["id"]


def test_forbidden_words_are_no_part_of_the_gold(name: str) -> None:
    for row in rows(name):
        for bad in row.get("forbidden", []):
            assert bad and not any(bad in span for span in row["gold_spans"]), row["id"]


def test_share_of_unanswerable_questions(name: str) -> None:
    asked = rows(name)
    assert len(asked) >= 180
    share = sum(not row["answerable"] for row in asked) / len(asked)
    assert 0.28 <= share <= 0.42


def test_every_type_is_in_both_splits(name: str) -> None:
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows(name):
        splits[row["type"]][row["split"]] += 1
    assert set(splits) == TYPES
    for kind, count in splits.items():
        assert abs(count["look"] - count["score"]) <= 1, kind
        assert count["look"] and count["score"], kind


def test_every_document_is_asked_about(name: str) -> None:
    docs = SETS[name][1]
    asked = {row["document"] for row in rows(name) if row["answerable"]}
    if name == "manuals":
        assert asked == {p.name for p in docs.iterdir()}
    else:
        assert asked == {"pytorch-vs-tensorflow.md"}
