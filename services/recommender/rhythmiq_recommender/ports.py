"""What the catalogue's use cases need."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from rhythmiq_recommender.model import Draft, Item, ItemQuery


class ItemRepository(Protocol):
    """The catalogue in storage."""

    async def upsert(self, drafts: Sequence[Draft], now: datetime) -> list[bytes | None]:
        """Stores drafts of different items, all acknowledged by a majority when this returns.

        Returns for each, in order, the digest that was stored when it was written, or None for a new item. An item
        whose digest is the draft's is left as it is. Exact under concurrency: of two calls that create the same item,
        one finds it. Raises Unavailable, Aborted.
        """
        ...

    async def get(self, item_id: str) -> Item | None:
        """Raises Unavailable."""
        ...

    async def page(self, query: ItemQuery, *, after: str, limit: int) -> list[Item]:
        """The first `limit` items that match, by id, with ids greater than `after`. Raises Unavailable."""
        ...

    async def delete(self, item_id: str, *, expected_etag: str) -> bool:
        """Removes an item unless its etag is another one; tells whether it did. Raises Unavailable."""
        ...


class HistoryLost(Exception):
    """The changes since a position can no longer be told: read everything again."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Items created, updated or deleted, and the place in the history where that leads to."""

    item_ids: frozenset[str]
    position: object
    """Only the feed that gave it knows what it means."""
    quiet: bool
    """Nothing more has happened for a quarter of a second."""


class Entry(NamedTuple):
    """An item as a replica holds it: its id and the API's message, serialized."""

    id: str
    message: bytes


class ItemFeed(Protocol):
    """The catalogue as it changes."""

    async def position(self) -> object:
        """The present place in the history. Raises Unavailable."""
        ...

    def everything(self) -> AsyncGenerator[Sequence[Entry], None]:
        """All items, in batches, in any order. Raises Unavailable."""
        ...

    def changes(self, since: object) -> AsyncGenerator[Changes, None]:
        """What has changed since a position, as it happens; also, without an item, when all was quiet.

        Raises Unavailable, HistoryLost.
        """
        ...

    def present(self, item_ids: Sequence[str]) -> AsyncGenerator[Sequence[Entry], None]:
        """Those of the items that exist, in batches, in any order. Raises Unavailable."""
        ...
