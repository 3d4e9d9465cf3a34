"""What the documented prior says of an item in these surroundings: a model never knows less than it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender.audio import INDEX as FEATURE
from rhythmiq_recommender.audio import MEANS, SDS, Z_LIMIT
from rhythmiq_recommender.learning.encoding import CATEGORIES, CODES
from rhythmiq_recommender.learning.listening import AUDIO_NAMES
from rhythmiq_recommender.learning.served.shelf import Seen, Shelf
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
    """As the prior's ranker: weight x (nearness of the item - nearness of a typical one), 0 where not known."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        kind = shelf.known & shelf.of_kind[:, None]
        total = np.where(kind, shelf.audio, 0).sum(axis=0, dtype=np.float64)
        self._means: RawArray = total / np.maximum(kind.sum(axis=0), 1)

    def columns(self, seen: Seen, rows: IntArray, x: FloatArray) -> None:
        x[:] = 0
        holding = [number for number in np.flatnonzero(seen.cells < CODES) if len(BY_CELL[seen.cells[number]].weight)]
        if not holding:
            return
        wanted = [BY_CELL[seen.cells[number]] for number in holding]
        feature = np.concatenate([one.feature for one in wanted])
        target = np.concatenate([one.target for one in wanted])
        weight = np.concatenate([one.weight for one in wanted])
        starts = np.cumsum([0, *(len(one.weight) for one in wanted)])[:-1]
        square = SURROUNDINGS_WIDTH**2
        distance = (self._shelf.audio[rows[:, None], feature] - target) ** 2
        typical = 1 + (self._means[feature] - target) ** 2
        shares = weight * (1 / (1 + distance / square) - 1 / (1 + typical / square))
        shares *= self._shelf.known[rows[:, None], feature]
        x[:, holding] = np.add.reduceat(shares, starts, axis=1)
        x[:, -1] = shares.sum(axis=1)
