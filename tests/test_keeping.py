"""Ways back and to other machines: `snapshots`, `rollback`, `snapshot export` and `import`."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.bundle import read_bundle, write_bundle
from index.encoder import EncoderError
from index.manifest import SnapshotError
from index.store import NoIndex, Store
from tests.laws.corpora import laid, published, share
from tests.server import Home, unwired

pytest_plugins = ("tests.server",)

OLD = "# Lamp\n\nThe harbour lamp burns whale oil.\n"
NEW = "# Lamp\n\nThe harbour lamp burns petroleum.\n"
WHAT = "What does the harbour lamp burn?"


def listed(home: Home) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(home.run("snapshots", "--json").stdout)["snapshots"]
    return found


def test_going_back_and_forth(home: Home) -> None:
    home.write("lamp.md", OLD)
    assert home.run("index").returncode == 0
    home.write("lamp.md", NEW)
    assert home.run("index").returncode == 0
    new, old, _ = (str(one["version"]) for one in listed(home))
    assert "petroleum" in home.run("ask", WHAT).stdout
    assert "whale oil" in home.run("ask", WHAT, "--as-of", old).stdout

    assert home.run("rollback", old).returncode == 0
    assert "whale oil" in home.run("ask", WHAT).stdout
    first = listed(home)[0]
    assert (first["version"], first["in_use"], first["pinned"]) == (old, True, True)
    assert home.run("watch").returncode == 2, "it would undo at once what was asked for"

    assert home.run("index").returncode == 0
    assert "petroleum" in home.run("ask", WHAT).stdout
    assert (listed(home)[0]["version"], listed(home)[0]["pinned"]) == (new, False)


@pytest.mark.parametrize("command", [("rollback", "0123456789abcdef"), ("ask", WHAT, "--as-of", "nope")])
def test_a_version_that_is_not_kept_is_named_beside_those_kept(home: Home, command: tuple[str, ...]) -> None:
    done = home.run(*command)
    assert done.returncode == 1
    assert command[-1] in done.stderr or command[1] in done.stderr
    assert home.snapshots()[0] in done.stderr


def test_carried_to_another_machine(home: Home, tmp_path: Path) -> None:
    home.write("lamp.md", OLD)
    assert home.run("index").returncode == 0
    file = tmp_path / "lamp.snapshot"
    assert home.run("snapshot", "export", file, "--without-encoder").returncode == 0
    assert home.run("snapshot", "export", file).returncode == 2, "a file that is there is never replaced"
    there = tmp_path / "there"
    done = home.run("snapshot", "import", file, data=there)
    # The settings name an export of the same model, which serves it there.
    assert done.returncode == 0, done.stderr
    assert "whale oil" in home.run("ask", WHAT, data=there).stdout


@pytest.mark.slow
def test_the_encoder_comes_along(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.encoder, home.data / "encoders" / "own")
    file, there = tmp_path / "file", tmp_path / "there"
    assert home.run("snapshot", "export", file).returncode == 0
    assert home.run("snapshot", "import", file, data=there, model="nowhere").returncode == 0
    assert "Facebook AI Research" in home.run("ask", "Who developed PyTorch?", data=there, model="no").stdout


@pytest.mark.slow
def test_a_damaged_encoder_is_not_taken(home: Home, tmp_path: Path) -> None:
    own = home.data / "encoders" / "own"
    shutil.copytree(home.encoder, own)
    weights = own / "model.weights"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    file, there = tmp_path / "file", tmp_path / "there"
    assert home.run("snapshot", "export", file).returncode == 0
    done = home.run("snapshot", "import", file, data=there, model="nowhere")
    assert done.returncode != 0 and "damaged (model.weights)" in done.stderr
    assert not any((there / "encoders").glob("*"))


@given(st.integers(0, 10**9), st.integers(0, 7), st.sampled_from(["flip", "cut"]))
@share(0.3)
def test_a_damaged_file_is_refused_and_changes_nothing(place: int, bit: int, kind: str) -> None:
    """Whatever bit is flipped, the snapshot taken in is either the one that was exported or refused."""
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        here, there = Store(folder / "here"), Store(folder / "there")
        held = published(here, laid({"a.md": b"# A\n\nThe first state."}, folder / "corpus"))
        before = published(there, laid({"b.md": b"# B\n\nAnother."}, folder / "other"))
        file = folder / "file"
        write_bundle(here, None, file, encoder=False)
        data = bytearray(file.read_bytes())
        at = place % len(data)
        if kind == "flip":
            data[at] ^= 1 << bit
        else:
            del data[at:]
        file.write_bytes(data)
        with (
            there.writing(),
            suppress(SnapshotError, EncoderError),
        ):  # nobody has the encoder, so even a whole file ends so
            read_bundle(there, file)
        assert there.kept() == [before.version]
        assert there.open_current(pytest.fail).manifest == before.manifest
        assert held.version != before.version


@pytest.mark.parametrize("name", ["../out.md", "/out.md", "segments/../../out", "other/x", "segments/", "x"])
def test_nothing_is_unpacked_under_a_name_that_the_file_chose(tmp_path: Path, name: str) -> None:
    file, store = tmp_path / "file", Store(tmp_path / "data")
    with tarfile.open(file, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 3
        archive.addfile(member, io.BytesIO(b"out"))
    with store.writing():
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SnapshotError, match="no part of a snapshot"):
            read_bundle(store, file)
        assert sorted(tmp_path.rglob("*")) == before


def test_a_link_in_the_file_is_refused(tmp_path: Path) -> None:
    file, store = tmp_path / "file", Store(tmp_path / "data")
    with tarfile.open(file, "w") as archive:
        member = tarfile.TarInfo("snapshot.json")
        member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path / "data")
        archive.addfile(member)
    with store.writing(), pytest.raises(SnapshotError, match="no part of a snapshot"):
        read_bundle(store, file)


def test_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(NoIndex, match="at all"):
        write_bundle(Store(tmp_path / "data"), None, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_an_index_among_the_documents_is_none_of_them(home: Home) -> None:
    inside = home.corpus / "var"
    home.write("lamp.md", OLD)
    done = home.run("index", "--json", data=inside)
    assert done.returncode == 0, done.stderr
    first = json.loads(home.run("snapshots", "--json", data=inside).stdout)["snapshots"]
    assert json.loads(home.run("index", "--json", data=inside).stdout)["skipped"] == 0
    assert json.loads(home.run("snapshots", "--json", data=inside).stdout)["snapshots"] == first
    with unwired(home, data=inside) as request:
        assert request("PUT", "/v1/documents/var/lamp.md", content=b"# No").status_code == 409
    done = home.run("index", corpus=inside)
    assert done.returncode == 2 and "folder of an index" in done.stderr
