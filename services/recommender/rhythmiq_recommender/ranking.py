"""What a ranker is: the place where a learned one takes the prior's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.plan import Plan, Subject
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.situation import Situation
from rhythmiq_recommender.snapshot import CatalogSnapshot

ScoreArray = NDArray[np.float64]


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

    def rank(self, snapshot: CatalogSnapshot, rows: IntArray, situation: Situation, plan: Plan) -> Ranked:
        """Scores the items at `rows`, ascending, in this situation. `plan` is what found them."""
        ...
