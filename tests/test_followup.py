"""Follow-ups made whole: examples over products, recipes, policies and software."""

from __future__ import annotations

import time

import pytest

from index.vocabulary import Rewrite, Vocabulary
from service.antecedent import is_refusal
from service.followup import LONGEST_COMPLETED, Turn, complete

VOCABULARY = Vocabulary(
    {
        "PyTorch": 9,
        "TensorFlow": 9,
        "GPU": 4,
        "Lite": 2,
        "Linux": 4,
        "Windows": 4,
        "Google": 3,
        "Pellworth": 6,
        "Verdimist": 8,
        "Mini": 3,
        "Ostrelio": 9,
        "Plus": 4,
        "Team": 4,
        "Free": 3,
        "two": 4,
        "drembake": 6,
    },
    rivals=[("PyTorch", "TensorFlow"), ("Verdimist 2", "Verdimist 2 Mini"), ("Free", "Plus", "Team")],
)
OWN_WORDS = {"pytorch", "tensorflow", "ostrelio", "verdimist", "pellworth"}
REFUSED = "Not in the documents: nothing in the documents answers it surely enough."

MADE = ("Who made PyTorch?", "Facebook AI Research")
PRICE = ("How much is Ostrelio Plus per month?", "€4.50")
TANK = ("What's the tank capacity of the Verdimist 2?", "4.2 litres")
RETURNS = ("How long may I return tools to Pellworth?", "45 days")
SALT = ("How much salt goes into the country loaf?", "105 g")
EXIT = ("What does exit code 5 of drembake mean?", "Wrong password")
RELEASE = ("When did Drembake 3.2.1 come out?", "2024-08-19")
INDUSTRIES = ("What industries use PyTorch?", "healthcare and automotive")
DIFFERENCE = ("What is the difference between PyTorch and TensorFlow?", "Their graphs")
TREASURER = ("Who is the treasurer of the Garrowby Allotment Society?", "Odile Frasca")
LAMP = "what wavelength was the lamp (two hours of weak red light)?"
OFFICE = ("Where is the head office?", "Mill Lane 4")
FASTER = ("Is PyTorch faster than TensorFlow?", "Yes")
WEATHER = (*MADE, "how is the weather?", REFUSED)
LIGHT = ("Which light gave the heaviest basil?", "Two hours of weak red light gave heavier basil.")
CHAIN = (*MADE, "and TensorFlow?", "Google Brain", "when was it released?", "2015")


def after(history: tuple[str, ...], question: str) -> str:
    new, changes = asked(history, question)
    assert bool(changes) == (new != question)
    return new


def asked(history: tuple[str, ...], question: str) -> tuple[str, list[Rewrite]]:
    turns = [Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(history)]
    return complete(question, turns, VOCABULARY, is_word=lambda word: word not in OWN_WORDS)


@pytest.mark.parametrize(
    ("history", "question", "completed"),
    [
        # fragments in the place of a name
        (MADE, "and TensorFlow?", "Who made TensorFlow?"),
        (MADE, "what about tensorflow?", "Who made TensorFlow?"),
        (MADE, "no, I meant TensorFlow", "Who made TensorFlow?"),
        (MADE, "does TensorFlow?", "Who made TensorFlow?"),
        (MADE, "is it the same for TensorFlow?", "Who made TensorFlow?"),
        (PRICE, "and Team?", "How much is Ostrelio Team per month?"),
        (PRICE, "what about the free one?", "How much is Ostrelio Free per month?"),
        (TANK, "and the Mini?", "What's the tank capacity of the Verdimist 2 Mini?"),
        (RELEASE, "and 3.2.0?", "When did Drembake 3.2.0 come out?"),
        (INDUSTRIES, "and TensorFlow?", "What industries use TensorFlow?"),
        (
            ("Why is TensorFlow preferred in industry?", "its ecosystem"),
            "and PyTorch in academia?",
            "Why is PyTorch preferred in academia?",
        ),
        # in the place of a noun phrase
        (RETURNS, "what about living plants?", "How long may I return living plants to Pellworth?"),
        (SALT, "and for the rye tin loaf?", "How much salt goes into the rye tin loaf?"),
        (SALT, "and water?", "How much water goes into the country loaf?"),
        (SALT, "and how much yeast?", "How much yeast goes into the country loaf?"),
        (EXIT, "and exit code 12?", "What does exit code 12 of drembake mean?"),
        (TREASURER, "and the secretary?", "Who is the secretary of the Garrowby Allotment Society?"),
        (PRICE, "per year?", "How much is Ostrelio Plus per year?"),
        # added, where nothing is parallel
        (RELEASE, "and on Windows?", "When did Drembake 3.2.1 come out on Windows?"),
        (RETURNS, "and if it is damaged?", "How long may I return tools to Pellworth if it is damaged?"),
        (TANK, "what about spare parts?", "What about spare parts for Verdimist 2?"),
        # pronouns
        (MADE, "when was it released?", "when was PyTorch released?"),
        (MADE, "and its license?", "PyTorch's license?"),
        (MADE, "what else did they make?", "what else did Facebook AI Research make?"),
        (MADE, "who made the other one?", "who made TensorFlow?"),
        (MADE, "how do they differ?", "how do PyTorch and TensorFlow differ?"),
        (SALT, "how long does it bake?", "how long does the country loaf bake?"),
        (EXIT, "how do I fix that?", "how do I fix exit code 5 of drembake?"),
        (PRICE, "what does that plan include?", "what does the Ostrelio Plus plan include?"),
        (INDUSTRIES, "what do they use it for?", "what do healthcare and automotive use PyTorch for?"),
        (DIFFERENCE, "what is the latter used for?", "what is TensorFlow used for?"),
        (DIFFERENCE, "are they free?", "are PyTorch and TensorFlow free?"),
        (TREASURER, "what is her email?", "what is Odile Frasca's email?"),
        (LIGHT, "what wavelength was that lamp?", LAMP),
        (OFFICE, "how do I get there?", "how do I get to the head office?"),
        # words of asking
        (MADE, "when?", "When was PyTorch made?"),
        (PRICE, "since when?", "Since when is Ostrelio Plus per month?"),
        (LIGHT, "why?", "Why two hours of weak red light gave heavier basil?"),
        (FASTER, "why is that?", "Why is PyTorch faster than TensorFlow?"),
        # no topic of its own
        (RETURNS, "who do I write to?", "who do I write to for Pellworth?"),
        (PRICE, "and can I get it back?", "can I get Ostrelio Plus back?"),
        (MADE, "which one is faster?", "which one is faster, PyTorch or TensorFlow?"),
        (MADE, "tell me more", "tell me more about PyTorch?"),
        # chains
        (CHAIN, "and the other one?", "when was PyTorch released?"),
        (CHAIN, "why?", "Why was TensorFlow released 2015?"),
    ],
)
def test_a_follow_up_is_completed(history: tuple[str, ...], question: str, completed: str) -> None:
    assert after(history, question) == completed


@pytest.mark.parametrize(
    ("history", "question"),
    [
        (MADE, "so who made TensorFlow then?"),
        (MADE, "What is overfitting?"),
        (MADE, "Is it true that TensorFlow is older?"),
        (MADE, "is that true?"),
        (MADE, "What time is it?"),
        (MADE, "Which tools that support debugging are recommended?"),
        (MADE, "How do I install plugins and remove them?"),
        (MADE, "What does this document cover?"),
        (MADE, "PyTorch license?"),
        (MADE, "thanks!"),
        (PRICE, "If I buy a plan, can I return it?"),
        (PRICE, "What is the refund period for yearly plans?"),
        (TANK, "How long does it take to ship spare parts abroad?"),
        (("Hi!", "Hello!"), "and TensorFlow?"),
        ((), "and TensorFlow?"),
    ],
)
def test_anything_else_is_left_alone(history: tuple[str, ...], question: str) -> None:
    assert asked(history, question) == (question, [])


def test_pronouns_are_reported_by_their_words_and_fragments_by_the_question() -> None:
    _, changes = asked(INDUSTRIES, "and what do they use it for?")
    assert [(one.kind, one.old, one.new) for one in changes] == [
        ("follow-up", "and", ""),
        ("follow-up", "they", "healthcare and automotive"),
        ("follow-up", "it", "PyTorch"),
    ]
    _, changes = asked(MADE, "and TensorFlow?")
    assert changes == [Rewrite("follow-up", "and TensorFlow?", "Who made TensorFlow?")]


def test_a_refused_question_gives_its_names_and_nothing_else() -> None:
    history = (*MADE, "How much does Goldsync cost?", REFUSED)
    assert after(history, "who sells it?") == "who sells Goldsync?"
    assert after(WEATHER, "when did it come out?") == "when did PyTorch come out?"
    assert after(WEATHER, "why?") == "Why was PyTorch made?"


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        ("", True),
        ("…", True),
        (REFUSED, True),
        ("I could not find an answer to that.", True),
        ("Sorry, the documents do not say.", True),
        ("The documents don't mention it.", True),
        ("No answer found.", True),
        ("Facebook AI Research", False),
        ("No card is needed until the trial ends.", False),
        ("404", False),
    ],
)
def test_a_refusal_is_known_by_how_it_begins(content: str, refused: bool) -> None:
    assert is_refusal(content) == refused


def test_marks_of_an_answer_are_no_part_of_it() -> None:
    history = ("Who made PyTorch?", "“Facebook AI Research” [1]\n\n[1] pytorch.md:12")
    assert after(history, "what else did they make?") == "what else did Facebook AI Research make?"


def test_names_need_no_vocabulary_when_they_are_written_with_capitals() -> None:
    history = [Turn("user", "When was the Larkfield Bridge built?"), Turn("assistant", "1911")]
    assert complete("who designed it?", history, Vocabulary({}))[0] == "who designed Larkfield Bridge?"


def test_a_long_history_is_read_from_its_end_and_quickly() -> None:
    turns = [Turn("user", f"{'word ' * 5_000}? Who made PyTorch {number}?") for number in range(100)]
    begun = time.process_time()
    completed, _ = complete("and why is it so slow?", turns, VOCABULARY)
    assert time.process_time() - begun < 2
    assert len(completed) <= LONGEST_COMPLETED
