"""Word documents: laws of what is taken out of them, and files as programs and attackers write them."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import Any

import docx as library
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import nsdecls, qn
from hypothesis import given
from hypothesis import strategies as st

from corpus.formats import UnreadableDocument, docx, parse
from corpus.formats.html_nodes import names
from tests.docx_made import blocks, body, made, paragraph, repacked, run, saved, template
from tests.extracted import PHRASE, answers, cells, check, shown, tables

PIECE = st.one_of(
    PHRASE.map(lambda words: ("paragraph", 0, words)),
    st.tuples(PHRASE, st.integers(1, 6)).map(lambda both: ("heading", both[1], both[0])),
    st.tuples(PHRASE, st.integers(1, 3)).map(lambda both: ("list_item", both[1], both[0])),
    tables().map(lambda rows: ("table", 0, rows)),
)


@given(st.lists(PIECE, min_size=1, max_size=6))
def test_known_pieces(pieces: list[tuple[str, int, Any]]) -> None:
    """A document made of known pieces has a block for each, in its order, with its words."""

    def write(document: Any) -> None:
        for kind, level, words in pieces:
            if kind == "heading":
                document.add_heading(words, level)
            elif kind == "list_item":
                document.add_paragraph(words, style=f"List Bullet{f' {level}' if level > 1 else ''}")
            elif kind == "table":
                add_table(document, words, named=True)
            else:
                document.add_paragraph(words)

    expected = [
        (kind, level, words if isinstance(words, str) else joined(words)) for kind, level, words in pieces
    ]
    assert shown(made(write)) == expected


def joined(rows: list[list[str]]) -> str:
    return " / ".join("|".join(row) for row in rows)


def add_table(document: Any, rows: list[list[str]], *, named: bool) -> Any:
    table = document.add_table(0, len(rows[0]))
    for row in rows:
        for cell, words in zip(table.add_row().cells, row, strict=True):
            cell.text = words
    if named:
        table.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    return table


@given(tables())
def test_a_table_comes_back(rows: list[list[str]]) -> None:
    """A table gives back its cells, the first row naming the columns."""
    extract = made(lambda document: add_table(document, rows, named=True))
    (block,) = extract.blocks
    assert cells(extract, block) == rows
    assert block.header is not None


@given(st.data())
def test_damaged_files(data: st.DataObject) -> None:
    """A file with bytes changed or cut off is read, or UnreadableDocument says why not."""
    whole = bytearray(template())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(UnreadableDocument):
        check(docx.read(bytes(whole[: data.draw(st.integers(0, len(whole)))])))


TAGS = names(
    "w:p w:r w:t w:tbl w:tr w:tc w:sdt w:sdtContent w:pPr w:rPr w:tcPr w:b w:br w:tab w:del w:ins "
    "w:hyperlink w:txbxContent m:r m:t mc:Fallback"
)
CRUMBS = [
    '<w:numPr><w:ilvl w:val="7"/><w:numId w:val="1"/></w:numPr>',
    *(
        '<w:pStyle w:val="Heading1"/>',
        '<w:gridSpan w:val="3"/>',
        "<w:vMerge/>",
        '<w:vMerge w:val="restart"/>',
    ),
    *('<w:outlineLvl w:val="3"/>', '<w:vertAlign w:val="superscript"/>', "<w:b/>"),
]
TREES: st.SearchStrategy[str] = st.recursive(
    st.one_of(
        PHRASE.map(lambda words: run(words.replace("&", "&amp;").replace("<", "&lt;"))),
        st.sampled_from(CRUMBS),
    ),
    lambda inner: st.tuples(st.sampled_from(sorted(TAGS)), st.lists(inner, max_size=4)).map(
        lambda made: f"<{made[0]}>{''.join(made[1])}</{made[0]}>"
    ),
    max_leaves=20,
)


@given(st.lists(TREES, max_size=5))
def test_any_body(trees: list[str]) -> None:
    """Any elements in any order give blocks with exact places, or UnreadableDocument."""
    with suppress(UnreadableDocument):
        check(docx.read(body("".join(trees))))


def test_a_document() -> None:
    def write(document: Any) -> None:
        document.core_properties.title = "gone"
        document.add_heading("Annual report", 0)
        document.add_paragraph("In short").style = "Subtitle"
        document.add_heading("Sales", 1)
        one = document.add_paragraph("They were ")
        one.add_run("good").bold = True
        one.add_run(", see\n10").italic = True
        one.add_run("6").font.superscript = True
        one.add_run("th\tof H")
        one.add_run("2").font.subscript = True
        one.add_run("O.")
        one.add_run(" gone").font.hidden = True
        one.add_run(" gone").font.strike = True
        for words, style in [
            ("one", "List Number"),
            ("deeper", "List Number 2"),
            ("two", "List Number"),
            ("dot", "List Bullet"),
        ]:
            document.add_paragraph(words, style=style)
        document.add_paragraph("")
        document.add_section().header.paragraphs[0].text = "gone"
        document.add_paragraph("The end.")

    extract = made(write)
    assert extract.title == "Annual report"
    assert shown(extract) == [
        ("heading", 1, "Annual report"),
        ("paragraph", 0, "In short"),
        ("heading", 1, "Sales"),
        ("paragraph", 0, "They were good, see\n10⁶th of H₂O."),
        ("list_item", 1, "one"),
        ("list_item", 2, "deeper"),
        ("list_item", 1, "two"),
        ("list_item", 1, "dot"),
        ("paragraph", 0, "The end."),
    ]
    assert "1. one\n  1. deeper\n2. two\n- dot\n" in extract.text


@pytest.mark.parametrize(
    ("title", "heading", "expected"),
    [("Told", "First", "Told"), ("", "First", "First"), ("Word Document", "First", "First"), ("", "", "a b")],
)
def test_title(title: str, heading: str, expected: str) -> None:
    document = library.Document()
    document.core_properties.title = title
    if heading:
        document.add_heading(heading, 1)
    document.add_paragraph("words")
    assert parse("a-b.docx", saved(document)).title == expected


def test_a_style_of_ones_own_is_what_it_builds_on() -> None:
    def write(document: Any) -> None:
        style = document.styles.add_style("Chapter", WD_STYLE_TYPE.PARAGRAPH)
        style.base_style = document.styles["Heading 2"]
        document.add_paragraph("Chapter one", style="Chapter")
        outlined = document.add_paragraph("Outlined")
        level = OxmlElement("w:outlineLvl")
        level.set(qn("w:val"), "3")
        outlined._p.get_or_add_pPr().append(level)
        code = document.styles.add_style("Source Code", WD_STYLE_TYPE.PARAGRAPH)
        for line in ("if x:", "    go()", "", "stop()"):
            document.add_paragraph(line, style=code)
        document.add_paragraph("words")

    assert shown(made(write)) == [
        ("heading", 2, "Chapter one"),
        ("heading", 4, "Outlined"),
        ("code", 0, "if x:\n    go()\n\nstop()"),
        ("paragraph", 0, "words"),
    ]


LISTS = """<w:numbering xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">
<w:abstractNum w:abstractNumId="0">
<w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl>
<w:lvl w:ilvl="2"><w:start w:val="4"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="(%3)"/></w:lvl>
<w:lvl w:ilvl="3"><w:numFmt w:val="bullet"/><w:lvlText w:val="·"/></w:lvl>
<w:lvl w:ilvl="4"><w:numFmt w:val="none"/><w:lvlText w:val=""/></w:lvl></w:abstractNum>
<w:num w:numId="5"><w:abstractNumId w:val="0"/></w:num>
<w:num w:numId="6"><w:abstractNumId w:val="0"/>
<w:lvlOverride w:ilvl="0"><w:startOverride w:val="9"/></w:lvlOverride></w:num></w:numbering>"""


def test_numbers_are_counted_as_they_are_shown() -> None:
    def item(number: str, depth: int) -> str:
        numbers = f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{number}"/></w:numPr>'
        return f"<w:p><w:pPr>{numbers}</w:pPr>{run('x')}</w:p>"

    places = [
        ("5", 0),
        ("5", 0),
        ("5", 1),
        ("5", 1),
        ("5", 2),
        ("5", 2),
        ("5", 3),
        ("5", 0),
        ("5", 1),
        ("6", 0),
        ("6", 0),
        ("5", 0),
        ("5", 4),
        ("0", 0),
        ("77", 0),
    ]
    data = repacked(
        {"word/numbering.xml": LISTS.encode()}, data=body("".join(item(*place) for place in places))
    )
    text = docx.read(data).text
    assert text.split("\n") == [
        *("3. x", "4. x", "  4.a) x", "  4.b) x", "    (IV) x", "    (V) x", "      - x", "5. x", "  5.a) x"),
        *("9. x", "10. x", "11. x", "", "x", "", "x", "", "- x", ""),
    ]


def test_what_is_shown_and_what_is_not() -> None:
    inner = (
        paragraph(
            run("a "),
            f"<w:del>{run('gone ').replace('w:t', 'w:delText')}</w:del>",
            f"<w:ins>{run('new ')}</w:ins>",
        )
        + paragraph(
            '<w:hyperlink w:anchor="x">',
            run("link"),
            "</w:hyperlink>",
            "<w:fldSimple>",
            run(" 7"),
            "</w:fldSimple>",
        )
        + paragraph(
            "<w:r><w:fldChar/><w:instrText>gone</w:instrText></w:r>",
            run("soft\u00adly\u200b"),
            "<m:oMath><m:r><m:t> x=1</m:t></m:r></m:oMath>",
        )
        + f"<w:sdt><w:sdtContent>{paragraph(run('in a field'))}</w:sdtContent></w:sdt>"
        + "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/></w:docPartObj>"
        + f"</w:sdtPr><w:sdtContent>{paragraph(run('gone'))}</w:sdtContent></w:sdt>"
        + paragraph(
            run("on"),
            "<w:r><mc:AlternateContent><mc:Choice>",
            "<w:txbxContent>",
            paragraph(run("in a box")),
            "</w:txbxContent>",
            "</mc:Choice><mc:Fallback>",
            run("gone"),
            "</mc:Fallback></mc:AlternateContent></w:r>",
        )
        + paragraph(
            run("bold off", '<w:vanish w:val="0"/><w:strike w:val="false"/>'), run("gone", "<w:dstrike/>")
        )
    )
    assert blocks(inner) == [
        ("paragraph", 0, words)
        for words in ("a new", "link 7", "softly x=1", "in a field", "on", "in a box", "bold off")
    ]


def test_merged_cells() -> None:
    def write(document: Any) -> None:
        table = document.add_table(5, 3)
        words = [
            "Region",
            "Price",
            "",
            "",
            "old",
            "new",
            "North",
            "1",
            "2",
            "",
            "3",
            "2",
            "as of May",
            "",
            "",
        ]
        for cell, text in zip((cell for row in table.rows for cell in row.cells), words, strict=True):
            cell.text = text
        for one, two in [((0, 0), (1, 0)), ((0, 1), (0, 2)), ((2, 0), (3, 0)), ((4, 0), (4, 2))]:
            table.cell(*one).merge(table.cell(*two))
        for row in table.rows[:2]:
            row._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))

    assert shown(made(write)) == [
        ("table", 0, "Region|Price old|Price new / North|1|2 / North|3|2 / as of May")
    ]


def test_headers_of_tables() -> None:
    def header(rows: list[list[str]], *, bold: bool = False, look: bool = True) -> str:
        def write(document: Any) -> None:
            table = add_table(document, rows, named=False)
            for cell in table.rows[0].cells if bold else ():
                cell.paragraphs[0].runs[0].bold = True
            if not look:
                table._tbl.tblPr.find(qn("w:tblLook")).set(qn("w:firstRow"), "0")

        extract = made(write)
        (block,) = extract.blocks
        return "|".join(cell.span.of(extract.text) for cell in block.header.cells) if block.header else ""

    pairs = [["Name", "Ada"], ["Born", "1815"]]
    assert header(pairs) == ""
    assert header(pairs, bold=True) == "Name|Ada"
    wide = [["Feature", "PyTorch", "TensorFlow"], ["Maker", "Meta", "Google"]]
    assert header(wide) == "Feature|PyTorch|TensorFlow"
    assert header(wide, look=False) == ""
    assert header([wide[0], ["Release", "2016", "2015"]], look=False) == "Feature|PyTorch|TensorFlow"
    assert header([["1", "2", "3"], ["4", "5", "6"]]) == ""


def test_tables_that_lay_a_page_out() -> None:
    def write(document: Any) -> None:
        table = document.add_table(1, 2)
        table.cell(0, 0).text = "left"
        inner = table.cell(0, 1)
        inner.text = "right"
        inner.add_table(2, 2).cell(0, 0).text = "a"
        box = document.add_table(1, 1).cell(0, 0)
        box.text = "Mind the gap."
        box.add_paragraph("It is wide.")

    assert shown(made(write)) == [
        ("paragraph", 0, "left"),
        ("paragraph", 0, "right"),
        ("table", 0, "a|"),
        ("paragraph", 0, "Mind the gap."),
        ("paragraph", 0, "It is wide."),
    ]


def test_notes_are_read_last() -> None:
    notes = f"""<w:footnotes {nsdecls("w")}>
    <w:footnote w:type="separator" w:id="0">{paragraph(run("gone"))}</w:footnote>
    <w:footnote w:id="2">{paragraph(run("The note."))}</w:footnote></w:footnotes>"""
    with zipfile.ZipFile(io.BytesIO(template())) as archive:
        relations = archive.read("word/_rels/document.xml.rels").decode()
        types = archive.read("[Content_Types].xml").decode()
    relation = (
        '<Relationship Id="rId99" Target="footnotes.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"/></Relationships>'
    )
    data = repacked(
        {
            "word/footnotes.xml": notes.encode(),
            "word/_rels/document.xml.rels": relations.replace("</Relationships>", relation).encode(),
            "[Content_Types].xml": types.encode(),
        }
    )
    assert shown(docx.read(data)) == [("paragraph", 0, "words"), ("paragraph", 0, "The note.")]


def test_cells_answer_like_those_of_a_markdown_table() -> None:
    rows = [
        ["Feature", "PyTorch", "TensorFlow"],
        ["Release Year", "2016", "2015"],
        ["Maker", "Meta", "Google"],
    ]
    document = library.Document()
    add_table(document, rows, named=True)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    markdown = parse("a.md", "\n".join([lines[0], "|-|-|-|", *lines[1:]]).encode())
    assert answers(parse("a.docx", saved(document))) == answers(markdown)
