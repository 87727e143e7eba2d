"""Gathers what the cross-encoder learns from into one file.

    python benchmarks/reader/gather.py PAIRS --projects FOLDER --squad FOLDER --work FOLDER

FOLDER of --projects is made by benchmarks/quality/fetch.py; --squad takes docs/ and questions.jsonl. What is
learned from is described in docs/decisions/0006-cross-encoder.md; none of it is among what quality is
measured on: of SQuAD's articles some are left out. The questions of quality's sets that may be looked at
go into the file too, so that training can say how far it has come; nothing is learned from them.
"""

from __future__ import annotations

import argparse
import random
import sys
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.quality.sets import (
    SQUAD_HELD_OUT,
    Remembering,
    article_of,
    exported,
    index_of,
    open_sets,
)
from benchmarks.reader.packed import Asked, pack
from benchmarks.reader.pairs import ABOUT_SQUAD, HERE, SQUAD, candidates_of, from_documentation, useful
from index.encoder import TOKENIZER_FILE
from index.export import PACKAGED_MODEL
from index.tokens import load_tokenizer
from service.known import read_questions

SEED = 5

say = Console(stderr=True, highlight=False)


def from_squad(work: Path, squad: Path, export: str) -> list[Asked]:
    """Return SQuAD's questions and ours about all of its articles but those that quality is measured on."""
    index = index_of(work / "squad", squad / "docs", export, Remembering(Path(export)))
    theirs = read_questions(squad / "questions.jsonl")
    known = [one for one in theirs if article_of(index, one) not in SQUAD_HELD_OUT]
    own = [read_questions(HERE / "questions" / f"{name}.jsonl") for name in ABOUT_SQUAD]
    return useful(index, [*known, *chain.from_iterable(own)])


def main() -> None:
    """Gather, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pairs", type=Path, help="the file to write")
    parser.add_argument(
        "--projects", type=Path, required=True, help="folder made by benchmarks/quality/fetch.py"
    )
    parser.add_argument("--squad", type=Path, required=True, help="folder with docs/ and questions.jsonl")
    parser.add_argument("--work", type=Path, required=True, help="keep indexes here and use them again")
    given = parser.parse_args()
    export = exported(PACKAGED_MODEL, given.work)
    learned = from_documentation(given.work, PACKAGED_MODEL, given.projects)
    learned[SQUAD] = from_squad(given.work, given.squad, export)
    measured = {
        one.name: [candidates_of(one.index, known) for known in one.look]
        for one in open_sets(given.work, PACKAGED_MODEL, squad=given.squad, projects=given.projects)
    }
    chance = random.Random(SEED)
    learned = {name: chance.sample(asked, len(asked)) for name, asked in learned.items()}
    pack(learned, measured, load_tokenizer(Path(export) / TOKENIZER_FILE)).write(given.pairs)
    for name, asked in learned.items():
        say.print(f"{name}: {len(asked)} questions")
    say.print(f"{sum(map(len, learned.values()))} questions to learn from, in {given.pairs}")


if __name__ == "__main__":
    main()
