"""What is chosen and liked in these surroundings: smoothed lifts and rates of items, artists and genres, by kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.encoding import CATEGORIES, CODES, OFFSETS, WIDTHS
from rhythmiq_recommender.learning.served.popular import rate
from rhythmiq_recommender.learning.served.shelf import KIND_COUNT, Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import ALL_SURROUNDINGS, Kept, Past, Quiet, sums, surroundings
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray

EXPECTED: Final = 8.0
"""Expected likes that a lift's prior is worth: an item's prior is its artist's lift, an artist's its genre's."""
EVENTS: Final = 8.0
"""Events that a rate's prior is worth, in the same order."""

AXES: Final = {"item": Axis.ITEM, "artist": Axis.ARTIST, "genre": Axis.GENRE}
_SOURCES: Final = (
    ("lift_item_in", "log ratio", "how much more often the item is liked here than its likes anywhere say"),
    ("lift_genre_in", "log ratio", "the genre's"),
    ("liked_item_in", "-1..1", "likes here beyond the item's overall rate, smoothed by the artist's"),
    ("liked_artist_in", "-1..1", "the artist's, smoothed by the genre's"),
    ("liked_genre_in", "-1..1", "the genre's, shrunk to 0"),
)


class Here:
    """Point in time: counts of the events that it was fitted on."""

    name = "here"
    features = (
        *(
            Feature(f"{name}_{category.kind}", unit, surroundings(category.kind), f"{source}; {category.meaning}")
            for name, unit, source in _SOURCES
            for category in CATEGORIES
        ),
        Feature("lift_here", "log ratio", ALL_SURROUNDINGS, "sum of lift_item_in over all kinds"),
        Feature("liked_here", "-1..1", ALL_SURROUNDINGS, "sum of liked_item_in over all kinds"),
    )
    arrays = (
        *(ArraySpec(f"lift_{who}", "f4", (axis, CODES)) for who, axis in AXES.items()),
        *(ArraySpec(f"rate_{who}", "f4", (axis, CODES)) for who, axis in AXES.items()),
        ArraySpec("met", "?", (Axis.ITEM,)),
    )

    def fit(self, past: Past) -> State:
        """Counts by kind of surroundings; see `_lifts` and `_rates`."""
        found = {
            spec.name: np.zeros(tuple(_length(past, axis) for axis in spec.axes), spec.dtype) for spec in self.arrays
        }
        found["met"] = sums(past.item, past.sizes[Axis.ITEM]) > 0
        likes = sums(past.item, past.sizes[Axis.ITEM], past.liked)
        events = sums(past.item, past.sizes[Axis.ITEM])
        surprise = past.liked - rate(likes, events, float(past.liked.mean()))[past.item]
        keys = (past.item, past.artist[past.item], past.genre[past.item])
        for number, (offset, width) in enumerate(zip(OFFSETS.tolist(), WIDTHS, strict=True)):
            code = past.codes[:, number].astype(np.int64)
            if not (code >= 0).any():
                continue
            columns = slice(offset, offset + width)
            for who, lift in _lifts(past, keys, code, width):
                found[f"lift_{who}"][:, columns] = np.log(lift)
            for who, mean in _rates(past, keys, code, width, surprise):
                found[f"rate_{who}"][:, columns] = mean
        return found

    def bind(self, kept: Kept, shelf: Shelf) -> BoundHere:
        """Items that nobody has met take their artist's or genre's."""
        return BoundHere(kept, shelf)


def _length(past: Past, axis: Axis | int) -> int:
    return past.sizes[axis] if isinstance(axis, Axis) else axis


def _table(key: IntArray, code: IntArray, length: int, width: int, weight: RawArray) -> RawArray:
    """(length x width) sums of weights."""
    known = (key >= 0) & (code >= 0)
    place = key[known] * width + code[known]
    return sums(place, length * width, weight[known]).reshape(length, width)


def _parents(past: Past, values: list[RawArray], nothing: float) -> RawArray:
    """What to expect one level further down: of genres nothing, of artists their genre's, of items their artist's."""
    width = values[0].shape[1]
    genre = np.vstack([values[0], np.full(width, nothing)])
    if len(values) == 1:
        return genre[past.genre_of_artist]
    artist = np.vstack([values[1], np.full(width, nothing)])
    return np.where((past.artist >= 0)[:, None], artist[past.artist], genre[past.genre])


def _down(past: Past, keys: tuple[IntArray, ...]) -> Iterator[tuple[str, IntArray, int]]:
    for who, axis, key in reversed(list(zip(AXES, AXES.values(), keys, strict=True))):
        yield who, key, past.sizes[axis]


def _lifts(past: Past, keys: tuple[IntArray, ...], code: IntArray, width: int) -> list[tuple[str, RawArray]]:
    """Likes here against (likes anywhere where this kind was known) x (share of here among all likes)."""
    liked = past.liked.astype(np.float64)
    here = _table(np.zeros(len(code), np.int64), code, 1, width, liked)
    share = (here + 1) / (here.sum() + width)
    values: list[RawArray] = []
    found = []
    for who, key, length in _down(past, keys):
        likes = _table(key, code, length, width, liked)
        expected = likes.sum(axis=1, keepdims=True) * share
        prior = 1.0 if not values else _parents(past, values, 1.0)
        values.append((likes + EXPECTED * prior) / (expected + EXPECTED))
        found.append((who, values[-1]))
    return found


def _rates(
    past: Past, keys: tuple[IntArray, ...], code: IntArray, width: int, surprise: RawArray
) -> list[tuple[str, RawArray]]:
    """Mean of (liked - the item's overall rate) here, beyond that of all events here."""
    everything = np.zeros(len(code), np.int64)
    events = _table(everything, code, 1, width, np.ones(len(code)))
    level = (_table(everything, code, 1, width, surprise) / (events + EVENTS))[0]
    beyond = surprise - np.where(code >= 0, level[code], 0)
    values: list[RawArray] = []
    found = []
    for who, key, length in _down(past, keys):
        prior = 0.0 if not values else _parents(past, values, 0.0)
        number = _table(key, code, length, width, np.ones(len(code)))
        values.append((_table(key, code, length, width, beyond) + EVENTS * prior) / (number + EVENTS))
        found.append((who, values[-1]))
    return found


class BoundHere(Quiet):
    """Look-ups in tables that stay as they were fitted: one row an item (artist, genre), one column a code."""

    def __init__(self, kept: Kept, shelf: Shelf) -> None:
        self._lifts = {who: kept[f"lift_{who}"] for who in AXES}
        self._rates = {who: kept[f"rate_{who}"] for who in AXES}
        self._shelf, self._fitted = shelf, shelf.fitted
        self._met: BoolArray = np.append(kept["met"], False)
        """(items of the fit + 1,)."""

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        x[:] = 0
        kinds = np.flatnonzero(seen.cells < CODES)
        if not len(kinds):
            return
        cells = seen.cells[kinds]
        artist, genre = self._fitted.artist.take(looked.artist), self._fitted.genre.take(looked.genre)
        artists, genres = _cells(artist, cells), _cells(genre, cells)
        of_artist, of_genre = _at(self._rates["artist"], artists), _at(self._rates["genre"], genres)
        genre_lifts = _at(self._lifts["genre"], genres)
        items = _cells(looked.fitted, cells)
        lifts, rates = _at(self._lifts["item"], items), _at(self._rates["item"], items)
        unmet = np.flatnonzero(~self._met.take(looked.fitted))
        if len(unmet):
            named = looked.artist[unmet] < self._shelf.artists
            artist_lifts = _at(self._lifts["artist"], artists[:, unmet])
            lifts[:, unmet] = np.where(named, artist_lifts, genre_lifts[:, unmet])
            rates[:, unmet] = np.where(named, of_artist[:, unmet], of_genre[:, unmet])
        for number, found in enumerate((lifts, genre_lifts, rates, of_artist, of_genre)):
            x.T[number * KIND_COUNT + kinds] = found
        x[:, -2], x[:, -1] = lifts.sum(axis=0), rates.sum(axis=0)


def _cells(places: NDArray[np.integer[Any]], cells: IntArray) -> IntArray:
    """(cells x places) where those cells of a table (places x CODES) stand in its memory; negative for places of -1."""
    return cells[:, None] + places * np.int64(CODES) - np.where(places < 0, CODES, 0)


def _at(table: FloatArray, cells: IntArray) -> FloatArray:
    """The values of the cells; 0 of negative ones."""
    if not len(table):
        return np.zeros(cells.shape, np.float32)
    found = table.ravel().take(cells, mode="clip")
    nowhere = cells[0] < 0
    if nowhere.any():
        found[:, nowhere] = 0
    return found
