"""What if with a ranker that was trained: through the Ranker protocol alone, to the same promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import planted
import pytest
import small_catalogue
from listening import PROFILE, World, leaning
from packages import SMALL

from rhythmiq_recommender.learned_catalogue import catalogue_of
from rhythmiq_recommender.learned_ranker import LearnedRanker
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.learning.listening import Catalogue, Listens, tables_of
from rhythmiq_recommender.learning.ranker import fit
from rhythmiq_recommender.learning.scorer import Scorer
from rhythmiq_recommender.learning.served.reader import fit_served
from rhythmiq_recommender.learning.visits import Ask, Sampling, training_frame
from rhythmiq_recommender.plan import Group
from rhythmiq_recommender.recommend_ports import Choice
from rhythmiq_recommender.situation import EnvironmentValue, LeaningType, Situation, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot
from rhythmiq_recommender.what_if import Comparison, Supposition, WhatIf

CUT = 1e9 + 8 * planted.DAY
RESTING: dict[str, EnvironmentValue] = {"activity": "resting", "weather": "rain", "local_time": 21.0}


@dataclass(frozen=True)
class Learned:
    """A model of listeners who want energy when they run and none when they rest, over the small catalogue."""

    ranker: LearnedRanker
    catalogue: Catalogue
    listens: Listens

    def choose(self, profile_id: str, situation: Situation) -> Choice:
        return Choice(self.ranker)

    def history(self, listener: int) -> History:
        """What one of them did."""
        theirs = self.listens.listener == listener
        return History(
            self.catalogue.ids[self.listens.item[theirs]],
            self.listens.time[theirs],
            np.ones(int(theirs.sum()), np.float32),
            self.listens.codes[theirs],
        )


@cache
def learned() -> Learned:
    snapshot: CatalogSnapshot = small_catalogue.snapshot()
    catalogue = catalogue_of(snapshot.columns, snapshot.names)
    listens = planted.listens(replace(catalogue, audio=np.nan_to_num(catalogue.audio)), effect=2.5)
    tables = tables_of(listens, catalogue, 1)
    assert tables.events.time is not None
    fitted = fit_served(tables.take(tables.events.time < CUT), catalogue, 1)
    reader, ask = fitted.onto(catalogue), Ask(tables)
    visits = ask.between(CUT, CUT + 30 * planted.DAY, most=400, seed=0)
    frame = training_frame(reader, ask, visits, sampling=Sampling(), seed=0)
    booster = fit(frame, rounds=20, parameters=SMALL)
    scorer = Scorer(reader, booster, frame.names, 0.5)
    return Learned(LearnedRanker("learned/track/all/test", scorer, snapshot), catalogue, listens)


@pytest.fixture
def world() -> World:
    model = learned()
    return World(
        model.ranker.snapshot,
        preferences=[leaning(LeaningType.GENRE, "jazz", 0.3)],
        past=model.history(3),
        rankers=model,
    )


async def asked(world: World, wish: Wish, /, *unknown: str, **suppose: EnvironmentValue) -> Comparison:
    return await WhatIf(world.recommend)(wish, Supposition(suppose, unknown))


def energy(comparison: Comparison, which: str) -> float:
    answer = getattr(comparison, which)
    items = [answer.snapshot.item(pick.row) for pick in answer.picks]
    return float(np.mean([item.features.energy for item in items]))


async def test_supposing_a_run_brings_energy_and_the_model_says_that_it_is_the_activity(world: World) -> None:
    found = await asked(world, Wish(PROFILE, environment=RESTING), activity="running")
    assert (found.actual.ranker, found.supposed.ranker) == ("learned/track/all/test",) * 2
    assert energy(found, "supposed") > energy(found, "actual") + 0.2
    came = [move for move in found.moves if move.rank is None]
    assert came
    told = [move.changes[0] for move in came]
    assert {(change.group, change.subject) for change in told} >= {(Group.SURROUNDINGS, "activity")}
    assert any(move.text == "new in the list: often liked while running" for move in came)


async def test_changes_of_learned_scores_sum_and_scores_are_those_of_the_lists(world: World) -> None:
    for wish in (Wish(PROFILE, environment=RESTING, count=40), Wish(PROFILE, environment=RESTING, count=15, seed=4)):
        found = await asked(world, wish, "weather", activity="running")
        assert found.moves
        now = {pick.row: pick.score for pick in found.actual.picks}
        then = {pick.row: pick.score for pick in found.supposed.picks}
        for move in found.moves:
            changes = [change.contribution for change in move.changes]
            assert sum(changes) == pytest.approx(move.supposed_score - move.score, abs=1e-9)
            assert move.score == now.get(move.row, move.score)
            assert move.supposed_score == then.get(move.row, move.supposed_score)


async def test_supposing_what_is_true_moves_nothing_under_a_model_either(world: World) -> None:
    wish = Wish(PROFILE, environment=RESTING, count=40)
    found = await asked(world, wish, "company", activity="resting")
    assert list(found.moves) == []
    assert found.actual.picks == found.supposed.picks == (await world.ask(replace(wish, explore=False))).picks


async def test_an_item_that_only_the_other_situation_finds_has_the_score_that_it_would_have(world: World) -> None:
    found = await asked(world, Wish(PROFILE, environment=RESTING, count=10), activity="running")
    longer = await world.ask(Wish(PROFILE, environment=RESTING, count=200, explore=False))
    scores = {pick.row: pick.score for pick in longer.picks}
    came = [move for move in found.moves if move.rank is None and move.row in scores]
    assert came
    for move in came:
        assert move.score == scores[move.row]
