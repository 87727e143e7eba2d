"""The encoder on either runtime: the same answers, the same bits in any company, and a clear choice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from corpus.formats import parse
from corpus.passages import passages
from index import openvino_graphs
from index.encoder import (
    QUESTION_GRAPH_FILE,
    EncoderError,
    Encoding,
    Export,
    OnnxEncoder,
    read_export,
)
from index.models import building_encoder
from index.store import Store
from service.known import read_questions
from tests.conftest import NEEDS_OPENVINO

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
ARTICLE = ROOT / "corpus" / "texts" / "pytorch-vs-tensorflow.md"
QUESTIONS = ROOT / "benchmarks" / "reader" / "questions"

BATCHES = 60
LARGEST_BATCH = 12


@pytest.fixture(name="texts", scope="module")
def _texts(exported_encoder: Path) -> list[str]:
    """Return real texts of all lengths: questions, and the passages of the article, whole and in part."""
    encoder = OnnxEncoder(exported_encoder, runtime="onnxruntime")
    document = parse(ARTICLE.name, ARTICLE.read_bytes())
    found = [one.embedded for one in passages(document, encoder.count_tokens, window=encoder.export.window)]
    parts = [" ".join(one.split()[: 5 + 7 * number % 90]) for number, one in enumerate(found)]
    asked = [one.question for path in sorted(QUESTIONS.iterdir())[:6] for one in read_questions(path)]
    return [*found, *parts, *random.Random(3).sample(asked, 200)]


def _equal(one: Encoding, two: Encoding) -> bool:
    return bool((one.vector == two.vector).all() and (one.tokens == two.tokens).all())


@NEEDS_OPENVINO
def test_both_runtimes_give_one_index(exported_encoder: Path, texts: Sequence[str]) -> None:
    one = OnnxEncoder(exported_encoder, runtime="onnxruntime")
    two = OnnxEncoder(exported_encoder, runtime="openvino")
    assert one.export.fingerprint == two.export.fingerprint
    pairs = list(zip(one.encode_documents(texts), two.encode_documents(texts), strict=True))
    assert min(float(first.vector @ second.vector) for first, second in pairs) >= 0.9999
    steps = [np.abs(first.tokens.astype(int) - second.tokens).max(initial=0) for first, second in pairs]
    assert max(steps) <= 2


@NEEDS_OPENVINO
@pytest.mark.parametrize("bf16", [True, False])
def test_company_and_padding_are_nothing_to_a_text(
    exported_encoder: Path, texts: Sequence[str], monkeypatch: pytest.MonkeyPatch, bf16: bool
) -> None:
    """To the last bit, in whatever company, as a question and as a document of its own."""
    if bf16 and not openvino_graphs.computes_bf16():
        pytest.skip("this processor has no instructions for bfloat16")
    monkeypatch.setattr(openvino_graphs, "computes_bf16", lambda: bf16)
    # Everything may come together, so that there is as much padding as there can be.
    monkeypatch.setattr(openvino_graphs, "LEAST_LENGTH", 0.0)
    encoder = OnnxEncoder(exported_encoder, threads=1, runtime="openvino")
    assert encoder.runtime == ("openvino bf16" if bf16 else "openvino f32")
    alone = [encoder.encode_questions([text])[0] for text in texts]
    draw = random.Random(11)
    for _ in range(BATCHES):
        numbers = [draw.randrange(len(texts)) for _ in range(draw.randint(2, LARGEST_BATCH))]
        together = encoder.encode_questions([texts[number] for number in numbers])
        for number, encoding in zip(numbers, together, strict=True):
            assert _equal(encoding, alone[number]), (texts[number], [len(texts[one]) for one in numbers])


@NEEDS_OPENVINO
def test_threads_share_one_session(exported_encoder: Path, texts: Sequence[str]) -> None:
    encoder = OnnxEncoder(exported_encoder, threads=1, runtime="openvino")
    alone = [encoder.encode_question(text) for text in texts[:40]]

    def again(number: int) -> bool:
        documents = encoder.encode_documents([texts[number]])  # gives memory back while others compute
        return len(documents) == 1 and _equal(encoder.encode_question(texts[number]), alone[number])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(again, [*range(40)] * 3))


def test_what_encodes_documents_is_closed_and_opened_again(
    exported_encoder: Path, texts: Sequence[str]
) -> None:
    """Questions never wait for it, and who is encoding ends undisturbed."""
    encoder = OnnxEncoder(exported_encoder, threads=1)
    before = encoder.encode_documents(texts[:20])

    def work(number: int) -> bool:
        if number % 3 == 0:
            encoder.close_documents()
        documents = encoder.encode_documents(texts[:4])
        return all(_equal(one, two) for one, two in zip(documents, before, strict=False))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(24)))
    encoder.close_documents()
    encoder.close_documents()
    assert len(encoder.encode_question(texts[0]).vector) == encoder.export.dimension


def test_openvino_that_is_missing_is_named(exported_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_graphs, "installed", lambda: False)
    with pytest.raises(EncoderError, match=r"pip install 'pullquote\[openvino\]'"):
        OnnxEncoder(exported_encoder, runtime="openvino")
    assert OnnxEncoder(exported_encoder, runtime="auto").document_runtime == "onnxruntime f32"


@NEEDS_OPENVINO
@pytest.mark.parametrize(("precision", "chosen"), [("bf16", "openvino bf16"), ("f32", "onnxruntime f32")])
def test_openvino_is_chosen_where_it_is_faster(
    exported_encoder: Path, monkeypatch: pytest.MonkeyPatch, precision: str, chosen: str
) -> None:
    monkeypatch.setattr(openvino_graphs, "computes_bf16", lambda: precision == "bf16")
    encoder = OnnxEncoder(exported_encoder, runtime="auto")
    assert (encoder.document_runtime, encoder.runtime) == (chosen, "onnxruntime f32")
    plain = OnnxEncoder(exported_encoder, runtime="onnxruntime")
    assert plain.document_runtime == plain.runtime == "onnxruntime f32"
    both = OnnxEncoder(exported_encoder, runtime="openvino")
    assert both.document_runtime == both.runtime == f"openvino {precision}"


@NEEDS_OPENVINO
def test_a_damaged_graph_is_named(exported_encoder: Path, tmp_path: Path) -> None:
    for path in exported_encoder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / QUESTION_GRAPH_FILE).write_bytes(b"no graph")
    with pytest.raises(EncoderError, match=rf"{QUESTION_GRAPH_FILE} cannot be opened"):
        OnnxEncoder(tmp_path, runtime="openvino")


@NEEDS_OPENVINO
def test_openvino_tells_nobody_and_writes_nothing(exported_encoder: Path, tmp_path: Path) -> None:
    # Imported whole, it leaves a consent and a number for this machine here, and sends an event.
    code = (
        "import sys\nfrom pathlib import Path\nfrom index.encoder import OnnxEncoder\n"
        "OnnxEncoder(Path(sys.argv[1]), runtime='openvino').encode_question('Who?')\n"
        "print(*[one for one in sys.modules if 'telemetry' in one or one == 'onnx'])"
    )
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported_encoder)],
        cwd=ROOT,
        env=kept | {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == []
    assert [*tmp_path.rglob("*")] == []


def test_a_new_index_is_built_on_the_export_where_there_is_no_gpu(
    exported_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from index import export

    made = read_export(exported_encoder)
    store = Store(tmp_path)
    with store.writing():
        store.keep_export(lambda folder: _copied(exported_encoder, folder))
        for gpu, kind in ((False, OnnxEncoder), (True, export.TorchEncoder)):
            monkeypatch.setattr(export, "has_gpu", lambda gpu=gpu: gpu)
            chosen = building_encoder(store, made.model, fresh=True, runtime="onnxruntime")
            assert type(chosen) is kind
            assert chosen.export == made


def _copied(folder: Path, target: Path) -> Export:
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return read_export(target)
