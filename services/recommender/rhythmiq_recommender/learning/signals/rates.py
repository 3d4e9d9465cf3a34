"""Smoothed shares of positives: by listener, item, group and genre, overall and in the surroundings at hand.

rate = (positives + strength x prior) / (events + strength); the prior of a rate in surroundings is the rate overall.

For the events that it was fitted on, a rate counts strictly earlier events only. Without times it leaves the event
itself out; beware: such a rate carries its event's label, inverted, and trees find that (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.kinds import CATEGORIES
from rhythmiq_recommender.learning.signals.signal import Blank, Feature, Pairs, Usable, as_float
from rhythmiq_recommender.learning.tables import Context, FloatArray, IntArray, Need, RawArray, Tables

WHO = ("listener", "item", "group", "genre")


def smoothed(key: IntArray, wanted: IntArray, positive: RawArray, prior: RawArray, strength: float) -> RawArray:
    """Rates of `wanted` keys from events (`key`, `positive`); `prior`, one a wanted key, where there are few or -1."""
    width = int(max(key.max(initial=0), wanted.max(initial=0))) + 1
    known = key >= 0
    count = np.bincount(key[known], minlength=width)
    yes = np.bincount(key[known], weights=positive[known], minlength=width)
    at = np.maximum(wanted, 0)
    rate: RawArray = (yes[at] + strength * prior) / (count[at] + strength)
    return np.where(wanted >= 0, rate, prior)


def smoothed_left_out(key: IntArray, positive: RawArray, prior: RawArray, strength: float) -> RawArray:
    """The rate of each event's own key with that event left out."""
    known = key >= 0
    at = np.maximum(key, 0)
    width = int(at.max(initial=0)) + 1
    count = np.bincount(key[known], minlength=width)[at] - 1
    yes = np.bincount(key[known], weights=positive[known], minlength=width)[at] - positive
    return np.where(known, (yes + strength * prior) / (count + strength), prior)


def smoothed_before(key: IntArray, time: RawArray, positive: RawArray, prior: RawArray, strength: float) -> RawArray:
    """The rate of each event's own key from events of strictly earlier time."""
    order = np.lexsort((time, key))
    k, t, yes = key[order], time[order], positive[order]
    new_key = np.r_[True, k[1:] != k[:-1]]
    new_time = new_key | np.r_[True, t[1:] != t[:-1]]
    place = np.arange(len(k))
    key_start = np.maximum.accumulate(np.where(new_key, place, 0))
    time_start = np.maximum.accumulate(np.where(new_time, place, 0))
    total = np.r_[0.0, np.cumsum(yes)]
    count, earlier = np.empty(len(k)), np.empty(len(k))
    count[order] = time_start - key_start
    earlier[order] = total[time_start] - total[key_start]
    return np.where(key >= 0, (earlier + strength * prior) / (count + strength), prior)


@dataclass(frozen=True, slots=True)
class Rates(Usable):
    """`strength`: events that the prior is worth."""

    strength: float = 5.0

    name = "rates"
    needs = frozenset({Need.RATINGS})
    features = (
        *(Feature(f"rate_{who}", "0..1", "rates", f"smoothed share of positives of the {who}") for who in WHO),
        *(
            Feature(
                f"rate_{who}_in_{kind}", "0..1", f"context: {kind}", f"the {who}'s, in this {kind} only ({meaning})"
            )
            for kind, meaning in CATEGORIES.items()
            for who in ("all", *WHO)
        ),
    )

    def fit(self, past: Tables, seed: int) -> FittedRates:
        """Counts."""
        return FittedRates(past, self.strength)


class FittedRates(Blank):
    """Keeps who, what, where and how it was liked."""

    def __init__(self, past: Tables, strength: float) -> None:
        self._past, self._strength = past, strength
        self._positive = past.positive.astype(np.float64)

    def _keys(self, user: IntArray, item: IntArray) -> dict[str, IntArray]:
        items = self._past.items
        keys = {"listener": user, "item": item}
        if items.group is not None:
            keys["group"] = items.group[item]
        if items.genre is not None:
            keys["genre"] = items.genre[item]
        return keys

    def _rates(self, keys: Mapping[str, IntArray], context: Context, *, left_out: bool) -> dict[str, FloatArray]:
        past, positive, strength = self._past, self._positive, self._strength
        theirs = self._keys(past.events.user, past.events.item)

        def rate(key: IntArray, wanted: IntArray, prior: RawArray) -> RawArray:
            if left_out and past.events.time is not None:
                return smoothed_before(key, past.events.time, positive, prior, strength)
            if left_out:
                return smoothed_left_out(key, positive, prior, strength)
            return smoothed(key, wanted, positive, prior, strength)

        count = len(keys["item"])
        overall = np.full(count, positive.mean())
        if left_out and past.events.time is not None:
            half = np.full(count, 0.5)  # before anything was heard
            overall = smoothed_before(np.zeros(count, np.int64), past.events.time, positive, half, strength)
        elif left_out and count > 1:
            overall = (positive.sum() - positive) / (count - 1)
        found = {f"rate_{who}": rate(theirs[who], keys[who], overall) for who in keys}
        for kind in CATEGORIES:
            if kind not in past.context.categories or kind not in context.categories:
                continue
            here, there = context.categories[kind], past.context.categories[kind]
            found[f"rate_all_in_{kind}"] = rate(there, here, overall)
            width = int(max(here.max(initial=0), there.max(initial=0))) + 1
            for who in keys:
                both = np.where((there >= 0) & (theirs[who] >= 0), theirs[who] * width + there, -1)
                wanted = np.where((here >= 0) & (keys[who] >= 0), keys[who] * width + here, -1)
                found[f"rate_{who}_in_{kind}"] = rate(both, wanted, found[f"rate_{who}"])
        return {name: as_float(column) for name, column in found.items()}

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        keys = self._keys(queries.user[pairs.query], pairs.item)
        return self._rates(keys, queries.context.take(pairs.query), left_out=False)

    def left_out(self) -> Mapping[str, FloatArray]:
        """Each event's rates from what came before it; without times, from all others."""
        past = self._past
        return self._rates(self._keys(past.events.user, past.events.item), past.context, left_out=True)
