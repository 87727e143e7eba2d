"""A snapshot as one file that can be carried to another machine: manifest, segments, the encoder.

A tar archive, written and read member by member; nothing is unpacked under a name that the archive chose.
"""

from __future__ import annotations

import io
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from corpus.durable import ASIDE, sync
from index.checksums import damaged
from index.encoder import EncoderError, Export, OnnxEncoder, read_export
from index.manifest import Manifest, SnapshotError, read_manifest
from index.models import encoder_folder
from index.segment import SegmentError, SegmentFile
from index.store import NoIndex, Store

MANIFEST = "snapshot.json"
SEGMENTS = "segments/"
ENCODER = "encoder/"
PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def write_bundle(store: Store, version: str | None, path: Path, *, encoder: bool = True) -> Manifest:
    """Write a kept snapshot, the one in use where `version` is None, to the new file `path`.

    Returns its manifest. Every segment is verified first. Raises NoIndex, SnapshotError, EncoderError or
    OSError.
    """
    kept = store.kept()
    wanted = version or (kept[0] if kept else "")
    if wanted not in kept:
        raise NoIndex(f"no snapshot {wanted or 'at all'} is kept; kept are {', '.join(kept) or 'none'}")
    snapshot = store.open(wanted)
    manifest = snapshot.manifest
    members = [(f"{SEGMENTS}{one.path.name}", one.path) for one in snapshot.segments]
    if encoder:
        folder = store.export_of(manifest.fingerprint)
        members += [(f"{ENCODER}{one.name}", one) for one in sorted(folder.iterdir()) if one.is_file()]
    aside = path.with_name(f"{ASIDE}{path.name}")
    try:
        with tarfile.open(aside, "w") as archive:
            about = manifest.to_bytes()
            _add(archive, MANIFEST, io.BytesIO(about), len(about))
            for name, source in members:
                with source.open("rb") as file:
                    _add(archive, name, file, source.stat().st_size)
        sync(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.absolute().parent)
    return manifest


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, file)


def read_bundle(store: Store, path: Path, model: str = "") -> Manifest:
    """Take the snapshot in the file `path` into `store` and make it the one in use; return its manifest.

    `model` is the MODEL setting, which may name the encoder that made it. The snapshot is pinned: the folder
    of documents here need not be the one it was made of. The caller holds `store.writing()`. Raises
    SnapshotError, which says what is wrong with the file, EncoderError or OSError.
    """
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=store.folder) as aside:
        unpacked = Path(aside)
        _unpack(path, unpacked)
        manifest = read_manifest(unpacked / MANIFEST)
        try:
            _take_segments(store, manifest, unpacked / SEGMENTS)
        except SegmentError as error:
            raise SnapshotError(f"{path} is damaged: {error}") from error
        _take_encoder(store, unpacked / ENCODER, model, manifest.fingerprint)
        store.publish(manifest, pinned=True)
    return manifest


def _take_segments(store: Store, manifest: Manifest, folder: Path) -> None:
    """Put the segments of `manifest` where segments are kept. Raises SegmentError for one that is damaged."""
    for used in manifest.segments:

        def take(target: Path, file: SegmentFile = used.file) -> tuple[int, str]:
            file.verify(folder)
            shutil.move(file.path(folder), target)
            return file.bytes, file.sha256

        store.add_segment(take)


def _unpack(path: Path, folder: Path) -> None:
    """Write the members of the archive into `folder`. Raises SnapshotError for any other kind of file."""
    for name in (SEGMENTS, ENCODER):
        (folder / name).mkdir()
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                within, _, name = member.name.rpartition("/")
                known = (within == "" and name == MANIFEST) or f"{within}/" in (SEGMENTS, ENCODER)
                file = archive.extractfile(member) if member.isreg() else None
                if file is None or not known or not PLAIN_NAME.fullmatch(name):
                    raise SnapshotError(f"{path} holds {member.name[:100]!r}, which is no part of a snapshot")
                with (folder / within / name).open("xb") as target:
                    shutil.copyfileobj(file, target)
                    sync(folder / within / name)
    except (tarfile.TarError, EOFError, FileExistsError) as error:
        raise SnapshotError(f"{path} is no snapshot that was exported: {error}") from error


def _take_encoder(store: Store, folder: Path, model: str, fingerprint: str) -> None:
    """Keep the encoder that came along, unless it is here. Raises EncoderError when there is none."""
    try:
        encoder_folder(store, model, fingerprint)
        return
    except EncoderError:
        if not any(folder.iterdir()):
            raise
    if read_export(folder).fingerprint != fingerprint:
        raise EncoderError("the encoder in the file is not the one that made the snapshot")
    if wrong := damaged(folder):
        raise EncoderError(f"the encoder in the file is damaged ({', '.join(wrong)}); export it again")
    OnnxEncoder(folder)  # whatever says nothing of its files has to be opened at least

    def move(target: Path) -> Export:
        for path in folder.iterdir():
            shutil.move(path, target)
        return read_export(target)

    store.keep_export(move)
