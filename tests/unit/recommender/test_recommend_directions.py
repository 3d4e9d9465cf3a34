"""Surroundings, preferences and tuning move the music where a listener expects it."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import pytest
from listening import LOUD_RUN, PROFILE, QUIET_BED, World, leaning, mean, share, titles
from small_catalogue import named

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.recommend import Answer
from rhythmiq_recommender.situation import EnvironmentValue, LeaningType, Listener, Seeds, Target, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot

REPOSITORY = Path(__file__).resolve().parents[3]
SPOTIFY_TRACKS = Path(os.environ.get("RHYTHMIQ_DATA_DIR", REPOSITORY.parent / "shared" / "data")) / "spotify-tracks"


def _real_item(row: dict[str, str]) -> bytes:
    item = named(f"spotify:{row['track_id']}", row["name"] or "untitled")
    item.artists.extend([row["artist"]] if row["artist"] else [])
    item.genres.extend(filter(None, row["genres"].split("|")))
    for name in ("danceability", "energy", "speechiness", "acousticness", "instrumentalness", "liveness", "valence"):
        setattr(item.features, name, float(row[name]))
    item.features.loudness = float(row["loudness"])
    if float(row["tempo"]) > 0:
        item.features.tempo = float(row["tempo"])
    if row["popularity"]:
        item.popularity = float(row["popularity"])
    return item.SerializeToString()


@pytest.fixture(scope="module")
def real_tracks() -> CatalogSnapshot:
    path = SPOTIFY_TRACKS / "tracks_union.csv.gz"
    if not path.exists():
        pytest.skip("needs spotify-tracks/ in RHYTHMIQ_DATA_DIR, which is not part of the repository")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return CatalogSnapshot.build(map(_real_item, csv.DictReader(lines)))


async def _assert_clear_margin(world: World) -> None:
    loud = await world.ask(Wish(PROFILE, environment=LOUD_RUN))
    quiet = await world.ask(Wish(PROFILE, environment=QUIET_BED))
    assert mean(loud, "tempo") > mean(quiet, "tempo") + 10
    assert mean(loud, "energy") > mean(quiet, "energy") + 0.3
    assert mean(loud, "loudness") > mean(quiet, "loudness") + 5


async def test_a_loud_run_is_faster_more_energetic_and_louder_mastered_than_a_quiet_bed() -> None:
    await _assert_clear_margin(World())


async def test_the_same_holds_for_real_tracks(real_tracks: CatalogSnapshot) -> None:
    await _assert_clear_margin(World(real_tracks))


async def test_real_tracks_keep_the_direction_for_a_listener_with_preferences(real_tracks: CatalogSnapshot) -> None:
    likes = [leaning(LeaningType.GENRE, "pop", 0.6), leaning(LeaningType.GENRE, "rap", -0.8)]
    world = World(real_tracks, preferences=likes)
    await _assert_clear_margin(world)
    for surroundings in (LOUD_RUN, QUIET_BED):
        answer = await world.ask(Wish(PROFILE, environment=surroundings))
        assert share(answer, "pop") > 0.9
        assert share(answer, "rap") < 0.1


@pytest.mark.parametrize(
    ("kind", "value", "feature", "sign"),
    [
        ("ambient_noise", 80.0, "acousticness", -1),
        ("activity", "sleeping", "energy", -1),
        ("activity", "studying", "instrumentalness", 1),
        ("activity", "cycling", "tempo", 1),
        ("heart_rate", 160.0, "tempo", 1),
        ("local_time", 20.0, "danceability", 1),
        ("weather", "clear", "valence", 1),
        ("temperature", 28.0, "valence", 1),
        ("humidity", 25.0, "valence", 1),
        ("illuminance", 0.5, "energy", -1),
        ("illuminance", 40_000.0, "valence", 1),
        ("place_type", "gym", "energy", 1),
        ("speed", 3.0, "tempo", 1),
        ("company", "with_group", "danceability", 1),
        ("audio_output", "car_speaker", "loudness", 1),
    ],
)
async def test_each_kind_of_surroundings_leans_its_way(
    kind: str, value: EnvironmentValue, feature: str, sign: int
) -> None:
    usual = await World().ask(Wish(PROFILE, count=60))
    there = await World().ask(Wish(PROFILE, count=60, environment={kind: value}))
    assert sign * (mean(there, feature) - mean(usual, feature)) > 0


async def test_late_at_night_fewer_loud_masters_come_than_in_the_evening() -> None:
    def loud_ones(answer: Answer) -> int:
        return sum(answer.snapshot.item(pick.row).features.loudness > -6 for pick in answer.picks)

    late, evening = [
        await World().ask(Wish(PROFILE, count=60, environment={"local_time": hour})) for hour in (2.0, 20.0)
    ]
    assert loud_ones(late) < loud_ones(evening)


@pytest.mark.parametrize("weather", ["rain", "snow", "storm", "cloudy", "fog"])
async def test_weather_without_evidence_changes_nothing(weather: str) -> None:
    assert titles(await World().ask(Wish(PROFILE, environment={"weather": weather}))) == titles(await World().ask())


@pytest.mark.parametrize(
    ("type_", "value", "genre"),
    [
        (LeaningType.GENRE, "JAZZ", "jazz"),
        (LeaningType.GENRE, "m\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}tal", "métal"),
        (LeaningType.INSTRUMENT, "Saxophone", "jazz"),
        (LeaningType.ARTIST, "Jazz Artist 3", "jazz"),
        (LeaningType.TEMPO, "75-88", "ambient"),
    ],
)
async def test_what_is_liked_comes_forward_and_what_is_avoided_goes(type_: LeaningType, value: str, genre: str) -> None:
    usual = share(await World().ask(), genre)
    liked = share(await World(preferences=[leaning(type_, value, 1.0)]).ask(), genre)
    assert liked > usual
    assert liked >= 0.2
    wish = Wish(PROFILE, count=100)
    avoided = await World(preferences=[leaning(type_, value, -1.0)]).ask(wish)
    assert share(avoided, genre) <= share(await World().ask(wish), genre)


async def test_preferences_outweigh_surroundings() -> None:
    answer = await World(preferences=[leaning(LeaningType.GENRE, "ambient", 1.0)]).ask(
        Wish(PROFILE, environment=LOUD_RUN)
    )
    assert share(answer, "ambient") > 0.9


async def test_learned_preferences_count_by_the_profiles_learned_weight() -> None:
    likes = [leaning(LeaningType.GENRE, "folk", 0.8, learned=True)]
    some = await World(preferences=likes, profile=Listener(learned_weight=0.25)).ask()
    assert [used.weight for used in some.leanings] == [pytest.approx(0.2)]
    none = await World(preferences=likes, profile=Listener(learned_weight=0.0)).ask()
    assert none.leanings == []
    assert titles(none) == titles(await World().ask())


@pytest.mark.parametrize(
    ("feature", "target", "nearness"),
    [("energy", 0.3, 0.12), ("tempo", 96.0, 12.0), ("loudness", -13.0, 2.0), ("valence", 0.6, 0.12)],
)
async def test_tuning_brings_items_near_its_target(feature: str, target: float, nearness: float) -> None:
    answer = await World().ask(Wish(PROFILE, environment=LOUD_RUN, tuning={feature: Target(target=target)}))
    assert mean(answer, feature) == pytest.approx(target, abs=nearness)


async def test_a_wanted_key_goes_round_the_circle() -> None:
    answer = await World().ask(Wish(PROFILE, count=10, tuning={"key": Target(target=0.0, weight=3)}))
    keys = {answer.snapshot.item(pick.row).features.key for pick in answer.picks}
    assert keys <= {11, 0, 1}


async def test_seeds_bring_their_like() -> None:
    snapshot = World().snapshot
    seed = next(item for item in map(snapshot.item, range(len(snapshot))) if item.title == "ambient 3")
    for seeds in (Seeds(items=[seed.name]), Seeds(artists=["AMBIENT ARTIST 1"]), Seeds(genres=["Ambient"])):
        answer = await World().ask(Wish(PROFILE, count=10, seeds=seeds))
        assert share(answer, "ambient") > 0.6
        assert seed.title not in titles(answer) or not seeds.items


async def test_podcasts_and_soundscapes_are_recommended_too() -> None:
    for kind in (item_pb2.Item.PODCAST_EPISODE, item_pb2.Item.SOUNDSCAPE):
        answer = await World().ask(Wish(PROFILE, kind=kind, count=10, environment=QUIET_BED))
        assert len(answer.picks) == 10
        assert {answer.snapshot.item(pick.row).kind for pick in answer.picks} == {kind}
