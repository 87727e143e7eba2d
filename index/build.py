"""(Plan, previous Snapshot) -> new segments and the manifest of the next; encodes only unseen texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

from corpus.document import Document, Passage
from corpus.folder import Skipped, Source
from corpus.formats import UnreadableDocument, parse
from corpus.passages import CountTokens, passages
from index.ahead import Ahead
from index.encoder import Encoder
from index.manifest import FORMAT, Manifest, Used
from index.plan import Plan, recipe, reusable
from index.progress import Progress
from index.queue import QUEUE_PASSAGES, AddSegment, Parsed, Queue, parsed
from index.snapshot import Snapshot
from index.unfinished import Unfinished

AHEAD_PASSAGES = QUEUE_PASSAGES
"""Parsed while others are encoded: as many as take some ten seconds to encode, and half a second to parse."""

COUNTED = 16
"""Texts whose number of tokens is remembered while a document is cut: each sentence is asked for twice, one
after the other. It saves 0.08 s of 0.5 for 800 passages; remembering 4,096 saves no more."""


def build(
    planned: Plan,
    previous: Snapshot | None,
    encoder: Encoder,
    add: AddSegment,
    progress: Progress,
    *,
    unfinished: Unfinished | None = None,
) -> Manifest:
    """Write the segments that `planned` needs besides those of `previous`, and return the manifest.

    Passages whose embedded text was seen before keep their vectors, and so do those that `unfinished` has;
    it is given what is encoded. Documents are parsed while others are encoded. The manifest is not yet
    published. Raises Cancelled when `progress` says so.
    """
    held = previous if reusable(previous, encoder.export.fingerprint) else None
    progress.total_bytes = sum(len(source.data) for source in planned.sources)
    stay = _staying(held, planned.stay) if held else []
    progress.kept = len(unfinished) if unfinished is not None else 0
    queue = Queue(add, encoder, held, unfinished, progress)
    skipped = list(planned.skipped)
    with Ahead(lambda check: _read(planned.sources, encoder, check), _weight, AHEAD_PASSAGES) as ahead:
        for one in ahead.taken(progress.tell):
            if isinstance(one, Skipped):
                skipped.append(one)
            else:
                queue.add(one)
        made = queue.finish()
    export = encoder.export
    kept = [] if held is None else [held.numbers[one] for one in planned.stay]
    kept_passages = 0 if held is None else int(np.diff(held.passage_starts)[kept].sum())
    built_at = datetime.now(tz=UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Manifest(
        format=FORMAT,
        version=planned.version,
        built_at=built_at,
        model=export.model,
        fingerprint=export.fingerprint,
        recipe=recipe(),
        dimension=export.dimension,
        token_dimension=export.token_dimension,
        documents=len(kept) + queue.documents,
        passages=kept_passages + progress.passages,
        segments=(*stay, *(Used(one, ()) for one in made)),
        skipped=tuple(sorted(skipped, key=lambda one: one.id)),
        aliases=planned.aliases,
    )


def _staying(held: Snapshot, ids: frozenset[str]) -> list[Used]:
    """Return the segments of `held` with all documents but `ids` deleted; those with none left dropped."""
    found: list[Used] = []
    for segment, used in zip(held.segments, held.manifest.segments, strict=True):
        gone = {*used.deleted}
        gone |= {number for number, one in enumerate(segment.documents.ids) if one not in ids}
        if len(gone) < len(segment.documents):
            found.append(Used(used.file, tuple(sorted(gone))))
    return found


def _read(
    sources: Sequence[Source], encoder: Encoder, check: Callable[[], None]
) -> Iterator[Parsed | Skipped]:
    """Yield what is in files; `check` is called again and again, and may raise."""

    def count(text: str) -> int:
        check()
        return encoder.count_tokens(text)

    for source in sources:
        found = read_source(source, encoder, count)
        yield found if isinstance(found, Skipped) else parsed(source, *found)


def _weight(one: Parsed | Skipped) -> int:
    return 0 if isinstance(one, Skipped) else max(1, len(one.passages))


def read_source(
    source: Source, encoder: Encoder, count_tokens: CountTokens | None = None
) -> tuple[Document, tuple[Passage, ...]] | Skipped:
    """Return the document in a file with its passages, or the file as skipped, with the reason.

    `count_tokens` stands in for that of `encoder`.
    """
    try:
        document = parse(source.id, source.data)
        count = lru_cache(maxsize=COUNTED)(count_tokens or encoder.count_tokens)
        return document, passages(document, count, window=encoder.export.window)
    except UnreadableDocument as error:
        reason = str(error)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # A parser that stumbles over one document must not keep the others from being served.
        reason = f"could not be parsed ({type(error).__name__}: {error})"
    return Skipped(source.id, reason, len(source.data), source.sha)
