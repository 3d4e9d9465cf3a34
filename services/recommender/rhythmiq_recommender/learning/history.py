"""What a listener did, as serving reads it and as training replays it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.encoding import CATEGORIES, CodeArray, codes_of
from rhythmiq_recommender.learning.listening import IMPRESSION, VERDICTS
from rhythmiq_recommender.learning.tables import FloatArray, RawArray
from rhythmiq_recommender.situation import EnvironmentKind, EnvironmentValue

LONGEST_HISTORY: Final = 500
"""Events of a listener that a query looks at: the newest ones."""

IdArray = NDArray[np.bytes_]


class Deed(NamedTuple):
    """One thing that a listener did: item id (16 bytes), name of the interaction type, Unix seconds, surroundings."""

    item: bytes
    type: str
    time: float
    environment: dict[EnvironmentKind, EnvironmentValue]


@dataclass(frozen=True, slots=True)
class History:
    """What one listener did, oldest first; at most LONGEST_HISTORY, the newest. Impressions are not in it."""

    item: IdArray
    """Item ids, 16 bytes each (S16)."""
    time: RawArray
    """Unix seconds, UTC, ascending."""
    liked: FloatArray
    """In [-1, 1]: the graded verdict, see `listening.VERDICTS`."""
    codes: CodeArray
    """(events x kinds): the surroundings then, see `encoding.CATEGORIES`; -1 where not known."""

    def __len__(self) -> int:
        return len(self.item)

    def __post_init__(self) -> None:
        shapes = {len(self.item), len(self.time), len(self.liked), len(self.codes)}
        if len(shapes) != 1 or self.codes.shape[1:] != (len(CATEGORIES),):
            raise ValueError("a history's columns differ in length, or its codes are not one a kind of surroundings")

    def newest(self, count: int) -> History:
        """Only the last `count` events."""
        if count >= len(self):
            return self
        start = len(self) - count
        return History(self.item[start:], self.time[start:], self.liked[start:], self.codes[start:])

    def plus(self, later: History) -> History:
        """With events added, in order of time; at most LONGEST_HISTORY of them stay."""
        if not len(later):
            return self
        time = np.r_[self.time, later.time]
        order = np.argsort(time, kind="stable")[-LONGEST_HISTORY:]
        return History(
            np.r_[self.item, later.item][order],
            time[order],
            np.r_[self.liked, later.liked][order],
            np.r_[self.codes, later.codes][order],
        )


EMPTY: Final = History(
    np.zeros(0, "S16"), np.zeros(0), np.zeros(0, np.float32), np.zeros((0, len(CATEGORIES)), np.int8)
)
"""Of a listener of whom nothing is known."""


def history_of(deeds: Iterable[Deed]) -> History:
    """From what storage knows, in any order. Impressions and types that this version does not know are passed over."""
    kept = [deed for deed in deeds if deed.type in VERDICTS and deed.type != IMPRESSION]
    if not kept:
        return EMPTY
    found = History(
        np.array([deed.item for deed in kept], "S16"),
        np.array([deed.time for deed in kept], np.float64),
        np.array([VERDICTS[deed.type] for deed in kept], np.float32),
        np.stack([codes_of(deed.environment) for deed in kept]),
    )
    return EMPTY.plus(found)
