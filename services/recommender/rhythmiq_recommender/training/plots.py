"""The report's pictures, as SVG that stands inside the page: text stays text, and the same data give the same bytes."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Interval = Mapping[str, float]
"""`mean`, `low` and `high`."""

_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rhythmiq",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_OURS: Final = "#3b5bdb"
_OTHERS: Final = "#868e96"
_LOSS: Final = "#c92a2a"
_WIDTH: Final = 6.4
"""Inches."""


def intervals(rows: Sequence[tuple[str, Interval]], axis: str, ours: str = "model") -> str:
    """A horizontal bar a row with its interval; `ours` stands out."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.32 * len(rows) + 0.7)
        for place, (name, value) in enumerate(reversed(rows)):
            axes.barh(place, value["mean"], color=_OURS if name == ours else _OTHERS, height=0.62)
            axes.plot([value["low"], value["high"]], [place, place], color="#212529", linewidth=1.4)
        axes.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
        axes.set_xlabel(axis)
        return _svg(figure, f"{axis} with 95% intervals: {', '.join(name for name, _ in rows)}")


def losses(rows: Sequence[tuple[str, Interval]], axis: str) -> str:
    """What is lost without each, with intervals; gains (it would be better left out) in another colour."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(0.28 * len(rows) + 0.7)
        ordered = sorted(rows, key=lambda row: (row[1]["mean"], row[0]))
        for place, (_, value) in enumerate(ordered):
            axes.barh(place, value["mean"], color=_OURS if value["mean"] >= 0 else _LOSS, height=0.62)
            axes.plot([value["low"], value["high"]], [place, place], color="#212529", linewidth=1.2)
        axes.set_yticks(range(len(ordered)), [name for name, _ in ordered])
        axes.axvline(0, color="#212529", linewidth=0.8)
        axes.set_xlabel(axis)
        return _svg(figure, f"{axis}: {', '.join(name for name, _ in ordered)}")


def calibration(points: Sequence[Mapping[str, float]]) -> str:
    """Foretold against observed share of likes, by tenths of the scores; the diagonal would be exact."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(3.6, width=4.2)
        most = max([0.05, *(max(point["foretold"], point["observed"]) for point in points)]) * 1.05
        axes.plot([0, most], [0, most], color=_OTHERS, linewidth=0.9, linestyle="--")
        axes.plot(
            [point["foretold"] for point in points], [point["observed"] for point in points], "o-", color=_OURS, ms=4
        )
        axes.set_xlabel("foretold share of likes")
        axes.set_ylabel("observed")
        return _svg(figure, "calibration: foretold against observed share of likes")


def history(values: Sequence[float], axis: str) -> str:
    """Each trial of model selection, and the best so far."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.4)
        number = range(1, len(values) + 1)
        best = [max(values[: place + 1]) for place in range(len(values))]
        axes.plot(number, values, "o", color=_OTHERS, ms=3)
        axes.step(number, best, where="post", color=_OURS)
        axes.set_xlabel("trial")
        axes.set_ylabel(axis)
        return _svg(figure, f"model selection: {axis} by trial")


def lines(series: Mapping[str, Sequence[tuple[str, Interval]]], axis: str, below: str) -> str:
    """One line a name over the same places, with intervals."""
    with mpl.rc_context(_STYLE):
        figure, axes = _canvas(2.8)
        for shift, (name, points) in enumerate(series.items()):
            x = [place + 0.06 * shift for place in range(len(points))]
            colour = _OURS if name == "model" else f"C{shift + 1}"
            axes.plot(x, [value["mean"] for _, value in points], "o-", color=colour, ms=4, label=name)
            for at, (_, value) in zip(x, points, strict=True):
                axes.plot([at, at], [value["low"], value["high"]], color=colour, linewidth=1)
            axes.set_xticks(range(len(points)), [label for label, _ in points])
        axes.set_ylabel(axis)
        axes.set_xlabel(below)
        axes.legend(frameon=False)
        return _svg(figure, f"{axis} by {below}: {', '.join(series)}")


def _canvas(height: float, width: float = _WIDTH) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, title: str) -> str:
    """The drawing alone, without what a file has around it."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    text = out.getvalue()
    named = f'<svg role="img" aria-label="{html.escape(title)}" '
    return named + text[text.index("<svg ") + len("<svg ") :]
