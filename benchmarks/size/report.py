"""RESULTS.md and the plots, of the raw figures in RESULTS.json."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

Raw = Mapping[str, Any]
"""What run.py keeps: `machine`, `likeness`, and of each of the `sizes` its figures."""

Row = tuple[str, Callable[[Mapping[str, Any]], float | None]]


def _share(one: Mapping[str, Any]) -> float:
    return float((one["memory"]["resident MB"] - one["memory"]["before MB"]) / one["vectors MB"])


ROWS: tuple[Row, ...] = (
    ("documents", lambda one: one["documents"]),
    ("vectors, MB", lambda one: one["vectors MB"]),
    ("index on disk, MB", lambda one: one["disk MB"]),
    ("**search**, ms of a core, p50", lambda one: one["search"]["cpu p50"]),
    ("search, ms of a core, p95", lambda one: one["search"]["cpu p95"]),
    ("search, ms by the clock, p50", lambda one: one["search"]["p50"]),
    ("of it by meaning, ms of a core, p50", lambda one: one["meaning"]["cpu p50"]),
    ("of it by words, ms of a core, p50", lambda one: one["words"]["cpu p50"]),
    ("by words, every list read whole, ms of a core, p50", lambda one: one["dense words"]["cpu p50"]),
    ("by meaning, every row looked at, ms of a core, p50", lambda one: one.get("exact", {}).get("cpu p50")),
    ("encoding the question, ms of a core, p50", lambda one: one["encode"]["cpu p50"]),
    ("encoding and search, ms of a core, p50", lambda one: one["both"]["cpu p50"]),
    ("encoding and search, ms by the clock, p50", lambda one: one["both"]["p50"]),
    ("questions a second of a core", lambda one: one["a second of a core"]),
    ("questions a second", lambda one: one["a second"]),
    ("recall@10 against exact", lambda one: one["recall@10"]),
    ("recall@50 against exact", lambda one: one["recall@50"]),
    ("opened in s of a core", lambda one: one["opened in cpu s"]),
    ("opened in s by the clock", lambda one: one["opened in s"]),
    ("first question, s of a core", lambda one: one["first cpu s"]),
    ("resident, MB", lambda one: one["memory"]["resident MB"]),
    ("of it its own, MB", lambda one: one["memory"]["own MB"]),
    ("resident more than before opening, as a share of the vectors", _share),
    ("built in s of a core, without encoding", lambda one: one.get("build cpu s")),
    ("merged into one segment in s of a core", lambda one: one["merge cpu s"]),
    ("one document changed, ms of a core", lambda one: one["change"]["cpu p50"]),
    ("one document changed, ms by the clock", lambda one: one["change"]["p50"]),
    ("load of the machine", lambda one: one["load"]),
)


def markdown(raw: Raw) -> str:
    """Return RESULTS.md."""
    about, sizes = raw["machine"], raw["sizes"]
    flags = ", ".join(f"{name} {'yes' if there else 'no'}" for name, there in about["flags"].items())
    lines = [
        "# What search costs by the size of the corpus",
        "",
        f"`python benchmarks/size/run.py WORK --real INDEX`, {about['date']}, at {about['commit']}; "
        f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB; {flags}; "
        f"Linux {about['kernel']}, Python {about['python']}.",
        "",
        "In one process, without HTTP. Others were at work on the machine (`load` is how many "
        "processes waited for its cores at the beginning of each size): milliseconds *of a core* are what a "
        "question took of a processor, *by the clock* is with the waiting for one. Search: both rankings, "
        "MaxSim over the best twenty, ten passages.",
        "",
        "| passages | " + " | ".join(f"{one['passages']:,}" for one in sizes) + " |",
        "| --- |" + " ---: |" * len(sizes),
    ]
    lines += [f"| {name} | " + " | ".join(_shown(of(one)) for one in sizes) + " |" for name, of in ROWS]
    lines += ["", *(f"![{title}]({name}.svg)" for name, title, *_ in PLOTS)]
    curves = [one for one in sizes if one.get("curve")]
    if curves:
        lines += ["", "## How many cells to look into", "", "![Recall and time](recall.svg)", ""]
        lines += [
            "| passages | cells | recall@10 | recall@50 | ms of a core, p50 |",
            "| ---: |" + " ---: |" * 4,
        ]
        lines += [
            f"| {one['passages']:,} | {at['probed']} | {at['recall'][0]:.4f} | {at['recall'][1]:.4f} "
            f"| {at['cpu p50']:.2f} |"
            for one in curves
            for at in one["curve"]
        ]
    lines += ["", *_likeness(raw["likeness"])]
    return "\n".join(lines) + "\n"


def _likeness(found: Mapping[str, Any]) -> list[str]:
    """Return what was made up, and how like real passages it is."""
    real, made = found["real"], found["made"]
    head = "| | questions, rank 1 | rank 10 | rank 100 | passages, rank 1 | rank 10 |"
    lines = [
        "## How real the vectors are",
        "",
        "They are made up: to encode a million passages would take this machine five hours. Each is made of "
        "that of a real passage, one of its nearest neighbours, and the difference of two other neighbours "
        "(`real.mixed`). The similarity of real questions and of passages with what is nearest to "
        "them, among as many real and made passages:",
        "",
        head,
        "| --- |" + " ---: |" * 5,
    ]
    for name, one in (("real", real), ("made", made)):
        lines.append(
            f"| {name} | " + " | ".join(f"{at:.3f}" for at in one["questions"] + one["passages"]) + " |"
        )
    return [
        *lines,
        "",
        "The questions were written about some of the real passages, which is why the first is nearer there. "
        "Texts up to 100,000 passages are sentences of real ones and their neighbours, put together; beyond, "
        "each document stands ten times with other vectors and three tenths of its terms exchanged "
        "(`grow`), having been through the pipeline once. Token vectors are the mean of each token's.",
    ]


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


PLOTS: tuple[tuple[str, str, str, tuple[Row, ...]], ...] = (
    (
        "latency",
        "A question",
        "ms of a core, median",
        (
            ("search", lambda one: one["search"]["cpu p50"]),
            ("by meaning", lambda one: one["meaning"]["cpu p50"]),
            ("by words", lambda one: one["words"]["cpu p50"]),
            ("encoding", lambda one: one["encode"]["cpu p50"]),
        ),
    ),
    (
        "throughput",
        "Throughput",
        "questions a second of a core",
        (("all", lambda one: one["a second of a core"]),),
    ),
    (
        "memory",
        "Memory",
        "MB",
        (
            ("resident", lambda one: one["memory"]["resident MB"]),
            ("its own", lambda one: one["memory"]["own MB"]),
            ("the vectors", lambda one: one["vectors MB"]),
        ),
    ),
    (
        "building",
        "Building, without encoding",
        "s of a core",
        (
            ("reading, cutting, writing", lambda one: one.get("build cpu s")),
            ("merging into one segment", lambda one: one["merge cpu s"]),
            ("opening", lambda one: one["opened in cpu s"]),
        ),
    ),
    ("changes", "One document changed", "ms of a core", (("all", lambda one: one["change"]["cpu p50"]),)),
)


def plots(raw: Raw) -> dict[str, str]:
    """Return each plot as SVG by the name of its file."""
    found = {f"{name}.svg": _plot(title, unit, rows, raw["sizes"]) for name, title, unit, rows in PLOTS}
    curves = [one for one in raw["sizes"] if one.get("curve")]
    if curves:
        figure, axes = _axes("Recall and time", "ms of a core, median")
        for one in curves:
            points = [(at["cpu p50"], at["recall"][0]) for at in one["curve"]]
            axes.plot(*zip(*points, strict=True), marker="o", label=f"{one['passages']:,} passages")
        axes.set_xlabel("ms of a core, median")
        axes.set_ylabel("recall@10")
        axes.legend(frameon=False)
        found["recall.svg"] = _svg(figure)
    return found


def _plot(title: str, unit: str, rows: Sequence[Row], sizes: Sequence[Mapping[str, Any]]) -> str:
    figure, axes = _axes(title, unit)
    for name, of in rows:
        points = [(one["passages"], of(one)) for one in sizes if of(one) is not None]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("passages")
    axes.set_ylabel(unit)
    if len(rows) > 1:
        axes.legend(frameon=False)
    return _svg(figure)


def _axes(title: str, unit: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    """Return a figure as SVG, the same for the same figure."""
    with mpl.rc_context({"svg.hashsalt": "size", "svg.fonttype": "none"}):
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
