"""The catalogue in memory: an immutable, columnar index of every item, replaced as a whole when the catalogue changes.

Columns are numpy arrays; the items themselves stay serialized and are parsed only for an answer. Rows are ordered by
item id, so the same catalogue gives the same snapshot, whichever way it came about.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender import features
from rhythmiq_recommender.features import FloatArray, RawArray
from rhythmiq_recommender.postings import IntArray, Postings, Vocabulary

BoolArray = NDArray[np.bool_]

NAME_PREFIX = "items/"
UNKNOWN = -1
"""In the columns `explicit` and `language`: not known."""
NO_YEAR = 0
"""In the column `year`: not known."""
TEMPO_BUCKETS = 302
"""0 to 300 BPM, and one for a tempo that is not known."""


def id_of_name(name: str) -> bytes:
    """The 16 bytes of the id in `items/{item}`. Raises ValueError for anything else."""
    return uuid.UUID(name.removeprefix(NAME_PREFIX)).bytes


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of each row, row by row; every field has one entry per row."""

    ids: NDArray[np.bytes_]
    """Item ids, 16 bytes each, ascending."""
    kind: NDArray[np.int8]
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

    def take(self, rows: IntArray) -> Columns:
        return Columns(**{name: _take(getattr(self, name), rows) for name in _COLUMN_NAMES})

    def joined(self, other: Columns) -> Columns:
        """The rows of both, in order of id. Ids must not occur twice."""
        both = Columns(**{name: _joined(getattr(self, name), getattr(other, name)) for name in _COLUMN_NAMES})
        return both.take(np.argsort(both.ids, kind="stable"))


_COLUMN_NAMES = tuple(field.name for field in fields(Columns))


def _take(column: Any, rows: IntArray) -> Any:
    if isinstance(column, Postings):
        return column.take(rows)
    if isinstance(column, list):
        return [column[row] for row in rows.tolist()]
    return column[rows]


def _joined(first: Any, second: Any) -> Any:
    if isinstance(first, Postings):
        return first.joined(second)
    if isinstance(first, list):
        return first + second
    return np.concatenate([first, second])


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


class CatalogSnapshot:
    """All items at one moment. Immutable: `with_changes` gives a new one and leaves this one to those who use it."""

    def __init__(self, columns: Columns, names: Vocabularies) -> None:
        self.columns = columns
        self.names = names
        self.means = _means_by_kind(columns)
        self.scores = _filled_scores(columns, self.means)
        self.vectors = _vectors(columns, self.scores)
        self.genre_sets, self.genre_set = columns.genres.distinct()
        self.genre_set_owners = self.genre_sets.owners()
        self.tempo_bucket = _tempo_buckets(columns)
        self.by_genre = columns.genres.inverted(len(names.genres.names))
        self.by_instrument = columns.instruments.inverted(len(names.instruments.names))
        self.by_artist = columns.artists.inverted(len(names.artists.names))

    @classmethod
    def build(cls, items: Iterable[bytes]) -> CatalogSnapshot:
        """Indexes serialized `rhythmiq.recommender.v1.Item` messages; of two with one id, the last counts."""
        names = Vocabularies.empty()
        return cls(_read(items, names), names)

    @classmethod
    def empty(cls) -> CatalogSnapshot:
        return cls.build(())

    def with_changes(self, upserts: Iterable[bytes], deleted_ids: Iterable[str] = ()) -> CatalogSnapshot:
        """A snapshot with serialized items added or replaced and others gone.

        `deleted_ids` are item ids (UUIDs, with or without `items/`); those that are not there are passed over.
        """
        names = self.names.copy()
        gone = [row for row in map(self.row_of_id, map(id_of_name, deleted_ids)) if row is not None]
        added = _read(upserts, names)
        keep = np.ones(len(self), np.bool_)
        keep[gone] = False
        keep[np.isin(self.columns.ids, added.ids)] = False
        return CatalogSnapshot(self.columns.take(np.flatnonzero(keep)).joined(added), names)

    def __len__(self) -> int:
        return len(self.columns.items)

    def item(self, row: int) -> item_pb2.Item:
        return item_pb2.Item.FromString(self.columns.items[row])

    def row_of_id(self, item_id: bytes) -> int | None:
        """Row of the item with this id of 16 bytes."""
        # An array, like the column: bytes by themselves would keep the zeros at their end, which the column drops.
        key = np.array(item_id, "S16")
        row = int(np.searchsorted(self.columns.ids, key))
        return row if row < len(self) and self.columns.ids[row] == key else None

    def row_of_name(self, name: str) -> int | None:
        return self.row_of_id(id_of_name(name))

    @cached_property
    def first_artist(self) -> NDArray[np.int32]:
        """By row: the main artist's id, or UNKNOWN."""
        postings = self.columns.artists
        first = np.full(len(self), UNKNOWN, np.int32)
        some = np.flatnonzero(np.diff(postings.offsets))
        first[some] = postings.values[postings.offsets[some]]
        return first


def _read(items: Iterable[bytes], names: Vocabularies) -> Columns:
    """Parses items into columns in order of id, adding their names to those known."""
    latest: dict[bytes, tuple[bytes, item_pb2.Item]] = {}
    for serialized in items:
        item = item_pb2.Item.FromString(serialized)
        latest[id_of_name(item.name or item.uid)] = (serialized, item)
    ids = sorted(latest)
    parsed = [latest[item_id][1] for item_id in ids]
    raw = np.array([features.read_features(item) for item in parsed], np.float64).reshape(len(ids), features.COUNT)
    return Columns(
        ids=np.array(ids, "S16"),
        kind=np.array([item.kind for item in parsed], np.int8),
        explicit=np.array([item.explicit if item.HasField("explicit") else UNKNOWN for item in parsed], np.int8),
        year=np.array([item.release_date.year for item in parsed], np.int16),
        language=np.array([names.languages.intern(i.language) if i.language else UNKNOWN for i in parsed], np.int32),
        raw=raw,
        genres=Postings.of([_interned(names.genres, item.genres) for item in parsed]),
        artists=Postings.of([_interned(names.artists, item.artists) for item in parsed]),
        instruments=Postings.of([_interned(names.instruments, item.instruments) for item in parsed]),
        items=[latest[item_id][0] for item_id in ids],
    )


def _interned(vocabulary: Vocabulary, names: Sequence[str]) -> list[int]:
    """Ids of the names, each once, in their order."""
    return list(dict.fromkeys(map(vocabulary.intern, names)))


def _means_by_kind(columns: Columns) -> FloatArray:
    """Mean standard score by item kind, shape (kinds, features.COUNT); 0, the general mean, where nothing is known."""
    scores = features.standard_scores(columns.raw)
    means = np.zeros((max(item_pb2.Item.Kind.values()) + 1, features.COUNT), np.float32)
    for kind in np.unique(columns.kind).tolist():
        rows = scores[columns.kind == kind]
        known = ~np.isnan(rows)
        means[kind] = np.where(known, rows, 0).sum(0) / np.maximum(known.sum(0), 1)
    means[:, features.KEY] = np.nan
    return means


def _filled_scores(columns: Columns, means: FloatArray) -> FloatArray:
    """Standard scores, a missing one filled with its kind's mean: it then speaks neither for nor against.

    A missing key stays NaN: the circle of twelve has no mean.
    """
    scores = features.standard_scores(columns.raw)
    return np.where(np.isnan(scores), means[columns.kind], scores)


def _tempo_buckets(columns: Columns) -> IntArray:
    """By row: tempo in whole BPM, TEMPO_BUCKETS - 1 where not known; for looking up what a tempo is worth."""
    tempo = columns.raw[:, features.INDEX["tempo"]]
    return np.nan_to_num(tempo, nan=TEMPO_BUCKETS - 1).clip(0, TEMPO_BUCKETS - 1).astype(np.int64)


def _vectors(columns: Columns, scores: FloatArray) -> FloatArray:
    """Augmented vectors, shape (2 * COUNT, rows), in which a weighted squared distance is an inner product.

    Of each feature x there is a row x and a row x²: asked with (2wt, -w) they give wt² - w(x - t)². Of key
    these two rows are cosine and sine on the circle of twelve instead, 0 where not known.
    """
    filled = scores.copy()
    angle = scores[:, features.KEY] * np.float32(2 * np.pi / 12)
    vectors = np.concatenate([filled, filled**2], axis=1).T
    vectors[features.KEY] = np.nan_to_num(np.cos(angle))
    vectors[features.KEY + features.COUNT] = np.nan_to_num(np.sin(angle))
    return np.ascontiguousarray(vectors, np.float32)
