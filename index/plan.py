"""What has to be done for the index to follow the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

import corpus.atoms
import corpus.passages
from corpus.folder import Change, Skipped, Source, Unread, between
from corpus.formats import SUFFIXES
from index import analysis, terms
from index.definitions import ALIAS_FILE, read_aliases
from index.manifest import FORMAT
from index.snapshot import Snapshot

PARSER = 13
"""Raise it with every change of parsers, passages or terms: an index made otherwise is then made again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a refresh would do."""

    version: str
    """The id of the snapshot that it leads to."""
    change: Change
    sources: tuple[Source, ...]
    """The files whose content the index does not have yet, by id."""
    stay: frozenset[str]
    """The ids of the documents that are taken over as they are."""
    skipped: tuple[Skipped, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    """From the alias file beside the documents: what people write, and what it stands for."""


def recipe() -> str:
    """Return a hash of every constant that shapes passages and terms."""
    shaping = (
        FORMAT,
        PARSER,
        corpus.passages.CONTEXT_SHARE,
        corpus.passages.FILL_TOKENS,
        corpus.passages.FULL_TOKENS,
        corpus.atoms.CHARACTERS_PER_TOKEN,
        analysis.LONGEST_TERM,
        terms.K1,
        terms.B,
        sorted(SUFFIXES.items()),
    )
    return hashlib.sha256(repr(shaping).encode()).hexdigest()[:16]


def plan(
    previous: Snapshot | None,
    found: Iterable[Source | Unread | Skipped],
    fingerprint: str,
    only: Set[str] | None = None,
) -> Plan:
    """Return what has to be done for the index to follow the folder, of which `found` is the content.

    With `only`, ids and folders (ending in `/`), nothing else was looked at, and the rest stays as `previous`
    has it.
    """
    held = previous if reusable(previous, fingerprint) else None
    state = _State(held, only)
    # A file that could not be read last time is no addition as long as it stays the same.
    told = {one.id: one.sha or "skipped" for one in previous.skipped} if previous else {}
    before = state.shas | told
    sources: list[Source] = []
    seen_aliases: bytes | None = None
    for one in found:
        if isinstance(one, Skipped):
            state.skipped[one.id] = one
        elif one.id == ALIAS_FILE:
            seen_aliases = one.data if isinstance(one, Source) else None
        else:
            state.keep(one, sources)
    if seen_aliases is not None:
        state.aliases, problem = read_aliases(seen_aliases)
        if problem:
            state.skipped[ALIAS_FILE] = Skipped(ALIAS_FILE, problem, 0)
    lines = {one.id: one.sha for one in sources} | state.stay
    now = lines | {one.id: one.sha or "skipped" for one in state.skipped.values()}
    skipped = tuple(state.skipped[one] for one in sorted(state.skipped))
    return Plan(
        version=version_of(lines, skipped, fingerprint, state.aliases),
        change=between(before, now),
        sources=tuple(sources),
        stay=frozenset(state.stay),
        skipped=skipped,
        aliases=state.aliases,
    )


class _State:
    """What is known of the folder before anything is read."""

    def __init__(self, held: Snapshot | None, only: Set[str] | None) -> None:
        self.shas = held.raw_shas if held else {}
        self._unread = {one.id: one for one in held.skipped if one.sha} if held else {}
        untouched = held is not None and only is not None
        self.stay = uncovered(only, self.shas) if untouched else {}
        others = held.skipped if held and untouched else ()
        self.skipped = {one.id: one for one in others if not covers(only, one.id)}
        self.aliases = held.aliases if held and untouched and not covers(only, ALIAS_FILE) else ()

    def keep(self, one: Source | Unread, sources: list[Source]) -> None:
        """Note a file that is there: its content is known already, or it goes to `sources`."""
        unread = self._unread.get(one.id)
        if self.shas.get(one.id) == one.sha:
            self.stay[one.id] = one.sha
        elif unread is not None and unread.sha == one.sha:
            self.skipped[one.id] = unread  # it cannot be parsed any better this time
        elif isinstance(one, Source):
            sources.append(one)
        else:
            raise ValueError(f"{one.id} was not read, but the index does not have its content")


def uncovered(only: Set[str] | None, shas: Mapping[str, str]) -> dict[str, str]:
    """Return those of `shas`, by id, that `only` does not name."""
    if only is None or any(one.endswith("/") for one in only):
        return {one: sha for one, sha in shas.items() if not covers(only, one)}
    left = dict(shas)
    for one in only:
        left.pop(one, None)
    return left


def covers(only: Set[str] | None, document_id: str) -> bool:
    """Return whether `only` names a document or a folder above it."""
    if only is None or document_id in only:
        return True
    end = document_id.find("/")
    while end >= 0:
        if document_id[: end + 1] in only:
            return True
        end = document_id.find("/", end + 1)
    return False


def known_shas(previous: Snapshot | None, fingerprint: str) -> dict[str, str]:
    """Return the SHA-256 of each file whose content need not be read again, by id."""
    if previous is None or not reusable(previous, fingerprint):
        return {}
    return previous.raw_shas | {one.id: one.sha for one in previous.skipped if one.sha}


def reusable(previous: Snapshot | None, fingerprint: str) -> bool:
    """Return whether vectors and passages of `previous` are what this program would make."""
    if previous is None:
        return False
    return previous.manifest.fingerprint == fingerprint and previous.manifest.recipe == recipe()


def version_of(
    shas: Mapping[str, str],
    skipped: Iterable[Skipped],
    fingerprint: str,
    aliases: Iterable[tuple[str, str]] = (),
) -> str:
    """Return the id of the snapshot of these files: the same corpus has the same id on any machine.

    `shas` are those of the files' bytes, by id. A file that no parser could read counts by its bytes, one
    that was not read at all by the reason.
    """
    digest = hashlib.sha256(f"{recipe()} {fingerprint} {sorted(aliases)}".encode())
    lines = [f"{one}\0{sha}" for one, sha in shas.items()]
    lines += [f"{one.id}\0{one.sha or 'skipped ' + one.reason}" for one in skipped]
    for line in sorted(lines):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()[:16]
