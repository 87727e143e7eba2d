"""Trains what questions need beyond the encoder of documents: low-rank changes to its layers.

    python benchmarks/encoder/train.py --projects FOLDER --work FOLDER [--epochs N]

FOLDER of --projects is made by benchmarks/quality/fetch.py. Documents keep the vectors of the official
weights; only how a question is encoded is learned (docs/decisions/0012-questions.md), from our own questions
about documentation and short documents that lie in benchmarks/reader, none of them among what quality is
measured on. Writes index/weights/questions.safetensors. Two epochs take 14 minutes on one
core, and gathering before them about ten.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import register_parametrization

from benchmarks.quality.sets import exported
from benchmarks.reader.pairs import FOLDERS, HERE, training_index
from index.encoder import TOKEN_SCALE, TOKENIZER_FILE
from index.export import PACKAGED_MODEL, load_model
from index.low_rank import FILE, Factors, linears, weights_digest, write_factors
from index.question import read_together
from index.search import WORDS_WEIGHT, search
from index.snapshot import Snapshot
from index.tokens import load_tokenizer, tokenize
from service.finding import Index, understand
from service.known import KnownQuestion, read_questions

SEED = 3

RANK = 32
"""Of the changes. Of a free change of all weights, cut down to rank 16, 48 or not at all, recall@5 was 0.83,
0.85 and 0.88 on the looked-at tools, and on the other sets the same."""

BATCH = 32
RATE = 5e-4
WARM_STEPS = 30

TEMPERATURE = 0.05
"""Of the softmax over all passages of the documents asked about."""

FUSED_TEMPERATURE = 0.1
"""Of the softmax over the passages found: fused scores reach twice as far as cosines."""

KEPT_SHARE = 0.7
"""Of the changes learned, what is kept (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022): the
documents learned from are not those to be asked. recall@1 and @5 on the documentation of other projects,
both parts together: 0.624 and 0.803 with none of it, 0.644 and 0.843 with 0.4, 0.653 and 0.845
with 0.7, 0.652 and 0.842 with all; on the article 0.808 and 0.986, 0.819 and 0.992, 0.817 and 0.992, 0.803
and 0.989."""

POOL = 50
"""Passages found for a question that compete with those that hold its answer."""

say = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to learn from."""

    folders: str
    """Name of the group of documents that it is asked of."""
    text: str
    answers: tuple[int, ...]
    """The passages that hold its answer."""
    pool: NDArray[np.int64]
    """int64 (passages,): those found for it."""
    words: NDArray[np.float32]
    """float32 (passages,): their BM25, as it counts in the search."""
    token_weights: NDArray[np.float32]


def questions(index: Index, name: str, most: int | None = None) -> Iterator[Asked]:
    """Yield the questions of a file that can be learned from, with what is found for them as it is now."""
    snapshot = index.snapshot
    among = snapshot.rows_where(FOLDERS[name])
    written = read_questions(HERE / "questions" / f"{name}.jsonl")
    for known in random.Random(SEED).sample(written, min(most or len(written), len(written))):
        answers = _answers(snapshot, known)
        if not answers or known.history:
            continue
        text, _ = understand(index, known.question, ())
        (question,) = read_together([text], index.encoder, snapshot.terms, snapshot.vocabulary)
        hits = search(snapshot, question, POOL, among)
        pool = np.array([hit.passage for hit in hits], dtype=np.int64)
        words = np.array([WORDS_WEIGHT * hit.words for hit in hits], dtype=np.float32)
        yield Asked(name, text, answers, pool, words, question.token_weights)


def _answers(snapshot: Snapshot, known: KnownQuestion) -> tuple[int, ...]:
    found = set()
    for place in known.gold_places:
        if place.file in snapshot.numbers:
            for passage in snapshot.passages_of(snapshot.numbers[place.file]):
                span = snapshot.span(passage)
                if place.overlaps(place.file, span.start, span.end):
                    found.add(passage)
    return tuple(sorted(found))


class Learner:
    """The encoder with changes of low rank, and the loss of a batch of questions."""

    def __init__(self, snapshot: Snapshot, export: Path) -> None:
        """Begin with no change at all."""
        torch.manual_seed(SEED)
        self._snapshot = snapshot
        self._tokenizer = load_tokenizer(export / TOKENIZER_FILE)
        self._projection = torch.from_numpy(np.load(export / "projection.npy"))
        model = load_model(PACKAGED_MODEL).to("cpu").eval()
        self._network = model[0].auto_model
        self.base = weights_digest(self._network)
        for one in self._network.parameters():
            one.requires_grad = False
        self.factors = {
            name: Factors(
                torch.nn.Parameter(torch.randn(RANK, linear.in_features) / math.sqrt(linear.in_features)),
                torch.nn.Parameter(torch.zeros(linear.out_features, RANK)),
            )
            for name, linear in linears(self._network)
        }
        for name, linear in linears(self._network):
            register_parametrization(linear, "weight", _Changed(self.factors[name]))
        self._vectors: dict[str, tuple[torch.Tensor, dict[int, int]]] = {}

    def kept(self) -> dict[str, Factors]:
        """Return the changes as they are to be used."""
        return {name: Factors(KEPT_SHARE * one.down, one.up) for name, one in self.factors.items()}

    def loss(self, batch: Sequence[Asked]) -> torch.Tensor:
        """Return the loss of some questions that are asked of the same documents."""
        states, words = self._states([one.text for one in batch])
        mask = words.any_token[..., None]
        pooled = normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
        vectors, place = self._passages(batch[0].folders)
        scores = pooled @ vectors.T / TEMPERATURE
        right = torch.zeros_like(scores, dtype=torch.bool)
        for row, one in enumerate(batch):
            right[row, [place[passage] for passage in one.answers]] = True
        losses = [_softmax_loss(scores, right).mean()]
        tokens = normalize(states @ self._projection, dim=-1)
        fused = [
            self._fused_loss(one, pooled[row], tokens[row][words.own[row]])
            for row, one in enumerate(batch)
            if not {*one.answers}.isdisjoint(one.pool.tolist())
        ]
        return sum(losses) + (torch.stack(fused).sum() / len(batch) if fused else 0.0)

    def _fused_loss(self, one: Asked, vector: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the loss over the passages found, scored as the search scores them."""
        kept = [
            torch.from_numpy(self._snapshot.tokens_of(row).astype(np.float32)) for row in one.pool.tolist()
        ]
        padded = torch.nn.utils.rnn.pad_sequence(kept, batch_first=True) / TOKEN_SCALE
        lengths = torch.tensor([len(part) for part in kept])
        near = torch.einsum("td,pld->tpl", tokens, padded)
        near = near.masked_fill(torch.arange(padded.shape[1]) >= lengths[:, None], -1.0)
        matched = torch.from_numpy(one.token_weights) @ near.amax(dim=2)
        vectors, place = self._passages(one.folders)
        cosines = vectors[[place[row] for row in one.pool.tolist()]] @ vector
        scores = (cosines + torch.from_numpy(one.words) + matched) / FUSED_TEMPERATURE
        right = torch.from_numpy(np.isin(one.pool, one.answers))
        return _softmax_loss(scores[None], right[None])[0]

    def _states(self, texts: Sequence[str]) -> tuple[torch.Tensor, _Mask]:
        split = [tokenize(self._tokenizer, text) for text in texts]
        longest = max(len(one.ids) for one in split)
        ids = torch.zeros((len(split), longest), dtype=torch.int64)
        mask, own = torch.zeros_like(ids), torch.zeros((len(split), longest), dtype=torch.bool)
        for row, one in enumerate(split):
            ids[row, : len(one.ids)] = torch.from_numpy(one.ids)
            mask[row, : len(one.ids)] = 1
            own[row, : len(one.words)] = torch.from_numpy(one.words)
        output = self._network(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids))
        return output.last_hidden_state, _Mask(mask.float(), own)

    def _passages(self, folders: str) -> tuple[torch.Tensor, dict[int, int]]:
        """Return the vectors of a group's passages, and which row each passage is in."""
        if folders not in self._vectors:
            rows = np.flatnonzero(self._snapshot.rows_where(FOLDERS[folders])).tolist()
            places = [self._snapshot.place(row) for row in rows]
            vectors = np.stack([segment.columns.vectors[at] for segment, at in places])
            self._vectors[folders] = torch.from_numpy(vectors), {row: at for at, row in enumerate(rows)}
        return self._vectors[folders]


@dataclass(frozen=True, slots=True)
class _Mask:
    """Which places of a batch hold a token at all, and which hold one of the text."""

    any_token: torch.Tensor
    own: torch.Tensor


class _Changed(torch.nn.Module):
    def __init__(self, factors: Factors) -> None:
        super().__init__()
        self.down, self.up = factors.down, factors.up

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.up @ self.down


def _softmax_loss(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return -ln of the share of the right ones in the softmax of each row."""
    return torch.logsumexp(scores, 1) - torch.logsumexp(scores.masked_fill(~right, -torch.inf), 1)


def batches(asked: Sequence[Asked], chance: random.Random) -> list[list[Asked]]:
    """Return the questions in batches of one group and of like length, in an order of chance."""
    found = []
    for name in sorted({one.folders for one in asked}):
        own = [one for one in asked if one.folders == name]
        own.sort(key=lambda one: (len(one.token_weights), chance.random()))
        found += [own[at : at + BATCH] for at in range(0, len(own), BATCH)]
    chance.shuffle(found)
    return found


def train(learner: Learner, asked: Sequence[Asked], epochs: int, target: Path) -> None:
    """Learn, and write what was learned after every epoch."""
    chance = random.Random(SEED)
    order = [batch for _ in range(epochs) for batch in batches(asked, chance)]
    weights = [weight for factors in learner.factors.values() for weight in (factors.down, factors.up)]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    begun, seen = time.perf_counter(), []
    for step, batch in enumerate(order, start=1):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, step / WARM_STEPS) * (1 - (step - 1) / len(order))
        loss = learner.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
        if step % 50 == 0 or step == len(order):
            took = time.perf_counter() - begun
            say.print(f"{step} of {len(order)}: {np.mean(seen[-50:]):.3f}, {took:.0f} s")
            write_factors(target, learner.kept(), learner.base)


def main() -> None:
    """Gather, train, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--projects", type=Path, required=True, help="folder made by fetch.py")
    parser.add_argument("--work", type=Path, required=True, help="keep indexes here and use them again")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--most", type=int, help="questions of each file, to try out; all where not given")
    parser.add_argument("--target", type=Path, default=FILE)
    given = parser.parse_args()
    index = training_index(given.work, PACKAGED_MODEL, given.projects)
    asked = []
    for name in FOLDERS:
        own = list(questions(index, name, given.most))
        asked += own
        say.print(f"{name}: {len(own)} questions")
    train(
        Learner(index.snapshot, Path(exported(PACKAGED_MODEL, given.work))), asked, given.epochs, given.target
    )


if __name__ == "__main__":
    main()
