"""Expressions that were written anew, so that they take linear time, find what the plain ones find."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpus.formats import encodings, pdf_layout, pdf_margins
from corpus.formats.tags import _TAG
from index import shapes
from index.analysis import terms
from service import asked

PLAIN = SimpleNamespace(
    numbered=re.compile(
        r"(?:(?:chapter|part|section|appendix)\s+)?[\dA-Z]{0,3}(?:\.\d+)*[.:)]?\s+", re.IGNORECASE
    ),
    cut=re.compile(r"([^\W\d_]+)-$"),
    leaders=re.compile(r"(?:\.\s?){4,}\s*[\divxlc]{1,6}$|(?:\s\.){3,}\s*[\divxlc]{1,6}$"),
    number=re.compile(
        r"[-–—|\s]*(?:page|seite|p\.)?\s*(\d{1,4})(?:\s*(?:of|/|von)\s*\d{1,4})?[-–—|\s]*", re.IGNORECASE
    ),
    declaration=re.compile(
        rb"""<\?xml\s[^<>]*?\bencoding\s*=\s*["']([\w.:-]{1,40})"""
        rb"""|<meta\s[^<>]*?\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""",
        re.IGNORECASE,
    ),
    tag=re.compile(r"""</?[A-Za-z](?:[^<>"']|"[^"<]*"|'[^'<]*')*>|<[A-Za-z/!?][^<>]*>"""),
    asks_definition=re.compile(
        r"(?:what(?:'?s| is| are| does)|define|definition of|meaning of|explain)\s+(?:an? |the )?"
        r"(?P<what>.+?)"
        r"(?: mean| stand for| do| refer to)?\s*[?.!]*$"
        r"|(?P<bare>[\w`._-]+(?: [\w`._-]+)?)\s*\?+$",
        re.I,
    ),
    defining=re.compile(
        r"\W*(?:(?:an?|the)\s)?(?P<what>.{1,60}?)[`*\"')]*\s*(?:\([^)]{1,40}\)\s*)?"
        r"(?:(?:is|are|means?|refers? to|stands? for|describes?|denotes?|was)\b|[:–—]|\s-\s)",
        re.I | re.S,
    ),
    link=re.compile(r"(?:(?:and|but|so|also|or|then)\b[\s,;:.!–-]*)+", re.I),
    interjection=re.compile(
        r"(?:(?:ok|okay|well|now|no|yes|sorry|thanks|thank you|right|oh|ah|hmm|great|cool)\s*[,;:.!–-]+\s*)+",
        re.I,
    ),
    trailing=re.compile(r"[\s,]*\b(?:too|then|instead|as well|though|please)\W*$", re.I),
)


def texts(*pieces: str) -> st.SearchStrategy[str]:
    """Return texts of pieces that an expression is about, and of others."""
    others = [" ", "  ", "\n", "a", "b c", "1", ".", "-", "?", ",", "é", "the "]
    return st.lists(st.sampled_from([*pieces, *pieces, *others]), max_size=14).map("".join)


@given(texts("part ", "Chapter  ", "appendix", "section", "1", ".2", "34", ")", ":", " A", "1234", "sec"))
@example("part  part 1 x")
@example("chapter chapter 1 x")
def test_titles(words: str) -> None:
    """Law: a title loses the same numbers, read backwards."""
    plain = PLAIN.numbered.sub("", words.strip())
    assert pdf_layout._NUMBERED.sub("", words.strip()[::-1])[::-1] == plain


@given(texts("co", "-", "x-", "_", "ab-cd-", "9-"))
def test_words_that_are_cut(text: str) -> None:
    """Law: the word before a hyphen at the end is the same, looked for behind the last space."""
    plain, found = PLAIN.cut.search(text), pdf_layout._CUT.search(text, text.rfind(" ") + 1)
    assert (plain and plain.span(1)) == (found and found.span(1))


@given(texts(". ", "..", " .", "...", "....", "xi", "12", "1234567", "\t"))
def test_leaders(words: str) -> None:
    """Law: dots with the number of a page are the same, read backwards."""
    assert bool(PLAIN.leaders.search(words)) == bool(pdf_margins._LEADERS.match(words[::-1]))


@given(texts("page", "Seite ", "p.", "of", "/", " von ", "|", "–", "12345", "7"))
def test_page_numbers(words: str) -> None:
    """Law: the number of a page is the same."""
    plain, found = PLAIN.number.fullmatch(words), pdf_margins._NUMBER.fullmatch(words)
    assert (plain and plain[1]) == (found and found[1])


@given(texts("<?xml ", "encoding", "charset", "=", '"', "'", "<meta ", "utf-8", ">", "\t"))
def test_declarations(text: str) -> None:
    """Law: the encoding that a file declares is the same."""
    data = text.encode()
    plain, found = PLAIN.declaration.search(data), encodings._DECLARATION.search(data)
    assert (plain and plain.groups()) == (found and found.groups())


@given(texts("<a", "</a", "<!", '"', "'", ">", "<", "=", "/"))
def test_tags(html: str) -> None:
    """Law: a tag ends where it did."""
    assert [found.span() for found in PLAIN.tag.finditer(html)] == [
        found.span() for found in _TAG.finditer(html)
    ]


ASKING = (
    "what is ",
    "What's ",
    "define ",
    "explain",
    "what does ",
    " mean",
    " stand for",
    " do",
    "??",
    "! ?",
)


@given(texts(*ASKING, "an ", "`x`", "mean", " refer to", "!"))
@example("what is a  ??")
@example("what is  a mean mean ?")
def test_what_asks_for_a_definition(question: str) -> None:
    """Law: what a question wants defined is the same."""
    asked_ = question.strip()
    plain, found = PLAIN.asks_definition.fullmatch(asked_), shapes.ASKS_DEFINITION.fullmatch(asked_)
    assert (plain and plain.groupdict()) == (found and found.groupdict())


@given(
    texts("an ", "The ", "is ", " means", ":", " - ", "(", ")", "`", "*", '"', "—", "refers to ", "x" * 57)
)
@example("a  is b means c")
@example('-- "the  — x is')
def test_what_defines(answer: str) -> None:
    """Law: a sentence defines the same first word, or none."""

    def first(found: re.Match[str] | None) -> list[str]:
        return list(terms(found["what"])[:1]) if found else []

    assert first(PLAIN.defining.match(answer)) == first(shapes.DEFINING.match(answer))


@pytest.mark.parametrize("name", ["link", "interjection"])
@given(
    text=texts("and", "so", "then", "ok", "okay", "no", "now", "thanks", "Thank you", ", ", "!", "–", "oh")
)
def test_beginnings(name: str, text: str) -> None:
    """Law: `and`, `ok,` and the like end where they did."""
    plain, found = getattr(PLAIN, name).match(text), getattr(asked, name.upper()).match(text)
    assert (plain and plain.end()) == (found and found.end())


@given(texts("too", "then", ", ", "as well", "please", ",,", "!", "\n"))
def test_ends(question: str) -> None:
    """Law: what is left without `too` and the like is the same."""
    assert PLAIN.trailing.sub("", question) == asked.TRAILING.sub("", question)
