"""What a served signal is, and what it is fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.served.lists import Packed
from rhythmiq_recommender.learning.served.shelf import Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray, Tables, UnfitTables

POPULARITY, TASTE, SIMILAR, NOVELTY = "popularity", "taste", "similar", "novelty"
"""Groups of features: of explanations, of ablations and of model selection."""


def surroundings(kind: str) -> str:
    """The group of features about one kind of surroundings."""
    return f"surroundings:{kind}"


ALL_SURROUNDINGS = "surroundings"
"""The group of features that add up several kinds; explanations tell it apart by kind, see `groups`."""
SERVED_GROUPS = (TASTE, SIMILAR, *map(surroundings, KINDS), POPULARITY, NOVELTY)


@dataclass(frozen=True)
class Past:
    """Events to learn from, in the numbering of a catalogue; sorted by listener, session and time."""

    tables: Tables
    sizes: Mapping[Axis, int]

    @classmethod
    def of(cls, tables: Tables, artists: int, genres: int) -> Past:
        """Raises UnfitTables for tables without times, verdicts or sessions."""
        events = tables.events
        if events.time is None or events.rating is None or events.session is None:
            raise UnfitTables("what is served is learned from events with time, verdict and session")
        return cls(tables, {Axis.ITEM: tables.items.count, Axis.ARTIST: artists, Axis.GENRE: genres})

    @property
    def item(self) -> IntArray:
        """(events,) row of the catalogue."""
        return self.tables.events.item

    @property
    def time(self) -> RawArray:
        """(events,) Unix seconds."""
        assert self.tables.events.time is not None
        return self.tables.events.time

    @property
    def session(self) -> IntArray:
        """(events,)."""
        assert self.tables.events.session is not None
        return self.tables.events.session

    @property
    def verdict(self) -> FloatArray:
        """(events,) -1..1."""
        assert self.tables.events.rating is not None
        return self.tables.events.rating

    @cached_property
    def liked(self) -> BoolArray:
        """(events,) whether the verdict is a yes."""
        return self.tables.positive

    @cached_property
    def artist(self) -> IntArray:
        """(items,) -1 unknown."""
        group = self.tables.items.group
        return np.full(self.sizes[Axis.ITEM], -1, np.int64) if group is None else group

    @cached_property
    def genre(self) -> IntArray:
        """(items,) -1 unknown."""
        genre = self.tables.items.genre
        return np.full(self.sizes[Axis.ITEM], -1, np.int64) if genre is None else genre

    @cached_property
    def genre_of_artist(self) -> IntArray:
        """(artists,) the genre of most of their items, -1 unknown."""
        artists, genres = self.sizes[Axis.ARTIST], self.sizes[Axis.GENRE]
        both = (self.artist >= 0) & (self.genre >= 0)
        if not both.any():
            return np.full(artists, -1, np.int64)
        key, count = np.unique(self.artist[both] * genres + self.genre[both], return_counts=True)
        order = np.lexsort((key, -count, key // genres))
        first = order[np.r_[True, np.diff(key[order] // genres) != 0]]
        found = np.full(artists, -1, np.int64)
        found[key[first] // genres] = key[first] % genres
        return found

    @cached_property
    def codes(self) -> NDArray[np.int8]:
        """(events x kinds), -1 unknown."""
        categories = self.tables.context.categories
        unknown = np.full(len(self.item), -1, np.int8)
        return np.stack([categories[kind].astype(np.int8) if kind in categories else unknown for kind in KINDS], axis=1)

    @property
    def end(self) -> float:
        """Unix seconds of the last event."""
        return float(self.time.max())


class Bound(Protocol):
    """A fitted signal on the shelf of a catalogue. Immutable, and safe to ask from several threads."""

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        """Writes its features of those items into `x` (items x its features)."""
        ...

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """Rows that it would put forward, the best first, at most `most`."""
        ...


class Served(Protocol):
    """Knows how to be fitted and how to be put on a shelf. Holds only its settings."""

    @property
    def name(self) -> str:
        """Unique; arrays are saved below it."""
        ...

    @property
    def features(self) -> tuple[Feature, ...]:
        """Its columns, in order."""
        ...

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """Its state."""
        ...

    def fit(self, past: Past) -> State:
        """Learns from events; sees nothing else."""
        ...

    def bind(self, kept: Kept, shelf: Shelf) -> Bound:
        """The fit, ready for questions; what is kept stays in its numbering, see `Shelf.fitted`."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A signal's state in memory, in the numbering of the fit: shared by all shelves it is put on, never copied."""

    columns: State
    lists: Mapping[str, Packed]
    """By the name of the array with the items."""

    @classmethod
    def of(cls, signal: Served, state: State) -> Kept:
        """Lists are packed, all else stays as it is."""
        lists = {one.weighs: Packed.of((state[one.weighs], state[one.name])) for one in signal.arrays if one.weighs}
        packed = {*lists, *(one.name for one in signal.arrays if one.weighs)}
        return cls({name: array for name, array in state.items() if name not in packed}, lists)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]


def gone(shelf: Shelf) -> IntArray:
    """Places of the fit whose items the catalogue does not have any more."""
    return np.flatnonzero(shelf.fitted.row < 0)


def placed(column: NDArray[Any], places: NDArray[np.int32]) -> NDArray[Any]:
    """The column at those places, 0 at -1."""
    return np.append(column, np.zeros(1, column.dtype)).take(places)


def most_liked(likes: FloatArray, shelf: Shelf, most: int) -> IntArray:
    """Rows of the kind, the most liked first, then by row; `likes` (items,) in the numbering of the shelf."""
    some = np.flatnonzero(shelf.of_kind & (likes > 0))
    if len(some) > most:
        least = np.partition(likes[some], len(some) - most)[len(some) - most]
        some = some[likes[some] >= least]
    some = some[np.argsort(-likes[some], kind="stable")][:most]
    if len(some) == most:
        return some
    return np.append(some, np.flatnonzero(shelf.of_kind & (likes <= 0))[: most - len(some)])


class Quiet:
    """The part of a bound signal that puts nothing forward."""

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """None."""
        return np.zeros(0, np.int64)


def sums(key: IntArray, length: int, weights: NDArray[Any] | None = None) -> RawArray:
    """(length,) sums of weights (or numbers of keys); no key is below 0."""
    found: RawArray = np.bincount(key, weights=weights, minlength=length).astype(np.float64, copy=False)
    return found


def counts(key: IntArray, length: int, weights: NDArray[Any] | None = None) -> RawArray:
    """(length,) the same; keys of -1 are passed over."""
    known = key >= 0
    return sums(key[known], length, None if weights is None else weights[known])
