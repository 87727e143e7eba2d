"""`pullquote doctor`: what is wrong is found, named, and comes with what to do; nothing is changed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service import checkup_machine, keyring
from service.settings import Settings
from tests.server import Home, Server, wait_for
from tests.test_starts import mounted, remounted

pytest_plugins = ("tests.server",)

Start = Callable[..., Server]
Findings = dict[str, list[dict[str, Any]]]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(one): (one.lstat().st_mtime_ns, one.lstat().st_size)
        for one in folder.rglob("*")
        if one.suffix != ".log"
    }


def doctor(home: Home, *, code: int, **settings: object) -> Findings:
    """Return the findings by check; what is not well has a remedy, and nothing is written."""
    before = tree(home.folder)
    done = home.run("doctor", "--json", **settings)
    assert tree(home.folder) == before
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    found: Findings = {}
    for one in said["findings"]:
        assert one["state"] in ("pass", "warn", "fail") and one["seen"]
        assert (one["remedy"] is None) == (one["state"] == "pass")
        found.setdefault(one["check"], []).append(one)
    assert said["well"] == (code == 0) == all(one["state"] != "fail" for one in said["findings"])
    return found


def states(found: Findings, check: str) -> set[str]:
    return {one["state"] for one in found.get(check, [])}


def at_rest(server: Server) -> Server:
    """Return a server that writes nothing of its own accord any more: it has looked at the folder once."""
    over = 'pullquote_refreshes_total{outcome="succeeded"} 1'
    wait_for(lambda: over in server.client.get("/metrics").text, "the first refresh to be over")
    return server


WELL = (
    "settings",
    "python",
    "packages",
    "memory",
    "clock",
    "port",
    "admin key",
    "data folder",
    "index",
    "self-test",
)


@pytest.mark.slow
def test_where_all_is_well_it_says_so(library: Home) -> None:
    found = doctor(library, code=0)
    for check in (*WELL, "processor", "open files", "disk", "folder of documents", "export"):
        assert "fail" not in states(found, check) and states(found, check), check
    version = library.snapshots()[0]
    assert version in found["index"][0]["seen"] and "checksum" in found["index"][0]["seen"]


@pytest.mark.slow
def test_it_is_plain_text_where_nobody_looks(library: Home) -> None:
    done = library.run("doctor")
    assert done.returncode == 0
    assert "pass  index: " in done.stdout and "\x1b" not in done.stdout and "━" not in done.stdout


@pytest.mark.slow
def test_misuse_ends_with_2(library: Home) -> None:
    assert library.run("doctor", "--loud").returncode == 2


@pytest.mark.slow
def test_before_the_first_index_it_says_how_to_make_one(library: Home, tmp_path: Path) -> None:
    new = Home(tmp_path, library.encoder)
    new.write("a.md", "# A\n\nWords.\n")
    found = doctor(new, code=0)
    assert states(found, "index") == {"warn"} and "pullquote index" in found["index"][0]["remedy"]
    assert "first index" in found["data folder"][0]["seen"]
    assert states(doctor(new, code=1, read_only=True), "index") == {"fail"}


@pytest.mark.slow
def test_a_damaged_index_is_found_to_the_file(home: Home) -> None:
    home.write("lamp.md", "# Lamp\n\nThe harbour lamp burns whale oil.\n")
    assert home.run("index").returncode == 0
    current = home.snapshots()[0]
    used = json.loads((home.data / f"snapshots/{current}.json").read_text("utf-8"))
    [path, *_] = [one for one in (home.data / "segments").glob("*") if one.stem in json.dumps(used)]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    found = doctor(home, code=1)
    assert "fail" in states(found, "index")
    assert any(
        path.name in one["seen"] and "pullquote index" in one["remedy"]
        for one in found["index"]
        if one["remedy"]
    )


@pytest.mark.slow
def test_a_damaged_encoder_is_found(home: Home, tmp_path: Path) -> None:
    broken = tmp_path / "encoder"
    shutil.copytree(home.encoder, broken)
    for name in ("questions.weights", "model.weights"):
        if (broken / name).exists():
            os.truncate(broken / name, 1000)
    found = doctor(home, code=1, model=broken)
    assert states(found, "self-test") == states(found, "export") == {"fail"}
    (broken / "tokenizer.json").unlink()
    assert states(doctor(home, code=1, model=broken), "export") == {"fail"}


@pytest.mark.slow
def test_one_flipped_bit_of_an_encoder_is_found(home: Home, tmp_path: Path) -> None:
    copied = tmp_path / "encoder"
    shutil.copytree(home.encoder, copied)
    weights = copied / "questions.weights"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.unlink()  # it may be shared with the other one
    weights.write_bytes(content)
    [export] = doctor(home, code=1, model=copied)["export"]
    assert export["state"] == "fail" and "written: questions.weights" in export["seen"]
    (copied / "SHA256SUMS").unlink()
    [export] = doctor(home, code=0, model=copied)["export"]
    assert export["state"] == "pass" and "no checksums" in export["seen"]


@pytest.mark.slow
def test_while_a_server_runs_it_says_which(home: Home, start: Start) -> None:
    server = at_rest(start(home))
    port = int(server.address.rpartition(":")[2])
    found = doctor(home, code=0, port=port)
    assert home.snapshots()[0] in found["port"][0]["seen"] and "Pullquote" in found["port"][0]["seen"]
    assert str(server.process.pid) in found["server"][0]["seen"]
    assert server.get("/version")["index_version"] == home.snapshots()[0]


@pytest.mark.slow
def test_a_port_that_another_program_has_and_a_host_that_is_none(library: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = doctor(library, code=1, port=taken.getsockname()[1])
    assert states(found, "port") == {"fail"} and "PULLQUOTE_PORT" in found["port"][0]["remedy"]
    found = doctor(library, code=1, host="no.such.host.invalid", port=8000)
    assert states(found, "host") == {"fail"} and "PULLQUOTE_HOST" in found["host"][0]["remedy"]


@pytest.mark.slow
def test_settings_that_are_wrong_and_some_that_are_none(home: Home) -> None:
    found = doctor(home, code=1, port="eighty")
    assert [*found] == ["settings"] and "PULLQUOTE_PORT" in found["settings"][0]["seen"]
    found = doctor(home, code=0, prot=1)
    seen = [one for one in found["settings"] if one["state"] == "warn"]
    assert "PULLQUOTE_PROT" in seen[0]["seen"] and "PULLQUOTE_PORT" in seen[0]["remedy"]


@pytest.mark.slow
def test_keys_that_are_weak_or_lie_open(home: Home) -> None:
    found = doctor(home, code=0, admin_key="password")
    assert states(found, "admin key") == {"warn"}
    assert states(doctor(home, code=0, admin_key="dkf93jFk20dkXm49fkAlq2"), "admin key") == {"pass"}
    assert states(doctor(home, code=0, host="0.0.0.0"), "open to others") == {"warn"}
    file = home.folder / "pullquote.toml"
    file.write_text('admin_key = "dkf93jFk20dkXm49fkAlq2"\n', encoding="utf-8")
    file.chmod(0o644)
    found = doctor(home, code=0)
    assert states(found, "keys") == {"warn"} and "chmod 600" in found["keys"][0]["remedy"]
    file.chmod(0o600)
    assert "keys" not in doctor(home, code=0)


@pytest.mark.slow
def test_keys_that_were_made_are_there_readable_by_their_owner_and_enough(home: Home) -> None:
    assert states(doctor(home, code=0, host="0.0.0.0"), "admin key") == {"warn"}
    found = doctor(home, code=0, require_key=True)
    assert states(found, "keys") == {"warn"} and "pullquote key add" in found["keys"][0]["remedy"]
    assert home.run("key", "add", "--scope", "admin").returncode == 0
    found = doctor(home, code=0, host="0.0.0.0", require_key=True)
    assert states(found, "admin key") == states(found, "keys") == {"pass"}
    file = home.data / keyring.FILE
    file.chmod(0o640)
    found = doctor(home, code=0)
    assert states(found, "keys") == {"warn", "pass"} and "chmod 600" in found["keys"][0]["remedy"]
    file.chmod(0o600)
    keyring.KeyFile(home.data).revoke(keyring.KeyFile(home.data).read()[0].id)
    assert states(doctor(home, code=0), "admin key") == {"warn"}
    file.write_text("{", encoding="utf-8")
    found = doctor(home, code=1)
    assert states(found, "keys") == {"fail"} and "backup" in found["keys"][0]["remedy"]


@pytest.mark.slow
def test_folders_that_are_not_as_they_should_be(home: Home, library: Home) -> None:
    home.data.chmod(0o777)
    found = doctor(home, code=0)
    assert states(found, "data folder") == {"warn"} and "chmod o-w" in found["data folder"][0]["remedy"]
    home.data.chmod(0o755)
    left = home.data / "segments/.draft-killed"
    left.mkdir()
    os.utime(left, (time.time() - 7200,) * 2)
    (home.data / "unfinished").mkdir(exist_ok=True)
    (home.data / "unfinished/some").write_bytes(b"x")
    found = doctor(home, code=0)
    assert any(".draft-killed" in one["seen"] for one in found["left over"])
    assert states(found, "interrupted build") == {"warn"}
    found = doctor(home, code=1, corpus=home.folder / "none")
    assert states(found, "folder of documents") == {"fail"}
    assert states(doctor(library, code=1, data="/dev/null/var"), "data folder") == {"fail"}


@pytest.mark.slow
def test_what_killed_servers_have_left_is_told_from_what_is_in_use(
    home: Home, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    at_rest(start(home, workers=2))
    [used] = tmp_path.glob("pullquote-*/tally")
    left = tmp_path / "pullquote-left"
    left.mkdir()
    (left / "tally").touch()
    for one in (used, left / "tally"):
        os.utime(one, (time.time() - 7200,) * 2)
    [found] = doctor(home, code=0)["left over"]
    assert found["state"] == "warn" and found["remedy"] == f"remove them: `rm -r {left}`"


@pytest.mark.slow
def test_a_data_folder_that_takes_nothing(home: Home) -> None:
    with mounted(home.data, "-o", "bind", str(home.data)), remounted(home.data):
        assert states(doctor(home, code=1), "data folder") == {"fail"}
        assert states(doctor(home, code=0, read_only=True), "data folder") == {"pass"}


@pytest.mark.slow
def test_a_disk_that_is_nearly_full(library: Home, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with mounted(small, "-t", "tmpfs", "-o", "size=3m", "tmpfs"):
        found = doctor(library, code=1, data=small / "var")
    assert states(found, "disk") == {"fail"} and "3 MB" in found["disk"][0]["seen"]


@pytest.mark.slow
def test_a_gate_that_cannot_be_read_and_more_workers_than_cores(library: Home, tmp_path: Path) -> None:
    gate = tmp_path / "gate.jsonl"
    assert states(doctor(library, code=1, gate=gate), "gate") == {"fail"}
    gate.write_text(
        '{"question": "Who developed PyTorch?", "answer": "Facebook AI Research"}\n', encoding="utf-8"
    )
    assert "gate" in doctor(
        library, code=0 if "fail" not in states(doctor_of(library, gate), "gate") else 1, gate=gate
    )
    assert states(doctor(library, code=0, workers=64), "processor") == {"warn"}


def doctor_of(home: Home, gate: Path) -> Findings:
    found: Findings = {}
    for one in json.loads(home.run("doctor", "--json", gate=gate).stdout)["findings"]:
        found.setdefault(one["check"], []).append(one)
    return found


# ---------------------------------------------------------------- what no test can bring about


def of(check: Callable[[Settings], Any], **settings: Any) -> list[tuple[str, str]]:
    return [(one.state, one.seen) for one in check(Settings(**settings))]


def test_a_clock_that_is_behind_files(tmp_path: Path) -> None:
    file = tmp_path / "from-the-future.md"
    file.touch()
    assert of(checkup_machine.clock, corpus=tmp_path, data=tmp_path)[0][0] == "pass"
    os.utime(file, (time.time() + 9000,) * 2)
    [(state, seen)] = of(checkup_machine.clock, corpus=tmp_path, data=tmp_path)
    assert state == "warn" and "from-the-future.md" in seen and "150 minutes" in seen


def test_a_clock_that_was_never_set_or_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 86400.0)
    assert of(checkup_machine.clock, corpus=tmp_path, data=tmp_path) == [
        ("fail", "it is 1970-01-02, by the clock")
    ]
    monkeypatch.undo()
    begun, real = time.monotonic(), time.time
    monkeypatch.setattr(time, "time", lambda: real() + 10 * (time.monotonic() - begun))
    assert of(checkup_machine.clock, corpus=tmp_path, data=tmp_path)[0][0] == "warn"


def test_too_few_open_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    found = [one for one in checkup_machine.limits(Settings(corpus=tmp_path)) if one.check == "open files"]
    assert found[0].state == "warn" and "256" in found[0].seen and "ulimit -n" in (found[0].remedy or "")


def test_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup_machine, "_free_memory", lambda: 300 << 20)
    assert of(checkup_machine.memory, workers=1)[0][0] == "pass"
    assert of(checkup_machine.memory, workers=2)[0][0] == "warn"


MOUNTS = r"""22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /srv/my\040share rw,relatime shared:1 - nfs4 nas:/share rw
31 30 8:2 / /srv/my\040share/local rw - ext4 /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv", "ext4"),
        ("/srv/my share/var", "nfs4"),
        ("/srv/my share/local/var", "ext4"),
        ("/srv/my shared", "ext4"),
    ],
)
def test_a_network_folder_is_told_from_a_local_one(
    folder: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: MOUNTS)
    assert checkup_machine._kind(Path(folder)) == kind
    assert bool(checkup_machine.NETWORK.search(kind)) == (kind == "nfs4")


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    from service import checkup

    def own_limits(_: Settings) -> Any:
        raise ZeroDivisionError("so it goes")
        yield

    [found] = checkup._made(own_limits, Settings())
    assert (found.check, found.state) == ("own limits", "fail") and "so it goes" in found.seen
