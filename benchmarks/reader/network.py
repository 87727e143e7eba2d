"""The network that is trained: first layers of MiniLM, and a logit out of the first token's last state."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BertModel

FROZEN = "word_embeddings"
"""Part of the names of the weights that stay as they are, and so are not kept with a trained network."""

DROPPED = 0.1


class Network(nn.Module):  # type: ignore[misc]
    """A cross-encoder on the first layers of a BERT; the word embeddings stay as they are."""

    def __init__(self, pretrained: Path, layers: int) -> None:
        """Take over the first `layers` layers of the model in a folder, as transformers keeps it."""
        super().__init__()
        self.bert = BertModel.from_pretrained(pretrained, add_pooling_layer=False, dtype=torch.float32)
        self.bert.encoder.layer = self.bert.encoder.layer[:layers]
        self.bert.config.num_hidden_layers = layers
        for weights in self.bert.embeddings.word_embeddings.parameters():
            weights.requires_grad = False
        width = self.bert.config.hidden_size
        self.hidden, self.drop, self.logit = nn.Linear(width, width), nn.Dropout(DROPPED), nn.Linear(width, 1)

    def forward(self, ids: Tensor, types: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return float32 (batch,): the logit that each candidate answers its question."""
        states = self.bert(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state
        return self.logit(self.drop(torch.tanh(self.hidden(states[:, 0].float()))))[:, 0]


def save(network: Network, path: Path) -> None:
    """Write what was trained of a network, as half-precision numbers."""
    weights = {name: one.half().cpu() for name, one in network.state_dict().items() if FROZEN not in name}
    torch.save({"layers": len(network.bert.encoder.layer), "weights": weights}, path)


def load(path: Path, pretrained: Path) -> Network:
    """Return the network that `save` has written, on the model it was trained from."""
    found = torch.load(path, map_location="cpu", weights_only=True)
    network = Network(pretrained, int(found["layers"]))
    missing, unexpected = network.load_state_dict(
        {name: one.float() for name, one in found["weights"].items()}, strict=False
    )
    if unexpected or any(FROZEN not in name for name in missing):
        raise ValueError(f"{path} is no network of benchmarks/reader/train.py: {missing} {unexpected}")
    network.eval()
    return network
