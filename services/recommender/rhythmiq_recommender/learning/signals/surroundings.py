"""The surroundings as they are: the code of each category, for trees to split on."""

from __future__ import annotations

from collections.abc import Mapping

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.kinds import CATEGORIES
from rhythmiq_recommender.learning.signals.signal import Blank, Feature, Pairs, Usable, as_float
from rhythmiq_recommender.learning.tables import Context, FloatArray, Need, Tables


class Surroundings(Usable):
    """Nothing to learn: codes pass through, -1 where unknown."""

    name = "surroundings"
    needs = frozenset({Need.CONTEXT})
    features = tuple(Feature(f"here_{k}", "code", f"context: {k}", meaning) for k, meaning in CATEGORIES.items())

    def fit(self, past: Tables, seed: int) -> FittedSurroundings:
        """Remembers the past only for `left_out`."""
        return FittedSurroundings(past.context)


class FittedSurroundings(Blank):
    """Codes of the query."""

    def __init__(self, past: Context) -> None:
        self._past = past

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        return _codes(queries.context.take(pairs.query))

    def left_out(self) -> Mapping[str, FloatArray]:
        """Each event's own: they tell nothing of its rating."""
        return _codes(self._past)


def _codes(context: Context) -> dict[str, FloatArray]:
    return {f"here_{kind}": as_float(codes) for kind, codes in context.categories.items() if kind in CATEGORIES}
