"""Contributions of features, added up by group."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from rhythmiq_recommender.learning.served.registry import SERVED_FEATURES
from rhythmiq_recommender.learning.served.signal import SERVED_GROUPS
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray

_GROUP = {feature.name: feature.group for feature in SERVED_FEATURES}


@cache
def _group_of_each(features: tuple[str, ...]) -> IntArray:
    return np.array([SERVED_GROUPS.index(_GROUP[name]) for name in features], np.int64)


def grouped(features: Sequence[str], x: FloatArray, shares: RawArray) -> RawArray:
    """(rows x SERVED_GROUPS) from (rows x features, and one more: the bias, which is left out)."""
    place = _group_of_each(tuple(features))
    found = np.zeros((len(x), len(SERVED_GROUPS)))
    for number in range(len(SERVED_GROUPS)):
        found[:, number] = shares[:, :-1][:, place == number].sum(axis=1)
    return found
