"""Whether a model takes the place of the promoted one: only if it is better than all its rivals, by a margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from rhythmiq_recommender.learning.metrics import Estimate, mean_over_users
from rhythmiq_recommender.learning.tables import IntArray, RawArray

METRIC: Final = "NDCG@10"
PROMOTED: Final = "promoted model"
RIVALS: Final = ("prior", "popularity")
"""Whom a model must beat beside the promoted one."""
DRAWS: Final = 2_000
LEAST_LISTENERS: Final = 20
"""With fewer in the hold-out an interval says nothing."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The model against one rival: mean difference over queries with its 95% interval, drawn over listeners."""

    rival: str
    mean: float
    low: float
    high: float
    passed: bool
    lacks: str = ""
    """What it was not enough for."""

    @property
    def words(self) -> str:
        """For people."""
        better = f"{self.mean:+.4f} {METRIC} (95% {self.low:+.4f} to {self.high:+.4f}) against {self.rival}"
        return f"{better}: {self.lacks or 'enough'}"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to promote and why, as a sentence."""

    better: bool
    reason: str
    margin: float
    contests: tuple[Contest, ...]

    def as_json(self) -> dict[str, Any]:
        """For reports."""
        return {
            "better": self.better,
            "reason": self.reason,
            "margin": self.margin,
            "metric": METRIC,
            "contests": [asdict(contest) for contest in self.contests],
        }


def contest(rival: str, model: RawArray, other: RawArray, listener: IntArray, margin: float) -> Contest:
    """Paired: both values of each query, so that what makes a query hard counts on both sides.

    Won when the mean difference is at least the margin and the lower end of its interval is above 0.
    """
    difference: Estimate = mean_over_users(np.asarray(model - other), listener, draws=DRAWS)
    lacks = ""
    if not difference.mean >= margin:
        lacks = f"less than the margin of {margin:g}"
    elif not difference.low > 0:
        lacks = "could be chance, as the interval does not lie above 0"
    return Contest(rival, difference.mean, difference.low, difference.high, not lacks, lacks)


def decide(
    ndcg: Mapping[str, RawArray], listener: IntArray, *, margin: float, rivals: tuple[str, ...] = RIVALS
) -> Decision:
    """`ndcg`: one value a query of the hold-out for "model", each of the rivals, and PROMOTED if there is one.

    `listener` is who asked each query. Raises KeyError when a rival was not measured.
    """
    names = (*((PROMOTED,) if PROMOTED in ndcg else ()), *rivals)
    contests = tuple(contest(name, ndcg["model"], ndcg[name], listener, margin) for name in names)
    lost = [each for each in contests if not each.passed]
    there = len(np.unique(listener))
    if there < LEAST_LISTENERS:
        reason = (
            f"the hold-out has {there} listeners, and below {LEAST_LISTENERS} no difference can be told from chance"
        )
        return Decision(False, reason, margin, contests)
    if lost:
        reason = "not better beyond doubt: " + "; ".join(each.words for each in lost)
        return Decision(False, reason, margin, contests)
    return Decision(True, f"better than {_listed(names)} by at least {margin:g} {METRIC}", margin, contests)


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
