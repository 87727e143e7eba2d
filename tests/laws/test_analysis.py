"""Laws of words and terms."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.analysis import LONGEST_TERM, terms, words
from tests.laws.corpora import ENORMOUS, PHRASES

TEXTS = st.one_of(
    st.text(),
    st.text(st.sampled_from("aZ9é.'’+#&/-_ \n")),
    st.lists(st.sampled_from(PHRASES + ENORMOUS), max_size=6).map(" ".join),
)
NAMES = {
    "C++": "c++",
    "C#": "c#",
    "TensorFlow.js": "tensorflow.j",
    "2.13.0": "2.13.0",
    "TFX": "tfx",
    "3.4": "3.4",
    "PyTorch": "pytorch",
    "max_retries": "max_retri",
    "define-by-run": "define-by-run",
    "R2-D2": "r2-d2",
}
"""Names and their first terms: an English ending may go, as it does from any word."""


@given(TEXTS)
@example("a/'s/b")
@example("a/./b and/or")
def test_words_are_slices(text: str) -> None:
    """Words are in order and disjoint; each has letters and is its place in the text, possessives apart."""
    found = list(words(text))
    assert all(left.span.end <= right.span.start for left, right in pairwise(found))
    for word in found:
        whole = word.span.of(text)
        assert whole in (word.text, word.text + "'s", word.text + "’s")
        assert any(character.isalnum() for character in word.text)
        assert word.terms and all(0 < len(term) <= LONGEST_TERM for term in word.terms)


@given(TEXTS)
def test_every_letter_is_in_a_word(text: str) -> None:
    """Every letter and digit of a text is inside a word."""
    covered = {at for word in words(text) for at in range(word.span.start, word.span.end)}
    assert not [at for at, character in enumerate(text) if character.isalnum() and at not in covered]


@given(
    st.one_of(
        st.tuples(
            st.sampled_from(["{}-02-12", "12.02.{}", "2000/{}", "v{}-final", "Q1/{}", "{}"]),
            st.integers(1500, 2099),
        ),
        st.tuples(
            st.sampled_from(["v{}", "marl-{}", "{}rc1", "{}-slim", "{}"]),
            st.tuples(*[st.integers(0, 99)] * 3).map(lambda three: ".".join(map(str, three))),
        ),
    )
)
def test_years_and_versions_are_terms(written: tuple[str, int | str]) -> None:
    """A year in a date and a version in a longer word are found by themselves."""
    form, number = written
    assert str(number) in [term for word in words(form.format(number)) for term in word.terms]


@given(
    st.sampled_from(["", "set ", "use `", "[", "(see ", "-v/", "a, "]),
    st.sampled_from("-\u2010\u2011\u2212"),
    st.sampled_from("abEXz"),
    st.sampled_from(["", "?", "`", "]", " FILE", ",", "/-q"]),
)
def test_options_keep_their_letter_s_case(before: str, hyphen: str, letter: str, behind: str) -> None:
    """An option of one letter is a term with its case, also by its letter, and no stopword."""
    [option] = [
        word for word in words(f"{before}{hyphen}{letter}{behind}") if word.text == f"{hyphen}{letter}"
    ]
    assert option.is_option and not option.is_stopword
    assert option.terms == (f"-{letter}", letter.lower())


@given(st.sampled_from(["well-", "--", "_-", "2-", "- ", "é-"]), st.sampled_from("abEXz1é"))
def test_what_only_looks_like_an_option_is_none(before: str, letter: str) -> None:
    """Behind a word, a second hyphen or a space there is no option, nor is a digit one."""
    assert not any(word.is_option for word in words(before + letter))


@given(st.sampled_from(sorted(NAMES)), st.sampled_from(["", ".", ",", "?", " is", ")", "'s", "/"]))
def test_names_stay_whole(name: str, behind: str) -> None:
    """A name's first term is the whole name, whatever its case and whatever stands behind it."""
    for spelled in (name, name.lower(), name.upper()):
        word = next(words(f"{spelled}{behind}"))
        assert word.text == spelled
        assert word.terms[0] == NAMES[name]


@pytest.mark.parametrize(
    ("compound", "parts"),
    [
        ("TensorFlow.js", ["tensor", "flow", "js"]),
        ("max_retries", ["max", "retries"]),
        ("define-by-run", ["define", "by", "run"]),
        ("PyTorch", ["py", "torch"]),
        ("HTTPServer2", ["http", "server", "2"]),
    ],
)
def test_compounds_are_found_by_their_parts(compound: str, parts: list[str]) -> None:
    """A compound's terms hold the term of each of its parts."""
    assert {term for part in parts for term in terms(part)} <= set(terms(compound))


@given(st.text(st.sampled_from("abcdefgh"), min_size=3, max_size=9), st.sampled_from(["'s", "’s"]))
def test_possessives(word: str, ending: str) -> None:
    """A possessive has the terms of its word."""
    assert terms(word + ending) == terms(word)


LONG = 150_000
WORST = [
    *(
        "a",
        "a ",
        "a.",
        "a-",
        "a'",
        "a/",
        "aB",
        "A",
        "a" + "." * 50,
        "a_",
        "+",
        "é",
        "字",
        "e\u0301",
        "1.",
        "x\t",
    ),
    "a" + "\u0301\u0323" * 20,
]


@pytest.mark.parametrize("piece", WORST, ids=ascii)
def test_time_is_linear(piece: str) -> None:
    """Twice the text takes about twice the time, whatever the text."""
    text = (piece * LONG)[:LONG]

    def seconds(text: str) -> float:
        begun = time.perf_counter()
        for _ in words(text):
            pass
        return time.perf_counter() - begun

    # The best of three: a machine that is busy elsewhere only ever adds.
    half = min(seconds(text[: LONG // 2]) for _ in range(3))
    whole = min(seconds(text) for _ in range(3))
    assert whole < 3.2 * half + 0.02
