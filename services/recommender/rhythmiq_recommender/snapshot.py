"""The catalogue in memory: an immutable, columnar index of every item, replaced as a whole when the catalogue changes.

Columns are numpy arrays; the items themselves stay serialized and are parsed only for an answer. Rows are ordered by
item id, so the same catalogue gives the same snapshot, whichever way it came about.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender import features
from rhythmiq_recommender.columns import (
    NAME_PREFIX,
    NO_YEAR,
    UNKNOWN,
    Columns,
    Vocabularies,
    ids_of,
    merged,
    read_columns,
)
from rhythmiq_recommender.features import FloatArray
from rhythmiq_recommender.postings import IntArray

__all__ = ["NAME_PREFIX", "NO_YEAR", "TEMPO_BUCKETS", "UNKNOWN", "BoolArray", "CatalogSnapshot", "SnapshotBuilder"]

BoolArray = NDArray[np.bool_]

TEMPO_BUCKETS = 302
"""0 to 300 BPM, and one for a tempo that is not known."""
_ODD = np.int64(0x1E3779B97F4A7C15)
_BATCH = 2_000


def id_of_name(name: str) -> bytes:
    """The 16 bytes of the id in `items/{item}`. Raises ValueError for anything else."""
    return uuid.UUID(name.removeprefix(NAME_PREFIX)).bytes


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
        self.first_artist = columns.artists.first(UNKNOWN)
        """By row: the main artist's id, or UNKNOWN."""
        self.song = _songs(columns, self.first_artist)

    @classmethod
    def build(cls, items: Iterable[bytes]) -> CatalogSnapshot:
        """Indexes serialized `rhythmiq.recommender.v1.Item` messages; of two with one id, the last counts."""
        return cls.empty().with_changes(items)

    @classmethod
    def empty(cls) -> CatalogSnapshot:
        names = Vocabularies.empty()
        return cls(read_columns((), names), names)

    def with_changes(self, upserts: Iterable[bytes], deleted_ids: Iterable[str] = ()) -> CatalogSnapshot:
        """A snapshot with serialized items added or replaced and others gone.

        `deleted_ids` are item ids (UUIDs, with or without `items/`); those that are not there are passed over.
        """
        builder = SnapshotBuilder(self)
        builder.remove(deleted_ids)
        items = list(upserts)
        for start in range(0, len(items), _BATCH):
            builder.put(items[start : start + _BATCH])
        return builder.build()

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


class SnapshotBuilder:
    """Gathers changes to a snapshot, batch by batch, and makes the next one of them: indexes are built once only."""

    def __init__(self, base: CatalogSnapshot) -> None:
        self._base = base
        self._names = base.names.copy()
        self._keep = np.ones(len(base), np.bool_)
        self._added: list[Columns] = []

    def put(self, items: Sequence[bytes]) -> None:
        """Adds or replaces serialized items; of two with one id, the last counts."""
        self._added.append(read_columns(items, self._names))

    def remove(self, item_ids: Iterable[str]) -> None:
        """Leaves out items of the base; those that are not there are passed over."""
        self._keep &= ~np.isin(self._base.columns.ids, ids_of(list(item_ids)))

    def build(self) -> CatalogSnapshot:
        kept = self._base.columns if self._keep.all() else self._base.columns.take(np.flatnonzero(self._keep))
        return CatalogSnapshot(merged([kept, *self._added]), self._names)


def _songs(columns: Columns, first_artist: NDArray[np.int32]) -> NDArray[np.int64]:
    """By row: a number that items of one title and one main artist have in common.

    Without an artist each has one of its own: two tracks called "Intro" by nobody known are not the same.
    """
    songs: NDArray[np.int64] = columns.title ^ (first_artist * _ODD)
    alone = first_artist == UNKNOWN
    songs[alone] = np.flatnonzero(alone)
    return songs


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
