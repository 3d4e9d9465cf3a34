"""What the documented prior says of an item in these surroundings: a model never knows less than it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender.audio import INDEX as FEATURE
from rhythmiq_recommender.audio import MEANS, SDS, Z_LIMIT
from rhythmiq_recommender.learning.encoding import CATEGORIES, CODES
from rhythmiq_recommender.learning.listening import AUDIO_NAMES
from rhythmiq_recommender.learning.served.shelf import KIND_COUNT, Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import ALL_SURROUNDINGS, Past, Quiet, surroundings
from rhythmiq_recommender.learning.served.state import ArraySpec, State
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray
from rhythmiq_recommender.prior import SURROUNDINGS_WIDTH, active_leans
from rhythmiq_recommender.situation import Origin, Surrounding


class Wanted(NamedTuple):
    """The leans of one code of one kind: places in AUDIO_NAMES, targets in standard scores, weights in score."""

    feature: IntArray
    target: RawArray
    weight: RawArray


def _wanted(kind_number: int, code: int) -> Wanted:
    """What a typical value of the code makes the prior want."""
    category = CATEGORIES[kind_number]
    surrounding = Surrounding(category.kind, category.value(code), Origin.REQUEST)
    leans = list(active_leans({category.kind: surrounding}))
    names = [lean.feature for lean in leans]
    at = [FEATURE[name] for name in names]
    target = (np.array([lean.target for lean in leans]) - MEANS[at]) / SDS[at]
    return Wanted(
        np.array([AUDIO_NAMES.index(name) for name in names], np.int64),
        np.clip(target, -Z_LIMIT, Z_LIMIT),
        np.array([lean.weight for lean in leans], np.float64),
    )


BY_CELL: Final[tuple[Wanted, ...]] = tuple(
    _wanted(number, code) for number, category in enumerate(CATEGORIES) for code in range(len(category.names))
)
"""By place among all codes."""


class PriorHere:
    """Not fitted: the table of `prior`."""

    name = "prior"
    features = (
        *(
            Feature(
                f"prior_in_{category.kind}",
                "score",
                surroundings(category.kind),
                f"what the documented prior adds for a typical value; {category.meaning}",
            )
            for category in CATEGORIES
        ),
        Feature("prior_here", "score", ALL_SURROUNDINGS, "sum of prior_in over all kinds"),
    )
    arrays: tuple[ArraySpec, ...] = ()

    def fit(self, past: Past) -> State:
        """Nothing."""
        return {}

    def bind(self, state: State, shelf: Shelf) -> BoundPriorHere:
        """Reads sounds from the shelf."""
        return BoundPriorHere(shelf)


class BoundPriorHere(Quiet):
    """As the prior's ranker: weight x (nearness of the item - nearness of a typical one), 0 where not known.

    Worked out for every item and code beforehand: what the prior wants depends on the surroundings only.
    """

    def __init__(self, shelf: Shelf) -> None:
        rows = np.flatnonzero(shelf.of_kind)
        known, sound = shelf.known[rows], shelf.audio[rows]
        means = np.where(known, sound, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
        near = np.empty((len(_WANTS), len(rows)), np.float32)
        columns, there = np.ascontiguousarray(sound.T), np.ascontiguousarray(known.T)
        for place, (feature, target) in enumerate(_WANTS):
            typical = 1 + (means[feature] - target) ** 2
            distance = (columns[feature] - np.float32(target)) / np.float32(SURROUNDINGS_WIDTH)
            near[place] = 1 / (1 + distance * distance)
            near[place] -= np.float32(1 / (1 + typical / SURROUNDINGS_WIDTH**2))
            near[place] *= there[feature]
        table = np.zeros((shelf.count, CODES + 1), np.float32)
        table[rows, :CODES] = near.T @ _WEIGHTS
        self._table = table.ravel()

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        x[:, :-1] = self._table.take(looked.row[:, None] * (CODES + 1) + seen.cells)
        x[:, -1] = x[:, :-1] @ _ONES


_ONES: Final[FloatArray] = np.ones(KIND_COUNT, np.float32)


def _wants() -> tuple[tuple[tuple[int, float], ...], FloatArray]:
    """Distinct (feature, target) pairs, and (pairs x CODES) how much each code wants each."""
    pairs = sorted({(int(f), float(t)) for one in BY_CELL for f, t in zip(one.feature, one.target, strict=True)})
    weights = np.zeros((len(pairs), CODES), np.float32)
    for cell, one in enumerate(BY_CELL):
        for feature, target, weight in zip(one.feature, one.target, one.weight, strict=True):
            weights[pairs.index((int(feature), float(target))), cell] += weight
    return tuple(pairs), weights


_WANTS, _WEIGHTS = _wants()
