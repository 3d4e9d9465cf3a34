"""A small push for each item that is the same for the same seed: another list, as good as the first."""

from __future__ import annotations

from typing import Final

import numpy as np

from rhythmiq_recommender.plan import Group, Subject
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import Ranked, ScoreArray
from rhythmiq_recommender.snapshot import CatalogSnapshot

SHUFFLE: Final = 0.15
"""Largest push of the shuffle, in score: about what separates neighbours in a list, and less than one clear reason."""

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = 2**64 - 1


def shuffled(ranked: Ranked, snapshot: CatalogSnapshot, seed: int | None, words: str = "for variety") -> Ranked:
    """The same with a small push for each item, from `seed` and the item's id alone; without a seed, as it is."""
    if seed is None:
        return ranked
    push = SHUFFLE * _uniform(snapshot, ranked.rows, seed)
    return ranked.plus(push, Subject(Group.OTHER, "variety"), lambda _: words)


def _uniform(snapshot: CatalogSnapshot, rows: IntArray, seed: int) -> ScoreArray:
    """Numbers in [0, 1), the same for the same item and seed (splitmix64 over the id's first 8 bytes)."""
    ids = np.array(snapshot.columns.ids[rows], "S16")
    mixed = np.frombuffer(ids.tobytes(), np.dtype(">u8"))[::2].astype(np.uint64)
    mixed = mixed ^ np.uint64((seed * _GOLDEN + _GOLDEN) & _MASK)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    uniform: ScoreArray = (mixed >> np.uint64(11)).astype(np.float64) / 2**53
    return uniform
