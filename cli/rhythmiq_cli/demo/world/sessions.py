"""Who listens when: sessions of each listener, spread over the moments of the days."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np

from rhythmiq_cli.demo.world.arrays import Bools, Chance, Codes, Doubles, Ints, gumbel
from rhythmiq_cli.demo.world.items import PODCAST_EPISODE, SOUNDSCAPE, TRACK
from rhythmiq_cli.demo.world.moments import DAY, MOMENTS, ZONES, begins, offsets, weights

MOST_PLACES: Final = 14
LIST_PLACES: Final = 10
_LISTED: Final = 0.25
"""Share of sessions in which a list is shown; in the others, listeners choose themselves."""
_MOST_A_DAY: Final = 5
_ACTIVITY_SPREAD: Final = 0.8
"""Spread of the logarithm of how much each listener listens."""
# Of a session, on average; less than that, so that enough sessions are planned: the oldest events are left out then.
_EVENTS_A_SESSION: Final = 17
_SPARE: Final = 8
LONGEST: Final = 2_400.0
"""Seconds after which nothing further is begun in a session."""
# Seconds that the last item may still take, and between two sessions: more than the half hour that ends one.
_LAST: Final = {TRACK: 700.0, PODCAST_EPISODE: 6_000.0, SOUNDSCAPE: 3_600.0}
_GAP: Final = 1_860.0
_KINDS: Final = {TRACK: 0.93, PODCAST_EPISODE: 0.04, SOUNDSCAPE: 0.03}
"""Share of sessions with each kind of items."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """One row a session, in the order of listener and start. `start` is in Unix seconds; `moment` indexes MOMENTS.

    `zone` indexes ZONES and `ahead` are the hours of each zone; `kind` is that of all items met, as in Item.Kind,
    `places` how many at most, `listed` whether in a list.
    """

    listener: Ints
    start: Doubles
    moment: Ints
    zone: Ints
    kind: Codes
    places: Ints
    listed: Bools
    ahead: Doubles

    def __len__(self) -> int:
        return len(self.listener)


def plan(chance: Chance, listeners: int, interactions: int, days: int, end: float, kinds: Collection[int]) -> Sessions:
    """Enough sessions for so many interactions; everybody has one at least, and some have many times what others have.

    Raises ValueError for sizes below 1, or more than the listeners could fill.
    """
    if min(listeners, interactions, days) < 1:
        raise ValueError("listeners, interactions and days must be at least 1")
    wanted = max(listeners, -(-interactions // _EVENTS_A_SESSION) + _SPARE)
    if wanted > listeners * days * _MOST_A_DAY:
        most = (listeners * days * _MOST_A_DAY - _SPARE) * _EVENTS_A_SESSION
        raise ValueError(
            f"{listeners} listeners have at most {max(most, 0)} interactions in {days} days: "
            f"make more listeners or days for {interactions}"
        )
    count = _counts(chance, listeners, wanted, days * _MOST_A_DAY)
    zone = (np.arange(listeners) % len(ZONES)).astype(np.int32)
    ahead = offsets(end)
    # The last day of each zone ends before the end of the world everywhere.
    first = np.floor((end + 3600 * ahead) / DAY) - days
    listener, day, moment = _slots(chance, count, first[zone], days)
    start = (first[zone[listener]] + day) * DAY + 3600 * (begins(chance, moment) - ahead[zone[listener]])
    order = np.lexsort((start, listener))
    listener, moment = listener[order], moment[order]
    kind = _kinds(chance, len(listener), kinds)
    start = _apart(listener, start[order], LONGEST + _GAP + np.array([_LAST.get(k, 0.0) for k in range(4)])[kind])
    listed = (chance.random(len(listener)) < _LISTED) & (kind == TRACK)
    own = np.clip(4 + chance.poisson(5, len(listener)), 4, MOST_PLACES)
    # An episode or a soundscape fills a session.
    places = np.where(kind == TRACK, np.where(listed, LIST_PLACES, own), 1).astype(np.int32)
    return Sessions(listener, start, moment, zone[listener], kind, places, listed, ahead)


def _kinds(chance: Chance, count: int, kinds: Collection[int]) -> Codes:
    """A kind for each session, of those that the catalogue has."""
    there = sorted(set(kinds) & set(_KINDS))
    share = np.array([_KINDS[kind] for kind in there])
    return np.array(there, np.int8)[chance.choice(len(there), count, p=share / share.sum())]


def _counts(chance: Chance, listeners: int, wanted: int, most: int) -> Ints:
    """Sessions of each listener: at least 1, at most `most`, `wanted` together."""
    share = np.exp(chance.normal(0, _ACTIVITY_SPREAD, listeners))
    low, high = 0.0, float(wanted) * most / share.min()
    for _ in range(80):  # the scale at which the sum is as wanted
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(middle * share, 1, most).sum() < wanted else (low, middle)
    exact = np.clip(high * share, 1, most)
    count = np.floor(exact).astype(np.int32)
    left = wanted - int(count.sum())
    if left > 0:
        count[np.argsort(count - exact, kind="stable")[:left]] += 1
    return np.asarray(count, dtype=np.int32)


def _slots(chance: Chance, count: Ints, first: Doubles, days: int) -> tuple[Ints, Ints, Ints]:
    """Listener, day and moment of every session: each moment of a day once at most, the common ones more often."""
    found = []
    # As many listeners at once as keep the table of all moments of all days small.
    step = max(1, 2_000_000 // (days * len(MOMENTS)))
    for begin in range(0, len(count), step):
        mine = count[begin : begin + step]
        day = first[begin : begin + step, None] + np.arange(days)
        # 1 January 1970 was a Thursday.
        common = weights(((day + 3) % 7 >= 5).astype(np.intp).ravel()).reshape(len(mine), -1)
        order = np.argsort(-(np.log(common) + gumbel(chance, common.shape)), axis=1)
        row, place = np.nonzero(np.arange(order.shape[1]) < mine[:, None])
        slot = order[row, place]
        found.append((row + begin, slot // len(MOMENTS), slot % len(MOMENTS)))
    listener, slot_day, moment = (np.concatenate(column).astype(np.int32) for column in zip(*found, strict=True))
    return listener, slot_day, moment


def _apart(listener: Ints, start: Doubles, lasts: Doubles) -> Doubles:
    """Starts moved later where the listener's session before would not have ended; in the order of the rows."""
    before = np.cumsum(lasts) - lasts
    # The later of all earlier starts, each with what lies between: a running maximum that begins anew by listener.
    reach = float(start.max() - start.min()) + float(lasts.sum()) + 1.0
    moved = np.maximum.accumulate(start - before + listener * reach)
    return np.asarray(moved + before - listener * reach)
