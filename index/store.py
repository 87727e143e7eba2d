"""The life of snapshots on disk: draft, publish, open, keep, prune. Exports of the encoder beside them.

lock                    held by the one process that writes
current                 which snapshot is in use and which are kept, switched by one rename
snapshots/<version>/    immutable once published
snapshots/.draft-*/     being written; swept when the next writer begins
encoders/<fingerprint>/ exports of the model, one is named by each snapshot's fingerprint
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from index.encoder import EXPORT_FILE, EncoderError, Export, read_export
from index.snapshot import Manifest, Snapshot, SnapshotError, read_manifest, verify
from index.writer import sync

KEPT = 3
"""Snapshots that stay on disk, the one in use counted."""

DRAFT = ".draft-"


class Locked(Exception):
    """Another process is writing to the data folder."""


class NoIndex(Exception):
    """There is no snapshot that can be opened; the message says what was found."""


class Store:
    """A data folder: its snapshots and encoder exports."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made when something is first written."""
        self.folder = folder
        self._snapshots = folder / "snapshots"
        self._encoders = folder / "encoders"
        self._current = folder / "current"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for one writer; left-overs of a writer that died are swept first.

        Raises Locked at once when another process holds it.
        """
        self._snapshots.mkdir(parents=True, exist_ok=True)
        self._encoders.mkdir(parents=True, exist_ok=True)
        lock = self.folder / "lock"
        with lock.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Locked(
                    f"another process is writing to {self.folder} (it holds {lock}); wait for it to finish"
                ) from error
            for left in (*self._snapshots.glob(f"{DRAFT}*"), *self._encoders.glob(f"{DRAFT}*")):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def kept(self) -> list[str]:
        """Return the versions on disk, the one in use first, then newest first."""
        try:
            named = [str(one) for one in json.loads(self._current.read_text(encoding="utf-8"))["kept"]]
        except (OSError, ValueError, KeyError, TypeError):
            named = []
        found = {path.name for path in self._snapshots.glob("[!.]*") if path.is_dir()}
        if named and found >= {*named}:
            return named
        # The pointer is lost or names what is gone: go by the dates in the manifests.
        return [one for one in named if one in found] or sorted(found, key=self._built_at, reverse=True)

    def _built_at(self, version: str) -> str:
        try:
            return read_manifest(self._snapshots / version).built_at
        except SnapshotError:
            return ""

    def pointer(self) -> tuple[int, int] | None:
        """Return a mark that changes when another snapshot is published; None when there is none."""
        try:
            about = self._current.stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns

    def open(self, version: str) -> Snapshot:
        """Return a kept snapshot after verifying every file of it. Raises SnapshotError otherwise."""
        folder = self._snapshots / version
        return Snapshot(folder, verify(folder))

    def open_current(self, report: Callable[[str], None]) -> Snapshot:
        """Return the newest snapshot that is whole; each damaged one is told to `report`.

        Raises NoIndex when there is none.
        """
        problems: list[str] = []
        for version in self.kept():
            try:
                return self.open(version)
            except SnapshotError as error:
                problems.append(str(error))
                report(str(error))
        reason = "; ".join(problems) or f"{self.folder} holds no snapshot"
        raise NoIndex(f"{reason}; run `pullquote index`")

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give an empty folder for a snapshot; whatever is not published is removed."""
        folder = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self._snapshots))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, draft: Path, manifest: Manifest) -> None:
        """Make a finished draft the snapshot in use, durably and in one step, and prune old ones."""
        target = self._snapshots / manifest.version
        if target.exists() and not self._is_whole(target):
            target.rename(Path(tempfile.mkdtemp(prefix=DRAFT, dir=self._snapshots)) / "damaged")
        if not target.exists():
            draft.rename(target)
        target.chmod(0o755)
        sync(self._snapshots)
        self.point(manifest.version)

    def _is_whole(self, folder: Path) -> bool:
        try:
            verify(folder)
        except SnapshotError:
            return False
        return True

    def point(self, version: str) -> None:
        """Make a snapshot on disk the one in use, and prune those over the number kept."""
        before = [one for one in self.kept() if one != version]
        kept = [version, *before][:KEPT]
        aside = self.folder / "current.new"
        aside.write_text(json.dumps({"kept": kept}) + "\n", encoding="utf-8")
        sync(aside)
        aside.replace(self._current)
        sync(self.folder)
        for path in self._snapshots.glob("[!.]*"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

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
