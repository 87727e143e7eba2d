"""The archive that a DOCX file is, looked through before anything in it is believed."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from corpus.formats.reading import UnreadableDocument

MOST_UNPACKED = 256 * 1024 * 1024
"""Bytes of all parts of a file together. A book of a thousand pages has 20 MiB of XML beside its pictures."""

MOST_PARTS = 10_000
"""Parts of a file: each picture is one."""

SAVE_ANEW = "open it in a word processor and save it anew as .docx"

_PIECE = 1024 * 1024
_LAP = 64  # bytes of a piece looked at together with the next one: longer than anything that is looked for
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STRICT = b"http://purl.oclc.org/ooxml/"
_DECLARES = re.compile(
    b"|".join(
        f"<!{name}".encode(code)
        for name in ("DOCTYPE", "ENTITY")
        for code in ("ascii", "utf-16-le", "utf-16-be")
    )
)


def check(data: bytes) -> None:
    """Raise UnreadableDocument for an archive that is none, or that is not to be unpacked."""
    if data.startswith(_OLE):
        raise UnreadableDocument(
            f"is protected by a password, or in Word's format before .docx; {SAVE_ANEW}, without a password"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_archive(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise UnreadableDocument(f"is no DOCX file or a damaged one ({error}); {SAVE_ANEW}") from error


def _check_archive(archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    announced = sum(part.file_size for part in parts)
    if len(parts) > MOST_PARTS or announced > MOST_UNPACKED:
        raise UnreadableDocument(
            f"unpacks to {len(parts):,} parts and {announced:,} bytes, over the limits of {MOST_PARTS:,} and "
            f"{MOST_UNPACKED:,}; split it"
        )
    unpacked = 0
    for part in parts:
        if part.flag_bits & 1:
            raise UnreadableDocument(f"is protected by a password; {SAVE_ANEW}, without a password")
        tail = b""
        with archive.open(part) as file:
            while piece := file.read(_PIECE):
                unpacked += len(piece)
                if unpacked > MOST_UNPACKED:
                    raise UnreadableDocument(f"unpacks to more than {MOST_UNPACKED:,} bytes; split it")
                if part.filename.endswith((".xml", ".rels")):
                    _check_xml(tail + piece)
                    tail = piece[-_LAP:]


def _check_xml(piece: bytes) -> None:
    if _DECLARES.search(piece):
        raise UnreadableDocument(
            f"declares XML entities, which no word processor writes and some attacks do; {SAVE_ANEW}"
        )
    if _STRICT in piece:
        raise UnreadableDocument(
            "is saved as Strict Open XML; save it as Word document (.docx), without `Strict` in its name"
        )
