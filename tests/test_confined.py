"""The child that parses: what becomes of documents that harm it, and of the child itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import Block, BlockKind, Cell, Row, Span
from corpus.formats import MEDIA_TYPES, SUFFIXES, UnreadableDocument, UnsupportedFormat, parse
from corpus.formats.confined import WORN_MIB, Confined
from corpus.formats.confined_wire import packed, packed_problem, unpacked
from corpus.formats.reading import Extract

ROOT = Path(__file__).resolve().parent.parent
LINUX = sys.platform == "linux"

SERVE = """
import json, os, signal, sys, time
path, *limits = json.loads(sys.argv[1])
sys.path[:] = path
from corpus.formats import confined_child
def read(form, data):
    {broken}
whole, confined_child._read = confined_child._read, read
confined_child.serve(*limits)
"""
"""What a child runs whose readers are broken in a way of our own."""


@pytest.fixture
def make() -> Iterator[Callable[..., Confined]]:
    made: list[Confined] = []

    def one(broken: str = "return whole(form, data)", **limits: Any) -> Confined:
        made.append(Confined(boot=SERVE.format(broken=broken), **limits))
        return made[-1]

    yield one
    for confined in made:
        confined.close()


def pid_of(confined: Confined) -> int:
    assert confined._child is not None
    return confined._child.pid


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int, *, within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while lives(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not lives(pid)


def test_one_child_serves_many_documents(make: Callable[..., Confined]) -> None:
    confined = make()
    assert confined.read("csv", b"a,b\n1,2\n").text == "a,b\n1,2\n"
    first = pid_of(confined)
    for number in range(20):
        assert confined.read("csv", b"%d,b" % number).text == f"{number},b"
    with pytest.raises(UnreadableDocument, match="not UTF-8"):
        confined.read("csv", b"\xff")
    assert pid_of(confined) == first
    confined.close()
    assert gone(first)


BROKEN = {
    "while True: time.sleep(1)": "took longer than 1 s to parse; split or simplify it",
    "while True: pass": "took longer than 1 s",
    "os._exit(3)": r"the parser ended \(exit status 3\)",
    "os.kill(os.getpid(), signal.SIGSEGV)": r"the parser crashed \(signal 11\)",
    "os.kill(os.getpid(), signal.SIGKILL)": r"was ended by the system \(signal 9\), most likely",
    "os.kill(os.getpid(), signal.SIGABRT)": r"the parser crashed \(signal 6\)",
    "import ctypes; ctypes.string_at(0)": r"the parser crashed \(signal 11\)",
    "os.closerange(3, 20)": "the parser ended|stopped answering|crashed",
    "os.write(3, b'99999999999999\\n')": "an answer that makes no sense",
    "os.write(3, b'many bytes\\n')": "an answer that makes no sense",
    "os.write(3, b'x' * 1000)": "an answer that makes no sense",
    "os.write(3, b'2 9\\n{}')": "an answer that makes no sense",
    "os.write(3, b'1 9\\n{}')": "an answer that makes no sense",
    "os.write(3, b'4 9\\nnull')": "an answer that makes no sense",
    "return [] * 'x'": r"is damaged: the parser stopped \(TypeError: can't multiply",
    "return read(form, data)": "is nested too deeply",
    "import no_such_library": "cannot be read by this installation .* install it anew",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_document_that_breaks_its_parser_is_named(make: Callable[..., Confined], broken: str) -> None:
    confined = make(f"if data == b'bad':\n        {broken}\n    return whole(form, data)", wall_seconds=1)
    assert confined.read("csv", b"good").text == "good"
    started = time.monotonic()
    with pytest.raises(UnreadableDocument, match=BROKEN[broken]):
        confined.read("csv", b"bad")
    assert time.monotonic() - started < 20
    assert confined.read("csv", b"good again").text == "good again"


def test_what_a_library_prints_is_no_reply(make: Callable[..., Confined]) -> None:
    confined = make("print('hello', flush=True); os.system('echo hello'); return whole(form, data)")
    assert confined.read("csv", b"good").text == "good"


@pytest.mark.skipif(not LINUX, reason="only Linux limits the address space")
@pytest.mark.parametrize("eats", ["x = bytearray(1 << 30)", "x = []\n    while True: x.append(' ' * 99999)"])
def test_memory_is_limited(make: Callable[..., Confined], eats: str) -> None:
    confined = make(eats, memory_mib=300)
    with pytest.raises(UnreadableDocument, match="needed more than 300 MiB to parse; split or simplify it"):
        confined.read("csv", b"a")


@pytest.mark.skipif(not LINUX, reason="only Linux asks whom to end")
def test_where_memory_runs_out_the_child_goes_first(make: Callable[..., Confined]) -> None:
    confined = make()
    confined.read("csv", b"a")
    assert Path(f"/proc/{pid_of(confined)}/oom_score_adj").read_text().strip() == "1000"


@pytest.mark.skipif(not LINUX, reason="only Linux limits the address space")
def test_a_page_too_large_for_its_parser_is_named() -> None:
    confined = Confined(memory_mib=200)
    with pytest.raises(UnreadableDocument, match="needed more than 200 MiB to parse"):
        confined.read("html", b"<p>a<b>b</b>c</p>" * 300_000)
    assert confined.read("html", b"<p>words</p>").text == "words\n"
    confined.close()


def test_processor_time_is_limited(make: Callable[..., Confined]) -> None:
    confined = make("while True: pass", cpu_seconds=1)
    with pytest.raises(UnreadableDocument, match="took longer than 1 s of processor time"):
        confined.read("csv", b"a")


def test_processor_time_is_counted_for_each_document(make: Callable[..., Confined]) -> None:
    busy = "end = time.process_time() + 0.7\n    while time.process_time() < end: pass\n"
    confined = make(f"{busy}    return whole(form, data)", cpu_seconds=1)
    for _ in range(4):
        confined.read("csv", b"a")


def test_a_child_that_will_not_read_holds_nobody_up() -> None:
    confined = Confined(boot="import time; time.sleep(60)", wall_seconds=1)
    with pytest.raises(UnreadableDocument, match="took longer than 1 s"):
        confined.read("csv", b"x" * 10_000_000)
    assert confined._child is None


def test_a_child_that_cannot_start_is_named() -> None:
    confined = Confined(boot="raise SystemExit(4)")
    with pytest.raises(UnreadableDocument, match=r"the parser ended \(exit status 4\)"):
        confined.read("csv", b"x" * 10_000_000)


def test_a_child_that_was_killed_at_rest_is_replaced(make: Callable[..., Confined]) -> None:
    confined = make()
    confined.read("csv", b"a")
    pid = pid_of(confined)
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert confined.read("csv", b"b").text == "b"
    assert pid_of(confined) != pid


def test_a_worn_child_is_replaced(make: Callable[..., Confined]) -> None:
    confined = make("x = b'x' * (300 << 20); return whole(form, data)")
    confined.read("csv", b"a")
    assert confined._child is None
    assert confined.read("csv", b"b").text == "b"


def test_a_child_at_rest_goes(make: Callable[..., Confined]) -> None:
    confined = make(idle_seconds=0.2)
    confined.read("csv", b"a")
    assert gone(pid_of(confined))
    time.sleep(0.1)
    assert confined._child is None
    assert confined.read("csv", b"b").text == "b"


def test_an_interrupted_exchange_leaves_nothing_behind(
    make: Callable[..., Confined], monkeypatch: pytest.MonkeyPatch
) -> None:
    confined = make()
    confined.read("csv", b"a")
    pid = pid_of(confined)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(confined, "_asked", interrupted)
    with pytest.raises(KeyboardInterrupt):
        confined.read("csv", b"old")
    monkeypatch.undo()
    assert gone(pid)
    assert confined.read("csv", b"new").text == "new"


def test_threads_share_a_child(make: Callable[..., Confined]) -> None:
    confined = make("if data == b'13': os._exit(1)\n    return whole(form, data)", idle_seconds=0.001)

    def read(number: int) -> str:
        try:
            return confined.read("csv", b"%d" % number).text
        except UnreadableDocument as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        said = list(threads.map(read, range(40)))
    expected = [str(number) for number in range(40)]
    expected[13] = "the parser ended (exit status 1)"
    assert said == expected


PARENT = """
import os, sys, threading, time
sys.path.insert(0, {root!r})
from corpus.formats.confined import WORN_MIB, Confined
confined = Confined(boot={boot!r}, wall_seconds=30)
threading.Thread(target=confined.read, args=("csv", b"a"), daemon=True).start()
while confined._child is None: time.sleep(0.01)
time.sleep(0.5)
print(confined._child.pid, flush=True)
{end}
"""


@pytest.mark.skipif(not LINUX, reason="/proc says who lives")
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(0)", "sys.exit()", "raise OSError"])
@pytest.mark.parametrize(
    "busy", ["while True: pass", "while True: time.sleep(1)", "return whole(form, data)"]
)
def test_a_child_goes_with_its_parent(end: str, busy: str) -> None:
    code = PARENT.format(root=str(ROOT), boot=SERVE.format(broken=busy), end=end)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert gone(int(done.stdout)), done.stderr


@pytest.mark.skipif(not LINUX, reason="the kernel's clock is tried with a signal's default")
def test_the_kernel_ends_what_nobody_else_can(make: Callable[..., Confined]) -> None:
    # A parser in C that holds the interpreter's lock, and a parent that is gone: only the timer is left.
    stuck = "import ctypes; ctypes.PyDLL(None).pause(); ctypes.PyDLL(None).pause()"
    patched = SERVE.format(broken=stuck).replace(
        "confined_child.serve", "confined_child.PATIENCE_SECONDS = 0; confined_child.serve"
    )
    code = PARENT.format(root=str(ROOT), boot=patched, end="os.kill(os.getpid(), 9)").replace(
        "wall_seconds=30", "wall_seconds=2"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert gone(int(done.stdout), within=10), done.stderr


def test_a_fork_has_a_child_of_its_own(make: Callable[..., Confined]) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from corpus.formats import parse
def text(): return parse("a.csv", b"a,b").text
assert text() == "a,b"
pid = os.fork()
assert text() == "a,b"
if pid: sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)


def test_parsers_stay_out_of_the_server() -> None:
    code = """
import sys
from corpus.formats import parse
parse("a.csv", b"a,b")
parse("a.html", b"<p>words</p>")
print(*[name for name in ("selectolax", "pypdf", "docx", "lxml", "multiprocessing") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_child_loads_nothing_heavy(make: Callable[..., Confined]) -> None:
    heavy = ("numpy", "torch", "onnxruntime", "faiss", "fastapi", "pydantic")
    confined = make(f"raise ValueError(str([name for name in {heavy!r} if name in sys.modules]))")
    with pytest.raises(UnreadableDocument, match=r"ValueError: \[\]"):
        confined.read("csv", b"a")


def test_nothing_is_started_without_need() -> None:
    code = """
import subprocess, threading
def never(*_, **__): raise AssertionError("started")
subprocess.Popen = never
from corpus.formats import parse
parse("a.md", b"# words")
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_format_can_be_told() -> None:
    assert parse("upload", b"a;b\n1;2\n", form="csv").format == "csv"
    assert parse("note.txt", b"# words", form="markdown").blocks[0].kind is BlockKind.HEADING
    with pytest.raises(UnsupportedFormat, match=r"there is no format 'exe'; use one of markdown, text, html"):
        parse("note.md", b"words", form="exe")
    assert set(SUFFIXES.values()) == set(MEDIA_TYPES)
    assert len(set(MEDIA_TYPES.values())) == len(MEDIA_TYPES)


def spans(size: int) -> st.SearchStrategy[tuple[Span, ...]]:
    edges = st.lists(st.integers(0, size), max_size=6).map(sorted)
    return edges.map(lambda found: tuple(map(Span, found[::2], found[1::2])))


@st.composite
def extracts(draw: st.DrawFn) -> Extract:
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
    blocks = []
    for span in draw(spans(len(text))):
        row = Row(span, tuple(Cell(span, (span,)) for _ in range(draw(st.integers(0, 1)))))
        rows = (row,) if draw(st.booleans()) else ()
        header = None if rows or draw(st.booleans()) else row
        kind, level = draw(st.sampled_from(BlockKind)), draw(st.integers(0, 6))
        blocks.append(Block(kind, span, span, level, (span,), header, rows))
    pages = draw(st.lists(st.integers(0, len(text)), max_size=4).map(sorted))
    return Extract(text, draw(st.text(st.characters(exclude_categories=["Cs"]))), tuple(blocks), tuple(pages))


@given(extracts())
def test_the_wire_changes_nothing(extract: Extract) -> None:
    """What is packed is unpacked the same."""
    assert unpacked(packed(extract)) == extract
    assert unpacked(packed_problem(extract.text)) == extract.text


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=8),
        st.dictionaries(st.sampled_from(["text", "title", "blocks", "pages", "problem", "x"]), inner),
    ),
)


@given(st.one_of(st.binary(), st.builds(lambda made: json.dumps(made).encode(), JSON)))
def test_any_reply(data: bytes) -> None:
    """Any bytes for a reply give an Extract, a reason, or ValueError."""
    with suppress(ValueError):
        assert isinstance(unpacked(data), Extract | str)


@given(extracts(), st.data())
def test_a_reply_with_wrong_places(extract: Extract, data: st.DataObject) -> None:
    """A reply in which one number is changed gives an Extract with every place in its text, or ValueError."""
    whole = packed(extract)
    digits = [at for at, byte in enumerate(whole) if 48 <= byte <= 57]
    if not digits:
        return
    at = data.draw(st.sampled_from(digits))
    changed = (
        whole[:at] + data.draw(st.sampled_from([b"0", b"7", b"99", b"-1", b"1e9", b"null"])) + whole[at + 1 :]
    )
    try:
        found = unpacked(changed)
    except ValueError:
        return
    assert isinstance(found, Extract)
    assert all(block.span.end <= len(found.text) for block in found.blocks)


def test_threads_do_not_wait_for_ever(make: Callable[..., Confined]) -> None:
    confined = make("while True: time.sleep(1)", wall_seconds=1)
    reasons: list[str] = []

    def read() -> None:
        try:
            confined.read("csv", b"a")
        except UnreadableDocument as error:
            reasons.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert [reason[:19] for reason in reasons] == ["took longer than 1 "] * 3


def test_a_child_of_a_large_process_is_not_taken_for_worn(make: Callable[..., Confined]) -> None:
    held = b"\1" * (2 * WORN_MIB * 1024 * 1024)
    confined = make()
    confined.read("csv", b"a,b\n")
    first = pid_of(confined)
    confined.read("csv", b"a,b\n")
    assert pid_of(confined) == first and held
