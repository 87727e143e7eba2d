"""What short forms stand for: who asks for it, and which texts say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.analysis import words
from index.expansions import asked_of, expands, is_short_form, spelled_out
from index.vocabulary import Vocabulary

WORD = st.text(st.sampled_from("abcdefghiklmnoprstuw"), min_size=3, max_size=9)
FIRST = st.tuples(st.sampled_from("dgkpr"), WORD).map("".join)
"""With a letter that no word below begins with: "the best of them (TBT)" could be meant."""

LONG = st.tuples(FIRST, st.lists(WORD, min_size=2, max_size=5)).map(
    lambda names: " ".join([names[0], *names[1]]).title()
)

SAYING = [
    "It is made with {long} ({short}) and lasts.",
    "{short} ({long}) is made to last.",
    'The {short} ("{long}") is made to last.',
    "{short} stands for {long}.",
    "{short}: {long}",
    "It is an acronym for {long}, and lasts.",
    "We use **{short}** (*{long}*) here.",
    "All of the {long} is made to last.",
]
SILENT = [
    "{short} is made to last.",
    "The best of them ({short}) lasts.",
    "Use {short}, which lasts and lasts.",
    "XYQ stands for something else than what lasts.",
]


def short_of(long: str) -> str:
    return "".join(word[0] for word in long.split())


@given(LONG, st.sampled_from(SAYING))
def test_who_says_it_is_known(long: str, form: str) -> None:
    """A text that spells out the initials is known for it, in whichever form."""
    assert expands(short_of(long), [form.format(short=short_of(long), long=long)], [""]).tolist() == [1.0]


@given(LONG, st.sampled_from(SILENT))
def test_who_only_names_it_is_not_taken_for_one_who_says_it(long: str, form: str) -> None:
    """A text that only names the short form does not say what it stands for."""
    short, text = short_of(long), form.format(short=short_of(long))
    assert expands(short, [text], [""]).tolist() == [-1.0]


@given(LONG)
def test_a_table_s_row_says_it_of_its_label(long: str) -> None:
    """The cell beside a short form says it, the same words beside another name do not."""
    short = short_of(long)
    assert expands(short, [long.lower()], [short]).tolist() == [1.0]
    assert spelled_out("Zzz", long.lower(), "Zzz") is False


@pytest.mark.parametrize(
    ("short", "text"),
    [
        ("TFX", "with TensorFlow Extended (TFX) in production"),
        ("MATLAB", 'MATLAB ("matrix laboratory") is older'),
        ("Redis", "Redis: Remote Dictionary Server"),
        ("CRUD", "**C**reate, **R**ead, **U**pdate, and **D**elete"),
        ("DAG", "a directed acyclic graph"),
        ("XGBoost", "XGBoost, short for eXtreme Gradient Boosting, came later"),
    ],
)
def test_long_forms_as_people_write_them(short: str, text: str) -> None:
    assert expands(short, [text], [""]).tolist() == [1.0]


@pytest.mark.parametrize(
    ("question", "short"),
    [
        ("What does TFX stand for?", "TFX"),
        ("what does tfx stand for", "TFX"),
        ("what is tfx short for?", "TFX"),
        ("TFX abbreviation meaning", "TFX"),
        ("full form of TFX", "TFX"),
        ("For what words does the acronym XLA stand?", "XLA"),
        ("What is TFX?", None),
        ("What does the violet status light stand for?", None),
        ("Why does the short form fail?", None),
        ("", None),
    ],
)
def test_who_asks_for_it(question: str, short: str | None) -> None:
    assert asked_of(question, list(words(question)), Vocabulary({"TFX": 3})) == short


def test_only_a_short_form_has_to_be_spelled_out() -> None:
    assert is_short_form("ONNX") and not is_short_form("Violet")
    assert expands("llama", ["It means the new model."], [""]).tolist() == [0.0]
