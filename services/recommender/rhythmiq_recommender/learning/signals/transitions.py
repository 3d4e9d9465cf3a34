"""What follows what, in everyone's sessions and in the listener's own (rules SR and AR of Ludewig, Jannach 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rhythmiq_recommender.learning.queries import Queries, Trail
from rhythmiq_recommender.learning.signals.signal import SPARSE, Blank, Feature, Kind, Pairs, Usable, as_float
from rhythmiq_recommender.learning.sparse import Block, embed_pairs
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, Need, Sparse, Tables

DECAY = 0.8
"""Weight of an event falls by this factor for each event in between."""
REACH = 8
"""Events apart that still count as following."""


def lagged(session: IntArray, column: IntArray, lag: int, width: int, weight: float = 1.0) -> Sparse:
    """(width x width) sums of `weight` over pairs that are `lag` events apart in one session."""
    same = session[lag:] == session[:-lag]
    first, then = column[:-lag][same], column[lag:][same]
    return embed_pairs(first, then, np.full(len(first), weight, np.float32), (width, width))


@dataclass(frozen=True, slots=True)
class Follows:
    """Counts of the next one, of following within reach (decayed), and in either direction."""

    next: Sparse
    soon: Sparse
    around: Sparse
    out: FloatArray
    """How often anything followed."""

    @classmethod
    def count(cls, session: IntArray, column: IntArray, width: int, reach: int = REACH) -> Follows:
        """From columns in order."""
        following = lagged(session, column, 1, width)
        soon = following
        for lag in range(2, reach + 1):
            soon = soon + lagged(session, column, lag, width, DECAY ** (lag - 1))
        soon = soon.tocsr()
        return cls(following, soon, (soon + soon.T).tocsr(), as_float(np.asarray(following.sum(1)).ravel()))


def decayed(trail: Trail) -> FloatArray:
    """Weight of each event of a trail: 1 for the newest."""
    return as_float(DECAY ** (trail.lag - 1))


def one_hot(column: IntArray, width: int) -> Sparse:
    """(queries x width) with a 1 where the column is not -1."""
    row = np.flatnonzero(column >= 0)
    return embed_pairs(row, column[row], np.ones(len(row), np.float32), (len(column), width))


def _block(name: str, source: str, candidates: int = 0) -> Feature:
    return Feature(name, "decayed count", "transitions", source, Kind.ITEM_BLOCK, SPARSE, candidates)


class Transitions(Usable):
    """Needs sessions."""

    name = "transitions"
    needs = frozenset({Need.SESSIONS, Need.TIMES})
    features = (
        _block("next", "what anyone played right after the last item", 80),
        _block("next_but_one", "two after the item before the last"),
        _block("next_but_two", "three after the item before that"),
        _block("soon", "what followed the session's items within 8", 80),
        _block("around", "what was near the session's items within 8, either way", 80),
        _block("around_last", "the same for the last item only"),
        _block("own_next", "what this listener played right after the last item before"),
        _block("own_next_but_one", "the same, one further apart"),
        _block("own_next_but_two", "the same, two further apart"),
        _block("own_around", "what this listener played within 5 of the last item before", 80),
        Feature("next_chance", "0..1", "transitions", "next / (how often anything followed + 1)"),
        Feature("item_starts", "sessions", "popularity", "sessions that began with the item"),
    )

    def fit(self, past: Tables, seed: int) -> FittedTransitions:
        """Counts pairs in order."""
        return FittedTransitions(past)


class FittedTransitions(Blank):
    """Item-to-item counts; the listener's own are counted in the query's trail."""

    def __init__(self, past: Tables) -> None:
        session, item, count = past.events.session, past.events.item, past.items.count
        assert session is not None
        self._follows = Follows.count(session, item, count)
        self._lag2, self._lag3 = lagged(session, item, 2, count), lagged(session, item, 3, count)
        first = np.r_[True, session[1:] != session[:-1]]
        self._starts = as_float(np.bincount(item[first], minlength=count))

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        follows, now = self._follows, queries.session
        last = one_hot(queries.last(), queries.items)
        recent = queries.encode(now, decayed(now))
        found = {
            "next": last @ follows.next,
            "next_but_one": one_hot(queries.last(2), queries.items) @ self._lag2,
            "next_but_two": one_hot(queries.last(3), queries.items) @ self._lag3,
            "soon": recent @ follows.soon,
            "around": recent @ follows.around,
            "around_last": last @ follows.around,
        }
        for lag, name in ((1, "own_next"), (2, "own_next_but_one"), (3, "own_next_but_two")):
            found[name] = _own(queries, queries.last(lag), {lag: 1.0})
        near = {step: (0.8 if step > 0 else 0.5) ** abs(step) for step in range(-5, 6) if step}
        found["own_around"] = _own(queries, queries.last(), near)
        return found

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        from_last = one_hot(queries.last(), queries.items) @ self._follows.next
        last = queries.last()[pairs.query]
        out = np.where(last >= 0, self._follows.out[np.maximum(last, 0)], 0)
        chance = (
            as_float(np.asarray(from_last[pairs.query, pairs.item]).ravel() / (out + 1)) if len(pairs) else as_float([])
        )
        return {"next_chance": chance, "item_starts": self._starts[pairs.item]}


def _own(queries: Queries, anchor: IntArray, steps: Mapping[int, float]) -> Sparse:
    """What stood `steps` events after each earlier occurrence of the anchor item in the listener's own trail."""
    trail = queries.trail
    here = np.flatnonzero(trail.item == anchor[trail.query])
    total = embed_pairs(here[:0], here[:0], as_float([]), (len(queries), queries.items))
    for step, weight in steps.items():
        there = here + step
        inside = (there >= 0) & (there < len(trail.item))
        at, to = here[inside], there[inside]
        same: BoolArray = (trail.query[at] == trail.query[to]) & (trail.session[at] == trail.session[to])
        total = total + embed_pairs(
            trail.query[at][same], trail.item[to][same], np.full(int(same.sum()), weight, np.float32), total.shape
        )
    return total.tocsr()
