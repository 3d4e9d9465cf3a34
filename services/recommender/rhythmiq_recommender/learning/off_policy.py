"""What another ranker would have been worth, judged by what was shown with known probabilities.

An impression was shown with a logged propensity p; a target policy would have shown the same item at the same place,
in the same situation, with probability t. Weighed by w = t / p, the rewards seen are those that the target would have
got (inverse propensity scoring, IPS; Horvitz & Thompson 1952). SNIPS divides by the sum of the weights and not by the
number of rows (Swaminathan & Joachims 2015, "The Self-Normalized Estimator for Counterfactual Learning"): it does not
suffer from weights that happen to sum to too much, and never leaves the range of the rewards.

Both are right only where the target shows nothing that could not be shown: then weights average 1 (`mean_weight`).
Less means that part of what the target would show was never tried, and nothing is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from rhythmiq_recommender.learning.metrics import Estimate
from rhythmiq_recommender.learning.tables import IntArray, RawArray

CLIP: Final = 1_000.0
"""Largest weight: what serving explores at a share of 0.01 or more still counts in full (see arranging.exploration).

Clipping makes an estimate a little too low and much steadier.
"""

_CELLS: Final = 10_000_000
"""Numbers that a chunk of bootstrap draws may take."""


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """A target policy's value, mean reward an impression, with 95% intervals over listeners."""

    logged: Estimate
    """What was really got: the mean of the rewards."""
    ips: Estimate
    snips: Estimate
    rows: int
    effective: float
    """Effective sample size (Kish): (sum of weights)² / sum of squared weights; how many rows say something."""
    mean_weight: float
    """Before clipping: 1 but for chance where the target shows only what could be shown."""
    clipped: int
    """Rows whose weight was cut to the limit."""

    def as_json(self) -> dict[str, float | int | dict[str, float]]:
        """For reports."""
        return {
            "rows": self.rows,
            "effective": round(self.effective, 1),
            "mean_weight": round(self.mean_weight, 4),
            "clipped": self.clipped,
            "logged": self.logged.as_json(),
            "ips": self.ips.as_json(),
            "snips": self.snips.as_json(),
        }


def off_policy(
    reward: RawArray,
    propensity: RawArray,
    target: RawArray,
    listener: IntArray,
    *,
    clip: float = CLIP,
    draws: int = 1000,
    seed: int = 0,
) -> OffPolicy:
    """The estimates for rows of impressions, one entry each in all columns.

    `reward` in any unit, `propensity` in (0, 1], `target` in [0, 1]. SNIPS is NaN where no weight is above 0.
    Raises ValueError for no rows, columns of different lengths, and probabilities that are none.
    """
    _check(reward, propensity, target, listener)
    weight = target / propensity
    cut = np.minimum(weight, clip)
    _, owner = np.unique(listener, return_inverse=True)
    sums = np.stack(
        [np.bincount(owner, weights=each).astype(np.float64) for each in (cut * reward, cut, reward, np.ones(len(cut)))]
    )
    found, drawn = _values(sums.sum(axis=1)), _bootstrapped(sums, draws, seed)
    estimates = [
        Estimate(value, *_interval(drawn[:, column])) for column, value in enumerate(found.reshape(-1).tolist())
    ]
    squares = float(np.square(cut).sum())
    return OffPolicy(
        ips=estimates[0],
        snips=estimates[1],
        logged=estimates[2],
        rows=len(cut),
        effective=float(cut.sum()) ** 2 / squares if squares else 0.0,
        mean_weight=float(weight.mean()),
        clipped=int(np.count_nonzero(weight > clip)),
    )


def _check(reward: RawArray, propensity: RawArray, target: RawArray, listener: IntArray) -> None:
    if len({len(reward), len(propensity), len(target), len(listener)}) != 1:
        raise ValueError("reward, propensity, target and listener differ in length")
    if not len(reward):
        raise ValueError("there are no impressions to judge by")
    if not np.all((propensity > 0) & (propensity <= 1)):
        raise ValueError("a propensity is not in (0, 1]: leave out rows without one")
    if not np.all((target >= 0) & (target <= 1)):
        raise ValueError("a target probability is not in [0, 1]")
    if not np.all(np.isfinite(reward)):
        raise ValueError("a reward is not finite")


def _values(sums: RawArray) -> RawArray:
    """IPS, SNIPS and logged mean from sums of (weighted reward, weight, reward, rows), shape (..., 4) to (..., 3)."""
    weighted, weight, plain, rows = np.moveaxis(np.asarray(sums), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        values: RawArray = np.stack([weighted / rows, weighted / weight, plain / rows], axis=-1)
    return values


def _bootstrapped(sums: RawArray, draws: int, seed: int) -> RawArray:
    """Values of `draws` samples of listeners with all their rows, shape (draws, 3); `sums` has a column a listener."""
    listeners = sums.shape[1]
    chance = np.random.default_rng(seed)
    chunk = max(1, _CELLS // listeners)
    even = np.full(listeners, 1 / listeners)
    parts = [
        chance.multinomial(listeners, even, size=min(chunk, draws - start)) @ sums.T for start in range(0, draws, chunk)
    ]
    return _values(np.concatenate(parts))


def _interval(values: RawArray) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
