"""A trained ranker over one catalogue, asked one query at a time. Immutable, and safe to use from several threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

import lightgbm as lgb
import numpy as np

from rhythmiq_recommender.learning.encoding import CodeArray
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.learning.ranker import predict
from rhythmiq_recommender.learning.served.groups import grouped
from rhythmiq_recommender.learning.served.reader import Reader
from rhythmiq_recommender.learning.served.registry import SERVED_NAMES
from rhythmiq_recommender.learning.served.shelf import Seen, Trail
from rhythmiq_recommender.learning.served.signal import SERVED_GROUPS
from rhythmiq_recommender.learning.shap import shares_of
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray

NEWCOMER_BELOW: Final = 10
"""Events in the history below which a listener is a newcomer."""
COHORTS: Final = ("newcomers", "regulars")


def cohort_of(history: History) -> str:
    """Which of COHORTS a listener belongs to; a model of cohort "all" is for both."""
    return COHORTS[len(history) >= NEWCOMER_BELOW]


class Asking(NamedTuple):
    """One query: who asks (by what they did), when (Unix seconds, UTC), and in which surroundings (codes of kinds)."""

    history: History
    time: float
    codes: CodeArray


class Scorer:
    """Rows are those of the catalogue that it was made for; all of one kind of item."""

    groups: Final[tuple[str, ...]] = SERVED_GROUPS
    """What contributions are told apart by."""

    def __init__(self, reader: Reader, booster: lgb.Booster, features: Sequence[str], scale: float) -> None:
        self._reader, self._booster, self._scale = reader, booster, scale
        self._features = tuple(features)
        place = {name: number for number, name in enumerate(SERVED_NAMES)}
        self._columns = None if self._features == SERVED_NAMES else np.array([place[name] for name in features])
        self._shares = shares_of(booster)
        self._last = threading.local()

    @property
    def features_used(self) -> tuple[str, ...]:
        """Names of the columns of `features`."""
        return self._features

    def candidates(self, asking: Asking, allowed: BoolArray, most: int) -> IntArray:
        """Catalogue rows, ascending, at most `most`, that are `allowed` (items,) and of this kind."""
        return self._reader.candidates(self._seen(asking), allowed, most)

    def features(self, asking: Asking, rows: IntArray) -> FloatArray:
        """(rows x features_used)."""
        x = self._reader.features(self._seen(asking), rows)
        return x if self._columns is None else x.take(self._columns, axis=1)

    def scores(self, x: FloatArray) -> RawArray:
        """(rows,) higher is better; one standard deviation among the candidates of a query is 1 on average."""
        return predict(self._booster, x) / self._scale

    def contributions(self, x: FloatArray, scores: RawArray | None = None) -> RawArray:
        """(rows x groups) what each group adds to the score, by TreeSHAP; a row sums to its score, if known `scores`.

        What every item gets is in "popularity". Ask for what is shown only: a row costs more than its score.
        """
        if not len(x):
            return np.zeros((0, len(self.groups)))
        if self._shares is not None:
            shares = self._shares.of(x)
        else:
            shares = np.asarray(self._booster.predict(x, num_threads=1, pred_contrib=True), np.float64)
        found = grouped(self._features, x, shares / self._scale)
        found[:, self.groups.index("popularity")] += (self.scores(x) if scores is None else scores) - found.sum(axis=1)
        return found

    def likeness(self, asking: Asking, rows: IntArray) -> IntArray:
        """Of each row the row of the liked item in the history that speaks most for it; -1 where none does."""
        return self._reader.likeness(self._seen(asking), rows)

    def _seen(self, asking: Asking) -> Seen:
        """Digested once, though candidates, features and likeness of one query all need it."""
        if getattr(self._last, "asking", None) is not asking:
            self._last.seen = self._look(asking)
            self._last.asking = asking
        seen: Seen = self._last.seen
        return seen

    def _look(self, asking: Asking) -> Seen:
        shelf, history = self._reader.shelf, asking.history
        rows = shelf.rows_of(history.item)
        known = (rows >= 0) & (history.time < asking.time)
        if known.all():
            trail = Trail(rows, history.time, history.liked, history.codes)
        else:
            trail = Trail(rows[known], history.time[known], history.liked[known], history.codes[known])
        return Seen(shelf, trail, asking.time, asking.codes)
