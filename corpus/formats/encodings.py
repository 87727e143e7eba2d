"""Bytes to text: a byte order mark counts first, then UTF-8, then what the file declares of itself."""

from __future__ import annotations

import codecs
import re

from corpus.formats.reading import UnreadableDocument

_DECLARED_WITHIN = 4096  # bytes; HTML wants it in the first 1024, pages with a long head have it later
_DECLARATION = re.compile(
    rb"""<\?xml\s[^<>]*?\bencoding\s*+=\s*+["']([\w.:-]{1,40})"""
    rb"""|<meta\s[^<>]*?\bcharset\s*+=\s*+["']?\s*+([\w.:-]{1,40})""",
    re.IGNORECASE,
)

_MEANT = {
    # As browsers read them: the smaller standard is declared, the larger one is written.
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
_ENCODINGS = frozenset(
    [
        *_MEANT.values(),
        *("utf-8", "gb18030", "cp866", "cp1250", "cp1251", "cp1253", "cp1255", "cp1256", "cp1257", "cp1258"),
        *(f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
        *("koi8-r", "koi8-u", "mac-roman", "mac-cyrillic", "euc_jp", "iso2022_jp"),
    ]
)
"""What a file may declare: the encodings of the web. Python knows codecs that are no encodings of text."""


def decode(data: bytes, *, declares: bool = False) -> str:
    """Return the text in `data` without a byte order mark and otherwise unaltered.

    `declares` says that the format lets a file name its own encoding. Raises UnreadableDocument.
    """
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    name = _declared(data) if declares and not utf16 else None
    try:
        text = _decoded(data, name) if name else data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        name = name or ("UTF-16" if utf16 else "UTF-8")
        # utf-8-sig counts from behind the mark, people count from the start of the file.
        offset = error.start + (len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0)
        seen = f"byte 0x{data[offset]:02x} at offset {offset}" if offset < len(data) else "an incomplete end"
        raise UnreadableDocument(f"not {name}: {seen}; save the file as UTF-8") from error
    if (offset := text.find("\0")) >= 0:
        raise UnreadableDocument(
            f"looks binary: NUL character at offset {offset}; save the document as UTF-8 text"
        )
    return text


def _declared(data: bytes) -> str | None:
    """Return the name of the encoding that the file declares, None where that changes nothing."""
    found = _DECLARATION.search(data[:_DECLARED_WITHIN])
    label = (found[1] or found[2]).decode("ascii").lower() if found else "utf-8"
    # A declaration that can be read as ASCII is not in UTF-16, whatever it says.
    if data.startswith(codecs.BOM_UTF8) or label.startswith("utf"):
        return None
    try:
        name = codecs.lookup(label).name
    except LookupError:
        name = ""
    name = _MEANT.get(name, name)
    if name in _ENCODINGS:
        return None if name == "utf-8" else name
    if _is_utf8(data):
        return None
    raise UnreadableDocument(f"declares the encoding {label!r}, which is not known; save the file as UTF-8")


def _decoded(data: bytes, name: str) -> str:
    # Text that is valid UTF-8 and not plain ASCII is UTF-8: the server that sent it once said so.
    return data.decode("utf-8" if not data.isascii() and _is_utf8(data) else name)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
