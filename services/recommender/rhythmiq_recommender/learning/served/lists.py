"""Lists of neighbours: for each item the other items that go with it most, with weights. Several signals share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.sparse import places
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray, Sparse

Lists = tuple[NDArray[np.int32], FloatArray]
"""(items x k) rows, -1 at the end of shorter lists, and their weights; the heaviest first."""


AnyInts = NDArray[np.integer[Any]]


def of_sparse(matrix: Sparse, k: int, first: int = 0, out: Lists | None = None) -> Lists:
    """The k heaviest of each row of a sparse matrix; into rows of `out` from `first` on, where given."""
    matrix = matrix.tocsr()
    count = matrix.shape[0]
    rows, weights = empty(count, k) if out is None else out
    row = np.repeat(np.arange(count, dtype=np.int64), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = places(matrix.indptr.astype(np.int64))
    kept = order[place < k]
    rows[first + row[place < k], place[place < k]] = matrix.indices[kept]
    weights[first + row[place < k], place[place < k]] = matrix.data[kept]
    return rows, weights


def of_dense(block: FloatArray, k: int) -> Lists:
    """The k heaviest of each row that are above 0."""
    k_there = min(k, block.shape[1])
    best = np.argpartition(-block, k_there - 1, axis=1)[:, :k_there]
    weight = np.take_along_axis(block, best, 1)
    order = np.lexsort((best, -weight), axis=1)
    best, weight = np.take_along_axis(best, order, 1), np.take_along_axis(weight, order, 1)
    rows, weights = empty(len(block), k)
    rows[:, :k_there] = np.where(weight > 0, best, -1)
    weights[:, :k_there] = np.maximum(weight, 0)
    return rows, weights


def empty(count: int, k: int) -> Lists:
    """Lists without anything in them."""
    return np.full((count, k), -1, np.int32), np.zeros((count, k), np.float32)


@dataclass(frozen=True, slots=True)
class Packed:
    """Lists without the ends of shorter ones, one after the other: often a third of the memory, and never copied."""

    starts: NDArray[np.int64]
    """(items + 1,) where each list begins."""
    near: NDArray[np.int32]
    weight: FloatArray

    @classmethod
    def of(cls, lists: Lists) -> Self:
        """From lists of one length."""
        there = lists[0] >= 0
        starts = np.zeros(len(there) + 1, np.int64)
        np.cumsum(there.sum(axis=1), out=starts[1:])
        return cls(starts, lists[0][there], lists[1][there])

    def of_rows(self, rows: AnyInts) -> tuple[IntArray, IntArray]:
        """Places of the lists of `rows` in `near` and `weight`, and for each the place in `rows` that it is of."""
        start = self.starts.take(rows)
        size = self.starts.take(np.asarray(rows) + 1) - start
        ends = np.cumsum(size)
        of = np.repeat(np.arange(len(rows)), size)
        return np.arange(len(of)) + (start - ends + size)[of], of

    def spread(self, rows: AnyInts, amount: FloatArray | RawArray) -> RawArray:
        """(items + 1,) sums over the lists of `rows`, each list's weights times its amount; the last, of none, is 0."""
        at, of = self.of_rows(rows)
        weights = self.weight.take(at) * np.asarray(amount, np.float32)[of]
        return np.bincount(self.near.take(at), weights=weights, minlength=len(self.starts)).astype(
            np.float64, copy=False
        )


def heaviest(score: RawArray, most: int) -> IntArray:
    """Places of the largest scores above 0, the best first, at most `most`."""
    some: NDArray[Any] = np.flatnonzero(score > 0)
    if len(some) > most:
        some = some[np.argpartition(-score[some], most - 1)[:most]]
    return some[np.argsort(-score[some], kind="stable")]
