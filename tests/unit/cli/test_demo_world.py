"""The demo world: the same from the same seed, of the size asked for, and with everything in it that was planted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from rhythmiq_cli.demo.histories import environment_of, past_of
from rhythmiq_cli.demo.world import (
    AUDIO,
    EFFECTS,
    KINDS,
    TYPES,
    Planted,
    World,
    make_world,
    synthetic_items,
)
from rhythmiq_cli.demo.world.effects import CONDITIONS, leans
from rhythmiq_cli.demo.world.events import meet
from rhythmiq_cli.demo.world.items import TRACK
from rhythmiq_cli.demo.world.make import DAYS, END
from rhythmiq_cli.demo.world.surroundings import Surroundings, surroundings_of
from rhythmiq_mesh.interceptors.validation import validate

LISTENERS, INTERACTIONS, SEED = 120, 40_000, 5
PLAY, COMPLETE, SKIP = (TYPES.index(name) for name in ("PLAY", "COMPLETE", "SKIP"))


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(LISTENERS, INTERACTIONS, SEED)


@pytest.fixture(scope="module")
def flat() -> World:
    """The same listeners on the same days, for whom surroundings mean nothing."""
    return make_world(LISTENERS, INTERACTIONS, SEED, context_strength=0.0)


def plays(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Item and session of every track that listeners chose to play without having been shown it."""
    events = world.events
    rows = (events.type == PLAY) & (events.position < 0) & (world.items.kind[events.item] == TRACK)
    return events.item[rows], events.session[rows]


def sound_of(world: World, feature: str, where: np.ndarray) -> float:
    """Mean standard score of a feature over what was played in those sessions."""
    item, session = plays(world)
    return float(world.items.standard[item[where[session]], AUDIO.index(feature)].mean())


def strength(world: World, condition: str) -> np.ndarray:
    return CONDITIONS[condition].strength(world.surroundings)


# ---- a world is reproducible, and as large as asked for


def test_same_seed_makes_the_same_world_and_another_seed_another(world: World) -> None:
    again = make_world(LISTENERS, INTERACTIONS, SEED)
    for field in fields(world.events):
        np.testing.assert_array_equal(getattr(world.events, field.name), getattr(again.events, field.name))
    np.testing.assert_array_equal(world.shared, again.shared)
    other = make_world(LISTENERS, INTERACTIONS, SEED + 1)
    assert (world.events.item != other.events.item).any()


@pytest.mark.parametrize(("listeners", "interactions"), [(1, 1), (3, 50), (60, 60), (7, 5_000)])
def test_world_has_exactly_as_many_interactions_as_asked_for(listeners: int, interactions: int) -> None:
    world = make_world(listeners, interactions, SEED)
    assert len(world.events) == interactions
    assert world.listeners == listeners
    assert world.events.listener.max() < listeners


@pytest.mark.parametrize(
    ("listeners", "interactions", "days", "hint"),
    [(0, 10, 60, "at least 1"), (1, 0, 60, "at least 1"), (1, 10, 0, "at least 1"), (2, 100_000, 60, "more listeners")],
)
def test_size_that_cannot_be_is_refused_with_what_to_change(
    listeners: int, interactions: int, days: int, hint: str
) -> None:
    with pytest.raises(ValueError, match=hint):
        make_world(listeners, interactions, SEED, days=days)


def test_largest_size_that_is_named_can_be_made() -> None:
    with pytest.raises(ValueError, match="at most") as refusal:
        make_world(2, 10_000_000, SEED)
    most = int(str(refusal.value).split("at most ")[1].split()[0])
    assert len(make_world(2, most, SEED).events) == most


def test_events_are_in_order_and_within_the_days_before_the_end(world: World) -> None:
    events = world.events
    same = events.listener[1:] == events.listener[:-1]
    assert (np.diff(events.listener) >= 0).all()
    assert (np.diff(events.time)[same] >= 0).all()
    assert events.time.max() < END
    assert events.time.min() > END - (DAYS + 2) * 86_400


def test_sessions_of_a_listener_lie_more_than_half_an_hour_apart(world: World) -> None:
    events = world.events
    last = np.flatnonzero(np.diff(events.session) != 0)
    same = events.listener[last] == events.listener[last + 1]
    assert (events.time[last + 1] - events.time[last])[same].min() > 30 * 60


def test_what_ends_was_played_and_nothing_is_heard_for_longer_than_it_lasts(world: World) -> None:
    events = world.events
    # The oldest session may be cut, and the newest too.
    begin = world.sessions.start[events.session]
    events = events.take((begin > events.time.min()) & (begin < END - 7_200))
    played = set(zip(events.session[events.type == PLAY], events.item[events.type == PLAY], strict=True))
    ended = np.isin(events.type, (COMPLETE, SKIP))
    assert set(zip(events.session[ended], events.item[ended], strict=True)) == played
    assert (events.played[ended] <= world.items.seconds[events.item[ended]] + 0.1).all()
    assert np.isnan(events.played[~ended]).all()


def test_larger_catalogues_are_made_by_the_same_rules() -> None:
    items = synthetic_items(5_000, SEED)
    tempo, energy = (items.audio[:, AUDIO.index(name)] for name in ("tempo", "energy"))
    of = {name: items.genre == number for number, name in enumerate(items.genre_names)}
    assert tempo[of["drum and bass"]].mean() > 160
    assert energy[of["metal"]].mean() > energy[of["ambient"]].mean() + 0.5
    assert (items.instruments.sum(1) == 2).all()
    world = make_world(30, 3_000, SEED, catalogue=items)
    item, session = plays(world)
    assert len(np.unique(item)) > 500
    assert len(np.unique(np.stack([session, item]), axis=1).T) == len(item), "nothing is met twice in a session"


# ---- lists say how likely each place was


def test_propensity_is_the_share_in_which_an_item_stands_at_its_place() -> None:
    policy = np.broadcast_to(np.array([1.0, 0.0, -1.0], np.float32), (40_000, 3))
    everywhere = np.ones(len(policy), np.bool_)
    choices = np.broadcast_to(np.arange(3, dtype=np.int32), policy.shape)
    count = np.full(len(policy), 2, np.int32)
    found = meet(np.random.default_rng(0), choices, np.zeros_like(policy), policy, everywhere, count, 3)
    assert (found.position[:, :2] == [1, 2]).all()
    assert (found.item[:, 2] == -1).all()
    for item in range(3):
        first = found.item[:, 0] == item
        assert found.propensity[first, 0] == pytest.approx(first.mean(), abs=0.01)
        for second in set(range(3)) - {item}:
            both = first & (found.item[:, 1] == second)
            assert found.propensity[both, 1] == pytest.approx(both.sum() / first.sum(), abs=0.02)


def test_only_what_was_shown_has_a_place_and_a_propensity(world: World) -> None:
    events = world.events
    shown = events.position > 0
    assert ((events.propensity[shown] > 0) & (events.propensity[shown] <= 1)).all()
    assert np.isnan(events.propensity[~shown]).all()
    assert shown[events.type == TYPES.index("IMPRESSION")].all()


# ---- surroundings are believable, and only what is shared is kept


def test_what_is_not_shared_is_not_kept(world: World) -> None:
    kept = world.kept
    for number, kind in enumerate(KINDS):
        known = kept.names[kind] >= 0 if kind in kept.names else ~np.isnan(kept.numbers[kind])
        assert not (known & ~world.opted[world.sessions.listener, number]).any()
        assert 0 < known.mean() < 1
    nothing = [kind for kind in KINDS if kind not in kept.row(0)]
    assert nothing, "a session of which everything is known would be a wonder"


def test_surroundings_of_a_moment_go_together(world: World) -> None:
    rows = [world.surroundings.row(number) for number in range(len(world.sessions))]
    assert {row["place_type"] for row in rows if row["activity"] == "driving"} == {"vehicle"}
    assert np.mean([row["heart_rate"] for row in rows if row["activity"] == "running"]) > 130
    assert np.mean([row["ambient_noise"] for row in rows if row["place_type"] == "home"]) < 50
    assert all(float(row["temperature"]) <= 1 for row in rows if row["weather"] == "snow")
    bed = [float(row["local_time"]) for row in rows if row["activity"] == "sleeping"]
    assert np.mean([hour > 21 or hour < 5 for hour in bed]) > 0.9


def test_every_event_is_one_that_the_api_takes(world: World) -> None:
    names = {name: f"items/00000000-0000-5000-8000-{k:012d}" for k, name in enumerate(world.items.external_id)}
    for listener in range(6):
        for one in past_of(world, listener, names, KINDS):
            validate(one)


def test_row_goes_to_the_api_and_back(world: World) -> None:
    for number in range(20):
        row = world.surroundings.row(number)
        message = environment_of(row)
        assert len(message.ListFields()) == len(row)
        assert leans(surroundings_of(row)) == pytest.approx(leans(world.surroundings.take(np.array([number]))))


# ---- tastes


def shares(world: World, listener: int) -> tuple[np.ndarray, Planted]:
    """Items that a listener chose to play, and the taste that was planted."""
    item, session = plays(world)
    return item[world.sessions.listener[session] == listener], world.planted(listener)


def test_listeners_play_what_they_like_and_leave_what_they_do_not(world: World) -> None:
    genres, artists = np.array(world.items.genre_names), np.array(world.items.artist_names)
    liked, disliked, artist, instrument = [], [], [], []
    for listener in range(LISTENERS):
        item, planted = shares(world, listener)
        if len(item) < 50:
            continue
        genre = genres[world.items.genre[item]]
        liked.append(np.isin(genre, planted.genres).mean())
        disliked.append((genre == planted.disliked_genre).mean())
        artist.append(np.isin(artists[world.items.artist[item]], planted.artists).mean())
        instrument.append(world.items.instruments[item, world.items.instrument_names.index(planted.instrument)].mean())
    assert len(liked) > 40
    # By chance: 2 of 12 genres, 1 of 12, and 2 of 96 artists.
    assert np.mean(liked) > 0.4
    assert np.mean(disliked) < 0.02
    assert np.mean(artist) > 0.06
    assert np.mean(instrument) > world.items.instruments[world.items.kind == TRACK].mean() * 2


def test_what_is_well_known_is_played_more_and_favourites_again(world: World) -> None:
    item, session = plays(world)
    assert world.items.fame[item].mean() > 0.2
    who = world.sessions.listener[session]
    again = 1 - len(np.unique(np.stack([who, item]), axis=1).T) / len(item)
    assert 0.1 < again < 0.7


def test_some_listen_many_times_as_much_as_others(world: World) -> None:
    count = np.sort(np.bincount(world.events.listener, minlength=LISTENERS))
    assert count[-LISTENERS // 10 :].mean() > 5 * count[: LISTENERS // 2].mean()


def test_taste_given_by_hand_is_the_one_that_is_planted() -> None:
    artists = tuple(make_world(1, 1, SEED).items.artist_names[:2])
    wanted = Planted(("jazz", "house"), "metal", artists, "valence", -1.0, (90.0, 130.0), "piano")
    assert make_world(3, 100, SEED, planted={1: wanted}).planted(1) == wanted
    unknown = Planted(("polka",), "metal", artists, "valence", 1.0, (90.0, 130.0), "piano")
    with pytest.raises(ValueError, match="polka"):
        make_world(3, 100, SEED, planted={1: unknown})


# ---- effects of surroundings


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda one: f"{one.condition}, {one.feature}")
def test_every_effect_in_the_table_shows_in_what_is_played(world: World, flat: World, effect: object) -> None:
    assert isinstance(effect, type(EFFECTS[0]))
    holds = strength(world, effect.condition) > 0.8
    assert holds.sum() > 30
    shift = sound_of(world, effect.feature, holds) - sound_of(flat, effect.feature, holds)
    other = sound_of(world, effect.feature, ~holds) - sound_of(flat, effect.feature, ~holds)
    assert np.sign(effect.lean) * (shift - other) > 0.03


def test_stronger_context_moves_what_is_played_further(world: World, flat: World) -> None:
    half = make_world(LISTENERS, INTERACTIONS, SEED, context_strength=0.5)

    def along(one: World) -> float:
        item, session = plays(one)
        return float((leans(one.surroundings)[session] * one.items.standard[item]).sum(1).mean())

    moved = [along(one) for one in (flat, half, world)]
    assert all(more > less + 0.3 for less, more in pairwise(moved))


def test_nothing_of_surroundings_is_in_a_world_without_effects(flat: World) -> None:
    item, session = plays(flat)
    # Within a listener, so that who listens when does not matter.
    who = flat.sessions.listener[session]
    for place in range(len(AUDIO)):
        lean = leans(flat.surroundings)[session, place]
        sound = flat.items.standard[item, place]
        if not lean.any():
            continue
        mean_lean, mean_sound = (np.bincount(who, column) / np.maximum(np.bincount(who), 1) for column in (lean, sound))
        assert abs(np.corrcoef(lean - mean_lean[who], sound - mean_sound[who])[0, 1]) < 0.03


def test_affinity_is_what_listeners_choose_by(world: World) -> None:
    events = world.events
    tracks = np.flatnonzero(world.items.kind == TRACK)
    rows = np.flatnonzero((events.type == PLAY) & (events.position < 0) & (world.items.kind[events.item] == TRACK))[
        ::29
    ]
    choices = np.broadcast_to(tracks, (len(rows), len(tracks)))
    affinity = world.affinity(events.listener[rows], choices, world.surroundings.take(events.session[rows]))
    chosen = np.take_along_axis(affinity, np.searchsorted(tracks, events.item[rows])[:, None], axis=1)
    assert (affinity < chosen).mean() > 0.9


def unknown() -> Surroundings:
    return surroundings_of({})


@pytest.mark.parametrize(
    ("condition", "holds", "not_yet"),
    [
        ("exercise", {"activity": "running"}, {"activity": "walking"}),
        ("loud", {"ambient_noise": 80.0}, {"ambient_noise": 55.0}),
        ("late", {"local_time": 23.5}, {"local_time": 20.0}),
        ("late", {"local_time": 1.0}, {"local_time": 12.0}),
        ("morning", {"local_time": 8.0}, {"local_time": 12.0}),
        ("group", {"company": "with_group"}, {"company": "with_one"}),
        ("shared ride", {"activity": "driving", "company": "with_one"}, {"activity": "driving", "company": "alone"}),
        ("warm", {"temperature": 30.0}, {"temperature": 10.0}),
    ],
)
def test_conditions_hold_where_the_table_says(
    condition: str, holds: Mapping[str, float | str], not_yet: Mapping[str, float | str]
) -> None:
    assert CONDITIONS[condition].strength(surroundings_of(holds)) == 1
    assert CONDITIONS[condition].strength(surroundings_of(not_yet)) == 0
    assert CONDITIONS[condition].strength(unknown()) == 0
