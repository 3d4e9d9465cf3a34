"""What if: nothing differs but what is supposed, and every move says why, to the last decimal."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest
from listening import LOUD_RUN, PROFILE, QUIET_BED, World, leaning, titles

from rhythmiq_mesh.errors import InvalidArgument, NotFound
from rhythmiq_recommender.environment import KINDS
from rhythmiq_recommender.explain import TOLD
from rhythmiq_recommender.plan import Group, Plan
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.prior_ranker import PriorRanker
from rhythmiq_recommender.ranking import Ranked
from rhythmiq_recommender.recommend import Answer
from rhythmiq_recommender.recommend_ports import Choice
from rhythmiq_recommender.situation import (
    EnvironmentKind,
    EnvironmentValue,
    LeaningType,
    Listener,
    Origin,
    Reading,
    Seeds,
    Situation,
    Target,
    Wish,
)
from rhythmiq_recommender.snapshot import CatalogSnapshot
from rhythmiq_recommender.what_if import Comparison, Supposition, WhatIf

LIKES = [
    leaning(LeaningType.GENRE, "jazz", 0.9),
    leaning(LeaningType.ARTIST, "pop artist 1", 0.5),
    leaning(LeaningType.TEMPO, "100-130", 0.6),
]
VALUES: dict[EnvironmentKind, list[EnvironmentValue]] = {
    "ambient_noise": [20.0, 40.0, 52.0, 66.0, 80.0],
    "activity": ["sleeping", "working", "running", "driving"],
    "local_time": [0.0, 7.5, 13.0, 18.0, 22.0],
    "heart_rate": [60.0, 120.0, 160.0],
    "weather": ["clear", "rain"],
    "temperature": [-5.0, 22.0],
    "place_type": ["gym", "cafe", "home"],
    "company": ["alone", "with_group"],
    "illuminance": [0.5, 20_000.0],
}


async def what_if(world: World, wish: Wish, /, *unknown: EnvironmentKind, **suppose: EnvironmentValue) -> Comparison:
    return await WhatIf(world.recommend)(wish, Supposition(suppose, unknown))


def surroundings(dice: random.Random) -> dict[EnvironmentKind, EnvironmentValue]:
    """Some kinds, each with some value."""
    kinds = dice.sample(sorted(VALUES), dice.randrange(1, 6))
    return {kind: dice.choice(VALUES[kind]) for kind in kinds}


def scores(answer: Answer) -> dict[int, float]:
    return {pick.row: pick.score for pick in answer.picks}


@pytest.mark.parametrize("seed", range(8))
async def test_supposing_what_is_true_moves_nothing(seed: int) -> None:
    dice = random.Random(seed)
    here = surroundings(dice)
    world = World(preferences=LIKES, profile=Listener("Europe/Vienna"))
    wish = Wish(PROFILE, environment=here, count=30, seed=seed if seed % 2 else None)
    true = dice.sample(sorted(here), dice.randrange(1, len(here) + 1))
    found = await what_if(world, wish, **{kind: here[kind] for kind in true})
    assert list(found.moves) == []
    assert found.actual == found.supposed


async def test_supposing_a_kind_unknown_that_nobody_knows_moves_nothing() -> None:
    found = await what_if(World(preferences=LIKES), Wish(PROFILE, environment=LOUD_RUN), "weather", "company")
    assert list(found.moves) == []
    assert titles(found.actual) == titles(found.supposed)


@pytest.mark.parametrize("seed", range(8))
async def test_both_lists_are_what_recommend_answers_in_those_surroundings(seed: int) -> None:
    dice = random.Random(100 + seed)
    here, supposed = surroundings(dice), surroundings(dice)
    world = World(preferences=LIKES)
    wish = Wish(PROFILE, environment=here, count=dice.choice((1, 20, 200)), seed=seed, explore=False)
    found = await what_if(world, wish, **supposed)
    assert found.actual == await world.ask(wish)
    once = await world.ask(replace(wish, environment={**here, **supposed}))
    assert (found.supposed.picks, found.supposed.ranker) == (once.picks, once.ranker)
    assert {use.kind: use.value for use in found.supposed.surroundings} == {**here, **supposed}
    # Supposing it again where it is true changes nothing any more.
    again = await what_if(world, replace(wish, environment={**here, **supposed}), **supposed)
    assert (list(again.moves), again.supposed.picks) == ([], once.picks)


@pytest.mark.parametrize("seed", range(8))
async def test_changes_sum_to_the_difference_of_two_true_scores(seed: int) -> None:
    dice = random.Random(200 + seed)
    tuning = {"energy": Target(target=0.6), "key": Target(target=3)}
    wish = Wish(PROFILE, environment=surroundings(dice), count=40, tuning=tuning, seeds=Seeds(genres=["soul"]), seed=3)
    found = await what_if(World(preferences=LIKES), wish, *("weather",) * (seed % 2), **LOUD_RUN)
    assert found.moves
    now, then = scores(found.actual), scores(found.supposed)
    for move in found.moves:
        assert sum(change.contribution for change in move.changes) == pytest.approx(
            move.supposed_score - move.score, abs=1e-9
        )
        strengths = [abs(change.contribution) for change in move.changes]
        assert strengths == sorted(strengths, reverse=True)
        assert len(strengths) <= TOLD + 1
        assert len({(change.group, change.subject) for change in move.changes}) == len(move.changes)
        assert all(change.text and change.contribution for change in move.changes)
        assert move.score == now.get(move.row, move.score)
        assert move.supposed_score == then.get(move.row, move.supposed_score)


async def test_an_item_that_leaves_the_list_is_scored_in_both_situations_all_the_same() -> None:
    world = World(preferences=LIKES)
    found = await what_if(world, Wish(PROFILE, environment=QUIET_BED, count=10), **LOUD_RUN)
    whole = {
        name: scores(await world.ask(Wish(PROFILE, environment=there, count=200)))
        for name, there in (("quiet", QUIET_BED), ("loud", LOUD_RUN))
    }
    left = [move for move in found.moves if move.supposed_rank is None]
    came = [move for move in found.moves if move.rank is None]
    assert left
    assert came
    # Among the best 200 of the other situation some of them are found again, with that very score.
    assert any(move.row in whole["loud"] for move in left)
    assert any(move.row in whole["quiet"] for move in came)
    for move in (*left, *came):
        assert move.score == whole["quiet"].get(move.row, move.score)
        assert move.supposed_score == whole["loud"].get(move.row, move.supposed_score)


@pytest.mark.parametrize("count", [1, 10, 60])
async def test_moves_are_exactly_what_differs_between_the_lists_and_the_largest_comes_first(count: int) -> None:
    wish = Wish(PROFILE, environment=QUIET_BED, count=count)
    found = await what_if(World(preferences=LIKES), wish, ambient_noise=80.0, local_time=8.5)
    now = {pick.row: rank for rank, pick in enumerate(found.actual.picks, start=1)}
    then = {pick.row: rank for rank, pick in enumerate(found.supposed.picks, start=1)}
    told = {move.row: (move.rank, move.supposed_rank) for move in found.moves}
    assert told == {row: (now.get(row), then.get(row)) for row in {*now, *then} if now.get(row) != then.get(row)}
    sizes = [abs((move.rank or count + 1) - (move.supposed_rank or count + 1)) for move in found.moves]
    assert sizes == sorted(sizes, reverse=True)


async def test_moves_are_told_in_a_listeners_words() -> None:
    wish = Wish(PROFILE, environment={"ambient_noise": 40.0, "activity": "running"}, count=60)
    found = await what_if(World(preferences=LIKES), wish, "activity", ambient_noise=80.0)
    texts = [move.text for move in found.moves]
    loud = "carries well at a safe volume, because it is loud around you (80 dB)"
    assert any(text == f"new in the list: {loud}" for text in texts)
    assert any(text.startswith("up ") and text.endswith(f"places: {loud}") for text in texts)
    assert any(text.startswith("out of the list: no longer: ") and "because you are running" in text for text in texts)
    for move in found.moves:
        where, _, why = move.text.partition(": ")
        assert why
        expected = {
            (True, False): "new in the list",
            (False, True): "out of the list",
        }.get((move.rank is None, move.supposed_rank is None))
        if expected is None:
            assert move.rank
            assert move.supposed_rank
            places = abs(move.rank - move.supposed_rank)
            way = "up" if move.supposed_rank < move.rank else "down"
            expected = f"{way} {places} place{'s' if places > 1 else ''}"
        assert where == expected


async def test_what_speaks_less_for_an_item_or_against_it_than_before_says_so() -> None:
    carries = "carries well at a safe volume, because it is loud around you"
    lost = "quiet parts may get lost at a safe volume, because it is loud around you"
    # Liked whatever it sounds like, so that items are listed that noise speaks against.
    world = World(preferences=[leaning(LeaningType.GENRE, "jazz", 1.0)])
    wish = Wish(PROFILE, environment={"ambient_noise": 80.0}, count=200)
    weaker, gone = await what_if(world, wish, ambient_noise=66.0), await what_if(world, wish, "ambient_noise")
    told = {change.text for move in weaker.moves for change in move.changes}
    assert {f"less so: {carries} (66 dB)", f"less against it: {lost} (66 dB)"} <= told
    told = {change.text for move in gone.moves for change in move.changes}
    assert {f"no longer: {carries} (80 dB)", f"no longer against it: {lost} (80 dB)"} <= told


async def test_preferences_and_tuning_are_not_among_the_changes() -> None:
    wish = Wish(PROFILE, environment=QUIET_BED, tuning={"tempo": Target(target=120)}, count=40, seed=9)
    found = await what_if(World(preferences=LIKES), wish, **LOUD_RUN)
    groups = {change.group for move in found.moves for change in move.changes}
    assert groups <= {Group.SURROUNDINGS, Group.OTHER}
    assert {change.subject for move in found.moves for change in move.changes} <= {*KINDS, "rest"}


async def test_supposing_the_time_unknown_stops_the_clock_too() -> None:
    world = World(profile=Listener("Europe/Vienna"))
    found = await what_if(world, Wish(PROFILE), "local_time")
    assert [(use.kind, use.origin) for use in found.actual.surroundings] == [("local_time", Origin.PROFILE_TIME_ZONE)]
    assert list(found.supposed.surroundings) == []


async def test_a_stale_reading_is_not_missed_where_something_else_is_supposed() -> None:
    world = World(observed=[Reading("ambient_noise", 40.0, 5e6), Reading("heart_rate", 70.0, 5e6)])
    found = await what_if(world, Wish(PROFILE), "heart_rate", ambient_noise=80.0)
    assert [lack.subject for lack in found.actual.degradations] == [
        "environment.ambient_noise",
        "environment.heart_rate",
    ]
    assert list(found.supposed.degradations) == []
    assert [(use.kind, use.value, use.origin) for use in found.supposed.surroundings] == [
        ("ambient_noise", 80.0, Origin.REQUEST)
    ]


async def test_everyone_is_asked_once_and_what_is_away_is_named_in_both_lists() -> None:
    world = World(away=frozenset({"preference"}))
    found = await what_if(world, Wish(PROFILE), ambient_noise=80.0)
    assert len(world.asked) == len(set(world.asked))
    for answer in (found.actual, found.supposed):
        assert [lack.subject for lack in answer.degradations] == ["preferences"]


async def test_an_empty_catalogue_moves_nothing() -> None:
    found = await what_if(World(CatalogSnapshot.empty()), Wish(PROFILE), ambient_noise=80.0)
    assert list(found.moves) == []
    assert [lack.reason for lack in found.supposed.degradations] == ["CATALOG_EMPTY"]


@dataclass
class FailsWhenLoud:
    """Rankers with one that cannot stand noise."""

    name: str = "learned/fails-when-loud"

    def choose(self, profile_id: str, situation: Situation) -> Choice:
        return Choice(_Failing(self.name))


class _Failing(PriorRanker):
    def __init__(self, name: str) -> None:
        self.name = name

    def rank(self, snapshot: CatalogSnapshot, rows: IntArray, situation: Situation, plan: Plan) -> Ranked:
        if situation.surroundings["ambient_noise"].value == 80.0:
            raise ArithmeticError("too loud")
        return super().rank(snapshot, rows, situation, plan)


async def test_a_ranker_that_fails_in_one_situation_is_done_without_in_both() -> None:
    wish = Wish(PROFILE, environment=QUIET_BED)
    found = await what_if(World(rankers=FailsWhenLoud()), wish, ambient_noise=80.0)
    by_prior = await what_if(World(), wish, ambient_noise=80.0)
    assert (found.actual.ranker, found.supposed.ranker) == ("prior/1", "prior/1")
    assert found.moves == by_prior.moves
    for answer in (found.actual, found.supposed):
        assert [(lack.subject, lack.reason) for lack in answer.degradations] == [("ranker", "MODEL_FAILED")]


@pytest.mark.parametrize(
    ("supposition", "guided", "field"),
    [
        (Supposition({}), False, "suppose"),
        (Supposition({"activity": "running"}, ["weather", "activity"]), False, "suppose_unknown[1]"),
        (Supposition({"activity": "running"}), True, "request.mode"),
    ],
)
async def test_what_cannot_be_supposed_is_refused_by_field(supposition: Supposition, guided: bool, field: str) -> None:
    world = World()
    with pytest.raises(InvalidArgument) as refused:
        await WhatIf(world.recommend)(Wish(PROFILE, uses_surroundings=not guided), supposition)
    assert [violation.field for violation in refused.value.violations] == [field]
    assert world.asked == []


async def test_seeds_that_are_not_there_are_named_within_the_request() -> None:
    with pytest.raises(NotFound, match=r"^request\.seeds\.genres\[0\]: "):
        await what_if(World(), Wish(PROFILE, seeds=Seeds(genres=["none"])), ambient_noise=80.0)
