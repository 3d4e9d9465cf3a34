"""What was heard lately rests, and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from listening import NOON, PROFILE, World

from rhythmiq_recommender.arranging.fatigue import ARTIST_PART, FATIGUE_SCORE, FORGOTTEN, HALF_LIFE, ago
from rhythmiq_recommender.explain import Because
from rhythmiq_recommender.learning.history import EMPTY, Deed, History, history_of
from rhythmiq_recommender.plan import Group
from rhythmiq_recommender.recommend import Answer
from rhythmiq_recommender.situation import Wish

NOW = NOON.timestamp()
HOUR = 3600.0
SOUNDSCAPES = 3
EVERYTHING = Wish(PROFILE, SOUNDSCAPES, count=200, fatigue=1.0, diversity=0.0)
"""So few are soundscapes that the answer has them all, however tired one is of some."""


def heard(world: World, row: int, *ages: float) -> History:
    """The item at a row, so many seconds ago."""
    item = world.snapshot.columns.ids[row].ljust(16, b"\0")
    return history_of([Deed(item, "PLAY", NOW - age, {}) for age in ages])


def fatigue(answer: Answer) -> dict[int, Because]:
    """By row, what was heard too lately."""
    return {pick.row: why for pick in answer.picks for why in pick.reasons if why.group is Group.NOVELTY}


async def penalty(world: World, row: int, ages: Sequence[float], wish: Wish = EVERYTHING) -> float:
    told = fatigue(await replace(world, past=heard(world, row, *ages)).ask(wish))
    return -told[row].contribution if row in told else 0.0


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def row(world: World) -> int:
    """What comes first when nothing was heard."""
    return (await world.ask(EVERYTHING)).picks[0].row


async def test_what_was_just_heard_falls_and_the_rest_rises(world: World, row: int) -> None:
    before = [pick.row for pick in (await world.ask(Wish(PROFILE, SOUNDSCAPES, diversity=0.0))).picks]
    after = [
        pick.row for pick in (await replace(world, past=heard(world, row, 0)).ask(Wish(PROFILE, SOUNDSCAPES))).picks
    ]
    assert before[0] == row
    assert row not in after


async def test_reasons_say_when_and_still_sum_to_the_score(world: World, row: int) -> None:
    answer = await replace(world, past=heard(world, row, 2 * HOUR)).ask(replace(EVERYTHING, fatigue=0.1))
    told = fatigue(answer)
    assert told[row].text == "heard 2 hours ago"
    assert told[row].subject == "heard"
    artist = world.snapshot.item(row).artists[0]
    others = {each: why for each, why in told.items() if each != row}
    assert others
    assert {why.text for why in others.values()} == {f"by {artist}, heard 2 hours ago"}
    for pick in answer.picks:
        assert sum(why.contribution for why in pick.reasons) == pytest.approx(pick.score, abs=1e-9)


async def test_half_is_left_after_a_half_life_and_nothing_at_last(world: World, row: int) -> None:
    small = replace(EVERYTHING, fatigue=0.1)
    now, later = await penalty(world, row, [0], small), await penalty(world, row, [HALF_LIFE], small)
    assert now == pytest.approx(0.1 * FATIGUE_SCORE, abs=1e-3)
    assert later == pytest.approx(now / 2, abs=1e-3)
    assert await penalty(world, row, [FORGOTTEN + 1], small) == 0


async def test_several_hearings_tire_more_than_one_but_never_more_than_all(world: World, row: int) -> None:
    small = replace(EVERYTHING, fatigue=0.1)
    once, often = await penalty(world, row, [HALF_LIFE], small), await penalty(world, row, [HALF_LIFE] * 9, small)
    assert once < often <= 0.1 * FATIGUE_SCORE


async def test_the_artists_other_items_tire_less_than_the_item(world: World, row: int) -> None:
    answer = await replace(world, past=heard(world, row, 0)).ask(replace(EVERYTHING, fatigue=0.1))
    told = fatigue(answer)
    for other, why in told.items():
        if other != row:
            assert why.contribution == pytest.approx(ARTIST_PART * told[row].contribution, abs=1e-3)
    artist = world.snapshot.first_artist[row]
    assert {int(world.snapshot.first_artist[other]) for other in told} == {int(artist)}


async def test_the_listener_sets_how_much_it_counts(world: World, row: int) -> None:
    found = [await penalty(world, row, [HOUR], replace(EVERYTHING, fatigue=strength)) for strength in (0, 0.05, 0.1)]
    assert found == sorted(found)
    assert found[0] == 0
    assert len(set(found)) == 3


async def test_a_clock_that_is_ahead_counts_as_now(world: World, row: int) -> None:
    small = replace(EVERYTHING, fatigue=0.1)
    assert await penalty(world, row, [-120], small) == await penalty(world, row, [0], small)


async def test_what_is_no_longer_in_the_catalogue_tires_nobody(world: World) -> None:
    gone = history_of([Deed(bytes(range(16)), "PLAY", NOW, {}), Deed(b"\xff" * 16, "PLAY", NOW, {})])
    assert fatigue(await replace(world, past=gone).ask(EVERYTHING)) == {}
    assert fatigue(await replace(world, past=EMPTY).ask(EVERYTHING)) == {}


async def test_fatigue_survives_an_empty_catalogue(world: World, row: int) -> None:
    empty = world.snapshot.empty()
    answer = await World(empty, past=heard(world, row, 0)).ask(EVERYTHING)
    assert answer.picks == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "just now"),
        (80, "just now"),
        (120, "2 minutes ago"),
        (59.4 * 60, "59 minutes ago"),
        (3600, "an hour ago"),
        (23 * 3600, "23 hours ago"),
        (86_400, "a day ago"),
        (4.4 * 86_400, "4 days ago"),
    ],
)
def test_times_are_told_in_a_listeners_words(seconds: float, told: str) -> None:
    assert ago(seconds) == told
