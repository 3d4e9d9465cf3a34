"""Effects of surroundings that were planted in the demo world are found by the product's training, and no others."""

from __future__ import annotations

from functools import cache

import lightgbm as lgb
import pytest
from bench.quality.demo import gain_of
from bench.worlds import catalogue_of, listens_of

from rhythmiq_cli.demo.world import make_world
from rhythmiq_recommender.learning.judging import MODEL, Evaluation, cold_start, evaluate
from rhythmiq_recommender.learning.listening import tables_of
from rhythmiq_recommender.learning.metrics import Estimate
from rhythmiq_recommender.learning.training import Frames, Settings, fit_frames, fit_ranker, split
from rhythmiq_recommender.learning.visits import Sampling

# A sixth of what make quality measures, and stronger effects, so that intervals stay clear of 0.
LISTENERS, INTERACTIONS, SEED = 100, 25_000, 3
SETTINGS = Settings(rounds=60, windows=1, window=0.35, hold_out=0.25, candidates=150, sampling=Sampling(kept=30))


@cache
def judged(context_strength: float, *, shared: bool) -> tuple[lgb.Booster, Frames, Evaluation]:
    world = make_world(LISTENERS, INTERACTIONS, SEED, context_strength=context_strength)
    listens, catalogue = listens_of(world), catalogue_of(world.items)
    tables = tables_of(listens if shared else listens.without_surroundings(), catalogue, 1)
    frames = fit_frames(tables, catalogue, 1, split(tables, SETTINGS), settings=SETTINGS, seed=0)
    booster = fit_ranker(frames.train, settings=SETTINGS, seed=0)
    return booster, frames, evaluate(booster, frames.test)


def gain(context_strength: float) -> Estimate:
    with_, without = (judged(context_strength, shared=shared)[2] for shared in (True, False))
    return gain_of(with_, without)


def test_planted_effects_are_worth_a_tenth_of_ndcg_and_more() -> None:
    found = gain(1.5)
    assert found.low > 0
    assert found.mean >= 10


def test_where_none_are_planted_none_are_found() -> None:
    found = gain(0.0)
    assert found.low < 2
    assert abs(found.mean) < 6


def test_model_beats_every_rival_and_five_events_are_enough_for_that() -> None:
    booster, frames, evaluation = judged(1.5, shared=True)
    for rival in evaluation.values:
        if rival != MODEL:
            assert evaluation.gain(rival).low > 0, rival
    assert cold_start(booster, frames.test)[5].gain("popularity").low > 0


def test_gain_is_only_told_of_the_same_queries() -> None:
    with pytest.raises(AssertionError, match="not the same queries"):
        gain_of(judged(0.0, shared=True)[2], judged(1.5, shared=True)[2])
