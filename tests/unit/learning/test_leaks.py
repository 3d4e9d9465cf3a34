"""Nothing later than the event is used: a planted leak is caught, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import planted
import pytest
from packages import CUT, trained

from rhythmiq_recommender.learning.features import usable
from rhythmiq_recommender.learning.leaks import probe, probe_visits
from rhythmiq_recommender.learning.pipeline import DAY, Slice
from rhythmiq_recommender.learning.queries import LeakFound, Queries, before, of_rows, of_users
from rhythmiq_recommender.learning.signals.popularity import Popularity
from rhythmiq_recommender.learning.signals.signal import Blank, Feature, Pairs, Usable
from rhythmiq_recommender.learning.tables import FloatArray, Need, Tables, UnfitTables
from rhythmiq_recommender.learning.visits import Ask


@dataclass(frozen=True)
class KnowsTheFuture(Usable):
    """A signal that kept the whole table when it was made."""

    everything: Tables

    name = "prophet"
    needs = frozenset({Need.INTERACTIONS})
    features = (Feature("item_starts", "events", "popularity", "planted leak"),)

    def fit(self, past: Tables, seed: int) -> Prophet:
        return Prophet(self.everything)


class Prophet(Blank):
    def __init__(self, everything: Tables) -> None:
        self._count = np.bincount(everything.events.item, minlength=everything.items.count).astype(np.float32)

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        return {"item_starts": self._count[pairs.item]}


MOMENT = 4 * DAY + 40_000


def test_no_signal_of_the_product_knows_the_future() -> None:
    tables = planted.sessions()
    signals, _ = usable(tables)
    names = probe(tables, MOMENT, signals)
    assert {"next", "together", "group_next", "item_events", "own_next", "session_length"} <= set(names)


def test_fitting_on_later_events_is_caught_by_name() -> None:
    tables = planted.sessions()
    signals, _ = usable(tables)
    with pytest.raises(LeakFound):
        probe(tables, MOMENT, signals, past=np.arange(len(tables.events)))
    with pytest.raises(LeakFound, match="item_events"):
        # popularity offers the same candidates whatever happens, when all items are offered anyway
        probe(replace(tables, items=replace(tables.items, count=80)), MOMENT, [_AllItems()], past=np.arange(3600))


class _AllItems(Popularity):
    def fit(self, past: Tables, seed: int):  # type: ignore[no-untyped-def]
        fitted = super().fit(past, seed)
        everything = np.arange(past.items.count)

        def offer(queries: Queries, blocks: object) -> list[tuple[np.ndarray, np.ndarray]]:
            return [(np.repeat(np.arange(len(queries)), len(everything)), np.tile(everything, len(queries)))]

        fitted.candidates = offer  # type: ignore[method-assign]
        return fitted


def test_a_signal_that_kept_later_events_is_caught() -> None:
    tables = planted.sessions()
    original = probe(tables, MOMENT, [Popularity()])
    assert "item_events" in original
    time = tables.events.time
    assert time is not None
    swapped = replace(tables, events=replace(tables.events, item=(tables.events.item + 1) % 80))

    class Follows(KnowsTheFuture):
        """Is handed each version of the world as it is built, like a signal with a database of its own."""

        def fit(self, past: Tables, seed: int) -> Prophet:
            worlds.append(tables if not worlds else swapped)
            return Prophet(worlds[-1])

    worlds: list[Tables] = []
    with pytest.raises(LeakFound, match="item_starts"):
        probe(tables, MOMENT, [Popularity(), Follows(tables)])


def test_nothing_that_is_served_knows_the_future() -> None:
    one = trained()
    names = probe_visits(one.tables, one.catalogue, 1, CUT)
    assert {"likes_log", "alike", "soon_chance", "sound_leaning", "lift_item_in_activity", "own_verdict"} <= set(names)


def test_served_signals_that_learn_from_later_events_are_caught_by_name() -> None:
    one = trained()
    everything = np.arange(len(one.tables.events))
    with pytest.raises(LeakFound, match="likes_log"):
        probe_visits(one.tables, one.catalogue, 1, CUT, past=everything)
    few = np.flatnonzero(np.isin(one.tables.events.user, np.arange(3)))
    with pytest.raises(LeakFound):
        probe_visits(one.tables, one.catalogue, 1, CUT, past=few)


def test_a_visit_refuses_a_trail_that_is_out_of_order() -> None:
    one = trained()
    ask = Ask(one.tables)
    visits = ask.between(CUT, float("inf"), most=1, seed=0)
    ask.time = -ask.time
    with pytest.raises(LeakFound, match="later"):
        ask.seen(one.reader, visits, 0)


def test_visits_need_verdicts_and_somebody_who_comes_back() -> None:
    one = trained()
    with pytest.raises(UnfitTables, match="verdicts"):
        probe_visits(planted.sessions(), one.catalogue, 1, MOMENT)
    with pytest.raises(UnfitTables, match="came back"):
        probe_visits(one.tables, one.catalogue, 1, CUT + 60 * DAY)


def test_an_event_cannot_be_learned_from_and_asked_about() -> None:
    with pytest.raises(LeakFound):
        Slice(np.array([1, 2, 3]), np.array([3]))


def test_a_query_refuses_to_know_what_came_after_it() -> None:
    tables = planted.sessions()
    queries = before(tables, np.array([5, 25]))
    assert (queries.trail.age >= 0).all()
    later = replace(queries.trail, age=queries.trail.age - 10_000_000)
    with pytest.raises(LeakFound, match="later"):
        replace(queries, trail=later)


def test_times_and_sessions_are_needed_to_ask_what_comes_next() -> None:
    sets = planted.sets()
    with pytest.raises(UnfitTables, match="times"):
        probe(sets, 0.0, [Popularity()])
    with pytest.raises(ValueError, match="sessions"):
        before(sets, np.array([1]))
    with pytest.raises(UnfitTables, match="going on"):
        probe(planted.sessions(), 1e9, [Popularity()])


def test_training_and_serving_see_the_same_features() -> None:
    """A query that serving builds from a listener's own events equals the one that training builds from the table."""
    tables = planted.sessions()
    many = before(tables, np.array([5, 25, 640]))
    alone = before(tables, np.array([640]))
    picked = many.take(np.array([2]))
    for name in ("item", "lag", "age", "now"):
        assert np.array_equal(getattr(picked.trail, name), getattr(alone.trail, name))
    assert np.array_equal(picked.last(), alone.last())
    assert len(of_rows(tables, np.array([1, 2]))) == 2
    assert len(of_users(tables, np.arange(100), np.array([0, 1])).trail.item) > 0
