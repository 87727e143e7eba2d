"""Laws of passages: nothing visible is lost, and every place says what was embedded for it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from corpus.document import Block, BlockKind, CandidateKind, Document, Passage, Span
from corpus.formats import parse, plain
from corpus.passages import passages
from tests.laws.corpora import documents, pieces, plain_pieces, texts_of
from tests.laws.standin import WINDOW, StandIn

COUNT = StandIn().count_tokens


def passages_of(document: Document, window: int = WINDOW) -> tuple[Passage, ...]:
    return passages(document, COUNT, window=window)


def visible(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def words_of(document: Document, block: Block) -> str:
    return plain(document.text, block.content, block.markup)


def expected(document: Document, place: Span) -> str:
    """Return the words of a place by the notation of the block it stands in."""
    (block,) = (one for one in document.blocks if one.span.contains(place))
    return plain(document.text, place, block.markup)


def read(text: str) -> Document:
    return parse("note.md", text.encode())


@given(documents(), st.integers(8, 60))
@example(read("| a header | of nothing |\n|---|---|\n| | |"), WINDOW)
@example(read("| a header | of nothing |\n|---|---|\n| ![](/u) | |"), WINDOW)
@example(read("| a header | of nothing |\n|---|---|"), WINDOW)
@example(read("# Alone"), WINDOW)
@example(read("# One\n## Two\n# Three\n"), WINDOW)
def test_spans_cover(document: Document, window: int) -> None:
    """Every letter and digit of every block is inside a passage or a heading above one."""
    found = passages_of(document, window)
    covered = bytearray(len(document.text))
    for span in (place for passage in found for place in (passage.span, *passage.headings)):
        covered[span.start : span.end] = b"\1" * len(span)
    for block in document.blocks:
        # A link's address is notation, in a heading as elsewhere.
        place = block.content if block.kind is BlockKind.HEADING else block.span
        lost = [at for at in range(place.start, place.end) if document.text[at].isalnum() and not covered[at]]
        assert not lost, (lost[0], document.text[lost[0] : lost[0] + 40])


def own_words(passage: Passage) -> str:
    return passage.embedded[passage.context :]


@given(documents(), st.integers(8, 60))
def test_words_cover(document: Document, window: int) -> None:
    """What is embedded has the words of every block, once and in order; of a table, those of every cell."""
    found = passages_of(document, window)
    embedded = visible("".join(own_words(passage) for passage in found))
    tables = [block for block in document.blocks if block.kind is BlockKind.TABLE]
    for cell in (cell for block in tables for row in block.rows for cell in row.cells):
        assert visible(plain(document.text, cell.span, cell.markup)) in embedded
    if not tables:
        headings = {heading.start for passage in found for heading in passage.headings}
        bodies = [one for one in document.blocks if one.content.start not in headings]
        assert embedded == visible("".join(words_of(document, block) for block in bodies))


@given(documents(), st.integers(8, 60))
@example(read("# Log of 2024-05-01\n## First\n## Second\n"), WINDOW)
@example(read("# Log\n## 2024-05-01\n\n- one\n\n## 2024-05-02\n\n- two\n"), WINDOW)
def test_places(document: Document, window: int) -> None:
    """Passages are ordered and disjoint, headings stand before them, candidates lie inside their passage."""
    found = passages_of(document, window)
    assert all(left.span.end <= right.span.start for left, right in pairwise(found))
    for passage in found:
        assert passage.span.of(document.text).strip() == passage.span.of(document.text)
        places = [*passage.headings, passage.span]
        if passage.candidates[0].span in passage.headings:
            # A heading with a date opens the passage that it can be the answer of.
            assert passage.span.contains(places.pop(-2))
        assert all(left.end <= right.start for left, right in pairwise(places))
        assert passage.candidates
        for one in passage.candidates:
            assert passage.span.contains(one.span)
            assert one.row_label is None or passage.span.contains(one.row_label)
            assert len(one.span)


def embedded_places(passage: Passage) -> Iterator[tuple[Span, Span]]:
    """Yield each place of the document with its place in the embedded text."""
    for one in passage.candidates:
        yield one.span, one.embedded
        if one.row_label is not None:
            assert one.row_label_embedded is not None
            yield one.row_label, one.row_label_embedded
        if one.column_header is not None and one.column_header_embedded is not None:
            yield one.column_header, one.column_header_embedded


@given(documents(), st.integers(8, 60))
def test_embedded_places(document: Document, window: int) -> None:
    """A candidate's place in the embedded text holds the words of its place in the document."""
    for passage in passages_of(document, window):
        for place, embedded in embedded_places(passage):
            assert embedded.start >= passage.context or place in passage.headings
            assert embedded.of(passage.embedded) == expected(document, place)


@given(documents(), st.integers(8, 60))
def test_context(document: Document, window: int) -> None:
    """Before a passage's own words stand its title and headings, the innermost ones at least, or nothing."""
    for passage in passages_of(document, window):
        names = [expected(document, place) for place in passage.headings]
        if document.title not in names:
            names.insert(0, document.title)
        shown = passage.embedded[: passage.context]
        assert shown == "" or " > ".join(name for name in names if name).endswith(shown.rstrip("\n"))
        assert shown == "" or shown.endswith("\n")


@given(documents(), st.integers(8, 60))
def test_window(document: Document, window: int) -> None:
    """No text that will be encoded has more tokens than the window."""
    for passage in passages_of(document, window):
        assert COUNT(passage.embedded) <= window
        for one in passage.candidates:
            assert COUNT(one.statement) <= window, one.statement


@given(documents())
def test_statements(document: Document) -> None:
    """A cell's statement has its words with those of its label and header; a list item's are its words."""
    for passage in passages_of(document):
        for one in passage.candidates:
            if not one.statement:
                continue
            for place in (one.span, one.row_label, one.column_header):
                if place is not None and one.row_label is not None:
                    assert expected(document, place) in one.statement
            if one.kind is CandidateKind.SENTENCE:
                # A heading with a date is stated with the headings above it.
                said = one.statement.rpartition(" > ")[2] if one.block is BlockKind.HEADING else one.statement
                assert said == expected(document, one.span)


@given(st.sampled_from(["note.md", "note.txt"]), st.data())
def test_line_ends(name: str, data: st.DataObject) -> None:
    """The kind of line end changes nothing of what is embedded, where nothing has to be cut."""
    text = data.draw(texts_of(pieces if name == "note.md" else plain_pieces))

    def seen(text: str) -> list[tuple[str, list[str]]]:
        found = passages_of(parse(name, text.encode()), 10_000)
        return [(one.embedded, [each.statement for each in one.candidates]) for one in found]

    assert seen(text) == seen(text.replace("\n", "\r\n")) == seen(text.replace("\n", "\r"))


@given(
    st.lists(st.sampled_from(["size", "Overview", "The box", "2.0"]), max_size=3, unique=True),
    st.sampled_from(["", "**Type:** number\n\n", "```\nbox 7\n```\n\n", "**Type:** list\n\n**Unit:** s\n\n"]),
    st.sampled_from(["{}", "{} It is kept.", "- {}", "- {}\n- Type: number"]),
    st.sampled_from(["It holds things.", "Default: 7."]),
)
def test_a_section_s_first_sentence_is_of_its_heading(
    headings: list[str], before: str, form: str, first: str
) -> None:
    """The first sentence under a heading has it as its label, code and lines such as "Type: number" left out.

    Of those a default has it, too. A heading that says nothing of a subject counts with the one above it.
    """
    path = ["Rook", *headings]
    text = "\n\n".join(f"{'#' * at} {name}" for at, name in enumerate(path, start=1))
    text += f"\n\n{before}{form.format(first)}\n"
    passage = passages_of(parse("rook.md", text.encode()), 10_000)[-1]
    named = " > ".join(path[-2:]) if path[-1] == "Overview" else path[-1]
    labels = {
        one.span.of(text): one.row_label_embedded.of(passage.embedded)
        for one in passage.candidates
        if one.row_label_embedded
    }
    says = form[0] != "-" or first.startswith("Default")
    labelled = {first: named} if says else {}
    if first.startswith("Default") and form.endswith("kept."):
        labelled["It is kept."] = named
    assert labels == labelled


@given(
    st.sampled_from(["- {}", "1. {}", "Before it.\n\n* {}\n* Another item.", "{}"]),
    st.lists(st.sampled_from(["It is kept.", "Default: 7.", "Defaults to none."]), max_size=4, unique=True),
)
def test_an_item_s_sentences_are_of_what_it_begins_with(form: str, others: list[str]) -> None:
    """A later sentence of an item has the first one as its label; in a paragraph one that says a default."""
    first = "Size is what a box holds."
    text = "# Rook\n\n" + form.format(" ".join([first, *others])) + "\n"
    (passage,) = passages_of(parse("rook.md", text.encode()), 10_000)
    labels = {
        one.span.of(text): one.row_label_embedded and one.row_label_embedded.of(passage.embedded)
        for one in passage.candidates
    }
    for sentence in others:
        assert labels[sentence] == (first if form != "{}" or sentence.startswith("Default") else None)
    assert labels[first] == ("Rook" if form == "{}" else None)


@given(
    st.sampled_from(['!!! note "{}"\n\n    {}', ":::tip[{}]\n{}\n:::", "/// tab | {}\n{}\n///"]),
    st.booleans(),
)
def test_captions_name_the_block_below(form: str, more: bool) -> None:
    """What a container is called is the label of its first block, and of no other."""
    text = (
        "# Rook\n\nBefore it.\n\n"
        + form.format("Changed twice", "It follows links.")
        + "\n\nBehind it." * more
    )
    document = parse("rook.md", text.encode())
    (passage,) = passages_of(document, 10_000)
    labels = {
        one.span.of(text): one.row_label_embedded and one.row_label_embedded.of(passage.embedded)
        for one in passage.candidates
    }
    labelled = {"Before it.": "Rook", "Changed twice": None, "It follows links.": "Changed twice"}
    assert labels == labelled | ({"Behind it.": None} if more else {})
