"""What a ranker is: the place where a learned one takes the prior's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.situation import Situation
from rhythmiq_recommender.snapshot import CatalogSnapshot

ScoreArray = NDArray[np.float64]


class Group(Enum):
    """Where a contribution comes from; numbers as in rhythmiq.recommender.v1.Reason.Group."""

    SURROUNDINGS = 1
    PREFERENCES = 2
    TUNING = 3
    SEEDS = 4
    POPULARITY = 5
    OTHER = 6


@dataclass(frozen=True, slots=True)
class Subject:
    """One column of contributions: what they are about."""

    group: Group
    name: str
    """As in Reason.subject: `ambient_noise`, `genre:jazz`, `tempo` …"""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates with what spoke for and against each.

    `contributions` has shape (len(rows), len(subjects)); an item's score is the sum of its row, exactly.
    `words(position, column)` says one contribution in a listener's words.
    """

    rows: IntArray
    subjects: Sequence[Subject]
    contributions: ScoreArray
    words: Callable[[int, int], str]

    @property
    def scores(self) -> ScoreArray:
        """Shape (len(rows),)."""
        scores: ScoreArray = self.contributions.sum(axis=1)
        return scores


class Ranker(Protocol):
    """Scores candidates. Implementations are stateless between calls and never fail for want of history."""

    @property
    def name(self) -> str:
        """Which ranker and version, as in RecommendResponse.ranker: `prior/1`."""
        ...

    def rank(self, snapshot: CatalogSnapshot, rows: IntArray, situation: Situation) -> Ranked:
        """Scores the items at `rows`, ascending, in this situation."""
        ...
