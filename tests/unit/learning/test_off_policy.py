"""A ranker's worth is found from what another one showed, where the plain mean would mislead."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
import pytest
from candidates import drawn

from rhythmiq_recommender.arranging.exploration import explored
from rhythmiq_recommender.arranging.variety import best_first, contenders, spaced
from rhythmiq_recommender.learning.off_policy import OffPolicy, off_policy
from rhythmiq_recommender.learning.tables import IntArray, RawArray

ITEMS = 5


class Log(NamedTuple):
    """Impressions of one place, and what the target policy would really be worth."""

    reward: RawArray
    propensity: RawArray
    target: RawArray
    listener: IntArray
    truth: float

    def judged(self, **settings: float) -> OffPolicy:
        return off_policy(self.reward, self.propensity, self.target, self.listener, **settings)  # type: ignore[arg-type]


def simulated(seed: int, listeners: int = 400, explored_share: float = 0.3) -> Log:
    """Listeners of two tastes, some of whom listen much more; the logging policy knows only the first taste.

    The target shows each taste its best item half of the time, and the second best otherwise.
    """
    chance = np.random.default_rng(seed)
    liked = np.array([[0.8, 0.5, 0.2, 0.1, 0.1], [0.1, 0.1, 0.3, 0.6, 0.9]])
    taste = chance.integers(0, 2, listeners)
    own = np.repeat(np.arange(listeners), chance.geometric(0.1, listeners))
    shown_by_log = np.full(ITEMS, explored_share / ITEMS)
    shown_by_log[0] += 1 - explored_share
    wanted = np.array([[0.5, 0.5, 0, 0, 0], [0, 0, 0, 0.5, 0.5]])
    item = chance.choice(ITEMS, size=len(own), p=shown_by_log)
    chances = liked[taste[own], item]
    reward = (chance.random(len(own)) < chances).astype(float)
    truth = float((wanted * liked).sum(axis=1)[taste[own]].mean())
    return Log(reward, shown_by_log[item], wanted[taste[own], item], own, truth)


def test_the_targets_value_is_recovered_where_the_mean_of_what_was_shown_misleads() -> None:
    log = simulated(1, listeners=5_000)
    found = log.judged()
    assert found.snips.low < log.truth < found.snips.high
    assert found.ips.low < log.truth < found.ips.high
    assert found.snips.mean == pytest.approx(log.truth, abs=0.03)
    assert found.logged.high < log.truth - 0.1
    assert found.mean_weight == pytest.approx(1, abs=0.05)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """95% of 100 logs: 88 or more but for one time in 400."""
    held = 0
    for seed in range(100):
        log = simulated(seed)
        found = log.judged(draws=300)
        held += found.snips.low <= log.truth <= found.snips.high
    assert held >= 88


def test_intervals_are_over_listeners_not_rows() -> None:
    """Every row of a listener repeated tells nothing new."""
    log = simulated(2)
    again = Log(np.tile(log.reward, 9), np.tile(log.propensity, 9), np.tile(log.target, 9), np.tile(log.listener, 9), 0)
    once, often = log.judged(), again.judged()
    assert often.snips.mean == pytest.approx(once.snips.mean)
    assert (often.snips.low, often.snips.high) == pytest.approx((once.snips.low, once.snips.high))


def test_the_logging_policy_judged_by_its_own_log_is_what_was_got() -> None:
    log = simulated(3)
    found = log._replace(target=log.propensity).judged()
    assert found.snips == found.ips == found.logged
    assert found.effective == pytest.approx(found.rows)
    assert found.mean_weight == 1


def test_snips_does_not_move_with_the_zero_of_the_rewards_as_ips_does() -> None:
    log = simulated(4)
    found, shifted = log.judged(), log._replace(reward=log.reward + 10).judged()
    assert shifted.snips.mean - 10 == pytest.approx(found.snips.mean)
    assert shifted.ips.mean - 10 == pytest.approx(found.ips.mean + 10 * (found.mean_weight - 1))


def test_clipping_steadies_and_says_how_much_it_cut() -> None:
    log = simulated(5, explored_share=0.02)
    free, cut = log.judged(clip=1e9), log.judged(clip=10)
    assert (free.clipped, cut.clipped > 0) == (0, True)
    assert cut.effective > free.effective
    assert cut.ips.mean < free.ips.mean
    assert cut.mean_weight == free.mean_weight


def test_a_target_that_shows_what_was_never_shown_is_told_by_its_weights() -> None:
    log = simulated(6)
    kept = np.flatnonzero(log.target < 0.5)
    never = Log(log.reward[kept], log.propensity[kept], log.target[kept], log.listener[kept], 0).judged()
    assert never.mean_weight == 0
    assert never.effective == 0
    assert np.isnan(never.snips.mean)
    assert np.isnan(never.snips.low)


def test_the_same_log_and_seed_give_the_same_numbers() -> None:
    log = simulated(7)
    assert log.judged(seed=3) == log.judged(seed=3)
    assert log.judged(seed=3).snips != log.judged(seed=4).snips
    assert set(log.judged().as_json()) == {"rows", "effective", "mean_weight", "clipped", "logged", "ips", "snips"}


def test_what_serving_logs_is_what_the_estimate_needs() -> None:
    """Lists as they are served; the target puts another of the pool at each place, which the log shows rarely."""
    candidates = drawn(11)
    order, _ = best_first(candidates)
    best = order[spaced(candidates.artists[order], 20)].tolist()
    some = contenders(candidates, order, 20)
    dice = random.Random(11)
    lists = [explored(best, candidates, some, 0.3, dice) for _ in range(4_000)]
    pool = sorted({each.position for placed in lists for each in placed if each.explored})
    liked = np.random.default_rng(11).random(len(candidates.scores))
    wanted = {place: pool[place % len(pool)] for place in range(2, 20)}
    rows = [
        (liked[each.position], each.propensity, float(wanted[place] == each.position), number)
        for number, placed in enumerate(lists)
        for place, each in enumerate(placed)
        if place in wanted and each.propensity < 1
    ]
    reward, propensity, target, listener = (np.array(column) for column in zip(*rows, strict=True))
    found = off_policy(reward, propensity, target, listener)
    truth = float(np.mean([liked[position] for position in wanted.values()]))
    assert found.snips.low < truth < found.snips.high
    assert found.mean_weight == pytest.approx(1, abs=0.1)
    assert not found.logged.low < truth < found.logged.high


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"propensity": np.array([0.0, 1.0])}, "propensity"),
        ({"propensity": np.array([np.nan, 1.0])}, "propensity"),
        ({"propensity": np.array([1.1, 1.0])}, "propensity"),
        ({"target": np.array([-0.1, 1.0])}, "target"),
        ({"reward": np.array([np.inf, 1.0])}, "reward"),
        ({"reward": np.array([1.0])}, "length"),
    ],
)
def test_columns_that_are_none_are_refused(change: dict[str, RawArray], told: str) -> None:
    columns = {"reward": np.ones(2), "propensity": np.ones(2), "target": np.ones(2), "listener": np.arange(2)}
    with pytest.raises(ValueError, match=told):
        off_policy(**(columns | change))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no impressions"):
        off_policy(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
