"""A file of named arrays: written once from front to back, mapped whole, vouched for by its SHA-256.

MAGIC, the sections (each from a multiple of ALIGNMENT), a digest of every BLOCK of all that, a directory in
JSON with a seal over these and itself, its length, MAGIC again.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"PQSEG\x00\x00\x01"
ALIGNMENT = 64
"""Bytes. A cache line, and more than any element needs: sections are used where they lie."""


BLOCK = 1 << 20
"""Bytes. What can be checked without reading more of the file."""

DIGEST = 16
"""Bytes of a block's SHA-256 that are kept: chance does not find another block with the same."""

BLOCKS = "blocks"


class SectionsError(Exception):
    """A file of sections cannot be used; the message names it and what is wrong."""


class SectionsWriter:
    """Writes one file, section after section."""

    def __init__(self, path: Path) -> None:
        """Create the file at `path`."""
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self._block = hashlib.sha256()
        self._blocks: list[bytes] = []
        self._size = 0
        self._directory: dict[str, tuple[int, int]] = {}
        try:
            self._write(MAGIC)
        except OSError:
            self.close()
            raise

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._digest.update(data)
        at = 0
        while at < len(data):
            piece = data[at : at + BLOCK - self._size % BLOCK]
            self._block.update(piece)
            at, self._size = at + len(piece), self._size + len(piece)
            if self._size % BLOCK == 0:
                self._end_block()

    def _end_block(self) -> None:
        self._blocks.append(self._block.digest()[:DIGEST])
        self._block = hashlib.sha256()

    def add(self, name: str, parts: Iterable[NDArray[Any] | bytes]) -> None:
        """Append a section: the bytes of `parts`, one behind the other."""
        self._write(bytes(-self._size % ALIGNMENT))
        start = self._size
        for part in parts:
            # The views of an empty array cannot be cast.
            data = part if isinstance(part, bytes) else np.ascontiguousarray(part).data if part.size else b""
            self._write(data if isinstance(data, bytes) else data.cast("B"))
        self._directory[name] = (start, self._size - start)

    def add_written(self, name: str, give: Callable[[Callable[[bytes], None]], None]) -> None:
        """Append a section: the bytes that `give` gives to the function given to it, in their order."""
        self._write(bytes(-self._size % ALIGNMENT))
        start = self._size
        give(self._write)
        self._directory[name] = (start, self._size - start)

    def finish(self, about: dict[str, Any]) -> tuple[int, str]:
        """Make the file durable and return its size in bytes and its SHA-256; `about` is kept with it."""
        self._write(bytes(-self._size % ALIGNMENT))
        if self._size % BLOCK:
            self._end_block()
        blocks = b"".join(self._blocks)
        self.add(BLOCKS, [blocks])
        values = {"sections": self._directory, "about": about}
        directory = json.dumps({**values, "seal": _seal(values, blocks)}).encode()
        self._write(directory)
        self._write(len(directory).to_bytes(8, "little") + MAGIC)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        return self._size, self._digest.hexdigest()

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()


class Sections:
    """A file of sections, mapped read-only; it stays readable after the file is unlinked."""

    def __init__(self, path: Path) -> None:
        """Map the file at `path`. Raises SectionsError when it is not a whole file of sections."""
        self._path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._bytes = np.frombuffer(self._map, dtype=np.uint8)
            end = len(self._bytes) - len(MAGIC)
            if bytes(self._bytes[: len(MAGIC)]) != MAGIC or bytes(self._bytes[end:]) != MAGIC:
                raise ValueError("it does not begin and end as a segment of this layout does")
            length = int.from_bytes(bytes(self._bytes[end - 8 : end]), "little")
            values = json.loads(bytes(self._bytes[end - 8 - length : end - 8]))
            self._seal = values.pop("seal", None)
            self._values = values
            self.about: dict[str, Any] = values["about"]
            self._directory: dict[str, list[int]] = values["sections"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SectionsError(f"{path} cannot be used: {error}") from error

    def __contains__(self, name: str) -> bool:
        return name in self._directory

    def array(self, name: str, dtype: np.dtype[Any], row: tuple[int, ...] = ()) -> NDArray[Any]:
        """Return a section as a read-only array of rows of this type and shape."""
        try:
            start, size = self._directory[name]
            part = np.asarray(self._bytes)[start : start + size]
            return part.view(dtype).reshape(-1, *row)
        except (KeyError, ValueError, TypeError) as error:
            raise SectionsError(f"{self._path} cannot be used: section {name}: {error}") from error

    @property
    def sealed(self) -> bool:
        """Return whether parts of the file can be checked: older ones can only be as a whole."""
        return self._seal is not None

    def check(self, most: Mapping[str, int], spread: int) -> None:
        """Compare some blocks with their digests: of each section named its first bytes, at most so many.

        `spread` more come from all over the file. Raises SectionsError when a block, the digests or the
        directory are not what was written.
        """
        digests = self.array(BLOCKS, np.dtype("u1")).tobytes()
        if self._seal != _seal(self._values, digests):
            raise SectionsError(f"{self._path} is damaged: its directory is not what was written")
        end = self._directory[BLOCKS][0]
        count = len(digests) // DIGEST
        wanted = {*np.linspace(0, count - 1, min(spread, count)).astype(int).tolist()}
        for name, size in most.items():
            if name in self._directory:
                start, length = self._directory[name]
                behind = start + min(size, length)
                wanted |= {*range(start // BLOCK, -(-behind // BLOCK))}
        for block in sorted(wanted):
            data = self._bytes[block * BLOCK : min((block + 1) * BLOCK, end)]
            if hashlib.sha256(data.data).digest()[:DIGEST] != digests[block * DIGEST : (block + 1) * DIGEST]:
                raise SectionsError(
                    f"{self._path} is damaged: block {block} of {count} is not what was written"
                )

    def let_go(self, name: str) -> None:
        """Take the pages of a section out of the process's memory; the system still has them in its cache."""
        start, size = self._directory[name]
        begin = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (start + size) // mmap.PAGESIZE * mmap.PAGESIZE - begin
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, begin, length)

    def json(self, name: str) -> Any:
        """Return what a section holds as JSON."""
        return json.loads(self.array(name, np.dtype("u1")).tobytes())


def _seal(values: Mapping[str, Any], blocks: bytes) -> str:
    """Return the SHA-256 of a directory and the blocks' digests."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode() + blocks).hexdigest()


def file_digest(path: Path) -> tuple[int, str]:
    """Return size in bytes and SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        seen = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), seen
