"""The life of snapshots on disk: segments, publish, open, keep, go back; exports of the encoder beside them.

lock                        held by the one process that writes
serving                     held by the one server that may
current                     which snapshot is in use and which are kept, switched by one rename
snapshots/<version>.json    what a kept snapshot is made of, with the SHA-256 of every segment
segments/<name>.segment     immutable, named by its SHA-256, shared by the snapshots that use it
encoders/<fingerprint>/     exports of the model, one is named by each snapshot's fingerprint
unfinished/                 what builds that were interrupted have encoded (index/unfinished.py)
PULLQUOTE-INDEX             tells a scan that none of this is a document
.draft-*, .pullquote-*      being written; swept when the next writer begins
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from corpus.durable import ASIDE, sync, write_durably
from corpus.folder import DATA_MARK
from index.encoder import EXPORT_FILE, EncoderError, Export, read_export
from index.manifest import Manifest, SnapshotError, Used, read_manifest
from index.segment import SUFFIX, Segment, SegmentError, SegmentFile, checked
from index.snapshot import Snapshot
from index.unfinished import DRAFT, Unfinished, drop_others, sweep
from index.verifying import LARGE, Verification
from index.writable import written

KEPT = 3
"""Snapshots that stay on disk, the one in use counted."""

OPENINGS = 5
"""How often opening begins again because another process published meanwhile."""


class Locked(Exception):
    """Another process is writing to the data folder."""


class AlreadyServed(Exception):
    """Another server uses the data folder."""


class NoIndex(Exception):
    """There is no snapshot that can be opened; the message says what was found."""


class Store:
    """A data folder: its snapshots and encoder exports."""

    def __init__(self, folder: Path, *, large: int = LARGE) -> None:
        """Use `folder`, which is made when something is first written.

        Segments over `large` bytes are opened when a sample of them is whole, and verified behind that.
        """
        self.folder = folder
        self._large = large
        self._damaged: dict[SegmentFile, tuple[str, tuple[int, int] | None]] = {}
        self._snapshots = folder / "snapshots"
        self._segments = folder / "segments"
        self._encoders = folder / "encoders"
        self._current = folder / "current"
        self._unfinished = folder / "unfinished"
        self._whole: set[str] = set()
        self._opened: weakref.WeakValueDictionary[SegmentFile, Segment] = weakref.WeakValueDictionary()
        self._drafts: set[Path] = set()
        self._reserved: set[str] = set()
        self._opening = threading.Lock()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for one writer; left-overs of a writer that died are swept first.

        Raises Locked at once when another process holds it.
        """
        with written(self.folder):
            for folder in (self._snapshots, self._segments, self._encoders):
                folder.mkdir(parents=True, exist_ok=True)
            (self.folder / DATA_MARK).touch()
        lock = self.folder / "lock"
        with lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Locked(
                    f"another process is writing to {self.folder} (it holds {lock}); wait for it to finish"
                ) from error
            self._sweep()
            yield

    def serving(self) -> IO[bytes]:
        """Return the lock of this folder's one server, held until the file is closed or the process ends.

        Raises AlreadyServed when another one has it.
        """
        path = self.folder / "serving"
        with written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / DATA_MARK).touch()
            file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise AlreadyServed(
                f"another server uses {self.folder} (it holds {path}); stop it, give this one a data folder "
                "of its own, or let it only read (PULLQUOTE_READ_ONLY=true)"
            ) from error
        return file

    def _sweep(self) -> None:
        """Remove what no living writer is writing."""
        for folder in (self.folder, self._snapshots, self._segments, self._encoders):
            for left in (*folder.glob(f"{DRAFT}*"), *folder.glob(f"{ASIDE}*")):
                if left in self._drafts:
                    continue
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink(missing_ok=True)
        sweep(self._unfinished, time.time())
        self._prune(self.kept())

    def kept(self) -> list[str]:
        """Return the versions on disk, the one in use first, then newest first."""
        named = [str(one) for one in self._named().get("kept", [])]
        found = {path.stem for path in self._snapshots.glob("[!.]*.json")}
        if named and found >= {*named}:
            return named
        # The pointer is lost or names what is gone: go by the dates in the manifests.
        return [one for one in named if one in found] or sorted(found, key=self._built_at, reverse=True)

    def pinned(self) -> bool:
        """Return whether somebody went back to the snapshot in use, so that it does not follow the folder."""
        return bool(self._named().get("pinned"))

    def _named(self) -> dict[str, Any]:
        """Return what the pointer says, nothing where it cannot be read."""
        try:
            found = json.loads(self._current.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and isinstance(found.get("kept"), list) else {}

    def _built_at(self, version: str) -> str:
        try:
            return self.manifest(version).built_at
        except SnapshotError:
            return ""

    def manifest(self, version: str) -> Manifest:
        """Return what a kept snapshot is made of. Raises SnapshotError."""
        return read_manifest(self._snapshots / f"{version}.json")

    def pointer(self) -> tuple[int, ...] | None:
        """Return a mark that changes when anything is published or turns out to be damaged.

        None when there is nothing.
        """
        stamp = _stamp(self._current)
        return None if stamp is None else (*stamp, len(self._damaged))

    def open(self, version: str) -> Snapshot:
        """Return a kept snapshot. Raises SnapshotError.

        Every segment is compared with its SHA-256 before anything of it is used; one that is in use
        already was. A large one is opened when a sample of it is whole; should the rest not be, `pointer`
        changes and the snapshot no longer opens.
        """
        return self.view(self.manifest(version))

    def view(self, manifest: Manifest) -> Snapshot:
        """Return the snapshot that `manifest` describes, published or not. Raises SnapshotError."""
        return Snapshot(manifest, [self._segment(one, manifest) for one in manifest.segments])

    def _segment(self, used: Used, manifest: Manifest) -> Segment:
        with self._opening:
            problem, stamp = self._damaged.get(used.file, ("", None))
            if problem and _stamp(used.file.path(self._segments)) == stamp:
                raise SnapshotError(problem)  # it has not been written again
            segment = self._opened.get(used.file)
            if segment is None:
                try:
                    vouched = self._verified(used.file)
                    path = used.file.path(self._segments)
                    segment = Segment(path, manifest.dimension, manifest.token_dimension, vouched)
                except SegmentError as error:
                    raise SnapshotError(str(error)) from error
                self._opened[used.file] = segment
            return segment

    def _verified(self, file: SegmentFile) -> Callable[[], None]:
        """Verify a file, or begin to; return what waits until that is done. Raises SegmentError."""
        path = file.path(self._segments)
        if file.bytes <= self._large or not checked(path):
            file.verify(self._segments)
            return lambda: None
        stamp = _stamp(path)

        def failed(problem: str) -> None:
            with self._opening:
                self._damaged[file] = (problem, stamp)
                self._opened.pop(file, None)

        verification = Verification(file, self._segments, failed)

        def vouched() -> None:
            try:
                verification.wait()
            except SegmentError as error:
                raise SnapshotError(str(error)) from error

        return vouched

    def open_current(self, report: Callable[[str], None]) -> Snapshot:
        """Return the newest snapshot that is whole; each damaged one is told to `report`.

        Raises NoIndex when there is none.
        """
        problems: list[str] = []
        found = None
        for _ in range(OPENINGS):
            mark, problems = self.pointer(), []
            found = self._first_whole(problems)
            if not problems or self.pointer() == mark:
                break
            # Somebody has published meanwhile, and pruned what was just to be opened: that is no damage.
        for problem in problems:
            report(problem)
        if found is not None:
            return found
        reason = "; ".join(problems) or f"{self.folder} holds no snapshot"
        raise NoIndex(f"{reason}; run `pullquote index`")

    def _first_whole(self, problems: list[str]) -> Snapshot | None:
        """Return the newest snapshot that is whole; what is wrong with newer ones is added to `problems`."""
        for version in self.kept():
            try:
                return self.open(version)
            except SnapshotError as error:
                problems.append(str(error))
        return None

    def salvage(self) -> Snapshot | None:
        """Return what is whole of the newest snapshot that can be read, to be built upon; None if nothing is.

        It has no version: it is a part of a corpus, and never one to ask.
        """
        for version in self.kept():
            try:
                manifest = self.manifest(version)
            except SnapshotError:
                continue
            found: list[tuple[Used, Segment]] = []
            for used in manifest.segments:
                with suppress(SnapshotError):
                    found.append((used, self._segment(used, manifest)))
            if found:
                whole = replace(manifest, version="", segments=tuple(used for used, _ in found))
                return Snapshot(whole, [segment for _, segment in found])
        return None

    def add_segment(self, write: Callable[[Path], tuple[int, str]], *, reserved: bool = False) -> SegmentFile:
        """Return the segment that `write` has written at the path given to it, durable and in its place.

        It belongs to no snapshot until one that names it is published; until then, or until `release`, a
        `reserved` one is not pruned when others are published.
        """
        aside = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self._segments))
        self._drafts.add(aside)
        try:
            draft = aside / "segment"
            size, sha = write(draft)
            file = SegmentFile(sha[:32], size, sha)
            if reserved:
                self._reserved.add(file.name)
            draft.chmod(0o644)
            draft.replace(file.path(self._segments))
        finally:
            self._drafts.discard(aside)
            shutil.rmtree(aside, ignore_errors=True)
        return file

    def release(self, file: SegmentFile) -> None:
        """Let a reserved segment be pruned unless a kept snapshot uses it."""
        self._reserved.discard(file.name)

    def publish(self, manifest: Manifest, *, pinned: bool = False) -> None:
        """Make a snapshot whose segments are in place the one in use, durably and in one step.

        Raises SnapshotError when a segment has gone meanwhile, OSError when it cannot be written.
        """
        missing = [one.file.name for one in manifest.segments if not one.file.path(self._segments).exists()]
        if missing:
            raise SnapshotError(f"segments are gone before they were used: {', '.join(missing)}; try again")
        sync(self._segments)
        write_durably(self._snapshots / f"{manifest.version}.json", manifest.to_bytes())
        self.point(manifest.version, pinned=pinned)

    def point(self, version: str, *, pinned: bool = False) -> None:
        """Make a snapshot on disk the one in use, and prune those over the number kept.

        `pinned` says that it is to stay in use although the folder may be ahead of it.
        """
        before = [one for one in self.kept() if one != version]
        kept = [version, *before][:KEPT]
        write_durably(self._current, (json.dumps({"kept": kept, "pinned": pinned}) + "\n").encode())
        self._prune(kept)

    def _prune(self, kept: list[str]) -> None:
        """Remove what no kept snapshot needs; what is mapped by a request stays readable for it."""
        used = {*self._reserved}
        for version in kept:
            try:
                used |= {one.file.name for one in self.manifest(version).segments}
            except SnapshotError:
                return  # a damaged manifest may need any of them
        for path in self._snapshots.iterdir():
            if path.is_dir():  # of a layout before this one
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix == ".json" and path.stem not in kept:
                path.unlink(missing_ok=True)
        for path in self._segments.glob(f"[!.]*{SUFFIX}"):
            if path.stem not in used:
                path.unlink(missing_ok=True)

    def unfinished(self, export: Export, *, full: bool) -> Unfinished:
        """Return what builds with this encoder have encoded and not published, `full` ones or the others.

        What other encoders have left goes; the caller holds `writing()`.
        """
        drop_others(self._unfinished, export.fingerprint)
        return self.left_by(export, full=full)

    def left_by(self, export: Export, *, full: bool) -> Unfinished:
        """Return the same, touching nothing."""
        return Unfinished(self._unfinished, export, full=full, verified=self._whole)

    def export_of(self, fingerprint: str) -> Path:
        """Return the folder of the encoder export with this fingerprint.

        Raises EncoderError when it is not there.
        """
        for folder, export in self._exports():
            if export.fingerprint == fingerprint:
                return folder
        raise EncoderError(
            f"{self._encoders} holds no encoder with fingerprint {fingerprint[:16]}; run `pullquote index`"
        )

    def export_for(self, model: str) -> tuple[Path, Export] | None:
        """Return the newest export made from a MODEL setting, or None."""
        found = [(folder, export) for folder, export in self._exports() if export.model == model]
        return max(found, key=lambda one: one[0].stat().st_mtime_ns, default=None)

    def _exports(self) -> Iterator[tuple[Path, Export]]:
        for path in sorted(self._encoders.glob(f"[!.]*/{EXPORT_FILE}")):
            try:
                yield path.parent, read_export(path.parent)
            except EncoderError:
                continue  # an incomplete export is as good as none: it will be made again

    def keep_export(self, make: Callable[[Path], Export]) -> tuple[Path, Export]:
        """Return where the export that `make` writes into a given folder was put."""
        self._encoders.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self._encoders))
        try:
            export = make(aside)
            for path in aside.iterdir():
                sync(path)
            sync(aside)
            target = self._encoders / export.fingerprint[:16]
            if target.exists():
                shutil.rmtree(target)
            aside.chmod(0o755)
            aside.rename(target)
            sync(self._encoders)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return target, export


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written again; None when it is not there."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns
