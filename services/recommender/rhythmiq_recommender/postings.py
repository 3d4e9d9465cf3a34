"""Lists of small integers for many rows in two arrays (compressed sparse rows), and names interned as integers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def fold(text: str) -> str:
    """The form in which names are compared: case-folded, Unicode NFC, without white space around."""
    if text.isascii():
        return text.strip().lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).strip()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names interned as 0, 1, 2 … by their folded form. Entries are only ever added, so ids stay valid in copies."""

    ids: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """By id: the name as first seen."""

    def copy(self) -> Vocabulary:
        return Vocabulary(dict(self.ids), list(self.names))

    def intern(self, name: str) -> int:
        key = fold(name)
        found = self.ids.get(key)
        if found is None:
            found = self.ids[key] = len(self.names)
            self.names.append(name)
        return found

    def find(self, name: str) -> int | None:
        return self.ids.get(fold(name))


@dataclass(frozen=True, slots=True)
class Postings:
    """Row i has `values[offsets[i]:offsets[i + 1]]`."""

    offsets: NDArray[np.int32]
    values: NDArray[np.int32]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Postings:
        return cls.of_lengths([len(row) for row in rows], [value for row in rows for value in row])

    @classmethod
    def of_lengths(cls, lengths: Sequence[int] | IntArray, values: Sequence[int] | NDArray[np.int32]) -> Postings:
        """Each row has the next so many of the values."""
        offsets = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        return cls(offsets, np.asarray(values, np.int32))

    @classmethod
    def interned(cls, vocabulary: Vocabulary, rows: Sequence[Sequence[str]]) -> Postings:
        """Ids of each row's names, each once, in their order; names that are new are added to the vocabulary."""
        flat = [name for names in rows for name in names]
        ids = {name: vocabulary.intern(name) for name in dict.fromkeys(flat)}
        return cls.of_lengths(list(map(len, rows)), [ids[name] for name in flat])._without_repeats()

    def _without_repeats(self) -> Postings:
        owners = self.owners()
        _, first = np.unique(owners.astype(np.int64) << 32 | self.values, return_index=True)
        if len(first) == len(self.values):
            return self
        first.sort()
        return Postings.of_lengths(np.bincount(owners[first], minlength=len(self)), self.values[first])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def first(self, default: int) -> NDArray[np.int32]:
        """By row: the first value, or the default."""
        first = np.full(len(self), default, np.int32)
        some = np.flatnonzero(np.diff(self.offsets))
        first[some] = self.values[self.offsets[some]]
        return first

    def owners(self) -> NDArray[np.int32]:
        """Beside each value, the row that has it."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))

    def gather(self, rows: IntArray) -> tuple[IntArray, NDArray[np.int32]]:
        """All values of `rows`, flat, and beside each the position in `rows` that it belongs to."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        owners = np.repeat(np.arange(len(rows)), lengths)
        ends = np.cumsum(lengths)
        flat = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
        return owners, self.values[flat]

    def take(self, rows: IntArray) -> Postings:
        """Postings of only these rows, in this order."""
        owners, values = self.gather(rows)
        return Postings.of_lengths(np.bincount(owners, minlength=len(rows)), values)

    def joined(self, *others: Postings) -> Postings:
        """The rows of this, then those of the others."""
        parts = (self, *others)
        return Postings.of_lengths(
            np.concatenate([np.diff(part.offsets) for part in parts]), np.concatenate([part.values for part in parts])
        )

    def inverted(self, size: int) -> Postings:
        """For each value below `size` the rows that have it, ascending."""
        owners = self.owners()
        order = np.argsort(self.values, kind="stable")
        return Postings.of_lengths(np.bincount(self.values, minlength=size), owners[order])

    def distinct(self) -> tuple[Postings, IntArray]:
        """The distinct sets of values, and by row the number of its set.

        Many rows share a set (of genres, say), so what a set is worth can be worked out once for all of them. Sets are
        told apart by a 64-bit hash: good for scores, not for filters.
        """
        marks = np.random.default_rng(0).integers(1, 2**63, int(self.values.max(initial=-1)) + 1, np.uint64)
        owners = self.owners()
        hashes = np.zeros(len(self), np.uint64)
        np.add.at(hashes, owners, marks[self.values])
        _, first, number = np.unique(hashes, return_index=True, return_inverse=True)
        return self.take(first), number.astype(np.int64)

    def rows_with(self, values: Iterable[int]) -> NDArray[np.int32]:
        """Of inverted postings: the rows that have any of `values` (each as often as it has one)."""
        parts = [self[value] for value in values]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)
