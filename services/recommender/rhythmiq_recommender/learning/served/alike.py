"""Items that the same listeners like, as neighbour lists: EASE (Steck 2019), or cosine in large catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from rhythmiq_recommender.learning.served.lists import Lists, Packed, empty, heaviest, of_dense, of_sparse
from rhythmiq_recommender.learning.served.shelf import Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import SIMILAR, Kept, Past, gone
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.signals.ease import LARGEST, ease, gram
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.sparse import unit
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray, Sparse

NEIGHBOURS: Final = 64
"""Neighbours that an item keeps."""
LOOKS_AT: Final = 80
"""Distinct items of the listener that are looked at, the newest."""
_LONGEST_LISTENER: Final = 300
"""Newest liked items of a listener that teach: bounds the work for those who hear all day."""
_BLOCK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Alike:
    """`ridge` as in EASE; `shrink`: common listeners that cosine doubts."""

    ridge: float = 100.0
    shrink: float = 5.0

    name = "alike"
    features = (
        Feature(
            "alike", "sum of weights", SIMILAR, "item-to-item (EASE, or cosine in large catalogues) from what was liked"
        ),
        Feature("alike_rel", "0..1", SIMILAR, "alike, divided by the query's best"),
    )
    arrays = (
        ArraySpec("near", "i4", (Axis.ITEM, NEIGHBOURS), refers=Axis.ITEM),
        ArraySpec("weight", "f4", (Axis.ITEM, NEIGHBOURS), weighs="near"),
    )

    def fit(self, past: Past) -> State:
        """From who liked what, each pair once."""
        liked = liked_by(past)
        rows = np.flatnonzero(np.bincount(liked.indices, minlength=liked.shape[1]) > 0)
        items = past.sizes[Axis.ITEM]
        near, weight = empty(items, NEIGHBOURS)
        if len(rows):
            some = liked[:, rows]
            found = self._solved(some) if len(rows) <= LARGEST else cosine_lists(some, NEIGHBOURS, self.shrink)
            near[rows] = np.append(rows, -1).astype(np.int32)[found[0]]
            weight[rows] = found[1]
        return {"near": near, "weight": weight}

    def _solved(self, liked: Sparse) -> Lists:
        return of_dense(ease(gram((1, liked)), self.ridge), NEIGHBOURS)

    def bind(self, kept: Kept, shelf: Shelf) -> BoundAlike:
        """Lists as they are."""
        return BoundAlike(kept.lists["near"], shelf)


def cosine_lists(liked: Sparse, k: int, shrink: float = 0.0) -> Lists:
    """The k nearest items of each by cosine of (listeners x items), less where few listeners are common.

    A block of items at a time, so that memory is bounded.
    """
    columns, ones = unit(liked, 0).T.tocsr(), liked.T.tocsr()
    found = empty(columns.shape[0], k)
    for first in range(0, columns.shape[0], _BLOCK):
        cosine = (columns[first : first + _BLOCK] @ columns.T).tocsr()
        common = (ones[first : first + _BLOCK] @ liked).tocsr()
        cosine.sort_indices()
        common.sort_indices()
        cosine.data *= common.data / (common.data + np.float32(shrink))
        row = np.repeat(np.arange(cosine.shape[0]), np.diff(cosine.indptr)) + first
        cosine.data[cosine.indices == row] = 0
        cosine.eliminate_zeros()
        of_sparse(cosine, k, first, found)
    return found


def liked_by(past: Past) -> Sparse:
    """(listeners x items) 1 where the listener's verdicts add up to a yes; the newest _LONGEST_LISTENER of each."""
    users, items = past.tables.users, past.sizes[Axis.ITEM]
    key = past.tables.events.user * items + past.item
    pair, inverse = np.unique(key, return_inverse=True)
    total = np.bincount(inverse, weights=past.verdict)
    last = np.zeros(len(pair))
    np.maximum.at(last, inverse, past.time)
    yes = np.flatnonzero(total > 0)
    user = pair[yes] // items
    order = np.lexsort((-last[yes], user))
    place = np.arange(len(yes)) - np.searchsorted(user[order], user[order])
    kept = yes[order[place < _LONGEST_LISTENER]]
    ones = np.ones(len(kept), np.float32)
    return sp.csr_matrix((ones, (pair[kept] // items, pair[kept] % items)), shape=(users, items))


class BoundAlike:
    """Adds up the lists of what the listener liked; what was disliked takes away."""

    def __init__(self, lists: Packed, shelf: Shelf) -> None:
        self._lists, self._fitted, self._gone = lists, shelf.fitted, gone(shelf)

    def _score(self, seen: Seen) -> RawArray:
        """(items of the fit + 1,)."""
        found = seen.memory.get("alike")
        if found is None:
            some = slice(None) if len(seen.items) <= LOOKS_AT else np.argsort(-seen.last)[:LOOKS_AT]
            items, amount = self._fitted.item.take(seen.items[some]), np.clip(seen.taste[some], -1, 1)
            found = self._lists.spread(items[items >= 0], amount[items >= 0])
            found[self._gone] = 0
            seen.memory["alike"] = found
        return found

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        if not len(seen.row):
            x[:] = 0
            return
        score = self._score(seen)
        x[:, 0] = score.take(looked.fitted)
        x[:, 1] = x[:, 0] / max(float(score.max()), 1e-6)

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """The best of all items of the kind."""
        if not len(seen.row):
            return np.zeros(0, np.int64)
        return self._fitted.row[heaviest(self._score(seen), most)].astype(np.int64)

    def likeness(self, seen: Seen, rows: IntArray) -> IntArray:
        """The liked item that speaks most for each row, -1 where none does."""
        found = np.full(len(rows), -1, np.int64)
        liked = seen.items[seen.taste > 0]
        liked = liked[self._fitted.item.take(liked) >= 0]
        if not len(rows):
            return found
        at, of = self._lists.of_rows(self._fitted.item.take(liked))
        near, order = self._fitted.row.take(self._lists.near.take(at)), np.argsort(rows, kind="stable")
        place = np.minimum(np.searchsorted(rows[order], near), len(rows) - 1)
        hit = np.flatnonzero(rows[order][place] == near)
        hit = hit[np.argsort(self._lists.weight.take(at[hit]), kind="stable")]  # the heaviest comes last and stays
        found[order[place[hit]]] = liked[of[hit]]
        return found
