"""RESULTS.md and the plots, of the raw figures in RESULTS.json."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from benchmarks.peers.measure import CLIENTS
from benchmarks.peers.systems import SYSTEMS, System

Raw = Mapping[str, Any]
"""What run.py keeps: `machine`, `plan`, `versions`, `failed`, and `rounds` of figures by system."""

Medians = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the table."""

    key: str
    title: str
    unit: str
    more_is_better: bool = False
    compared: bool = True


FIGURES = (
    Figure("many_qps", f"questions/s, {CLIENTS} clients", "1/s", more_is_better=True),
    Figure("many_p50", f"p50, {CLIENTS} clients", "ms"),
    Figure("many_p95", f"p95, {CLIENTS} clients", "ms"),
    Figure("many_p99", f"p99, {CLIENTS} clients", "ms"),
    Figure("one_p50", "p50, 1 client", "ms"),
    Figure("one_p95", "p95, 1 client", "ms"),
    Figure("one_p99", "p99, 1 client", "ms"),
    Figure("passages_per_s", "passages/s indexed", "1/s", more_is_better=True),
    Figure("build_s", "index built in", "s"),
    Figure("cold_s", "cold start", "s"),
    Figure("loaded_mb", "memory, loaded", "MB"),
    Figure("asked_mb", "memory, after the questions", "MB"),
    Figure("change_ms", "a change found after", "ms"),
    Figure("change_worst_ms", "the worst of the changes", "ms"),
    Figure("change_confirmed_ms", "a change confirmed after", "ms"),
    Figure("change_neither", "questions that found neither text", "", compared=False),
    Figure("change_failed", "questions that failed during changes", "", compared=False),
    Figure("failed", "questions that failed under load", "", compared=False),
)

PLOTS = (
    ("many_qps", "questions-per-second", f"Questions a second, {CLIENTS} clients (longer is better)"),
    ("one_p50", "latency", "Milliseconds a question, 1 client, median (shorter is better)"),
    ("asked_mb", "memory", "Memory after the questions, MB (shorter is better)"),
    (
        "cold_s",
        "cold-start",
        "Seconds from the process's start to the first right answer (shorter is better)",
    ),
    ("passages_per_s", "indexing", "Passages indexed a second (longer is better)"),
)

INK, MUTED, ACCENT = "#1f2933", "#9aa5b1", "#0b6e99"
"""Those of service/plots.py."""

ROW, BAR, LEFT, RIGHT, TOP, WIDTH = 26, 16, 210, 70, 40, 720
ENCODER = "encoder"


def medians(rounds: Iterable[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the median of each figure of each system over the rounds it was measured in."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in rounds:
        for name, figures in one.items():
            for key, value in figures.items():
                found.setdefault(name, {}).setdefault(key, []).append(value)
    return {
        name: {key: statistics.median(values) for key, values in figures.items()}
        for name, figures in found.items()
    }


def best_peer(figure: Figure, middle: Medians) -> tuple[System, float] | None:
    """Return the peer that is best at a figure, and its value; None where no peer has it."""
    having = [
        (one, middle[one.name][figure.key])
        for one in SYSTEMS
        if one.kind == "peer" and figure.key in middle.get(one.name, {})
    ]
    pick = max if figure.more_is_better else min
    return pick(having, key=lambda one: one[1], default=None)


def ratio(figure: Figure, own: float, peer: float) -> float:
    """Return how many times as good `own` is: above 1 it is better, whichever way the figure runs."""
    above, below = (own, peer) if figure.more_is_better else (peer, own)
    return above / below if below else float("inf")


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rule = "| --- |" + " ---: |" * (len(head) - 1)
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def _compared(middle: Medians) -> list[str]:
    """Return the table of our figures against the best peer's."""
    own = [one for one in SYSTEMS if one.kind == "own" and one.name in middle]
    rows = []
    for figure in FIGURES:
        best = best_peer(figure, middle)
        if not figure.compared or best is None:
            continue
        cells = [f"{figure.title}{f' ({figure.unit})' if figure.unit else ''}"]
        for one in own:
            value = middle[one.name].get(figure.key)
            cells += [_shown(value), "–" if value is None else f"{ratio(figure, value, best[1]):.2f}"]
        rows.append([*cells, f"{_shown(best[1])} ({best[0].title})"])
    head = [""]
    for one in own:
        head += [one.title, "times as good"]
    return ["## Against the best peer", "", *_table([*head, "best peer"], rows)] if rows else []


def _all(middle: Medians) -> list[str]:
    """Return the table of all figures of all systems."""
    measured = [one for one in SYSTEMS if one.name in middle]
    rows = [
        [
            f"{figure.title}{f' ({figure.unit})' if figure.unit else ''}",
            *(_shown(middle[one.name].get(figure.key)) for one in measured),
        ]
        for figure in FIGURES
    ]
    return _table(["", *(one.title for one in measured)], rows)


def _encoder(middle: Medians) -> list[str]:
    """Return how much of the bare encoder's pace each of our doors reaches."""
    alone = middle.get(ENCODER)
    if alone is None:
        return []
    most = max(alone["encoder_one"], alone["encoder_many"])
    lines = [
        f"Pullquote's encoder alone, in its own process with nothing around it, encodes {_shown(most)} "
        f"of the same questions a second ({_shown(alone['encoder_one'])} with one thread asking, "
        f"{_shown(alone['encoder_many'])} with {CLIENTS}).",
    ]
    for one in SYSTEMS:
        if one.kind == "own" and "many_qps" in middle.get(one.name, {}):
            share = middle[one.name]["many_qps"] / most
            lines.append(f"{one.title} reaches {share:.0%} of that with {CLIENTS} clients.")
    return ["", " ".join(lines)]


def _generator(middle: Medians) -> list[str]:
    """Return whether the load generator holds anyone back."""
    asked = [one for one in SYSTEMS if "many_qps" in middle.get(one.name, {})]
    ceiling, others = middle.get("ceiling", {}), [one for one in asked if one.knows]
    if "many_qps" not in ceiling or not others:
        return []
    fastest = max(others, key=lambda one: middle[one.name]["many_qps"])
    used = middle[fastest.name]["many_load_cpu"]
    return [
        "",
        f"Against a constant the load generator comes to {_shown(ceiling['many_qps'])} questions a second, "
        f"against the fastest of the others, {fastest.title}, to {_shown(middle[fastest.name]['many_qps'])}, "
        f"and takes {used:.0%} of one core for it.",
    ]


def _quiet(raw: Raw) -> list[str]:
    """Return how far the machine was used by others; a busy one makes figures that mean nothing."""
    seen = [
        figures["others_busy"]
        for one in raw["rounds"]
        for figures in one.values()
        if "others_busy" in figures
    ]
    if not seen:
        return []
    return [
        "",
        f"Just before the servers were started, other processes took {statistics.median(seen):.0%} of the "
        f"cores in the median and {max(seen):.0%} at most.",
    ]


def _versions(raw: Raw) -> list[str]:
    lines = []
    for one in SYSTEMS:
        found = raw["versions"].get(one.environment or "own", {})
        named = [f"{name} {found[name]}" for name in one.shown if name in found]
        if named and one.kind != "bound":
            lines.append(f"- {one.title}: {', '.join(named)}")
    for name in ("torch", "sentence-transformers", "uvicorn"):
        versions = sorted({found[name] for found in raw["versions"].values() if name in found})
        lines.append(f"- {name}: {', '.join(versions) or 'in none'}")
    return lines


def markdown(raw: Raw) -> str:
    """Return RESULTS.md."""
    middle, about, plan = medians(raw["rounds"]), raw["machine"], raw["plan"]
    flags = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in about["flags"].items())
    settings = ", ".join(f"{name}={value}" for name, value in about["variables"].items())
    lines = [
        "# Pullquote and its peers",
        "",
        f"`python benchmarks/peers/run.py WORK`, {about['date']}, at {about['commit']}; "
        f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB; {flags}; "
        f"Linux {about['kernel']}, Python {about['python']}{f'; {settings}' if settings else ''}.",
        "",
        f"All index the same {plan['passages']:,} passages with all-MiniLM-L6-v2 and return five; Pullquote "
        "gets the documents that the passages were cut from. "
        f"Each server runs alone, started anew in each of {len(raw['rounds'])} rounds, in which all "
        "take turns; the figures are medians of the rounds. No question is asked twice of a server, every "
        "reply has to be 200 with at least one passage, the load generator shares the cores. `ceiling` and "
        "`bare` are no products: FastAPI "
        "with a constant, and the least that a search by meaning has to do.",
        "",
        *_compared(middle),
        *_encoder(middle),
        *_generator(middle),
        *_quiet(raw),
        "",
        "## All figures",
        "",
        *_all(middle),
        "",
        "Cold start: from the process's start to the first right answer over HTTP, with the index on a disk "
        "that was read before. Memory: PSS over the process and all that it started. A change: one document "
        "of one passage is replaced while another client asks about it without a pause; it is found when the "
        "first reply holds the new text, confirmed when its own request is answered, by when all have "
        "written it to disk. *Neither*: replies meanwhile that held neither the old text nor the new.",
        "",
        *(f"![{title}]({name}.svg)" for _, name, title in PLOTS),
        "",
        "## Versions",
        "",
        *_versions(raw),
    ]
    if raw["failed"]:
        lines += ["", "## Failed", ""]
        lines += [f"- {name}:\n\n```\n{reason}\n```" for name, reason in raw["failed"].items()]
    return "\n".join(lines) + "\n"


def plots(raw: Raw) -> dict[str, str]:
    """Return each plot as SVG by the name of its file."""
    middle = medians(raw["rounds"])
    found = {}
    for key, name, title in PLOTS:
        figure = next(one for one in FIGURES if one.key == key)
        having = [one for one in SYSTEMS if key in middle.get(one.name, {}) and one.knows]
        bars = [(one.title, middle[one.name][key], one.kind) for one in having]
        bars.sort(key=lambda one: one[1], reverse=figure.more_is_better)
        found[f"{name}.svg"] = bar_plot(title, bars)
    return found


def bar_plot(title: str, bars: Sequence[tuple[str, float, str]]) -> str:
    """Return horizontal bars, each with name, value and kind of its system, as SVG."""
    height = TOP + ROW * len(bars) + 10
    most = max((value for _, value, _ in bars), default=0.0) or 1.0
    colours = {"own": ACCENT, "peer": MUTED, "bound": "none"}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="22" font-weight="600" fill="{INK}">{escape(title)}</text>',
    ]
    for number, (name, value, kind) in enumerate(bars):
        y = TOP + ROW * number
        length = (WIDTH - LEFT - RIGHT) * value / most
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end" fill="{INK}">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colours[kind]}" '
            f'stroke="{colours[kind] if kind != "bound" else MUTED}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}" fill="{INK}">{_shown(value)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
