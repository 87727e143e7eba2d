"""Folders of documents as the laws meet them, and the snapshots made of them."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st

from corpus.document import Document
from corpus.folder import Source, scan
from corpus.formats import parse
from index.build import build
from index.encoder import Encoder
from index.manifest import Manifest
from index.plan import Plan, plan
from index.progress import Progress
from index.snapshot import Snapshot
from index.store import Store
from tests.laws.standin import StandIn

Files = dict[str, bytes]
LARGEST = 100_000
WHEN = "2025-01-01T00:00:00Z"

PHRASES = [
    *("the dynamic graph", "Python, C++", "released in 2016", "TensorFlow.js 2.13.0", "It isn't so", "TFX"),
    *(
        "שלום עולם",
        "مرحبا بالعالم",
        "e\u0301tude de l'a\u0300me",
        "😀👩\u200d👩\u200d👧 🇫🇷",
        "snow ☃",
        "数据科学",
    ),
    *(
        "Dr. Who",
        "max_retries",
        "see https://example.org/a_b?c=d",
        "a\tb",
        "zero\u200bwidth",
        "soft\u00adhyphen",
    ),
    *(
        "non\u00a0breaking",
        "line\u2028separator",
        "3.4",
        "**bold** move",
        "*[link](/u 'v')*",
        "`code`",
        "<b>b</b>",
    ),
]
ENORMOUS = ["x" * 3000, "ab-" * 1500, "字" * 2000, "e\u0301" * 1500, "😀" * 1000, "a/b&" * 700, "| " * 1500]
phrases = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=5).map(" ".join)
sentences = st.tuples(phrases, st.sampled_from([".", "?", "!", "…", "", ":", '."'])).map("".join)
paragraphs = st.lists(sentences, min_size=1, max_size=6).flatmap(
    lambda found: st.sampled_from([" ", "\n", "  "]).map(lambda space: space.join(found))
)
cells = st.one_of(st.just(""), phrases)
enormous = st.sampled_from(ENORMOUS)


def _heading(level: int, words: str) -> str:
    return f"{'#' * level} {words}"


def _items(found: list[str]) -> str:
    return "\n".join(f"{'  ' * (number % 3)}- {words}" for number, words in enumerate(found))


def _numbered(found: list[str]) -> str:
    return "\n".join(f"{number}. {words}" for number, words in enumerate(found, start=1))


def _table(rows: list[list[str]]) -> str:
    first, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([first, "|" + "---|" * len(rows[0]), *others])


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))


def _tabbed(rows: list[list[str]]) -> str:
    return "\n".join("\t".join(row) for row in rows)


headings = st.tuples(st.integers(1, 4), phrases).map(lambda both: _heading(*both))
items = st.lists(sentences, min_size=1, max_size=6).map(_items)
numbered = st.lists(sentences, min_size=1, max_size=4).map(_numbered)
tables = st.lists(st.lists(cells, min_size=1, max_size=4), min_size=1, max_size=6).map(_table)
code = st.lists(phrases, min_size=1, max_size=6).map(lambda lines: "\n".join(["```", *lines, "```"]))
leaves = st.one_of(headings, headings, paragraphs, items, numbered, tables, code, enormous)
pieces = st.one_of(
    leaves,
    leaves,
    leaves.map(_quoted),
    leaves.map(_quoted).map(_quoted),
    phrases.map(lambda words: f"<p>{words}</p>"),
    st.sampled_from(["---\ntitle: Named\n---", "***", "!!!", "…", "[a]: /u"]),
)
plain_pieces = st.one_of(
    paragraphs,
    paragraphs,
    phrases.map(str.upper),
    phrases.map(lambda words: f"{words}\n====="),
    phrases.map(lambda words: f"1.2 {words}"),
    items,
    st.lists(st.lists(phrases, min_size=2, max_size=4), min_size=2, max_size=5).map(_tabbed),
    tables,
    enormous,
)


def texts_of(kind: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts made of pieces, with line feeds for line ends."""
    gaps = st.sampled_from(["\n\n", "\n\n", "\n\n", "\n"])
    whole = st.tuples(gaps, st.lists(kind, max_size=7)).map(lambda both: both[0].join(both[1]))
    return whole.map(lambda text: text + "\n")


def _ends(text: str, choice: str) -> str:
    if choice != "mixed":
        return text.replace("\n", choice)
    ends = ["\r\n", "\n", "\r"]
    counter = iter(range(len(text)))
    return re.sub("\n", lambda _: ends[next(counter) % 3], text)


def bytes_of(kind: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Return files of such texts: every line end, with and without a byte order mark."""
    ends = st.sampled_from(["\n", "\n", "\r\n", "\r", "mixed"])
    mark = st.sampled_from([b"", b"", b"\xef\xbb\xbf"])
    text = st.tuples(texts_of(kind), ends).map(lambda both: _ends(*both))
    return st.tuples(mark, text).map(lambda both: both[0] + both[1].encode())


markdown, plaintext = bytes_of(pieces), bytes_of(plain_pieces)
NAMES = ["a.md", "b.txt", "guides/c.md", "guides/d.text", "ünï çode.md", "e-e_e.markdown", "z/y/x.md"]


def contents(name: str) -> st.SearchStrategy[bytes]:
    """Return what a file of this name may hold; seldom something that cannot be read."""
    kind = plaintext if name.endswith((".txt", ".text")) else markdown
    return st.one_of(kind, kind, kind, kind, st.sampled_from([b"", b"\xff\xfe\x00", b"caf\xe9", b"a\0b"]))


@st.composite
def named_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return the name and the bytes of one document."""
    name = draw(st.sampled_from(NAMES))
    return name, draw(contents(name))


@st.composite
def folders(draw: st.DrawFn, least: int = 0) -> Files:
    """Return a corpus folder: bytes by name."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=least, max_size=4, unique=True))
    return {name: draw(contents(name)) for name in names}


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Return a parsed document."""
    name = draw(st.sampled_from(["note.md", "note.md", "note.txt"]))
    return parse(name, draw(plaintext if name.endswith(".txt") else markdown))


def share(part: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the profile's settings with this share of its examples, for laws that take longer."""
    return settings(max_examples=max(1, round(settings().max_examples * part)))


def sources(files: Mapping[str, bytes], when: str = WHEN) -> list[Source]:
    """Return files as `scan` would read them."""
    return [
        Source(name, data, hashlib.sha256(data).hexdigest(), when) for name, data in sorted(files.items())
    ]


def made(
    files: Mapping[str, bytes],
    folder: Path,
    *,
    previous: Snapshot | None = None,
    encoder: Encoder | None = None,
) -> Snapshot:
    """Return the snapshot of `files`, built in the new `folder`."""
    folder.mkdir(parents=True)
    used = encoder or StandIn()
    store = Store(folder)
    with store.writing():
        store.publish(
            new_manifest(store, plan(previous, sources(files), used.export.fingerprint), previous, used)
        )
    return store.open_current(_refuse)


def new_manifest(
    store: Store,
    planned: Plan,
    previous: Snapshot | None,
    encoder: Encoder,
    progress: Progress | None = None,
) -> Manifest:
    """Return the manifest of `planned`, its segments in `store`; those of `previous` are brought there."""
    for segment, used in zip(previous.segments, previous.manifest.segments, strict=True) if previous else ():
        if not used.file.path(store.folder / "segments").exists():
            shutil.copy(segment.path, store.folder / "segments")
    return build(planned, previous, encoder, store.add_segment, progress or Progress())


def laid(files: Mapping[str, bytes], folder: Path) -> Path:
    """Return `folder` with `files` written in it, in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def published(
    store: Store, corpus: Path, *, previous: Snapshot | None = None, encoder: Encoder | None = None
) -> Snapshot:
    """Return the snapshot of the folder `corpus`, published in `store` and opened again."""
    used = encoder or StandIn()
    planned = plan(previous, scan(corpus, largest=LARGEST), used.export.fingerprint)
    with store.writing():
        store.publish(new_manifest(store, planned, previous, used))
    return store.open_current(_refuse)


def _refuse(problem: str) -> None:
    raise AssertionError(problem)
