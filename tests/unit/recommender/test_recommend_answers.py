"""An answer says what it rests on, is repeatable, and comes even when others are away."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import small_catalogue
from listening import LOUD_RUN, PROFILE, QUIET_BED, World, leaning, titles

from rhythmiq_mesh.errors import NotFound
from rhythmiq_recommender.arranging.shuffle import SHUFFLE
from rhythmiq_recommender.arranging.variety import APART
from rhythmiq_recommender.environment import FRESH_FOR
from rhythmiq_recommender.plan import Group
from rhythmiq_recommender.prior import ASSUMPTION, CONDITIONS, LEANS
from rhythmiq_recommender.recommend import Answer
from rhythmiq_recommender.situation import (
    EnvironmentValue,
    Filter,
    LeaningType,
    Listener,
    Origin,
    Reading,
    Seeds,
    Target,
    Wish,
)
from rhythmiq_recommender.snapshot import CatalogSnapshot

LIKES = [
    leaning(LeaningType.GENRE, "jazz", 0.9),
    leaning(LeaningType.GENRE, "rock", -0.4),
    leaning(LeaningType.ARTIST, "pop artist 1", 0.5),
    leaning(LeaningType.INSTRUMENT, "piano", 0.3, learned=True),
    leaning(LeaningType.TEMPO, "100-130", 0.6),
]

LEARNED = {Group.TASTE, Group.SIMILAR, Group.NOVELTY}


def texts(answer: Answer, group: Group) -> set[str]:
    return {reason.text for pick in answer.picks for reason in pick.reasons if reason.group is group}


async def test_reasons_sum_to_the_score_and_the_strongest_comes_first() -> None:
    wish = Wish(
        PROFILE,
        count=50,
        environment={**LOUD_RUN, "weather": "clear", "heart_rate": 140.0},
        tuning={"energy": Target(target=0.6), "key": Target(target=3), "duration_ms": Target(target=180_000)},
        seeds=Seeds(artists=["jazz artist 2"], genres=["soul"]),
        seed=7,
    )
    answer = await World(preferences=LIKES).ask(wish)
    assert len(answer.picks) == 50
    for pick in answer.picks:
        contributions = [reason.contribution for reason in pick.reasons]
        assert sum(contributions) == pytest.approx(pick.score, abs=1e-9)
        assert [abs(part) for part in contributions] == sorted((abs(part) for part in contributions), reverse=True)
        assert len({(reason.group, reason.subject) for reason in pick.reasons}) == len(pick.reasons)
        assert all(reason.text for reason in pick.reasons)
    # Popularity is told where little else is asked for.
    plain = await World().ask(Wish(PROFILE, count=50))
    picks = [*answer.picks, *plain.picks]
    assert {reason.group for pick in picks for reason in pick.reasons} == set(Group) - LEARNED


async def test_without_variety_scores_fall_down_the_list() -> None:
    answer = await World().ask(Wish(PROFILE, filter=Filter(genres=["jazz"]), count=5, diversity=0.0))
    scores = [pick.score for pick in answer.picks]
    assert scores == sorted(scores, reverse=True)


async def test_reasons_are_in_a_listeners_words() -> None:
    loud = await World(preferences=LIKES).ask(Wish(PROFILE, count=100, environment=LOUD_RUN))
    assert "carries well at a safe volume, because it is loud around you (78 dB)" in texts(loud, Group.SURROUNDINGS)
    assert any("because you are running" in text for text in texts(loud, Group.SURROUNDINGS))
    assert {"jazz, which you like", "by pop artist 1, whom you like"} <= texts(loud, Group.PREFERENCES)
    assert "with piano, which you seem to like" in texts(loud, Group.PREFERENCES), (
        "what is learned is not known as well"
    )
    assert {"well known", "less known"} <= texts(loud, Group.POPULARITY)
    quiet = await World().ask(Wish(PROFILE, count=200, environment=QUIET_BED))
    assert any("because you are lying down" in text for text in texts(quiet, Group.SURROUNDINGS))
    tuned = await World().ask(
        Wish(
            PROFILE,
            count=200,
            tuning={"tempo": Target(target=100), "mode": Target(target=1), "loudness": Target(target=-9)},
        )
    )
    told = texts(tuned, Group.TUNING)
    assert any(text.startswith("tempo ") and text.endswith("near the 100 BPM you asked for") for text in told)
    assert "mode major, near the major you asked for" in told
    assert any("away from the -9.0 dB you asked for" in text for text in told)


async def test_no_reason_ever_tells_anyone_to_turn_the_volume_up() -> None:
    everything: dict[str, EnvironmentValue] = {
        **LOUD_RUN,
        "heart_rate": 170.0,
        "weather": "clear",
        "temperature": 30.0,
        "place_type": "transit",
        "speed": 20.0,
        "audio_output": "phone_speaker",
        "company": "with_group",
        "illuminance": 30_000.0,
        "humidity": 20.0,
    }
    answer = await World().ask(Wish(PROFILE, count=200, environment=everything))
    for text in texts(answer, Group.SURROUNDINGS):
        assert not any(word in text.lower() for word in ("turn", "louder", "raise", " up"))


def test_every_lean_has_a_condition_and_a_source_and_every_kind_has_a_lean() -> None:
    assert {lean.condition for lean in LEANS} == set(CONDITIONS)
    assert {condition.kind for condition in CONDITIONS.values()} == set(FRESH_FOR)
    for lean in LEANS:
        assert lean.effect > 0
        assert (
            lean.source == ASSUMPTION or any(character.isdigit() for character in lean.source) or "WHO" in lean.source
        )


async def test_the_same_seed_gives_the_same_list_and_another_seed_another_as_good() -> None:
    world = World(preferences=LIKES)
    plain = await world.ask(Wish(PROFILE, environment=LOUD_RUN))
    assert titles(plain) == titles(await world.ask(Wish(PROFILE, environment=LOUD_RUN)))
    lists = [await world.ask(Wish(PROFILE, environment=LOUD_RUN, seed=seed)) for seed in (1, 1, 2, 2**64 - 1)]
    assert titles(lists[0]) == titles(lists[1])
    assert len({tuple(titles(found)) for found in lists}) == 3
    best = sum(pick.score for pick in plain.picks)
    for found in lists:
        pushes = sum(r.contribution for pick in found.picks for r in pick.reasons if r.subject == "variety")
        earned = sum(pick.score for pick in found.picks) - pushes
        assert earned > best - SHUFFLE * len(found.picks)


async def test_the_order_in_which_a_catalogue_came_about_changes_nothing() -> None:
    blobs = small_catalogue.serialized()
    grown = CatalogSnapshot.build(reversed(blobs[:300])).with_changes(blobs[200:])
    for seed in (None, 5):
        wish = Wish(PROFILE, environment=QUIET_BED, seed=seed)
        assert titles(await World(grown).ask(wish)) == titles(await World().ask(wish))


def again(number: int, title: str, *artists: str) -> bytes:
    """The item with this number once more under another id."""
    first = small_catalogue.items()[number]
    copy = small_catalogue.named(f"again:{title}-{number}", title)
    copy.artists.extend(artists)
    copy.features.CopyFrom(first.features)
    copy.popularity = 100.0
    return copy.SerializeToString()


async def test_one_song_under_several_ids_is_played_once_while_there_are_others() -> None:
    # The same title but for case, by the same main artist, with a guest: the same song.
    copies = [again(n, item.title.upper(), item.artists[0], "Guest") for n, item in enumerate(small_catalogue.items())]
    world = World(small_catalogue.snapshot().with_changes(copies[:600]))
    answer = await world.ask(Wish(PROFILE, count=200))
    assert len(answer.picks) == 200
    items = [answer.snapshot.item(pick.row) for pick in answer.picks]
    assert len({(item.title.casefold(), item.artists[0]) for item in items}) == 200
    assert not answer.degradations


async def test_where_there_is_nothing_else_the_same_song_comes_again_at_the_end() -> None:
    copies = [again(number, "One", "Somebody") for number in range(3)] + [again(7, "Two", "Somebody")]
    answer = await World(CatalogSnapshot.build(copies)).ask(Wish(PROFILE, count=10))
    assert sorted(titles(answer)[:2]) == ["One", "Two"]
    assert titles(answer)[2:] == ["One", "One"]


async def test_one_title_by_different_artists_or_by_nobody_known_is_not_one_song() -> None:
    makers = [("A",), ("B",), (), ()]
    songs = [again(number, "Intro", *artists) for number, artists in enumerate(makers)]
    others = [again(number, f"Other {number}", f"{number}") for number in range(20)]
    answer = await World(CatalogSnapshot.build([*songs, *others])).ask(Wish(PROFILE, count=24))
    alone = await World(CatalogSnapshot.build([*songs[:2], songs[2]])).ask(Wish(PROFILE, count=3))
    assert titles(answer).count("Intro") == 4
    assert len(alone.picks) == 3
    assert len(set(answer.snapshot.song.tolist())) == 24


async def test_items_of_one_artist_stay_apart_while_there_are_others() -> None:
    answer = await World(preferences=[leaning(LeaningType.ARTIST, "jazz artist 1", 1.0)]).ask(Wish(PROFILE, count=30))
    artists = [answer.snapshot.item(pick.row).artists[0] for pick in answer.picks]
    for place, artist in enumerate(artists):
        assert artist not in artists[max(0, place - APART) : place]
    assert "jazz artist 1" in artists


async def test_one_artist_fills_the_list_when_there_is_no_other() -> None:
    others = [
        artist for item in small_catalogue.items() for artist in item.artists if not artist.startswith("jazz artist 1")
    ]
    wish = Wish(PROFILE, count=5, filter=Filter(genres=["jazz"], exclude_artists=others))
    answer = await World().ask(wish)
    assert {answer.snapshot.item(pick.row).artists[0] for pick in answer.picks} == {"jazz artist 1"}
    assert len(answer.picks) > 1


@pytest.mark.parametrize(
    ("service", "subject"),
    [("profile", "profile"), ("preference", "preferences"), ("variable", "environment"), ("history", "history")],
)
async def test_a_service_that_is_away_is_named_and_done_without(service: str, subject: str) -> None:
    world = World(preferences=LIKES, observed=[Reading("activity", "running", 10.0)], away=frozenset({service}))
    answer = await world.ask()
    assert len(answer.picks) == 20
    assert [(lack.subject, lack.reason) for lack in answer.degradations] == [(subject, "SERVICE_UNAVAILABLE")]
    assert bool(answer.leanings) == (service != "preference")
    assert bool(answer.surroundings) == (service != "variable")


async def test_with_everyone_away_there_is_still_an_answer() -> None:
    answer = await World(away=frozenset({"profile", "preference", "variable", "history"})).ask()
    assert len(answer.picks) == 20
    assert len(answer.degradations) == 4
    assert answer.ranker == "prior/1"


async def test_learned_preferences_count_half_while_the_profile_is_away() -> None:
    answer = await World(preferences=LIKES, away=frozenset({"profile"})).ask()
    assert {used.value: used.weight for used in answer.leanings}["piano"] == pytest.approx(0.15)


async def test_a_profile_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(NotFound) as refused:
        await World(profile=None).ask()
    assert refused.value.reason == "PROFILE_NOT_FOUND"


@pytest.mark.parametrize(
    ("seeds", "field"),
    [
        (Seeds(items=["items/00000000-0000-0000-0000-000000000000"]), "seeds.items[0]"),
        (Seeds(artists=["jazz artist 1", "nobody"]), "seeds.artists[1]"),
        (Seeds(genres=["none"]), "seeds.genres[0]"),
    ],
)
async def test_a_seed_that_the_catalogue_lacks_is_named(seeds: Seeds, field: str) -> None:
    with pytest.raises(NotFound, match=field.replace("[", r"\[").replace("]", r"\]")) as refused:
        await World().ask(Wish(PROFILE, seeds=seeds))
    assert refused.value.reason == "SEED_NOT_FOUND"


async def test_an_empty_catalogue_and_filters_that_leave_little_are_named() -> None:
    empty = await World(CatalogSnapshot.empty()).ask()
    assert (list(empty.picks), [lack.reason for lack in empty.degradations]) == ([], ["CATALOG_EMPTY"])
    few = await World().ask(Wish(PROFILE, tuning={"tempo": Target(min=290)}))
    assert (list(few.picks), [lack.reason for lack in few.degradations]) == ([], ["NOT_ENOUGH_ITEMS"])


async def test_user_guided_does_not_even_ask_for_the_surroundings() -> None:
    world = World(preferences=LIKES, observed=[Reading("activity", "running", 10.0)], profile=Listener("Europe/Vienna"))
    answer = await world.ask(Wish(PROFILE, uses_surroundings=False, environment=LOUD_RUN))
    assert "variable" not in world.asked
    assert list(answer.surroundings) == []
    assert texts(answer, Group.SURROUNDINGS) == set()


@pytest.mark.parametrize(("kind", "seconds"), FRESH_FOR.items())
async def test_a_stale_reading_is_not_used_and_is_named(kind: str, seconds: float) -> None:
    value: EnvironmentValue = {
        "activity": "running",
        "weather": "clear",
        "place_type": "gym",
        "audio_output": "headphones",
        "company": "alone",
    }.get(kind, 20.0)
    fresh = await World(observed=[Reading(kind, value, seconds)]).ask()
    assert [(used.kind, used.origin) for used in fresh.surroundings] == [(kind, Origin.READING)]
    assert list(fresh.degradations) == []
    stale = await World(observed=[Reading(kind, value, seconds + 1)]).ask()
    assert list(stale.surroundings) == []
    assert [(lack.subject, lack.reason) for lack in stale.degradations] == [(f"environment.{kind}", "STALE_READING")]


async def test_what_the_request_says_takes_the_place_of_readings_even_stale_ones() -> None:
    world = World(observed=[Reading("ambient_noise", 40.0, 5e6), Reading("activity", "running", 60.0)])
    answer = await world.ask(Wish(PROFILE, environment={"ambient_noise": 78.0}))
    used = {found.kind: (found.value, found.origin, found.age) for found in answer.surroundings}
    assert used == {
        "ambient_noise": (78.0, Origin.REQUEST, None),
        "activity": ("running", Origin.READING, 60.0),
    }
    assert list(answer.degradations) == []


@pytest.mark.parametrize(
    ("observed", "requested", "zone", "expected", "origin"),
    [
        ([Reading("local_time", 22.5, 2 * 3600.0)], {}, "Europe/Vienna", 0.5, Origin.READING),
        ([Reading("local_time", 22.5, 2 * 3600.0)], {"local_time": 6.0}, "Europe/Vienna", 6.0, Origin.REQUEST),
        ([], {}, "Europe/Vienna", 23.5, Origin.PROFILE_TIME_ZONE),
        ([Reading("local_time", 22.5, 30 * 3600.0)], {}, "Asia/Tokyo", 6.5, Origin.PROFILE_TIME_ZONE),
    ],
)
async def test_local_time_comes_from_the_request_a_reading_moved_on_or_the_time_zone(
    observed: list[Reading], requested: dict[str, EnvironmentValue], zone: str, expected: float, origin: Origin
) -> None:
    world = World(profile=Listener(zone), observed=observed, moment=datetime(2026, 7, 1, 21, 30, tzinfo=UTC))
    answer = await world.ask(Wish(PROFILE, environment=requested))
    (used,) = answer.surroundings
    assert used.value == pytest.approx(expected)
    assert used.origin is origin


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd"])
async def test_a_time_zone_that_nobody_knows_gives_no_local_time(zone: str) -> None:
    assert list((await World(profile=Listener(zone)).ask()).surroundings) == []


async def test_preferences_that_count_nothing_are_not_listed_as_used() -> None:
    answer = await World(preferences=[leaning(LeaningType.GENRE, "jazz", 0.0), *LIKES]).ask()
    assert len(answer.leanings) == len(LIKES)
