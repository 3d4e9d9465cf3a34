"""Contributions worked out here are those of LightGBM's pred_contrib, for every model and every row."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from rhythmiq_recommender.learning import shap
from rhythmiq_recommender.learning.shap import shares_of
from rhythmiq_recommender.learning.tables import FloatArray, RawArray

COLUMNS = 9


def rows(count: int, *, missing: float, seed: int = 0) -> FloatArray:
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(count, COLUMNS)).astype(np.float32)
    x[:, 3] = chance.integers(-1, 3, count)
    x[:, 4] = 0
    x[chance.random(x.shape) < missing] = np.nan
    return x


def booster(missing: float = 0.1, **parameters: Any) -> lgb.Booster:
    x = rows(3000, missing=missing, seed=1)
    known = np.nan_to_num(x, nan=0.7)
    y = known[:, 0] * known[:, 1] + np.sin(3 * known[:, 2]) + known[:, 3] * (known[:, 5] > 0)
    settings = {"verbosity": -1, "num_threads": 1, "seed": 3, "min_data_in_leaf": 5} | parameters
    return lgb.train(settings, lgb.Dataset(x, y.astype(np.float32)), num_boost_round=15)


def expected(model: lgb.Booster, x: FloatArray) -> RawArray:
    return np.asarray(model.predict(x, pred_contrib=True, num_threads=1), np.float64)[:, :-1]


@pytest.mark.parametrize(
    "parameters",
    [
        {"num_leaves": 15},
        {"num_leaves": 63, "learning_rate": 0.3},
        {"num_leaves": 2},
        {"num_leaves": 31, "bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5},
        {"num_leaves": 8, "use_missing": False},
        {"num_leaves": 12, "max_bin": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_contributions_are_those_of_lightgbm(parameters: dict[str, Any], missing: float) -> None:
    model = booster(missing, **parameters)
    for seen in (rows(40, missing=missing, seed=2), rows(40, missing=0.5, seed=3), rows(1, missing=1.0)):
        shares = shares_of(model)
        assert shares is not None
        np.testing.assert_allclose(shares.of(seen), expected(model, seen), atol=1e-9)


def test_values_on_a_threshold_go_its_way() -> None:
    model = booster(num_leaves=8)
    shares = shares_of(model)
    assert shares is not None
    edges = shares.high[np.isfinite(shares.high)][:50]
    seen = np.repeat(edges[:, None], COLUMNS, axis=1).astype(np.float32)
    np.testing.assert_allclose(shares.of(seen), expected(model, seen), atol=1e-9)


def test_no_rows_have_no_contributions() -> None:
    shares = shares_of(booster())
    assert shares is not None
    assert shares.of(rows(0, missing=0)).shape == (0, COLUMNS)


def test_a_model_that_never_splits_adds_nothing() -> None:
    model = booster(num_leaves=15, min_data_in_leaf=10_000)
    shares = shares_of(model)
    assert shares is not None
    assert not shares.of(rows(10, missing=0.1)).any()


@pytest.mark.parametrize(("most", "of"), [(2, "MOST_FEATURES"), (100, "MOST_CELLS")])
def test_a_model_that_would_take_too_much_memory_is_left_to_lightgbm(
    most: int, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shap, of, most)
    assert shares_of(booster(num_leaves=31)) is None


def test_a_model_of_another_kind_is_left_to_lightgbm() -> None:
    model = booster(0.0, zero_as_missing=True)
    assert shares_of(model) is None
