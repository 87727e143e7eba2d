"""The index from outside the server: build it, plan a build, open it for one question."""

from __future__ import annotations

import structlog

from index.encoder import EncoderError, OnnxEncoder
from index.models import open_encoder, open_pairs, serving_export
from index.progress import Progress
from index.refresh import Reading, merge_all, open_builder, refresh, rehearse
from index.snapshot import Snapshot
from index.store import NoIndex, Store
from service.finding import Index
from service.gate import gate_of
from service.jobs import Counts, counts_of
from service.settings import Settings

log = structlog.get_logger()


def build_index(
    settings: Settings,
    progress: Progress,
    *,
    full: bool = False,
    only: frozenset[str] | None = None,
    store: Store | None = None,
) -> Counts:
    """Make the index follow the folder from outside the server, and return the counts.

    With `only`, ids and folders (ending in `/`), nothing else is looked at. A `store` that is kept from one
    run to the next verifies nothing twice. Raises Locked when another process is writing, and GateClosed, and
    whatever `refresh` raises.
    """
    store = store or Store(settings.data)
    with store.writing():
        previous = _previous(store)
        reading = Reading(settings.corpus, settings.max_document_bytes, only)
        builder = open_builder(store, settings.model, settings.runtime)
        gate = gate_of(settings)

        def check(snapshot: Snapshot) -> None:
            if gate is not None:
                gate.check(Index(snapshot, _serving_encoder(store, settings), open_pairs(settings.reader)))

        result = refresh(store, reading, previous, progress, encoder=builder, full=full, check=check)
        if result.published:
            merge_all(store, store.open(result.version), everything=full or previous is None)
    return counts_of(
        result.change, skipped=result.skipped, passages=result.passages, encoded=progress.encoded
    )


def plan_index(settings: Settings, *, full: bool = False) -> Counts:
    """Return what `build_index` would do; touches nothing.

    Raises EncoderError where no encoder has been exported yet.
    """
    store = Store(settings.data)
    export = serving_export(store, settings.model)
    if export is None:
        raise EncoderError(
            "nothing has been built yet, so there is no encoder to plan with; run `pullquote index`"
        )
    planned, total, encoded = rehearse(
        Reading(settings.corpus, settings.max_document_bytes),
        _previous(store),
        OnnxEncoder(export[0], runtime=settings.runtime),
        store.left_by(export[1], full=full),
        full=full,
    )
    return counts_of(planned.change, skipped=len(planned.skipped), passages=total, encoded=encoded)


def open_index(settings: Settings, as_of: str | None = None) -> Index:
    """Return the newest whole snapshot, or the kept version `as_of`, with its encoder, for one question.

    Raises NoIndex, SnapshotError or EncoderError.
    """
    store = Store(settings.data)
    if as_of is not None:
        if as_of not in store.kept():
            raise NoIndex(f"no snapshot {as_of} is kept; kept are {', '.join(store.kept()) or 'none'}")
        snapshot = store.open(as_of)
    else:
        snapshot = store.open_current(lambda problem: log.warning("snapshot refused", problem=problem))
    encoder = open_encoder(store, settings.model, snapshot.manifest.fingerprint, settings.runtime)
    return Index(snapshot, encoder, open_pairs(settings.reader))


def _serving_encoder(store: Store, settings: Settings) -> OnnxEncoder:
    """Return the encoder that answers questions. Raises EncoderError when there is none yet."""
    found = serving_export(store, settings.model)
    if found is None:
        raise EncoderError("there is no encoder to ask with")
    return OnnxEncoder(found[0], runtime=settings.runtime)


def _previous(store: Store) -> Snapshot | None:
    try:
        return store.open_current(lambda problem: log.warning("snapshot refused", problem=problem))
    except NoIndex:
        return store.salvage()
