"""The same questions asked of groups (artists, shows): an artist goes on, another follows, and which of its items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.popularity import top_of_groups
from rhythmiq_recommender.learning.signals.signal import (
    PLAIN,
    SPARSE,
    Blank,
    Feature,
    Kind,
    Pairs,
    Usable,
    View,
    as_float,
)
from rhythmiq_recommender.learning.signals.transitions import Follows, decayed, one_hot
from rhythmiq_recommender.learning.sparse import Block, embed_pairs, rank_in, unit, values
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, Need, Sparse, Tables


def _block(name: str, unit_: str, source: str, views: tuple[View, ...] = PLAIN) -> Feature:
    return Feature(name, unit_, "groups", source, Kind.GROUP_BLOCK, views)


@dataclass(frozen=True, slots=True)
class Groups(Usable):
    """`own_items` of the last item's group, and `tied_items` of each of `tied_groups` groups, become candidates."""

    own_items: int = 250
    tied_groups: int = 8
    tied_items: int = 200
    alike_weight: float = 0.05
    next_weight: float = 0.0

    name = "groups"
    needs = frozenset({Need.SESSIONS, Need.TIMES, Need.GROUPS})
    features = (
        _block("group_lately", "decayed events", "events of the group in this session, later ones count more"),
        _block("group_in_session", "events", "events of the group in this session"),
        _block("group_heard", "events", "earlier events of the group by the listener"),
        _block("group_next", "count", "how often the group followed the last item's", SPARSE),
        _block("group_around", "decayed count", "groups within 5 of the session's, either way", SPARSE),
        _block("group_alike", "decayed cosine", "groups with the same listeners as the session's", SPARSE),
        _block("group_alike_listener", "cosine", "groups with the same listeners as the listener's", SPARSE),
        Feature("group_next_chance", "0..1", "groups", "group_next / (how often anything followed + 3)"),
        Feature("group_next_item", "0..1", "groups", "group_next_chance x item_share_of_group"),
        Feature("group_alike_item", "decayed cosine", "groups", "group_alike x item_share_of_group"),
        Feature("same_group", "0 or 1", "groups", "the last item's group"),
        Feature("group_session_share", "0..1", "groups", "share of this session's events"),
        Feature("rank_in_group", "rank", "groups", "among the candidates of the group, most heard first"),
        Feature("last_group_items", "items", "groups", "heard items of the last item's group"),
    )

    def fit(self, past: Tables, seed: int) -> FittedGroups:
        """Counts groups in order and by listener."""
        return FittedGroups(past, self)


class FittedGroups(Blank):
    """Group-to-group counts and cosines."""

    def __init__(self, past: Tables, settings: Groups) -> None:
        events, group = past.events, past.items.group
        assert group is not None
        assert events.session is not None
        self._settings, self._group, self._width = settings, group, past.items.groups
        column = group[events.item]
        self._follows = Follows.count(events.session, column, self._width, reach=5)
        heard = embed_pairs(events.user, column, np.ones(len(column), np.float32), (past.users, self._width))
        heard.sum_duplicates()
        heard.data = np.log1p(heard.data)
        by_listener = unit(heard, 0)
        self._alike = (by_listener.T @ by_listener).tocsr()
        self._alike.setdiag(0)
        self._alike.eliminate_zeros()
        self._events = as_float(np.bincount(events.item, minlength=past.items.count))
        seen = np.flatnonzero(self._events)
        self._members = embed_pairs(group[seen], seen, self._events[seen], (self._width, past.items.count))
        self._group_events = as_float(np.asarray(self._members.sum(1)).ravel())
        self._group_items = as_float(np.diff(self._members.indptr))

    def _last(self, queries: Queries) -> IntArray:
        item = queries.last()
        return np.where(item >= 0, self._group[np.maximum(item, 0)], -1)

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        now, old = queries.session, queries.history
        lately = queries.encode(now, decayed(now), self._group, self._width)
        flat = queries.encode(now, columns=self._group, width=self._width)
        heard = queries.encode(old, columns=self._group, width=self._width)
        return {
            "group_lately": lately,
            "group_in_session": flat,
            "group_heard": heard,
            "group_next": one_hot(self._last(queries), self._width) @ self._follows.next,
            "group_around": lately @ self._follows.around,
            "group_alike": lately @ self._alike,
            "group_alike_listener": (flat + 0.5 * heard).tocsr() @ self._alike,
        }

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        last, group, query = self._last(queries), self._group[pairs.item], pairs.query
        blocks = self.blocks(queries)
        share = self._events[pairs.item] / np.maximum(self._group_events[group], 1)
        out = np.where(last >= 0, self._follows.out[np.maximum(last, 0)], 0)[query]
        chance = values(blocks["group_next"], query, group) / (out + 3)
        length = np.maximum(np.bincount(queries.session.query, minlength=len(queries)), 1)
        found = {
            "group_next_chance": chance,
            "group_next_item": chance * share,
            "group_alike_item": values(blocks["group_alike"], query, group) * share,
            "same_group": group == last[query],
            "group_session_share": values(blocks["group_in_session"], query, group) / length[query],
            "rank_in_group": rank_in(query * self._width + group, self._events[pairs.item]),
            "last_group_items": np.where(last >= 0, self._group_items[np.maximum(last, 0)], 0)[query],
        }
        return {name: as_float(column) for name, column in found.items()}

    def candidates(self, queries: Queries, blocks: Mapping[str, Block]) -> list[tuple[IntArray, IntArray]]:
        own: Sparse = one_hot(self._last(queries), self._width)
        settings = self._settings
        ties = (
            blocks["group_lately"]
            + settings.alike_weight * blocks["group_alike"]
            + settings.next_weight * blocks["group_next"]
        )
        tied = top_of_groups(unit(ties.tocsr()), self._members, settings.tied_groups, settings.tied_items)
        return [top_of_groups(own, self._members, 1, settings.own_items), tied]
