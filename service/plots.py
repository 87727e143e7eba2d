"""The plots of a report, each as one `data:` address: the only module that uses matplotlib."""

from __future__ import annotations

import base64
import importlib.util
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.figures import Bin, Figures, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from service.bench import Load

INK, MUTED, ACCENT = "#1f2933", "#9aa5b1", "#0b6e99"
STYLE = {
    "svg.hashsalt": "pullquote",  # the same figures give the same bytes
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,  # a `$` in a name begins no formula
}


def can_plot() -> bool:
    """Return whether the library that draws is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def risk_coverage(points: Sequence[Point], threshold: float) -> str:
    """Return the curve of wrong answers over answers given, the threshold's place marked."""
    with _style():
        figure, axes = _axes(4.6, 3.4)
        axes.plot([one.coverage for one in points], [one.risk for one in points], color=ACCENT)
        here = [one for one in points if one.confidence >= threshold]
        if here:
            axes.plot([here[-1].coverage], [here[-1].risk], "o", color=INK)
            axes.annotate(
                f"threshold {threshold:.2f}",
                (here[-1].coverage, here[-1].risk),
                textcoords="offset points",
                xytext=(6, -12),
            )
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="coverage: answers given, of all questions")
        axes.set_ylabel("risk: wrong among them")
        return _address(figure)


def reliability_diagram(bins: Sequence[Bin]) -> str:
    """Return how often candidates are right against how sure they were; the dots' areas are their counts."""
    with _style():
        figure, axes = _axes(4.6, 3.4)
        most = max((one.count for one in bins), default=1)
        axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
        confidences, shares = [one.confidence for one in bins], [one.right for one in bins]
        axes.plot(confidences, shares, color=ACCENT, linewidth=1)
        axes.scatter(
            confidences, shares, [12 + 130 * one.count / most for one in bins], color=ACCENT, clip_on=False
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share right")
        return _address(figure)


def right_by_type(types: Mapping[str, Figures]) -> str:
    """Return a bar a type: the share of its questions with a right answer or a right refusal."""
    with _style():
        figure, axes = _axes(9.4, 0.9 + 0.26 * len(types))
        names = list(types)[::-1]
        shares = [types[name].right_in_all or 0.0 for name in names]
        places = range(len(names))
        axes.barh(places, shares, color=ACCENT, height=0.7)
        for place, share in zip(places, shares, strict=True):
            axes.text(share + 0.01, place, f"{share:.2f}", va="center")
        axes.set_yticks(places, [name[:40] for name in names])
        axes.set(xlim=(0, 1.06), xlabel="right in all")
        return _address(figure)


def within(loads: Sequence[Load]) -> str:
    """Return which share of the questions was answered within so many milliseconds, a line for each load."""
    with _style():
        figure, axes = _axes(4.6, 3.4)
        for load in loads:
            times = load.milliseconds
            shares = [(number + 1) / len(times) for number in range(len(times))]
            kind = ACCENT if load.kind == "ask" else INK
            axes.plot(
                times, shares, color=kind, linestyle="-" if load.clients == 1 else "--", label=_named(load)
            )
        axes.set(xscale="log", ylim=(0, 1.02), xlabel="milliseconds", ylabel="share of the questions")
        axes.legend(frameon=False, loc="lower right")
        return _address(figure)


def stages(loads: Sequence[Load], names: Sequence[str]) -> str:
    """Return a bar for each load of one question at a time, made of the medians of its stages."""
    with _style():
        alone = [load for load in loads if load.clients == 1]
        figure, axes = _axes(4.6, 0.9 + 0.6 * len(alone))
        for place, load in enumerate(alone):
            left = 0.0
            for name, color in zip(names, (INK, ACCENT, MUTED), strict=False):
                width = load.stages.get(name, 0.0)
                axes.barh([place], [width], left=left, color=color, label=name if place == 0 else None)
                left += width
        axes.set_yticks(range(len(alone)), [load.kind for load in alone])
        axes.set(xlabel="milliseconds")
        axes.legend(frameon=False, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return _address(figure)


def _named(load: Load) -> str:
    return f"{load.kind}, {load.clients} at a time"


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _address(figure: Figure) -> str:
    """Return a drawing as a `data:` address of an SVG file."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")
