"""Measures answers on the development sets, beside the plain way and with each mechanism switched off.

    python benchmarks/quality/run.py [--projects FOLDER] [--squad FOLDER] [--work FOLDER] [--no-ablation]

Only the halves that are not looked at while developing are scored; a set without one has no figures. Writes
RESULTS.md beside itself.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.quality import baseline, fetch, mechanisms, tables
from benchmarks.quality.sets import Set, open_sets
from index.export import PACKAGED_MODEL
from service import __version__
from service.answer import THRESHOLD
from service.askers import ask_here
from service.evaluate import evaluate
from service.figures import Figures, Outcome, by_type, figures
from service.known import KnownQuestion

RESULTS = Path(__file__).with_name("RESULTS.md")

ABLATED = 300
"""Scored questions of each set, the first ones, that are asked again without each mechanism."""

MEANING = """\
`always`: of the answerable questions, the best candidate is right. `right`: given and right. `right in all`:
right answers and right refusals, of all questions, with Wilson's 95 % interval. `wrong of given`: of the
answers given. AURC: area under the risk-coverage curve, ECE: expected calibration error, both best at 0;
in brackets what chance makes of it with as many questions, if every confidence is exactly right.
docs/measuring.md says more. `plain` is a vector search as it is commonly built on the same encoder: each
paragraph, list item and table is a passage, the nearest by cosine wins, and in it the nearest sentence or
row. The best threshold is the one with most right replies on the half that is looked at."""

say = Console(stderr=True, highlight=False)


def asked(one: Set, most: int | None = None) -> list[Outcome]:
    """Return what came of the scored questions of a set, of the first `most` of them where it is given."""
    return outcomes(one, one.score[:most])


def outcomes(one: Set, questions: Sequence[KnownQuestion]) -> list[Outcome]:
    """Return what came of some questions of a set."""
    return [result.outcome for result in evaluate(questions, ask_here(one.index))]


def plain_reader(one: Set) -> list[Outcome]:
    """Return what came of the scored questions without the cross-encoder."""
    return outcomes(replace(one, index=replace(one.index, pairs=None)), one.score)


def compared(one: Set, ours: Sequence[Outcome], plain_ours: Sequence[Outcome]) -> dict[str, Figures]:
    """Return our figures on a set and those of the plain way, with and without the best threshold."""
    best = baseline.best_threshold(outcomes(one, one.look))
    corpus = baseline.plain(one.index.snapshot, one.index.encoder)
    bound = baseline.best_threshold(baseline.measure(corpus, one.look))
    plain = baseline.measure(corpus, one.score)
    return {
        f"Pullquote, threshold {THRESHOLD:g}": figures(ours, THRESHOLD),
        f"Pullquote, best threshold {best:.2f}": figures(ours, best),
        f"Pullquote, plain reader, threshold {THRESHOLD:g}": figures(plain_ours, THRESHOLD),
        "plain, everything answered": figures(plain, 0.0),
        f"plain, best threshold {bound:.2f}": figures(plain, bound),
    }


def ablation(sets: Sequence[Set], whole: dict[str, list[Outcome]]) -> str:
    """Return a table: each mechanism off in turn, for each set what the figures are then."""
    rows = []
    for name in mechanisms.MECHANISMS:
        for one in sets:
            say.print(f"without {name}: {one.name}")
            with mechanisms.switched_off(name):
                found = asked(one, ABLATED)
            before, after = figures(whole[one.name][:ABLATED], THRESHOLD), figures(found, THRESHOLD)
            rows.append([f"{name}, {one.name}", *tables.lost(before, after)])
    return tables.table(("without", "recall@5", "always", "right in all", "AURC"), rows)


def machine(sets: Sequence[Set]) -> str:
    """Return what was measured, on what, with what."""
    export = sets[0].index.encoder.export
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "onnxruntime", "faiss-cpu"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, Pullquote {__version__}; "
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()};\n{libraries};\n"
        f"model {export.model}, fingerprint {export.fingerprint[:16]}"
    )


def report(sets: Sequence[Set], *, with_ablation: bool) -> str:
    """Return RESULTS.md."""
    whole: dict[str, list[Outcome]] = {}
    plain: dict[str, list[Outcome]] = {}
    parts = ["# Quality", "", machine(sets), "", MEANING, ""]
    scored = [one for one in sets if one.score]
    for one in sets:
        say.print(f"{one.name}: {len(one.score)} questions")
        if not one.score:
            parts += [f"## {one.name}: all {len(one.look)} questions are looked at, none is scored", ""]
            continue
        whole[one.name] = asked(one)
        plain[one.name] = plain_reader(one)
        found = compared(one, whole[one.name], plain[one.name])
        first = next(iter(found.values()))
        parts += [f"## {one.name}: {first.questions} questions, {first.answerable} answerable", ""]
        parts += [tables.main_table(found), ""]
        types = by_type(whole[one.name], THRESHOLD)
        parts += [tables.main_table(types), ""] if len(types) > 1 else []
    if with_ablation:
        parts += ["## Each mechanism switched off", ""]
        parts += [
            f"Of each set the first {ABLATED} scored questions. In brackets the difference; weights and"
        ]
        parts += [
            "calibration are not fitted again, so that what others could stand in for looks larger.",
            "",
        ]
        parts += [ablation(scored, whole), ""]
    return "\n".join(parts)


@contextmanager
def folder(given: Path | None) -> Iterator[Path]:
    """Hand out the folder given, or one that is gone afterwards."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def arguments(*switches: str) -> argparse.Namespace:
    """Return the command line of this script and of fit.py."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--projects", type=Path, help="folder made by fetch.py")
    parser.add_argument("--squad", type=Path, help="folder with docs/ and questions.jsonl")
    parser.add_argument("--work", type=Path, help="keep indexes here and use them again")
    parser.add_argument("--model", default=PACKAGED_MODEL)
    for switch in switches:
        parser.add_argument(switch, action="store_true")
    given = parser.parse_args()
    if given.projects is not None and (missing := fetch.incomplete(given.projects)):
        parser.error(
            f"{given.projects} does not hold the documents of {', '.join(missing)}; "
            f"run python benchmarks/quality/fetch.py {given.projects}"
        )
    return given


def main() -> None:
    """Measure and write RESULTS.md."""
    given = arguments("--no-ablation")
    with folder(given.work) as work:
        sets = open_sets(work, given.model, squad=given.squad, projects=given.projects)
        text = report(sets, with_ablation=not given.no_ablation)
    RESULTS.write_text(text, encoding="utf-8")
    say.print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
