"""CSV and TSV: laws of their cells, and files as spreadsheets write them."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import Block, BlockKind, Document, Span
from corpus.formats import UnreadableDocument, delimited, parse, plain
from corpus.formats.reading import Extract
from corpus.passages import passages

CRUMBS = [
    *',;\t|"',
    '""',
    '","',
    "\n",
    "\r\n",
    "\r",
    " ",
    "\u00a0",
    "a",
    "Bc",
    "é",
    "12",
    "3.5",
    "2024",
    "sep=;\n",
]
SOUP = st.lists(st.sampled_from(CRUMBS), max_size=30).map("".join)
TEXTS = st.one_of(SOUP, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))


def read(text: str, *, tabs: bool = False) -> Extract:
    return delimited.read(text.encode(), tabs=tabs)


def cells(text: str, block: Block) -> list[list[str]]:
    rows = [*([block.header] if block.header else []), *block.rows]
    return [[plain(text, cell.span, cell.markup) for cell in row.cells] for row in rows]


def shown(text: str, *, name: str = "note.csv") -> list[tuple[str, list[list[str]]]]:
    """Return kind and cells of each block, a header in a list with its rows behind it."""
    document = parse(name, text.encode())
    return [
        (
            "headed" if block.header else block.kind.value,
            cells(document.text, block) or [[plain(document.text, block.content, block.markup)]],
        )
        for block in document.blocks
    ]


@given(TEXTS, st.booleans())
def test_any_text(text: str, tabs: bool) -> None:
    """Any text is kept as it is, and all its letters stand in cells, in order, each in its row and block."""
    extract = read(text, tabs=tabs)
    assert extract.text == text.removeprefix("\ufeff")
    text = extract.text
    places: list[Span] = []
    for block in extract.blocks:
        assert block.span.of(text).strip() == block.span.of(text) != ""
        assert block.content == block.span
        assert all(block.markup) and all(one.end <= two.start for one, two in pairwise(block.markup))
        rows = [*([block.header] if block.header else []), *block.rows]
        for row in rows:
            assert block.span.contains(row.span)
            assert all(row.span.contains(cell.span) for cell in row.cells)
            assert all(cell.span.contains(mark) for cell in row.cells for mark in cell.markup)
        found = [cell.span for row in rows for cell in row.cells] or [block.span]
        places.extend(found)
        words = [plain(text, cell.span, cell.markup) for row in rows for cell in row.cells]
        if rows:
            assert plain(text, block.content, block.markup) == " ".join(" ".join(words).split())
    assert all(one.end <= two.start for one, two in pairwise(places))
    covered = "".join(place.of(text) for place in places)
    uncovered = re.sub(r"^sep=[^\w\s\"\t]", "", text, flags=re.IGNORECASE) if covered not in text else text
    assert [c for c in covered if c.isalnum()] == [c for c in uncovered if c.isalnum()] or text[
        :3
    ].lower() == "sep"


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Any bytes give a table or UnreadableDocument with a reason."""
    try:
        said = delimited.read(data, tabs=False).text
    except UnreadableDocument as error:
        said = str(error)
    assert bool(said) == bool(data.removeprefix(b"\xef\xbb\xbf"))


VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(
    lambda text: " ".join(text.split())
)
MULTILINE = st.one_of(VALUE, VALUE, st.tuples(VALUE, VALUE).map("\n".join).map(str.strip))


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    width = draw(st.integers(2, 5))
    rows = draw(st.lists(st.lists(MULTILINE, min_size=width, max_size=width), min_size=2, max_size=6))
    # A row without words is a blank line, and a lone word above the others is a title.
    return [[f"x{row[0]}", f"y{row[1]}", *row[2:]] for row in rows]


@given(tables(), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_a_table_comes_back(table: list[list[str]], delimiter: str, line_end: str, quoted: bool) -> None:
    """What the standard library writes is read cell by cell, as it reads it itself."""
    file = io.StringIO(newline="")
    write = csv.writer if not quoted else partial(csv.writer, quoting=csv.QUOTE_ALL)
    write(file, delimiter=delimiter, lineterminator=line_end).writerows(table)
    # Told the delimiter: any that is in every cell as well could have been the one.
    extract = read(f"sep={delimiter}\n" + file.getvalue())
    (block,) = extract.blocks
    expected = [[" ".join(cell.split()) for cell in row] for row in table]
    assert cells(extract.text, block) == expected
    for row, values in zip([*([block.header] if block.header else []), *block.rows], table, strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            assert cell.span.of(extract.text).replace('""', '"') in (value, value.replace('""', '"'))


PLAIN = st.text(st.sampled_from("abcdeéfgh"), min_size=1, max_size=9)


@given(st.data(), st.sampled_from(",;\t|"))
def test_the_delimiter_is_found(data: st.DataObject, delimiter: str) -> None:
    """In a table of words and numbers the delimiter is found, be the numbers written with commas or stops."""
    width = data.draw(st.integers(2, 5))
    number = st.integers(0, 99).map(lambda number: f"{number},5" if delimiter != "," else f"{number}.5")
    header = data.draw(st.lists(PLAIN, min_size=width, max_size=width))
    row = st.tuples(PLAIN, *[number] * (width - 1)).map(list)
    rows = [header, *data.draw(st.lists(row, min_size=1, max_size=5))]
    text = "\n".join(delimiter.join(row) for row in rows)
    (block,) = read(text).blocks
    assert cells(text, block) == rows
    assert block.header is not None


def test_first_row_names_the_columns() -> None:
    assert shown("City,Population,Area\nBerlin,3500000,891\nHamburg,1800000,755\n") == [
        (
            "headed",
            [["City", "Population", "Area"], ["Berlin", "3500000", "891"], ["Hamburg", "1800000", "755"]],
        )
    ]


@pytest.mark.parametrize(
    "first",
    ["1,2.5,-3", "2024-01-05,12:30,x", "Berlin,3500000,891", "$5,€7.50,12%", "x,,7"],
)
def test_a_first_row_with_numbers_names_nothing(first: str) -> None:
    ((kind, rows),) = shown(f"{first}\na,b,c\n4,5,6\n")
    assert kind == "table"
    assert rows[0] == first.split(",")


def test_years_name_columns() -> None:
    assert shown("Region,2022,2023,2024\nNorth,1,2,3\n")[0][0] == "headed"
    assert shown("Region,2022,2023,2019\nNorth,1,2,3\n")[0][0] == "table"


def test_quotes() -> None:
    text = 'Name,Motto\n"Smith, John","He said ""no"" \r\nand left"\n"",x\nplain,"half"open\n'
    document = parse("a.csv", text.encode())
    assert document.text == text
    assert cells(text, document.blocks[0]) == [
        ["Name", "Motto"],
        ["Smith, John", 'He said "no" and left'],
        ["", "x"],
        ["plain", '"half"open'],
    ]
    (cell,) = document.blocks[0].rows[0].cells[1:]
    assert cell.span.of(text) == 'He said ""no"" \r\nand left'


def test_a_quote_without_its_partner_takes_nothing_with_it() -> None:
    assert shown('size,name\n12",long\n"7,short\n') == [
        ("headed", [["size", "name"], ['12"', "long"], ['"7', "short"]])
    ]


def test_titles_notes_and_blank_lines() -> None:
    text = "Sales of 2024,,\nall in thousands,,\n,,\nRegion,Q1,Q2\nNorth,1,2\n\nSouth,3,4\n"
    assert shown(text) == [
        ("paragraph", [["Sales of 2024"]]),
        ("paragraph", [["all in thousands"]]),
        ("headed", [["Region", "Q1", "Q2"], ["North", "1", "2"], ["South", "3", "4"]]),
    ]


def test_two_tables_in_a_file() -> None:
    assert shown("a,b\n1,2\n\nc,d,e\n3,4,5\n") == [
        ("headed", [["a", "b"], ["1", "2"]]),
        ("headed", [["c", "d", "e"], ["3", "4", "5"]]),
    ]


def test_tabs() -> None:
    text = 'name\tnote, with comma\tx\nfirst\t"quoted\ttab"\t\n\tsecond\t\n'
    assert shown(text, name="a.tsv") == [
        (
            "headed",
            [["name", "note, with comma", "x"], ["first", "quoted tab", ""], ["", "second", ""]],
        )
    ]


def test_excel_says_its_delimiter() -> None:
    assert shown("sep=;\nname;size\na,b;1,5\n") == [("headed", [["name", "size"], ["a,b", "1,5"]])]


def test_rows_may_leave_their_last_cells_out() -> None:
    text = "name,since,until,note\nAda,1815,1852\nGrace,1906\nAlan,1912,1954,a note\nKurt,1906,1978\n"
    ((kind, rows),) = shown(text)
    assert (kind, rows[:3]) == (
        "headed",
        [["name", "since", "until", "note"], ["Ada", "1815", "1852"], ["Grace", "1906"]],
    )


def test_one_column() -> None:
    assert shown("name\nAda\nGrace\n") == [("headed", [["name"], ["Ada"], ["Grace"]])]
    text = "First, a line of prose.\nThen a second, longer one, with commas.\nA third.\n"
    assert [len(row) for _, rows in shown(text) for row in rows] == [1, 1, 1]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b",,\n,,\n", b'""\n'])
def test_empty(data: bytes) -> None:
    assert parse("a.csv", data).blocks == ()


def test_encodings() -> None:
    text = "Straße,Größe\nAllee,ü\n"
    expected = parse("a.csv", text.encode())
    assert expected.text == text
    assert expected == parse("a.csv", text.encode("utf-8-sig")) == parse("a.csv", text.encode("utf-16"))
    with pytest.raises(UnreadableDocument, match="not UTF-8: byte 0xdf at offset 4; save the file as UTF-8"):
        parse("a.csv", text.encode("cp1252"))
    with pytest.raises(UnreadableDocument, match="looks binary"):
        parse("a.csv", b"a,b\0c")


def test_too_many_cells() -> None:
    with pytest.raises(UnreadableDocument, match="has more than 500,000 cells; split it"):
        parse("a.csv", b"1,2,3,4\n" * 125_001)


@pytest.mark.parametrize(
    "text",
    [
        '"' * 3_000_000,
        '"a,' * 1_000_000,
        '"""a,' * 600_000,
        '"a\n' * 1_000_000,
        ",\n" * 1_000_000,
        "sep=,\n" + " " * 3_000_000,
    ],
    ids=["quotes", "open", "odd", "lines", "empty", "spaces"],
)
def test_hostile_files_take_no_longer_than_others(text: str) -> None:
    with suppress(UnreadableDocument):
        parse("a.csv", text.encode())


def words_of(document: Document) -> list[tuple[str, str | None, str | None]]:
    """Return the words of each cell that is a candidate with its row label and column header."""
    found = []
    for passage in passages(document, lambda text: len(text.split()), window=200):
        for one in passage.candidates:
            label, header = one.row_label, one.column_header
            found.append(
                (
                    one.span.of(document.text),
                    label.of(document.text) if label else None,
                    header.of(document.text) if header else None,
                )
            )
    return found


def test_cells_answer_like_those_of_a_markdown_table() -> None:
    table = [
        ["Feature", "PyTorch", "TensorFlow"],
        ["Release Year", "2016", "2015"],
        ["Maker", "Meta", "Google"],
    ]
    rows = [f"| {' | '.join(row)} |" for row in table]
    markdown = parse("a.md", "\n".join([rows[0], "|-|-|-|", *rows[1:]]).encode())
    comma = parse("a.csv", "\n".join(",".join(f'"{cell}"' for cell in row) for row in table).encode())
    assert words_of(comma) == words_of(markdown)
    assert ("2015", "Release Year", "TensorFlow") in words_of(comma)
    assert comma.blocks[0].kind is BlockKind.TABLE
