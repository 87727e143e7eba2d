"""A question asked before: the same reply for every parameter, and never that of another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import answer, finding, remembered
from service.finding import Index
from service.followup import Turn
from service.memory import Memory
from tests.laws.corpora import made
from tests.laws.standin import StandIn

DOCUMENTS = {
    "a.md": b"---\nlang: en\n---\n# Lamps\n\nThe harbour lamp burns whale oil. The ferry lamp burns wood.\n",
    "b.md": b"---\nlang: de\n---\n# Ferries\n\nThe ferry leaves at noon. The harbour is closed at night.\n",
}
QUESTIONS = st.sampled_from(["What burns whale oil?", "When does the ferry leave?", "why?", "What of wood?"])
HISTORIES = st.sampled_from([(), (Turn("user", "What is a lamp?"), Turn("assistant", "It burns."))])
ASKED = st.fixed_dictionaries(
    {
        "question": QUESTIONS,
        "history": HISTORIES,
        "top_k": st.integers(1, 3),
        "documents": st.sampled_from([(), ("a",), ("b", "a")]),
        "fields": st.sampled_from([None, {"lang": ["en"]}, {"lang": ["de", "en"]}]),
    }
)


@pytest.fixture(name="index", scope="module")
def _index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index(made(DOCUMENTS, tmp_path_factory.mktemp("index") / "one"), StandIn())


@given(st.lists(st.tuples(ASKED, st.sampled_from([0.0, 0.4, 1.0])), min_size=1, max_size=8))
def test_the_reply_is_that_of_asking_anew(index: Index, asked: list[tuple[dict[str, object], float]]) -> None:
    for parameters, threshold in [*asked, *asked]:
        top_k = parameters["top_k"]
        assert isinstance(top_k, int)
        plain = finding.find(index, **parameters)  # type: ignore[arg-type]
        found = remembered.find(index, **parameters)  # type: ignore[arg-type]
        reply = remembered.settle(index, found, top_k=top_k, threshold=threshold)
        expected = answer.settle(index, plain, top_k=top_k, threshold=threshold)
        assert (found.hits, found.used, found.rewrites) == (plain.hits, plain.used, plain.rewrites)
        for name in ("verdict", "alternatives", "hits", "used", "rewrites", "best_in_passage"):
            assert getattr(reply, name) == getattr(expected, name), name
        assert reply.milliseconds.keys() == expected.milliseconds.keys()
        assert found.milliseconds.keys() == plain.milliseconds.keys()


def test_nothing_is_done_twice(index: Index) -> None:
    fresh = replace(index)
    found = remembered.find(fresh, "Which lamp burns wood?")
    first = remembered.settle(fresh, found)
    again = remembered.settle(fresh, remembered.find(fresh, "Which lamp burns wood?"))
    assert again.trace is first.trace and again.trace is not None
    assert again.milliseconds["read"] == 0 and again.milliseconds["encode"] == 0


def test_another_snapshot_remembers_nothing(index: Index) -> None:
    remembered.find(index, "Which lamp burns wood?")
    other = replace(index, snapshot=index.snapshot)
    assert other.memory is not index.memory
    key = remembered.find(index, "Which lamp burns wood?").key
    assert index.memory.get(key) is not None and other.memory.get(key) is None


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans())), st.integers(1, 4))
def test_the_last_used_stay(used: list[tuple[int, bool]], most: int) -> None:
    """As a list of keys in the order of their last use, cut to length."""
    memory, order = Memory(most), list[int]()
    for key, put in used:
        known = key in order
        assert (memory.get(key) == f"value {key}") == known
        if put:
            memory.put(key, f"value {key}")
        if put or known:
            order = ([one for one in order if one != key] + [key])[-most:]
    assert [key for key in range(7) if memory.get(key)] == sorted(order)
