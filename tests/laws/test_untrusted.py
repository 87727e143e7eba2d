"""Whatever bytes are read: what they say, or an error that was foreseen, soon."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tarfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corpus.folder import Skipped
from corpus.formats import encodings, frontmatter, parse
from corpus.formats.reading import UnreadableDocument
from index import bundle
from index.definitions import read_aliases
from index.encoder import EncoderError, read_export
from index.manifest import FORMAT, Manifest, SnapshotError, Used, read_manifest
from index.segment import SegmentFile
from service.journal import FILE, TABLES, read_feedback, read_lacking, read_unanswered
from service.known import BadQuestions, read_questions

SECONDS = 5.0
"""Of the processor, for a megabyte of the worst: as much ordinary text takes a few tenths to two."""

DEEP = 100_000
NESTED = [b"[" * DEEP, b'{"a":' * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP]
HUGE = [b"9" * 10_000, b"-1e99999", b"NaN", b'{"a": ' + b"9" * 10_000 + b"}", b'"\\ud800"']

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=4), one, max_size=3),
    max_leaves=6,
)
SAME_FOLDER = settings(suppress_health_check=[*HealthCheck])
"""A folder that all examples write to, each over the last."""


def within(work: Callable[[], object]) -> None:
    """Do something, and see that it takes no longer than SECONDS."""
    begun = time.thread_time()
    work()
    assert time.thread_time() - begun < SECONDS


def damaged(data: bytes, places: list[tuple[float, int]], end: float) -> bytes:
    """Return data with bytes changed at places, shares of its length, and cut off behind `end`."""
    changed = bytearray(data)
    for place, byte in places:
        changed[min(int(place * len(data)), len(data) - 1)] = byte
    return bytes(changed[: max(int(end * len(data)), 1)])


PLACES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12)
END = st.just(1.0) | st.floats(0, 1)


# ---------------------------------------------------------------- front matter, text


YAML = [*"[]{}'\"\\\n\r#|\té~", "a: ", "&a ", "*a", "- ", ", ", "!!python/object ", "<<: ", "? ", "---\n"]
YAML += ["...\n", "9" * 50, "1e9999", "null", "x: y\n", ": ", "%YAML 1.2\n"]
BOMB = "a: &a [x,x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@given(st.lists(st.sampled_from(YAML) | st.text(max_size=3), max_size=40).map("".join))
@example(BOMB)
def test_front_matter(words: str) -> None:
    """Law: front matter holds no more than what is written in it, whatever it refers to."""
    text = f"---\n{words}\n---\nbody\n"
    start, fields = frontmatter.split(text)
    assert 0 <= start <= len(text)
    assert sum(len(value) for _, value in fields) <= len(text)
    document = parse("a.md", text.encode("utf-8", "replace"))
    assert document.fields == frontmatter.split(text.encode("utf-8", "replace").decode())[1]


@pytest.mark.parametrize("piece", YAML)
def test_long_front_matter(piece: str) -> None:
    """Law: a megabyte of any notation takes seconds, as a value, as a list and as lines of its own."""
    many = piece * ((1 << 20) // len(piece))
    for text in (f"a: {many}", f"a: [{many}]", f'a: ["{many}', many, f"a:\n- {many}"):
        within(lambda text=text: frontmatter.split(f"---\n{text}\n---\n"))  # type: ignore[misc]


CODECS = (
    "utf-8",
    "utf-16",
    "utf-7",
    "rot13",
    "zip",
    "hex",
    "idna",
    "undefined",
    "unicode_escape",
    "gbk",
    "cp1252",
)


@given(
    st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\x00\x00\xfe\xff"]),
    st.sampled_from(["", *CODECS]) | st.text(st.characters(codec="ascii"), max_size=20),
    st.binary(max_size=80),
    st.booleans(),
)
def test_encodings(mark: bytes, declared: str, data: bytes, declares: bool) -> None:
    """Law: bytes are text without NULs, or said to be unreadable, whatever encoding they declare."""
    head = f'<?xml version="1.0" encoding="{declared}"?>'.encode() if declared else b""
    with suppress(UnreadableDocument):
        text = encodings.decode(mark + head + data, declares=declares)
        assert "\0" not in text
        assert not declares or len(text) <= len(mark + head + data)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv"])
@given(data=st.binary(max_size=200))
@example(data=b"\xff\xfe\x00\xd8")
@example(data=b"\xff\xfe\x00")
def test_texts(name: str, data: bytes) -> None:
    """Law: any bytes are a document or said to be unreadable."""
    for mark in (b"", b"\xff\xfe", b"\xef\xbb\xbf"):
        with suppress(UnreadableDocument):
            parse(name, mark + data).text.encode("utf-8")


# ---------------------------------------------------------------- files of ours that others may write


def written(folder: Path, data: bytes) -> Path:
    """Return a file that holds `data`."""
    path = folder / "file"
    path.write_bytes(data)
    return path


QUESTION = st.fixed_dictionaries(
    {"question": st.text(max_size=9) | JSON, "answerable": st.booleans() | JSON},
    optional={
        "gold_spans": st.lists(st.text(max_size=5), max_size=2) | JSON,
        "history": JSON,
        "gold_places": st.lists(st.fixed_dictionaries({"file": JSON, "start": JSON, "end": JSON})) | JSON,
        "gold_mode": JSON,
        "forbidden": JSON,
        "split": JSON,
    },
)


@SAME_FOLDER
@given(data=(QUESTION | JSON).map(lambda one: json.dumps(one).encode()) | st.binary(max_size=60))
def test_question_files(data: bytes, tmp_path: Path) -> None:
    """Law: a file of questions is read, or its line named."""
    with suppress(BadQuestions):
        assert read_questions(written(tmp_path, data))


@pytest.mark.parametrize("data", NESTED + HUGE, ids=lambda one: str(one[:8]))
def test_deep_files(data: bytes, tmp_path: Path) -> None:
    """Law: neither depth nor length of a number breaks what reads JSON."""
    path = written(tmp_path, data)
    (tmp_path / "encoder.json").write_bytes(data)
    for read, error in ((read_questions, BadQuestions), (read_manifest, SnapshotError)):

        def attempt(read: Callable[[Path], object] = read, error: type[Exception] = error) -> None:
            with pytest.raises(error):
                read(path)

        within(attempt)
    with pytest.raises(EncoderError):
        read_export(tmp_path)


@given(
    st.binary(max_size=120)
    | st.text(max_size=60).map(lambda one: f"{one} = {one}\n".encode("utf-8", "replace"))
)
def test_alias_files(data: bytes) -> None:
    """Law: what cannot be read of an alias file is said, the rest are pairs that are not empty."""
    pairs, problem = read_aliases(data)
    assert all(short and long for short, long in pairs)
    assert problem is None or problem


# ---------------------------------------------------------------- snapshots and bundles

SHA = hashlib.sha256(b"x").hexdigest()
WHOLE = Manifest(
    format=FORMAT,
    version="a" * 16,
    built_at="2026-01-01T00:00:00Z",
    model="m",
    fingerprint="f",
    recipe="r",
    dimension=4,
    token_dimension=2,
    documents=1,
    passages=1,
    segments=(Used(SegmentFile(SHA[:16], 1, SHA), ()),),
    skipped=(Skipped("b.pdf", "locked", 9),),
    aliases=(("a", "b"),),
)


def sealed(values: dict[str, Any]) -> bytes:
    """Return a manifest of any values that vouches for itself, as anybody can write one."""
    bare = {name: value for name, value in values.items() if name != "checksum"}
    checksum = hashlib.sha256(json.dumps(bare, sort_keys=True).encode()).hexdigest()
    return json.dumps({**bare, "checksum": checksum}).encode()


def test_manifests(tmp_path: Path) -> None:
    """Law: a manifest comes back as it was written, also by `sealed`."""
    assert read_manifest(written(tmp_path, WHOLE.to_bytes())) == WHOLE
    assert read_manifest(written(tmp_path, sealed(json.loads(WHOLE.to_bytes())))) == WHOLE


@SAME_FOLDER
@given(places=PLACES, end=END)
def test_damaged_manifests(places: list[tuple[float, int]], end: float, tmp_path: Path) -> None:
    """Law: a manifest that is damaged anywhere is refused or is what it was."""
    with suppress(SnapshotError):
        assert read_manifest(written(tmp_path, damaged(WHOLE.to_bytes(), places, end))) == WHOLE


NAMES = [*json.loads(WHOLE.to_bytes())]


@SAME_FOLDER
@given(name=st.sampled_from(NAMES) | st.text(max_size=5), value=JSON, gone=st.booleans())
@example(name="segments", value=[{"file": {"name": "x", "bytes": 1, "sha256": 7}, "deleted": 3}], gone=False)
@example(
    name="segments", value=[{"file": {"name": "../x", "bytes": 1, "sha256": SHA}, "deleted": []}], gone=False
)
@example(name="version", value="../../x", gone=False)
@example(name="skipped", value=[{"id": 1, "reason": [], "bytes": "x"}], gone=False)
@example(name="aliases", value=["abc"], gone=False)
def test_forged_manifests(name: str, value: object, gone: bool, tmp_path: Path) -> None:
    """Law: a manifest that vouches for wrong values is refused, and names no file outside of its folder."""
    values = json.loads(WHOLE.to_bytes())
    values[name] = value
    if gone:
        del values[name]
    with suppress(SnapshotError):
        manifest = read_manifest(written(tmp_path, sealed(values)))
        assert all(
            "/" not in one for one in (manifest.version, *(one.file.name for one in manifest.segments))
        )
        hash(manifest)
        assert all(isinstance(number, int) for one in manifest.segments for number in one.deleted)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a bundle's bytes: small members of the right names."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "x").write_bytes(b"x" * 700)
    with tarfile.open(folder / "tar", "w") as made:
        for name in (bundle.MANIFEST, f"{bundle.SEGMENTS}a.segment", f"{bundle.ENCODER}encoder.json"):
            made.add(folder / "x", name)
    return (folder / "tar").read_bytes()


@SAME_FOLDER
@given(places=st.lists(st.tuples(st.floats(0, 0.45), st.integers(0, 255)), max_size=12), end=END)
def test_damaged_bundles(
    places: list[tuple[float, int]], end: float, archive: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Law: an archive that is damaged anywhere is refused, or unpacked within its folder."""
    folder = tmp_path_factory.mktemp("unpacked")
    path = written(folder, damaged(archive, places, end))
    (folder / "in").mkdir()
    with suppress(SnapshotError):
        bundle._unpack(path, folder / "in")
    assert {one.name for one in folder.iterdir()} == {"file", "in"}


# ---------------------------------------------------------------- the journal


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a journal with entries."""
    path = tmp_path_factory.mktemp("journal") / FILE
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(TABLES)
        for number in range(40):
            connection.execute(
                "INSERT INTO unanswered (question, used, reason, at) VALUES (?, ?, ?, ?)",
                (f"Who {number}?" * 9, "used", "below_threshold", "2026-01-01T00:00:00Z"),
            )
            connection.execute(
                "INSERT INTO feedback (question, answer, passage_id, good, comment, at) VALUES (?,?,?,?,?,?)",
                ("q", "a", None, number % 2, "c", "2026-01-02T00:00:00Z"),
            )
    return path.read_bytes()


def read_all(folder: Path) -> None:
    """Read a journal in every way; what it holds is of the kinds that it should be."""
    with suppress(OSError):
        assert all(
            isinstance(part, str)
            for one in read_unanswered(folder)
            for part in (one.question, one.used, one.at)
        )
    with suppress(OSError):
        assert all(isinstance(one.question, str) for one in read_feedback(folder, 50))
    with suppress(OSError):
        assert all(isinstance(one.at, str) for one in read_lacking(folder))


@SAME_FOLDER
@given(places=PLACES, end=END)
def test_damaged_journals(
    places: list[tuple[float, int]], end: float, journal: bytes, tmp_path: Path
) -> None:
    """Law: a journal that is damaged anywhere is read, entry by entry, or said to be unreadable."""
    (tmp_path / FILE).write_bytes(damaged(journal, places, end))
    within(lambda: read_all(tmp_path))


@pytest.mark.parametrize("value", [None, 7, 0.5, b"\xff", "\ud800"], ids=repr)
@pytest.mark.parametrize("column", ["question", "at"])
def test_journals_of_other_kinds(column: str, value: object, tmp_path: Path) -> None:
    """Law: an entry of another kind than the journal writes makes it unreadable, not a page fail."""
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("CREATE TABLE unanswered (question, used, reason, at)")
        connection.execute("CREATE TABLE feedback (question, answer, passage_id, good, comment, at)")
        given_ = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        cast = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
        connection.execute(f"INSERT INTO unanswered ({column}) VALUES ({cast})", (given_,))
        connection.execute("INSERT INTO unanswered VALUES ('q', 'q', 'r', '2026')")
        connection.execute(f"INSERT INTO feedback ({column}) VALUES ({cast})", (given_,))
    read_all(tmp_path)
