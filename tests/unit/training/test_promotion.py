"""A model is promoted only when it is better than each rival, by the margin and beyond chance."""

from __future__ import annotations

import numpy as np
import pytest

from rhythmiq_recommender.training.promotion import PROMOTED, decide

LISTENERS = 60
LISTENER = np.repeat(np.arange(LISTENERS), 5)
CHANCE = np.random.default_rng(1)
HARD = CHANCE.random(len(LISTENER)) * 0.6


def values(better_by: float, noise: float = 0.02) -> np.ndarray:
    return HARD + better_by + noise * CHANCE.standard_normal(len(LISTENER))


def test_a_model_better_than_all_by_more_than_the_margin_is_promoted() -> None:
    decision = decide(
        {"model": values(0.1), "prior": values(0), "popularity": values(0.02), PROMOTED: values(0.05)},
        LISTENER,
        margin=0.01,
    )
    assert decision.better
    assert [each.rival for each in decision.contests] == [PROMOTED, "prior", "popularity"]
    assert "promoted model, prior and popularity" in decision.reason


@pytest.mark.parametrize("rival", ["prior", "popularity", PROMOTED])
def test_a_model_that_one_rival_equals_stays_where_it_is_and_the_reason_names_the_rival(rival: str) -> None:
    found = {"model": values(0.1), "prior": values(0), "popularity": values(0), PROMOTED: values(0)}
    decision = decide(found | {rival: values(0.1)}, LISTENER, margin=0.01)
    assert not decision.better
    assert f"against {rival}: less than the margin of 0.01" in decision.reason


def test_better_beyond_chance_but_by_less_than_the_margin_is_not_enough() -> None:
    found = {"model": values(0.005, 0.001), "prior": values(0, 0.001), "popularity": values(0, 0.001)}
    decision = decide(found, LISTENER, margin=0.01)
    assert all(each.low > 0 for each in decision.contests)
    assert not decision.better
    assert "less than the margin" in decision.reason
    assert decide(found, LISTENER, margin=0.002).better


def test_better_by_the_margin_but_for_a_few_listeners_only_is_not_enough() -> None:
    lucky = values(0, 0.001)
    lucky[LISTENER < 2] += 0.8
    found = {"model": lucky, "prior": values(0, 0.001), "popularity": values(0, 0.001)}
    decision = decide(found, LISTENER, margin=0.01)
    assert all(each.mean >= 0.01 for each in decision.contests)
    assert not decision.better
    # Not the margin was missed, so that is not what is said.
    assert "against prior: could be chance" in decision.reason
    assert "margin" not in decision.reason


def test_too_few_listeners_are_never_enough() -> None:
    few = np.repeat(np.arange(5), 60)
    found = {"model": values(0.3), "prior": values(0), "popularity": values(0)}
    decision = decide(found, few, margin=0.01)
    assert not decision.better
    assert "5 listeners" in decision.reason


def test_queries_without_an_answer_count_on_neither_side() -> None:
    found = {"model": values(0.1), "prior": values(0), "popularity": values(0)}
    with_gaps = {name: np.where(np.arange(len(LISTENER)) % 7, value, np.nan) for name, value in found.items()}
    assert decide(with_gaps, LISTENER, margin=0.01).better
