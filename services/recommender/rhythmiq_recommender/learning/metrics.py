"""Quality of rankings and of scores, each as one number a query or user, so that intervals can be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rhythmiq_recommender.learning.sparse import rank_in
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray

CUTOFF = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% bootstrap interval over users."""

    mean: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """For reports."""
        return {"mean": round(self.mean, 5), "low": round(self.low, 5), "high": round(self.high, 5)}


def top_n(
    query: IntArray, score: RawArray, label: BoolArray, positives: IntArray, k: int = CUTOFF
) -> dict[str, RawArray]:
    """Recall, NDCG, HR and MRR at k, one value a query; NaN for queries without positives.

    `positives[q]` counts relevant items whether they were retrieved or not: what is not retrieved is missed.
    """
    place = rank_in(query, np.asarray(score, np.float64)).astype(np.int64)
    hit = label & (place < k)
    count = len(positives)
    hits = np.bincount(query[hit], minlength=count)
    gain = np.bincount(query[hit], weights=1 / np.log2(place[hit] + 2.0), minlength=count)
    ideal = np.r_[0, np.cumsum(1 / np.log2(np.arange(2.0, k + 2)))]
    reciprocal = np.zeros(count)
    np.maximum.at(reciprocal, query[hit], 1.0 / (place[hit] + 1))
    some = positives > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "recall": hits / positives,
            "ndcg": gain / ideal[np.minimum(positives, k)],
            "hr": (hits > 0).astype(np.float64),
            "mrr": reciprocal,
        }
    return {name: np.where(some, value, np.nan) for name, value in found.items()}


def auc(score: RawArray, label: BoolArray) -> float:
    """Area under the ROC curve, ties count half; NaN unless both classes are there."""
    positives = int(label.sum())
    negatives = len(label) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    order = np.argsort(score, kind="stable")
    ordered = np.asarray(score)[order]
    starts = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1, len(ordered)]
    middle = (starts[:-1] + starts[1:] + 1) / 2
    rank = np.empty(len(score))
    rank[order] = np.repeat(middle, np.diff(starts))
    return float((rank[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def rmse(score: RawArray, target: RawArray) -> float:
    """Root of the mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean((score - target) ** 2)))


def bootstrap(user: IntArray, statistic: Callable[[IntArray], float], *, draws: int = 1000, seed: int = 0) -> Estimate:
    """Of `statistic(rows)`, drawing users with all their rows; rows of the original order for the mean."""
    order = np.argsort(user, kind="stable")
    _, starts = np.unique(user[order], return_index=True)
    mine = np.split(order, starts[1:])
    chance = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        rows = np.concatenate([mine[k] for k in chance.integers(0, len(mine), len(mine))])
        value = statistic(rows)
        if np.isfinite(value):
            drawn.append(value)
    low, high = np.percentile(drawn, [2.5, 97.5]) if drawn else (np.nan, np.nan)
    return Estimate(statistic(np.arange(len(user))), float(low), float(high))


def mean_over_users(value: RawArray, user: IntArray, *, draws: int = 1000, seed: int = 0) -> Estimate:
    """Mean of one value a query, with an interval over users. NaN values are left out."""
    there = ~np.isnan(value)
    value, user = value[there], user[there]
    if not len(value):
        return Estimate(float("nan"), float("nan"), float("nan"))
    _, number = np.unique(user, return_inverse=True)
    total, count = np.bincount(number, weights=value), np.bincount(number)
    chance = np.random.default_rng(seed)
    picks = chance.integers(0, len(total), (draws, len(total)))
    drawn = total[picks].sum(1) / count[picks].sum(1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(value.mean()), float(low), float(high))


def beyond_accuracy(
    query: IntArray, item: IntArray, score: RawArray, popularity: FloatArray, group: IntArray | None, k: int = CUTOFF
) -> Mapping[str, float]:
    """Of the first k of each query: share of the catalogue shown, distinct groups per list (0..1), and popularity bias.

    `popularity_bias` is the mean popularity percentile of what is shown (0.5: no bias).
    """
    shown = rank_in(query, np.asarray(score, np.float64)) < k
    query, item = query[shown], item[shown]
    order = np.argsort(popularity, kind="stable")
    percentile = np.empty(len(popularity))
    percentile[order] = np.arange(len(popularity)) / max(len(popularity) - 1, 1)
    found = {
        "coverage": len(np.unique(item)) / len(popularity),
        "popularity_bias": float(percentile[item].mean()) if len(item) else float("nan"),
    }
    if group is not None and len(item):
        distinct = len(np.unique(query * (int(group.max()) + 1) + group[item]))
        found["diversity"] = distinct / len(item)
    return found
