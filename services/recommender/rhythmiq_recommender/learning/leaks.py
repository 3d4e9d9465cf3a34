"""Finds features that know the future, without trusting anyone: change the future, and see whether a feature moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rhythmiq_recommender.learning import queries as ask
from rhythmiq_recommender.learning.features import candidates, rows, score
from rhythmiq_recommender.learning.pipeline import fit_signals, next_events
from rhythmiq_recommender.learning.queries import LeakFound
from rhythmiq_recommender.learning.signals.signal import Signal
from rhythmiq_recommender.learning.tables import IntArray, RawArray, Tables, UnfitTables

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
