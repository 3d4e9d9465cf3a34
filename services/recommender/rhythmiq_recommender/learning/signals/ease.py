"""EASE (Steck 2019, WWW, "Embarrassingly shallow autoencoders"), in closed form, with side information as further rows.

A side row is a listener that never was: a tag, playlist or genre that "has" its items. Rows are added by adding Gram
matrices, so they cost nothing when scoring. Closed form is cubic in items: catalogues above `LARGEST` use `factors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.signal import DENSE, Blank, Feature, Kind
from rhythmiq_recommender.learning.sparse import Block, row_mean, unit
from rhythmiq_recommender.learning.tables import FloatArray, Need, Sparse, Tables

LARGEST = 6_000
"""Items up to which the closed form is used: 6,000 take 150 MB and some 6 s on one core."""
_LEAST_ATTRIBUTE_ITEMS = 2


def gram(*parts: tuple[float, Sparse]) -> FloatArray:
    """(items x items): sum of weight * rows.T @ rows."""
    total = np.zeros((parts[0][1].shape[1],) * 2, np.float32)
    for weight, rows in parts:
        total += weight * (rows.T @ rows).toarray().astype(np.float32)
    return total


def ease(products: FloatArray, ridge: float) -> FloatArray:
    """Item-to-item weights with a zero diagonal. Raises LinAlgError if the ridge is too small to solve it."""
    solved = products.copy()
    solved[np.diag_indices_from(solved)] += ridge
    factor = la.cholesky(solved, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = la.lapack.spotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights: FloatArray = (-inverse / np.diag(inverse)[None, :]).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights


def attribute_columns(past: Tables) -> tuple[Sparse, Sparse] | None:
    """(unit-length tf-idf columns, log counts) of attributes with at least two items; None without any."""
    rows = past.attribute_rows()
    if rows is None:
        return None
    rows.sum_duplicates()
    rows = rows[np.diff(rows.indptr) >= _LEAST_ATTRIBUTE_ITEMS]
    if not rows.nnz:
        return None
    logs = rows.copy()
    logs.data = np.log1p(logs.data).astype(np.float32)
    rarity = np.log(past.items.count / np.diff(logs.indptr)).astype(np.float32)
    return unit((sp.diags(rarity) @ logs).tocsr(), 0), logs


@dataclass(frozen=True, slots=True)
class Ease:
    """`ridge` as in the paper (lambda); `attribute_weight` of one attribute row against one listener."""

    ridge: float = 100.0
    attribute_weight: float = 20.0
    friend_weight: float = 0.5

    name = "ease"
    needs = frozenset({Need.INTERACTIONS})
    features = tuple(
        Feature(name, "EASE score", group, source, Kind.ITEM_BLOCK, DENSE, candidates)
        for name, group, source, candidates in (
            ("ease", "item-to-item", "EASE on what the listener heard", 60),
            ("ease_weighted", "item-to-item", "the same, weighted by log(1 + plays)", 0),
            ("ease_attributes", "attributes", "EASE with attributes (tags, playlists, genres) as further rows", 100),
            ("ease_attributes_weighted", "attributes", "the same, weighted by log(1 + plays)", 0),
            ("ease_attributes_strong", "attributes", "EASE with attribute rows of three times the weight", 0),
            ("ease_attribute_logs", "attributes", "EASE with plain log counts of attributes as further rows", 100),
            ("ease_attributes_friends", "links", "EASE with attributes, friends' items added to the listener's", 100),
            ("ease_friends", "links", "EASE on what friends heard", 60),
        )
    )

    def refuses(self, tables: Tables) -> str | None:
        """Too many items for the closed form, or sessions (whose order says more)."""
        if tables.items.count > LARGEST:
            return f"{tables.items.count} items are more than {LARGEST}"
        return None

    def fit(self, past: Tables, seed: int) -> FittedEase:
        """Solves one system a variant."""
        return FittedEase(past, self)


class FittedEase(Blank):
    """Item-to-item weights by variant."""

    def __init__(self, past: Tables, settings: Ease) -> None:
        heard = past.matrix()
        self._settings, self._users = settings, past.users
        self._plain = ease(gram((1, heard)), settings.ridge)
        self._friends = None if past.links is None else (row_mean(past.links) @ heard).tocsr()
        self._attributed: dict[str, FloatArray] = {}
        if (attributes := attribute_columns(past)) is not None:
            columns, logs = attributes
            parts = {
                "attributes": (settings.attribute_weight, columns),
                "attributes_strong": (3 * settings.attribute_weight, columns),
                "attribute_logs": (0.3, logs),
            }
            base = gram((1, heard))
            for name, part in parts.items():
                self._attributed[name] = ease(base + gram(part), settings.ridge)

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        has = _ones(queries.encode(queries.trail))
        weighted = _weighted(queries)
        found = {"ease": has @ self._plain, "ease_weighted": weighted @ self._plain}
        for name, weights in self._attributed.items():
            found[f"ease_{name}"] = has @ weights
        if self._attributed:
            found["ease_attributes_weighted"] = weighted @ self._attributed["attributes"]
        if self._friends is not None:
            friends = self._friends[np.maximum(queries.user, 0)]
            found["ease_friends"] = friends @ self._plain
            if self._attributed:
                mixed = has + self._settings.friend_weight * friends
                found["ease_attributes_friends"] = mixed @ self._attributed["attributes"]
        return {name: np.asarray(block, np.float32) for name, block in found.items()}


def _ones(matrix: Sparse) -> Sparse:
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _weighted(queries: Queries) -> Sparse:
    """Log plays, scaled so that a listener's mean weight is that of the binary matrix."""
    plays = queries.encode(queries.trail, queries.trail.weight)
    plays.sum_duplicates()
    plays.data = np.log1p(plays.data)
    size = np.diff(plays.indptr).astype(np.float32)
    return (sp.diags(size) @ row_mean(plays)).tocsr().astype(np.float32)
