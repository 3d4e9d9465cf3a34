"""Queries as serving will get them, replayed: somebody comes, in some surroundings, and likes some of what follows.

One query a session (a visit), at its start or at a random place in it. What the listener did strictly before is the
trail, the surroundings are those at that moment, and the answers are the items whose verdicts in the rest of the
session add up to a yes, and that were not played in it before: what is playing already is nobody's next item, and
would be foretold too easily. The signals that are asked were fitted on strictly earlier events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.features import Frame
from rhythmiq_recommender.learning.history import LONGEST_HISTORY
from rhythmiq_recommender.learning.queries import LeakFound
from rhythmiq_recommender.learning.served.reader import Reader
from rhythmiq_recommender.learning.served.registry import SERVED_NAMES
from rhythmiq_recommender.learning.served.shelf import Seen, Trail
from rhythmiq_recommender.learning.tables import BoolArray, IntArray, Tables, UnfitTables

MOST_ANSWERS: Final = 20
"""Answers of a query that training learns from."""


@dataclass(frozen=True, slots=True)
class Visits:
    """One query a row: events `first`..`last`-1 are the rest of the session, `begin`..`first`-1 what came before."""

    begin: IntArray
    first: IntArray
    last: IntArray

    def __len__(self) -> int:
        return len(self.first)

    def take(self, rows: IntArray | BoolArray) -> Visits:
        """Those queries."""
        return Visits(self.begin[rows], self.first[rows], self.last[rows])


class Ask:
    """Turns events into queries: the columns of tables that are looked at again and again."""

    def __init__(self, tables: Tables) -> None:
        events = tables.events
        if events.session is None or events.time is None or events.rating is None or events.start is None:
            raise UnfitTables("visits need sessions, times and verdicts")
        self.tables = tables
        self.user, self.item, self.session = events.user, events.item, events.session
        self.time, self.start, self.verdict = events.time, events.start, events.rating
        opens = np.r_[True, self.session[1:] != self.session[:-1]]
        self._opened: IntArray = np.maximum.accumulate(np.where(opens, np.arange(len(events)), 0))
        unknown = np.full(len(events), -1, np.int8)
        named = tables.context.categories
        self.codes: NDArray[np.int8] = np.stack(
            [named[kind].astype(np.int8) if kind in named else unknown for kind in KINDS], axis=1
        )

    def between(
        self, low: float, high: float, *, most: int, seed: int, history: tuple[int, int] | None = None
    ) -> Visits:
        """At most `most` visits of sessions that began in [low, high), drawn at random; half of them at their start.

        `history`: only listeners with so many earlier events (from, below).
        """
        chance = np.random.default_rng(seed)
        opens = np.flatnonzero(np.r_[True, self.session[1:] != self.session[:-1]])
        ends = np.r_[opens[1:], len(self.session)]
        begin = np.searchsorted(self.user, self.user[opens])
        inside = (self.start[opens] >= low) & (self.start[opens] < high)
        if history is not None:
            inside &= (opens - begin >= history[0]) & (opens - begin < history[1])
        kept = np.flatnonzero(inside)
        if len(kept) > most:
            kept = np.sort(chance.choice(kept, most, replace=False))
        opens, ends, begin = opens[kept], ends[kept], begin[kept]
        later = chance.random(len(kept)) < 0.5
        cut = opens + np.where(later, np.floor(chance.random(len(kept)) * (ends - opens)), 0).astype(np.int64)
        # Events of one instant belong together: the query stands before the first of them.
        cut = np.maximum(opens, _first_of_instant(self.session, self.time)[cut])
        return Visits(begin, cut, ends)

    def answered(self, visits: Visits) -> Visits:
        """Those after which something was liked."""
        return visits.take(
            np.array([len(self.answers(visits, number)[0]) > 0 for number in range(len(visits))], np.bool_)
        )

    def seen(self, reader: Reader, visits: Visits, number: int, newest: int = LONGEST_HISTORY) -> Seen:
        """What is known when query `number` is asked, from the `newest` events before it.

        Raises LeakFound if anything is from later.
        """
        first = int(visits.first[number])
        before = slice(max(int(visits.begin[number]), first - newest), first)
        trail = Trail(self.item[before], self.time[before], self.verdict[before], self.codes[before])
        time = float(self.time[first])
        if len(trail.time) and float(trail.time.max()) >= time:
            # Sessions of one listener never overlap, so these tables are not in order.
            raise LeakFound(f"a query knows an event of {float(trail.time.max()) - time:.0f} s later")
        return Seen(reader.shelf, trail, time, self.codes[first])

    def answers(self, visits: Visits, number: int) -> tuple[IntArray, IntArray]:
        """(liked, disliked) rows of the rest of the session, without what was in it before."""
        first = int(visits.first[number])
        rest = slice(first, int(visits.last[number]))
        items, inverse = np.unique(self.item[rest], return_inverse=True)
        total = np.bincount(inverse, weights=self.verdict[rest])
        total[np.isin(items, self.item[int(self._opened[min(first, len(self.item) - 1)]) : first])] = 0
        return items[total > 0], items[total < 0]


def _first_of_instant(session: IntArray, time: NDArray[np.float64]) -> IntArray:
    """For each event the first one of its session with the same time."""
    new = np.r_[True, (session[1:] != session[:-1]) | (time[1:] != time[:-1])]
    return np.maximum.accumulate(np.where(new, np.arange(len(session)), 0))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How rows to learn from are drawn."""

    candidates: int = 200
    """Candidates that are put forward for each query."""
    kept: int = 30
    """Of those so many stay as negatives, drawn at random."""
    popular: int = 6
    """Further negatives, drawn as often as they are liked."""
    any: int = 4
    """Further negatives, drawn from all items."""
    cold: float = 0.15
    """Share of queries whose listener is taken for a newcomer: only the newest few events are known."""
    cold_events: int = 10
    """Fewer than so many."""


def training_frame(reader: Reader, ask: Ask, visits: Visits, *, sampling: Sampling, seed: int) -> Frame:
    """Rows to learn from: answers, what was disliked, and negatives from all sources; of queries that have answers.

    Raises UnfitTables if none has one.
    """
    chance = np.random.default_rng(seed)
    likes = reader.likes * reader.shelf.of_kind
    popular = np.cumsum(likes) / max(float(likes.sum()), 1.0)
    everything = np.flatnonzero(reader.shelf.of_kind)
    allowed = reader.shelf.of_kind

    def rows(number: int, seen: Seen) -> tuple[IntArray, IntArray, int] | None:
        liked, disliked = ask.answers(visits, number)
        if not len(liked):
            return None
        total = len(liked)
        if len(liked) > MOST_ANSWERS:
            liked = np.sort(chance.choice(liked, MOST_ANSWERS, replace=False))
        offered = reader.candidates(seen, allowed, sampling.candidates)
        if len(offered) > sampling.kept:
            offered = chance.choice(offered, sampling.kept, replace=False)
        drawn = np.minimum(np.searchsorted(popular, chance.random(sampling.popular)), len(likes) - 1)
        others = everything[chance.integers(0, len(everything), sampling.any)]
        return np.unique(np.concatenate([liked, disliked, offered, drawn, others])), liked, total

    most = MOST_ANSWERS + sampling.kept + sampling.popular + sampling.any
    cold = chance.random(len(visits)) < sampling.cold
    newest = np.where(cold, chance.integers(0, sampling.cold_events, len(visits)), LONGEST_HISTORY)
    return _frame(reader, ask, visits, rows, most, newest)


def asked_frame(reader: Reader, ask: Ask, visits: Visits, *, candidates: int, newest: IntArray | None = None) -> Frame:
    """Rows to judge by: what would be offered. Answers that are not offered count as missed.

    `newest`: of each query, how many events before it are known (default: all).
    """

    def rows(number: int, seen: Seen) -> tuple[IntArray, IntArray, int] | None:
        liked, _ = ask.answers(visits, number)
        return (reader.candidates(seen, reader.shelf.of_kind, candidates), liked, len(liked)) if len(liked) else None

    return _frame(reader, ask, visits, rows, candidates, newest)


Rows = Callable[[int, Seen], tuple[IntArray, IntArray, int] | None]
"""(rows to show, those of them that are answers, number of all answers) of a query; None to leave it out."""


def _frame(reader: Reader, ask: Ask, visits: Visits, rows: Rows, most: int, newest: IntArray | None = None) -> Frame:
    """One query after the other; `most` is a guess at rows a query, which the matrix outgrows where it must."""
    x = np.empty((max(len(visits), 1) * most, len(SERVED_NAMES)), np.float32)
    items, labels, sizes, positives, users = [], [], [], [], []
    end = 0
    for number in range(len(visits)):
        seen = ask.seen(reader, visits, number, LONGEST_HISTORY if newest is None else int(newest[number]))
        found = rows(number, seen)
        if found is None:
            continue
        shown, liked, total = found
        if end + len(shown) > len(x):
            x = np.vstack([x, np.empty((max(len(shown), len(x) // 4), x.shape[1]), np.float32)])
        x[end : end + len(shown)] = reader.features(seen, shown)
        end += len(shown)
        items.append(shown)
        labels.append(np.isin(shown, liked))
        sizes.append(len(shown))
        positives.append(total)
        users.append(int(ask.user[visits.first[number]]))
    if not items:
        raise UnfitTables("nobody liked anything in the visits that are asked about: nothing can be learned from them")
    query = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    return Frame(
        SERVED_NAMES,
        x[:end],
        query,
        np.concatenate(items),
        np.concatenate(labels),
        np.array(positives, np.int64),
        np.array(users, np.int64),
    )
