"""Whether scores can be read as chances: foretold against observed shares of likes, by tenths of the scores."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rhythmiq_recommender.learning.tables import BoolArray, IntArray, RawArray

TENTHS: Final = 10
_STEPS: Final = 50


def calibration(score: RawArray, label: BoolArray, listener: IntArray) -> dict[str, Any]:
    """Scores of offered items become chances by logistic regression on every other listener; the others are judged.

    `error` is the expected calibration error, the mean distance of the tenths from the diagonal; None without both
    classes on both sides.
    """
    _, number = np.unique(listener, return_inverse=True)
    learn = number % 2 == 0
    if any(not label[side].any() or label[side].all() for side in (learn, ~learn)):
        return {"error": None, "points": []}
    slope, height = _logistic(score[learn], label[learn])
    foretold = 1 / (1 + np.exp(-(slope * score[~learn] + height)))
    order = np.argsort(foretold, kind="stable")
    points, error = [], 0.0
    for rows in np.array_split(order, min(TENTHS, len(order))):
        said, seen = float(foretold[rows].mean()), float(label[~learn][rows].mean())
        points.append({"foretold": round(said, 6), "observed": round(seen, 6), "rows": len(rows)})
        error += abs(said - seen) * len(rows) / len(order)
    return {"error": round(error, 6), "points": points}


def _logistic(score: RawArray, label: BoolArray) -> tuple[float, float]:
    """Slope and height of the likeliest logistic curve, by Newton's method with a little ridge."""
    x = np.column_stack([score, np.ones(len(score))])
    weights = np.zeros(2)
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (chance - label) + 1e-6 * weights
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(weights[0]), float(weights[1])
