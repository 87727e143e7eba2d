"""What all tests share: how many examples a law is tried with, and the real model's export."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from index.openvino_graphs import installed

# `pytest --hypothesis-profile thorough` for an evening; time limits would make slow machines fail.
CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("house", max_examples=100, deadline=None, suppress_health_check=CHECKS)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=CHECKS)
settings.load_profile("house")


NEEDS_OPENVINO = pytest.mark.skipif(
    not installed(), reason="the `openvino` extra is not installed: `pip install 'pullquote[openvino]'`"
)


@pytest.fixture(scope="session")
def exported_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the real model's export, made once for all tests and all of their processes."""
    pytest.importorskip("sentence_transformers", reason="the `build` extra is not installed")
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    folder = shared / "encoder"
    with FileLock(shared / "encoder.lock"):
        if not folder.exists():
            from index.export import PACKAGED_MODEL, export_model, load_model

            aside = tmp_path_factory.mktemp("export")
            export_model(load_model(PACKAGED_MODEL), PACKAGED_MODEL, aside)
            aside.rename(folder)
    return folder
