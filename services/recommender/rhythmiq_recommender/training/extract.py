"""What storage holds of listening, as columns: read listener by listener, in bounded memory, without names.

A listener becomes a number, and is nothing else in what is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import bson
import numpy as np
from bson.codec_options import CodecOptions
from numpy.typing import NDArray
from pymongo import ReadPreference

from rhythmiq_mesh.mongo import Collection, Database, Document, connect, database, operation
from rhythmiq_recommender.columns import Vocabularies, ids_of, merged, read_columns
from rhythmiq_recommender.learned_catalogue import catalogue_of
from rhythmiq_recommender.learning.encoding import CATEGORIES, KINDS
from rhythmiq_recommender.learning.listening import TYPES, Catalogue
from rhythmiq_recommender.mongo_feed import MongoItemFeed
from rhythmiq_recommender.training.progress import Tell
from rhythmiq_recommender.training.tables_store import write_catalogue, write_chunk, write_columns

LISTENERS: Final = "listeners.npz"
CHUNK_ROWS: Final = 250_000
"""Rows held at once, and in one file."""
_BATCH: Final = 5_000
_READ_SECONDS: Final = 30.0
# Backwards along the index that lists use: by listener, and of each the oldest first.
_ORDER: Final = [("profile_id", -1), ("event_time", 1), ("_id", 1)]
_FIELDS: Final = {
    "_id": 0,
    "profile_id": 1,
    "item_id": 1,
    "type": 1,
    "event_time": 1,
    "environment": 1,
    "position": 1,
    "propensity": 1,
}
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=False)
"""Times without a zone are UTC, and NumPy takes them at once."""
_KIND: Final = {kind: number for number, kind in enumerate(KINDS)}
_TYPE: Final = {name: number for number, name in enumerate(TYPES)}


def for_reading(store: Database) -> Database:
    """The same database, read where it disturbs nobody: from a secondary if there is one; only what a majority has."""
    return store.with_options(read_preference=ReadPreference.SECONDARY_PREFERRED)


async def extract(
    uri: str, name: str, folder: Path, as_of: datetime, variant_of: Callable[[str], int], tell: Tell
) -> dict[str, Any]:
    """Writes catalogue, listens and variants of listeners; says how much that is. Raises Unavailable."""
    client = connect(uri, app="rhythmiq-training")
    try:
        store = for_reading(database(client, name))
        catalogue = await read_items(store, lambda count: tell(None, f"{count:,} items"))
        stored = StoredInteractions(store)
        about = max(await stored.about(), 1)
        writer = ListensWriter(folder, catalogue, variant_of)
        async for batch in stored.read(as_of):
            writer.put(batch)
            tell(min(writer.rows / about, 1.0), f"{writer.rows:,} interactions")
        writer.finish()
    finally:
        await client.close()
    write_catalogue(folder, catalogue)
    write_columns(folder / LISTENERS, {"variant": np.array(writer.variants, np.int8)})
    return {
        "items": len(catalogue),
        "listeners": len(writer.variants),
        "types": {name: writer.types[name] for name in TYPES if writer.types[name]},
        "unknown_items": writer.unknown_items,
    }


async def read_items(store: Database, seen: Callable[[int], None]) -> Catalogue:
    """All items. Tells how many there are so far. Raises Unavailable."""
    names, parts = Vocabularies.empty(), [read_columns((), Vocabularies.empty())]
    count = 0
    async for entries in MongoItemFeed(store).everything():
        found = read_columns([entry.message for entry in entries], names)
        found.items[:] = [b""] * len(found)  # the messages are of no more use, and the largest part
        parts.append(found)
        count += len(found)
        seen(count)
    return catalogue_of(merged(parts), names)


class StoredInteractions:
    """The collection of interactions, to be read once from one end to the other."""

    def __init__(self, store: Database) -> None:
        self._interactions: Collection = store["interactions"]

    async def about(self) -> int:
        """About how many there are. Raises Unavailable."""
        async with operation():
            return await self._interactions.estimated_document_count()

    async def read(self, as_of: datetime) -> AsyncIterator[list[Document]]:
        """Those stored by then and not expired then, batch by batch, all of a listener together. Raises Unavailable."""
        known = {"expire_time": {"$gt": as_of}, "create_time": {"$lte": as_of}}
        cursor = self._interactions.find_raw_batches(known, _FIELDS, sort=_ORDER, batch_size=_BATCH)
        async with cursor:
            while True:
                try:
                    async with operation(_READ_SECONDS):
                        batch = await anext(cursor)
                except StopAsyncIteration:
                    return
                yield bson.decode_all(cast("bytes", batch), _OPTIONS)


@dataclass(slots=True)
class ListensWriter:
    """Takes documents in the order in which they are read, and writes chunks of columns."""

    folder: Path
    catalogue: Catalogue
    variant_of: Callable[[str], int]
    """Which side of a running experiment a profile is on; -1 without one."""
    chunk_rows: int = CHUNK_ROWS
    rows: int = 0
    unknown_items: int = 0
    types: Counter[str] = field(default_factory=Counter)
    variants: list[int] = field(default_factory=list)
    """By listener."""
    _waiting: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    _chunks: int = 0
    _last: str = ""

    def put(self, documents: Sequence[Document]) -> None:
        """Adds documents. Items that the catalogue no longer has are left out, and counted."""
        listener = np.array([self._number(document["profile_id"]) for document in documents], np.int64)
        item = self.catalogue.rows_of(ids_of([document["item_id"] for document in documents]))
        type_ = np.array([_TYPE.get(document["type"], -1) for document in documents], np.int8)
        time = np.array([document["event_time"] for document in documents], "datetime64[ms]")
        columns: dict[str, NDArray[Any]] = {
            "listener": listener,
            "item": item,
            "type": type_,
            "time": time.astype(np.int64) / 1e3,
            "codes": _codes(document.get("environment") for document in documents),
            "position": np.array([document.get("position", -1) for document in documents], np.int64),
            "propensity": np.array([document.get("propensity", np.nan) for document in documents], np.float32),
        }
        self.unknown_items += int((item < 0).sum())
        known = (item >= 0) & (type_ >= 0)
        self.types.update(TYPES[code] for code in type_[known].tolist())
        self._waiting.append({name: column[known] for name, column in columns.items()})
        self.rows += int(known.sum())
        if sum(len(part["item"]) for part in self._waiting) >= self.chunk_rows:
            self._write()

    def finish(self) -> None:
        """Writes what is left."""
        if any(len(part["item"]) for part in self._waiting):
            self._write()

    def _number(self, profile_id: str) -> int:
        if profile_id != self._last:
            self._last = profile_id
            self.variants.append(self.variant_of(profile_id))
        return len(self.variants) - 1

    def _write(self) -> None:
        names = self._waiting[0]
        write_chunk(
            self.folder, self._chunks, {name: np.concatenate([part[name] for part in self._waiting]) for name in names}
        )
        self._chunks += 1
        self._waiting.clear()


def _codes(environments: Iterable[Mapping[str, Any] | None]) -> NDArray[np.int8]:
    """As `encoding.codes_of` for each, at a third of the time."""
    found: list[tuple[int, int, int]] = []
    count = 0
    for row, environment in enumerate(environments):
        count = row + 1
        for kind, value in (environment or {}).items():
            column = _KIND.get(kind)
            if column is not None:
                found.append((row, column, CATEGORIES[column].code(value)))
    codes = np.full((count, len(KINDS)), -1, np.int8)
    if found:
        place = np.array(found, np.int64)
        codes[place[:, 0], place[:, 1]] = place[:, 2]
    return codes
