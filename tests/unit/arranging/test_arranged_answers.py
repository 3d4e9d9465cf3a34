"""What arranging and blocks promise of whole answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import small_catalogue
from listening import LOUD_RUN, PROFILE, World, titles

from rhythmiq_mesh.errors import Unavailable
from rhythmiq_recommender.blocks.model import Blocked
from rhythmiq_recommender.compat import RecommendLikeSpotify, Seed, SeedType
from rhythmiq_recommender.recommend import Answer
from rhythmiq_recommender.situation import Filter, Seeds, Wish
from rhythmiq_recommender.what_if import Supposition, WhatIf

WISH = Wish(PROFILE, environment=LOUD_RUN)
SEEDS = range(40)


def shown(answer: Answer) -> set[str]:
    return {answer.snapshot.item(pick.row).uid for pick in answer.picks}


def artists(answer: Answer) -> set[str]:
    return {artist.casefold() for pick in answer.picks for artist in answer.snapshot.item(pick.row).artists}


async def test_explored_items_are_marked_and_what_was_drawn_is_told() -> None:
    world = World(exploration=0.3)
    answers = [await world.ask(replace(WISH, seed=seed)) for seed in SEEDS]
    picks = [pick for answer in answers for pick in answer.picks]
    assert any(pick.explored for pick in picks)
    assert all(0 < pick.propensity < 0.5 for pick in picks if pick.explored)
    assert all(pick.propensity >= 0.7 for pick in picks if not pick.explored)
    assert all(pick.propensity == 1 for answer in answers for pick in answer.picks[:2])
    for answer in answers:
        for pick in answer.picks:
            assert sum(why.contribution for why in pick.reasons) == pytest.approx(pick.score, abs=1e-9)


async def test_the_same_seed_explores_the_same_and_another_something_else() -> None:
    world = World(exploration=0.3)
    once = [titles(await world.ask(replace(WISH, seed=seed))) for seed in SEEDS]
    again = [titles(await world.ask(replace(WISH, seed=seed))) for seed in SEEDS]
    assert once == again
    drawn = {
        tuple(place for place, pick in enumerate((await world.ask(replace(WISH, seed=seed))).picks) if pick.explored)
        for seed in SEEDS
    }
    assert len(drawn) > 1


async def test_without_a_seed_each_request_draws_anew() -> None:
    world = World(exploration=0.3)
    assert len({tuple(titles(await world.ask(WISH))) for _ in range(40)}) > 1


@pytest.mark.parametrize("world", [World(exploration=0.3), World(exploration=0.0)])
async def test_exploration_is_off_by_request_and_by_the_operator(world: World) -> None:
    wish = replace(WISH, explore=world.exploration == 0)
    answers = [await world.ask(wish) for _ in range(10)]
    assert len({tuple(titles(answer)) for answer in answers}) == 1
    assert all(pick.propensity == 1 and not pick.explored for answer in answers for pick in answer.picks)


async def test_neither_variety_nor_exploration_breaks_a_hard_filter() -> None:
    world = World(exploration=0.3)
    strict = Filter(genres=["jazz", "soul"], exclude_artists=["jazz artist 1"], min_year=1980)
    for seed in SEEDS:
        answer = await world.ask(replace(WISH, seed=seed, filter=strict, diversity=1.0))
        for pick in answer.picks:
            item = answer.snapshot.item(pick.row)
            assert {genre.casefold() for genre in item.genres} & {"jazz", "soul"}
            assert item.release_date.year >= 1980
        assert "jazz artist 1" not in artists(answer)


async def test_spotifys_shape_neither_explores_nor_tires() -> None:
    world = World(exploration=0.3)
    seed = Seed("jazz", SeedType.GENRE, "jazz")
    ask = RecommendLikeSpotify(world.recommend)
    answers = [(await ask(Wish(PROFILE), [seed]))[1] for _ in range(10)]
    assert len({tuple(titles(answer)) for answer in answers}) == 1


async def test_nothing_blocked_is_ever_shown() -> None:
    plain = await World().ask(replace(WISH, count=100))
    items = sorted(shown(plain))[:30]
    never = Blocked(tuple(items), ("guest 1", "rock artist 2", "nobody at all"))
    world = World(exploration=0.3, never=never)
    answers = [await world.ask(replace(WISH, count=100, seed=seed)) for seed in range(10)]
    answers.append(await world.ask(Wish(PROFILE, count=200, seeds=Seeds(artists=["rock artist 2"]))))
    answers.append((await RecommendLikeSpotify(world.recommend)(Wish(PROFILE), [Seed("x", SeedType.GENRE, "rock")]))[1])
    compared = await WhatIf(world.recommend)(WISH, Supposition({"ambient_noise": 30.0}))
    answers += [compared.actual, compared.supposed]
    for answer in answers:
        assert answer.picks
        assert not shown(answer) & set(items)
        assert not artists(answer) & {"guest 1", "rock artist 2"}
    assert {"guest 1"} <= artists(await World().ask(Wish(PROFILE, count=200)))


async def test_what_was_never_in_the_catalogue_may_be_blocked() -> None:
    unknown = Blocked(("00000000-0000-5000-8000-000000000000", "ffffffff-ffff-5fff-bfff-ffffffffffff"), ("nobody",))
    assert titles(await World(never=unknown).ask(WISH)) == titles(await World().ask(WISH))
    empty = World(small_catalogue.snapshot().empty(), never=unknown)
    assert (await empty.ask(WISH)).picks == []


async def test_an_answer_is_refused_rather_than_given_without_the_blocks() -> None:
    world = World(away=frozenset({"blocks"}))
    with pytest.raises(Unavailable, match="blocked") as caught:
        await world.ask(WISH)
    assert caught.value.retry_after > 0
    with pytest.raises(Unavailable):
        await RecommendLikeSpotify(world.recommend)(Wish(PROFILE), [Seed("x", SeedType.GENRE, "rock")])
    with pytest.raises(Unavailable):
        await WhatIf(world.recommend)(WISH, Supposition({"ambient_noise": 30.0}))


async def test_stronger_variety_brings_more_artists_genres_and_less_score() -> None:
    world = World()
    answers = [
        await world.ask(replace(WISH, filter=Filter(genres=["pop", "soul", "rock"]), diversity=strength))
        for strength in (0.0, 0.5, 1.0)
    ]
    scores = [sum(pick.score for pick in answer.picks) for answer in answers]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3
