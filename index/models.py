"""Which encoder to use: the MODEL setting and the exports at hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from index import low_rank
from index.cross_encoder import CrossEncoder
from index.encoder import (
    EXPORT_FILE,
    GRAPH,
    QUESTION_THREADS,
    Encoder,
    EncoderError,
    Export,
    OnnxEncoder,
    read_export,
)
from index.runtimes import Runtime
from index.store import Store

LARGE_CHANGE_BYTES = 4_000_000
"""Of changed documents: from here on loading torch (some 7 s) costs less than it saves where it has a GPU;
below, the export starts at once. Without a GPU the export is always as fast (decision 8)."""


def is_export(model: str) -> bool:
    """Return whether the MODEL setting names a folder with an exported encoder."""
    return (Path(model) / EXPORT_FILE).is_file()


def open_encoder(store: Store, model: str, fingerprint: str, runtime: Runtime = "auto") -> OnnxEncoder:
    """Return the encoder that made a snapshot, on the runtime of the RUNTIME setting.

    Raises EncoderError when no export with that fingerprint is at hand, or the runtime is missing.
    """
    folder = encoder_folder(store, model, fingerprint)
    return OnnxEncoder(folder, threads=QUESTION_THREADS, runtime=runtime)


def encoder_folder(store: Store, model: str, fingerprint: str) -> Path:
    """Return the folder of the export that made a snapshot.

    Raises EncoderError when no export with that fingerprint is at hand.
    """
    if is_export(model) and read_export(Path(model)).fingerprint == fingerprint:
        return Path(model)
    return store.export_of(fingerprint)


def serving_export(store: Store, model: str) -> tuple[Path, Export] | None:
    """Return the export that the MODEL setting stands for, without looking at the model itself."""
    if is_export(model):
        return Path(model), read_export(Path(model))
    return store.export_for(model)


def building_encoder(
    store: Store, model: str, *, fresh: bool, changed_bytes: int = 0, runtime: Runtime = "auto"
) -> Encoder:
    """Return the encoder to build with; the export is made first where there is none yet.

    `fresh` says that there is no index to build on. The export encodes, on the runtime of the RUNTIME
    setting; where sentence-transformers has a GPU, that embeds a new index and a large change. Raises
    EncoderError when there is neither an export nor the means to make one, or the runtime is missing.
    """
    if is_export(model):
        return OnnxEncoder(Path(model), runtime=runtime)
    found = store.export_for(model)
    if importlib.util.find_spec("sentence_transformers") is None:
        if found is None:
            raise EncoderError(
                f"there is no export of the model {model!r} and sentence-transformers is not installed to "
                "make one; run `pip install 'pullquote[build]'`, or set PULLQUOTE_MODEL (or --model) to an "
                "exported encoder folder"
            )
        return OnnxEncoder(found[0], runtime=runtime)
    from index.export import TorchEncoder, export_model, has_gpu, load_model, source_digest

    if found is not None and not _is_current(found[1], source_digest(model)):
        found = None
    small = not fresh and changed_bytes < LARGE_CHANGE_BYTES
    if found is not None and (small or not has_gpu()):
        return OnnxEncoder(found[0], runtime=runtime)
    loaded = load_model(model)
    if found is None:
        found = store.keep_export(lambda folder: export_model(loaded, model, folder))
    return TorchEncoder(loaded, found[0]) if has_gpu() else OnnxEncoder(found[0], runtime=runtime)


def _is_current(export: Export, source: str) -> bool:
    """Return whether an export is as this program makes it of these sources."""
    # Weights that the changes for questions were not learned for have none.
    return export.graph == GRAPH and export.source == source and export.questions in ("", low_rank.digest())


def open_pairs(reader: str, *, cores: int | None = None) -> CrossEncoder | None:
    """Return what reads candidates together with the question, None where the READER setting is `plain`.

    `cores` is how many it may use, None for all.

    Raises EncoderError when it cannot be opened.
    """
    return CrossEncoder(cores=cores) if reader == "cross-encoder" else None
