"""The catalogue without a database: what ItemRepository promises, in a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rhythmiq_mesh.etag import new_etag
from rhythmiq_recommender.model import Draft, Item, ItemQuery
from rhythmiq_recommender.postings import fold


class InMemoryItems:
    """ItemRepository."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._digests: dict[str, bytes] = {}

    async def upsert(self, drafts: Sequence[Draft], now: datetime) -> list[bytes | None]:
        before = [self._digests.get(draft.id) for draft in drafts]
        for draft, digest in zip(drafts, before, strict=True):
            if digest != draft.digest:
                stored = self._items.get(draft.id)
                created = now if stored is None else stored.create_time
                self._items[draft.id] = Item(draft.id, draft.content, created, now, new_etag())
                self._digests[draft.id] = draft.digest
        return before

    async def get(self, item_id: str) -> Item | None:
        return self._items.get(item_id)

    async def page(self, query: ItemQuery, *, after: str, limit: int) -> list[Item]:
        found = (self._items[item_id] for item_id in sorted(self._items) if item_id > after)
        return [item for item in found if _matches(item, query)][:limit]

    async def delete(self, item_id: str, *, expected_etag: str) -> bool:
        stored = self._items.get(item_id)
        if stored is None or stored.etag != expected_etag:
            return False
        del self._items[item_id], self._digests[item_id]
        return True


def _matches(item: Item, query: ItemQuery) -> bool:
    content = item.content
    return (
        (query.kind is None or content.kind is query.kind)
        and (not query.genre or fold(query.genre) in map(fold, content.genres))
        and (not query.artist or fold(query.artist) in map(fold, content.artists))
    )
