"""Front matter: the `---` block of names and values at the start of a Markdown file.

Only flat names with scalars and lists of scalars are read. A general YAML reader would bring
aliases, tags and types, none of which a document needs and some of which are attacks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Fields = tuple[tuple[str, str], ...]

_LINE = re.compile(r"([^\r\n]*)(\r\n?|\n|\Z)")
_NAME = re.compile(r"[^\W\d][\w .-]*")
_FLOW_ITEM = re.compile(r'"(?:[^"\\]|\\.)*+"|\'[^\']*\'|[^,"\'\s][^,]*')
_COMMENT = re.compile(r"\s#")
_ESCAPES = {"n": "\n", "t": "\t"}


@dataclass(slots=True)
class _Entry:
    name: str
    value: str
    more: list[str] = field(default_factory=list)


def split(text: str) -> tuple[int, Fields]:
    """Return where the body of `text` starts, and the fields before it (0 and none without front matter)."""
    first = _LINE.match(text)
    if first is None or first[1].rstrip() != "---":
        return 0, ()
    entries: list[_Entry] = []
    at = first.end()
    while at < len(text) and (line := _LINE.match(text, at)):
        at = line.end()
        if line[1].rstrip() in ("---", "..."):
            return at, tuple((entry.name, value) for entry in entries for value in _values(entry))
        if not _take(line[1].rstrip(), entries):
            return 0, ()
    return 0, ()


def _take(line: str, entries: list[_Entry]) -> bool:
    """Add `line` to `entries` and return whether it can stand in front matter at all."""
    if not line.strip() or line.startswith("#"):
        return True
    if line[0] in " \t" or line == "-" or line.startswith("- "):
        if entries:
            entries[-1].more.append(line.strip())
        return bool(entries)
    name, colon, value = line.partition(":")
    if not colon or value[:1].strip() or not _NAME.fullmatch(name):
        return False
    entries.append(_Entry(name.strip(), value.strip()))
    return True


def _values(entry: _Entry) -> list[str]:
    """Return the scalars an entry holds; none for what is nested, tagged, aliased or null."""
    value = entry.value
    if value[:1] in ("|", ">"):
        return [("\n" if value[0] == "|" else " ").join(entry.more)] if entry.more else []
    if value.startswith("#"):
        value = ""
    if not value:
        return _members(entry.more)
    if value[0] == "[":
        return _flow_members(" ".join([value, *entry.more]))
    if value[0] in "{&*!":
        return []
    return _scalar(" ".join([value, *entry.more]))


def _members(lines: list[str]) -> list[str]:
    """Return the scalars of a list with one `- ` member a line; none where a line is something else."""
    if not all(line == "-" or line.startswith("- ") for line in lines):
        return []
    return [value for line in lines for value in _scalar(line[1:].strip())]


def _flow_members(value: str) -> list[str]:
    """Return the scalars of `[one, "two"]`; none where a member is itself nested."""
    inner = value[1:].rstrip()
    if not inner.endswith("]") or any(bracket in inner[:-1] for bracket in "[]{}"):
        return []
    return [scalar for item in _FLOW_ITEM.findall(inner[:-1]) for scalar in _scalar(item.strip())]


def _scalar(value: str) -> list[str]:
    """Return the one string that `value` stands for, or none."""
    quote = value[:1]
    if quote == "'" and len(value) > 1 and value.endswith("'"):
        return [value[1:-1].replace("''", "'")]
    if quote == '"' and len(value) > 1 and value.endswith('"'):
        return [re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), value[1:-1])]
    if quote in ("&", "*", "!", "{", "["):
        return []
    value = _COMMENT.split(value, maxsplit=1)[0].strip()
    return [] if value in ("", "~", "null") else [value]
