"""DOCX files that are none, lie, or are too much: refused with a reason, nothing fetched or unpacked."""

from __future__ import annotations

import io
import struct
import zipfile

import docx as library
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from corpus.document import BlockKind, Document
from corpus.formats import UnreadableDocument, docx, parse
from corpus.formats.docx_archive import MOST_UNPACKED
from tests.docx_made import WORD, body, paragraph, repacked, run, saved, template
from tests.extracted import shown


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
