"""What was listened to is found by id, then by artist and title; what may be another recording is not."""

from __future__ import annotations

import pytest
from interaction_server import item

from rhythmiq_cli.history.listens import Listen
from rhythmiq_cli.history.matching import CatalogueIndex, Match, NoMatch
from rhythmiq_cli.history.spelling import artist_key, lead_artist_key, plain_title, title_key


def index_of(*rows: tuple[str, str, list[str]]) -> CatalogueIndex:
    index = CatalogueIndex()
    index.add_all(item(external_id, title, artists) for external_id, title, artists in rows)
    return index


def find(index: CatalogueIndex, artist: str, title: str, *ids: str) -> Match | NoMatch:
    return index.find(Listen(ids, artist, title, start_ms=0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Beatles", "beatles"),
        ("Beyoncé", "Beyonce\u0301"),
        ("Sigur Rós", "SIGUR ROS"),
        ("Simon & Garfunkel", "Simon and Garfunkel"),
        ("R.E.M.", "REM"),
        ("JAY-Z", "Jay Z"),
        ("Guns N\u2019 Roses", "Guns N' Roses"),
        ("Rihanna feat. Calvin Harris", "Rihanna"),
        ("Straße", "STRASSE"),
    ],
)
def test_artists_are_the_same_however_they_are_written(one: str, other: str) -> None:
    assert artist_key(one) == artist_key(other)


@pytest.mark.parametrize("name", ["!!!", "The The", "東京事変", "Ленинград", "ft", "X", "कलाकार"])
def test_unusual_names_keep_a_key_of_their_own(name: str) -> None:
    assert artist_key(name)
    assert lead_artist_key(name)
    assert title_key(name)


@pytest.mark.parametrize(
    "title",
    [
        "Come Together - Remastered 2009",
        "Come Together - 2009 Remaster",
        "Come Together (2009 Digital Remaster)",
        "Come Together [Mono Version]",
        "Come Together (feat. Someone)",
        "Come Together - Radio Edit",
        "Come Together (with Someone) - Single Version",
    ],
)
def test_title_is_plain_without_guests_and_mastering(title: str) -> None:
    assert plain_title(title) == "come together"


@pytest.mark.parametrize(
    "title", ["Creep - Live", "Creep (Acoustic)", "Creep - Someone Remix", "Creep 2", "Creep (Instrumental)"]
)
def test_title_of_another_recording_keeps_its_words(title: str) -> None:
    assert plain_title(title) != "creep"


@pytest.mark.parametrize("title", ["Mono", "1979", "Original", "(Remastered)", "With You", "Radio Edit"])
def test_title_never_becomes_empty(title: str) -> None:
    assert plain_title(title)


def test_id_comes_before_name() -> None:
    index = index_of(("spotify:1", "Song", ["A"]), ("spotify:2", "Song", ["B"]))
    found = find(index, "A", "Song", "spotify:2")
    assert isinstance(found, Match)
    assert (found.item, found.by_id) == (item("spotify:2").name, True)
    by_name = find(index, "A", "Song", "spotify:unknown")
    assert isinstance(by_name, Match)
    assert (by_name.item, by_name.by_id) == (item("spotify:1").name, False)


def test_closest_spelling_comes_first() -> None:
    index = index_of(("x:plain", "Song", ["A"]), ("x:remaster", "Song - Remastered 2011", ["A"]))
    for title, wanted in [
        ("Song", "x:plain"),
        ("Song - Remastered 2011", "x:remaster"),
        ("Song - 2009 Remaster", "x:plain"),
    ]:
        found = find(index, "A", title)
        assert isinstance(found, Match)
        assert found.item == item(wanted).name


def test_name_of_several_items_is_ambiguous_until_an_id_tells() -> None:
    index = index_of(("x:1", "Song", ["A"]), ("x:2", "SONG", ["a"]))
    assert find(index, "A", "Song") == NoMatch(ambiguous=True)
    assert isinstance(find(index, "A", "Song", "x:2"), Match)
    assert find(index, "A", "Other song") == NoMatch()
    assert find(index, "", "Song") == NoMatch()


def test_live_version_is_not_taken_for_the_song() -> None:
    assert find(index_of(("x:1", "Song", ["A"])), "A", "Song - Live") == NoMatch()


def test_any_of_an_items_artists_and_the_first_of_several_match() -> None:
    index = index_of(("x:1", "Duet", ["Anna", "Bert"]), ("x:2", "Solo", ["Carla"]))
    assert isinstance(find(index, "Bert", "Duet"), Match)
    assert isinstance(find(index, "Anna & Bert", "Duet"), Match)
    assert isinstance(find(index, "Carla, Dora", "Solo"), Match)
    assert find(index, "Dora", "Solo") == NoMatch()
