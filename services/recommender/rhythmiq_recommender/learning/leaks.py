"""Finds features that know the future, without trusting anyone: change the future, and see whether a feature moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rhythmiq_recommender.learning import queries as ask
from rhythmiq_recommender.learning.features import candidates, rows, score
from rhythmiq_recommender.learning.listening import Catalogue
from rhythmiq_recommender.learning.pipeline import fit_signals, next_events
from rhythmiq_recommender.learning.queries import LeakFound
from rhythmiq_recommender.learning.served.reader import fit_served
from rhythmiq_recommender.learning.served.registry import SERVED_NAMES
from rhythmiq_recommender.learning.signals.signal import Signal
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray, Tables, UnfitTables
from rhythmiq_recommender.learning.visits import Ask

_MOST = 200


def probe(
    tables: Tables, moment: float, signals: Sequence[Signal], *, past: IntArray | None = None, seed: int = 0
) -> tuple[str, ...]:
    """Names of the features that were checked; raises LeakFound with the names of those that know of later events.

    Every event from `moment` (Unix seconds) on gets another item; queries asked at the first event after it must see
    the same candidates and the same features. `past`: rows that the pipeline under test fits on (default: those before
    `moment`).
    """
    time = tables.events.time
    if time is None:
        raise UnfitTables("without times nothing is later than anything")
    later = time >= moment
    changed = tables.events.item.copy()
    changed[later] = np.random.default_rng(seed).integers(0, tables.items.count, int(later.sum()))
    asked = _asked(tables, moment)
    learned = np.flatnonzero(~later) if past is None else past
    other = replace(tables, events=replace(tables.events, item=changed))
    names, one = _features(tables, signals, learned, asked)
    others, two = _features(other, signals, learned, asked)
    if names != others or one.shape != two.shape:
        raise LeakFound("the candidates of a query change with what happens after it")
    moved = [name for k, name in enumerate(names) if not np.array_equal(one[:, k], two[:, k], equal_nan=True)]
    if moved:
        raise LeakFound(f"features that know of later events: {', '.join(moved)}")
    return names


def probe_visits(
    tables: Tables, catalogue: Catalogue, kind: int, moment: float, *, past: IntArray | None = None, seed: int = 0
) -> tuple[str, ...]:
    """The same for what is served: queries of the first visits after `moment`, with every event after it changed.

    Returns the names of the features that were checked. Raises LeakFound with those that know of later events.
    """
    time, rating = tables.events.time, tables.events.rating
    if time is None or rating is None:
        raise UnfitTables("without times and verdicts nothing is served")
    later = time >= moment
    chance, number = np.random.default_rng(seed), int(later.sum())
    item, verdict = tables.events.item.copy(), rating.copy()
    item[later] = chance.choice(item[~later], number)
    verdict[later] = chance.choice(np.array([-1, 1], np.float32), number)
    other = replace(tables, events=replace(tables.events, item=item, rating=verdict))
    learned = np.flatnonzero(~later) if past is None else past
    one, two = (_served(world, catalogue, kind, moment, learned) for world in (tables, other))
    moved = [name for k, name in enumerate(SERVED_NAMES) if not _same(one[1][:, k], two[1][:, k])]
    if moved:
        raise LeakFound(f"features that know of later events: {', '.join(moved)}")
    if not np.array_equal(one[0], two[0]):
        raise LeakFound("the candidates of a visit change with what happens after it")
    return SERVED_NAMES


def _served(
    tables: Tables, catalogue: Catalogue, kind: int, moment: float, learned: IntArray
) -> tuple[BoolArray, FloatArray]:
    """Which items are candidates, and features of all items, of the first visit of each listener after the moment."""
    reader = fit_served(tables.take(learned), catalogue, kind).onto(catalogue)
    ask = Ask(tables)
    visits = ask.between(moment, float("inf"), most=_MOST, seed=0)
    known = visits.first > visits.begin
    visits = visits.take(known & (ask.time[visits.first - 1] < moment))
    if not len(visits):
        raise UnfitTables("nobody who was known came back after that moment")
    rows_ = np.arange(len(catalogue))
    found, x = [], []
    for number in range(len(visits)):
        seen = ask.seen(reader, visits, number)
        found.append(np.isin(rows_, reader.candidates(seen, reader.shelf.of_kind, len(catalogue) // 3)))
        x.append(reader.features(seen, rows_))
    return np.concatenate(found), np.concatenate(x)


def _same(one: FloatArray, two: FloatArray) -> bool:
    return np.array_equal(one, two, equal_nan=True)


def _asked(tables: Tables, moment: float) -> IntArray:
    """Events after the moment whose session was going on, and whose listener did nothing in between."""
    time = tables.events.time
    assert time is not None
    rows_ = next_events(tables, time >= moment)
    rows_ = rows_[time[rows_ - 1] < moment]
    if not len(rows_):
        raise UnfitTables("no session was going on at that moment")
    trail = ask.before(tables, rows_).trail
    busy = np.zeros(len(rows_), np.bool_)
    busy[trail.query[time[rows_][trail.query] - trail.age >= moment]] = True
    return rows_[~busy][:_MOST]


def _features(
    tables: Tables, signals: Sequence[Signal], past: IntArray, asked: IntArray
) -> tuple[tuple[str, ...], RawArray]:
    fitted = fit_signals(tables, past, signals)
    queries = ask.before(tables, asked)
    scored = score(fitted, queries)
    allowed = np.ones(tables.items.count, np.bool_)
    pairs = candidates(scored, queries, allowed, None)
    names, x = rows(scored, queries, pairs, None, tables.items.group)
    return names, x.astype(np.float64)
