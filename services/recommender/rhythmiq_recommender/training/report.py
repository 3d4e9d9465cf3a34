"""The training report: one JSON document, and one page made of it that needs nothing else to be read."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from rhythmiq_recommender.training import plots
from rhythmiq_recommender.training.promotion import METRIC
from rhythmiq_recommender.training.steps import write_json

FORMAT: Final = "rhythmiq-training-report"
FORMAT_VERSION: Final = 1
PAGE, DOCUMENT = "report.html", "report.json"
_MEASURED: Final = "ndcg@10"
_UNKNOWN: Final = "not known"
MOST_FEATURES: Final = 25
"""Features that the page shows; the document has all."""

Document = Mapping[str, Any]


def write(folder: Path, document: Document) -> None:
    """Writes both files."""
    whole = {"format": FORMAT, "format_version": FORMAT_VERSION, **document}
    write_json(folder / DOCUMENT, whole)
    (folder / PAGE).write_text(page(whole), encoding="utf-8")


def page(document: Document) -> str:
    """The page of a document."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": _number, "interval": _interval, "percent": _percent, "signed": _signed}
    template = environment.from_string(files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    return template.render(report=document, pictures=_pictures(document), metric=METRIC, most_features=MOST_FEATURES)


def _pictures(report: Document) -> dict[str, Markup]:
    """SVG of our own making; where there is nothing to draw there is no picture."""
    quality = report["quality"]
    drawn = {"quality": plots.intervals([(name, value[_MEASURED]) for name, value in quality.items()], METRIC)}
    losses = f"{METRIC} lost without it"
    for name in ("feature_groups", "environment_kinds"):
        rows = list(report["ablation"][name].items())
        drawn[name] = plots.losses(rows, losses) if rows else ""
    drawn["cold_start"] = _cold_start(report)
    drawn["calibration"] = plots.calibration(report["calibration"]["points"]) if report["calibration"]["points"] else ""
    history = report["selection"]["history"]
    drawn["selection"] = plots.history(history, METRIC) if history else ""
    # What is marked as safe here, matplotlib has escaped.
    return {name: Markup(picture) for name, picture in drawn.items()}  # noqa: S704


def _cold_start(report: Document) -> str:
    rows = report["cold_start"]
    if not rows:
        return ""
    names = list(rows[0]["quality"])
    series = {name: [(row["interactions"], row["quality"][name]) for row in rows] for name in names}
    return plots.lines(series, METRIC, "earlier interactions of the listener")


def _number(value: float | int | None) -> str:
    if value is None or value != value:
        return _UNKNOWN
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4f}" if abs(value) < 100 else f"{value:,.0f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _percent(value: float | None) -> str:
    return _UNKNOWN if value is None or value != value else f"{value:.1%}"


def _interval(value: Mapping[str, float]) -> str:
    return f"{_number(value['mean'])} ({_number(value['low'])} to {_number(value['high'])})"
