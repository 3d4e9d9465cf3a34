"""What is learned of the demo world's listeners is what was planted in them."""

from __future__ import annotations

import pytest
from planted_leanings import world_history, world_shelf

from rhythmiq_cli.demo.world import Planted, make_world
from rhythmiq_cli.demo.world.make import END
from rhythmiq_recommender.leanings.derive import derive
from rhythmiq_recommender.leanings.model import Learned
from rhythmiq_recommender.situation import LeaningType


def is_planted(learned: Learned, planted: Planted) -> bool:
    (type_, name), liked = learned.value, learned.weight > 0
    if type_ is LeaningType.GENRE:
        return name in planted.genres if liked else name == planted.disliked_genre
    if type_ is LeaningType.ARTIST:
        return liked and name in planted.artists
    if type_ is LeaningType.INSTRUMENT:
        return liked and name == planted.instrument
    low, high = map(int, name.split("-"))
    shared = min(high, planted.tempo[1]) - max(low, planted.tempo[0])
    return liked and shared >= min(high - low, planted.tempo[1] - planted.tempo[0]) / 2


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
