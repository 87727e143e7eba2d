"""Changes of low rank to an encoder's layers: what questions need beyond the encoder of documents.

The form is that of Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021: to the weights of
a linear layer is added the product of a tall and a wide matrix. torch is imported inside functions only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FILE = Path(__file__).with_name("weights") / "questions.safetensors"
"""The changes to the packaged model, trained by benchmarks/encoder/train.py."""

BASE = "base"
"""Name, in the file, of the SHA-256 of the weights that the changes were learned for."""


@dataclass(frozen=True, slots=True)
class Factors:
    """The change of one linear layer: `up @ down`."""

    down: torch.Tensor
    """(rank, inputs)."""
    up: torch.Tensor
    """(outputs, rank)."""


def linears(network: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Linear]]:
    """Yield the linear layers of a transformer's encoder with their names."""
    import torch

    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and name.startswith("encoder.layer."):
            yield name, module


def weights_digest(network: torch.nn.Module) -> str:
    """Return the SHA-256 of a network's weights and their names, wherever they were loaded from."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def write_factors(path: Path, factors: Mapping[str, Factors], base: str) -> None:
    """Write the changes of some layers, by the layers' names, as float16; `base` is what they change."""
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for name, one in factors.items():
        tensors[f"{name}.down"] = one.down.detach().to(torch.float16).contiguous()
        tensors[f"{name}.up"] = one.up.detach().to(torch.float16).contiguous()
    save_file(tensors, path, {BASE: base})


def digest_for(network: torch.nn.Module, path: Path = FILE) -> str:
    """Return the SHA-256 of the changes in a file, "" where they were learned for other weights."""
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        fits = (file.metadata() or {}).get(BASE) == weights_digest(network)
    return digest(path) if fits else ""


def digest(path: Path = FILE) -> str:
    """Return the SHA-256 of a file of changes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change(network: torch.nn.Module, path: Path = FILE) -> None:
    """Add the changes in a file to the weights of the network that they were learned for, for good."""
    import torch
    from safetensors.torch import load_file

    tensors = load_file(path)
    with torch.no_grad():
        for name, linear in linears(network):
            linear.weight += tensors[f"{name}.up"].float() @ tensors[f"{name}.down"].float()
