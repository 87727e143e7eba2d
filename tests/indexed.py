"""What tests of answers share: indexes of some files with the real models, and the quotes of a reply.

A plugin (`pytest_plugins = ("tests.indexed",)`), because its fixtures are for some test files only; they
import it too, before pytest does, so its assertions stay as they are (PYTEST_DONT_REWRITE).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from index.cross_encoder import CrossEncoder
from index.encoder import OnnxEncoder
from service.answer import Answer, Reply
from service.finding import Index
from tests.laws.corpora import made

Indexed = Callable[[dict[str, bytes]], Index]


@pytest.fixture(scope="module")
def encoder(exported_encoder: Path) -> OnnxEncoder:
    return OnnxEncoder(exported_encoder)


@pytest.fixture(scope="module")
def indexed(encoder: OnnxEncoder, tmp_path_factory: pytest.TempPathFactory) -> Indexed:
    """Return what makes an Index of some files, each set of files once."""
    pairs = CrossEncoder()
    held: dict[tuple[tuple[str, bytes], ...], Index] = {}

    def index(files: dict[str, bytes]) -> Index:
        key = tuple(sorted(files.items()))
        if key not in held:
            snapshot = made(files, tmp_path_factory.mktemp("index") / "one", encoder=encoder)
            held[key] = Index(snapshot, encoder, pairs)
        return held[key]

    return index


def words_of(index: Index, reply: Reply) -> list[str]:
    """Return the quotes of the answer, or of the best one that was refused."""
    snapshot = index.snapshot
    answer = reply.verdict if isinstance(reply.verdict, Answer) else reply.alternatives[0]
    return [
        place.span.of(snapshot.text(snapshot.document_of(place.passage)))
        for place in answer.places
        if place.role == "answer"
    ]
