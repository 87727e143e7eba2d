"""Texts to vectors, by a light runtime on an exported model.

An export is a folder with the model's graph (`model.onnx`, pooling and normalisation inside), its
tokenizer and `encoder.json`. It is made once by `index.export`, which needs torch; everything here runs
without. The graph returns, for each text, one unit vector, and for each token a unit vector of fewer
dimensions, so that single words can be compared in their context (late interaction: Khattab and Zaharia,
"ColBERT", 2020, here without training).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from corpus.document import Span
from index import graphs, runtimes
from index.runtimes import Runtime
from index.tokens import Tokens, load_tokenizer, tokenize, windows

EXPORT_FILE = "encoder.json"
GRAPH_FILE = "model.onnx"
QUESTION_GRAPH_FILE = "questions.onnx"
TOKENIZER_FILE = "tokenizer.json"

BESIDE = 2
GRAPH = 3
"""How the graph is written. From 2 on its weights are in a file beside it, and a text's vectors are the same
to the last bit whatever else is in the same batch; from 3 on questions may have a graph of their own."""

TOKEN_SCALE = 127
"""Token vectors are kept as int8, `round(value * 127)`: one byte a dimension; R@1 0.895 against 0.899 for
384 dimensions in float32 (benchmarks/quality, SQuAD questions, best of ten passages by MaxSim)."""

QUESTION_THREADS = 1
"""Cores that a batch of questions may use. With two, one question alone takes 2.8 ms instead of 3.7, but of
16 as they come each takes 3.1 ms of a core instead of 2.3."""

BATCH_TOKENS = 2048
"""A batch holds about this many tokens, padding counted. On two cores larger batches encode no faster
(48 passages/s at 2,048, 47 at 4,096) and smaller ones leave single questions waiting less."""

Vector = NDArray[np.float32]


class EncoderError(Exception):
    """The encoder cannot be used; the message says what was seen and what to do."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the encoder makes of one text."""

    vector: Vector
    """float32 (dimension,), of length 1."""
    tokens: NDArray[np.int8]
    """int8 (number of tokens, token_dimension): unit vectors times 127, the special tokens left out."""
    offsets: NDArray[np.int32]
    """int32 (number of tokens, 2): where each token stands in the text, half-open, in code points."""
    ids: NDArray[np.int64]
    """int64 (number of tokens,): the tokens' numbers in the model's vocabulary."""


@dataclass(frozen=True, slots=True)
class Export:
    """What `encoder.json` says of an exported model."""

    model: str
    """The MODEL setting it was made from."""
    source: str
    """SHA-256 of the source's files, or "" for a model that came from a hub."""
    fingerprint: str
    """SHA-256 of weights, tokenizer, window, prompts and token projection: equal means equal vectors."""
    dimension: int
    token_dimension: int
    window: int
    """The most tokens of a text, special tokens not counted."""
    inputs: tuple[str, ...]
    query_prompt: str
    document_prompt: str
    graph: int = 1
    """The GRAPH it was written as: older ones are as good, but are made again with the next index."""
    questions: str = ""
    """SHA-256 of what questions are encoded with beyond the model; "" where they have no own graph."""

    @property
    def question_graph(self) -> str:
        """Return the name of the graph that questions are encoded with."""
        return QUESTION_GRAPH_FILE if self.questions else GRAPH_FILE

    def write(self, folder: Path) -> None:
        """Write `encoder.json` into `folder`."""
        (folder / EXPORT_FILE).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_export(folder: Path) -> Export:
    """Return what `encoder.json` in `folder` says.

    Raises EncoderError when the folder holds no complete export.
    """
    try:
        values = json.loads((folder / EXPORT_FILE).read_text(encoding="utf-8"))
        export = Export(**{**values, "inputs": tuple(values["inputs"])})
        numbers = (export.dimension, export.token_dimension, export.window, export.graph)
        if not all(isinstance(one, int) for one in numbers):
            raise TypeError(f"numbers were expected, not {numbers}")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise EncoderError(
            f"{folder} holds no usable encoder export ({error}); run `pullquote index` to make it"
        ) from error
    used = {GRAPH_FILE, export.question_graph}
    weights = {graphs.weights_of(Path(name)).name for name in used if export.graph >= BESIDE}
    for name in sorted({TOKENIZER_FILE} | used | weights):
        if not (folder / name).is_file():
            raise EncoderError(f"{folder / name} is missing; run `pullquote index` to make it again")
    return export


class Encoder(Protocol):
    """Turns texts into vectors; two encoders with one fingerprint give the same vectors."""

    @property
    def export(self) -> Export:
        """Return what is known of the model."""

    @property
    def runtime(self) -> str:
        """Return what computes questions and in which precision, such as `onnxruntime f32`."""

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, special tokens not counted."""

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> list[Encoding]:
        """Return the encodings of document texts, in order; `progress` is told how many more are done."""

    def encode_question(self, question: str) -> Encoding:
        """Return the encoding of one question, however long."""

    def encode_questions(self, questions: Sequence[str]) -> list[Encoding]:
        """Return the encodings of several questions, each as `encode_question` returns it."""

    def close_documents(self) -> None:
        """Give back the memory of what documents alone need; the next document opens it again."""

    def rarity(self, tokens: NDArray[np.int64]) -> float:
        """Return how rare a word is in the language at large, 0 to 1, from the tokens it falls into."""

    def is_word(self, text: str) -> bool:
        """Return whether `text` is an ordinary word of the language: the model has a token for it."""


class TextTooLong(EncoderError):
    """A document text has more tokens than the window: encoding it would drop words in silence."""


def quantize(tokens: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return unit vectors as int8, `round(value * 127)`, in the same shape."""
    return np.asarray(np.rint(tokens * TOKEN_SCALE), dtype=np.int8)


class OnnxEncoder:
    """The exported model on ONNX Runtime or OpenVINO: the encoder of the serving process."""

    def __init__(self, folder: Path, *, threads: int | None = None, runtime: Runtime = "auto") -> None:
        """Open the export in `folder`; `threads` is how many cores one batch may use, None for all.

        Raises EncoderError when the export is incomplete, when its graph cannot be opened, and when the
        runtime is missing.
        """
        self.export = read_export(folder)
        self._tokenizer = load_tokenizer(folder / TOKENIZER_FILE)
        self._vocabulary = self._tokenizer.get_vocab_size()
        self._first_word = self._tokenizer.token_to_id("the") or 0
        self._folder = folder
        cores = os.cpu_count() or 1
        self._folder = folder
        self._opening = threading.Lock()
        self._sessions: dict[tuple[str, bool], runtimes.Session] = {}
        """By the graph's name, and whether it is on OpenVINO."""
        self._keys: dict[runtimes.Purpose, tuple[str, bool]] = {}
        self._setting = runtime
        self._open = partial(runtimes.opened, threads=threads, cores=cores)
        self.runtime = self._session("questions").runtime
        prompts = (self.export.query_prompt, self.export.document_prompt)
        self._widest = self.export.window + max(len(self._tokenizer.encode(one).ids) for one in prompts)

    @property
    def document_runtime(self) -> str:
        """Return what computes documents and in which precision; its graph is opened if it was not."""
        return self._session("documents").runtime

    def _session(self, purpose: runtimes.Purpose) -> runtimes.Session:
        """Return the session on a graph, opened when first asked for: not every server encodes documents.

        Raises EncoderError when it cannot be opened, and when the runtime is missing.
        """
        path = self._folder / (GRAPH_FILE if purpose == "documents" else self.export.question_graph)
        with self._opening:
            try:
                key = (path.name, runtimes.is_on_openvino(self._setting, purpose))
                self._keys[purpose] = key
                if key not in self._sessions:
                    self._sessions[key] = self._open(path, on_openvino=key[1])
            except runtimes.RuntimeMissing as error:
                raise EncoderError(str(error)) from error
            except Exception as error:  # the runtimes' own families have no common public base
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise EncoderError(
                    f"{path} cannot be opened ({reason}); remove {self._folder} and make it again: by "
                    "`pullquote index`, or by `pullquote export-model` where PULLQUOTE_MODEL names it"
                ) from error
            return self._sessions[key]

    def close_documents(self) -> None:
        """Give back the memory of what documents alone need; the next document opens it again.

        What is encoding at the moment ends undisturbed.
        """
        with self._opening:
            key = self._keys.pop("documents", None)
            if key is not None and key not in self._keys.values():
                del self._sessions[key]

    def count_tokens(self, text: str) -> int:
        """Return how many tokens `text` has, special tokens not counted."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def is_word(self, text: str) -> bool:
        """Return whether `text` is an ordinary word of the language: the model has a token for it."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids) == 1

    def rarity(self, tokens: NDArray[np.int64]) -> float:
        """Return how rare a word is in the language at large, 0 to 1, from the tokens it falls into.

        Vocabularies are ordered by frequency, so a token's number says how common it is; a word
        that has no token of its own is rare.
        """
        if len(tokens) != 1:
            return 1.0
        rank = max(1, int(tokens[0]) - self._first_word + 1)
        return float(np.log(rank) / np.log(max(2, self._vocabulary - self._first_word + 1)))

    def encode_documents(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> list[Encoding]:
        """Return the encodings of document texts, in order.

        Raises TextTooLong when a text does not fit the window.
        """
        prompt = self.export.document_prompt
        tokens = [tokenize(self._tokenizer, text, prompt) for text in texts]
        check_window(tokens, texts, self.export)
        return self._encode("documents", tokens, progress, giving_back=True)

    def encode_question(self, question: str) -> Encoding:
        """Return the encoding of one question; beyond the window, the mean of its windows' vectors."""
        return self.encode_questions([question])[0]

    def encode_questions(self, questions: Sequence[str]) -> list[Encoding]:
        """Return the encodings of several questions, each the same to the last bit as alone."""
        split = [self._split(one) for one in questions]
        every = [tokens for _, own in split for tokens in own]
        encodings = iter(self._encode("questions", every))
        return [_joined(spans, list(islice(encodings, len(spans)))) for spans, _ in split]

    def _split(self, question: str) -> tuple[list[Span], list[Tokens]]:
        """Return the parts of a question that fit the window, and their tokens; one part where it fits."""
        prompt = self.export.query_prompt
        tokens = tokenize(self._tokenizer, question, prompt)
        if int(tokens.words.sum()) <= self.export.window:
            return [Span(0, len(question))], [tokens]
        spans = windows(tokens, self.export.window)
        return spans, [tokenize(self._tokenizer, span.of(question), prompt) for span in spans]

    def _encode(
        self,
        purpose: runtimes.Purpose,
        texts: Sequence[Tokens],
        progress: Callable[[int], None] | None = None,
        *,
        giving_back: bool = False,
    ) -> list[Encoding]:
        found: list[Encoding | None] = [None] * len(texts)
        session = self._session(purpose)
        widths = [session.width(len(text.ids)) for text in texts]
        for batch in batches(widths, least=session.least_length):
            chosen = [texts[number] for number in batch]
            vectors, tokens = self._run(session, chosen, giving_back=giving_back)
            for row, number in enumerate(batch):
                words = texts[number].words
                kept = tokens[row, : len(words)][words]
                found[number] = Encoding(
                    vectors[row], quantize(kept), texts[number].offsets[words], texts[number].ids[words]
                )
            if progress:
                progress(len(batch))
        return [encoding for encoding in found if encoding is not None]

    def _run(
        self, session: runtimes.Session, texts: Sequence[Tokens], *, giving_back: bool = False
    ) -> tuple[Vector, Vector]:
        """Return vectors (batch, dimension) and token vectors (batch, width, token_dimension)."""
        longest = max(len(text.ids) for text in texts)
        # No wider than the model's window: it may have no positions beyond.
        width = max(longest, min(session.width(longest), self._widest))
        ids = np.zeros((len(texts), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text.ids)] = text.ids
            mask[row, : len(text.ids)] = 1
        values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feed = {name: values[name] for name in self.export.inputs}
        return session.run(feed, giving_back=giving_back)


def check_window(tokens: Sequence[Tokens], texts: Sequence[str], export: Export) -> None:
    """Raise TextTooLong for the first text that has more tokens than the window."""
    for one, text in zip(tokens, texts, strict=True):
        if int(one.words.sum()) > export.window:
            raise TextTooLong(
                f"a text of {int(one.words.sum())} tokens does not fit the window of {export.window} "
                f"({export.model}); it begins {text[:40]!r}"
            )


def _joined(spans: Sequence[Span], encodings: Sequence[Encoding]) -> Encoding:
    """Return the encoding of a text from those of its windows."""
    if len(encodings) == 1:
        return encodings[0]
    mean = np.mean([encoding.vector for encoding in encodings], axis=0)
    return Encoding(
        vector=(mean / np.linalg.norm(mean)).astype(np.float32),
        tokens=np.concatenate([encoding.tokens for encoding in encodings]),
        offsets=np.concatenate(
            [encoding.offsets + span.start for encoding, span in zip(encodings, spans, strict=True)]
        ),
        ids=np.concatenate([encoding.ids for encoding in encodings]),
    )


def batches(lengths: Sequence[int], *, least: float) -> Iterable[list[int]]:
    """Yield the numbers of the texts in batches of like length, longest first, of BATCH_TOKENS at most.

    In each batch every text is at least the share `least` as long as the longest.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda one: (-lengths[one], one)):
        longest = lengths[batch[0]] if batch else 0
        full = (len(batch) + 1) * longest > BATCH_TOKENS
        if batch and (full or lengths[number] < least * longest):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
