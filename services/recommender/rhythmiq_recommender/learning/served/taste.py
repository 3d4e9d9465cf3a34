"""What the listener leans to: sounds, artists and genres, by verdicts on what they heard. Verdicts fade, see FADES."""

from __future__ import annotations

from typing import Final

import numpy as np

from rhythmiq_recommender.learning.listening import AUDIO_NAMES
from rhythmiq_recommender.learning.served.shelf import Heard, Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import TASTE, Kept, Past, sums
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray

DOUBT: Final = 3.0
"""Events that no opinion is worth: what was heard once says little."""
SHRINK: Final = 5.0
"""Likes that the mean and variance of everybody's likes are worth, against the listener's own."""
_ONES: Final[FloatArray] = np.ones(len(AUDIO_NAMES), np.float32)
_LEAST: Final = 0.05
_PER_ARTIST: Final = 12
_ARTISTS: Final = 12


class Taste:
    """Nothing about the listener is kept: everything comes from the history that the query brings."""

    name = "taste"
    features = (
        Feature("sound_leaning", "standard scores", TASTE, "the item's sound along (liked minus disliked) sounds"),
        Feature("sound_distance", "standard scores", TASTE, "to the mean sound of what the listener liked"),
        Feature("sound_cosine", "-1..1", TASTE, "between the item's sound and that mean"),
        Feature(
            "sound_fit", "log ratio", TASTE, "likelihood of the sound among what the listener liked, against anyone"
        ),
        Feature("artist_leaning", "-1..1", TASTE, "mean faded verdict on the item's artist, shrunk to 0"),
        Feature("genre_leaning", "-1..1", TASTE, "mean faded verdict on the item's genre, shrunk to 0"),
        Feature("artist_share", "0..1", TASTE, "share of the artist in what the listener liked"),
        Feature("genre_share", "0..1", TASTE, "share of the genre in what the listener liked"),
        Feature("history_log", "log events", TASTE, "log(1 + events that are known of the listener)"),
        Feature("listener_liked_rate", "0..1", TASTE, "smoothed share of the listener's events that were liked"),
    )
    arrays = (
        ArraySpec("favourites", "i4", (Axis.ARTIST, _PER_ARTIST), refers=Axis.ITEM),
        ArraySpec("mean", "f4", (len(AUDIO_NAMES),)),
        ArraySpec("variance", "f4", (len(AUDIO_NAMES),)),
    )

    def fit(self, past: Past) -> State:
        """`favourites`: the most liked items of each artist, to put forward; mean and variance of liked sounds."""
        likes = sums(past.item, past.sizes[Axis.ITEM], past.liked)
        rows = np.flatnonzero((likes > 0) & (past.artist >= 0))
        rows = rows[np.lexsort((rows, -likes[rows], past.artist[rows]))]
        artist = past.artist[rows]
        place = np.arange(len(rows)) - np.searchsorted(artist, artist)
        found = np.full((past.sizes[Axis.ARTIST], _PER_ARTIST), -1, np.int32)
        kept = place < _PER_ARTIST
        found[artist[kept], place[kept]] = rows[kept]
        mean, variance = _moments(likes, past.tables.items.audio)
        return {"favourites": found, "mean": mean, "variance": variance}

    def bind(self, kept: Kept, shelf: Shelf) -> BoundTaste:
        """Reads sounds, artists and genres from the shelf."""
        return BoundTaste(kept, shelf)


class BoundTaste:
    """Sums over the query's history."""

    def __init__(self, kept: Kept, shelf: Shelf) -> None:
        self._shelf, self._favourites = shelf, kept["favourites"]
        self._mean, self._variance = kept["mean"], kept["variance"]
        self._weight: FloatArray = (0.5 / self._variance).astype(np.float32)

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        yes = np.maximum(seen.signed, 0)
        mean = yes @ seen.sound / (yes.sum() + DOUBT)
        leaning = seen.signed @ seen.sound / (seen.size.sum() + DOUBT)
        curve, slope, level = self._fit(seen, yes)
        toward = looked.sound @ np.stack([leaning, mean, slope], axis=1)
        squares = looked.sound**2 @ np.stack([_ONES, curve], axis=1)
        length, apart = squares[:, 0], float(mean @ mean)
        x[:, 0] = toward[:, 0]
        x[:, 1] = np.sqrt(np.maximum(length - 2 * toward[:, 1] + apart, 0))
        x[:, 2] = toward[:, 1] / np.maximum(np.sqrt(length * apart), 1e-6)
        x[:, 3] = squares[:, 1] + toward[:, 2] + level
        for number, heard, place, unknown in (
            (4, seen.artists, looked.heard_artist, self._shelf.artists),
            (5, seen.genres, looked.heard_genre, self._shelf.genres),
        ):
            leans, shares = _leanings(heard, unknown, seen, yes)
            x[:, number], x[:, number + 2] = leans.take(place), shares.take(place)
        x[:, 8] = np.log1p(len(seen.row))
        x[:, 9] = ((seen.liked > 0).sum() + DOUBT / 2) / (len(seen.row) + DOUBT)

    def _fit(self, seen: Seen, yes: FloatArray) -> tuple[FloatArray, FloatArray, np.float32]:
        """Under a Gaussian of what the listener liked, with a variance a feature, shrunk to that of all likes.

        The log-likelihood ratio against anyone as factors of squared sounds, of sounds, and a constant.
        """
        many = yes.sum() + SHRINK
        mean = (yes @ seen.sound + SHRINK * self._mean) / many
        variance = (yes @ (seen.sound - mean) ** 2 + SHRINK * self._variance) / many
        weight = 0.5 / variance
        level = 0.5 * np.log(self._variance / variance).sum() - mean**2 @ weight
        level += self._mean**2 @ self._weight
        return self._weight - weight, 2 * (weight * mean - self._weight * self._mean), np.float32(level)

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """The most liked items of the listener's favourite artists, an item of each in turn."""
        if not len(seen.row) or not self._shelf.artists:
            return np.zeros(0, np.int64)
        heard, fitted = seen.artists, self._shelf.fitted
        liking = heard.sums(seen.signed)[:-1]
        some = np.flatnonzero((liking > 0) & (heard.keys < self._shelf.artists))
        best = heard.keys[some[np.argsort(-liking[some], kind="stable")[:_ARTISTS]]]
        places = fitted.artist.take(best)
        items = self._favourites[places[places >= 0]].T.ravel()
        rows = fitted.row.take(items[items >= 0])
        return rows[rows >= 0][:most].astype(np.int64)


def _moments(likes: RawArray, audio: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of each feature over likes; 0 and 1 where nothing is known."""
    width = len(AUDIO_NAMES)
    if audio is None:
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    known = ~np.isnan(audio)
    sound = np.where(known, audio, 0).astype(np.float64)
    number = np.maximum(likes @ known, 1)
    mean = likes @ sound / number
    spread = np.maximum(likes @ sound**2 / number - mean**2, 0) + _LEAST
    return mean.astype(np.float32), spread.astype(np.float32)


def _leanings(heard: Heard, unknown: int, seen: Seen, yes: FloatArray) -> tuple[RawArray, RawArray]:
    """(heard + 1,) mean verdicts shrunk to 0, and shares of the liked, by key; 0 for the key of the unknown."""
    leans = heard.sums(seen.signed) / (heard.sums(seen.size) + DOUBT)
    shares = heard.sums(yes) / (yes.sum() + DOUBT)
    nameless = heard.places(np.array([unknown]))
    leans[nameless] = shares[nameless] = 0
    return leans, shares
