"""Keeps this replica's view of the catalogue current."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from rhythmiq_mesh.errors import Unavailable
from rhythmiq_recommender.ports import Changes, Entry, HistoryLost, ItemFeed
from rhythmiq_recommender.snapshot import CatalogSnapshot, SnapshotBuilder

log = logging.getLogger("rhythmiq.catalog")

_REST = 4.0
"""While changes keep coming, the time between rebuilds in times of the last one's duration."""
_MANY = 1_000
"""From here on changes are an import, which rebuilding would slow down: it waits until the import is over …"""
_LONGEST_WAIT = 10.0
"""… or for this many seconds."""
_NEARLY_ALL = 4
"""Where so many times more has changed than there was, reading everything takes less than reading what changed."""
_FIRST_PAUSE, _LAST_PAUSE = 0.1, 2.0


class CatalogFollower:
    """Holds the newest snapshot.

    A change shows within about a second of being stored, in every replica alike (the one that stored it too), once a
    quarter of a second was quiet. What an import stored shows once it is over and read: another 20 microseconds of
    processor time an item (66,000: 1.2 s; measured 1.5 to 2.4 s on two cores shared with other work). During an
    import of more than ten seconds the snapshot advances about every ten. While the database is away the last snapshot
    stays.
    """

    def __init__(self, feed: ItemFeed, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._feed = feed
        self._pause = pause
        self._snapshot = CatalogSnapshot.empty()
        self._position: object = None
        self._pending: set[str] = set()
        self._applied = 0.0
        self._rest = 0.0

    @property
    def snapshot(self) -> CatalogSnapshot:
        """The catalogue as last seen. Immutable: keep it for the length of one answer."""
        return self._snapshot

    async def load(self) -> None:
        """Reads the whole catalogue. Raises Unavailable."""
        start = time.monotonic()
        # What changes during the load is read again afterwards: the position is taken first.
        position = await self._feed.position()
        self._snapshot = await _built(SnapshotBuilder(CatalogSnapshot.empty()), self._feed.everything())
        self._position = position
        self._pending.clear()
        log.info("catalog loaded", extra={"items": len(self._snapshot), "seconds": round(time.monotonic() - start, 2)})

    async def follow(self) -> None:
        """Applies changes as they happen, until cancelled; loads first where that is needed."""
        seconds = _FIRST_PAUSE
        while True:
            try:
                if self._position is None:
                    await self.load()
                async with aclosing(self._feed.changes(self._position)) as feed:
                    async for changes in feed:
                        _heed_cancellation()
                        seconds = _FIRST_PAUSE
                        await self._take(changes)
            except HistoryLost:
                _heed_cancellation()
                log.warning("the catalog's history is lost: loading all of it")
                self._position = None
            except Unavailable as error:
                _heed_cancellation()
                log.warning("the catalog cannot be followed", extra={"reason": error.reason, "retry_seconds": seconds})
            await self._pause(seconds)
            seconds = min(2 * seconds, _LAST_PAUSE)

    async def _take(self, changes: Changes) -> None:
        self._pending |= changes.item_ids
        start = time.monotonic()
        wait = self._rest if len(self._pending) < _MANY else max(self._rest, _LONGEST_WAIT)
        if self._pending and (changes.quiet or start >= self._applied + wait):
            await self._apply(sorted(self._pending))
            self._pending.clear()
        if not self._pending:
            self._applied = time.monotonic()
            self._rest = _REST * (self._applied - start)
            # Only now: what a failure interrupts is told again.
            self._position = changes.position

    async def _apply(self, item_ids: Sequence[str]) -> None:
        if len(item_ids) > _NEARLY_ALL * len(self._snapshot) and len(item_ids) >= _MANY:
            self._snapshot = await _built(SnapshotBuilder(CatalogSnapshot.empty()), self._feed.everything())
            return
        builder = SnapshotBuilder(self._snapshot)
        # What exists is put in again.
        await asyncio.to_thread(builder.remove, item_ids)
        self._snapshot = await _built(builder, self._feed.present(item_ids))


async def _built(builder: SnapshotBuilder, entries: AsyncGenerator[Sequence[Entry], None]) -> CatalogSnapshot:
    """The builder's snapshot with these items, parsed a batch at a time so that memory stays bounded."""
    async with aclosing(entries) as batches:
        async for batch in batches:
            await asyncio.to_thread(builder.put, [entry.message for entry in batch])
    return await asyncio.to_thread(builder.build)


def _heed_cancellation() -> None:
    """Ends a task that was cancelled inside the driver, where a cancellation can get lost while it cleans up."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
