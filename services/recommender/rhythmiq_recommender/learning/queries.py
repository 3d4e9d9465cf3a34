"""What is asked, and all that is known when it is asked: one definition for training and serving.

Training builds queries from past events with `before`, serving from what it just read from storage; the signals cannot
tell the difference. A query's trail holds only what came before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhythmiq_recommender.learning.sparse import embed_pairs, places
from rhythmiq_recommender.learning.tables import BoolArray, Context, FloatArray, IntArray, RawArray, Sparse, Tables

LONGEST_SESSION = 500
"""Events of the current session that a query looks at."""
LONGEST_HISTORY = 3000
"""Earlier events that a query looks at."""


class LeakFound(AssertionError):
    """A query or a feature knows something from after the moment that it is asked for."""


@dataclass(frozen=True, slots=True)
class Trail:
    """What the listeners heard before, one event a row, sorted by query and then from old to new."""

    query: IntArray
    item: IntArray
    weight: FloatArray
    age: FloatArray
    """Seconds before the query; NaN where times are not known."""
    session: IntArray
    """-1 without sessions."""
    now: BoolArray
    """Part of the session that goes on."""
    lag: IntArray
    """1 is the newest event of its query, 2 the one before it."""

    def take(self, keep: BoolArray) -> Trail:
        """Those rows."""
        return Trail(*(getattr(self, name)[keep] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Queries:
    """`user` (-1: never seen), `time` in Unix seconds (NaN: unknown), one a query; their trails and surroundings."""

    user: IntArray
    time: RawArray
    trail: Trail
    items: int
    context: Context

    def __len__(self) -> int:
        return len(self.user)

    def __post_init__(self) -> None:
        late = self.trail.age < 0
        if late.any():
            raise LeakFound(
                f"query {self.trail.query[late][0]} knows an event of {-self.trail.age[late][0]:.0f} s later"
            )

    def encode(
        self, trail: Trail, weight: FloatArray | None = None, columns: IntArray | None = None, width: int = 0
    ) -> Sparse:
        """(queries x items) sums of weights over the trail; `columns` maps items to other columns, such as groups."""
        column = trail.item if columns is None else columns[trail.item]
        value = np.ones(len(trail.item), np.float32) if weight is None else weight
        return embed_pairs(trail.query, column, value, (len(self), width or self.items))

    @property
    def session(self) -> Trail:
        """Only the session that goes on."""
        return self.trail.take(self.trail.now)

    @property
    def history(self) -> Trail:
        """Only what came before the session that goes on."""
        return self.trail.take(~self.trail.now)

    def last(self, lag: int = 1) -> IntArray:
        """The item that many events back in the current session, -1 where the session is shorter."""
        found = np.full(len(self), -1, np.int64)
        rows = self.trail.now & (self.trail.lag == lag)
        found[self.trail.query[rows]] = self.trail.item[rows]
        return found

    def take(self, wanted: IntArray) -> Queries:
        """Those queries, renumbered in that order (ascending)."""
        number = np.full(len(self), -1, np.int64)
        number[wanted] = np.arange(len(wanted))
        some = self.trail.take(number[self.trail.query] >= 0)
        moved = Trail(number[some.query], some.item, some.weight, some.age, some.session, some.now, some.lag)
        return Queries(self.user[wanted], self.time[wanted], moved, self.items, self.context.take(wanted))


def of_users(tables: Tables, past: IntArray, users: IntArray) -> Queries:
    """One query a user, who has the `past` events (rows); for data without times."""
    events = tables.events
    number = np.full(tables.users, -1, np.int64)
    number[users] = np.arange(len(users))
    rows = past[number[events.user[past]] >= 0]
    rows = rows[np.argsort(number[events.user[rows]], kind="stable")]
    query = number[events.user[rows]]
    starts = np.searchsorted(query, np.arange(len(users) + 1))
    nothing = np.full(len(rows), np.nan, np.float32)
    lag = np.repeat(starts[1:], np.diff(starts)) - np.arange(len(rows))
    no = np.zeros(len(rows), np.bool_)
    trail = Trail(query, events.item[rows], events.weight[rows], nothing, np.full(len(rows), -1, np.int64), no, lag)
    return Queries(users, np.full(len(users), np.nan), trail, tables.items.count, Context())


def of_rows(tables: Tables, rows: IntArray) -> Queries:
    """One query a rated event, without a trail: what is asked is how this listener likes this item here and now."""
    none, empty = np.zeros(0, np.int64), np.zeros(0, np.float32)
    trail = Trail(none, none, empty, empty, none, np.zeros(0, np.bool_), none)
    time = np.full(len(rows), np.nan) if tables.events.time is None else tables.events.time[rows]
    return Queries(tables.events.user[rows], time, trail, tables.items.count, tables.context.take(rows))


def before(tables: Tables, targets: IntArray) -> Queries:
    """One query an event of a session: what comes next, knowing only what that listener heard before it."""
    events = tables.events
    if events.session is None or events.time is None:
        raise ValueError("queries before an event need sessions and times")
    first, user_first = _run_starts(events.session)[targets], _run_starts(events.user)[targets]
    now_query, now_row = _ranges(np.maximum(first, targets - LONGEST_SESSION), targets)
    old_query, old_row = _ranges(np.maximum(user_first, first - LONGEST_HISTORY), first)
    known = events.time[old_row] < events.time[targets][old_query]  # sessions may overlap
    old_query, old_row = old_query[known], old_row[known]
    query, row = np.r_[old_query, now_query], np.r_[old_row, now_row]
    current = np.r_[np.zeros(len(old_row), np.bool_), np.ones(len(now_row), np.bool_)]
    order = np.lexsort((row, query))
    query, row, current = query[order], row[order], current[order]
    ends = np.searchsorted(query, np.arange(len(targets)), side="right")
    trail = Trail(
        query,
        events.item[row],
        events.weight[row],
        (events.time[targets][query] - events.time[row]).astype(np.float32),
        events.session[row],
        current,
        ends[query] - np.arange(len(query)),
    )
    return Queries(events.user[targets], events.time[targets], trail, tables.items.count, tables.context.take(targets))


def _run_starts(values: IntArray) -> IntArray:
    """For each row, the first row of the run of equal values that it is in."""
    starts = np.r_[0, np.flatnonzero(np.diff(values)) + 1, len(values)].astype(np.int64)
    return np.repeat(starts[:-1], np.diff(starts))


def _ranges(low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """(query, row) for all rows low..high-1 of each query."""
    length = high - low
    query = np.repeat(np.arange(len(low), dtype=np.int64), length)
    return query, places(np.r_[0, np.cumsum(length)]) + low[query]
