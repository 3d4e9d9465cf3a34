"""Factors of (listener x item) by implicit ALS (Hu, Koren, Volinsky 2008), from `implicit`; any catalogue size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.signal import DENSE, Blank, Feature, Kind, Usable
from rhythmiq_recommender.learning.sparse import Block
from rhythmiq_recommender.learning.tables import FloatArray, Need, Sparse, Tables


@dataclass(frozen=True, slots=True)
class Factors(Usable):
    """`confidence` of a heard pair against 1 for one that was not; `ridge` on all factors."""

    sizes: tuple[int, ...] = (32, 96)
    ridge: float = 10.0
    confidence: float = 10.0
    rounds: int = 8

    name = "factors"
    needs = frozenset({Need.INTERACTIONS})
    features = tuple(
        Feature(
            f"als_{size}",
            "inner product",
            "factors",
            f"implicit ALS with {size} factors",
            Kind.ITEM_BLOCK,
            DENSE,
            candidates,
        )
        for size, candidates in ((32, 0), (96, 100))
    )

    def refuses(self, tables: Tables) -> str | None:
        """Sessions: order and neighbours of the session say the same, and more (measured, docs/quality.md)."""
        return "sessions are served by transitions and co-occurrence" if Need.SESSIONS in tables.has else None

    def fit(self, past: Tables, seed: int) -> FittedFactors:
        """Deterministic for a seed: one thread."""
        heard = past.matrix() * np.float32(self.confidence)
        found = {}
        for size in self.sizes:
            with threadpool_limits(1, "blas"):
                model = AlternatingLeastSquares(
                    factors=size,
                    regularization=self.ridge,
                    alpha=1.0,
                    iterations=self.rounds,
                    num_threads=1,
                    random_state=seed,
                )
                model.fit(heard, show_progress=False)
            found[f"als_{size}"] = np.asarray(model.item_factors, np.float32)
        return FittedFactors(found, self.ridge, self.confidence)


class FittedFactors(Blank):
    """Item factors; a listener's are solved from the query's trail, so that new listeners have some too."""

    def __init__(self, items: dict[str, FloatArray], ridge: float, confidence: float) -> None:
        self._items, self._ridge, self._confidence = items, ridge, confidence

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        heard = queries.encode(queries.trail)
        heard.sum_duplicates()
        return {
            name: _listeners(heard, items, self._ridge, self._confidence) @ items.T
            for name, items in self._items.items()
        }


def _listeners(heard: Sparse, items: FloatArray, ridge: float, confidence: float) -> FloatArray:
    """(queries x factors), the least-squares answer for each row."""
    base = items.T @ items + ridge * np.eye(items.shape[1], dtype=np.float32)
    found = np.zeros((heard.shape[0], items.shape[1]), np.float32)
    for row in range(heard.shape[0]):
        mine = items[heard.indices[heard.indptr[row] : heard.indptr[row + 1]]]
        if len(mine):
            found[row] = np.linalg.solve(base + (confidence - 1) * mine.T @ mine, confidence * mine.sum(0))
    return found
