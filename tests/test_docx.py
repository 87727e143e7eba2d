"""Word documents: laws of what is taken out of them, and files as programs and attackers write them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import docx as library
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import BlockKind, Document
from corpus.formats import UnreadableDocument, docx, parse
from corpus.formats.docx_archive import MOST_UNPACKED
from corpus.formats.html_nodes import names
from corpus.formats.reading import Extract
from tests.extracted import PHRASE, answers, cells, check, shown, tables

WORD = "word/document.xml"


def saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def made(write: Callable[[Any], object]) -> Extract:
    """Return what is read of a document that `write` has written."""
    document = library.Document()
    write(document)
    extract = docx.read(saved(document))
    check(extract)
    return extract


@cache
def template() -> bytes:
    document = library.Document()
    document.add_paragraph("words")
    return saved(document)


def repacked(changes: Mapping[str, bytes | None], *, data: bytes = b"") -> bytes:
    """Return an archive with some of its parts changed, new, or (None) left out."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data or template())) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        parts = {name: old.read(name) for name in old.namelist()}
        for name, content in {**parts, **changes}.items():
            if content is not None:
                new.writestr(name, content)
    return file.getvalue()


def body(inner: str) -> bytes:
    """Return a document whose body is this XML."""
    spaces = nsdecls("w", "wp", "a") + (
        ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
        ' xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    )
    return repacked({WORD: f"<w:document {spaces}><w:body>{inner}<w:sectPr/></w:body></w:document>".encode()})


def blocks(inner: str) -> list[tuple[str, int, str]]:
    extract = docx.read(body(inner))
    check(extract)
    return shown(extract)


def paragraph(*runs: str) -> str:
    return "<w:p>" + "".join(runs) + "</w:p>"


def run(words: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{words}</w:t></w:r>'


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


def reason(data: bytes) -> str:
    """Return why a file cannot be read, as the child process tells it."""
    with pytest.raises(UnreadableDocument) as caught:
        parse("a.docx", data)
    return str(caught.value)


def test_a_document_without_words() -> None:
    assert "holds no text; if its pages are pictures" in reason(saved(library.Document()))


def test_what_is_no_document() -> None:
    assert reason(b"").startswith("is no DOCX file or a damaged one")
    assert reason(b"words").startswith("is no DOCX file or a damaged one")
    assert reason(template()[:-30]).startswith("is no DOCX file or a damaged one")
    assert "protected by a password" in reason(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600)
    assert reason(repacked({WORD: None})).startswith("is damaged as DOCX")
    assert reason(repacked({WORD: b"<w:document"})).startswith("is damaged as DOCX")
    assert reason(repacked({WORD: b""})).startswith("is damaged as DOCX")
    assert reason(repacked({"word/styles.xml": b"<"})).startswith("is damaged as DOCX")
    assert reason(repacked({"[Content_Types].xml": b"<x/>"})).startswith("is damaged as DOCX")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("other.txt", "words")
    assert reason(file.getvalue()).startswith("is damaged as DOCX")


def test_a_locked_archive() -> None:
    data = bytearray(template())
    place = data.find(b"PK\x01\x02")
    data[place + 8] |= 1
    assert "protected by a password" in reason(bytes(data))


def test_strict_documents() -> None:
    assert "Strict Open XML" in reason(
        repacked({WORD: b'<document xmlns="http://purl.oclc.org/ooxml/wordprocessingml/main"/>'})
    )


ENTITY = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e {}>]>
<w:document {}><w:body><w:p><w:r><w:t>&e;</w:t></w:r></w:p></w:body></w:document>"""


@pytest.mark.parametrize("code", ["utf-8", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("entity", ['SYSTEM "file:///etc/passwd"', 'SYSTEM "http://127.0.0.1:9/x"', '"ha"'])
def test_entities_are_refused(entity: str, code: str) -> None:
    declared = ENTITY.format(entity, nsdecls("w")).encode(code)
    said = reason(repacked({WORD: declared}))
    assert "declares XML entities" in said
    assert "root:" not in said


def test_entities_are_refused_wherever_they_stand() -> None:
    declared = b" " * (1024 * 1024 - 5) + b"<!DOCTYPE x [<!ENTITY e 'x'>]><x/>"
    assert "declares XML entities" in reason(repacked({"word/styles.xml": declared}))


def test_bombs() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(WORD, b" " * (MOST_UNPACKED + 1))
    assert file.tell() < 1_000_000
    assert (
        "unpacks to 1 parts and 268,435,457 bytes, over the limits of 10,000 and 268,435,456; split it"
        in reason(file.getvalue())
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"word/{number}.xml", b"")
    assert "unpacks to 10,001 parts" in reason(file.getvalue())


def test_a_bomb_that_lies_about_its_size() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(WORD, b" " * (MOST_UNPACKED + 1))
    data = file.getvalue().replace(struct.pack("<I", MOST_UNPACKED + 1), struct.pack("<I", 1000))
    assert reason(data).startswith("is no DOCX file or a damaged one")


def test_parts_laid_over_one_another() -> None:
    # One packed part that a hundred entries of the directory point to.
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(WORD, b" " * 50_000_000)
    data = file.getvalue()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[start:end]
    closing = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 100, 100, len(entry) * 100, start, 0)
    said = reason(data[:start] + entry * 100 + closing)
    assert "over the limits" in said or "Overlapped" in said


def nested(depth: int) -> bytes:
    table = "<w:tbl><w:tr><w:tc>" * depth + paragraph(run("words")) + "</w:tc></w:tr></w:tbl>" * depth
    return body(table)


def test_deep_documents() -> None:
    assert shown(docx.read(nested(60))) == [("paragraph", 0, "words")]
    assert "is damaged as DOCX" in reason(nested(10_000))


def test_wide_documents() -> None:
    row = (
        "<w:tr>"
        + f'<w:tc><w:tcPr><w:gridSpan w:val="999999"/></w:tcPr>{paragraph(run("w"))}</w:tc>' * 50
        + "</w:tr>"
    )
    document = parse("a.docx", body(f"<w:tbl>{row * 20}</w:tbl>"))
    assert document.blocks[0].kind is BlockKind.TABLE
    many = parse("a.docx", body(paragraph(run("words")) * 50_000))
    assert len(many.blocks) == 50_000


def test_styles_that_build_on_themselves() -> None:
    style = f'<w:styles {nsdecls("w")}><w:style w:styleId="A"><w:basedOn w:val="A"/></w:style></w:styles>'
    inner = f"<w:p><w:pPr><w:pStyle w:val='A'/></w:pPr>{run('words')}</w:p>"
    assert shown(docx.read(repacked({"word/styles.xml": style.encode()}, data=body(inner)))) == [
        ("paragraph", 0, "words")
    ]


def test_nothing_is_fetched() -> None:
    picture = parse_xml(f'<w:attachedTemplate {nsdecls("w")} w:val="x"/>')
    assert picture is not None
    with zipfile.ZipFile(io.BytesIO(template())) as archive:
        relations = archive.read("word/_rels/document.xml.rels").decode()
    outside = '<Relationship Id="rId98" Type="http://x/styles" TargetMode="External" Target="http://127.0.0.1:9/x"/></Relationships>'
    data = repacked({"word/_rels/document.xml.rels": relations.replace("</Relationships>", outside).encode()})
    document: Document = parse("a.docx", data)
    assert shown(document) == [("paragraph", 0, "words")]
