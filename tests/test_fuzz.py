"""A server holds docs/openapi.json whatever is sent to it: schemathesis makes requests from it, good and bad.

`.ci/fuzz` runs many more of them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.server import ARTICLE, ROOT, Home, Server

pytest_plugins = ("tests.server",)

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "8")
"""Requests for each operation and phase, beside those that try each field's edges."""

LEFT_OUT = (
    # Settings limit questions and passages, and ids have to end as a file does: no schema says that.
    "positive_data_acceptance",
    # DELETE of a job cancels it; what became of it can be read on.
    "use_after_free",
)

SEED = os.environ.get("FUZZ_SEED", "1")
"""The same requests in every run of the tests; `.ci/fuzz` takes another seed each time."""

FOLDER = ROOT / "tests/fuzzing"
SECONDS = 3600


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "key"), [(1, None), (2, None), (1, "a-long-key-of-an-administrator")])
def test_no_request_gets_what_the_description_does_not_say(
    home: Home, start: Callable[..., Server], workers: int, key: str | None
) -> None:
    """Law: that, and where keys are required no route that wants one does without."""
    server = start(home, workers=workers, journal=True, **_keyed(key))
    settings = str(FOLDER / "schemathesis.toml")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", settings, "run"]
    options = ["--max-examples", EXAMPLES, "--checks", "all", "--exclude-checks", ",".join(LEFT_OUT)]
    options += ["--header", f"Authorization: Bearer {key}"] if key else []
    options += ["--seed", SEED, "--continue-on-failure", "--no-color"]
    done = subprocess.run(
        [*command, f"{server.address}/openapi.json", *options],
        cwd=home.folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzzing.hooks", "PYTHONPATH": _path()},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    made = re.search(r"^  (\d+) generated", done.stdout, re.MULTILINE)
    assert made is not None and int(made[1]) > 300, done.stdout
    print(made[0], "by", workers, "workers,", "with" if key else "without", "a key")  # noqa: T201
    assert [one for one in server.messages() if one.get("event") == "unexpected error"] == []
    # Whatever became of the documents, they can be put again and asked.
    server.client.headers.update({"Authorization": f"Bearer {key}"} if key else {})
    put = server.client.put(f"/v1/documents/{ARTICLE.name}?wait=true", content=ARTICLE.read_bytes())
    assert put.is_success and server.ask("Who developed PyTorch?")["status"] == "answered"


def _keyed(key: str | None) -> dict[str, Any]:
    return {"admin_key": key, "require_key": True} if key else {}


def _path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
