"""Reading gzipped CSV into columns, and turning ids into shuffled dense numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
from numpy.typing import NDArray

from rhythmiq_recommender.learning.tables import IntArray


def read(path: Path, separator: str = ",") -> dict[str, NDArray[Any]]:
    """Column name to its values; numbers as numbers, empty numbers as NaN, text as objects."""
    parse = pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    table = pyarrow.csv.read_csv(path, parse_options=parse)
    return {name: table[name].to_numpy() for name in table.column_names}


def dense(ids: NDArray[Any], seed: int = 0) -> tuple[IntArray, NDArray[Any]]:
    """Numbers 0..n-1 in random order, and the id of each number.

    Ids of these data sets follow the alphabet or the order of appearance. Shuffled, no order can leak through a tie.
    """
    unique, number = np.unique(ids, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(unique))
    known = np.empty_like(unique)
    known[place] = unique
    return place[number].astype(np.int64), known


def numbers_of(ids: NDArray[Any], known: NDArray[Any]) -> IntArray:
    """The number of each id as given by `dense`, -1 where there is none."""
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known[order], ids), len(known) - 1)
    return np.where(known[order][place] == ids, order[place], -1).astype(np.int64)


def standard(values: NDArray[Any], limit: float = 3.0) -> NDArray[np.float32]:
    """Standard scores of columns, clipped; NaN becomes 0."""
    values = np.asarray(values, np.float64)
    mean, spread = np.nanmean(values, 0), np.nanstd(values, 0)
    scores = np.clip((values - mean) / np.where(spread > 0, spread, 1), -limit, limit)
    return np.asarray(np.nan_to_num(scores), dtype=np.float32)
