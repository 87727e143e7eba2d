"""What a snapshot is made of, in one small file that vouches for itself and for every segment it names."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.folder import Skipped
from index.segment import SegmentFile

FORMAT = 3
"""Version of the layout on disk. A snapshot of another format is rebuilt, never guessed at."""


VERSION, SHA256 = re.compile(r"[A-Za-z0-9_-]{1,64}"), re.compile(r"[0-9a-f]{64}")
"""What names files: anything else could name one elsewhere."""

NUMBERS = ("dimension", "token_dimension", "documents", "passages")
TEXTS = ("built_at", "model", "fingerprint", "recipe")


class SnapshotError(Exception):
    """A snapshot cannot be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Used:
    """A segment as a snapshot uses it."""

    file: SegmentFile
    deleted: tuple[int, ...]
    """The numbers of its documents that are no longer there, ascending."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot says of itself."""

    format: int
    version: str
    """The snapshot's id: a hash of its documents and of all that shapes the index. How they are spread over
    segments is no part of it."""
    built_at: str
    """ISO 8601 in UTC."""
    model: str
    fingerprint: str
    """The encoder's fingerprint."""
    recipe: str
    """Hash of the constants that shape passages and terms; another recipe means another index."""
    dimension: int
    token_dimension: int
    documents: int
    passages: int
    segments: tuple[Used, ...]
    skipped: tuple[Skipped, ...]
    """Files that are not indexed, by id."""
    aliases: tuple[tuple[str, str], ...]
    """From the alias file beside the documents: what people write, and what it stands for."""

    def to_bytes(self) -> bytes:
        """Return the file's contents."""
        values = asdict(self)
        sealed = {**values, "checksum": _checksum(values)}
        return (json.dumps(sealed, indent=1, ensure_ascii=False) + "\n").encode()


def read_manifest(path: Path) -> Manifest:
    """Return the manifest at `path`. Raises SnapshotError where there is none that can be read."""
    try:
        values = json.loads(path.read_bytes())
        checksum = values.pop("checksum")
        whole = checksum == _checksum(values)
        layout = values["format"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}") from error
    if not whole:
        raise SnapshotError(f"{path} is damaged: its checksum is not that of its values")
    if layout != FORMAT:
        raise SnapshotError(f"{path} has layout {layout}, this program reads {FORMAT}: rebuild it")
    try:
        return _manifest(values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # The checksum was right: it was written so, by another program or by somebody who means harm.
        raise SnapshotError(f"{path} is no manifest of a snapshot: {error!r}") from error


def _manifest(values: dict[str, Any]) -> Manifest:
    """Return the manifest of values that anybody may have written. Raises an error of Python's for others."""
    nested = {
        "segments": tuple(_used(one["file"], one["deleted"]) for one in values["segments"]),
        "skipped": tuple(Skipped(**one) for one in values["skipped"]),
        "aliases": tuple((str(short), str(long)) for short, long in values["aliases"]),
    }
    found = Manifest(**{**values, **nested})
    told = [getattr(found, name) for name in TEXTS]
    told += [part for one in found.skipped for part in (one.id, one.reason, one.sha)]
    if not VERSION.fullmatch(found.version) or not all(isinstance(one, str) for one in told):
        raise ValueError("a text was expected where something else stands")
    counts = [getattr(found, name) for name in NUMBERS] + [one.bytes for one in found.skipped]
    if not all(map(_is_count, counts)):
        raise ValueError("a number was expected where something else stands")
    return found


def _used(file: dict[str, Any], deleted: list[int]) -> Used:
    found = Used(SegmentFile(**file), tuple(deleted))
    # A segment is named after its contents, so that no name leads out of the folder.
    sha256, name = found.file.sha256, found.file.name
    if not SHA256.fullmatch(sha256) or not name or not sha256.startswith(name):
        raise ValueError("a segment is not named after its SHA-256")
    if not all(map(_is_count, (found.file.bytes, *found.deleted))):
        raise ValueError("a segment has no size, or deleted documents that are no numbers")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _checksum(values: dict[str, Any]) -> str:
    """Return the SHA-256 of a manifest's values, which vouch for every segment."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
