"""Candidates to arrange, made from a seed: no catalogue behind them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.arranging.variety import Candidates
from rhythmiq_recommender.ranking import ScoreArray


def drawn(seed: int, count: int = 300, artists: int = 120, songs: int | None = None) -> Candidates:
    """Normally distributed scores; some artists have many, some items are one song."""
    dice = np.random.default_rng(seed)
    owners = (artists * dice.beta(0.6, 1.0, count)).astype(np.int32)
    return Candidates(dice.normal(size=count), owners, dice.integers(0, songs or 10 * count, count))


class Sounds:
    """Likeness by nearness on a line, where the good ones stand close together."""

    def __init__(self, candidates: Candidates, seed: int) -> None:
        self.place: NDArray[np.float64] = candidates.scores + np.random.default_rng(seed).normal(
            size=len(candidates.scores)
        )

    def to(self, index: int) -> ScoreArray:
        likeness: ScoreArray = 1 / (1 + (self.place - self.place[index]) ** 2)
        return likeness

    def among(self, chosen: list[int]) -> float:
        """Mean likeness of each to the others."""
        matrix = np.array([self.to(index)[chosen] for index in chosen])
        return float((matrix.sum() - len(chosen)) / (len(chosen) * (len(chosen) - 1)))
