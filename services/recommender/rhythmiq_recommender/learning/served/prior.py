"""What the documented prior says of an item in these surroundings: a model never knows less than it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender.audio import INDEX as FEATURE
from rhythmiq_recommender.audio import MEANS, SDS, Z_LIMIT
from rhythmiq_recommender.learning.encoding import CATEGORIES, CODES
from rhythmiq_recommender.learning.listening import AUDIO_NAMES
from rhythmiq_recommender.learning.served.shelf import Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import ALL_SURROUNDINGS, Kept, Past, Quiet, surroundings
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

    def bind(self, kept: Kept, shelf: Shelf) -> BoundPriorHere:
        """Reads sounds from the shelf."""
        return BoundPriorHere(shelf)


class BoundPriorHere(Quiet):
    """As the prior's ranker: weight x (nearness of the item - nearness of a typical one), 0 where not known."""

    def __init__(self, shelf: Shelf) -> None:
        self._audio = shelf.catalogue.audio
        of_kind = shelf.of_kind.astype(np.float32)
        number = of_kind @ (~np.isnan(self._audio)).astype(np.float32)
        means = np.einsum("i,ij->j", of_kind, shelf.audio, dtype=np.float64) / np.maximum(number, 1)
        typical = 1 + (means[_FEATURE] - _TARGET) ** 2
        self._typical: FloatArray = (1 / (1 + typical / SURROUNDINGS_WIDTH**2)).astype(np.float32)
        """(wants,) nearness of the typical item."""

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        x[:] = 0
        kinds = np.flatnonzero(seen.cells < CODES)
        if not len(kinds):
            return
        found = self.of_cells(looked, seen.cells[kinds])
        x.T[kinds] = found
        x[:, -1] = found.sum(axis=0)

    def of_cells(self, looked: Looked, cells: IntArray) -> FloatArray:
        """(cells x rows) what each of those codes adds."""
        weights = _WEIGHTS.take(cells, axis=1)
        wants = np.flatnonzero(weights.any(axis=1))
        feature = _FEATURE[wants]
        near = np.ascontiguousarray(looked.sound.T).take(feature, axis=0)
        near -= _TARGET[wants, None]
        near /= np.float32(SURROUNDINGS_WIDTH)
        near *= near
        near += np.float32(1)
        np.reciprocal(near, out=near)
        near -= self._typical[wants, None]
        unknown = np.isnan(self._audio.take(looked.row, axis=0))
        if unknown.any():
            near[unknown.T.take(feature, axis=0)] = 0
        return (weights[wants].T @ near).astype(np.float32, copy=False)


def _wants() -> tuple[tuple[tuple[int, float], ...], FloatArray]:
    """Distinct (feature, target) pairs, and (pairs x CODES) how much each code wants each."""
    pairs = sorted({(int(f), float(t)) for one in BY_CELL for f, t in zip(one.feature, one.target, strict=True)})
    weights = np.zeros((len(pairs), CODES), np.float32)
    for cell, one in enumerate(BY_CELL):
        for feature, target, weight in zip(one.feature, one.target, one.weight, strict=True):
            weights[pairs.index((int(feature), float(target))), cell] += weight
    return tuple(pairs), weights


_WANTS, _WEIGHTS = _wants()
_FEATURE: Final = np.array([feature for feature, _ in _WANTS], np.int64)
_TARGET: Final[FloatArray] = np.array([target for _, target in _WANTS], np.float32)
