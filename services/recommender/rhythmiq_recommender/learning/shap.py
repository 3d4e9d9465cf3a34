"""TreeSHAP as LightGBM's `pred_contrib` computes it, several times faster for the few rows that an answer explains.

In a tree, what a leaf adds to a row's expected value, knowing only some features, is a product over the features on the
leaf's path: 1 or 0 for a known one (the row goes that way or not), and the share of training rows that went that way
for an unknown one. The Shapley values of a product are an integral of a polynomial (Owen 1972), so Gauss-Legendre gives
them exactly. They depend on the row only by which of the path's features go the leaf's way, so all of them are worked
out once, for each leaf and each of these patterns; explaining a row is then looking up. (Precomputing by patterns:
Yang 2021, "Fast TreeSHAP", arXiv:2109.09847.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray, Sparse

MOST_FEATURES: Final = 12
"""On one path: a leaf has 2 to this power of patterns."""
MOST_CELLS: Final = 8_000_000
"""Of all tables together, 8 bytes each; a model that needs more is explained by LightGBM."""

_NOT_NUMERIC, _DEFAULT_LEFT = 1, 2
_ZERO: Final = float(np.float32(1e-35))
"""What is not further from 0 than this is 0 to LightGBM."""
_MISSING_NONE, _MISSING_NAN = 0, 2
_INDEXES: Final = ("split_feature", "decision_type", "left_child", "right_child", "internal_count", "leaf_count")
_VALUES: Final = ("threshold", "leaf_value")


class TooLarge(Exception):
    """The model has paths with too many features, or splits of a kind that this does not know."""


class _Way(NamedTuple):
    """What leads to one leaf by one feature: low < value <= high, or NaN where that goes the same way."""

    feature: int
    low: float
    high: float
    nan: bool
    share: float
    """Of the training rows, those that went this way at these splits."""


@dataclass(frozen=True, slots=True)
class Shares:
    """A model, ready to be explained. Immutable; safe to use from several threads.

    One element for each leaf and feature on its path, in the order of leaves, so that what is looked up together lies
    together: `table[base + pattern of its leaf]` is what the feature adds there.
    """

    features: IntArray
    low: RawArray
    high: RawArray
    nan: BoolArray
    leaf: IntArray
    base: IntArray
    table: RawArray
    patterns: Sparse
    """(leaves x elements): times which elements go their leaf's way it gives the number of the leaf's pattern."""
    sums: Sparse
    """(features x elements)."""

    def of(self, x: FloatArray) -> RawArray:
        """(rows x features) what each feature adds to the raw score; what every row gets is left out."""
        if not len(x) or not len(self.features):
            return np.zeros(x.shape)
        columns = np.ascontiguousarray(x.T, np.float64)
        columns[np.abs(columns) <= _ZERO] = 0
        value = columns.take(self.features, axis=0)
        goes = (value > self.low[:, None]) & (value <= self.high[:, None])
        if np.isnan(columns).any():
            goes |= np.isnan(value) & self.nan[:, None]
        cell = (self.patterns @ goes.astype(np.float32)).astype(np.int64).take(self.leaf, axis=0)
        cell += self.base[:, None]
        found: RawArray = (self.sums @ self.table.take(cell, mode="clip")).T  # clip: faster, and all are inside
        return found


_KEPT: Final[WeakKeyDictionary[lgb.Booster, Shares | None]] = WeakKeyDictionary()


def shares_of(booster: lgb.Booster) -> Shares | None:
    """None if the model is too large for this, or of another kind. Worked out once and kept with the booster."""
    if booster not in _KEPT:
        try:
            _KEPT[booster] = _shares(booster)
        except TooLarge:
            _KEPT[booster] = None
    return _KEPT[booster]


def _shares(booster: lgb.Booster) -> Shares:
    leaves = [(value, ways) for tree in _trees(booster.model_to_string()) for value, ways in _leaves(tree) if ways]
    sizes = np.array([len(ways) for _, ways in leaves], np.int64)
    if len(sizes) and (sizes.max() > MOST_FEATURES or int((sizes << sizes).sum()) > MOST_CELLS):
        raise TooLarge
    ways = [way for _, path in leaves for way in path]
    leaf = np.repeat(np.arange(len(leaves)), sizes)
    place = np.arange(len(ways)) - (np.cumsum(sizes) - sizes)[leaf]
    # A leaf's table has a row of all patterns for each of its features.
    cells = sizes << sizes
    base = (np.cumsum(cells) - cells)[leaf] + (place << sizes[leaf])
    features = np.array([way.feature for way in ways], np.int64)
    elements = np.arange(len(ways))
    bits = (np.int64(1) << place).astype(np.float32)
    return Shares(
        features,
        np.array([way.low for way in ways]),
        np.array([way.high for way in ways]),
        np.array([way.nan for way in ways], np.bool_),
        leaf,
        base,
        _table(leaves),
        sparse.csr_matrix((bits, (leaf, elements)), (len(leaves), len(ways))),
        sparse.csr_matrix((np.ones(len(ways)), (features, elements)), (booster.num_feature(), len(ways))),
    )


def _table(leaves: Sequence[tuple[float, Sequence[_Way]]]) -> RawArray:
    """For each leaf, each feature on its path, and each pattern: what the feature adds."""
    parts: list[RawArray] = []
    for value, ways in leaves:
        count = len(ways)
        point, weight = _quadrature(count)
        share = np.array([way.share for way in ways])
        goes = _patterns(count)
        # (patterns x features x points)
        factor = goes[:, :, None] * point + share[None, :, None] * (1 - point)
        others = factor.prod(axis=1, keepdims=True) / factor
        parts.append((value * (goes - share) * (others @ weight)).T.ravel())
    return np.concatenate(parts) if parts else np.zeros(0)


_PATTERNS: Final[dict[int, RawArray]] = {}
_POINTS: Final[dict[int, tuple[RawArray, RawArray]]] = {}


def _patterns(count: int) -> RawArray:
    """(2 ** count x count) of 0 and 1: bit k of the row's number in column k."""
    if count not in _PATTERNS:
        _PATTERNS[count] = (np.arange(1 << count)[:, None] >> np.arange(count) & 1).astype(np.float64)
    return _PATTERNS[count]


def _quadrature(count: int) -> tuple[RawArray, RawArray]:
    """Points in (0, 1) and weights that integrate polynomials of degree count - 1 exactly."""
    if count not in _POINTS:
        point, weight = np.polynomial.legendre.leggauss((count + 1) // 2)
        _POINTS[count] = (point + 1) / 2, weight / 2
    return _POINTS[count]


def _trees(text: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of each tree in LightGBM's text."""
    for block in text.partition("\nend of trees")[0].split("\nTree=")[1:]:
        lines = dict(line.partition("=")[::2] for line in block.split("\n") if "=" in line)
        if int(lines["num_leaves"]) > 1:
            yield {name: np.array(lines[name].split(), np.int64) for name in _INDEXES} | {
                name: np.array(lines[name].split(), np.float64) for name in _VALUES
            }


def _leaves(tree: Mapping[str, NDArray[Any]]) -> Iterator[tuple[float, list[_Way]]]:
    """Value and ways of each leaf."""
    column = {name: values.tolist() for name, values in tree.items()}
    left, right = column["left_child"], column["right_child"]

    def rows(node: int) -> float:
        count = column["internal_count"][node] if node >= 0 else column["leaf_count"][~node]
        if count <= 0:
            raise TooLarge
        return float(count)

    pending: list[tuple[int, dict[int, _Way]]] = [(0, {})]
    while pending:
        node, ways = pending.pop()
        if node < 0:
            yield column["leaf_value"][~node], list(ways.values())
            continue
        feature, threshold, kind = (
            column["split_feature"][node],
            column["threshold"][node],
            column["decision_type"][node],
        )
        missing = kind >> 2 & 3
        if kind & _NOT_NUMERIC or missing not in (_MISSING_NONE, _MISSING_NAN):
            raise TooLarge
        nan_left = bool(kind & _DEFAULT_LEFT) if missing == _MISSING_NAN else threshold >= 0
        before = ways.get(feature, _Way(feature, -np.inf, np.inf, True, 1.0))
        for child, goes_left in ((left[node], True), (right[node], False)):
            way = _Way(
                feature,
                before.low if goes_left else max(before.low, threshold),
                min(before.high, threshold) if goes_left else before.high,
                before.nan and nan_left == goes_left,
                before.share * rows(child) / rows(node),
            )
            pending.append((child, ways | {feature: way}))
