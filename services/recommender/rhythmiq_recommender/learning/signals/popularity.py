"""How much an item, its group and a listener are about: counts and ages. Sources: counting."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.signal import Blank, Feature, Pairs, Usable, as_float
from rhythmiq_recommender.learning.sparse import Block, only_top, rows_top
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, Need, Tables, binary

_GROUP = "popularity"
_ALWAYS_CANDIDATES = 30


class Popularity(Usable):
    """Needs nothing but interactions."""

    name = "popularity"
    needs = frozenset({Need.INTERACTIONS})
    features = (
        Feature("item_events", "events", _GROUP, "events of the item"),
        Feature("item_listeners", "listeners", _GROUP, "distinct listeners of the item"),
        Feature("item_age_hours", "hours", _GROUP, "since anyone last heard the item; empty without times"),
        Feature("item_share_of_group", "0..1", _GROUP, "events of the item / events of its group"),
        Feature("group_events", "events", _GROUP, "events of the item's group"),
        Feature("group_items", "items", _GROUP, "heard items of the item's group"),
        Feature("listener_events", "events", "listener", "events that the query knows of the listener"),
        Feature("listener_mainstream", "listeners", "listener", "mean item_listeners over what the listener heard"),
    )

    def fit(self, past: Tables, seed: int) -> FittedPopularity:
        """Counts."""
        return FittedPopularity(past)


class FittedPopularity(Blank):
    """`events`, `listeners`: (items,)."""

    def __init__(self, past: Tables) -> None:
        events, count = past.events, past.items.count
        self.events = as_float(np.bincount(events.item, minlength=count))
        self.listeners = as_float(np.asarray(binary(events.user, events.item, (past.users, count)).sum(0)).ravel())
        self._last = np.full(count, np.nan)
        if events.time is not None:
            latest = np.full(count, -np.inf)
            np.maximum.at(latest, events.item, events.time)
            self._last = np.where(np.isfinite(latest), latest, np.nan)
        self._group = past.items.group
        if self._group is not None:
            groups = past.items.groups
            self._group_events = as_float(np.bincount(self._group, weights=self.events, minlength=groups))
            self._group_items = as_float(np.bincount(self._group, weights=self.events > 0, minlength=groups))

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        item, query = pairs.item, pairs.query
        known = np.asarray(queries.encode(queries.trail).sum(1)).ravel()
        mean = np.asarray(queries.encode(queries.trail) @ self.listeners).ravel() / np.maximum(known, 1)
        found = {
            "item_events": self.events[item],
            "item_listeners": self.listeners[item],
            "item_age_hours": as_float((queries.time[query] - self._last[item]) / 3600),
            "listener_events": as_float(known)[query],
            "listener_mainstream": as_float(mean)[query],
        }
        if self._group is not None:
            group = self._group[item]
            found["item_share_of_group"] = as_float(self.events[item] / np.maximum(self._group_events[group], 1))
            found["group_events"] = self._group_events[group]
            found["group_items"] = self._group_items[group]
        return found

    def candidates(self, queries: Queries, blocks: Mapping[str, Block]) -> list[tuple[IntArray, IntArray]]:
        """The most heard items of all, so that nobody is left without any."""
        most = np.argsort(-self.events, kind="stable")[:_ALWAYS_CANDIDATES]
        return [(np.repeat(np.arange(len(queries)), len(most)), np.tile(most, len(queries)))]


def top_of_groups(ties: Block, members: Block, groups: int, items: int) -> tuple[IntArray, IntArray]:
    """(query, item): the `items` most tied items among the members of each query's `groups` most tied groups."""
    return rows_top(only_top(ties, groups) @ members, items)
