"""DOCX files for tests: written by a library, or part by part."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import docx as library
from docx.oxml.ns import nsdecls

from corpus.formats import docx
from corpus.formats.reading import Extract
from tests.extracted import check, shown

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
