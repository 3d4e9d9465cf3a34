"""Contributions of features, added up by group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.served.registry import SERVED_FEATURES, TOTALS
from rhythmiq_recommender.learning.served.signal import SERVED_GROUPS, surroundings
from rhythmiq_recommender.learning.tables import FloatArray, RawArray

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
    for total, parts in TOTALS.items():
        if total in names:
            found[:, _KINDS] += shares[:, [names.index(total)]] * _portions(names, parts, x)
    return found


def _portions(names: tuple[str, ...], parts: tuple[str, ...], x: FloatArray) -> RawArray:
    """(rows x kinds) sizes of the parts, each row of sum 1, or all 0 where the total has no parts."""
    sizes = np.zeros((len(x), len(parts)))
    there = [(number, names.index(part)) for number, part in enumerate(parts) if part in names]
    if there:
        at, column = zip(*there, strict=True)
        sizes[:, at] = np.abs(x[:, column])
    total = sizes.sum(axis=1, keepdims=True)
    portions: RawArray = np.divide(sizes, total, out=np.zeros_like(sizes), where=total > 0)
    return portions
