"""Writes the trained network as the graph that the product runs: index/weights.

    python benchmarks/reader/graph.py NETWORK [--out FOLDER]

NETWORK is what benchmarks/reader/train.py has written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from benchmarks.reader.network import Network, load
from index.cross_encoder import GRAPH_FILE, TOKENIZER_FILE, WEIGHTS
from index.export import PACKAGED_MODEL, load_model
from index.graphs import optimize

OPSET = 17


def write(network: Network, tokenizer: Path, folder: Path) -> None:
    """Write the graph, optimized and as int8, and the tokenizer into a folder."""
    example = (torch.ones((2, 6), dtype=torch.int64), torch.zeros((2, 6), dtype=torch.int64))
    names = ["input_ids", "token_type_ids"]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as aside:
        raw, small = Path(aside) / "raw.onnx", Path(aside) / "small.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is the older exporter, and says so
            torch.onnx.export(
                *(network.eval(), example, str(raw)),
                input_names=names,
                output_names=["logit"],
                dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
                opset_version=OPSET,
                # The newer exporter's graph takes 3.3 ms for 60 tokens, this one's 2.2.
                dynamo=False,
            )
        quantize_dynamic(raw, small, weight_type=QuantType.QInt8, per_channel=True)
        optimize(small, folder / GRAPH_FILE)
    (folder / TOKENIZER_FILE).write_bytes(tokenizer.read_bytes())


def main() -> None:
    """Read the network, write the graph."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("network", type=Path, help="written by train.py")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    pretrained = load_model(PACKAGED_MODEL)
    with tempfile.TemporaryDirectory() as aside:
        pretrained[0].auto_model.save_pretrained(aside)
        pretrained.tokenizer.save_pretrained(aside)
        write(load(given.network, Path(aside)), Path(aside) / TOKENIZER_FILE, given.out)


if __name__ == "__main__":
    main()
