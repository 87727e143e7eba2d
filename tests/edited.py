"""What tests of changed documents share: a home of their own, addresses, and how a change is sent.

A plugin beside tests/contract.py, for its fixtures; test files import it too, before pytest does, so its
assertions stay as they are (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.contract import Checked, opened
from tests.server import Home

pytest_plugins = ("tests.server", "tests.contract")

LAMP = "# Harbour lamp\n\nThe lamp of Brindle harbour burns {oil}.\n"
WHAT = "What does the lamp of Brindle harbour burn?"
OLD, NEW = b"# Old\n\nThe old state.\n", b"# New\n\nThe new state.\n"


@pytest.fixture(scope="module")
def room(library: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home that these tests change, each under names of its own."""
    return library.copy(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def request_(room: Home) -> Iterator[Checked]:
    """Return the application over that home."""
    with opened(room) as checked:
        yield checked


def at(document_id: str, more: str = "") -> str:
    """Return the address of a document."""
    return f"/v1/documents/{quote(document_id, safe='')}{more}"


def put(
    request: Checked, document_id: str, content: str | bytes, *, more: str = "", **given: Any
) -> httpx.Response:
    """Return the reply to a document that was sent."""
    data = content.encode() if isinstance(content, str) else content
    return request("PUT", at(document_id, more), content=data, **given)


def tag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


def is_answered(request: Checked, question: str, words: str) -> bool:
    """Return whether the best passage for a question has these words."""
    return words in request.ask(question, min_confidence=0)["passages"][0]["text"]
