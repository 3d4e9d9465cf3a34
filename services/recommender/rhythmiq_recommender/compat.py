"""Recommendations in the shape of Spotify's closed endpoint: seeds, pools and what they become here."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np

from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_recommender.model import item_id
from rhythmiq_recommender.postings import IntArray, fold
from rhythmiq_recommender.recommend import Answer, Recommend, SeedNotFound
from rhythmiq_recommender.retrieval import allowed, nearest
from rhythmiq_recommender.situation import Filter, Seeds, Wish
from rhythmiq_recommender.snapshot import NAME_PREFIX, CatalogSnapshot

MAX_SEEDS: Final = 5
POOL: Final = 250
"""Tracks near a seed track or artist that make up its pool."""

TRACK: Final = 1
"""rhythmiq.recommender.v1.Item.Kind.TRACK: the only kind that this shape has."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ARTIST_PREFIX: Final = "artist_"


class SeedType(Enum):
    """What a seed is; values as in the answer."""

    ARTIST = "ARTIST"
    TRACK = "TRACK"
    GENRE = "GENRE"


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed as the caller gave it, and what it is here: an item's or an artist's or a genre's name."""

    given: str
    type: SeedType
    name: str


@dataclass(frozen=True, slots=True)
class Pool:
    """How many tracks a seed stands for, and how many of them pass the filters."""

    seed: Seed
    initial: int
    after_filtering: int


def artist_id(name: str) -> str:
    """An id for an artist that holds its name, so that it needs no look-up and means the same in every replica."""
    return _ARTIST_PREFIX + base64.urlsafe_b64encode(fold(name).encode()).decode().rstrip("=")


def artist_name(given: str) -> str:
    """The artist's name in an id made by `artist_id`; anything else is taken for a name."""
    if given.startswith(_ARTIST_PREFIX):
        encoded = given.removeprefix(_ARTIST_PREFIX)
        try:
            return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            return given
    return given


def parse_seeds(artists: str, genres: str, tracks: str) -> list[Seed]:
    """The seeds in three comma-separated lists, each once. Raises InvalidArgument unless there are 1 to 5."""
    seeds = [
        *(Seed(given, SeedType.ARTIST, artist_name(given)) for given in _listed(artists)),
        *(Seed(given, SeedType.GENRE, given) for given in _listed(genres)),
        *(Seed(given, SeedType.TRACK, _track_name(given)) for given in _listed(tracks)),
    ]
    if not 1 <= len(seeds) <= MAX_SEEDS:
        rule = f"seed_artists, seed_genres and seed_tracks must name 1 to {MAX_SEEDS} seeds in all, not {len(seeds)}"
        raise InvalidArgument.of("seed_tracks", rule)
    return seeds


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part for part in map(str.strip, text.split(",")) if part))


def _track_name(given: str) -> str:
    track_id = given.removeprefix("spotify:track:")
    return NAME_PREFIX + (track_id if _UUID.fullmatch(track_id) else item_id(f"spotify:{track_id}"))


@dataclass(frozen=True)
class RecommendLikeSpotify:
    """Recommends tracks near seeds, for callers with or without a profile; the surroundings are not asked for.

    A genre that the catalogue does not have is an empty pool, because apps come with Spotify's fixed list of genres.
    Raises NotFound (SEED_NOT_FOUND) for tracks and artists.
    """

    recommend: Recommend

    async def __call__(self, wish: Wish, seeds: Sequence[Seed]) -> tuple[list[Pool], Answer]:
        snapshot = self.recommend.catalog.snapshot
        pools = [_pool(snapshot, wish, seed) for seed in seeds]
        known = [pool.seed for pool in pools if pool.initial]
        wish = replace(
            wish,
            kind=TRACK,
            uses_surroundings=False,
            # This shape has no past and no propensities: the same call means the same list.
            fatigue=0.0,
            explore=False,
            seeds=Seeds(
                items=_names(known, SeedType.TRACK),
                artists=_names(known, SeedType.ARTIST),
                genres=_names(known, SeedType.GENRE),
            ),
        )
        answer = await self.recommend(wish, needs_profile=False)
        return pools, answer if known else replace(answer, picks=[])


def _names(seeds: Sequence[Seed], type_: SeedType) -> list[str]:
    return [seed.name for seed in seeds if seed.type is type_]


def _pool(snapshot: CatalogSnapshot, wish: Wish, seed: Seed) -> Pool:
    everything = allowed(snapshot, TRACK, {}, Filter())
    filtered = allowed(snapshot, TRACK, wish.tuning, Filter())
    rows = _pool_rows(snapshot, seed, everything)
    rows = rows[everything[rows]]
    return Pool(seed, len(rows), int(np.count_nonzero(filtered[rows])))


def _pool_rows(snapshot: CatalogSnapshot, seed: Seed, tracks: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> IntArray:
    match seed.type:
        case SeedType.TRACK:
            row = snapshot.row_of_name(seed.name)
            if row is None:
                raise SeedNotFound("seed_tracks", "item", seed.given)
            return np.union1d(nearest(snapshot, snapshot.scores[row], POOL, tracks), row)
        case SeedType.ARTIST:
            artist = snapshot.names.artists.find(seed.name)
            own = snapshot.by_artist[artist] if artist is not None else ()
            if not len(own):
                raise SeedNotFound("seed_artists", "artist", seed.given)
            return np.union1d(nearest(snapshot, snapshot.scores[own].mean(axis=0), POOL, tracks), own)
        case SeedType.GENRE:
            genre = snapshot.names.genres.find(seed.name)
            return snapshot.by_genre.rows_with([] if genre is None else [genre]).astype(np.int64)
