"""Items as columns: read from serialized messages, a value at a time for all items of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender import features
from rhythmiq_recommender.features import RawArray
from rhythmiq_recommender.postings import IntArray, Postings, Vocabulary, fold

NAME_PREFIX = "items/"
UNKNOWN = -1
"""In the columns `explicit` and `language`: not known."""
NO_YEAR = 0
"""In the column `year`: not known."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of each row, row by row; every field has one entry per row."""

    ids: NDArray[np.bytes_]
    """Item ids, 16 bytes each."""
    kind: NDArray[np.int8]
    title: NDArray[np.int64]
    """A hash of the title, equal for titles that are the same when folded; it means nothing outside this process."""
    explicit: NDArray[np.int8]
    """1 explicit, 0 not, UNKNOWN."""
    year: NDArray[np.int16]
    """Year of release, or NO_YEAR."""
    language: NDArray[np.int32]
    """Id in the vocabulary of languages, or UNKNOWN."""
    raw: RawArray
    """Shape (rows, features.COUNT), in each feature's own unit; NaN where not known."""
    genres: Postings
    artists: Postings
    instruments: Postings
    items: list[bytes]
    """Serialized rhythmiq.recommender.v1.Item."""

    def __len__(self) -> int:
        return len(self.items)

    def take(self, rows: IntArray) -> Columns:
        return Columns(**{name: _take(getattr(self, name), rows) for name in _COLUMN_NAMES})


_COLUMN_NAMES = tuple(field.name for field in fields(Columns))


def merged(parts: Sequence[Columns]) -> Columns:
    """The rows of all parts, of which there is at least one, in order of id; of two with one id, the last counts."""
    joined = Columns(**{name: _joined([getattr(part, name) for part in parts]) for name in _COLUMN_NAMES})
    order = np.argsort(joined.ids, kind="stable")
    ids = joined.ids[order]
    return joined.take(order[np.append(ids[1:] != ids[:-1], np.ones(min(len(ids), 1), np.bool_))])


def _take(column: Any, rows: IntArray) -> Any:
    if isinstance(column, Postings):
        return column.take(rows)
    if isinstance(column, list):
        return [column[row] for row in rows.tolist()]
    return column[rows]


def _joined(parts: Sequence[Any]) -> Any:
    first, *others = parts
    if isinstance(first, Postings):
        return first.joined(*others)
    if isinstance(first, list):
        return [entry for part in parts for entry in part]
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """Every name in the catalogue, interned."""

    genres: Vocabulary
    artists: Vocabulary
    instruments: Vocabulary
    languages: Vocabulary

    @classmethod
    def empty(cls) -> Vocabularies:
        return cls(Vocabulary(), Vocabulary(), Vocabulary(), Vocabulary())

    def copy(self) -> Vocabularies:
        return Vocabularies(self.genres.copy(), self.artists.copy(), self.instruments.copy(), self.languages.copy())


def read_columns(items: Sequence[bytes], names: Vocabularies) -> Columns:
    """Parses serialized items into columns in the order given, adding their names to those known."""
    parsed = list(map(item_pb2.Item.FromString, items))
    languages = Postings.interned(names.languages, [[item.language] if item.language else [] for item in parsed])
    return Columns(
        ids=ids_of([item.name or item.uid for item in parsed]),
        kind=np.array([item.kind for item in parsed], np.int8),
        title=np.array([hash(fold(item.title)) for item in parsed], np.int64),
        explicit=np.array([_explicit(item) for item in parsed], np.int8),
        year=np.array([item.release_date.year for item in parsed], np.int16),
        language=languages.first(UNKNOWN),
        raw=features.read_features(parsed),
        genres=Postings.interned(names.genres, [item.genres[:] for item in parsed]),
        artists=Postings.interned(names.artists, [item.artists[:] for item in parsed]),
        instruments=Postings.interned(names.instruments, [item.instruments[:] for item in parsed]),
        items=list(items),
    )


def _explicit(item: item_pb2.Item) -> int:
    return int(item.explicit) if item.explicit or item.HasField("explicit") else UNKNOWN


def ids_of(names: Sequence[str]) -> NDArray[np.bytes_]:
    """The 16 bytes of each id, from UUIDs with or without `items/`."""
    digits = "".join(names).replace(NAME_PREFIX, "").replace("-", "")
    return np.frombuffer(bytes.fromhex(digits), "S16", len(names))
