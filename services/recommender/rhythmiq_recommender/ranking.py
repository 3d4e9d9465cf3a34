"""What a ranker is: the place where a learned one takes the prior's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.plan import Plan, Subject
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.situation import Situation
from rhythmiq_recommender.snapshot import BoolArray, CatalogSnapshot

ScoreArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explained:
    """What spoke for and against some candidates.

    `contributions` has shape (candidates, columns); an item's score is the sum of its row. `subject(index, column)`
    says what one of them is about, `words(index, column)` says it in a listener's words; the index is that of the row.
    """

    contributions: ScoreArray
    subject: Callable[[int, int], Subject]
    words: Callable[[int, int], str]


def _nothing(index: int, column: int) -> Any:
    raise IndexError(f"nothing is explained, and so no {index}, {column}")


NOTHING: Final = Explained(np.zeros((0, 0)), _nothing, _nothing)
"""Of no candidates."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates with their scores, shape (len(rows),); higher is better.

    `explain(positions)` works out the contributions of those candidates only: an answer shows a few of hundreds.
    """

    rows: IntArray
    scores: ScoreArray
    explain: Callable[[Sequence[int]], Explained]

    def plus(self, shares: ScoreArray, subject: Subject, words: Callable[[int], str]) -> Ranked:
        """The same with one more contribution to each score. `words(position)` says it."""

        def explain(positions: Sequence[int]) -> Explained:
            before = self.explain(positions)
            last = before.contributions.shape[1]
            return Explained(
                np.column_stack([before.contributions, shares[positions]]),
                lambda index, column: subject if column == last else before.subject(index, column),
                lambda index, column: words(positions[index]) if column == last else before.words(index, column),
            )

        return Ranked(self.rows, self.scores + shares, explain)


class Ranker(Protocol):
    """Scores candidates. Implementations are stateless between calls and never fail for want of history."""

    @property
    def name(self) -> str:
        """Which ranker and version, as in RecommendResponse.ranker: `prior/1`."""
        ...

    def candidates(self, snapshot: CatalogSnapshot, situation: Situation, mask: BoolArray, most: int) -> IntArray:
        """Rows among those allowed, at most so many, that it would add to what retrieval finds."""
        ...

    def rank(self, snapshot: CatalogSnapshot, rows: IntArray, situation: Situation, plan: Plan) -> Ranked:
        """Scores the items at `rows`, ascending, in this situation. `plan` is what found them."""
        ...
