"""What tests of changed documents share: what is written, addresses, and how a change is sent."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

import httpx

from tests.contract import Checked

LAMP = "# Harbour lamp\n\nThe lamp of Brindle harbour burns {oil}.\n"
WHAT = "What does the lamp of Brindle harbour burn?"
OLD, NEW = b"# Old\n\nThe old state.\n", b"# New\n\nThe new state.\n"


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
