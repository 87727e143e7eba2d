"""A measurement of `pullquote bench` as rows of a table, and as one HTML file with plots."""

from __future__ import annotations

from html import escape

from service import __version__, plots
from service.bench import Load, Measured
from service.observing import STAGES
from service.report import POLICY, STYLE

COLUMNS = ("", "at a time", "questions/s", "p50 ms", "p95 ms", "p99 ms", *(f"{name} ms" for name in STAGES))


def row(load: Load) -> list[str]:
    """Return a cell for each of COLUMNS; the stages are medians in milliseconds."""
    found = (load.percentile(0.5), load.percentile(0.95), load.percentile(0.99))
    stages = [f"{load.stages[name]:.1f}" if name in load.stages else "–" for name in STAGES]
    return [
        load.kind,
        str(load.clients),
        f"{load.per_second:,.1f}",
        *(f"{one:.1f}" for one in found),
        *stages,
    ]


def facts(done: Measured) -> list[tuple[str, str]]:
    """Return what else was measured: name and value."""
    found = [("measured", f"{done.source}, {done.cores} cores, Pullquote {__version__}")]
    if done.passages is not None:
        found.append(("passages", f"{done.passages:,}"))
    if done.open_ms is not None:
        found.append(("opening the index", f"{done.open_ms:,.0f} ms"))
    if done.encoded_per_second is not None:
        found.append(("the encoder alone", f"{done.encoded_per_second:,.0f} questions/s"))
    if done.memory_mb is not None:
        found.append(("most memory", f"{done.memory_mb:,.0f} MB"))
    return found


def page(done: Measured) -> str:
    """Return the whole page."""
    drawn = (
        ("Questions answered within so many milliseconds", plots.within([*done.loads])),
        ("Milliseconds of each stage, one question at a time", plots.stages([*done.loads], STAGES)),
    )
    shown = "".join(f'<figure><img alt="{escape(name)}" src="{address}"></figure>' for name, address in drawn)
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    rows = "".join(
        "<tr>" + "".join(f'<td class="n">{escape(cell)}</td>' for cell in row(load)) + "</tr>"
        for load in done.loads
    )
    told = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts(done))
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(done.source)}: how fast</title><style>{STYLE}</style></head><body>",
            "<h1>How fast this machine answers</h1>",
            f"<table>{told}</table>",
            f"<table><tr>{head}</tr>{rows}</table>",
            f'<div class="plots">{shown}</div>',
            *(f'<p class="note">{escape(note)}</p>' for note in done.notes),
            "</body></html>\n",
        )
    )
