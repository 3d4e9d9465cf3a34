"""What was planted in generated worlds is found again, and what is not there is not invented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import planted
import pytest

from rhythmiq_recommender.learning.evaluate import (
    Ranked,
    ablation,
    auc_estimate,
    baselines,
    by_columns,
    character,
    mean_metric,
    session_baselines,
)
from rhythmiq_recommender.learning.features import Frame, stack, usable
from rhythmiq_recommender.learning.metrics import auc
from rhythmiq_recommender.learning.pipeline import (
    DAY,
    Slice,
    next_events,
    parts_of_users,
    rating_frames,
    rolling,
    session_folds,
    session_frame,
    set_frame,
)
from rhythmiq_recommender.learning.ranker import fit, predict, thin
from rhythmiq_recommender.learning.signals.effects import Effects
from rhythmiq_recommender.learning.signals.kinds import SETTING
from rhythmiq_recommender.learning.signals.rates import Rates
from rhythmiq_recommender.learning.signals.surroundings import Surroundings
from rhythmiq_recommender.learning.signals.taste import Taste
from rhythmiq_recommender.learning.tables import Context, Statements, Tables, binary

SMALL = {"min_data_in_leaf": 5, "num_leaves": 4, "learning_rate": 0.1}


def set_world(tables: Tables) -> tuple[Frame, Frame, np.ndarray, np.ndarray]:
    part = parts_of_users(tables.events.user, 0)
    past, held = np.flatnonzero(part != 4), np.flatnonzero(part == 4)
    inner = parts_of_users(tables.events.user[past], 1)
    signals, _ = usable(tables)
    train = stack([set_frame(tables, Slice(past[inner != k], past[inner == k]), signals) for k in range(2)])
    return thin(train, 20), set_frame(tables, Slice(past, held), signals), past, held


def test_planted_item_to_item_structure_is_recovered() -> None:
    tables = planted.sets()
    train, test, past, held = set_world(tables)
    ours = Ranked.of(test, predict(fit(train, rounds=30, parameters=SMALL), test.x))
    users = np.unique(tables.events.user[held])
    answers = np.zeros((len(users), tables.items.count), np.bool_)
    answers[np.searchsorted(users, tables.events.user[held]), tables.events.item[held]] = True
    others = baselines(tables, past, users, answers, repeats=False)
    ndcg = {name: one.estimates(10)["ndcg"].mean for name, one in {**others, "ours": ours}.items()}
    assert ndcg["ours"] > ndcg["popularity"] * 1.5
    assert ndcg["ours"] > ndcg["item-kNN"] * 0.9
    first = test.item[np.argsort(-ours.score + test.query * 1e6)][:1]
    assert 0 <= int(first[0]) < tables.items.count
    assert 0 < character(ours, tables, past)["coverage"] <= 1


def test_tags_and_friends_are_used_and_statements_about_held_out_pairs_are_gone() -> None:
    world = planted.sets()
    events = world.events
    attribute = events.item % 4
    chance = np.random.default_rng(0)
    friends = binary(chance.integers(0, world.users, 300), chance.integers(0, world.users, 300), (world.users,) * 2)
    tables = replace(world, statements=Statements(events.user, events.item, attribute), links=friends)
    part = parts_of_users(events.user, 0)
    past, held = np.flatnonzero(part != 4), np.flatnonzero(part == 4)
    signals, left_out = usable(tables)
    assert "transitions" in left_out
    frame = set_frame(tables, Slice(past, held), signals)
    assert {"ease_attributes_rank", "friends", "attribute_neighbours", "item_attributes"} <= set(frame.names)
    assert tables.statements is not None
    kept = tables.statements.without_pairs(events.user[held], events.item[held], tables.items.count)
    assert len(kept.item) == len(past)
    measured = by_columns(frame, ["ease_attributes"]).estimates(10)["ndcg"].mean
    assert measured > by_columns(frame, ["item_events"]).estimates(10)["ndcg"].mean


def test_planted_order_is_recovered() -> None:
    tables = planted.sessions()
    signals, left_out = usable(tables)
    assert "rates" in left_out
    cut = 5 * DAY
    start = tables.events.start
    assert start is not None
    slices = rolling(tables, cut, width=DAY, count=2)
    train = stack([session_frame(tables, part, signals, most=150, negatives=20) for part in slices])
    past = np.flatnonzero(start < cut)
    folds = session_folds(tables, past, 0)
    assert sum(len(part.asked) for part in folds) == len(next_events(tables, start < cut))
    test = session_frame(tables, Slice(past, next_events(tables, start >= cut)), signals)
    ours = Ranked.of(test, predict(fit(train, rounds=30, parameters=SMALL), test.x)).estimates(3)
    others = session_baselines(test)
    assert ours["hr"].mean > 0.6
    assert ours["hr"].mean > others["popularity"].estimates(3)["hr"].mean + 0.4
    loss = ablation(train, test, mean_metric("mrr"), rounds=10, parameters=SMALL)
    assert max((value, group) for group, value in loss.items() if group != "none")[0] > 0


def test_planted_context_effect_is_recovered_and_vanishes_without_context() -> None:
    tables = planted.ratings()
    past, asked = np.arange(350), np.arange(350, 500)
    found = {}
    for name, world in (("with", tables), ("without", replace(tables, context=Context()))):
        signals = [s for s in usable(world)[0] if s.name in {"effects", "taste", "surroundings"}]
        train, test = rating_frames(world, past, asked, signals)
        score = predict(fit(train, rounds=60, parameters=SMALL | {"objective": "binary"}), test.x)
        found[name] = auc_estimate(score, test.label, test.user)
    assert found["with"].mean > 0.8
    assert found["with"].low > found["without"].mean + 0.1


def test_no_context_effect_is_invented_where_there_is_none() -> None:
    tables = planted.ratings(300, effect=0.0)
    model = Effects().fit(tables, 0)
    variances = model.variances
    assert sum(value for name, value in variances.items() if name.startswith("activity")) < 0.1


@pytest.mark.parametrize("signal", [Rates(), Taste()], ids=lambda signal: signal.name)
def test_leaving_out_an_event_is_the_same_as_never_having_seen_it(signal: Rates | Taste) -> None:
    tables = planted.ratings(120)
    left = signal.fit(tables, 0).left_out()
    for row in (0, 57, 119):
        rest = np.delete(np.arange(120), row)
        _, alone = rating_frames(tables, rest, np.array([row]), [signal])
        for name, column in left.items():
            if not name.startswith("audio_l") and name in alone.names:
                assert column[row] == pytest.approx(alone.x[0, alone.names.index(name)], abs=1e-5), name


def test_rates_of_past_events_count_only_what_came_before_them() -> None:
    tables = planted.ratings(120)
    time = np.random.default_rng(0).integers(0, 60, 120).astype(np.float64)
    dated = replace(tables, events=replace(tables.events, time=time))
    left = Rates(strength=2.0).fit(dated, 0).left_out()["rate_item"]
    positive = dated.positive
    for row in range(120):
        before = time < time[row]
        overall = (positive[before].sum() + 2 * 0.5) / (before.sum() + 2)
        same = before & (tables.events.item == tables.events.item[row])
        assert left[row] == pytest.approx((positive[same].sum() + 2 * overall) / (same.sum() + 2), abs=1e-5)


def test_effects_left_out_are_those_of_a_fit_without_the_event() -> None:
    tables = planted.ratings(80)
    fixed = Effects(steps=0)  # variances at their start, so that both fits share them
    left = fixed.fit(tables, 0).left_out()["effects_score"]
    rest = np.arange(1, 80)
    _, alone = rating_frames(tables, rest, np.array([0]), [fixed])
    # the start of the variances and the mean follow the ratings a little
    assert left[0] == pytest.approx(alone.x[0, alone.names.index("effects_score")], abs=0.05)


def test_settings_of_a_study_and_unknown_surroundings_are_told_apart() -> None:
    tables = planted.ratings(200)
    activity = tables.context.categories["activity"].copy()
    activity[:80] = -1
    noise = np.full((200, 1), np.nan, np.float32)
    noise[80:, 0] = np.random.default_rng(0).normal(size=120)
    context = Context({"activity": activity, SETTING: (np.arange(200) >= 80).astype(np.int64)}, {"noise": noise})
    world = replace(tables, context=context)
    train, test = rating_frames(world, np.arange(180), np.arange(180, 200), [Effects(), Surroundings(), Rates()])
    assert train.names == test.names
    assert np.allclose(train.x[:80, train.names.index("effects_noise")], 0, atol=1e-6)
    assert auc(train.x[:, train.names.index("effects_score")].astype(float), train.label) > 0.6
