"""What is learned of the demo world's listeners is what was planted in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from bench.quality.planted import is_planted
from planted_leanings import world_history, world_shelf

from rhythmiq_cli.demo.histories import demo_world
from rhythmiq_cli.demo.seed import demo_preferences
from rhythmiq_cli.demo.world import make_world
from rhythmiq_cli.demo.world.make import END
from rhythmiq_recommender.leanings.derive import derive
from rhythmiq_recommender.situation import LeaningType


@pytest.mark.parametrize(("listeners", "interactions", "recall"), [(150, 30_000, 0.15), (100, 60_000, 0.2)])
def test_four_of_five_learned_are_planted_and_the_more_is_known_the_more_are_found(
    listeners: int, interactions: int, recall: float
) -> None:
    world = make_world(listeners, interactions, seed=7)
    shelf = world_shelf(world)
    hits = found = genres = wanted = 0
    for listener in range(listeners):
        planted = world.planted(listener)
        learned = derive(world_history(world, listener), shelf, END)
        hits += sum(is_planted(each, planted) for each in learned)
        found += len(learned)
        names = {each.value.name for each in learned if each.value.type is LeaningType.GENRE and each.weight > 0}
        genres += len(names & set(planted.genres))
        wanted += len(planted.genres)
    assert hits / found >= 0.8
    # Two genres, two artists, a tempo, an instrument and a disliked genre each.
    assert hits / (7 * listeners) >= recall
    assert genres / wanted >= 2 * recall


@pytest.mark.parametrize("days", [0, 45, 101, 222, 300])
def test_first_start_on_any_day_shows_what_the_demo_listener_has_not_said(days: int) -> None:
    now = datetime(2026, 1, 1, 7, tzinfo=UTC) + timedelta(days=days, hours=days)
    world = demo_world(now)
    shelf, history = world_shelf(world), world_history(world, 0)
    # The demo listener's past comes first, so it may be looked at before anybody else has one; and again a day later.
    own = np.bincount(shelf.rows_of(history.item)[history.liked > 0], minlength=len(shelf))
    said = {preference.value for preference in demo_preferences()}
    for known in (replace(shelf, plays=own.astype(np.float64)), shelf):
        learned = {each.value.name: each.weight for each in derive(history, known, now.timestamp())}
        assert learned["latin"] > 0.55
        assert 1 <= len(set(learned) - said) <= 3
