"""Apps written for Spotify's closed endpoint find what they knew."""

from __future__ import annotations

import base64

import pytest
import small_catalogue
from google.protobuf.json_format import MessageToDict
from listening import World

from rhythmiq.recommender.v1 import compat_pb2
from rhythmiq_mesh.errors import InvalidArgument, NotFound
from rhythmiq_mesh.principal import Principal, set_principal
from rhythmiq_recommender.compat import RecommendLikeSpotify, artist_id, artist_name
from rhythmiq_recommender.compat_servicer import CompatServicer

Request = compat_pb2.GetRecommendationsRequest


async def ask(request: compat_pb2.GetRecommendationsRequest, world: World | None = None) -> dict[str, object]:
    set_principal(Principal("https://issuer.test", "someone", frozenset()))
    servicer = CompatServicer(RecommendLikeSpotify((world or World()).recommend))
    answer = await servicer.GetRecommendations(request, None)  # type: ignore[arg-type]
    return MessageToDict(answer)


async def test_tracks_come_in_spotifys_shape() -> None:
    found = await ask(Request(seed_tracks="jazz-3", seed_genres="jazz", limit=40))
    seeds, tracks = found["seeds"], found["tracks"]
    assert isinstance(seeds, list)
    assert isinstance(tracks, list)
    assert [(seed["type"], seed["id"]) for seed in seeds] == [("GENRE", "jazz"), ("TRACK", "jazz-3")]
    assert all(
        seed["initialPoolSize"] == seed["afterFilteringSize"] == seed["afterRelinkingSize"] > 0 for seed in seeds
    )
    assert len(tracks) == 40
    for track in tracks:
        assert track["type"] == "track"
        assert track["uri"] == f"spotify:track:{track['id']}"
        assert track["href"].startswith("/items/")
        assert track["artists"][0]["type"] == "artist"
    linked = next(track for track in tracks if "preview_url" in track)
    assert linked["external_ids"]["isrc"]
    assert set(linked["external_urls"]) == {"page"}
    assert {"duration_ms", "popularity", "explicit", "album"} <= {key for track in tracks for key in track}
    precisions = {track["album"]["release_date_precision"] for track in tracks if "album" in track}
    assert precisions == {"year", "month"}


async def test_it_works_without_a_profile_and_without_the_other_services() -> None:
    away = frozenset({"profile", "preference", "variable"})
    for world in (World(profile=None), World(away=away)):
        found = await ask(Request(seed_genres="pop"), world)
        assert isinstance(found["tracks"], list)
        assert len(found["tracks"]) == 20


async def test_bounds_hold_and_show_in_the_pools() -> None:
    found = await ask(Request(seed_genres="pop,rock", min_tempo=125.0, max_popularity=80, target_energy=0.9, limit=100))
    snapshot = small_catalogue.snapshot()
    by_id = {snapshot.item(row).external_id: snapshot.item(row) for row in range(len(snapshot))}
    assert isinstance(found["tracks"], list)
    assert found["tracks"]
    for track in found["tracks"]:
        item = by_id[f"spotify:{track['id']}"]
        assert item.features.tempo >= 125
        assert item.HasField("popularity")
        assert item.popularity <= 80
    assert isinstance(found["seeds"], list)
    assert all(0 < seed["afterFilteringSize"] < seed["initialPoolSize"] for seed in found["seeds"])


async def test_artists_are_seeds_by_their_id_or_name() -> None:
    by_name = await ask(Request(seed_artists="JAZZ artist 2"))
    by_id = await ask(Request(seed_artists=artist_id("jazz artist 2")))
    assert by_name["tracks"] == by_id["tracks"]
    assert artist_name(artist_id("Sigur Rós, live")) == "sigur rós, live"
    for odd in ("artist_", "artist_!", "artist_" + base64.urlsafe_b64encode(b"\xff\xfe").decode()):
        with pytest.raises(NotFound):
            await ask(Request(seed_artists=odd))


async def test_a_uuid_is_a_track_seed_too() -> None:
    item = small_catalogue.items()[30]
    found = await ask(Request(seed_tracks=item.uid, limit=1))
    assert isinstance(found["seeds"], list)
    assert found["seeds"][0]["href"] == f"/{item.name}"


async def test_a_genre_that_only_spotify_knew_is_an_empty_pool() -> None:
    alone = await ask(Request(seed_genres="work-out"))
    assert alone["seeds"] == [
        {"id": "work-out", "type": "GENRE", "initialPoolSize": 0, "afterFilteringSize": 0, "afterRelinkingSize": 0}
    ]
    assert "tracks" not in alone
    assert (await ask(Request(seed_genres="work-out,jazz")))["tracks"] == (await ask(Request(seed_genres="jazz")))[
        "tracks"
    ]


@pytest.mark.parametrize(
    "request_",
    [
        Request(),
        Request(seed_genres=" , ,"),
        Request(seed_genres="a,b,c", seed_artists="d,e,f"),
        Request(seed_genres="pop", min_energy=0.6, max_energy=0.4),
        Request(seed_genres="pop", min_key=5, max_key=2),
    ],
)
async def test_wrong_numbers_of_seeds_and_crossed_bounds_are_refused(
    request_: compat_pb2.GetRecommendationsRequest,
) -> None:
    with pytest.raises(InvalidArgument):
        await ask(request_)


@pytest.mark.parametrize("request_", [Request(seed_tracks="4iV5W9uYEdYUVa79Axb7Rh"), Request(seed_artists="nobody")])
async def test_unknown_tracks_and_artists_are_not_found(request_: compat_pb2.GetRecommendationsRequest) -> None:
    with pytest.raises(NotFound) as refused:
        await ask(request_)
    assert refused.value.reason == "SEED_NOT_FOUND"
