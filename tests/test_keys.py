"""Keys: made once, kept as hashes, seen by who runs already; what cannot be read opens nothing."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import keyring, keys
from service.keyring import FILE, KeyFile, Keys, KeysUnreadable, Ring
from service.keys import BadKey, Key
from tests.server import Home

pytest_plugins = ("tests.server",)

AT = datetime(2027, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ring:
    """Return a ring that looks every time."""
    monkeypatch.setattr(keyring, "LOOK_SECONDS", 0)
    return Ring(tmp_path)


def add(folder: Path, scope: keys.Scope = "read", **given: object) -> str:
    key, text = keys.make(scope, **given)  # type: ignore[arg-type]
    KeyFile(folder).add(key)
    return text


# ---------------------------------------------------------------- the command


def test_a_key_is_shown_once_and_kept_as_a_hash(home: Home) -> None:
    made = home.run("key", "add", "--scope", "ask", "--origin", "https://Shop.Example:443/", "--name", "shop")
    text = made.stdout.strip()
    assert made.returncode == 0 and keys.FORM.fullmatch(text), made.stderr
    kept = home.data / FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    secret = text.rpartition("_")[2]
    assert secret not in kept.read_text() and secret not in made.stderr
    listed = home.run("key", "list")
    assert secret not in listed.stdout + listed.stderr
    (one,) = json.loads(home.run("key", "list", "--json").stdout)["keys"]
    assert one["id"] == text.split("_")[2] and one["state"] == "valid"
    assert (one["scope"], one["origins"], one["name"]) == ("ask", ["https://shop.example"], "shop")
    assert home.run("key", "revoke", one["id"]).returncode == 0
    again = json.loads(home.run("key", "revoke", one["id"], "--json").stdout)
    (after,) = json.loads(home.run("key", "list", "--json").stdout)["keys"]
    assert after["state"] == "revoked" and after == again, "revoking twice is revoking once"


def test_what_cannot_be_made_says_why(home: Home) -> None:
    wrong = [
        (["--scope", "all"], "ask"),
        (["--scope", "read", "--origin", "https://a.example"], "scope ask"),
        (["--scope", "ask", "--origin", "a.example"], "https://www.example.com"),
        (["--scope", "ask", "--origin", "https://a.example/path"], "without a path"),
        (["--scope", "ask", "--origin", "*"], "no web origin"),
        (["--scope", "ask", "--expires", "soon"], "90d"),
        (["--scope", "ask", "--expires", "2020-01-01"], "expired already"),
        (["--scope", "ask", "--name", "two\nlines"], "one line"),
    ]
    for arguments, said in wrong:
        done = home.run("key", "add", *arguments)
        assert done.returncode == 2 and said in done.stderr, (arguments, done.stderr)
        assert done.stdout == ""
    assert home.run("key", "list").returncode == 1
    assert home.run("key", "revoke", "0" * 12).returncode == 1
    assert not (home.data / FILE).exists()


def test_as_json_the_key_comes_with_what_is_known_of_it(home: Home) -> None:
    made = json.loads(home.run("key", "add", "--scope", "admin", "--expires", "90d", "--json").stdout)
    assert keys.FORM.fullmatch(made["key"]) and made["scope"] == "admin"
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(tz=UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)


# ---------------------------------------------------------------- their form


def test_two_keys_are_never_alike_and_a_secret_has_192_bits() -> None:
    made = {keys.make("ask")[1] for _ in range(100)}
    assert len(made) == 100
    assert all(len(keys.FORM.fullmatch(one)["secret"]) * 4 == 192 for one in made)  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("90d", "2027-04-01T12:00:00Z"),
        ("12h", "2027-01-02T00:00:00Z"),
        ("2w", "2027-01-15T12:00:00Z"),
        ("2027-01-31", "2027-02-01T00:00:00Z"),
        ("2027-01-31T10:00:00+02:00", "2027-01-31T08:00:00Z"),
    ],
)
def test_the_end_of_a_key_is_written_as_people_write_it(text: str, until: str) -> None:
    assert keys.expiry_of(text, AT) == until


@pytest.mark.parametrize("text", ["", "d", "-1d", "1y", "99999999d", "tomorrow", "2027-13-01", "0x5d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadKey):
        keys.expiry_of(text, AT)


def test_a_key_ends_when_it_said() -> None:
    key = Key("1", "ask", "", keys.written(AT), expires_at="2027-01-31T00:00:00Z")
    assert key.state("2027-01-30T23:59:59Z") == "valid"
    assert key.state("2027-01-31T00:00:00Z") == "expired"


@pytest.mark.parametrize(
    "text", ["null", "*", "https://", "ftp://a.example", "https://a.example:99999", "https://u@a"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(BadKey):
        keys.origin_of(text)


def test_origins_are_written_as_browsers_send_them() -> None:
    assert keys.origin_of("HTTP://Localhost:80") == "http://localhost"
    assert keys.origin_of("https://[::1]:8443/") == "https://[::1]:8443"


def test_a_secret_is_hidden_and_its_id_is_not() -> None:
    text = keys.make("ask")[1]
    shown = keys.hidden(f"GET /x?key={text}&y=1")
    assert text.rpartition("_")[2] not in shown and text.split("_")[2] in shown and shown.endswith("&y=1")
    assert text.rpartition("_")[2].upper() not in keys.hidden(text.upper())


# ---------------------------------------------------------------- seen while running


def test_keys_are_seen_as_they_come_and_go(ring: Ring, tmp_path: Path) -> None:
    assert ring.look() == Keys()
    first = add(tmp_path)
    assert ring.look().find(first) is not None
    second = add(tmp_path, "admin")
    found = ring.look().find(second)
    assert found is not None and found.scope == "admin" and ring.look().administers
    KeyFile(tmp_path).revoke(found.id)
    now = ring.look().find(second)
    assert now is not None and now.state(keys.now()) == "revoked"
    assert ring.look().administers, "a key that ends does not open what it closed"


def test_what_is_nearly_a_key_is_none(ring: Ring, tmp_path: Path) -> None:
    text = add(tmp_path)
    last = "0" if text[-1] != "0" else "1"
    wrong = [
        text[:-1] + last,
        text.replace("read", "admin"),
        text[:-1],
        text + "0",
        text.upper(),
        "",
        "_",
        "__",
        "pq_",
    ]
    assert all(ring.look().find(one) is None for one in wrong)


def test_it_is_looked_at_the_file_twice_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[0])
    ring = Ring(tmp_path)
    assert ring.look() == Keys()
    text = add(tmp_path)
    times[0] = keyring.LOOK_SECONDS - 0.01
    assert ring.look().find(text) is None
    times[0] = keyring.LOOK_SECONDS
    assert ring.look().find(text) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_is_for_whom_the_folder_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 54321)
    add(tmp_path)
    for name in (FILE, keyring.LOCK):
        about = (tmp_path / name).stat()
        assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (12345, 54321, 0o600)


def test_keys_made_at_once_are_all_kept(tmp_path: Path) -> None:
    threads = [threading.Thread(target=add, args=(tmp_path,)) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(KeyFile(tmp_path).read()) == 8


# ---------------------------------------------------------------- damage

DAMAGE = {
    "empty": lambda _: b"",
    "cut off": lambda kept: kept[: len(kept) // 2],
    "another scope": lambda kept: kept.replace(b'"read"', b'"admin"'),
    "another end": lambda kept: kept.replace(b'"expires_at": null', b'"expires_at": "2999-01-01T00:00:00Z"'),
    "a key fewer": lambda kept: json.dumps(json.loads(kept) | {"keys": []}).encode(),
    "no checksum": lambda kept: json.dumps({"keys": json.loads(kept)["keys"]}).encode(),
    "a list": lambda _: b"[]",
    "deep": lambda _: b"[" * 100_000,
    "no text": lambda _: b"\xff\xfe\x00",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_holds_no_keys_and_is_never_written_over(
    kind: str, ring: Ring, tmp_path: Path
) -> None:
    text = add(tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    assert ring.look().find(text) is not None
    damaged = DAMAGE[kind](whole)  # type: ignore[no-untyped-call]
    path.write_bytes(damaged)
    seen = ring.look()
    assert seen.by_id == {} and seen.problem is not None and "backup" in seen.problem
    with pytest.raises(KeysUnreadable):
        add(tmp_path)
    with pytest.raises(KeysUnreadable):
        KeyFile(tmp_path).revoke("0" * 12)
    assert path.read_bytes() == damaged
    path.write_bytes(whole)
    assert ring.look().find(text) is not None, "what is put back opens again"


def test_a_file_that_is_gone_closes_what_it_opened(ring: Ring, tmp_path: Path) -> None:
    text = add(tmp_path)
    assert ring.look().find(text) is not None
    aside = (tmp_path / FILE).rename(tmp_path / "aside")
    for _ in range(2):
        assert ring.look().problem is not None
    aside.rename(tmp_path / FILE)
    assert ring.look().find(text) is not None
