"""The catalogue as values: which items a genre, an artist or an instrument stands for, and how often each is heard.

A tenth of what serving keeps of an item is enough here, so the worker has columns of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.leanings.model import ItemFacts, Value, nameable
from rhythmiq_recommender.postings import fold
from rhythmiq_recommender.situation import LeaningType

Masses = NDArray[np.float64]
Rows = NDArray[np.int64]
Ids = NDArray[np.bytes_]

PRIOR_PLAYS: Final = 2_000.0
"""Plays that are made up by popularity, so that a catalogue nobody has heard yet has something to be held against."""
_DOUBLES: Final = 20.0
"""Points of popularity (0 to 100) in which the made-up plays double. An assumption; real plays soon outweigh it."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """One row an item, in the order of ids."""

    ids: Ids
    """Item ids of 16 bytes (S16), strictly ascending."""
    kind: NDArray[np.int8]
    """Number of rhythmiq.recommender.v1.Item.Kind."""
    tempo: NDArray[np.float32]
    """BPM, NaN unknown."""
    by_tempo: Rows
    """Rows in order of tempo, those of unknown tempo last."""
    fame: Masses
    """How often an item would be heard by popularity alone: PRIOR_PLAYS in all."""
    plays: Masses
    """How often everybody has heard it, in units of `sampled`."""
    sampled: float
    """The share of all plays that `plays` counts."""
    values: tuple[Value, ...]
    """Genres, artists and instruments; a value's number is its place here."""
    offsets: Rows
    """(values + 1,): value v has the items `members[offsets[v]:offsets[v + 1]]`."""
    members: Rows
    """Rows, ascending within a value."""
    of_offsets: Rows
    """(rows + 1,): row r has the values `of_values[of_offsets[r]:of_offsets[r + 1]]`."""
    of_values: Rows

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, ids: Ids) -> Rows:
        """Rows of those ids, -1 for the ones that are not there."""
        if not len(self) or not len(ids):
            return np.full(len(ids), -1, np.int64)
        place = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        return np.where(self.ids[place] == ids, place, -1).astype(np.int64)

    def items_of(self, value: int) -> Rows:
        """Rows of the items that have a value."""
        return self.members[self.offsets[value] : self.offsets[value + 1]]

    def values_of(self, rows: Rows) -> Rows:
        """Numbers of the values that any of the items has, ascending."""
        return np.unique(self.of_values[_spans(self.of_offsets, rows)])

    def heard(self, ids: Ids, plays: Masses, sampled: float = 1.0) -> Shelf:
        """With how often everybody has heard these items; of `plays` unknown items count for nothing.

        `sampled` is the share of all plays that these are.
        """
        rows = self.rows_of(ids)
        known = rows >= 0
        counts = np.bincount(rows[known], plays[known], len(self)).astype(np.float64)
        return replace(self, plays=counts, sampled=sampled)


def shelf_of(items: Iterable[ItemFacts]) -> Shelf:
    """The shelf of a catalogue, nobody having heard anything. Of two items with one id the last counts."""
    builder = _Builder()
    for item in items:
        builder.put(item)
    return builder.build()


class _Builder:
    """Gathers items, so that no more than their numbers stay in memory."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[LeaningType, str], int] = {}
        self._values: list[Value] = []
        self._ids: list[bytes] = []
        self._kinds: list[int] = []
        self._tempi: list[float] = []
        self._popularity: list[float] = []
        self._lengths: list[int] = []
        self._of: list[int] = []

    def put(self, item: ItemFacts) -> None:
        self._ids.append(item.id)
        self._kinds.append(item.kind)
        self._tempi.append(np.nan if item.tempo is None else item.tempo)
        self._popularity.append(np.nan if item.popularity is None else item.popularity)
        values = {self._number(type_, name) for type_, names in item.names.items() for name in names if nameable(name)}
        self._lengths.append(len(values))
        self._of.extend(values)

    def _number(self, type_: LeaningType, name: str) -> int:
        number = self._numbers.setdefault((type_, fold(name)), len(self._values))
        if number == len(self._values):
            self._values.append(Value(type_, name))
        return number

    def build(self) -> Shelf:
        ids = np.array(self._ids, "S16")
        order = np.argsort(ids, kind="stable")
        # The last of equal ids.
        order = order[np.append(ids[order][1:] != ids[order][:-1], np.ones(min(len(ids), 1), np.bool_))]
        offsets = np.concatenate([[0], np.cumsum(np.array(self._lengths, np.int64))]).astype(np.int64)
        lengths = np.array(self._lengths, np.int64)[order]
        of_values = np.array(self._of, np.int64)[_spans(offsets, order)]
        rows = np.repeat(np.arange(len(order)), lengths)
        by_value = np.argsort(of_values, kind="stable")
        count = np.bincount(of_values, minlength=len(self._values))
        tempo = np.array(self._tempi, np.float32)[order]
        return Shelf(
            ids[order],
            np.array(self._kinds, np.int8)[order],
            tempo,
            np.argsort(tempo, kind="stable"),
            _fame(np.array(self._popularity, np.float64)[order]),
            np.zeros(len(order)),
            1.0,
            tuple(self._values),
            np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
            rows[by_value],
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            of_values,
        )


def _fame(popularity: Masses) -> Masses:
    """Made-up plays; an item of unknown popularity has as many as the others have on average."""
    weight = 2 ** (popularity / _DOUBLES)
    known = ~np.isnan(weight)
    weight[~known] = weight[known].mean() if known.any() else 1.0
    return PRIOR_PLAYS * weight / weight.sum() if len(weight) else weight


def _spans(offsets: Rows, rows: Rows) -> Rows:
    """Places `offsets[r]` to `offsets[r + 1]` of each row, one row after the other."""
    begin, length = offsets[rows], offsets[rows + 1] - offsets[rows]
    return np.repeat(begin - (np.cumsum(length) - length), length) + np.arange(length.sum())
