"""Neighbours: items of the same listeners, listeners of the same items, and friends (cosine; Sarwar et al. 2001)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.ease import LARGEST, attribute_columns
from rhythmiq_recommender.learning.signals.signal import DENSE, PLAIN, Blank, Feature, Kind, Pairs, as_float
from rhythmiq_recommender.learning.sparse import Block, keep_top, row_mean, unit
from rhythmiq_recommender.learning.tables import FloatArray, Need, Sparse, Tables


def item_cosine(heard: Sparse, k: int, shrink: float = 0.0, power: float = 0.5) -> FloatArray:
    """(items x items): the k nearest of each column's item; power 0.5 is cosine, less leans to conditional chance."""
    together = (heard.T @ heard).toarray().astype(np.float32)
    size = np.maximum(np.diag(together).copy(), 1e-9)
    near = together / (size[:, None] ** power * size[None, :] ** (1 - power) + shrink)
    np.fill_diagonal(near, 0)
    return np.ascontiguousarray(keep_top(near.T, k).T)


def listener_cosine(asking: Sparse, heard: Sparse, k: int, power: float) -> FloatArray:
    """(asking x listeners): the k nearest, never the listener itself (cosine of 1)."""
    near = (unit(asking) @ unit(heard).T).toarray().astype(np.float32)
    near[near > 0.999] = 0
    kept: FloatArray = keep_top(near, k) ** np.float32(power)
    return as_float(kept / np.maximum(kept.sum(1), 1e-9)[:, None])


class Neighbours:
    """Sets of items a listener; for catalogues that allow dense (items x items)."""

    name = "neighbours"
    needs = frozenset({Need.INTERACTIONS})
    features = (
        *(
            Feature(name, "sum of cosines", "item-to-item", source, Kind.ITEM_BLOCK, DENSE, candidates)
            for name, source, candidates in (
                ("item_knn", "100 nearest items by cosine of listeners", 100),
                ("item_knn_popular", "50 nearest items, shrunk, leaning to the better known", 0),
            )
        ),
        *(
            Feature(name, "weighted share", "listener-to-listener", source, Kind.ITEM_BLOCK, DENSE, candidates)
            for name, source, candidates in (
                ("listener_knn", "100 nearest listeners by cosine", 0),
                ("listener_knn_rare", "60 nearest listeners, rare items count more", 100),
                ("attribute_neighbours", "80 nearest listeners by attributes of what they heard", 0),
            )
        ),
        Feature("attribute_cosine", "sum of cosines", "attributes", "items by attributes", Kind.ITEM_BLOCK, DENSE, 100),
        Feature("item_attributes", "attributes", "attributes", "distinct attributes of the item"),
        *(
            Feature(name, unit_, "links", source, Kind.ITEM_BLOCK, PLAIN)
            for name, unit_, source in (
                ("friends", "share of friends", "friends who heard it"),
                ("friends_alike", "weighted share", "friends who heard it, alike ones count more"),
                ("friends_count", "friends", "number of friends who heard it"),
            )
        ),
        Feature("listener_friends", "friends", "links", "number of friends"),
    )

    def refuses(self, tables: Tables) -> str | None:
        """Too many items."""
        return f"{tables.items.count} items are more than {LARGEST}" if tables.items.count > LARGEST else None

    def fit(self, past: Tables, seed: int) -> FittedNeighbours:
        """Counts who heard what together."""
        return FittedNeighbours(past)


class FittedNeighbours(Blank):
    """Keeps the listeners of the past."""

    def __init__(self, past: Tables) -> None:
        self._heard = past.matrix()
        rarity = np.log(past.users / np.maximum(np.asarray(self._heard.sum(0)).ravel(), 1)).astype(np.float32)
        self._rarity = sp.diags(rarity)
        self._items = {
            "item_knn": item_cosine(self._heard, 100),
            "item_knn_popular": item_cosine(self._heard, 50, shrink=5, power=0.3),
        }
        self._links = past.links
        found = attribute_columns(past)
        self._columns = None if found is None else found[0]
        if found is not None:
            self._attributes = as_float(np.diff(found[1].tocsc().indptr))
            near = (found[0].T @ found[0]).toarray().astype(np.float32)
            np.fill_diagonal(near, 0)
            self._items["attribute_cosine"] = near

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        asking, heard = queries.encode(queries.trail), self._heard
        asking.sum_duplicates()
        asking.data[:] = 1
        found = {name: asking @ near for name, near in self._items.items()}
        found["listener_knn"] = listener_cosine(asking, heard, 100, 1.0) @ heard
        rare = unit((heard @ self._rarity).tocsr())
        found["listener_knn_rare"] = listener_cosine((asking @ self._rarity).tocsr(), rare, 60, 2.0) @ heard
        if self._columns is not None:
            mine, theirs = (asking @ self._columns.T).tocsr(), (heard @ self._columns.T).tocsr()
            found["attribute_neighbours"] = listener_cosine(mine, theirs, 80, 4.0) @ heard
        if self._links is not None:
            linked = self._links[np.maximum(queries.user, 0)].tocsr()
            alike = linked.multiply(unit(asking) @ unit(heard).T).tocsr()
            found["friends"] = (row_mean(linked) @ heard).toarray()
            found["friends_alike"] = (row_mean(alike) @ heard).toarray()
            found["friends_count"] = (linked @ heard).toarray()
        return {name: np.asarray(block, np.float32) for name, block in found.items()}

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        found: dict[str, FloatArray] = {}
        if self._columns is not None:
            found["item_attributes"] = self._attributes[pairs.item]
        if self._links is not None:
            friends = as_float(np.asarray(self._links.sum(1)).ravel())
            found["listener_friends"] = friends[np.maximum(queries.user, 0)][pairs.query]
        return found
