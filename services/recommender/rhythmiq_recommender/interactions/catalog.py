"""The catalogue as Items: what this replica has in memory first, then what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import numpy as np

from rhythmiq_recommender.snapshot import CatalogSnapshot


class Catalog(Protocol):
    """Holds the newest snapshot."""

    @property
    def snapshot(self) -> CatalogSnapshot: ...


class StoredItems(Protocol):
    """Items in storage."""

    async def present(self, item_ids: Sequence[str]) -> set[str]:
        """Those of the items that exist. Raises Unavailable."""
        ...


class CatalogItems:
    """A snapshot is about a second behind: it does not know what was imported just now, which storage does."""

    def __init__(self, catalog: Catalog, stored: StoredItems) -> None:
        self._catalog = catalog
        self._stored = stored

    async def unknown(self, item_ids: Sequence[str]) -> set[str]:
        missing = _not_in(self._catalog.snapshot, list(dict.fromkeys(item_ids)))
        return set(missing) - await self._stored.present(missing) if missing else set()


def _not_in(snapshot: CatalogSnapshot, item_ids: Sequence[str]) -> list[str]:
    """One search for all of them: a thousand single ones would cost a millisecond for each fifty."""
    if len(snapshot) == 0:
        return list(item_ids)
    ids = snapshot.columns.ids
    # Compared as the column is: bytes of this type end where only zeros follow.
    wanted = np.array([UUID(item_id).bytes for item_id in item_ids], "S16")
    rows = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    known = (ids[rows] == wanted).tolist()
    return [item_id for item_id, found in zip(item_ids, known, strict=True) if not found]
