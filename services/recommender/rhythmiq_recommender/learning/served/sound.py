"""How an item sounds against what is liked in these surroundings: holds for items that nobody has met, too."""

from __future__ import annotations

from typing import Final

import numpy as np

from rhythmiq_recommender.learning.encoding import CATEGORIES, CODES, OFFSETS
from rhythmiq_recommender.learning.listening import AUDIO_NAMES
from rhythmiq_recommender.learning.served.shelf import KIND_COUNT, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import Past, surroundings
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.served.taste import DOUBT, leanings
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray

SHRINK: Final = 40.0
"""Likes that the mean and variance of likes anywhere are worth, against those here."""
_WIDTH: Final = len(AUDIO_NAMES)
_LEAST: Final = 0.05
"""Smallest variance of a standard score: what hardly varies must not decide everything."""
_LOOKED_THROUGH: Final = 4_000
"""So many most liked items are looked through for what fits here."""

_SOURCES: Final = (
    ("sound_in", "log ratio", "likelihood of the item's sound among likes here, against likes anywhere"),
    ("own_sound_in", "standard scores", "the item's sound along what this listener liked here more than elsewhere"),
    ("own_genre_in", "-1..1", "this listener's verdicts on the genre here, beyond those on it anywhere"),
)


class SoundHere:
    """Gaussians with a variance a feature, by kind of surroundings; and the listener's own history by kind."""

    name = "sound"
    features = tuple(
        Feature(f"{name}_{category.kind}", unit, surroundings(category.kind), f"{source}; {category.meaning}")
        for name, unit, source in _SOURCES
        for category in CATEGORIES
    )
    arrays = (
        ArraySpec("square", "f4", (CODES, _WIDTH)),
        ArraySpec("slope", "f4", (CODES, _WIDTH)),
        ArraySpec("level", "f4", (CODES, _WIDTH)),
        ArraySpec("likes", "f4", (Axis.ITEM,)),
    )

    def fit(self, past: Past) -> State:
        """Means and variances of the sounds of liked events; their log ratio is a quadratic, kept as three numbers."""
        audio = past.tables.items.audio
        liked = np.flatnonzero(past.liked)
        found = {name: np.zeros((CODES, _WIDTH), np.float32) for name in ("square", "slope", "level")}
        found["likes"] = np.bincount(past.item[liked], minlength=past.sizes[Axis.ITEM]).astype(np.float32)
        if audio is None or not len(liked):
            return found
        # Counting by item first: there are far fewer items than events.
        known = ~np.isnan(audio)
        sound = np.where(known, audio, 0).astype(np.float64)
        mean, variance = _moments(found["likes"].astype(np.float64)[None], sound, known, None)
        for number, offset in enumerate(OFFSETS.tolist()):
            width = len(CATEGORIES[number].names)
            code = past.codes[liked, number].astype(np.int64)
            there = code >= 0
            if not there.any():
                continue
            place = code[there] * past.sizes[Axis.ITEM] + past.item[liked][there]
            times = np.bincount(place, minlength=width * past.sizes[Axis.ITEM]).reshape(width, -1).astype(np.float64)
            here, spread = _moments(times, sound, known, (mean[0], variance[0]))
            rows = slice(offset, offset + width)
            found["square"][rows] = 0.5 / variance - 0.5 / spread
            found["slope"][rows] = here / spread - mean / variance
            found["level"][rows] = 0.5 * (mean**2 / variance - here**2 / spread + np.log(variance / spread))
        return found

    def bind(self, state: State, shelf: Shelf) -> BoundSoundHere:
        """Sounds, their squares and what is known of them, side by side: a likelihood is then a product."""
        return BoundSoundHere(state, shelf)


def _moments(
    times: RawArray, sound: RawArray, known: BoolArray, prior: tuple[RawArray, RawArray] | None
) -> tuple[RawArray, RawArray]:
    """(rows x features) means and variances of sounds, each item as often as `times` (rows x items) says."""
    number, total, squares = times @ known, times @ sound, times @ (sound**2)
    if prior is None:
        mean = total / np.maximum(number, 1)
        return mean, np.maximum(squares / np.maximum(number, 1) - mean**2, _LEAST)
    middle, variance = prior
    mean = (total + SHRINK * middle) / (number + SHRINK)
    second = (squares + SHRINK * (variance + middle**2)) / (number + SHRINK)
    return mean, np.maximum(second - mean**2, _LEAST)


class BoundSoundHere:
    """A product with the coefficients of the surroundings at hand."""

    def __init__(self, state: State, shelf: Shelf) -> None:
        self._shelf = shelf
        self._powers = np.hstack([shelf.audio**2, shelf.audio, shelf.known]).astype(np.float32)
        table = np.hstack([state["square"], state["slope"], state["level"]])
        self._table: FloatArray = np.vstack([table, np.zeros((1, table.shape[1]), np.float32)])
        order = np.argsort(-np.where(shelf.of_kind, state["likes"], -1), kind="stable")[:_LOOKED_THROUGH]
        self._through = order[shelf.of_kind[order]]
        self._powers_through = self._powers[self._through]

    def columns(self, seen: Seen, rows: IntArray, x: FloatArray) -> None:
        x[:, :KIND_COUNT] = self._powers[rows] @ self._table[seen.cells].T
        own = x[:, KIND_COUNT:]
        if not seen.here.any():
            own[:] = 0
            return
        self._own(seen, rows, own)

    def _own(self, seen: Seen, rows: IntArray, own: FloatArray) -> None:
        """The history where a kind was as it is now, against all of it."""
        shelf = self._shelf
        heard, size = shelf.audio[seen.row], np.abs(seen.signed)
        overall = seen.signed @ heard / (size.sum() + DOUBT)
        matching = seen.here.astype(np.float32)
        weights = matching * seen.signed[:, None]
        sizes = size @ matching
        leaning = (weights.T @ heard - sizes[:, None] * overall) / (sizes[:, None] + DOUBT)
        own[:, :KIND_COUNT] = shelf.audio[rows] @ leaning.T
        anywhere, _ = leanings(seen.genre, seen.signed, size, size, shelf.genres)
        own[:, KIND_COUNT:] = _genres_here(seen, weights, size, shelf.genres, anywhere)[shelf.genre[rows]]

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """Of the most liked items, those that fit best here by their sound."""
        if (seen.codes < 0).all():
            return np.zeros(0, np.int64)
        fit = self._powers_through @ self._table[seen.cells].sum(axis=0)
        most = min(most, len(fit))
        best = np.argpartition(-fit, most - 1)[:most] if most else np.zeros(0, np.int64)
        return self._through[best[np.argsort(-fit[best], kind="stable")]]


def _genres_here(seen: Seen, weights: FloatArray, size: FloatArray, genres: int, anywhere: RawArray) -> RawArray:
    """(genres + 1 x kinds) verdicts where a kind is as now, beyond those anywhere; 0 for the unknown genre."""
    event, kind = np.nonzero(seen.here)
    place = seen.genre[event] * KIND_COUNT + kind
    length = (genres + 1) * KIND_COUNT
    total = np.bincount(place, weights=weights[event, kind], minlength=length)
    number = np.bincount(place, weights=size[event], minlength=length)
    found = ((total - number * np.repeat(anywhere, KIND_COUNT)) / (number + DOUBT)).reshape(-1, KIND_COUNT)
    found[genres] = 0
    return found
