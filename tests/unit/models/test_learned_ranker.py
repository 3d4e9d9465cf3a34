"""A learned ranker adds what was learned to what the listener said, and can say why in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_catalogue
from listening import PROFILE, World, leaning
from model_packages import NOW, history_of_listener, made

from rhythmiq_recommender.learned_catalogue import catalogue_of
from rhythmiq_recommender.learned_ranker import LearnedRanker
from rhythmiq_recommender.learning.history import EMPTY, History
from rhythmiq_recommender.learning.package import load
from rhythmiq_recommender.plan import Group, make_plan
from rhythmiq_recommender.recommend import Answer
from rhythmiq_recommender.recommend_ports import Choice
from rhythmiq_recommender.shortlist import rank
from rhythmiq_recommender.situation import (
    EnvironmentValue,
    Filter,
    LeaningType,
    Origin,
    Seeds,
    Situation,
    Surrounding,
    Target,
    Wish,
)
from rhythmiq_recommender.snapshot import CatalogSnapshot

RUNNING: Mapping[str, EnvironmentValue] = {"activity": "running"}
RESTING: Mapping[str, EnvironmentValue] = {"activity": "resting"}
EVERYTHING: Mapping[str, EnvironmentValue] = {
    "activity": "running",
    "local_time": 18.0,
    "weather": "rain",
    "place_type": "outdoors",
    "audio_output": "headphones",
    "company": "alone",
    "ambient_noise": 66.0,
    "illuminance": 2_000.0,
    "temperature": 21.0,
    "humidity": 50.0,
    "heart_rate": 130.0,
    "speed": 3.0,
}


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> LearnedRanker:
    return fitted(tmp_path_factory.mktemp("package"), small_catalogue.snapshot())


def fitted(folder: Path, snapshot: CatalogSnapshot) -> LearnedRanker:
    package = load(made(folder / "v1", "v1", rounds=60))
    return LearnedRanker("learned/track/all/v1", package.onto(catalogue_of(snapshot.columns, snapshot.names)), snapshot)


class Only:
    """Rankers: this one for everyone."""

    def __init__(self, ranker: LearnedRanker) -> None:
        self._choice = Choice(ranker)

    def choose(self, profile_id: str, situation: Situation) -> Choice:
        return self._choice


def world_of(ranker: LearnedRanker, past: History = EMPTY, **more: object) -> World:
    world = World(past=past, rankers=Only(ranker), **more)  # type: ignore[arg-type]
    world.moment = world.moment.fromtimestamp(NOW, tz=world.moment.tzinfo)
    return world


def genres(answer: Answer) -> list[str]:
    return [answer.snapshot.item(pick.row).genres[0].casefold() for pick in answer.picks]


def energy(answer: Answer) -> float:
    items = [answer.snapshot.item(pick.row).features for pick in answer.picks]
    return float(np.mean([audio.energy for audio in items if audio.HasField("energy")]))


def said(answer: Answer, group: Group) -> dict[str, str]:
    return {why.text: why.subject for pick in answer.picks for why in pick.reasons if why.group is group}


def situation(environment: Mapping[str, EnvironmentValue], past: History = EMPTY) -> Situation:
    surroundings = {kind: Surrounding(kind, value, Origin.REQUEST) for kind, value in environment.items()}
    return Situation(1, surroundings, [], {}, Seeds(), past, NOW)


async def test_who_always_chose_one_genre_is_given_more_of_it(ranker: LearnedRanker) -> None:
    wish = Wish(PROFILE, count=20, fatigue=0.0, diversity=0.0)
    liked = []
    for number in range(4):
        answer = await world_of(ranker, history_of_listener(number)).ask(wish)
        assert answer.ranker == "learned/track/all/v1"
        assert answer.degradations == []
        liked.append(genres(answer))
    names = [max(set(found), key=found.count) for found in liked]
    assert len(set(names)) == 4
    for name, found in zip(names, liked, strict=True):
        assert found.count(name) >= 8  # one of ten genres


async def test_runners_get_energetic_items_and_those_who_rest_calm_ones(ranker: LearnedRanker) -> None:
    world = world_of(ranker, history_of_listener(1))
    running, resting = [
        energy(await world.ask(Wish(PROFILE, environment=environment))) for environment in (RUNNING, RESTING)
    ]
    assert running > resting + 0.1


@pytest.mark.parametrize("past", [EMPTY, history_of_listener(2)], ids=["newcomer", "regular"])
@pytest.mark.parametrize("environment", [{}, EVERYTHING], ids=["nowhere", "somewhere"])
async def test_reasons_sum_to_the_score_and_are_of_every_group(
    ranker: LearnedRanker, past: History, environment: Mapping[str, EnvironmentValue]
) -> None:
    likes = [leaning(LeaningType.GENRE, "jazz", 0.9), leaning(LeaningType.TEMPO, "100-130", 0.6)]
    wish = Wish(
        PROFILE,
        count=50,
        environment=environment,
        tuning={"energy": Target(target=0.6)},
        seeds=Seeds(artists=["soul artist 2"]),
        seed=3,
    )
    answer = await world_of(ranker, past, preferences=likes).ask(wish)
    assert len(answer.picks) == 50
    for pick in answer.picks:
        assert sum(why.contribution for why in pick.reasons) == pytest.approx(pick.score, abs=1e-9)
        assert len({(why.group, why.subject) for why in pick.reasons}) == len(pick.reasons)
        assert all(why.text for why in pick.reasons)


async def test_every_contribution_is_told_exactly(ranker: LearnedRanker) -> None:
    snapshot, past = small_catalogue.snapshot(), history_of_listener(3)
    asked = situation(EVERYTHING, past)
    rows = np.flatnonzero(snapshot.columns.kind == 1)[::3]
    ranked = rank(ranker, snapshot, rows, Wish(PROFILE), asked, make_plan(snapshot, asked))
    positions = list(range(0, len(rows), 2))
    explained = ranked.explain(positions)
    np.testing.assert_allclose(explained.contributions.sum(axis=1), ranked.scores[positions], atol=1e-9)
    subjects = {explained.subject(0, column).group for column in range(explained.contributions.shape[1])}
    assert {Group.TASTE, Group.SIMILAR, Group.SURROUNDINGS, Group.NOVELTY, Group.POPULARITY} <= subjects


async def test_what_was_learned_is_told_in_a_listeners_words(ranker: LearnedRanker) -> None:
    past = history_of_listener(1)
    wish = Wish(PROFILE, count=150, environment=RUNNING, fatigue=0.0, filter=Filter())
    answer = await world_of(ranker, past).ask(wish)
    assert {"often liked while running", "seldom liked while running"} & set(said(answer, Group.SURROUNDINGS))
    assert {"fits what you usually like", "unlike what you usually like"} & set(said(answer, Group.TASTE))
    assert {"liked by many listeners", "liked by few listeners"} & set(said(answer, Group.POPULARITY))
    novelty = set(said(answer, Group.NOVELTY))
    assert any(text == "new for you" or text.startswith("you heard it ") for text in novelty)
    heard = set(map(bytes, past.item))
    for text, subject in said(answer, Group.SIMILAR).items():
        if subject.startswith("item:items/"):
            row = answer.snapshot.row_of_name(subject.removeprefix("item:"))
            assert row is not None
            assert bytes(answer.snapshot.columns.ids[row]) in heard
            assert answer.snapshot.item(row).title in text


async def test_nobody_is_ever_told_to_turn_the_volume_up(ranker: LearnedRanker) -> None:
    answer = await world_of(ranker, history_of_listener(0)).ask(Wish(PROFILE, count=200, environment=EVERYTHING))
    for pick in answer.picks:
        for why in pick.reasons:
            assert not any(word in why.text.lower() for word in ("turn", "louder", "raise ", " up"))


async def test_what_the_listener_says_counts_beside_what_was_learned(ranker: LearnedRanker) -> None:
    past = history_of_listener(1)
    plain = await world_of(ranker, past).ask(Wish(PROFILE, diversity=0.0))
    asked = await world_of(ranker, past, preferences=[leaning(LeaningType.GENRE, "métal", 1.0)]).ask(
        Wish(PROFILE, diversity=0.0)
    )
    assert genres(asked).count("métal") > genres(plain).count("métal")
    only = await world_of(ranker, past).ask(Wish(PROFILE, filter=Filter(genres=["jazz"])))
    for pick in only.picks:
        assert "jazz" in {name.casefold() for name in only.snapshot.item(pick.row).genres}


async def test_candidates_are_those_that_every_filter_lets_pass(ranker: LearnedRanker) -> None:
    snapshot = small_catalogue.snapshot()
    mask = snapshot.columns.kind == 1
    mask[::2] = False
    found = ranker.candidates(snapshot, situation(RUNNING, history_of_listener(2)), mask, 100)
    assert 0 < len(found) <= 100
    assert mask[found].all()
    assert (np.diff(found) > 0).all()


async def test_an_item_that_is_newer_than_the_fit_is_ranked_as_the_mean_and_all_others_as_before(
    ranker: LearnedRanker,
) -> None:
    old = small_catalogue.snapshot()
    added = small_catalogue.named("test:new", "New").SerializeToString()
    gone = old.item(5).name
    new = old.with_changes([added], [gone])
    asked = situation(RUNNING, history_of_listener(1))
    rows = np.flatnonzero(new.columns.kind == 1)
    ranked = rank(ranker, new, rows, Wish(PROFILE), asked, make_plan(new, asked))
    same = np.array([old.row_of_id(bytes(item_id).ljust(16, b"\0")) or 0 for item_id in new.columns.ids[rows]])
    before = rank(ranker, old, np.unique(same), Wish(PROFILE), asked, make_plan(old, asked))
    scores = dict(zip(before.rows.tolist(), before.scores.tolist(), strict=True))
    place = {new.item(row).title: position for position, row in enumerate(rows.tolist())}
    for position, row in enumerate(same.tolist()):
        if position != place["New"]:
            assert ranked.scores[position] == pytest.approx(scores[row], abs=1e-9)
    assert ranked.scores[place["New"]] == 0
    positions = [place["New"], 0, 3]
    np.testing.assert_allclose(ranked.explain(positions).contributions.sum(axis=1), ranked.scores[positions], atol=1e-9)
    answer = await world_of(ranker, history_of_listener(1), snapshot=new).ask(Wish(PROFILE))
    assert len(answer.picks) == 20
    assert answer.degradations == []


async def test_a_fit_of_an_empty_catalogue_ranks_another_by_what_the_listener_says(tmp_path: Path) -> None:
    ranker = fitted(tmp_path, CatalogSnapshot.empty())
    answer = await world_of(ranker).ask(Wish(PROFILE))
    assert len(answer.picks) == 20
    assert answer.ranker == "learned/track/all/v1"


class Failing:
    """A scorer whose model gives up."""

    groups = ()

    def candidates(self, *_: object) -> None:
        raise RuntimeError("a model of today")

    features = scores = contributions = likeness = candidates


async def test_a_model_that_fails_is_replaced_by_the_prior_for_that_answer(ranker: LearnedRanker) -> None:
    broken = replace(ranker, scorer=Failing())  # type: ignore[arg-type]
    answer = await world_of(broken).ask(Wish(PROFILE))
    assert len(answer.picks) == 20
    assert answer.ranker == "prior/1"
    assert [(lack.subject, lack.reason) for lack in answer.degradations] == [("ranker", "MODEL_FAILED")]
