"""Trains the cross-encoder on what benchmarks/reader/gather.py has gathered.

    python benchmarks/reader/train.py PAIRS --pretrained FOLDER --out FOLDER [--teachers N] [--seconds S]
        [--earlier NETWORK]

First some larger networks are trained, then, on what they say and on what is right, the one that is kept
(Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015). FOLDER of --pretrained is
MiniLM as transformers keeps it. An earlier network is one more teacher, and those that are kept go on from
it. With a GPU it takes minutes; benchmarks/reader/graph.py makes the
product's graph of what is written.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from benchmarks.reader.network import Network, load, save
from benchmarks.reader.packed import Packed, read
from index.cross_encoder import arranged

TEACHER_LAYERS = 6
READ_AT_ONCE = 10
"""Candidates of a question in one step of the training: a right one, where there is one, and the best wrong
ones, one of them by chance from those further behind. On families left out of the training the mean loss of
the look sets is 1.04 with ten, 1.05 to 1.09 with five."""

QUESTIONS_A_STEP = 48
"""Twice as many as where the rest was measured: with 24, several networks on one GPU wait for each other."""

STEPS_SORTED = 16
"""Steps whose questions are sorted by length together, so that those of like length meet."""

RATE = 1.7e-4
"""For 48 questions a step. With 24, of a part of the questions, 0.653 right replies at 1e-4 and 0.665 at
2e-4, where another seed makes 0.01."""

WARM_UP = 0.08
"""Share of the steps in which the rate rises; then it falls to nothing."""

DECAY = 0.01
CLIPPED = 1.0
TWO_RIGHT = 0.7
"""Share of the steps in which a question with several right candidates shows two of them."""

SCORED_AT_ONCE = 1024
NOWHERE = -1e4
"""The logit of a candidate that is not there."""

CROSS_WEIGHT = 0.75
"""Of the logit beside the weighted sum where the best candidate is looked for (index/reader.py)."""


say = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is trained."""

    layers: int
    epochs: int
    seconds: float
    """The rate falls by the steps or by the time, whichever is further on; at the end of either it ends."""
    seed: int
    taught: float = 0.0
    """Weight of what the teachers say; the rest is that of what is right."""
    softened: float = 1.0
    """Temperature of both in what the teachers say."""


class Rows:
    """Candidates as the network reads them, each made once."""

    def __init__(self, packed: Packed) -> None:
        self._packed = packed
        self._known: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._question = np.repeat(packed.question_text, np.diff(packed.firsts))

    def __getitem__(self, candidate: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return token numbers and types, int64 (tokens,) each."""
        found = self._known.get(candidate)
        if found is None:
            numbers = (self._question[candidate], *self._packed.candidate_texts[candidate])
            parts = [self._packed.text(int(one)) for one in numbers]
            found = self._known[candidate] = arranged(parts, self._packed.begin, self._packed.end)
        return found

    def together(self, candidates: Sequence[int], device: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids, types and mask of some candidates, int64 (candidates, longest) each."""
        rows = [self[one] for one in candidates]
        longest = max(len(ids) for ids, _ in rows)
        held = np.zeros((3, len(rows), longest), dtype=np.int64)
        for at, (ids, types) in enumerate(rows):
            held[0, at, : len(ids)], held[1, at, : len(ids)], held[2, at, : len(ids)] = ids, types, 1
        ids, types, mask = torch.from_numpy(held).to(device)
        return ids, types, mask


def steps_of(packed: Packed, questions: Sequence[int], chance: random.Random) -> list[list[int]]:
    """Return the questions in steps, those of like length together, in an order by chance."""
    lengths = np.diff(packed.starts)
    words = lengths[packed.candidate_texts[:, 0]]
    longest = np.maximum.reduceat(words, packed.firsts[:-1]) + lengths[packed.question_text]
    mixed = chance.sample(list(questions), len(questions))
    size = STEPS_SORTED * QUESTIONS_A_STEP
    steps: list[list[int]] = []
    for begin in range(0, len(mixed), size):
        like = sorted(mixed[begin : begin + size], key=lambda one: int(longest[one]))
        steps += [like[at : at + QUESTIONS_A_STEP] for at in range(0, len(like), QUESTIONS_A_STEP)]
    chance.shuffle(steps)
    return steps


def taken(packed: Packed, question: int, chance: random.Random) -> tuple[list[int], int]:
    """Return the candidates that one step shows of a question, right ones first, and how many those are."""
    own = range(int(packed.firsts[question]), int(packed.firsts[question + 1]))
    right = [one for one in own if packed.right[one]]
    wrong = [one for one in own if not packed.right[one]]
    right = right[: 2 if chance.random() < TWO_RIGHT else 1]
    room = READ_AT_ONCE - len(right) - 1
    rest = wrong[room:]
    return [*right, *wrong[:room], *([chance.choice(rest)] if rest else [])], len(right)


def spread(values: Tensor, counts: Sequence[int]) -> Tensor:
    """Return (questions, 1 + most candidates): 0 for "nothing answers it", then the values, then NOWHERE."""
    device = values.device
    row = torch.repeat_interleave(
        torch.arange(len(counts), device=device), torch.tensor(counts, device=device)
    )
    column = torch.cat([torch.arange(1, count + 1, device=device) for count in counts])
    found = values.new_full((len(counts), 1 + max(counts)), NOWHERE)
    found[:, 0] = 0
    return found.index_put((row, column), values)


def loss_of(logits: Tensor, counts: Sequence[int], right: Sequence[int]) -> Tensor:
    """Return the mean over questions of -ln of what falls on right candidates, the first `right` of each.

    By softmax over a question's candidates and one more, with logit 0: that nothing answers it. So a logit
    says both which candidate is best and whether it is any good.
    """
    shares = torch.log_softmax(spread(logits, counts), dim=1)
    column = torch.arange(shares.shape[1], device=shares.device)
    first = torch.tensor(right, device=shares.device)[:, None]
    wanted = torch.where(first > 0, (column >= 1) & (column <= first), column == 0)
    return -torch.logsumexp(shares.masked_fill(~wanted, -math.inf), dim=1).mean()


def taught_loss(logits: Tensor, taught: Tensor, counts: Sequence[int], softened: float) -> Tensor:
    """Return the mean over questions of the cross entropy of the network's shares and the teachers'."""
    told = torch.softmax(spread(taught, counts) / softened, dim=1)
    said = torch.log_softmax(spread(logits, counts) / softened, dim=1)
    return -(told * said).sum(dim=1).mean()


def learnable(packed: Packed) -> NDArray[np.int64]:
    """Return the numbers of the questions that are learned from."""
    return np.flatnonzero(packed.learned[packed.question_set])


def train(
    packed: Packed,
    pretrained: Path,
    plan: Plan,
    taught: NDArray[np.float32] | None = None,
    earlier: Path | None = None,
) -> Network:
    """Return a trained network; `taught` float32 (candidates,) is what the teachers say of each.

    It begins with the pretrained weights, or with those of a network that `save` has written.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(plan.seed)
    chance = random.Random(plan.seed)
    rows, questions = Rows(packed), learnable(packed).tolist()
    begins = Network(pretrained, plan.layers) if earlier is None else load(earlier, pretrained)
    network: Network = begins.to(device).train()
    weights = [one for one in network.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=DECAY)
    begun = time.monotonic()
    for number, total, step in _steps(packed, questions, plan.epochs, chance):
        done = max(number / total, (time.monotonic() - begun) / plan.seconds)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (number + 1) / (WARM_UP * total)) * (1 - done)
        shown = [taken(packed, one, chance) for one in step]
        candidates = [one for own, _ in shown for one in own]
        counts, right = [len(own) for own, _ in shown], [first for _, first in shown]
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = network(*rows.together(candidates, device))
        logits = logits.float()
        loss = loss_of(logits, counts, right)
        if taught is not None:
            told = torch.from_numpy(taught[candidates]).to(device)
            own = (1 - plan.taught) * loss
            loss = own + plan.taught * taught_loss(logits, told, counts, plan.softened)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, CLIPPED)
        optimizer.step()
        if number % 500 == 0:
            say.print(f"{plan}: step {number} of {total}, loss {loss.item():.3f}")
    say.print(f"{plan}: {time.monotonic() - begun:.0f} s")
    network.eval()
    return network


def _steps(
    packed: Packed, questions: Sequence[int], epochs: int, chance: random.Random
) -> Iterator[tuple[int, int, list[int]]]:
    number, total = 0, epochs * math.ceil(len(questions) / QUESTIONS_A_STEP)
    for _ in range(epochs):
        for step in steps_of(packed, questions, chance):
            yield number, total, step
            number += 1


def logits_of(packed: Packed, network: Network, questions: Sequence[int]) -> NDArray[np.float32]:
    """Return float32 (candidates,): the logit of each candidate of the questions, 0 for all others."""
    device = next(network.parameters()).device.type
    rows, found = Rows(packed), np.zeros(len(packed.right), dtype=np.float32)
    wanted = [at for one in questions for at in range(int(packed.firsts[one]), int(packed.firsts[one + 1]))]
    wanted.sort(key=lambda at: len(rows[at][0]))
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
        for begin in range(0, len(wanted), SCORED_AT_ONCE):
            some = wanted[begin : begin + SCORED_AT_ONCE]
            found[some] = network(*rows.together(some, device)).float().cpu().numpy()
    return found


def measured(packed: Packed, network: Network) -> str:
    """Return how far a network has come on the questions that are not learned from, for each set.

    The share of the answerable questions whose best candidate is right; the most right replies that a
    threshold on its logit reaches, as a share of all; and the loss.
    """
    own = np.flatnonzero(~packed.learned[packed.question_set])
    logits = logits_of(packed, network, own.tolist())
    said = []
    for number in np.unique(packed.question_set[own]).tolist():
        asked = own[packed.question_set[own] == number].tolist()
        first, replies, loss = _measured(packed, logits, asked)
        said.append(f"{packed.sets[number]} {first:.3f} {replies:.3f} {loss:.3f}")
    return "; ".join(said)


def _measured(
    packed: Packed, logits: NDArray[np.float32], questions: Sequence[int]
) -> tuple[float, float, float]:
    best, losses = [], []
    answerable = 0
    for one in questions:
        span = slice(int(packed.firsts[one]), int(packed.firsts[one + 1]))
        right, own = packed.right[span], logits[span].astype(np.float64)
        at = int(np.argmax(packed.scores[span] + CROSS_WEIGHT * own))
        best.append((float(own[at]), bool(right[at]), bool(right.any())))
        answerable += bool(right.any())
        total = np.logaddexp.reduce([0.0, *own])
        losses.append(total - (np.logaddexp.reduce(own[right]) if right.any() else 0.0))
    best.sort(reverse=True)
    absent = len(best) - answerable
    gained = np.cumsum([right - (not any_right) for _, right, any_right in best])
    replies = (absent + max(0, int(gained.max(initial=0)))) / len(best)
    return sum(right for _, right, _ in best) / max(answerable, 1), replies, float(np.mean(losses))


def teach(pairs: Path, pretrained: Path, plan: Plan) -> NDArray[np.float32]:
    """Return what a larger network says of every candidate that is learned from."""
    packed = read(pairs)
    network = train(packed, pretrained, plan)
    say.print(f"{plan}: {measured(packed, network)}")
    return logits_of(packed, network, learnable(packed).tolist())


def said_by(pairs: Path, pretrained: Path, earlier: Path) -> NDArray[np.float32]:
    """Return what an earlier network says of every candidate that is learned from."""
    packed, network = read(pairs), load(earlier, pretrained)
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    say.print(f"{earlier}: {measured(packed, network)}")
    return logits_of(packed, network, learnable(packed).tolist())


def learn(
    pairs: Path,
    pretrained: Path,
    out: Path,
    taught: NDArray[np.float32] | None,
    earlier: Path | None,
    plan: Plan,
) -> None:
    """Train a network on what the teachers say and write it."""
    packed = read(pairs)
    network = train(packed, pretrained, plan, taught, earlier)
    name = f"layers-{len(network.bert.encoder.layer)}-taught-{plan.taught}-seed-{plan.seed}"
    say.print(f"{plan}: {measured(packed, network)}")
    save(network, out / f"{name}.pt")


def main() -> None:
    """Train the teachers, then the networks that learn from them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pairs", type=Path, help="written by benchmarks/reader/gather.py")
    parser.add_argument("--pretrained", type=Path, required=True, help="MiniLM as transformers keeps it")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the networks into")
    parser.add_argument("--teachers", type=int, default=5)
    parser.add_argument("--teacher-epochs", type=int, default=2)
    parser.add_argument("--layers", type=int, nargs="+", default=[4])
    parser.add_argument("--taught", type=float, nargs="+", default=[0.5])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--earlier", type=Path, help="a network that an earlier run has written")
    parser.add_argument("--seconds", type=float, default=math.inf, help="for the teachers, and again after")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    at_once = max(given.teachers, len(given.layers) * len(given.taught)) if torch.cuda.is_available() else 1
    teachers = [
        Plan(TEACHER_LAYERS, given.teacher_epochs, given.seconds, seed) for seed in range(given.teachers)
    ]
    learners = [
        Plan(layers, given.epochs, given.seconds, given.teachers, taught)
        for layers in given.layers
        for taught in given.taught
    ]
    with multiprocessing.get_context("spawn").Pool(at_once, maxtasksperchild=1) as pool:
        said = pool.map(partial(teach, given.pairs, given.pretrained), teachers, chunksize=1)
        if given.earlier is not None:
            said += pool.map(partial(said_by, given.pairs, given.pretrained), [given.earlier])
        taught = np.mean(np.stack(said), axis=0) if said else None
        learning = partial(learn, given.pairs, given.pretrained, given.out, taught, given.earlier)
        pool.map(learning, learners, chunksize=1)


if __name__ == "__main__":
    main()
