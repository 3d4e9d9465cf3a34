"""The catalogue as it changes, from MongoDB's change stream.

The stream tells only which items changed; what they are now is read when it is wanted. An import of many items is thus
cheap to follow, and an item that changed twice is read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, cast

import bson
from bson.codec_options import CodecOptions
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.errors import OperationFailure

from rhythmiq_mesh.mongo import Collection, Database, Document, operation
from rhythmiq_recommender.model import Item
from rhythmiq_recommender.mongo import item_of
from rhythmiq_recommender.ports import Changes, HistoryLost

QUIET_MILLISECONDS = 250
_BATCH = 2_000
_GATHER_SECONDS = 1.0
_OF_ONE_ITEM = {"insert", "update", "replace", "delete"}
_ONLY_IDS: list[Mapping[str, Any]] = [{"$project": {"operationType": 1, "documentKey": 1}}]
# ChangeStreamFatalError, ChangeStreamHistoryLost, InvalidResumeToken, and a failed $resumeAfter of a forgotten token.
_LOST_CODES = {280, 286, 260, 50811}
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True)


class MongoItemFeed:
    """ItemFeed on the collection `items`. A position is a resume token of its change stream."""

    def __init__(self, database: Database) -> None:
        self._items: Collection = database["items"]

    async def position(self) -> object:
        async with operation(), await self._watch(None) as stream:
            while stream.resume_token is None:
                await stream.try_next()
            return stream.resume_token

    async def everything(self) -> AsyncGenerator[Sequence[Item], None]:
        async with operation():
            cursor = self._items.find_raw_batches({}, batch_size=_BATCH).sort("_id", 1)
        async with cursor:
            while True:
                try:
                    async with operation():
                        batch = await anext(cursor)
                except StopAsyncIteration:
                    return
                yield await asyncio.to_thread(_items, batch)

    async def changes(self, since: object) -> AsyncGenerator[Changes, None]:
        try:
            async with operation():
                stream = await self._watch(since)
            async with stream:
                while True:
                    yield await self._next(stream)
        except OperationFailure as error:
            if error.code in _LOST_CODES:
                raise HistoryLost from error
            raise

    async def present(self, item_ids: Sequence[str]) -> Sequence[Item]:
        found: list[Item] = []
        for start in range(0, len(item_ids), _BATCH):
            wanted = {"_id": {"$in": item_ids[start : start + _BATCH]}}
            async with operation():
                batches = [batch async for batch in self._items.find_raw_batches(wanted)]
            for batch in batches:
                found += await asyncio.to_thread(_items, batch)
        return found

    async def _watch(self, since: object) -> AsyncCollectionChangeStream[Document]:
        return await self._items.watch(
            _ONLY_IDS,
            resume_after=since,  # type: ignore[arg-type]
            batch_size=_BATCH,
            max_await_time_ms=QUIET_MILLISECONDS,
        )

    async def _next(self, stream: AsyncCollectionChangeStream[Document]) -> Changes:
        """Gathers changes until it is quiet, for a second at most."""
        item_ids: set[str] = set()
        end = asyncio.get_running_loop().time() + _GATHER_SECONDS
        async with operation():
            while (change := await stream.try_next()) is not None:
                if change["operationType"] not in _OF_ONE_ITEM:
                    raise HistoryLost
                item_ids.add(change["documentKey"]["_id"])
                if asyncio.get_running_loop().time() > end:
                    break
        return Changes(frozenset(item_ids), stream.resume_token)


def _items(batch: object) -> list[Item]:
    return [item_of(document) for document in bson.decode_all(cast("bytes", batch), _OPTIONS)]
