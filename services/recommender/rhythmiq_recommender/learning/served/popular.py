"""How well known and how well liked an item and its artist are, by counting."""

from __future__ import annotations

from typing import Final

import numpy as np

from rhythmiq_recommender.learning.served.shelf import HOUR, Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import POPULARITY, Kept, Past, counts, most_liked, placed
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray

LATELY: Final = 7 * 24.0
"""Hours after which a play counts half for what is popular lately."""
STRENGTH: Final = 10.0
"""Events that the prior of a rate is worth: an item's prior is its artist's rate, an artist's its genre's."""
_MILLION: Final = 1e6
_PUT_FORWARD: Final = 1_000
"""So many most liked items are kept in order, to put forward."""


def rate(yes: RawArray, events: RawArray, prior: RawArray | float) -> RawArray:
    """(positives + STRENGTH x prior) / (events + STRENGTH)."""
    found: RawArray = (yes + STRENGTH * prior) / (events + STRENGTH)
    return found


class Popular:
    """Counts and smoothed rates of items, artists and genres."""

    name = "popular"
    features = (
        Feature("likes_log", "log likes", POPULARITY, "log(1 + the item's likes in a million likes of anything)"),
        Feature("likes_lately_log", "log likes", POPULARITY, "the same; a like of a week ago counts half"),
        Feature("artist_likes_log", "log likes", POPULARITY, "log(1 + the artist's likes in a million)"),
        Feature(
            "liked_rate", "0..1", POPULARITY, "share of the item's events that were liked, smoothed by the artist's"
        ),
        Feature("artist_liked_rate", "0..1", POPULARITY, "the artist's, smoothed by the genre's"),
        Feature("genre_liked_rate", "0..1", POPULARITY, "the genre's, smoothed by that of all"),
        Feature("known_as", "0..100", POPULARITY, "the catalogue's popularity; empty where it has none"),
    )
    arrays = (
        ArraySpec("likes", "f4", (Axis.ITEM,)),
        ArraySpec("lately", "f4", (Axis.ITEM,)),
        ArraySpec("events", "f4", (Axis.ITEM,)),
        ArraySpec("artist_likes", "f4", (Axis.ARTIST,)),
        ArraySpec("artist_events", "f4", (Axis.ARTIST,)),
        ArraySpec("genre_likes", "f4", (Axis.GENRE,)),
        ArraySpec("genre_events", "f4", (Axis.GENRE,)),
        ArraySpec("overall", "f4", (3,)),
    )

    def fit(self, past: Past) -> State:
        """Counts; those of artists and genres are of all their items."""
        items = past.sizes[Axis.ITEM]
        fading = 0.5 ** ((past.end - past.time) / HOUR / LATELY)
        found = {
            "likes": counts(past.item, items, past.liked),
            "lately": counts(past.item, items, past.liked * fading),
            "events": counts(past.item, items),
            "overall": np.array([past.liked.mean(), past.liked.sum(), (past.liked * fading).sum()]),
        }
        for who, key, axis in (("artist", past.artist, Axis.ARTIST), ("genre", past.genre, Axis.GENRE)):
            for what in ("likes", "events"):
                found[f"{who}_{what}"] = counts(key, past.sizes[axis], found[what])
        return {name: column.astype(np.float32) for name, column in found.items()}

    def bind(self, kept: Kept, shelf: Shelf) -> BoundPopular:
        """One row of numbers an item."""
        return BoundPopular(kept, shelf)


class BoundPopular:
    """The same for every listener."""

    def __init__(self, kept: Kept, shelf: Shelf) -> None:
        overall, likes, lately = kept["overall"].astype(np.float64).tolist()
        at = shelf.fitted
        genre_likes = placed(kept["genre_likes"], at.genre).astype(np.float64)
        genre_rate = rate(genre_likes, placed(kept["genre_events"], at.genre), overall)
        genre_rate[-1] = overall
        artist_genre = genre_rate[_genre_of_artist(shelf)]
        artist_likes = placed(kept["artist_likes"], at.artist)
        artist_rate = rate(artist_likes, placed(kept["artist_events"], at.artist), artist_genre)
        prior = np.where(shelf.artist < shelf.artists, artist_rate[shelf.artist], genre_rate[shelf.genre])
        self.likes: FloatArray = placed(kept["likes"], at.item)
        """(items,) events in which anyone liked each."""
        columns = (
            placed(np.log1p(_MILLION / max(likes, 1.0) * kept["likes"]), at.item),
            placed(np.log1p(_MILLION / max(lately, 1e-3) * kept["lately"]), at.item),
            np.log1p(_MILLION / max(likes, 1.0) * artist_likes)[shelf.artist],
            rate(self.likes.astype(np.float64), placed(kept["events"], at.item), prior),
            artist_rate[shelf.artist],
            genre_rate[shelf.genre],
            shelf.catalogue.popularity,
        )
        self._numbers: FloatArray = np.empty((shelf.count, len(columns)), np.float32)
        for number, column in enumerate(columns):
            self._numbers[:, number] = column
        self._best = most_liked(self.likes, shelf, _PUT_FORWARD)

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        x[:] = self._numbers.take(looked.row, axis=0)

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """The most liked of all, so that nobody is left without any."""
        return self._best[:most]


def _genre_of_artist(shelf: Shelf) -> IntArray:
    """(artists + 1,) a genre of each artist: that of its last item with one; the place of the unknown if none has."""
    found = np.full(shelf.artists + 1, shelf.genres, np.int64)
    has = shelf.genre < shelf.genres
    found[shelf.artist[has]] = shelf.genre[has]
    found[-1] = shelf.genres
    return found
