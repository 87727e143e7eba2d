"""How near questions are that ask the same: the measurement behind `service.unanswered.SAME`.

    python benchmarks/journal/threshold.py ENCODER

ENCODER is a folder that `pullquote export-model` made. Two questions of a set that may be looked at ask the
same where they have the same gold spans; all others of the set do not. Printed for each threshold: how many
of the pairs that ask the same are above it, and how many of the pairs above it ask the same.
"""

from __future__ import annotations

import json
import sys
from itertools import combinations
from pathlib import Path

from index.encoder import OnnxEncoder

ROOT = Path(__file__).resolve().parent.parent.parent
SETS = ("article/questions", "article/fresh", "manuals/questions")
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


def main() -> None:
    """Print the table."""
    encoder = OnnxEncoder(Path(sys.argv[1]))
    pairs: list[tuple[float, bool]] = []
    for name in SETS:
        lines = (ROOT / f"tests/data/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        known = [one for one in map(json.loads, lines) if one["split"] == "look" and not one.get("history")]
        asked = [one for one in known if one["answerable"]]
        vectors = [encoder.encode_question(one["question"]).vector for one in asked]
        pairs += [
            (float(vectors[a] @ vectors[b]), asked[a]["gold_spans"] == asked[b]["gold_spans"])
            for a, b in combinations(range(len(asked)), 2)
        ]
    same = sum(alike for _, alike in pairs)
    sys.stdout.write(f"{len(pairs)} pairs, {same} of which ask the same\n")
    for threshold in THRESHOLDS:
        above = [alike for cosine, alike in pairs if cosine >= threshold]
        right = sum(above) / max(1, len(above))
        sys.stdout.write(f"{threshold:.2f}: {sum(above) / same:.2f} found, {right:.2f} right\n")


if __name__ == "__main__":
    main()
