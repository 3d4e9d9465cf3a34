"""A shadow ranks what was answered, is logged, and changes no answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
import small_catalogue
from eventually import eventually
from listening import PROFILE, World
from model_packages import history_of_listener, made

from rhythmiq_recommender.learned_catalogue import catalogue_of
from rhythmiq_recommender.learned_ranker import LearnedRanker
from rhythmiq_recommender.learning.package import load
from rhythmiq_recommender.models.shadow import Shadows, compared
from rhythmiq_recommender.recommend import PRIOR
from rhythmiq_recommender.recommend_ports import Choice
from rhythmiq_recommender.situation import Filter, Situation, Wish


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> LearnedRanker:
    package = load(made(tmp_path_factory.mktemp("package") / "v1", "v1", rounds=60))
    snapshot = small_catalogue.snapshot()
    return LearnedRanker("learned/track/all/v1", package.onto(catalogue_of(snapshot.columns, snapshot.names)), snapshot)


class Shadowing:
    """Rankers: the prior answers, and a model is its shadow."""

    def __init__(self, shadow: LearnedRanker) -> None:
        self._choice = Choice(PRIOR, shadow=shadow)

    def choose(self, profile_id: str, situation: Situation) -> Choice:
        return self._choice


@asynccontextmanager
async def following(shadows: Shadows) -> AsyncIterator[None]:
    task = asyncio.create_task(shadows.follow())
    yield
    task.cancel()
    await asyncio.wait({task})


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "rhythmiq.shadow"]


async def test_a_sample_of_answers_is_scored_and_logged_and_none_is_changed(
    ranker: LearnedRanker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    chances = iter([0.0, 0.9, 0.2, 0.5, 0.49, 0.99])
    shadows = Shadows(0.5, chance=lambda: next(chances))
    world = World(past=history_of_listener(1))
    plain = await world.ask()
    world.rankers = Shadowing(ranker)
    recommend = replace(world.recommend, shadows=shadows)
    async with following(shadows):
        for _ in range(6):
            answer = await recommend(Wish(PROFILE))
            assert answer.picks == plain.picks
            assert answer.ranker == "prior/1"
        await eventually(lambda: len(logged(caplog)) == 3)
    for line in map(vars, logged(caplog)):
        assert (line["shadow"], line["ranker"]) == ("learned/track/all/v1", "prior/1")
        assert line["items"] >= 300
        assert 0 <= line["overlap_at_20"] < 1
        assert -1 <= line["rank_correlation"] < 1
        assert line["dropped"] == 0


async def test_what_comes_while_it_is_busy_is_dropped(ranker: LearnedRanker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shadows = Shadows(1.0)
    world = World(rankers=Shadowing(ranker))
    recommend = replace(world.recommend, shadows=shadows)
    for _ in range(20):  # nobody takes them away yet
        assert len((await recommend(Wish(PROFILE))).picks) == 20
    async with following(shadows):
        await eventually(lambda: len(logged(caplog)) == 16)
    assert {record.dropped for record in logged(caplog)} == {4}  # type: ignore[attr-defined]


async def test_a_shadow_that_fails_is_logged_and_the_next_is_scored(
    ranker: LearnedRanker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shadows = Shadows(1.0)
    world = World(rankers=Shadowing(replace(ranker, scorer=None)))  # type: ignore[arg-type]
    async with following(shadows):
        assert len((await replace(world.recommend, shadows=shadows)(Wish(PROFILE))).picks) == 20
        world.rankers = Shadowing(ranker)
        await replace(world.recommend, shadows=shadows)(Wish(PROFILE))
        await eventually(lambda: len(logged(caplog)) == 2)
    assert [record.message for record in logged(caplog)] == ["a shadow failed", "shadow"]


async def test_an_empty_answer_has_nothing_to_score(ranker: LearnedRanker) -> None:
    def never() -> float:
        raise AssertionError("nothing to score")

    world = World(rankers=Shadowing(ranker))
    wish = Wish(PROFILE, filter=Filter(min_year=9999))
    assert (await replace(world.recommend, shadows=Shadows(1.0, chance=never))(wish)).picks == []


def test_comparisons_are_what_they_say() -> None:
    scores = np.arange(100.0)
    assert compared(scores, scores + 2) == pytest.approx((1.0, 1.0, 2.0))
    assert compared(scores, -scores) == pytest.approx((0.0, -1.0, -99.0))
    half = scores.copy()
    half[80:90] = -1
    assert compared(scores, half).overlap == 0.5
    assert compared(np.ones(1), np.zeros(1)) == (1.0, 1.0, -1.0)
