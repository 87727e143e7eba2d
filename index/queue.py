"""Documents on their way into segments: held until enough unseen passages can be encoded together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.document import Document, Passage
from corpus.folder import Source
from index.encoded import Encoded, digest_of, held_by, stacked, statements_of
from index.encoder import Encoder
from index.progress import Progress
from index.rows import part_of
from index.segment import Part, SegmentFile, write_segment
from index.snapshot import Snapshot
from index.unfinished import Unfinished

QUEUE_PASSAGES = 512
"""Unseen passages after which a segment may end."""

WINDOW = 4
"""So many times QUEUE_PASSAGES are sorted by length together. Padding adds 4.3 % to the tokens of 4,500
passages of documentation with 1, 3.2 % with 2, 2.5 % with 4 and 2.0 % with 8; memory grows with it."""

SLICE_PASSAGES = 128
"""Encoded in one call and then kept on disk: what a build that is killed loses, two or three seconds. 400
passages take 9.1 s of processor time in slices of 128, 9.2 in slices of 256 and 9.2 all at once."""

SEGMENT_PASSAGES = 4096
"""Passages written as one segment, some 50 MB, so that a build's memory does not grow with the corpus."""

AddSegment = Callable[[Callable[[Path], tuple[int, str]]], SegmentFile]
"""Puts a segment that the given function writes where segments are kept: `Store.add_segment`."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document with its passages, as it comes from its file."""

    source: Source
    document: Document
    passages: tuple[Passage, ...]
    digests: tuple[bytes, ...]
    """Of the passages."""


class Queue:
    """Documents in order, held until enough unseen passages are together to be encoded at once."""

    def __init__(
        self,
        add: AddSegment,
        encoder: Encoder,
        held: Snapshot | None,
        unfinished: Unfinished | None,
        progress: Progress,
    ) -> None:
        """Write segments with `add`; what `held` or `unfinished` has of a passage is not encoded again."""
        self._add = add
        self._encoder = encoder
        self._held = held
        self._unfinished = unfinished
        self._progress = progress
        self._groups: list[list[Parsed]] = [[]]
        self._unseen: dict[bytes, Passage] = {}
        self._in_group: set[bytes] = set()
        self._parts: list[Part] = []
        self._made: list[SegmentFile] = []
        self.documents = 0

    def add(self, one: Parsed) -> None:
        """Take in one document."""
        self._groups[-1].append(one)
        for digest, passage in zip(one.digests, one.passages, strict=True):
            if self._held is None or self._held.row_with(digest) is None:
                self._unseen.setdefault(digest, passage)
                self._in_group.add(digest)
        self.documents += 1
        self._progress.passages += len(one.passages)
        self._progress.bytes += len(one.source.data)
        if len(self._in_group) >= QUEUE_PASSAGES:
            self._in_group.clear()
            if len(self._groups) == WINDOW:
                self._flush()
            else:
                self._groups.append([])

    def finish(self) -> list[SegmentFile]:
        """Encode and write what is left, and return every segment written."""
        self._flush(last=True)
        self._write()
        return self._made

    def _flush(self, *, last: bool = False) -> None:
        """Encode what is unseen and turn every waiting document into its rows."""
        fresh = self._encoded(last=last)
        for group in self._groups:
            for one in group:
                encoded = [fresh.get(digest) or self._held_by(digest) for digest in one.digests]
                self._parts.append(
                    part_of(one.source, one.document, one.passages, encoded, self._encoder.export)
                )
            if sum(part.entry.passages for part in self._parts) >= SEGMENT_PASSAGES:
                self._write()
        self._groups = [[]]
        self._unseen.clear()
        self._in_group.clear()
        self._progress.done = self._progress.passages
        self._progress.tell()

    def _held_by(self, digest: bytes) -> Encoded:
        found = held_by(self._held, digest)
        assert found is not None
        return found

    def _write(self) -> None:
        if self._parts:
            self._made.append(self._add(lambda path: write_segment(path, self._parts)))
        self._parts = []

    def _encoded(self, *, last: bool) -> dict[bytes, Encoded]:
        """Return what is unseen, encoded: by the build before that was interrupted, or now."""
        found: dict[bytes, Encoded] = {}
        for digest in self._unseen if self._unfinished is not None and len(self._unfinished) else ():
            one = self._unfinished.get(digest) if self._unfinished is not None else None
            if one is not None:
                found[digest] = one
        self._progress.kept = max(0, self._progress.kept - len(found))
        self._progress.done = self._progress.passages - (len(self._unseen) - len(found))
        self._progress.tell()
        slices = self._slices()
        for number, digests in enumerate(slices, start=1):
            missing = {digest: self._unseen[digest] for digest in digests if digest not in found}
            if not missing:
                continue
            encoded = dict(zip(missing, self._encode(list(missing.values())), strict=True))
            found |= encoded
            # What is all but in its segment need not be kept: a small change costs nothing more.
            if self._unfinished is not None and not (last and number == len(slices)):
                self._unfinished.keep(encoded)
        return found

    def _slices(self) -> list[tuple[bytes, ...]]:
        """Return the digests of what is unseen in slices of like length, longest first.

        They are the same whatever of them is known already: an encoder that is not the same to the last bit
        in other company meets the company it would have met.
        """
        longest_first = sorted(self._unseen, key=lambda one: -len(self._unseen[one].embedded))
        return [*_batched(longest_first, SLICE_PASSAGES)]

    def _encode(self, unseen: list[Passage]) -> list[Encoded]:
        """Return the encodings of passages; they and their statements go through the encoder together."""
        texts = [passage.embedded for passage in unseen]
        texts += [text for passage in unseen for text in statements_of(passage)]
        progress, done = self._progress, 0
        before, begun = (progress.done, progress.encoded, progress.seconds), time.monotonic()

        def told(count: int) -> None:
            nonlocal done
            done += count
            passages = len(unseen) * done // len(texts)
            progress.done, progress.encoded = before[0] + passages, before[1] + passages
            progress.seconds = before[2] + time.monotonic() - begun
            progress.tell()

        encodings = self._encoder.encode_documents(texts, told)
        vectors = iter([one.vector for one in encodings[len(unseen) :]])
        width = self._encoder.export.dimension
        return [
            Encoded(one, stacked([next(vectors) for _ in statements_of(passage)], width))
            for passage, one in zip(unseen, encodings, strict=False)
        ]


def parsed(source: Source, document: Document, found: tuple[Passage, ...]) -> Parsed:
    """Return a document as the queue takes it."""
    return Parsed(source, document, found, tuple(digest_of(one) for one in found))


def _batched(digests: Sequence[bytes], size: int) -> Iterator[tuple[bytes, ...]]:
    for at in range(0, len(digests), size):
        yield tuple(digests[at : at + size])
