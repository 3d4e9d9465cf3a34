"""What a run leaves behind: rows of a table, each with its protocol, figures and intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rhythmiq_recommender.learning.evaluate import Ranked
from rhythmiq_recommender.learning.metrics import Estimate, mean_over_users
from rhythmiq_recommender.learning.tables import RawArray

Say = Callable[[str], None]


@dataclass(slots=True)
class Row:
    """One line: who was measured, and how well. `published` rows are quoted, not measured here."""

    name: str
    figures: dict[str, Estimate | float]
    splits: dict[str, list[float]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    published: str = ""
    ours: bool = False
    kept: bool | None = None
    """Whether what is promised of this row holds, where that is more than a figure reaching its target."""

    def as_json(self) -> dict[str, Any]:
        """For the report file."""
        figures = {k: v.as_json() if isinstance(v, Estimate) else {"mean": v} for k, v in self.figures.items()}
        found: dict[str, Any] = {"name": self.name, "figures": figures}
        found |= {"splits": self.splits} if self.splits else {}
        found |= {"source": self.published} if self.published else {}
        found |= {"ours": True} if self.ours else {}
        found |= {"kept": self.kept} if self.kept is not None else {}
        return found | ({"extra": self.extra} if self.extra else {})


@dataclass(slots=True)
class Section:
    """All rows under one protocol."""

    title: str
    protocol: str
    rows: list[Row]
    targets: dict[str, float] = field(default_factory=dict)
    """Figure to the least that is promised of the row that is `ours`."""
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    beside: tuple[str, ...] = ()
    """Figures that are shown as well, and of which nothing is promised."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All figures that are shown."""
        return (*self.beside, *self.targets)

    def as_json(self) -> dict[str, Any]:
        """For the report file."""
        return {
            "title": self.title,
            "protocol": self.protocol,
            "targets": self.targets,
            "columns": list(self.columns),
            "settings": self.settings,
            "seconds": round(self.seconds),
            "rows": [row.as_json() for row in self.rows],
        }


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() - self._start


def pooled(name: str, lists: Sequence[Ranked], metrics: Mapping[str, str], **rest: Any) -> Row:
    """Mean over splits of each split's mean; interval over users, each with all their queries of all splits.

    `metrics`: name in the product's metrics to name in the table. Users of different windows keep their own numbers.
    """
    figures: dict[str, Estimate | float] = {}
    splits: dict[str, list[float]] = {}
    per = [ranked.per_query() for ranked in lists]
    for metric, shown in metrics.items():
        means = [float(np.nanmean(found[metric])) for found in per]
        values: RawArray = np.concatenate([found[metric] for found in per])
        users = np.concatenate([ranked.user for ranked in lists])
        spread = mean_over_users(values, users)
        shift = float(np.mean(means)) - spread.mean
        figures[shown] = Estimate(float(np.mean(means)), spread.low + shift, spread.high + shift)
        splits[shown] = [round(value, 5) for value in means]
    return Row(name, figures, splits, **rest)
