"""Places given away to learn from: few, never the first, with a probability that is known exactly.

What is shown decides what is learned. A recommender that only ever shows its best never finds out what it is wrong
about, and two of them can only be compared by showing both; with logged probabilities one can be judged by what the
other showed (see learning/off_policy.py).

The scheme. `order` is the best list. Its *free places* are those from FIRST on whose item is no more than WITHIN / 2
above their median score: an outstanding item never gives way. The *pool* is at most POOL
contenders outside of the list (see variety), the best, each by an artist of its own who is not in the list, none more
than WITHIN / 2 below that median: nobody gives way to an item more than WITHIN worse. With n free places, a pool of m
and a share s:

    e = min(s, m / n)

One uniform number u in [0, 1) selects the free places i = 0 … n-1 with floor(e(i+1) + u) > floor(ei + u). This is
systematic sampling (Madow 1949): each is selected with probability e exactly, never more than ceil(en) of them, and
they lie apart. The selected get items of the pool, drawn without replacement. Each of the pool is as likely as the
others to be the one drawn for a place, so over all draws, whatever stands elsewhere in the list:

    P(the best list's item stands at a free place) = 1 - e
    P(a given item of the pool stands there)       = e / m

and 1 everywhere else. These are the propensities that are told. Artists stay apart because those in the pool are in
neither the list nor each other's company; hard filters and blocks hold because nothing else is a candidate.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

from rhythmiq_recommender.arranging.variety import Candidates
from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import ScoreArray
from rhythmiq_recommender.snapshot import UNKNOWN

FIRST: Final = 3
"""The first place that may be explored: places 1 and 2 are most of what a listener sees."""

POOL: Final = 10
"""Most items that take part: with more each would be shown too rarely, for an estimate weighs by 1 / propensity."""

WITHIN: Final = 3.0
"""Most score that an explored place may lose, in standard deviations of the contenders'."""


class Placed(NamedTuple):
    """One place of a list: which candidate stands there, and with what probability it came to."""

    position: int
    """In the Ranked that was arranged."""
    propensity: float = 1.0
    """Probability that this item stands at this place, given the candidates; 1 where nothing is explored."""
    explored: bool = False
    """Whether it is there to learn how it is liked, in place of the best one."""


def explored(
    order: Sequence[int], candidates: Candidates, contenders: IntArray, share: float, draw: random.Random
) -> list[Placed]:
    """The list with some places given to contenders outside of it; see the module.

    `order` and `contenders` are positions, best first; `share` is in [0, 1].
    """
    plain = [Placed(position) for position in order]
    if len(order) < FIRST:
        return plain
    free, least = _free(order, candidates.scores, float(candidates.scores[contenders].std()))
    pool = _pool(order, candidates, contenders, least)
    if not pool:
        return plain
    e = min(share, len(pool) / len(free))
    drawn = draw.sample(pool, len(pool))
    start = draw.random()
    for index, place in enumerate(free):
        if drawn and math.floor(e * (index + 1) + start) > math.floor(e * index + start):
            plain[place] = Placed(drawn.pop(), e / len(pool), explored=True)
        else:
            plain[place] = Placed(order[place], 1 - e)
    return plain


def _free(order: Sequence[int], scores: ScoreArray, spread: float) -> tuple[list[int], float]:
    """Free places, counted from 0, of which there is at least one, and the least score that may take one."""
    listed = scores[list(order)].tolist()
    middle = statistics.median(listed[FIRST - 1 :])
    reach = WITHIN / 2 * spread
    return [place for place in range(FIRST - 1, len(order)) if listed[place] <= middle + reach], middle - reach


def _pool(order: Sequence[int], candidates: Candidates, contenders: IntArray, least: float) -> list[int]:
    taken = set(order)
    artists = {int(candidates.artists[position]) for position in order}
    pool: list[int] = []
    for position in contenders.tolist():
        artist = int(candidates.artists[position])
        if position in taken or candidates.scores[position] < least or (artist != UNKNOWN and artist in artists):
            continue
        pool.append(position)
        artists.add(artist)
        if len(pool) == POOL:
            break
    return pool
