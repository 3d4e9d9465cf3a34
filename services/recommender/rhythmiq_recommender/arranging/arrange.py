"""From ranked candidates to a list: variety of artists and songs, length, and a shuffle that can be repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from rhythmiq_recommender.plan import Group, Subject
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import Ranked, ScoreArray
from rhythmiq_recommender.situation import Situation, Wish
from rhythmiq_recommender.snapshot import UNKNOWN, CatalogSnapshot

APART: Final = 6
"""Between two items of one main artist there are at least so many others, while there are others to put."""

SHUFFLE: Final = 0.15
"""Largest push of the shuffle, in score: about what separates neighbours in a list, and less than one clear reason."""

_GOLDEN: Final = 0x9E3779B97F4A7C15
_MASK: Final = 2**64 - 1


class Placed(NamedTuple):
    """One place of a list: which candidate stands there, and with what probability it came to."""

    position: int
    """In the Ranked that was arranged."""
    propensity: float = 1.0
    """Probability that this item stands at this place, given the candidates; 1 where nothing is explored."""
    explored: bool = False
    """Whether it is there to learn how it is liked, in place of the best one."""


def adjusted(ranked: Ranked, snapshot: CatalogSnapshot, wish: Wish, situation: Situation) -> Ranked:
    """The same with what counts for every ranker alike: the shuffle."""
    return shuffled(ranked, snapshot, wish.seed)


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


def arrange(ranked: Ranked, snapshot: CatalogSnapshot, wish: Wish, situation: Situation) -> list[Placed]:
    """At most `wish.count` places, best first.

    Equal scores go by item id. The best item whose artist was not among the last APART comes next; when there is no
    such item, simply the best. Of one song under several ids only the best counts; the others come after all else.
    """
    order = np.argsort(-ranked.scores, kind="stable")
    _, first = np.unique(snapshot.song[ranked.rows[order]], return_index=True)
    again = np.ones(len(order), np.bool_)
    again[first] = False
    artists = snapshot.first_artist[ranked.rows].tolist()
    recent: deque[int] = deque(maxlen=APART)
    chosen = _spread(order[~again].tolist(), artists, recent, wish.count)
    chosen += _spread(order[again].tolist(), artists, recent, wish.count - len(chosen))
    return [Placed(position) for position in chosen]


def _spread(order: list[int], artists: Sequence[int], recent: deque[int], count: int) -> list[int]:
    """The first `count` of `order`, those by `recent` artists put off; `recent` is kept up to date."""
    chosen: list[int] = []
    while order and len(chosen) < count:
        at = next((i for i, position in enumerate(order) if artists[position] not in recent), 0)
        position = order.pop(at)
        chosen.append(position)
        recent.append(artists[position] if artists[position] != UNKNOWN else UNKNOWN - 1)
    return chosen
