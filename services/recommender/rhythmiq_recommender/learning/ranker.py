"""The ranker: LightGBM, deterministic (one thread, fixed seeds), over rows of named features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.sparse import places
from rhythmiq_recommender.learning.tables import FloatArray, RawArray, UnfitTables

Parameters = Mapping[str, float | int | str | bool]

DEFAULTS: Final[dict[str, Any]] = {
    "objective": "lambdarank",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 100,
    "lambda_l2": 10.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambdarank_truncation_level": 30,
    "max_bin": 127,
}
SERVED: Final[dict[str, Any]] = {
    "learning_rate": 0.08,
    "num_leaves": 8,
    "max_depth": 4,
    "min_data_in_leaf": 50,
}
"""Beyond DEFAULTS, for rankers that answer requests. Shallow trees: every answer pays for the leaves when it ranks, and
for leaves x depth squared when it explains; on the demo world deeper trees are no better."""
ROUNDS: Final = 120
_FIXED: Final[dict[str, Any]] = {
    "metric": "None",
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}


def thin(frame: Frame, negatives: int, seed: int = 0) -> Frame:
    """Positives and at most `negatives` random others of each query; those without a retrieved positive are dropped."""
    chance = np.random.default_rng(seed)
    found = np.bincount(frame.query[frame.label], minlength=len(frame.positives)) > 0
    useful = found[frame.query]
    others = np.flatnonzero(useful & ~frame.label)
    order = others[np.lexsort((chance.random(len(others)), frame.query[others]))]
    starts = np.searchsorted(frame.query[order], np.arange(len(frame.positives) + 1)).astype(np.int64)
    keep = useful & frame.label
    keep[order[places(starts) < negatives]] = True
    return frame.take(keep)


def fit(frame: Frame, *, rounds: int = ROUNDS, parameters: Parameters | None = None, seed: int = 7) -> lgb.Booster:
    """Trains. Raises UnfitTables if there is nothing to tell apart: no rows, or rows of one class only."""
    if not len(frame.label):
        raise UnfitTables("no query has a positive among its candidates: nothing can be learned")
    if frame.label.all() or not frame.label.any():
        raise UnfitTables("all rows are of one class: nothing can be told apart")
    chosen = DEFAULTS | dict(parameters or {}) | _FIXED | {"seed": seed}
    size = np.bincount(frame.query, minlength=len(frame.positives))
    grouped = chosen["objective"] in {"lambdarank", "rank_xendcg"}
    data = lgb.Dataset(
        frame.x,
        label=frame.label.astype(np.float32),
        group=size[size > 0] if grouped else None,
        feature_name=list(frame.names),
    )
    return lgb.train(chosen, data, num_boost_round=rounds)


def predict(booster: lgb.Booster, x: FloatArray) -> RawArray:
    """Scores of rows (rows x features), one thread; higher is better."""
    if not len(x):
        return np.zeros(0)
    return np.asarray(booster.predict(x, num_threads=1, raw_score=True), dtype=np.float64)
