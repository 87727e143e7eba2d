"""SHA256SUMS: what was changed since is found, whatever it is, and `sha256sum -c` finds the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.checksums import SUMS_FILE, damaged, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "graph.onnx").write_bytes(b"")
    write_sums(tmp_path)
    return tmp_path


def test_what_is_as_it_was_is_not_damaged(folder: Path) -> None:
    before = (folder / SUMS_FILE).read_bytes()
    (folder / "later").write_bytes(b"not looked at")
    assert damaged(folder) == []
    (folder / "later").unlink()
    write_sums(folder)
    assert (folder / SUMS_FILE).read_bytes() == before


def test_what_is_gone_or_cut_off_is_damaged(folder: Path) -> None:
    (folder / "graph.onnx").unlink()
    (folder / "weights").write_bytes(b"")
    assert damaged(folder) == ["graph.onnx", "weights"]


def test_without_the_file_nothing_is_known(folder: Path) -> None:
    (folder / SUMS_FILE).unlink()
    assert damaged(folder) is None


@given(at=st.integers(0, 2303), bit=st.integers(0, 7))
def test_every_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, at: int, bit: int) -> None:
    made = tmp_path_factory.getbasetemp() / "flipped"
    made.mkdir(exist_ok=True)
    content = bytearray(bytes(range(256)) * 9)
    (made / "weights").write_bytes(content)
    write_sums(made)
    content[at] ^= 1 << bit
    (made / "weights").write_bytes(content)
    assert damaged(made) == ["weights"]


@given(said=st.binary(max_size=200))
def test_whatever_the_file_says_it_is_never_taken_for_whole(
    tmp_path_factory: pytest.TempPathFactory, said: bytes
) -> None:
    made = tmp_path_factory.getbasetemp() / "any"
    made.mkdir(exist_ok=True)
    (made / SUMS_FILE).write_bytes(said)
    assert damaged(made)


def test_it_is_written_as_sha256sum_reads_it(folder: Path) -> None:
    lines = (folder / SUMS_FILE).read_text("utf-8").splitlines(keepends=True)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    # As `sha256sum --check` wants them: digest, two spaces, name, end of line.
    assert lines == [f"{digests[name]}  {name}\n" for name in ("graph.onnx", "weights")]
