"""Things that a question calls by who makes them are asked about by their own names, if the corpus does."""

from __future__ import annotations

import pytest

from index.makers import called_by_name
from service.answer import Answer, ask
from tests.indexed import Indexed, words_of

pytest_plugins = ("tests.indexed",)

NAMES = [("Quillon", "Marbeck", "Oakhurst", "Feldspar"), ("PyTorch", "TensorFlow", "Facebook", "Google")]
LABELS = ["Developer", "Made by", "**Company**", "Maintainer"]


def compared(one: str, other: str, maker: str, rival: str, label: str) -> bytes:
    return f"""# {one} or {other}

| Feature | {one} | {other} |
| --- | --- | --- |
| {label} | {maker} AI Research | {rival} Brain |
| First release | 2016 | 2015 |
| Deployment | With a server of its own | With a kit for telephones |

In short {one} is easier to debug and {other} harder to learn, since its graphs are static. Some clouds run
both, such as {rival} Cloud.
""".encode()


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("names", NAMES, ids="-".join)
@pytest.mark.parametrize(
    "called", ["{}'s library", "the {} one", "{}’s own framework", "the library made by {}"]
)
def test_by_the_table(indexed: Indexed, names: tuple[str, str, str, str], label: str, called: str) -> None:
    """A thing called by its maker is asked about by its own name, and that is reported."""
    one, other, maker, rival = names
    snapshot = indexed({"both.md": compared(*names, label)}).snapshot
    for thing, whose in ((one, maker), (other, rival)):
        asked, changes = called_by_name(f"When did {called.format(whose)} come out?", snapshot)
        assert asked == f"When did {thing} come out?"
        assert [(change.kind, change.new) for change in changes] == [("alias", thing)]


@pytest.mark.parametrize("names", NAMES, ids="-".join)
def test_answers_are_about_that_thing(indexed: Indexed, names: tuple[str, str, str, str]) -> None:
    """With the names swapped the answer is the other thing's."""
    one, other, maker, rival = names
    for makers, year in (((maker, rival), "2016"), ((rival, maker), "2015")):
        index = indexed({"both.md": compared(one, other, *makers, "Developer")})
        reply = ask(index, f"In which year was {maker}'s framework first released?")
        assert isinstance(reply.verdict, Answer)
        assert words_of(index, reply) == [year]


@pytest.mark.parametrize(
    "question",
    [
        "Is Marbeck Feldspar's library?",  # the thing itself is named
        "Which of Feldspar's libraries is the newest?",
        "What does Feldspar Cloud cost?",
        "Who at Feldspar wrote the framework?",
        "Is the Birchwood library older?",
        "Is one library faster?",
        "",
    ],
)
def test_what_is_left_alone(indexed: Indexed, question: str) -> None:
    snapshot = indexed({"both.md": compared(*NAMES[0], "Developer")}).snapshot
    assert called_by_name(question, snapshot) == (question, [])


def test_whoever_makes_both_makes_neither(indexed: Indexed) -> None:
    text = compared("Quillon", "Marbeck", "Oakhurst", "Oakhurst", "Developer")
    question = "Is Oakhurst's library fast?"
    assert called_by_name(question, indexed({"both.md": text}).snapshot) == (question, [])


@pytest.mark.parametrize("label", ["Backend", "Developer experience", "Made for", "Publication"])
def test_other_rows_tell_of_no_maker(indexed: Indexed, label: str) -> None:
    question = "How is the Oakhurst database set up?"
    index = indexed({"both.md": compared(*NAMES[0], label)})
    assert called_by_name(question, index.snapshot) == (question, [])


def test_a_sentence_says_it_too(indexed: Indexed) -> None:
    text = compared(*NAMES[0], "Licence") + b"\nMarbeck, backed by Gneiss, is widely used.\n"
    snapshot = indexed({"both.md": text}).snapshot
    assert called_by_name("Is Gneiss's tool widely used?", snapshot)[0] == "Is Marbeck widely used?"


def test_without_a_comparison_nothing_is_looked_for(indexed: Indexed) -> None:
    snapshot = indexed({"one.md": b"# Marbeck\n\nMarbeck, backed by Gneiss, is widely used."}).snapshot
    assert called_by_name("Is Gneiss's tool widely used?", snapshot) == ("Is Gneiss's tool widely used?", [])
