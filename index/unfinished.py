"""What a build has encoded and no snapshot has yet: one that was interrupted goes on from there.

unfinished/<fingerprint>/<name>.encoded        of builds on top of what was there
unfinished/<fingerprint>-full/<name>.encoded   of builds from nothing that were asked for

Each file holds the encodings of some passages and is named by its SHA-256: one that was cut or damaged is no
file of this kind, and what was in it is encoded again. Only a build looks here, never a reader.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.durable import sync
from index.columns import starts
from index.encoded import NO_IDS, Encoded
from index.encoder import Encoding, Export, Vector
from index.sections import Sections, SectionsError, SectionsWriter, file_digest

SUFFIX = ".encoded"
FULL = "-full"
DRAFT = ".draft-"
LAYOUT = 1
"""Raise it when the sections below or what is embedded of a passage change."""

LARGEST_BYTES = 16 << 30
"""Kept at most, the newest: some ten kilobytes a passage, so more than a million and a half passages."""

KEPT_SECONDS = 7 * 24 * 3600
"""What nobody has gone on with for a week goes."""


@dataclass(frozen=True, slots=True)
class _File:
    """One file, mapped; what belongs to a passage lies together."""

    digests: NDArray[np.uint8]
    """uint8 (passages, 16)."""
    vectors: Vector
    tokens: NDArray[np.int8]
    offsets: NDArray[np.int32]
    statements: Vector
    token_starts: NDArray[np.int64]
    statement_starts: NDArray[np.int64]

    def encoded(self, row: int) -> Encoded:
        first, behind = self.token_starts[row], self.token_starts[row + 1]
        encoding = Encoding(self.vectors[row], self.tokens[first:behind], self.offsets[first:behind], NO_IDS)
        return Encoded(encoding, self.statements[self.statement_starts[row] : self.statement_starts[row + 1]])


class Unfinished:
    """The encodings that builds of one kind, with one encoder, have made and not published."""

    def __init__(self, root: Path, export: Export, *, full: bool, verified: set[str] | None = None) -> None:
        """See what is whole under `root`; `verified` names the files whose SHA-256 was compared already."""
        self._root = root
        self._folder = root / (export.fingerprint[:16] + (FULL if full else ""))
        self._export = export
        self._verified = set() if verified is None else verified
        self._written: list[Path] = []
        self._files: list[_File] = []
        for path in sorted(self._folder.glob(f"[!.]*{SUFFIX}")):
            found = self._opened(path)
            if found is not None:
                self._files.append(found)
        counts = [len(one.digests) for one in self._files]
        digests = np.concatenate([np.zeros((0, 16), np.uint8), *(one.digests for one in self._files)])
        halves = np.ascontiguousarray(digests).view("<u8").reshape(-1, 2)[:, 0]
        order = np.argsort(halves, kind="stable")
        self._halves = halves[order]
        of = np.repeat(np.arange(len(counts)), counts)[order]
        own = np.concatenate([np.zeros(0, np.int64), *(np.arange(count) for count in counts)])[order]
        self._places = np.stack([of, own], axis=1)

    def __len__(self) -> int:
        """Return how many passages were found."""
        return len(self._halves)

    def get(self, digest: bytes) -> Encoded | None:
        """Return what was found of a passage with this digest, or None."""
        wanted = np.frombuffer(digest, dtype="<u8")[0]
        at = int(np.searchsorted(self._halves, wanted))
        while at < len(self._halves) and self._halves[at] == wanted:
            number, row = self._places[at]
            file = self._files[int(number)]
            if file.digests[row].tobytes() == digest:
                return file.encoded(int(row))
            at += 1
        return None

    def keep(self, encoded: Mapping[bytes, Encoded]) -> None:
        """Put encodings on disk, by digest, durably.

        A disk that is full or fails costs a later build some work, and this one nothing.
        """
        with suppress(OSError):
            self._written.append(self._write(encoded))

    def _write(self, encoded: Mapping[bytes, Encoded]) -> Path:
        found = list(encoded.values())
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self._folder))
        try:
            file = SectionsWriter(aside / "encoded")
            try:
                file.add("digests", encoded)
                file.add("vectors", (one.encoding.vector for one in found))
                file.add("token_counts", [np.array([len(one.encoding.tokens) for one in found], "<i4")])
                file.add("statement_counts", [np.array([len(one.statements) for one in found], "<i4")])
                file.add("tokens", (one.encoding.tokens for one in found))
                file.add("offsets", (one.encoding.offsets for one in found))
                file.add("statements", (one.statements for one in found))
                _, sha = file.finish({"layout": LAYOUT, "fingerprint": self._export.fingerprint})
            finally:
                file.close()
            path = self._folder / f"{sha[:32]}{SUFFIX}"
            (aside / "encoded").replace(path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        sync(self._folder)
        self._verified.add(path.name)
        return path

    def _opened(self, path: Path) -> _File | None:
        """Return a file's content, or None where it is not what it was written as or not of this encoder."""
        try:
            if path.name not in self._verified:
                if not file_digest(path)[1].startswith(path.stem):
                    return None
                self._verified.add(path.name)
            sections = Sections(path)
            if sections.about != {"layout": LAYOUT, "fingerprint": self._export.fingerprint}:
                return None
            return _file_of(sections, self._export)
        except (OSError, SectionsError):
            return None

    def finish(self, *, everything: bool) -> None:
        """Remove what a build leaves behind that has published; with `everything` also what it has not used.

        A build that looked at single documents leaves what belongs to others.
        """
        if everything:
            shutil.rmtree(self._folder, ignore_errors=True)
        for path in self._written:
            path.unlink(missing_ok=True)
        self._written.clear()
        for folder in (self._folder, self._root):
            with suppress(OSError):
                folder.rmdir()  # as soon as it is empty


def _file_of(sections: Sections, export: Export) -> _File:
    def array(name: str, kind: str, *row: int) -> Any:
        return sections.array(name, np.dtype(kind), row)

    return _File(
        digests=array("digests", "u1", 16),
        vectors=array("vectors", "<f4", export.dimension),
        tokens=array("tokens", "i1", export.token_dimension),
        offsets=array("offsets", "<i4", 2),
        statements=array("statements", "<f4", export.dimension),
        token_starts=starts(array("token_counts", "<i4")),
        statement_starts=starts(array("statement_counts", "<i4")),
    )


def sweep(root: Path, now: float, *, largest: int = LARGEST_BYTES) -> None:
    """Remove what is left under `root` that no build will go on with; `now` is in seconds since 1970.

    What a writer that died was writing aside goes, what nobody has added to for a week, and the oldest of
    what is over `largest` bytes.
    """
    kept: list[tuple[float, int, Path]] = []
    for folder in root.glob("*"):
        for left in folder.glob(f"{DRAFT}*"):
            shutil.rmtree(left, ignore_errors=True)
        try:
            found = [(one.stat(), one) for one in folder.glob(f"*{SUFFIX}")]
        except OSError:
            continue
        if not found or max(about.st_mtime for about, _ in found) < now - KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            kept += [(about.st_mtime, about.st_size, one) for about, one in found]
    total = 0
    for _, size, path in sorted(kept, reverse=True):
        total += size
        if total > largest:
            path.unlink(missing_ok=True)


def drop_others(root: Path, fingerprint: str) -> None:
    """Remove what another encoder has made: no build will use it."""
    for folder in root.glob("*"):
        if not folder.name.startswith(fingerprint[:16]):
            shutil.rmtree(folder, ignore_errors=True)
