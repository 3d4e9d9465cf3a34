"""Contributions of features, added up by group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.served.registry import SERVED_FEATURES, TOTALS
from rhythmiq_recommender.learning.served.signal import SERVED_GROUPS, surroundings
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray

_GROUP = {feature.name: feature.group for feature in SERVED_FEATURES}
_KINDS = [SERVED_GROUPS.index(surroundings(kind)) for kind in KINDS]


@cache
def _membership(features: tuple[str, ...]) -> RawArray:
    """(features x SERVED_GROUPS) 1 where a feature belongs; totals belong nowhere by themselves."""
    found = np.zeros((len(features), len(SERVED_GROUPS)))
    for number, name in enumerate(features):
        if name not in TOTALS:
            found[number, SERVED_GROUPS.index(_GROUP[name])] = 1
    return found


def grouped(features: Sequence[str], x: FloatArray, shares: RawArray) -> RawArray:
    """(rows x SERVED_GROUPS) from contributions, (rows x features, and one more for the bias, which is left out).

    What a total over kinds contributes is told apart by how much each kind adds to it, whichever way.
    """
    names = tuple(features)
    found: RawArray = shares[:, : len(names)] @ _membership(names)
    for total, kinds, columns in _totals(names):
        sizes = np.abs(x.take(columns, axis=1))
        whole = sizes.sum(axis=1, keepdims=True)
        # Nothing to tell apart by where no kind adds anything.
        found[:, kinds] += shares[:, [total]] * np.divide(sizes, whole, out=np.zeros_like(sizes), where=whole > 0)
    return found


@cache
def _totals(features: tuple[str, ...]) -> tuple[tuple[int, IntArray, IntArray], ...]:
    """Of each total its column, and the groups and columns of its parts that are there."""
    found = []
    for total, parts in TOTALS.items():
        there = [(group, features.index(part)) for group, part in zip(_KINDS, parts, strict=True) if part in features]
        if total in features and there:
            kinds, columns = np.array(there, np.int64).T
            found.append((features.index(total), kinds, columns))
    return tuple(found)
