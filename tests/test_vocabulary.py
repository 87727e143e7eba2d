"""What the corpus says about words: corrections, names, acronyms, aliases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from index.definitions import read_aliases
from index.expansions import long_form
from index.vocabulary import Rewrite, Vocabulary, rewrite

CORPUS = {
    "PyTorch": 9,
    "TensorFlow": 9,
    "release": 3,
    "Visdom": 1,
    "learning": 4,
    "curve": 2,
    "supports": 2,
    "the": 30,
}
ORDINARY = {"conda", "install", "capital", "france", "rehearse", "when", "was", "leaning"}


def asked(question: str, **more: object) -> tuple[str, list[Rewrite]]:
    return rewrite(question, Vocabulary(CORPUS, **more), ORDINARY.__contains__)  # type: ignore[arg-type]


def test_misspelled_words_become_the_corpus_s_own() -> None:
    assert asked("pytroch relase")[0] == "PyTorch release"
    assert asked("lerning crve of tensorflwo")[0] == "learning curve of TensorFlow"
    assert asked("tensor flow")[0] == "TensorFlow"


def test_every_rewrite_is_reported() -> None:
    assert asked("visdon?") == ("Visdom?", [Rewrite("spelling", "visdon", "Visdom")])


def test_ordinary_and_known_words_are_left_alone() -> None:
    for question in ("install conda", "the capital of france", "rehearse leaning", "support the releases"):
        assert asked(question) == (question, [])


def test_aliases_and_acronyms_stand_for_what_they_say() -> None:
    assert asked("tf curve", aliases=[("tf", "TensorFlow")])[0] == "TensorFlow curve"
    assert (
        asked("release of TFX", acronyms=[("TFX", "TensorFlow Extended")])[0]
        == "release of TensorFlow Extended"
    )


@given(st.lists(st.sampled_from(sorted(CORPUS)), max_size=8))
def test_a_known_word_is_never_changed(words: list[str]) -> None:
    """A question made of the corpus's own words is asked as it is."""
    question = " ".join(words)
    assert asked(question, aliases=[("the", "a"), ("pytorch", "x")]) == (question, [])


@given(st.text(max_size=60))
def test_any_text(question: str) -> None:
    """Whatever is asked, the rewrites reported are the differences there are."""
    used, changes = asked(question)
    assert (used == question) == all(change.old == change.new for change in changes)


def test_long_forms_are_read_back_from_the_bracket() -> None:
    assert long_form("TFX", "capabilities with TensorFlow Extended") == "TensorFlow Extended"
    assert long_form("WHO", "of the World Health Organization") == "World Health Organization"
    assert long_form("see", "as in the table") is None
    assert long_form("XYZ", "nothing of the kind") is None


def test_compared_things_are_rivals() -> None:
    spellings = {"PyTorch": 2, "TensorFlow": 2, "default": 1}
    held = Vocabulary(spellings, rivals=[("PyTorch", "TensorFlow"), ("Default", "Meaning")])
    assert held.rivals("pytorch") == ["TensorFlow"]
    assert held.rivals("Default") == []


def test_an_alias_file_says_which_line_is_wrong() -> None:
    pairs, problem = read_aliases(b"# words\ntf = TensorFlow\nno equals\ntwo words = x\n")
    assert pairs == (("tf", "TensorFlow"),) and problem is not None and "3, 4" in problem
    assert read_aliases(b"") == ((), None)
    assert read_aliases(b"\xff = x")[1] is not None
