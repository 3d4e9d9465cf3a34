"""The demo catalogue is the same on every machine, obeys the schema, and sounds as its genres do."""

from __future__ import annotations

from collections import Counter
from statistics import mean

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.demo import demo_items
from rhythmiq_cli.demo.catalogue import demo_artist
from rhythmiq_cli.demo.genres import GENRES
from rhythmiq_mesh.interceptors.validation import validate


def of_genre(genre: str) -> list[item_pb2.Item]:
    return [item for item in demo_items() if genre in item.genres]


def test_catalogue_is_made_the_same_every_time() -> None:
    assert [item.SerializeToString(deterministic=True) for item in demo_items()] == [
        item.SerializeToString(deterministic=True) for item in demo_items()
    ]
    first = demo_items()[0]
    assert (first.external_id, first.kind) == ("demo:track-0001", item_pb2.Item.TRACK)


def test_catalogue_has_every_kind_and_no_id_twice() -> None:
    items = demo_items()
    assert Counter(item.kind for item in items) == {
        item_pb2.Item.TRACK: 600,
        item_pb2.Item.PODCAST_EPISODE: 60,
        item_pb2.Item.SOUNDSCAPE: 40,
    }
    assert len({item.external_id for item in items}) == len(items)
    assert len({(item.title, *item.artists) for item in items}) == len(items)


def test_every_item_obeys_the_schema() -> None:
    for item in demo_items():
        validate(item)
        assert item.genres
        assert item.artists
        assert item.HasField("duration")


def test_genres_sound_like_themselves() -> None:
    def feature(genre: str, name: str) -> float:
        return mean(float(getattr(item.features, name)) for item in of_genre(genre))

    assert feature("metal", "energy") > feature("rock", "energy") > feature("ambient", "energy") + 0.4
    assert feature("drum and bass", "tempo") > 160
    assert feature("classical", "acousticness") > 0.8
    assert feature("ambient", "loudness") < feature("house", "loudness") - 8
    assert all(len(of_genre(sound.genre)) == 50 for sound in GENRES)


def test_preferred_artist_of_the_demo_listener_is_in_the_catalogue() -> None:
    artist = demo_artist("soul")
    assert sum(artist in item.artists for item in demo_items()) > 1
