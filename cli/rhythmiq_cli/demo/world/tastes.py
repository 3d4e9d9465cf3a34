"""What was planted in each listener: genres, artists, a sound, a tempo and an instrument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rhythmiq_cli.demo.world.arrays import AnyInts, Chance, Floats, Ints, gumbel
from rhythmiq_cli.demo.world.items import AUDIO, TRACK, WorldItems

GENRE: Final = (2.6, 2.0)
"""Log-odds of the first and the second genre that a listener likes."""
DISLIKED: Final = -3.0
ARTIST: Final = 1.6
ARTISTS: Final = 2
"""Artists that a listener likes; both play a genre that the listener likes."""
SOUND: Final = 0.4
"""Log-odds a standard deviation of the one feature that a listener likes more or less of than others."""
TEMPO: Final = 0.7
TEMPO_WIDTH: Final = 30.0
"""Width in BPM of the range that a listener likes."""
INSTRUMENT: Final = 0.7
OWN: Final = 0.5
"""Spread of what a listener has for or against one item and nothing explains: why some are heard again and again."""
SOUNDS: Final = ("danceability", "energy", "acousticness", "valence")


@dataclass(frozen=True, slots=True)
class Planted:
    """One listener's taste in words. `tempo` is a range in BPM; `sound` a feature, `lean` which way (1 or -1)."""

    genres: tuple[str, ...]
    disliked_genre: str
    artists: tuple[str, ...]
    sound: str
    lean: float
    tempo: tuple[float, float]
    instrument: str


@dataclass(frozen=True, slots=True)
class Tastes:
    """One row a listener: log-odds of each genre; indices of artists and an instrument; the liked sound and tempo."""

    genre: Floats
    artist: Ints
    sound: Ints
    lean: Floats
    tempo: Floats
    instrument: Ints
    seed: int

    def __len__(self) -> int:
        return len(self.genre)

    def of(self, listener: AnyInts, items: AnyInts, catalogue: WorldItems) -> Floats:
        """(rows x choices) log-odds by taste alone; `listener` is (rows,), `items` (rows x choices)."""
        who = listener[:, None]
        taste = self.genre[who, catalogue.genre[items]]
        artist = catalogue.artist[items]
        for place in range(self.artist.shape[1]):
            taste += np.float32(ARTIST) * (artist == self.artist[listener, place][:, None])
        taste += self.lean[who] * catalogue.standard[items, self.sound[who]]
        tempo = catalogue.audio[items, AUDIO.index("tempo")]
        low, high = self.tempo[listener].T[:, :, None]
        taste += np.float32(TEMPO) * ((tempo >= low) & (tempo <= high))
        taste += np.float32(INSTRUMENT) * catalogue.instruments[items, self.instrument[who]]
        return np.asarray(taste + np.float32(OWN) * _own(who, items, self.seed), dtype=np.float32)

    def planted(self, listener: int, catalogue: WorldItems) -> Planted:
        """A listener's taste in words."""
        liked = np.argsort(-self.genre[listener], kind="stable")[: len(GENRE)]
        return Planted(
            tuple(catalogue.genre_names[genre] for genre in liked),
            catalogue.genre_names[int(np.argmin(self.genre[listener]))],
            tuple(catalogue.artist_names[artist] for artist in self.artist[listener]),
            AUDIO[self.sound[listener]],
            float(np.sign(self.lean[listener])),
            (float(self.tempo[listener, 0]), float(self.tempo[listener, 1])),
            catalogue.instrument_names[self.instrument[listener]],
        )

    def plant(self, listener: int, wanted: Planted, catalogue: WorldItems) -> None:
        """Gives a listener this taste instead. Raises ValueError for a name that the catalogue does not have."""
        self.genre[listener] = 0
        names = [catalogue.genre_names.index(name) for name in wanted.genres]
        self.genre[listener, names] = GENRE[: len(names)]
        self.genre[listener, catalogue.genre_names.index(wanted.disliked_genre)] = DISLIKED
        self.artist[listener] = [catalogue.artist_names.index(name) for name in wanted.artists]
        self.sound[listener] = AUDIO.index(wanted.sound)
        self.lean[listener] = SOUND * wanted.lean
        self.tempo[listener] = wanted.tempo
        self.instrument[listener] = catalogue.instrument_names.index(wanted.instrument)


def draw_tastes(chance: Chance, listeners: int, catalogue: WorldItems, seed: int) -> Tastes:
    """Everybody's taste: the second genre sounds like the first, so that listeners have much in common."""
    sounds = _genre_sounds(catalogue)
    genres = np.flatnonzero(~np.isnan(sounds[:, 0]))
    apart = np.linalg.norm(sounds[genres][:, None] - sounds[genres][None], axis=2)
    near = np.where(apart > 0, -apart, -np.inf).astype(np.float32)
    rows = np.arange(listeners)
    first = chance.integers(0, len(genres), listeners)
    second = np.argmax(near[first] + gumbel(chance, (listeners, len(genres))), axis=1)
    far = apart[first] + apart[second] + gumbel(chance, (listeners, len(genres)))
    far[rows, first] = far[rows, second] = -np.inf
    genre = np.zeros((listeners, len(catalogue.genre_names)), np.float32)
    genre[rows, genres[first]], genre[rows, genres[second]] = GENRE
    genre[rows, genres[np.argmax(far, axis=1)]] = DISLIKED
    middle = _tempi(catalogue)[genres[first]] + chance.normal(0, 10, listeners)
    return Tastes(
        genre,
        _artists(chance, genres[np.stack([first, second], axis=1)], catalogue),
        np.array([AUDIO.index(name) for name in SOUNDS], np.int32)[chance.integers(0, len(SOUNDS), listeners)],
        (SOUND * chance.choice([-1, 1], listeners)).astype(np.float32),
        np.round(np.stack([middle - TEMPO_WIDTH / 2, middle + TEMPO_WIDTH / 2], axis=1)).astype(np.float32),
        _instruments(chance, genres[first], catalogue),
        seed,
    )


def _genre_sounds(catalogue: WorldItems) -> Floats:
    """(genres x AUDIO) mean standard scores of tracks; NaN where a genre has no track."""
    sums = np.full((len(catalogue.genre_names), len(AUDIO)), np.nan, np.float32)
    for genre in range(len(sums)):
        rows = (catalogue.genre == genre) & (catalogue.kind == TRACK)
        if rows.any():
            sums[genre] = catalogue.standard[rows].mean(0)
    return sums


def _tempi(catalogue: WorldItems) -> Floats:
    """Mean tempo of each genre's tracks in BPM; 0 where it has none."""
    rows = catalogue.kind == TRACK
    count = len(catalogue.genre_names)
    total = np.bincount(catalogue.genre[rows], catalogue.audio[rows, AUDIO.index("tempo")], count)
    return (total / np.maximum(np.bincount(catalogue.genre[rows], minlength=count), 1)).astype(np.float32)


def _artists(chance: Chance, genres: AnyInts, catalogue: WorldItems) -> Ints:
    """One artist of each of (listeners x liked genres)."""
    tracks = np.flatnonzero(catalogue.kind == TRACK)
    order = tracks[np.argsort(catalogue.genre[tracks], kind="stable")]
    count = np.bincount(catalogue.genre[tracks], minlength=len(catalogue.genre_names))
    begin = np.cumsum(count) - count
    pick = begin[genres] + (chance.random(genres.shape) * count[genres]).astype(np.int64)
    return np.asarray(catalogue.artist[order[pick]], dtype=np.int32)


def _instruments(chance: Chance, genre: AnyInts, catalogue: WorldItems) -> Ints:
    """An instrument that is played in the genre, the more likely the more it is."""
    tracks = catalogue.kind == TRACK
    counts = np.zeros((len(catalogue.genre_names), len(catalogue.instrument_names)), np.float32)
    np.add.at(counts, catalogue.genre[tracks], catalogue.instruments[tracks])
    with np.errstate(divide="ignore"):
        noise = np.log(counts[genre]) + gumbel(chance, (len(genre), counts.shape[1]))
    return np.asarray(np.argmax(noise, axis=1), dtype=np.int32)


_MIX: Sequence[np.uint64] = tuple(np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _own(listener: AnyInts, items: AnyInts, seed: int) -> Floats:
    """About standard normal, a fixed value for each (listener, item): a hash, so that none has to be stored.

    The mixing is that of splitmix64 (Steele, Lea & Flood 2014).
    """
    bits = listener.astype(np.uint64) * _MIX[0] ^ (items.astype(np.uint64) + np.uint64(seed)) * _MIX[1]
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX[1]
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX[2]
    halves = [(bits >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.float32) / 65536 for shift in (8, 24, 40)]
    # The sum of three uniform numbers has variance 1/4.
    return np.asarray((sum(halves) - 1.5) * 2, dtype=np.float32)
