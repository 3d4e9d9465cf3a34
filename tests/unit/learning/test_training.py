"""Training finds what was planted, judges itself on what it has not seen, and refuses what teaches nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import planted
import pytest

from rhythmiq_recommender.learning.features import REGISTRY
from rhythmiq_recommender.learning.judging import MODEL, ablation, cold_start, without_surroundings
from rhythmiq_recommender.learning.listening import TYPES, Catalogue, Listens, tables_of
from rhythmiq_recommender.learning.package import load
from rhythmiq_recommender.learning.served.reader import Reader
from rhythmiq_recommender.learning.served.registry import TOTALS
from rhythmiq_recommender.learning.served.shelf import Seen
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, UnfitTables
from rhythmiq_recommender.learning.training import (
    Frames,
    Settings,
    Split,
    Trained,
    evaluate,
    fit_frames,
    fit_ranker,
    scale_of,
    scores,
    split,
    train,
)
from rhythmiq_recommender.learning.visits import Ask, Visits

SMALL = {"min_data_in_leaf": 20, "num_leaves": 8, "learning_rate": 0.1}
SETTINGS = Settings(rounds=40, parameters=SMALL, window=0.2, hold_out=0.3, queries=400, asked=300, candidates=60)


def small_world(effect: float = 1.5) -> tuple[Listens, Catalogue]:
    world = planted.catalogue()
    return planted.listens(world, effect=effect), world


@cache
def steps() -> tuple[Frames, Split, Trained]:
    listens, world = small_world()
    tables = tables_of(listens, world, 1)
    parts = split(tables, SETTINGS)
    frames = fit_frames(tables, world, 1, parts, settings=SETTINGS, seed=0)
    return frames, parts, train(listens, world, settings=SETTINGS, seed=0)


def test_the_model_beats_its_rivals_where_tastes_and_surroundings_were_planted() -> None:
    _, _, trained = steps()
    evaluation = trained.evaluation
    assert set(evaluation.values) == {MODEL, "popularity", "personalised most-popular", "item-kNN", "prior"}
    for rival in evaluation.values:
        if rival != MODEL:
            assert evaluation.gain(rival).low > 0, rival
    summary = evaluation.summary()
    assert summary["queries"] == len(evaluation.listener)
    assert summary[MODEL]["ndcg@10"]["mean"] == pytest.approx(evaluation.estimate(MODEL, "ndcg@10").mean, abs=1e-4)
    assert 0 < evaluation.character[MODEL]["coverage"] <= 1


def test_surroundings_count_where_they_do_something_and_only_those_that_do() -> None:
    frames, _, _ = steps()
    found = ablation(frames.train, frames.test, SMALL, rounds=40)
    assert found.context.low > 0.05
    assert found.kinds["activity"].low > 0.05
    assert set(found.kinds) == {"activity", "weather"}
    assert abs(found.kinds["weather"].mean) < 0.05
    assert found.whole.mean - found.without_context.mean == pytest.approx(found.context.mean)
    assert found.groups["taste"].mean < found.context.mean


def test_no_effect_of_surroundings_is_invented() -> None:
    listens, world = small_world(effect=0.0)
    tables = tables_of(listens, world, 1)
    frames = fit_frames(tables, world, 1, split(tables, SETTINGS), settings=SETTINGS, seed=0)
    assert ablation(frames.train, frames.test, SMALL, rounds=40).context.low < 0.01


def test_a_newcomer_is_served_better_than_by_popularity() -> None:
    frames, _, trained = steps()
    found = cold_start(trained.booster, frames.test)
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert found[5].gain("popularity").low > 0
    # Of each only what they did first is known, so that what is known more of is foretold better.
    assert found[5].gain("popularity").mean > found[0].gain("popularity").mean


def test_of_a_newcomer_the_first_events_since_the_hold_out_began_are_known_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames, parts, trained = steps()
    asked: list[tuple[int, Seen]] = []
    features = Reader.features

    def spied(reader: Reader, seen: Seen, rows: IntArray) -> FloatArray:
        asked.append((len(seen.trail.time), seen))
        return features(reader, seen, rows)

    monkeypatch.setattr(Reader, "features", spied)
    found = cold_start(trained.booster, frames.test)
    ask = frames.test.ask
    since = [ask.time[(ask.user == who) & (ask.start >= parts.test.low)] for who in range(80)]
    for known, evaluation in found.items():
        those = [seen for events, seen in asked if events == known]
        assert len(those) == len(evaluation.listener) == len(set(evaluation.listener.tolist()))
        for who, seen in zip(evaluation.listener.tolist(), those, strict=True):
            assert np.array_equal(seen.trail.time, since[who][:known])
            assert seen.time == since[who][known]


def test_the_same_seed_gives_the_same_package_and_another_one_another(tmp_path: Path) -> None:
    listens, world = small_world()
    quick = replace(SETTINGS, rounds=5, queries=60, asked=40)
    made = [train(listens, world, settings=quick, seed=seed) for seed in (1, 1, 2)]
    manifests = [one.save(tmp_path / str(number), "v") for number, one in enumerate(made)]
    assert manifests[0] == manifests[1]
    assert manifests[0].files != manifests[2].files
    loaded = load(tmp_path / "0")
    assert loaded.manifest.counts["events"] == len(tables_of(listens, world, 1).events)
    assert loaded.manifest.scale == pytest.approx(made[0].scale)
    assert loaded.manifest.metrics[MODEL]["ndcg@10"]["mean"] > 0


def test_scores_have_a_spread_of_one_among_candidates() -> None:
    frames, _, trained = steps()
    scaled = scores(trained.booster, frames.test.frame) / trained.scale
    query = frames.test.frame.query
    spread = [float(scaled[query == number].std()) for number in range(20)]
    assert 0.5 < float(np.mean(spread)) < 2
    flat = replace(frames.test.frame, x=np.zeros_like(frames.test.frame.x))
    assert scale_of(trained.booster, flat) == 1.0


def test_another_model_is_judged_on_the_same_candidates() -> None:
    frames, _, trained = steps()
    weaker = fit_ranker(frames.train, settings=replace(SETTINGS, rounds=1), seed=0)
    evaluation = evaluate(trained.booster, frames.test, {"promoted": weaker})
    assert evaluation.gain("promoted").mean > 0


def test_the_hold_out_is_later_than_everything_that_was_learned_from() -> None:
    frames, parts, _ = steps()
    edges = [window.low for window in parts.train] + [parts.test.low]
    assert edges == sorted(edges)
    assert [window.high for window in parts.train] == edges[1:]
    test = frames.test
    assert test.past.events.time is not None
    assert float(test.past.events.time.max()) < parts.test.low <= float(test.ask.start[test.visits.first].min())


def test_columns_of_kinds_that_nobody_shares_are_left_out() -> None:
    frames, _, _ = steps()
    groups = {REGISTRY[name].group for name in frames.train.names}
    assert {"surroundings:activity", "surroundings:weather"} <= groups
    assert "surroundings:speed" not in groups


def test_totals_lack_what_a_kind_that_is_left_out_added() -> None:
    frames, _, _ = steps()
    whole, less = frames.train, without_surroundings(frames.train, frozenset({"weather"}))
    for total, parts in TOTALS.items():
        if total not in whole.names:
            continue
        part = next((name for name in parts if name.endswith("weather") and name in whole.names), None)
        lost = whole.x[:, whole.names.index(part)] if part else 0
        now = less.x[:, less.names.index(total)]
        assert np.allclose(now, whole.x[:, whole.names.index(total)] - lost, atol=1e-5), total
    assert not any(REGISTRY[name].group.startswith("surroundings") for name in without_surroundings(whole).names)


@pytest.mark.parametrize("cohort", ["newcomers", "regulars"])
def test_a_cohort_learns_from_listeners_of_its_own(cohort: str) -> None:
    listens, world = small_world()
    early = replace(SETTINGS, windows=1, window=0.45, hold_out=0.45)
    if cohort == "newcomers":
        # Everybody comes every day: only in the first days is anybody new.
        listens = listens.take(listens.time < 1e9 + 3 * planted.DAY)
    tables = tables_of(listens, world, 1)
    frames = fit_frames(tables, world, 1, split(tables, early), settings=early, seed=0, cohort=cohort)
    visits = frames.test.visits
    known = visits.first - visits.begin
    assert (known < 10 + 8).all() if cohort == "newcomers" else (known >= 10).all()


def _in_one_session(listens: Listens) -> Listens:
    some = listens.take(np.arange(30))
    return replace(some, listener=np.zeros(30, np.int64), time=1e9 + np.arange(30.0))


def test_what_teaches_nothing_is_refused_with_a_reason() -> None:
    listens, world = small_world()
    with pytest.raises(UnfitTables, match="no interactions"):
        train(listens.take(np.zeros(len(listens), np.bool_)), world)
    with pytest.raises(UnfitTables, match="no interactions"):
        train(listens, world, kind="soundscape")
    for name in ("LIKE", "SKIP"):
        same = replace(listens, type=np.full(len(listens), TYPES.index(name), np.int8))
        with pytest.raises(UnfitTables, match="nothing can be told apart"):
            train(same, world)
    with pytest.raises(UnfitTables, match="too few"):
        train(_in_one_session(listens), world)
    with pytest.raises(ValueError, match="leave nothing"):
        split(tables_of(listens, world, 1), Settings(windows=9))


def test_progress_is_told() -> None:
    listens, world = small_world()
    told: list[tuple[str, float]] = []
    quick = replace(SETTINGS, rounds=2, queries=40, asked=20)
    train(listens, world, settings=quick, on_progress=lambda step, share: told.append((step, share)))
    assert [step for step, _ in told] == ["frames", "frames", "frames", "ranker", "evaluation"]


def test_a_visit_stands_before_all_events_of_one_instant() -> None:
    listens, world = small_world()
    tables = tables_of(replace(listens, time=np.floor(listens.time / 400) * 400), world, 1)
    ask = Ask(tables)
    visits = ask.between(0, float("inf"), most=300, seed=3)
    first = visits.first
    inside = first > visits.begin
    before = first[inside] - 1
    assert (ask.time[before] < ask.time[first[inside]]).all()
    nothing = Visits(first[:1], first[:1], first[:1])
    assert len(ask.answered(nothing)) == 0
