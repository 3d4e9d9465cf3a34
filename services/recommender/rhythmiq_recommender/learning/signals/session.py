"""Co-occurrence in sessions and in listeners' histories, near sessions and listeners, and the shape of the session."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.signal import PLAIN, SPARSE, Blank, Feature, Kind, Pairs, Usable, as_float
from rhythmiq_recommender.learning.signals.transitions import decayed, one_hot
from rhythmiq_recommender.learning.sparse import Block, embed_pairs, lookup, only_top, unit
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, Need, Sparse, Tables, binary

NEAR_SESSIONS = 50
NEAR_LISTENERS = 30
_SESSION, _LISTENER = "session co-occurrence", "listener-to-listener"


class SessionNeighbours(Usable):
    """Needs sessions."""

    name = "session_neighbours"
    needs = frozenset({Need.SESSIONS, Need.TIMES})
    features = (
        Feature(
            "together",
            "decayed cosine",
            _SESSION,
            "in the same sessions as the session's items",
            Kind.ITEM_BLOCK,
            SPARSE,
            80,
        ),
        Feature("together_last", "cosine", _SESSION, "the same for the last item only", Kind.ITEM_BLOCK, SPARSE),
        Feature(
            "near_sessions", "sum of cosines", _SESSION, "in the 50 most similar sessions", Kind.ITEM_BLOCK, SPARSE, 80
        ),
        Feature(
            "same_listeners",
            "decayed cosine",
            _LISTENER,
            "heard by listeners of the session's items",
            Kind.ITEM_BLOCK,
            SPARSE,
            80,
        ),
        Feature(
            "near_listeners",
            "sum of cosines",
            _LISTENER,
            "heard by the 30 most similar listeners",
            Kind.ITEM_BLOCK,
            SPARSE,
            40,
        ),
        Feature("heard", "events", "own history", "earlier plays by the listener", Kind.ITEM_BLOCK, PLAIN),
        Feature("heard_lately", "decayed events", "own history", "1 / (1 + 4 days since)", Kind.ITEM_BLOCK, SPARSE, 80),
        Feature("in_session", "events", "own history", "plays in this session", Kind.ITEM_BLOCK, PLAIN, 60),
        Feature("last_lag", "events", "own history", "events since it was played in this session; 999 if not"),
        Feature(
            "hours_since", "hours", "own history", "since the listener played it before this session; empty if never"
        ),
    )

    def fit(self, past: Tables, seed: int) -> FittedSessionNeighbours:
        """Normalises the session and listener matrices."""
        return FittedSessionNeighbours(past)


class FittedSessionNeighbours(Blank):
    """Keeps sessions and listeners of the past as sparse matrices."""

    def __init__(self, past: Tables) -> None:
        events = past.events
        assert events.session is not None
        _, number = np.unique(events.session, return_inverse=True)
        self._sessions = binary(number, events.item, (int(number.max()) + 1, past.items.count))
        self._listeners = past.matrix()
        self._unit_sessions = unit(self._sessions)
        self._by_session, self._by_listener = unit(self._sessions, 0), unit(self._listeners, 0)
        self._unit_listeners = unit(self._listeners)

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        now, old = queries.session, queries.history
        recent, last = queries.encode(now, decayed(now)), one_hot(queries.last(), queries.items)
        near = only_top(unit(recent) @ self._unit_sessions.T, NEAR_SESSIONS)
        return {
            "together": (recent @ self._by_session.T) @ self._by_session,
            "together_last": (last @ self._by_session.T) @ self._by_session,
            "near_sessions": near @ self._sessions,
            "same_listeners": (recent @ self._by_listener.T) @ self._by_listener,
            "near_listeners": self._near_listeners(queries) @ self._listeners,
            "heard": queries.encode(old),
            "heard_lately": queries.encode(old, as_float(1 / (1 + old.age / 86_400 * 4))),
            "in_session": queries.encode(now),
        }

    def _near_listeners(self, queries: Queries) -> Sparse:
        """(queries x listeners) cosines of the nearest; never the listener itself."""
        alike = (unit(queries.encode(queries.trail)) @ self._unit_listeners.T).tocsr()
        known = np.flatnonzero(queries.user >= 0)
        own = lookup(alike, known, queries.user[known])
        alike = (alike - embed_pairs(known, queries.user[known], own, alike.shape)).tocsr()
        alike.eliminate_zeros()
        return only_top(alike, NEAR_LISTENERS)

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        now, old = queries.session, queries.history
        lag = _least(queries, now.query, now.item, as_float(now.lag), pairs)
        hours = _least(queries, old.query, old.item, as_float(old.age / 3600), pairs)
        return {"last_lag": np.where(np.isnan(lag), np.float32(999), lag), "hours_since": hours}


def _least(queries: Queries, query: IntArray, item: IntArray, value: FloatArray, pairs: Pairs) -> FloatArray:
    """The least value over the rows of each pair, NaN without rows."""
    key = query * queries.items + item
    order = np.lexsort((value, key))
    key, value = key[order], value[order]
    first = np.r_[True, key[1:] != key[:-1]] if len(key) else np.zeros(0, np.bool_)
    key, value = key[first], value[first]
    wanted = pairs.query * queries.items + pairs.item
    if not len(key):
        return np.full(len(wanted), np.nan, np.float32)
    place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return as_float(np.where(key[place] == wanted, value[place], np.nan))


class SessionShape(Usable):
    """What the session is like, whatever the item: long, repetitive, with one artist."""

    name = "session_shape"
    needs = frozenset({Need.SESSIONS, Need.TIMES})
    features = tuple(
        Feature(name, unit_, "session shape", source)
        for name, unit_, source in (
            ("session_length", "events", "events of the session so far"),
            ("session_repeats", "0..1", "share of its events that repeat an item"),
            ("session_variety", "0..1", "distinct groups / events"),
            ("session_run", "events", "last events in a row of one group, at most 15"),
            ("session_known", "0..1", "share of its events whose item the listener heard before it"),
            ("history_length", "events", "earlier events of the listener"),
            ("history_repeats", "0..1", "share of them that repeat an item"),
            ("last_item_events", "events", "events of the last item by anyone"),
            ("gap_before_last", "seconds", "between the last two events; empty in shorter sessions"),
        )
    )

    def fit(self, past: Tables, seed: int) -> FittedSessionShape:
        """Counts items."""
        return FittedSessionShape(past)


class FittedSessionShape(Blank):
    """Columns of the query."""

    def __init__(self, past: Tables) -> None:
        self._events = as_float(np.bincount(past.events.item, minlength=past.items.count))
        self._group = past.items.group
        self._groups = past.items.groups

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        now, old, count = queries.session, queries.history, len(queries)
        length = as_float(np.bincount(now.query, minlength=count))
        past_length = as_float(np.bincount(old.query, minlength=count))
        some = np.maximum(length, 1)
        last, newest, before = queries.last(), _age(queries, 1), _age(queries, 2)
        known = np.isin(now.query * queries.items + now.item, old.query * queries.items + old.item)
        found = {
            "session_length": length,
            "session_repeats": 1 - _distinct(queries.encode(now)) / some,
            "session_known": np.bincount(now.query, weights=known, minlength=count) / some,
            "history_length": past_length,
            "history_repeats": 1 - _distinct(queries.encode(old)) / np.maximum(past_length, 1),
            "last_item_events": np.where(last >= 0, self._events[np.maximum(last, 0)], 0),
            "gap_before_last": before - newest,
        }
        if self._group is not None:
            groups = queries.encode(now, columns=self._group, width=self._groups)
            found["session_variety"] = _distinct(groups) / some
            found["session_run"] = _run(queries, self._group)
        return {name: as_float(column)[pairs.query] for name, column in found.items()}


def _distinct(matrix: Sparse) -> FloatArray:
    matrix.sum_duplicates()
    return as_float(np.diff(matrix.indptr))


def _age(queries: Queries, lag: int) -> FloatArray:
    age = np.full(len(queries), np.nan, np.float32)
    rows = queries.trail.now & (queries.trail.lag == lag)
    age[queries.trail.query[rows]] = queries.trail.age[rows]
    return age


def _run(queries: Queries, group: IntArray) -> FloatArray:
    """Events in a row, from the last backwards, of the last event's group."""
    last = queries.last()
    wanted = np.where(last >= 0, group[np.maximum(last, 0)], -1)
    alive, run = last >= 0, np.zeros(len(queries), np.float32)
    for lag in range(1, 16):
        item = queries.last(lag)
        alive = alive & (item >= 0) & (group[np.maximum(item, 0)] == wanted)
        run += alive
    return run
