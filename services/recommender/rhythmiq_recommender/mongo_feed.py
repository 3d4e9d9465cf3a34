"""The catalogue as it changes, from MongoDB's change stream.

The stream tells only which items changed; what they are now is read when it is wanted. An import of many items is thus
cheap to follow, and an item that changed twice is read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

import bson
from bson.codec_options import CodecOptions
from pymongo.asynchronous.change_stream import AsyncCollectionChangeStream
from pymongo.errors import OperationFailure

from rhythmiq_mesh.mongo import Collection, Database, Document, operation
from rhythmiq_recommender.item_messages import digest_of, message_of, whole_message
from rhythmiq_recommender.mongo import item_of
from rhythmiq_recommender.ports import Changes, Entry, HistoryLost

QUIET_MILLISECONDS = 250
_BATCH = 2_000
_GATHER_SECONDS = 1.0
_OF_ONE_ITEM = {"insert", "update", "replace", "delete"}
_ONLY_IDS: list[Mapping[str, Any]] = [{"$project": {"operationType": 1, "documentKey": 1}}]
# ChangeStreamFatalError, ChangeStreamHistoryLost, InvalidResumeToken, and a failed $resumeAfter of a forgotten token.
_LOST_CODES = {280, 286, 260, 50811}
_OF_ENTRIES = {"message": 1, "digest": 1, "etag": 1, "create_time": 1, "update_time": 1}
_OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=False)
"""Protobuf takes a time without a zone as UTC, which is what MongoDB tells, and at a third of the time."""


class MongoItemFeed:
    """ItemFeed on the collection `items`. A position is a resume token of its change stream."""

    def __init__(self, database: Database) -> None:
        self._items: Collection = database["items"]

    async def position(self) -> object:
        async with operation(), await self._watch(None) as stream:
            while stream.resume_token is None:
                await stream.try_next()
            return stream.resume_token

    async def everything(self) -> AsyncGenerator[Sequence[Entry], None]:
        async with aclosing(self._read({})) as batches:
            async for batch in batches:
                yield batch

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

    async def present(self, item_ids: Sequence[str]) -> AsyncGenerator[Sequence[Entry], None]:
        for start in range(0, len(item_ids), _BATCH):
            wanted = {"_id": {"$in": item_ids[start : start + _BATCH]}}
            async with aclosing(self._read(wanted)) as batches:
                async for batch in batches:
                    yield batch

    async def _read(self, wanted: Document) -> AsyncGenerator[list[Entry], None]:
        """Only what entries are made of, in whatever order comes fastest."""
        cursor = self._items.find_raw_batches(wanted, _OF_ENTRIES, batch_size=_BATCH)
        async with cursor:
            while True:
                try:
                    async with operation():
                        batch = await anext(cursor)
                except StopAsyncIteration:
                    return
                entries, others = await asyncio.to_thread(_entries, batch)
                yield [*entries, *await self._converted(others)]

    async def _converted(self, item_ids: Sequence[str]) -> list[Entry]:
        """Entries made of the items' fields."""
        if not item_ids:
            return []
        async with operation():
            found = await self._items.find({"_id": {"$in": item_ids}}).to_list()
        items = map(item_of, found)
        return [Entry(item.id, message_of(item).SerializeToString()) for item in items]

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
        quiet = False
        end = asyncio.get_running_loop().time() + _GATHER_SECONDS
        async with operation():
            while not quiet and asyncio.get_running_loop().time() < end:
                change = await stream.try_next()
                if change is None:
                    quiet = True
                elif change["operationType"] in _OF_ONE_ITEM:
                    item_ids.add(change["documentKey"]["_id"])
                else:
                    raise HistoryLost
        return Changes(frozenset(item_ids), stream.resume_token, quiet)


def _entries(batch: object) -> tuple[list[Entry], list[str]]:
    """Entries made of the messages in the documents, and the ids of documents that have none, or not the right one."""
    entries: list[Entry] = []
    others: list[str] = []
    for document in bson.decode_all(cast("bytes", batch), _OPTIONS):
        item_id, content = document["_id"], document.get("message")
        if content is None or digest_of(content) != document["digest"]:
            others.append(item_id)
            continue
        message = whole_message(content, item_id, document["etag"], document["create_time"], document["update_time"])
        entries.append(Entry(item_id, message))
    return entries, others
