"""Types of the columns, and draws that several parts share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int8]
Ints: TypeAlias = NDArray[np.int32]
Bools: TypeAlias = NDArray[np.bool_]
AnyInts: TypeAlias = NDArray[Any]
Chance: TypeAlias = np.random.Generator


def gumbel(chance: Chance, shape: tuple[int, ...]) -> Floats:
    """Standard Gumbel noise: the largest of utility + noise is a draw from the softmax of utility."""
    # Not 0, whose logarithm is infinite.
    uniform = np.maximum(chance.random(shape, dtype=np.float32), np.float32(1e-12))
    noise: Floats = -np.log(-np.log(uniform) + np.float32(1e-12))
    return noise


def happens(chance: Chance, probability: NDArray[np.floating[Any]]) -> Bools:
    """One coin each."""
    return np.asarray(chance.random(probability.shape, dtype=np.float32) < probability)


def sigmoid(value: Floats) -> Floats:
    """Log-odds to a probability."""
    return np.asarray(1 / (1 + np.exp(-value)), dtype=np.float32)


def drawn(chance: Chance, cumulative: Doubles, rows: AnyInts) -> Codes:
    """A code for each of `rows`, by that row of (rows x codes) cumulative probabilities."""
    uniform = chance.random(len(rows))[:, None]
    return np.asarray(np.minimum((cumulative[rows] <= uniform).sum(1), cumulative.shape[1] - 1), dtype=np.int8)
