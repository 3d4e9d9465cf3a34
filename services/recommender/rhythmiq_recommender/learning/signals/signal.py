"""What a signal is: it declares its inputs and features, is fitted on the past, and scores queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.sparse import Block
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, Need, Tables


class Kind(StrEnum):
    """What a feature describes."""

    ITEM_BLOCK = "query x item"
    GROUP_BLOCK = "query x group of the item"
    PAIR = "pair"


class View(StrEnum):
    """How a block becomes columns."""

    VALUE = ""
    REL = "_rel"
    """Divided by the best value of the query."""
    REL20 = "_rel20"
    """Divided by the 20th best value of the query among items that are new to it: steadier for dense scores."""
    RANK = "_rank"
    """log(1 + rank) within the query, ranks beyond 256 count as 256."""


SPARSE = (View.VALUE, View.REL)
DENSE = (View.VALUE, View.REL20, View.RANK)
PLAIN = (View.VALUE,)


@dataclass(frozen=True, slots=True)
class Feature:
    """A named feature; every view of a block is a column of its own."""

    name: str
    unit: str
    group: str
    """Groups are switched on and off together: in model selection, ablation and explanation."""
    source: str
    kind: Kind = Kind.PAIR
    views: tuple[View, ...] = PLAIN
    candidates: int = 0
    """So many best items of the block become candidates of each query."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns."""
        return tuple(self.name + view.value for view in self.views)


@dataclass(frozen=True, slots=True)
class Pairs:
    """(query, item) pairs to score, sorted by query."""

    query: IntArray
    item: IntArray

    def __len__(self) -> int:
        return len(self.query)


class Fitted(Protocol):
    """A signal that has learned from the past."""

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        """Scores of its block features for all items (or groups)."""
        ...

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        """Its pair features, one value a pair."""
        ...

    def candidates(self, queries: Queries, blocks: Mapping[str, Block]) -> list[tuple[IntArray, IntArray]]:
        """Further candidates, as (query, item)."""
        ...


class Signal(Protocol):
    """Knows how to be fitted. Implementations are stateless and hold only their settings."""

    @property
    def name(self) -> str:
        """Unique."""
        ...

    @property
    def needs(self) -> frozenset[Need]:
        """Without these in the tables the signal is left out."""
        ...

    @property
    def features(self) -> tuple[Feature, ...]:
        """All that it may give; a fitted signal gives those that its tables allow."""
        ...

    def refuses(self, tables: Tables) -> str | None:
        """Why it cannot be used on tables that have what it needs (too large, say); None if it can."""
        ...

    def fit(self, past: Tables, seed: int) -> Fitted:
        """Learns from events; sees nothing else."""
        ...


class Rated(Fitted, Protocol):
    """A fitted signal that can also say what it would have said of its own events, each left out of its fit."""

    def left_out(self) -> Mapping[str, FloatArray]:
        """Its pair features, one value an event of the past, as if that event had not been there."""
        ...


class Blank:
    """The parts of a fitted signal that has none of them."""

    def blocks(self, queries: Queries) -> Mapping[str, Block]:
        """None."""
        return {}

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        """None."""
        return {}

    def candidates(self, queries: Queries, blocks: Mapping[str, Block]) -> list[tuple[IntArray, IntArray]]:
        """None."""
        return []


class Usable:
    """A signal without limits of its own."""

    def refuses(self, tables: Tables) -> str | None:
        """Never."""
        return None


def as_float(values: object) -> FloatArray:
    """A float32 column."""
    return np.asarray(values, dtype=np.float32)
