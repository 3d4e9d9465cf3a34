"""From ranked candidates to a list: variety of artists and songs, length, and a shuffle that can be repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from rhythmiq_recommender.plan import Group, Subject
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import Ranked, ScoreArray
from rhythmiq_recommender.snapshot import UNKNOWN, CatalogSnapshot

APART: Final = 6
"""Between two items of one main artist there are at least so many others, while there are others to put."""

SHUFFLE: Final = 0.15
"""Largest push of the shuffle, in score: about what separates neighbours in a list, and less than one clear reason."""

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = 2**64 - 1


def shuffled(ranked: Ranked, snapshot: CatalogSnapshot, seed: int | None, words: str = "for variety") -> Ranked:
    """The same with a small push for each item, from `seed` and the item's id alone; without a seed, as it is."""
    if seed is None:
        return ranked
    push = SHUFFLE * _uniform(snapshot, ranked.rows, seed)
    last = len(ranked.subjects)
    return Ranked(
        ranked.rows,
        [*ranked.subjects, Subject(Group.OTHER, "variety")],
        np.column_stack([ranked.contributions, push]),
        lambda position, column: words if column == last else ranked.words(position, column),
    )


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


def arrange(ranked: Ranked, scores: ScoreArray, snapshot: CatalogSnapshot, count: int) -> list[int]:
    """Positions in `ranked`, whose scores are `scores`; best first, at most `count`.

    Equal scores go by item id. The best item whose artist was not among the last APART comes next; when there is no
    such item, simply the best. Of one song under several ids only the best counts; the others come after all else.
    """
    order = np.argsort(-scores, kind="stable")
    _, first = np.unique(snapshot.song[ranked.rows[order]], return_index=True)
    again = np.ones(len(order), np.bool_)
    again[first] = False
    artists = snapshot.first_artist[ranked.rows].tolist()
    recent: deque[int] = deque(maxlen=APART)
    chosen = _spread(order[~again].tolist(), artists, recent, count)
    return chosen + _spread(order[again].tolist(), artists, recent, count - len(chosen))


def _spread(order: list[int], artists: Sequence[int], recent: deque[int], count: int) -> list[int]:
    """The first `count` of `order`, those by `recent` artists put off; `recent` is kept up to date."""
    chosen: list[int] = []
    while order and len(chosen) < count:
        at = next((i for i, position in enumerate(order) if artists[position] not in recent), 0)
        position = order.pop(at)
        chosen.append(position)
        recent.append(artists[position] if artists[position] != UNKNOWN else UNKNOWN - 1)
    return chosen
