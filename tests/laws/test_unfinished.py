"""Laws of builds that are interrupted: nothing is encoded twice, and the index is as if nothing had been."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import Passage
from corpus.formats import parse
from corpus.passages import passages
from index import queue
from index.ahead import Ahead
from index.encoded import digest_of
from index.progress import Cancelled, Progress
from index.refresh import Reading, Refreshed, refresh, rehearse
from index.sections import SectionsWriter
from index.snapshot import Snapshot
from index.store import NoIndex, Store
from index.unfinished import KEPT_SECONDS, SUFFIX, Unfinished, sweep
from tests.laws.corpora import LARGEST, Files, laid, share
from tests.laws.standin import WINDOW, StandIn
from tests.laws.stopping import stopped_after
from tests.laws.test_whole import files_needed, files_of

SLICE, QUEUED, SEGMENT, HALF = 2, 3, 7, 20
"""Of passages, so small that a dozen of them meet every edge."""

TABLE = "\n".join(["| what | how many |", "|---|---|", *(f"| crate {n} | {n * 7} |" for n in range(4))])
FILES: Files = {
    f"{number:02}.md": (
        f"# Record {number}\n\n"
        + "\n\n".join(
            f"Part {part} of {number} {'lies in the harbour, ' * (part * 3 % 5)}." for part in range(6)
        )
        + (f"\n\n{TABLE}\n" if number % 3 == 0 else "\n\nThe same words in every record.\n")
    ).encode()
    for number in range(9)
}


def placed(files: Files, folder: Path) -> Path:
    """Return `folder` with `files` in it, of one date: an index notes when its documents changed."""
    laid(files, folder)
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return folder


@contextmanager
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "SLICE_PASSAGES", SLICE)
        patch.setattr(queue, "QUEUE_PASSAGES", QUEUED)
        patch.setattr(queue, "SEGMENT_PASSAGES", SEGMENT)
        yield


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small():
        yield


def passages_in(files: Files) -> dict[bytes, Passage]:
    found = (
        passages(parse(name, data), StandIn().count_tokens, window=WINDOW) for name, data in files.items()
    )
    return {digest_of(one): one for several in found for one in several}


class Counting(StandIn):
    """Notes which passages it was begun to be run for, a list a call."""

    def __init__(self, files: Files) -> None:
        super().__init__()
        self._embedded = {one.embedded for one in passages_in(files).values()}

    @property
    def begun(self) -> list[list[str]]:
        return [[text for text in call if text in self._embedded] for call in self.calls]


def run(
    store: Store, corpus: Path, encoder: StandIn, progress: Progress | None = None, **how: Any
) -> Refreshed:
    """Return what a refresh came to, as `pullquote index` has it but for the merging."""
    only = how.pop("only", None)
    with store.writing():
        try:
            previous = store.open_current(lambda _: None)
        except NoIndex:
            previous = None
        return refresh(
            store,
            Reading(corpus, LARGEST, only),
            previous,
            progress or Progress(),
            encoder=lambda *_: encoder,
            **how,
        )


def stopping_at(count: int) -> Progress:
    """Return a progress that cancels its build when it is told something for the time number `count`."""
    told = 0

    def listener(now: Progress) -> None:
        nonlocal told
        told += 1
        now.cancelled = told >= count

    return Progress(listeners=[listener])


def stopping_after(encoded: int) -> Progress:
    """Return a progress that cancels its build once so many passages are encoded."""

    def listener(now: Progress) -> None:
        now.cancelled = now.encoded >= encoded

    return Progress(listeners=[listener])


def current(store: Store) -> Snapshot:
    return store.open_current(pytest.fail)


def segments_of(store: Store) -> list[str]:
    return [one.file.sha256 for one in current(store).manifest.segments]


@pytest.fixture(name="expected", scope="module")
def _expected(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with the snapshot of FILES that an undisturbed build makes."""
    store = Store(tmp_path_factory.mktemp("expected"))
    with small():
        run(store, placed(FILES, tmp_path_factory.mktemp("corpus")), StandIn())
    assert len(current(store).segments) > 3
    return store


@given(st.lists(st.integers(1, 60), max_size=6), st.booleans())
@share(0.4)
def test_cancelled_at_any_moment(expected: Store, moments: list[int], full: bool) -> None:
    """Cancel a build wherever, again and again: no more is encoded than all of it once and a slice for each
    time, and the segments are the same to the last byte."""
    with tempfile.TemporaryDirectory() as aside:
        corpus, store = placed(FILES, Path(aside) / "corpus"), Store(Path(aside) / "data")
        encoder, cancelled = Counting(FILES), 0
        for moment in moments:
            try:
                run(store, corpus, encoder, stopping_at(moment), full=full)
            except Cancelled:
                cancelled += 1
        last = Progress()
        run(store, corpus, encoder, last, full=full)
        begun = [text for call in encoder.begun for text in call]
        full_runs = len(moments) - cancelled + 1 if full else 1
        assert len(begun) <= full_runs * len(passages_in(FILES)) + cancelled * SLICE
        assert last.done == last.passages == last.expected
        assert segments_of(store) == segments_of(expected)
        assert current(store).version == current(expected).version
        assert files_of(store.folder) == files_needed(store)


@pytest.mark.parametrize("what", ["first", "change", "full"])
def test_power_cut_anywhere(tmp_path: Path, what: str) -> None:
    """Cut the power at any step: what was kept by then is used if it is whole, and the index is the same."""
    before, corpus = Store(tmp_path / "before"), placed(FILES, tmp_path / "corpus")
    before.folder.mkdir()
    half = dict(list(FILES.items())[::2])
    if what != "first":
        run(before, placed(half, tmp_path / "half"), StandIn())
    wanted = Store(shutil.copytree(before.folder, tmp_path / "wanted"))
    run(wanted, corpus, StandIn(), full=what == "full")
    new = FILES if what != "change" else {name: FILES[name] for name in FILES.keys() - half.keys()}
    total = len(passages_in(new))
    left: list[int] = []
    for count in range(1, 2000, 5):
        folder = Path(shutil.copytree(before.folder, tmp_path / f"stopped-{count}"))
        store = Store(folder)
        if not stopped_after(count, folder, partial(run, store, corpus, StandIn(), full=what == "full")):
            break
        progress = Progress()
        done = run(store, corpus, StandIn(), progress, full=what == "full")
        if done.published:
            left.append(progress.encoded)
        assert segments_of(store) == segments_of(wanted)
        # The pointer may be lost with the power; what it would say can be seen from the rest.
        assert files_of(folder) | {"current"} == files_needed(store)
        shutil.rmtree(folder)
    assert left[0] >= total - SLICE
    if what != "full":
        # The last slice is not kept; once it is published, nothing is left to do.
        assert left == sorted(left, reverse=True)
        assert left[-1] <= SLICE


@given(
    st.sampled_from(["flip", "cut", "empty", "lengthen", "rename"]),
    st.integers(0, 99),
    st.integers(0, 10**6),
    st.integers(0, 7),
)
@share(0.4)
def test_damage(expected: Store, kind: str, which: int, place: int, bit: int) -> None:
    """Whatever becomes of a file that was kept, nothing of it is trusted but what was written."""
    with tempfile.TemporaryDirectory() as aside:
        corpus, store = placed(FILES, Path(aside) / "corpus"), Store(Path(aside) / "data")
        with suppress(Cancelled):
            run(store, corpus, StandIn(), stopping_after(HALF))
        kept = sorted(store.folder.glob(f"unfinished/*/*{SUFFIX}"))
        path = kept[which % len(kept)]
        data = bytearray(path.read_bytes())
        at = place % len(data)
        if kind == "flip":
            data[at] ^= 1 << bit
        elif kind == "lengthen":
            data += b"\0"
        else:
            del data[at if kind == "cut" else 0 :]
        if kind == "rename":
            path.rename(path.with_stem("0" * 32))
        else:
            path.write_bytes(data)
        run(Store(store.folder), corpus, StandIn())
        assert segments_of(store) == segments_of(expected)
        assert files_of(store.folder) == files_needed(store)


def interrupted(tmp_path: Path, **how: Any) -> tuple[Store, Path]:
    """Return a store in which a build of FILES was cancelled half-way, and their folder."""
    corpus, store = placed(FILES, tmp_path / "corpus"), Store(tmp_path / "data")
    with pytest.raises(Cancelled):
        run(store, corpus, StandIn(), stopping_after(HALF), **how)
    assert [*store.folder.glob(f"unfinished/*/*{SUFFIX}")]
    with pytest.raises(NoIndex):
        current(store)
    return store, corpus


def encoded_by(store: Store, corpus: Path, encoder: StandIn | None = None, **how: Any) -> int:
    progress = Progress()
    run(store, corpus, encoder or StandIn(), progress, **how)
    return progress.encoded


def test_a_full_build_goes_on_with_full_builds_alone(tmp_path: Path) -> None:
    """What `full` promises: nothing that was there before it was asked for is used."""
    total = len(passages_in(FILES))
    store, corpus = interrupted(tmp_path / "changed")
    assert encoded_by(store, corpus, full=True) == total
    store, corpus = interrupted(tmp_path / "full", full=True)
    assert encoded_by(store, corpus) == total
    store, corpus = interrupted(tmp_path / "both", full=True)
    assert 0 < encoded_by(store, corpus, full=True) < total


def test_what_another_encoder_made_is_never_used(tmp_path: Path) -> None:
    store, corpus = interrupted(tmp_path)
    other = StandIn()
    other.export = replace(other.export, fingerprint="6" * 64)
    assert encoded_by(store, corpus, other) == len(passages_in(FILES))
    assert files_of(store.folder) == files_needed(store)


def test_a_change_of_one_document_leaves_what_belongs_to_others(tmp_path: Path) -> None:
    store, corpus = Store(tmp_path / "data"), placed({"a.md": b"# A\n\nThe first."}, tmp_path / "corpus")
    run(store, corpus, StandIn())
    placed(FILES, corpus)
    with pytest.raises(Cancelled):
        run(store, corpus, StandIn(), stopping_after(HALF))
    kept = sorted(store.folder.glob(f"unfinished/*/*{SUFFIX}"))
    placed({"a.md": b"# A\n\nThe second."}, corpus)
    assert encoded_by(store, corpus, only={"a.md"}) == 1
    assert sorted(store.folder.glob(f"unfinished/*/*{SUFFIX}")) == kept
    assert encoded_by(store, corpus) < len(passages_in(FILES))
    assert files_of(store.folder) == files_needed(store)


def test_a_change_of_a_few_passages_keeps_nothing_beside_its_segment(tmp_path: Path) -> None:
    store, corpus = Store(tmp_path / "data"), placed({"a.md": b"# A\n\nThe first."}, tmp_path / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Unfinished, "keep", lambda *_: pytest.fail("kept"))
        run(store, corpus, StandIn())


def test_a_dry_run_knows_what_is_kept_and_touches_nothing(tmp_path: Path) -> None:
    store, corpus = interrupted(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    left = store.left_by(StandIn().export, full=False)
    _, total, encoded = rehearse(Reading(corpus, LARGEST), None, StandIn(), left, full=False)
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == before
    progress = Progress()
    assert (run(store, corpus, StandIn(), progress).passages, progress.encoded) == (total, encoded)


def test_what_is_shown_of_a_build_that_goes_on(tmp_path: Path) -> None:
    """What was taken over counts as done, but neither as work nor as time."""
    store, corpus = interrupted(tmp_path)
    seen: list[tuple[int, int, float | None, float | None]] = []
    progress = Progress()

    def listener(now: Progress) -> None:
        assert 0 <= now.done <= now.passages <= now.expected
        seen.append((now.done, now.encoded, now.per_second, now.seconds_left))

    progress.listeners.append(listener)
    run(store, corpus, StandIn(), progress)
    assert [one[0] for one in seen] == sorted(one[0] for one in seen)
    taken_over = [one for one in seen if one[0] and not one[1]]
    assert taken_over and all(one[2:] == (None, None) for one in taken_over)
    assert progress.kept == 0 and progress.seconds_left == 0
    assert progress.per_second == progress.encoded / progress.seconds


def test_a_full_disk_does_not_break_what_needs_no_room(tmp_path: Path) -> None:
    """Where nothing can be kept aside, the build goes on without."""
    store, corpus = Store(tmp_path / "data"), placed(FILES, tmp_path / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        write = SectionsWriter._write

        def refuse(self: SectionsWriter, data: bytes | memoryview) -> None:
            if "unfinished" in str(self._file.name):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(self, data)

        patch.setattr(SectionsWriter, "_write", refuse)
        run(store, corpus, StandIn())
    assert files_of(store.folder) == files_needed(store)


def test_old_and_too_much_is_swept(tmp_path: Path) -> None:
    store, _ = interrupted(tmp_path)
    root = store.folder / "unfinished"
    kept = sorted(root.glob(f"*/*{SUFFIX}"), key=lambda one: one.stat().st_mtime_ns)
    for number, path in enumerate(kept):
        os.utime(path, (1000 + number, 1000 + number))
    sizes = [path.stat().st_size for path in kept]
    sweep(root, 1000 + KEPT_SECONDS)
    assert [path.exists() for path in kept] == [True] * len(kept)
    sweep(root, 1000 + KEPT_SECONDS, largest=sizes[-1] + sizes[-2])
    assert [path.exists() for path in kept] == [False] * (len(kept) - 2) + [True] * 2
    sweep(root, 1000 + len(kept) + KEPT_SECONDS)
    assert not [*root.glob("*")]


# ---------------------------------------------------------------- the thread that parses ahead


def test_ahead_keeps_the_order_and_makes_no_more_than_it_may() -> None:
    made: list[int] = []

    def numbers(check: object) -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with Ahead(numbers, lambda _: 1, 5) as ahead:
        for place, number in enumerate(ahead.taken(lambda: None)):
            assert number == place
            assert len(made) - place <= 5 + 2


def test_an_error_ahead_is_raised_where_its_item_would_have_come() -> None:
    def numbers(check: object) -> Iterator[int]:
        yield 1
        yield 2
        raise ZeroDivisionError("the third")

    seen: list[int] = []
    with Ahead(numbers, lambda _: 1, 50) as ahead, pytest.raises(ZeroDivisionError, match="the third"):
        seen.extend(one for one in ahead.taken(lambda: None))
    assert seen == [1, 2]


def test_whoever_waits_can_give_up_and_the_thread_ends() -> None:
    """An order to stop reaches both: the one that waits, and the one that works, at its next look."""
    ended = []

    def endless(check: Any) -> Iterator[int]:
        try:
            while True:
                check()
            yield 1
        finally:
            ended.append(True)

    progress = Progress(cancelled=True)
    with pytest.raises(Cancelled), Ahead(endless, lambda _: 1, 5) as ahead:
        next(ahead.taken(progress.tell))
    assert ended == [True]
    assert not ahead._thread.is_alive()
