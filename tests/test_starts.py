"""A server that cannot start says why in one line that names setting and remedy, and ends with 1 or 2."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from index.graphs import optimize
from index.writable import FULL
from service import tracing
from service.exits import said
from tests.server import Home, Server

pytest_plugins = ("tests.server",)
pytestmark = pytest.mark.slow

Start = Callable[..., Server]
BOTH = pytest.mark.parametrize("workers", [1, 2])


def refused(home: Home, *named: str, code: int, **settings: object) -> str:
    """Return what a server says that cannot start: one line, in which all of `named` is."""
    done = home.run("serve", **settings)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    last = done.stderr.rstrip("\n").rpartition("\n")[2]
    assert [one for one in named if one not in last] == [], done.stderr
    return done.stderr


@BOTH
def test_a_taken_port(library: Home, workers: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = refused(
            library, f"127.0.0.1:{port}", "in use", "PULLQUOTE_PORT", code=1, port=port, workers=workers
        )
    assert text.count("\n") == 1 and "Errno" not in text


@BOTH
@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "é..", "a" * 300, "300.1.1.1"])
def test_a_host_that_is_none(library: Home, host: str, workers: int) -> None:
    text = refused(library, "PULLQUOTE_HOST", "127.0.0.1", code=1, host=host, workers=workers)
    assert text.count("\n") == 1


def test_an_address_is_tried_before_an_index_is_built(library: Home, tmp_path: Path) -> None:
    refused(Home(tmp_path, library.encoder), "PULLQUOTE_HOST", code=1, host="192.0.2.1")
    assert not (tmp_path / "data").exists()


def test_no_folder_of_documents(library: Home, tmp_path: Path) -> None:
    refused(Home(tmp_path, library.encoder), "corpus", "PULLQUOTE_CORPUS", "--corpus", code=2)


@pytest.mark.parametrize("data", ["/proc/no-folder", "/dev/null/var"])
def test_data_that_cannot_be_written(library: Home, data: str) -> None:
    text = refused(library, data, "cannot be written", "PULLQUOTE_DATA", code=1, data=data)
    assert text.count("\n") == 1


@BOTH
def test_data_that_another_server_has(home: Home, start: Start, workers: int) -> None:
    start(home)
    refused(home, str(home.data), "PULLQUOTE_READ_ONLY", code=2, workers=workers)


@BOTH
def test_data_that_became_read_only(home: Home, workers: int) -> None:
    with mounted(home.data, "-o", "bind", str(home.data)), remounted(home.data):
        refused(home, "Read-only file system", "PULLQUOTE_DATA", code=1, workers=workers)


def test_a_full_disk(library: Home, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with mounted(small, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        refused(library, "No space left", "PULLQUOTE_DATA", code=1, data=small / "var")


def test_a_disk_that_is_full_before_the_encoder_is_on_it(exported_encoder: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with (
        mounted(small, "-t", "tmpfs", "-o", "size=3m", "tmpfs"),
        pytest.raises(OSError, match="No space") as told,
    ):
        optimize(exported_encoder / "model.onnx", small / "model.onnx")
    assert told.value.errno in FULL and "PULLQUOTE_DATA" in said(told.value)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("port", "eighty", "a whole number from 0 to 65535"),
        ("port", "70000", "a whole number from 0 to 65535"),
        ("port", "tcp://10.0.0.1:8000", "enableServiceLinks"),
        ("workers", "65", "a whole number from 1 to 64"),
        ("workers", "0", "a whole number from 1 to 64"),
        ("watch", "maybe", "true or false"),
        ("log_format", "xml", "console or json"),
        ("runtime", "torch", "auto, onnxruntime or openvino"),
        ("min_confidence", "2", "a number from 0 to 1"),
        ("max_top_k", "-1", "a whole number from 1 to 1000"),
        ("journal_days", "soon", "a whole number from 1 to 3650"),
    ],
)
def test_a_setting_of_the_wrong_kind(library: Home, name: str, value: str, wanted: str) -> None:
    variable = f"PULLQUOTE_{name.upper()}"
    text = refused(
        library,
        f"{variable} is '{value}'",
        f"set {variable} (or `{name}` in ",
        wanted,
        code=2,
        **{name: value},
    )
    assert text.count("\n") == 1


def test_a_key_that_is_too_short_is_not_shown(library: Home) -> None:
    text = refused(library, "PULLQUOTE_ADMIN_KEY", "at least 8 characters", code=2, admin_key="s3cr3t")
    assert "s3cr3t" not in text


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("prot = 8000\n", ("'prot'", "'port' is meant")),
        ("zebra = 1\n", ("'zebra'", "docs/settings.md")),
        ("workers = [1]\n", ("PULLQUOTE_WORKERS is [1]", "`workers` in pullquote.toml")),
        ("port = = 3\n", ("pullquote.toml cannot be read", "line 1", "TOML")),
    ],
)
def test_a_wrong_settings_file(home: Home, content: str, named: tuple[str, ...]) -> None:
    (home.folder / "pullquote.toml").write_text(content, encoding="utf-8")
    assert refused(home, *named, code=2).count("\n") == 1


def test_a_model_that_is_missing(library: Home, tmp_path: Path) -> None:
    new = library.copy(tmp_path / "home")
    shutil.rmtree(new.data)
    refused(new, "/no/model", "PULLQUOTE_MODEL", code=2, model="/no/model")


@BOTH
@pytest.mark.parametrize("file", ["questions.onnx", "questions.weights"])
def test_a_model_that_is_damaged(home: Home, file: str, workers: int, tmp_path: Path) -> None:
    broken = tmp_path / "encoder"
    shutil.copytree(home.encoder, broken)
    if not (broken / file).exists():
        file = file.replace("questions", "model")
    os.truncate(broken / file, (broken / file).stat().st_size // 2)
    refused(
        home,
        file.partition(".")[0],
        f"remove {broken}",
        "export-model",
        code=2,
        model=broken,
        workers=workers,
    )


@BOTH
def test_a_gate_that_is_missing(library: Home, workers: int) -> None:
    text = refused(
        library, "/no/gate.jsonl", "PULLQUOTE_GATE", code=1, gate="/no/gate.jsonl", workers=workers
    )
    assert text.count("\n") == 1


def test_only_reading_where_there_is_nothing_to_read(library: Home, tmp_path: Path) -> None:
    refused(library, "PULLQUOTE_READ_ONLY", code=1, data=tmp_path / "none", read_only=True)


@pytest.mark.skipif(tracing.is_installed(), reason="the `otel` extra is installed")
@BOTH
def test_traces_without_what_makes_them(library: Home, workers: int) -> None:
    refused(library, "PULLQUOTE_TRACES", "pullquote[otel]", code=2, traces=True, workers=workers)


# ---------------------------------------------------------------- file systems, where they may be mounted


class mounted:  # noqa: N801
    """Has something mounted in the block; skips the test where that is not allowed."""

    def __init__(self, where: Path, *how: str) -> None:
        self.where, self.how = where, how

    def __enter__(self) -> None:
        done = subprocess.run(["mount", *self.how, str(self.where)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.where)], check=True)


class remounted:  # noqa: N801
    """Has what is mounted take nothing in the block."""

    def __init__(self, where: Path) -> None:
        self.where = where

    def __enter__(self) -> None:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(self.where)], check=True)

    def __exit__(self, *_: object) -> None:
        """Leave it: it is unmounted with the block around."""
