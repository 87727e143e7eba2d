"""Measures Pullquote beside its peers: the same passages, the same model, the same questions, the same cores.

    python benchmarks/peers/run.py WORK [--documents FOLDER] [--quick] [--only NAME ...]

WORK holds the peers' environments, the documents, the indexes and the logs, and is used again. --documents
takes what benchmarks/quality/fetch.py has fetched. Writes RESULTS.md, RESULTS.json and the plots beside
itself; of --quick and --only, which are for trying it out, into WORK/quick or WORK/full.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console

from benchmarks.peers import environments, report
from benchmarks.peers.corpus import prepare, questions
from benchmarks.peers.machine import machine
from benchmarks.peers.measure import FULL, QUICK, Bench, Figures, Plan, built, encoder_alone, measured
from benchmarks.peers.processes import Failed
from benchmarks.peers.systems import SYSTEMS, Places, System, own_python
from benchmarks.quality import fetch
from benchmarks.quality.sets import exported
from index.encoder import OnnxEncoder
from index.export import PACKAGED_MODEL

HERE = Path(__file__).parent
RAW, TABLE = "RESULTS.json", "RESULTS.md"

say = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


@dataclass(slots=True)
class Results:
    """All that was measured so far."""

    plan: Plan
    rounds: list[dict[str, Figures]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    machine: dict[str, object] = field(default_factory=machine)

    def attempt(self, name: str, step: Callable[[], Figures]) -> bool:
        """Keep the figures of a step in the last round, or why it failed; return whether it went well."""
        try:
            self.rounds[-1].setdefault(name, {}).update(step())
        except (Failed, OSError) as error:
            self.failed[name] = str(error)
            say.print(f"{name}: FAILED: {error}")
            return False
        return True


def equipped(systems: Sequence[System], work: Path, results: Results) -> dict[str | None, Path]:
    """Return the interpreters of the environments that the systems need; one that fails is left out."""
    found: dict[str | None, Path] = {None: own_python()}
    log = work / "environments" / "versions.log"
    results.versions["own"] = environments.versions(own_python(), log)
    for name in dict.fromkeys(one.environment for one in systems if one.environment):
        say.print(f"environment {name}")
        try:
            found[name] = environments.ensure(name, work)
            results.versions[name] = environments.versions(found[name], log)
        except (Failed, OSError) as error:
            found.pop(name, None)
            say.print(f"environment {name}: FAILED: {error}")
            results.failed |= {one.name: str(error) for one in systems if one.environment == name}
    return found


def round_of(bench: Bench, places: dict[str, Places], results: Results, *, build: bool) -> None:
    """Measure each system once, one after the other."""
    ready: set[str] = set()
    for system in SYSTEMS:
        if system.name not in places or system.name in results.failed:
            continue
        mine = places[system.name]
        if system.index_name not in ready and (build or not mine.index.exists()):
            say.print(f"{system.name}: building")
            if system.build(mine) and not results.attempt(system.name, _step(built, bench, system, mine)):
                continue
        ready.add(system.index_name)
        say.print(f"{system.name}: asking")
        results.attempt(system.name, _step(measured, bench, system, mine))
        say.print(f"{system.name}: {_line(results.rounds[-1].get(system.name, {}))}")
    own = next((places[one.name] for one in SYSTEMS if one.kind == "own" and one.name in places), None)
    if own is not None and own.index.exists():
        say.print(f"{report.ENCODER}: asking")
        results.attempt(report.ENCODER, lambda: encoder_alone(bench, own))


def _step(
    step: Callable[[Bench, System, Places], Figures], bench: Bench, system: System, places: Places
) -> Callable[[], Figures]:
    return lambda: step(bench, system, places)


def _line(figures: Figures) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in figures.items())


def write(results: Results, folder: Path) -> str:
    """Write the raw figures, the table and the plots, and return the table."""
    raw = asdict(results)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RAW).write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    text = report.markdown(raw)
    (folder / TABLE).write_text(text, encoding="utf-8")
    for name, drawn in report.plots(raw).items():
        (folder / name).write_text(drawn, encoding="utf-8")
    return text


def main() -> int:
    """Measure and write; return 0, or 1 when a system failed."""
    # Told to end, it ends the servers that it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    names = [one.name for one in SYSTEMS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--documents", type=Path, help="made by benchmarks/quality/fetch.py")
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it works")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="instead of three")
    parser.add_argument("--builds", type=int, help="rounds in which the index is built anew; default: all")
    asked = parser.parse_args()
    plan = QUICK if asked.quick else FULL
    work = asked.work.resolve()
    mine = work / ("quick" if asked.quick else "full")
    fetched = asked.documents or work / "documents"
    if asked.documents is None and fetch.main([str(fetched)]):
        return 1
    systems = [one for one in SYSTEMS if asked.only is None or one.name in asked.only]
    results = Results(plan)
    pythons = equipped(systems, work, results)
    say.print("passages")
    work.mkdir(parents=True, exist_ok=True)
    export = Path(exported(PACKAGED_MODEL, work))
    prepared = prepare(fetched, mine / "corpus", plan.passages, OnnxEncoder(export))
    bench = Bench(prepared, questions(), plan, mine / "logs")
    places = {
        one.name: Places(
            python=pythons[one.environment],
            model=environments.model(pythons[one.environment]) if one.environment else export,
            passages=prepared.passages,
            documents=prepared.documents,
            index=mine / "indexes" / one.index_name,
        )
        for one in systems
        if one.environment in pythons
    }
    rounds = asked.rounds or plan.rounds
    for number in range(rounds):
        say.print(f"round {number + 1} of {rounds}")
        results.rounds.append({})
        # The first one builds in any case: what lies there may be of other passages.
        round_of(bench, places, results, build=number < max(1, asked.builds or rounds))
        write(results, mine)
    sys.stdout.write(write(results, mine if asked.quick or asked.only else HERE))
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
