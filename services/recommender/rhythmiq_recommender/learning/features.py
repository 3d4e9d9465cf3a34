"""The one list of named features, and the one way to compute them, for training and for serving.

`REGISTRY` has every feature with unit, group and source; `rows` turns fitted signals, queries and candidates into a
matrix whose columns carry those names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.served.registry import SERVED_FEATURES
from rhythmiq_recommender.learning.signals.ease import Ease
from rhythmiq_recommender.learning.signals.effects import Effects
from rhythmiq_recommender.learning.signals.factors import Factors
from rhythmiq_recommender.learning.signals.groups import Groups
from rhythmiq_recommender.learning.signals.knn import Neighbours
from rhythmiq_recommender.learning.signals.popularity import Popularity
from rhythmiq_recommender.learning.signals.rates import Rates
from rhythmiq_recommender.learning.signals.session import SessionNeighbours, SessionShape
from rhythmiq_recommender.learning.signals.signal import Feature, Fitted, Kind, Pairs, Signal, View
from rhythmiq_recommender.learning.signals.surroundings import Surroundings
from rhythmiq_recommender.learning.signals.taste import Taste
from rhythmiq_recommender.learning.signals.transitions import Transitions
from rhythmiq_recommender.learning.sparse import Block, top, values
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, Tables, UnfitTables

FEATURES_VERSION = 2
"""Raised when a feature of the same name means something else."""
RANK_LIMIT = 256


def all_signals() -> tuple[Signal, ...]:
    """Every signal for studies of data sets, with its defaults; those that are served stand in `served.registry`."""
    return (
        Popularity(),
        Ease(),
        Neighbours(),
        Factors(),
        Transitions(),
        SessionNeighbours(),
        SessionShape(),
        Groups(),
        Taste(),
        Surroundings(),
        Rates(),
        Effects(),
    )


def _registry() -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    studied = [feature for signal in all_signals() for feature in signal.features]
    for feature in (*studied, *SERVED_FEATURES):
        for column in feature.columns:
            if column in found:
                raise AssertionError(f"two features are called {column}")
            found[column] = feature
    return found


REGISTRY: Mapping[str, Feature] = _registry()
"""Column name to its feature."""
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(feature.group for feature in REGISTRY.values()))


def usable(tables: Tables, signals: Sequence[Signal] | None = None) -> tuple[tuple[Signal, ...], dict[str, str]]:
    """The signals whose needs the tables meet, and why the others are left out. Raises UnfitTables if none is left."""
    chosen, left_out = [], {}
    for signal in all_signals() if signals is None else signals:
        missing = signal.needs - tables.has
        if missing:
            left_out[signal.name] = f"the tables have no {', '.join(sorted(missing))}"
        elif reason := signal.refuses(tables):
            left_out[signal.name] = reason
        else:
            chosen.append(signal)
    if not chosen:
        raise UnfitTables(f"no signal can be used: {left_out}")
    return tuple(chosen), left_out


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows to rank: `x` (rows x names); `query` ascending from 0; `positives` of each query, retrieved or not."""

    names: tuple[str, ...]
    x: FloatArray
    query: IntArray
    item: IntArray
    label: BoolArray
    positives: IntArray
    user: IntArray
    """Of each query: intervals are over users."""

    def take(self, keep: BoolArray) -> Frame:
        """Those rows; queries keep their numbers."""
        some: dict[str, Any] = {
            "x": self.x[keep],
            "query": self.query[keep],
            "item": self.item[keep],
            "label": self.label[keep],
        }
        return replace(self, **some)

    def select(self, names: Sequence[str]) -> Frame:
        """Only those columns. Raises KeyError for one that is not there."""
        place = {name: number for number, name in enumerate(self.names)}
        return replace(self, names=tuple(names), x=np.ascontiguousarray(self.x[:, [place[name] for name in names]]))

    def without_groups(self, groups: frozenset[str]) -> Frame:
        """Without the columns of those feature groups."""
        return self.select([name for name in self.names if REGISTRY[name].group not in groups])


def stack(frames: Sequence[Frame]) -> Frame:
    """One below the other, queries renumbered. All need the same columns."""
    first = frames[0]
    if any(frame.names != first.names for frame in frames):
        raise ValueError("frames with different features cannot be stacked")
    offset = np.cumsum([0, *(len(frame.positives) for frame in frames)])
    return Frame(
        first.names,
        np.vstack([frame.x for frame in frames]),
        np.concatenate([frame.query + start for frame, start in zip(frames, offset, strict=False)]),
        np.concatenate([frame.item for frame in frames]),
        np.concatenate([frame.label for frame in frames]),
        np.concatenate([frame.positives for frame in frames]),
        np.concatenate([frame.user for frame in frames]),
    )


Scored = list[tuple[Signal, Fitted, Mapping[str, Block]]]


def score(fitted: Sequence[tuple[Signal, Fitted]], queries: Queries) -> Scored:
    """Blocks of all signals."""
    return [(signal, model, model.blocks(queries)) for signal, model in fitted]


def candidates(scored: Scored, queries: Queries, allowed: BoolArray, known: BoolArray | None) -> Pairs:
    """The best of each source, joined. `allowed`: (items,); `known`: (queries x items), never candidates."""
    found: list[IntArray] = []
    closed = ~allowed[None, :] if known is None else known | ~allowed[None, :]
    closed = np.broadcast_to(closed, (len(queries), queries.items))
    for signal, model, blocks in scored:
        for feature in signal.features:
            if feature.candidates and feature.name in blocks:
                query, item = top(blocks[feature.name], feature.candidates, closed)
                found.append(query * queries.items + item)
        found += [query * queries.items + item for query, item in model.candidates(queries, blocks)]
    key = np.unique(np.concatenate(found))
    query, item = key // queries.items, key % queries.items
    keep = allowed[item] if known is None else allowed[item] & ~known[query, item]
    return Pairs(query[keep], item[keep])


def rows(
    scored: Scored, queries: Queries, pairs: Pairs, known: BoolArray | None, group: IntArray | None
) -> tuple[tuple[str, ...], FloatArray]:
    """Names and (pairs x names) values, in the order of the registry."""
    columns: dict[str, FloatArray] = {}
    for signal, model, blocks in scored:
        plain = model.columns(queries, pairs)
        for feature in signal.features:
            if feature.kind is Kind.PAIR:
                if feature.name in plain:
                    columns[feature.name] = plain[feature.name]
            elif feature.name in blocks:
                column = pairs.item if feature.kind is Kind.ITEM_BLOCK or group is None else group[pairs.item]
                closed = known if feature.kind is Kind.ITEM_BLOCK else None
                columns |= _views(feature, blocks[feature.name], pairs.query, column, closed)
    return tuple(columns), np.stack(list(columns.values()), axis=1).astype(np.float32, copy=False)


def _views(
    feature: Feature, block: Block, query: IntArray, column: IntArray, known: BoolArray | None
) -> dict[str, FloatArray]:
    value = values(block, query, column)
    found = {feature.name: value}
    if View.REL in feature.views:
        best = np.asarray(
            block.max(axis=1).todense() if not isinstance(block, np.ndarray) else block.max(axis=1)
        ).ravel()
        found[feature.name + View.REL.value] = value / np.maximum(best[query], np.float32(1e-9))
    if View.REL20 in feature.views and isinstance(block, np.ndarray):
        row, best_item = top(block, RANK_LIMIT, known)
        place = _place(row, block.shape[0])
        twentieth = np.zeros(block.shape[0], np.float32)
        at = place == np.minimum(20, np.bincount(row, minlength=block.shape[0])[row] - 1)
        twentieth[row[at]] = block[row[at], best_item[at]]
        floor = np.maximum(np.abs(twentieth[query]), np.float32(1e-6))
        found[feature.name + View.REL20.value] = (value / floor).astype(np.float32)
        rank = np.full(block.shape, RANK_LIMIT, np.int16)
        rank[row, best_item] = place
        found[feature.name + View.RANK.value] = np.log1p(rank[query, column].astype(np.float32)).astype(np.float32)
    return found


def _place(row: IntArray, count: int) -> IntArray:
    """Position of each entry within its row (rows ascending)."""
    starts = np.searchsorted(row, np.arange(count))
    return np.arange(len(row), dtype=np.int64) - starts[row]
