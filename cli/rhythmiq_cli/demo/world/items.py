"""Items as columns: the demo catalogue itself, or as many as wanted by the same genre rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.demo.catalogue import demo_items
from rhythmiq_cli.demo.genres import GENRES, GenreSound
from rhythmiq_cli.demo.world.arrays import Bools, Chance, Codes, Floats, Ints

TRACK, PODCAST_EPISODE, SOUNDSCAPE = (
    int(kind) for kind in (item_pb2.Item.TRACK, item_pb2.Item.PODCAST_EPISODE, item_pb2.Item.SOUNDSCAPE)
)
AUDIO = (
    "danceability", "energy", "speechiness", "acousticness", "instrumentalness", "liveness", "valence", "loudness",
    "tempo",
)  # fmt: skip
"""Features in the order of the columns of `WorldItems.audio`, units as in rhythmiq.type.v1.AudioFeatures."""

_TRACKS_PER_ARTIST = 6
_SPREADS = {
    "danceability": 0.09, "energy": 0.10, "speechiness": 0.03, "acousticness": 0.10, "instrumentalness": 0.10,
    "valence": 0.14,
}  # fmt: skip


@dataclass(frozen=True)
class WorldItems:
    """One row an item.

    `kind` has the numbers of Item.Kind; `artist` and `genre` (the first) are indices into the names; `instruments` is
    (items x instrument names); `audio` is (items x AUDIO), NaN where unknown; `popularity` is 0 to 100; `seconds` long.
    """

    external_id: Sequence[str]
    kind: Codes
    artist: Ints
    artist_names: Sequence[str]
    genre: Ints
    genre_names: Sequence[str]
    instruments: Bools
    instrument_names: Sequence[str]
    audio: Floats
    popularity: Floats
    seconds: Floats

    def __len__(self) -> int:
        return len(self.kind)

    @cached_property
    def standard(self) -> Floats:
        """(items x AUDIO) standard scores among items of the same kind; 0 where unknown."""
        scores = np.zeros_like(self.audio)
        for kind in np.unique(self.kind):
            rows = self.kind == kind
            # A soundscape has no tempo at all.
            there = ~np.isnan(self.audio[rows]).all(0)
            known = self.audio[rows][:, there]
            spread = np.nanstd(known, 0)
            scores[np.ix_(rows, there)] = (known - np.nanmean(known, 0)) / np.where(spread > 0, spread, 1)
        return np.nan_to_num(scores)

    @cached_property
    def fame(self) -> Floats:
        """Standard scores of popularity."""
        return np.asarray((self.popularity - self.popularity.mean()) / self.popularity.std(), dtype=np.float32)


def demo_columns() -> WorldItems:
    """The 700 items of the demo catalogue, in its order."""
    items = demo_items()
    artists, artist = np.unique([item.artists[0] for item in items], return_inverse=True)
    genres, genre = np.unique([item.genres[0] for item in items], return_inverse=True)
    names = sorted({name for item in items for name in item.instruments})
    return WorldItems(
        [item.external_id for item in items],
        np.array([item.kind for item in items], np.int8),
        artist.astype(np.int32),
        artists.tolist(),
        genre.astype(np.int32),
        genres.tolist(),
        np.array([[name in item.instruments for name in names] for item in items]),
        names,
        np.array([_audio(item) for item in items], np.float32),
        np.array([item.popularity for item in items], np.float32),
        np.array([item.duration.seconds for item in items], np.float32),
    )


def synthetic_items(count: int, seed: int = 0) -> WorldItems:
    """`count` tracks, drawn around the means of the demo's genres; an artist has six on average."""
    chance = np.random.default_rng([seed, 1])
    genre = chance.integers(0, len(GENRES), count).astype(np.int32)
    artists_each = max(1, count // (_TRACKS_PER_ARTIST * len(GENRES)))
    artist = genre * artists_each + chance.integers(0, artists_each, count)
    names = sorted({name for sound in GENRES for name in sound.instruments})
    # Squared, so that few items are famous.
    popularity = 100 * chance.random(count) ** 2
    return WorldItems(
        [f"world:track-{number + 1:07d}" for number in range(count)],
        np.full(count, TRACK, np.int8),
        artist.astype(np.int32),
        [f"Artist {number + 1}" for number in range(artists_each * len(GENRES))],
        genre,
        [sound.genre for sound in GENRES],
        _instruments(chance, genre, names),
        names,
        _sounds(chance, genre),
        popularity.astype(np.float32),
        (60 * _means("minutes")[genre] * np.clip(chance.normal(1, 0.18, count), 0.6, 1.6)).astype(np.float32),
    )


def _audio(item: item_pb2.Item) -> list[float]:
    known = {field.name: float(value) for field, value in item.features.ListFields()}
    return [known.get(name, float("nan")) for name in AUDIO]


def _means(name: str) -> Floats:
    return np.array([getattr(sound, name) for sound in GENRES], np.float32)


def _sounds(chance: Chance, genre: Ints) -> Floats:
    columns = {
        name: np.clip(chance.normal(_means(name)[genre], spread), 0.01, 0.99) for name, spread in _SPREADS.items()
    }
    columns["liveness"] = np.clip(chance.normal(0.16, 0.08, len(genre)), 0.01, 0.99)
    above = columns["energy"] - _means("energy")[genre]
    # As in the demo catalogue: more energy than the genre usually has is mastered louder.
    columns["loudness"] = _means("loudness")[genre] + 12.0 * above + chance.normal(0, 0.8, len(genre))
    columns["tempo"] = np.clip(chance.normal(_means("tempo")[genre], _means("tempo_spread")[genre]), 50, 210)
    return np.stack([columns[name] for name in AUDIO], axis=1).astype(np.float32)


def _instruments(chance: Chance, genre: Ints, names: Sequence[str]) -> Bools:
    """Two instruments of its genre each."""
    found = np.zeros((len(genre), len(names)), np.bool_)
    for number, sound in enumerate(GENRES):
        rows = np.flatnonzero(genre == number)
        own = _own(sound, names)
        kept = np.argsort(chance.random((len(rows), len(own))), axis=1)[:, :2]
        found[rows[:, None], own[kept]] = True
    return found


def _own(sound: GenreSound, names: Sequence[str]) -> Ints:
    return np.array([names.index(name) for name in sound.instruments], np.int32)
