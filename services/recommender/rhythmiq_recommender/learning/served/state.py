"""Fitted state as named arrays: what each is indexed by, and how it moves to another catalogue.

Axes are items, artists and genres; an array may also hold references to items (lists of neighbours). Moving to the
catalogue of the day, and checking what a file holds, are written here once, for every signal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.listening import Catalogue, prefixes
from rhythmiq_recommender.learning.tables import IntArray

AnyArray = NDArray[Any]
State = Mapping[str, AnyArray]
"""Name to array, as the signal's `arrays` say."""


class Axis(StrEnum):
    """What an array is indexed by, or refers to."""

    ITEM = "item"
    ARTIST = "artist"
    GENRE = "genre"


class BadState(ValueError):
    """Arrays that are not what the signals of this program need; the message says which and why."""


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array of a signal's state.

    `axes`: an Axis or a fixed length, one a dimension. `refers`: the values are places on that axis, -1 for none.
    Items (artists, genres) that were not known have 0, or -1.
    """

    name: str
    dtype: str
    axes: tuple[Axis | int, ...]
    refers: Axis | None = None
    weighs: str = ""
    """Name of the array of lists whose entries these are the weights of."""

    def check(self, array: AnyArray, sizes: Mapping[Axis, int]) -> None:
        """Raises BadState if the array is not this one: type, shape, places out of range, what is not finite."""
        if array.dtype != np.dtype(self.dtype) or array.ndim != len(self.axes):
            raise BadState(f"{self.name} is {array.ndim}-dimensional {array.dtype}, not {len(self.axes)} {self.dtype}")
        for length, axis in zip(array.shape, self.axes, strict=True):
            wanted = sizes[axis] if isinstance(axis, Axis) else axis
            if length != wanted:
                raise BadState(f"{self.name} has the shape {array.shape}: {length} should be {wanted}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BadState(f"{self.name} holds values that are not finite")
        most = sizes[self.refers] if self.refers is not None else None
        if most is not None and array.size and not (int(array.min()) >= -1 and int(array.max()) < most):
            raise BadState(f"{self.name} refers to places outside -1..{most - 1}")


@dataclass(frozen=True, slots=True)
class Numbering:
    """What the places on each axis stand for."""

    items: NDArray[np.bytes_]
    """(items,) ids of 16 bytes, ascending."""
    artists: NDArray[np.uint64]
    """(artists,) hashes of names, see `listening.keys_of`."""
    genres: NDArray[np.uint64]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        """The numbering of a catalogue."""
        return cls(catalogue.ids, catalogue.artist_keys, catalogue.genre_keys)

    @property
    def sizes(self) -> dict[Axis, int]:
        """Length of each axis."""
        return {Axis.ITEM: len(self.items), Axis.ARTIST: len(self.artists), Axis.GENRE: len(self.genres)}

    def only(self, items: IntArray) -> Numbering:
        """With only those items (places, ascending)."""
        return Numbering(self.items[items], self.artists, self.genres)


@dataclass(frozen=True, slots=True)
class Move:
    """From one numbering to another, on one axis. `old`: of each new place the old one; `new`: the reverse; -1 none."""

    old: IntArray
    new: IntArray

    @classmethod
    def between(cls, before: AnyArray, after: AnyArray) -> Self | None:
        """By keys, which need no order; None if nothing moves."""
        if np.array_equal(before, after):
            return None
        return cls(_places(before, after), _places(after, before))


def _places(known: AnyArray, wanted: AnyArray) -> IntArray:
    """Place in `known` of each of `wanted`, -1 where it is not there."""
    if not len(known) or not len(wanted):
        return np.full(len(wanted), -1, np.int64)
    if known.dtype.kind == "S":
        numbers = prefixes(known)
        if (numbers[1:] > numbers[:-1]).all():
            found = np.minimum(np.searchsorted(numbers, prefixes(wanted)), len(known) - 1)
            return np.where(known[found] == wanted, found, -1)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    found = order[at]
    return np.where(known[found] == wanted, found, -1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Places:
    """A catalogue seen from a fit: where what the fit learned of each item, artist and genre stands; -1 nowhere.

    Large arrays stay in the numbering of the fit, whatever becomes of the catalogue: only these columns are made anew.
    """

    item: NDArray[np.int32]
    """(items,)."""
    row: NDArray[np.int32]
    """(items of the fit,) the reverse."""
    artist: NDArray[np.int32]
    """(artists + 1,) the last is for the unknown."""
    genre: NDArray[np.int32]

    @classmethod
    def of(cls, fitted: Numbering, catalogue: Numbering) -> Self:
        """By ids and keys."""
        item = _small(_found(fitted.items, catalogue.items))
        row = np.full(len(fitted.items), -1, np.int32)
        there = np.flatnonzero(item >= 0)
        row[item[there]] = there
        artist, genre = (
            _small(np.append(_found(*both), -1))
            for both in ((fitted.artists, catalogue.artists), (fitted.genres, catalogue.genres))
        )
        return cls(item, row, artist, genre)


def _found(known: AnyArray, wanted: AnyArray) -> IntArray:
    return np.arange(len(known)) if np.array_equal(known, wanted) else _places(known, wanted)


def _small(places: IntArray) -> NDArray[np.int32]:
    return places.astype(np.int32)


@dataclass(frozen=True, slots=True)
class Moves:
    """Between two numberings, on all axes."""

    by_axis: Mapping[Axis, Move | None]

    @classmethod
    def between(cls, before: Numbering, after: Numbering) -> Self:
        """What has to be moved."""
        return cls(
            {
                Axis.ITEM: Move.between(before.items, after.items),
                Axis.ARTIST: Move.between(before.artists, after.artists),
                Axis.GENRE: Move.between(before.genres, after.genres),
            }
        )

    def apply(self, spec: ArraySpec, array: AnyArray) -> AnyArray:
        """The array in the new numbering; the same object if nothing about it moves."""
        for dimension, axis in enumerate(spec.axes):
            move = self.by_axis.get(axis) if isinstance(axis, Axis) else None
            if move is not None:
                array = _taken(array, move.old, dimension, -1 if spec.refers else 0)
        move = self.by_axis.get(spec.refers) if spec.refers else None
        if move is not None:
            array = np.append(move.new, -1).astype(array.dtype)[array]
        return array


def _taken(array: AnyArray, old: IntArray, dimension: int, fill: float) -> AnyArray:
    if not array.shape[dimension]:
        shape = list(array.shape)
        shape[dimension] = len(old)
        return np.full(shape, fill, array.dtype)
    moved = np.take(array, np.maximum(old, 0), axis=dimension)
    gone = old < 0
    if gone.any():
        moved[(slice(None),) * dimension + (gone,)] = fill
    return moved


def moved(specs: Sequence[ArraySpec], state: State, moves: Moves) -> State:
    """All arrays of a signal in the new numbering."""
    return {spec.name: moves.apply(spec, state[spec.name]) for spec in specs}
