"""Training is deterministic, refuses what teaches nothing, and model selection goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import planted
import pytest

from rhythmiq_recommender.learning.evaluate import Ranked, mean_metric
from rhythmiq_recommender.learning.features import GROUPS, REGISTRY, Frame, stack, usable
from rhythmiq_recommender.learning.metrics import auc, beyond_accuracy, bootstrap, mean_over_users, rmse, top_n
from rhythmiq_recommender.learning.pipeline import Slice, rating_frames, session_frame, set_frame
from rhythmiq_recommender.learning.ranker import fit, thin
from rhythmiq_recommender.learning.selection import Budget, select
from rhythmiq_recommender.learning.signals.rates import Rates
from rhythmiq_recommender.learning.tables import Events, Items, Tables, UnfitTables


def rows(seed: int, queries: int = 30) -> Frame:
    chance = np.random.default_rng(seed)
    count = queries * 15
    x = chance.normal(size=(count, 4)).astype(np.float32)
    query = np.repeat(np.arange(queries), 15)
    label = x[:, 0] + 0.5 * chance.normal(size=count) > 1
    names = ("item_events", "ease", "ease_rank", "next")
    return Frame(
        names, x, query, np.arange(count), label, np.bincount(query[label], minlength=queries), np.arange(queries)
    )


def test_a_search_stopped_and_started_again_ends_like_one_that_was_not(tmp_path: Path) -> None:
    whole = select(rows(0), rows(1), metric="ndcg", budget=Budget(trials=6), storage=tmp_path / "a", seed=3)
    seen: list[int] = []
    ends = [
        select(
            rows(0),
            rows(1),
            metric="ndcg",
            budget=Budget(trials=trials),
            storage=tmp_path / "b",
            seed=3,
            on_trial=lambda number, value: seen.append(number),
        )
        for trials in (2, 4, 6)
    ]
    assert ends[-1] == whole
    assert seen == [1, 2, 3, 4, 5, 6]
    assert whole.value >= whole.history[0]


def test_a_budget_in_minutes_ends(tmp_path: Path) -> None:
    found = select(
        rows(0), rows(1), metric="auc", budget=Budget(minutes=0.002), storage=tmp_path / "a", objective="binary"
    )
    assert found.trials >= 1
    with pytest.raises(ValueError, match="budget"):
        Budget()
    # However short the time, there is a trial to choose from.
    found = select(rows(0), rows(1), metric="ndcg", budget=Budget(minutes=0), storage=tmp_path / "short")
    assert found.trials == 1
    for wrong in ("beauty", "ndcg@0", "ndcg@many"):
        with pytest.raises(ValueError, match="none of"):
            mean_metric(wrong)


def test_a_metric_looks_as_far_down_the_list_as_it_says() -> None:
    asked = rows(1)
    score = np.random.default_rng(1).random(len(asked.label))
    ranked = Ranked.of(asked, score)
    for k in (1, 10, 20):
        assert mean_metric(f"ndcg@{k}")(asked, score) == pytest.approx(ranked.estimates(k)["ndcg"].mean)
    assert mean_metric("ndcg@1")(asked, score) != mean_metric("ndcg@20")(asked, score)


def test_training_twice_gives_the_same_model() -> None:
    one, two = (fit(thin(rows(0), 10, seed=1), rounds=10, parameters={"min_data_in_leaf": 5}) for _ in range(2))
    assert one.model_to_string() == two.model_to_string()


def test_features_twice_are_the_same() -> None:
    tables = planted.sets(60, 60)
    signals, _ = usable(tables)
    part = np.arange(len(tables.events)) % 5
    slices = Slice(np.flatnonzero(part != 0), np.flatnonzero(part == 0))
    one, two = (set_frame(tables, slices, signals, seed=5) for _ in range(2))
    assert one.names == two.names
    assert np.array_equal(one.x, two.x, equal_nan=True)


def test_empty_and_one_class_data_are_refused_clearly() -> None:
    none = np.zeros(0, np.int64)
    with pytest.raises(UnfitTables, match="no interactions"):
        Tables(Events(none, none, np.zeros(0, np.float32)), Items(3), 2)
    frame = rows(0)
    with pytest.raises(UnfitTables, match="no query has a positive"):
        fit(thin(replace(frame, label=np.zeros(len(frame.label), np.bool_)), 5))
    with pytest.raises(UnfitTables, match="one class"):
        fit(replace(frame, label=np.ones(len(frame.label), np.bool_)))
    liked = planted.ratings(60)
    liked = replace(liked, events=replace(liked.events, rating=np.full(60, 5, np.float32)))
    with pytest.raises(UnfitTables, match="one class"):
        rating_frames(liked, np.arange(50), np.arange(50, 60), [Rates()])
    with pytest.raises(UnfitTables, match="no ratings"):
        _ = planted.sets().positive
    with pytest.raises(UnfitTables, match="no signal"):
        usable(planted.sets(), [Rates()])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"item": np.array([0, 99])}, "column item"),
        ({"user": np.array([-1, 0])}, "column user"),
        ({"weight": np.array([1, np.nan], np.float32)}, "weight"),
        ({"rating": np.ones(3, np.float32)}, "column rating has 3"),
        ({"session": np.array([0, 0])}, "time and start"),
        ({"session": np.array([0, 0]), "time": np.array([2.0, 1.0]), "start": np.zeros(2)}, "sorted"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(change: dict[str, np.ndarray], reason: str) -> None:
    events = Events(np.array([0, 0]), np.array([0, 1]), np.ones(2, np.float32))
    with pytest.raises(UnfitTables, match=reason):
        Tables(replace(events, **change), Items(2), 1)


def test_items_that_nobody_heard_cannot_be_asked_about() -> None:
    tables = planted.sessions(4, 40, 1)
    with pytest.raises(UnfitTables, match="heard before"):
        session_frame(
            tables,
            Slice(np.array([0]), np.array([int(np.argmax(tables.events.item != tables.events.item[0]))])),
            usable(tables)[0],
        )


def test_every_feature_has_unit_group_and_source() -> None:
    assert len(REGISTRY) > 100
    for feature in REGISTRY.values():
        assert feature.unit
        assert feature.source
        assert feature.group in GROUPS
    with pytest.raises(ValueError, match="different features"):
        stack([rows(0), rows(1).select(["ease"])])


def test_metrics_agree_with_hand_counts() -> None:
    query = np.array([0, 0, 0, 1, 1])
    label = np.array([False, True, False, True, False])
    found = top_n(query, np.array([3.0, 2.0, 1.0, 0.0, 1.0]), label, np.array([2, 1, 0]), k=2)
    assert found["recall"].tolist()[:2] == [0.5, 1.0]
    assert found["mrr"].tolist()[:2] == [0.5, 0.5]
    assert np.isnan(found["hr"][2])
    assert found["ndcg"][0] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
    assert auc(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
    assert np.isnan(auc(np.array([1.0]), np.array([True])))
    assert rmse(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == pytest.approx(np.sqrt(2))


def test_intervals_are_over_users_and_hold_the_mean() -> None:
    chance = np.random.default_rng(0)
    user = np.repeat(np.arange(40), 5)
    value = chance.normal(size=200) + np.repeat(chance.normal(size=40), 5)
    wide = mean_over_users(value, user)
    narrow = mean_over_users(value, np.arange(200))
    assert wide.low < wide.mean < wide.high
    assert wide.high - wide.low > narrow.high - narrow.low
    drawn = bootstrap(user, lambda picked: float(value[picked].mean()), draws=300)
    assert drawn.low == pytest.approx(wide.low, abs=0.1)
    assert np.isnan(mean_over_users(np.array([np.nan]), np.array([0])).mean)


def test_lists_of_the_same_popular_artist_are_called_so() -> None:
    popularity = np.arange(10, dtype=np.float32)
    query, item = np.repeat(np.arange(3), 2), np.tile([9, 8], 3)
    found = beyond_accuracy(query, item, np.ones(6), popularity, np.zeros(10, np.int64), k=2)
    assert found["coverage"] == pytest.approx(0.2)
    assert found["popularity_bias"] > 0.9
    assert found["diversity"] == pytest.approx(0.5)
