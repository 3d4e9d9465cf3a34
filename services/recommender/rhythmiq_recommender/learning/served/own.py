"""What the listener has to do with this very item and its artist: heard how often, when last, and how it was."""

from __future__ import annotations

import numpy as np

from rhythmiq_recommender.learning.served.shelf import Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import NOVELTY, Kept, Past
from rhythmiq_recommender.learning.served.state import ArraySpec, State
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray

DOUBT = 1.0


class Own:
    """Nothing is fitted: everything comes from the query's history."""

    name = "own"
    features = (
        Feature("new_to_you", "0 or 1", NOVELTY, "the listener's history does not have the item"),
        Feature("times_heard_log", "log events", NOVELTY, "log(1 + the listener's events with the item)"),
        Feature("hours_since_heard", "hours", NOVELTY, "since the last of them; empty if there is none"),
        Feature("own_verdict", "-1..1", NOVELTY, "their mean faded verdict, shrunk to 0"),
        Feature("times_this_session", "events", NOVELTY, "of them in the session that goes on"),
        Feature("times_artist_heard_log", "log events", NOVELTY, "log(1 + the listener's events with the artist)"),
        Feature("hours_since_artist", "hours", NOVELTY, "since the last of those; empty if there is none"),
    )
    arrays: tuple[ArraySpec, ...] = ()

    def fit(self, past: Past) -> State:
        """Nothing."""
        return {}

    def bind(self, kept: Kept, shelf: Shelf) -> BoundOwn:
        """Reads artists from the shelf."""
        return BoundOwn(shelf)


class BoundOwn:
    """Look-ups in the query's history."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        x[:] = (1, 0, np.nan, 0, 0, 0, np.nan)
        if not len(seen.row):
            return
        self._of_artist(seen, looked, x)
        rows = looked.row
        at = np.minimum(np.searchsorted(seen.items, rows), len(seen.items) - 1)
        hit = np.flatnonzero(seen.items[at] == rows)
        if not len(hit):
            return
        at = at[hit]
        times = np.bincount(seen.inverse, minlength=len(seen.items))
        sizes = np.bincount(seen.inverse, weights=seen.weight, minlength=len(seen.items))
        lately = np.bincount(seen.inverse[seen.session :], minlength=len(seen.items))
        x[hit, 0] = 0
        x[hit, 1] = np.log1p(times[at])
        x[hit, 2] = seen.age[seen.last[at]]
        x[hit, 3] = seen.taste[at] / (sizes[at] + DOUBT)
        x[hit, 4] = lately[at]

    def _of_artist(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        heard = seen.artists
        times = np.log1p(heard.sums())
        newest: RawArray = np.full(len(times), np.nan)
        newest[heard.inverse] = seen.age  # the last one written is the newest
        place = np.where(looked.artist == self._shelf.artists, -1, looked.heard_artist)
        x[:, 5], x[:, 6] = times.take(place), newest.take(place)

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """What the listener liked, the most liked first."""
        order = np.argsort(-seen.taste, kind="stable")[:most]
        return seen.items[order[seen.taste[order] > 0]]
