"""Trains the cross-encoder and writes index/weights/cross_encoder.onnx.

    python benchmarks/reader/train.py --projects FOLDER --squad FOLDER --work FOLDER [--epochs N]

FOLDER of --projects is made by benchmarks/quality/fetch.py; --squad takes docs/ and questions.jsonl. On two
cores with bfloat16 instructions an epoch takes some half an hour. What is learned from is described in
docs/decisions/0006-cross-encoder.md. None of it is among what quality is measured on: of SQuAD's
articles some are left out.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from rich.console import Console
from rich.progress import track
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from benchmarks.quality.sets import SQUAD_HELD_OUT, Remembering, article_of, exported, index_of
from benchmarks.reader.pairs import Asked, from_documentation, useful
from index.cross_encoder import GRAPH_FILE, TOKENIZER_FILE, WEIGHTS, layout
from index.encoder import load_tokenizer
from index.export import PACKAGED_MODEL, load_model
from service.known import read_questions

LAYERS = 4
"""Of the six of MiniLM. A candidate of 48 tokens takes 1.7 ms as int8 on one core; with six layers 2.6, with
three 1.3."""

READ_AT_ONCE = 5
"""Candidates of a question in one step of the training: a right one, where there is one, and the best wrong
ones, one of them by chance from those further behind."""

QUESTIONS_A_STEP = 12
RATE = 7e-5
WARM_UP = 0.08
"""Share of the steps in which the rate rises; then it falls to nothing."""

CLIPPED = 1.0
SQUAD_QUESTIONS = 1_800
SEED = 5
OPSET = 17

say = Console(stderr=True, highlight=False)


class Model(nn.Module):  # type: ignore[misc]
    """The first layers of MiniLM, and a logit out of the first token's last state."""

    def __init__(self, pretrained: SentenceTransformer) -> None:
        """Take the pretrained layers over; the word embeddings stay as they are."""
        super().__init__()
        self.bert = pretrained[0].auto_model
        self.bert.encoder.layer = self.bert.encoder.layer[:LAYERS]
        self.bert.pooler = None
        for weights in self.bert.embeddings.word_embeddings.parameters():
            weights.requires_grad = False
        width = self.bert.config.hidden_size
        self.hidden, self.drop, self.logit = nn.Linear(width, width), nn.Dropout(0.1), nn.Linear(width, 1)

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return float32 (batch,): the logit that each candidate answers its question."""
        states = self.bert(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state
        return self.logit(self.drop(torch.tanh(self.hidden(states[:, 0].float()))))[:, 0]


def loss_of(logits: Tensor, counts: Sequence[int], right: Sequence[int]) -> Tensor:
    """Return the mean over questions of -ln of what falls on right candidates, the first `right` of each.

    By softmax over a question's candidates and one more, with logit 0: that nothing answers it. So a logit
    says both which candidate is best and whether it is any good.
    """
    total, at = logits.new_zeros(()), 0
    for count, first in zip(counts, right, strict=True):
        own = torch.cat([logits.new_zeros(1), logits[at : at + count]])
        total = (
            total + torch.logsumexp(own, 0) - (torch.logsumexp(own[1 : 1 + first], 0) if first else own[0])
        )
        at += count
    return total / len(counts)


class Batches:
    """Questions in steps of the training, those of like length together."""

    def __init__(self, asked: Sequence[Asked], tokenizer: Any, chance: random.Random) -> None:
        self.asked = [one for one in asked if one.candidates]
        self._tokenizer, self._chance = tokenizer, chance

    def __len__(self) -> int:
        return math.ceil(len(self.asked) / QUESTIONS_A_STEP)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor, list[int], list[int]]]:
        """Yield ids, types and mask, int64 (candidates, tokens), and each question's counts: all, right."""
        mixed = self._chance.sample(self.asked, len(self.asked))
        steps: list[list[Asked]] = []
        for begin in range(0, len(mixed), 16 * QUESTIONS_A_STEP):
            like = sorted(mixed[begin : begin + 16 * QUESTIONS_A_STEP], key=_length)
            steps += [like[at : at + QUESTIONS_A_STEP] for at in range(0, len(like), QUESTIONS_A_STEP)]
        self._chance.shuffle(steps)
        for step in steps:
            rows, counts, right = [], [], []
            for one in step:
                taken, first = self._taken(one)
                rows += [layout(self._tokenizer, one.question, said) for said in taken]
                counts.append(len(taken))
                right.append(first)
            longest = max(len(ids) for ids, _ in rows)
            ids = torch.zeros((len(rows), longest), dtype=torch.int64)
            types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
            for at, (own, kinds) in enumerate(rows):
                ids[at, : len(own)] = torch.from_numpy(own)
                types[at, : len(own)] = torch.from_numpy(kinds)
                mask[at, : len(own)] = 1
            yield ids, types, mask, counts, right

    def _taken(self, one: Asked) -> tuple[list[Any], int]:
        right = [each.said for each in one.candidates if each.right]
        wrong = [each.said for each in one.candidates if not each.right]
        right = right[: 2 if self._chance.random() < 0.7 else 1]
        room = READ_AT_ONCE - len(right) - 1
        rest = wrong[room:]
        return [*right, *wrong[:room], *([self._chance.choice(rest)] if rest else [])], len(right)


def _length(one: Asked) -> int:
    return len(one.question) + max(len(each.said.words) for each in one.candidates[:READ_AT_ONCE])


def train(model: Model, batches: Batches, epochs: int) -> None:
    """Train in place."""
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.01)
    steps = epochs * len(batches)
    model.train()
    number, smooth = 0, 0.0
    for epoch in range(epochs):
        for ids, types, mask, counts, right in track(batches, f"epoch {epoch + 1}", console=say):
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (number + 1) / (WARM_UP * steps)) * (1 - number / steps)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(ids, types, mask)
            loss = loss_of(logits.float(), counts, right)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, CLIPPED)
            optimizer.step()
            number += 1
            smooth += (loss.item() - smooth) / min(number, 100)
            if number % 100 == 0:
                say.print(f"{number}/{steps}: loss {smooth:.3f}")
    model.eval()


def write(model: Model, tokenizer: Path, folder: Path) -> None:
    """Write the graph, optimized and as int8, and the tokenizer into a folder."""
    example = (torch.ones((2, 6), dtype=torch.int64), torch.zeros((2, 6), dtype=torch.int64))
    names = ["input_ids", "token_type_ids"]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as aside:
        raw, small = Path(aside) / "raw.onnx", Path(aside) / "small.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is the older exporter, and says so
            torch.onnx.export(
                *(model.eval(), example, str(raw)),
                input_names=names,
                output_names=["logit"],
                dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
                opset_version=OPSET,
                # The newer exporter's graph takes 3.3 ms for 60 tokens, this one's 2.2.
                dynamo=False,
            )
        quantize_dynamic(raw, small, weight_type=QuantType.QInt8, per_channel=True)
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(folder / GRAPH_FILE)
        # "Extended" is the last level that holds on any processor; the next one is made for this machine.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        onnxruntime.InferenceSession(str(small), options, providers=["CPUExecutionProvider"])
    (folder / TOKENIZER_FILE).write_bytes(tokenizer.read_bytes())


def questions(given: argparse.Namespace, chance: random.Random) -> list[Asked]:
    """Return everything that is learned from; answerable questions without a right candidate say nothing."""
    asked = from_documentation(given.work, PACKAGED_MODEL, given.projects)
    export = exported(PACKAGED_MODEL, given.work)
    index = index_of(given.work / "squad", given.squad / "docs", export, Remembering(Path(export)))
    known = [
        one
        for one in read_questions(given.squad / "questions.jsonl")
        if article_of(index, one) not in SQUAD_HELD_OUT
    ]
    found = useful(index, chance.sample(known, min(SQUAD_QUESTIONS, len(known))))
    say.print(
        f"{len(asked)} of our own, {len(found)} of SQuAD, without those about {', '.join(SQUAD_HELD_OUT)}"
    )
    return [*asked, *found]


def main() -> None:
    """Gather, train, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--projects", type=Path, required=True, help="folder made by benchmarks/quality/fetch.py"
    )
    parser.add_argument("--squad", type=Path, required=True, help="folder with docs/ and questions.jsonl")
    parser.add_argument("--work", type=Path, required=True, help="keep indexes here and use them again")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    torch.manual_seed(SEED)
    chance = random.Random(SEED)
    asked = questions(given, chance)
    pretrained = load_model(PACKAGED_MODEL)
    with tempfile.TemporaryDirectory() as aside:
        pretrained.tokenizer.save_pretrained(aside)
        path = Path(aside) / TOKENIZER_FILE
        model = Model(pretrained)
        train(model, Batches(asked, load_tokenizer(path), chance), given.epochs)
        write(model, path, given.out)


if __name__ == "__main__":
    main()
