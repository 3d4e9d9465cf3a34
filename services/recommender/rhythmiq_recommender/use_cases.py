"""What can be done with the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.etag import check_etag
from rhythmiq_mesh.paging import PageTokens, page_size
from rhythmiq_recommender.model import Draft, ImportSummary, Item, ItemNotFound, ItemQuery, item_name
from rhythmiq_recommender.ports import ItemRepository


@dataclass(frozen=True)
class StoreItems:
    """Stores one batch of an import and counts what became of it. Raises Unavailable, Aborted.

    Of several drafts of one item the last is stored; they are counted as if each had been, one after another.
    """

    items: ItemRepository
    clock: Clock

    async def __call__(self, drafts: Sequence[Draft], summary: ImportSummary) -> None:
        versions: dict[str, list[bytes]] = {}
        latest: dict[str, Draft] = {}
        for draft in drafts:
            latest[draft.id] = draft
            versions.setdefault(draft.id, []).append(draft.digest)
        before = await self.items.upsert(list(latest.values()), self.clock.now())
        for item_id, digest in zip(latest, before, strict=True):
            summary.count(digest, versions[item_id])


@dataclass(frozen=True)
class GetItem:
    """Gets an item. Raises ItemNotFound, Unavailable."""

    items: ItemRepository

    async def __call__(self, item_id: str) -> Item:
        item = await self.items.get(item_id)
        if item is None:
            raise ItemNotFound(item_name(item_id))
        return item


@dataclass(frozen=True)
class ListItems:
    """Lists items by id, a page at a time. Raises InvalidArgument, Unavailable."""

    items: ItemRepository
    tokens: PageTokens

    async def __call__(self, query: ItemQuery, size: int, token: str) -> tuple[list[Item], str]:
        """The page, and the token of the next one; empty on the last."""
        limit = page_size(size)
        bound = ("ListItems", query.kind, query.genre, query.artist)
        position = self.tokens.decode(bound, token)
        found = await self.items.page(query, after=str(position[0]) if position else "", limit=limit + 1)
        page = found[:limit]
        return page, self.tokens.encode(bound, [page[-1].id]) if len(found) > limit else ""


@dataclass(frozen=True)
class DeleteItem:
    """Deletes an item. Raises ItemNotFound, EtagMismatch, Unavailable."""

    items: ItemRepository

    async def __call__(self, item_id: str, etag: str) -> None:
        while True:
            stored = await GetItem(self.items)(item_id)
            check_etag(etag, stored.etag, stored.name)
            if await self.items.delete(item_id, expected_etag=stored.etag):
                return
