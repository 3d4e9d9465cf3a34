"""Children of profiles in MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.children import Child
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, Transactions, operation, read
from rhythmiq_mesh.paging import Place

R = TypeVar("R")
_ATTEMPTS = 5

COUNTERS = "counters"
"""Collection of MongoCounters, by profile id: what makes or deletes a child that is counted, writes it."""


class MongoChildren(Generic[R]):
    """ChildRepository but for `create`, on one collection of documents with `_id`, `create_time` and the profile's id.

    A repository derives from it, runs what inserts by `_once`, puts `mark` on what it inserts, and says in `_removed`
    what goes with a child.
    """

    def __init__(
        self,
        database: Database,
        collection: str,
        resource: Callable[[Document], R],
        *,
        profile_field: str = "profile_id",
        unlisted: Mapping[str, Any] | None = None,
        changing: Changing = unwatched,
    ) -> None:
        """`resource` reads a document; `unlisted` is the projection that leaves out what pages do not show.

        `changing` is wrapped around every write; a repository that derives from this wraps its own.
        """
        self._children = database[collection]
        self._transactions = Transactions(database)
        self._resource = resource
        self._profile_field = profile_field
        self._unlisted = unlisted
        self._changing = changing
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ensure_indexes(self) -> None:
        """Makes the indexes, idempotently."""
        await self._transactions.ensure_indexes()
        async with operation():
            await self._children.create_index([(self._profile_field, 1), ("create_time", 1), ("_id", 1)])
            await self._children.create_index("unconfirmed.since", sparse=True)

    async def present(self, ids: Sequence[str]) -> bool:
        async with operation():
            return await self._children.count_documents({"_id": {"$in": list(ids)}}) == len(ids)

    async def confirm(self, ids: Sequence[str]) -> bool:
        async with operation():
            result = await self._children.update_many({"_id": {"$in": list(ids)}}, {"$unset": {"unconfirmed": ""}})
        return result.matched_count == len(ids)

    async def take_back(self, profile_id: str, ids: Sequence[str]) -> bool:
        these = {"_id": {"$in": list(ids)}, self._profile_field: profile_id}

        async def remove(session: Session) -> bool:
            found = await self._children.find(these, session=session).to_list()
            if not all("unconfirmed" in document for document in found):
                return False
            if found:
                await self._children.delete_many(these, session=session)
                await self._removed(profile_id, found, session)
                await self._transactions.forget([document["unconfirmed"]["request"] for document in found], session)
            return True

        async with self._turn(profile_id):
            return await self._transactions.run(remove)

    async def _delete(self, profile_id: str, child_id: str, etag: str) -> bool:
        """Removes exactly this version; False when it has changed or is gone."""
        this = {"_id": child_id, self._profile_field: profile_id, "etag": etag}

        async def remove(session: Session) -> bool:
            found: Document | None = await self._children.find_one_and_delete(this, session=session)
            if found is not None:
                await self._removed(profile_id, [found], session)
                await self._deleted(found, session)
            return found is not None

        async with self._turn(profile_id):
            return await self._transactions.run(remove)

    async def _removed(self, profile_id: str, children: Sequence[Document], session: Session) -> None:
        """What has to happen in the transaction that deletes these documents or takes them back."""

    async def _deleted(self, child: Document, session: Session) -> None:
        """What else has to happen in the transaction in which a listener deletes this one."""

    async def unconfirmed(self, created_before: datetime, limit: int) -> list[Child]:
        query = {"unconfirmed.since": {"$lt": created_before}}
        async with operation():
            found = self._children.find(query, {self._profile_field: True}).sort("unconfirmed.since", 1).limit(limit)
            return [Child(document[self._profile_field], document["_id"]) async for document in found]

    async def get(self, profile_id: str, child_id: str) -> R | None:
        async with operation():
            document = await self._children.find_one({"_id": child_id, self._profile_field: profile_id})
        return None if document is None else self._resource(document)

    async def page(self, profile_id: str, after: Place | None, limit: int) -> list[R]:
        query: Document = {self._profile_field: profile_id}
        if after is not None:
            time, last = after
            query["$or"] = [{"create_time": {"$gt": time}}, {"create_time": time, "_id": {"$gt": last}}]
        order = {"create_time": 1, "_id": 1}
        found = await read(self._children, query, limit=limit, sort=order, projection=self._unlisted)
        return [self._resource(document) for document in found]

    async def count(self, profile_id: str) -> int:
        async with operation():
            return await self._children.count_documents({self._profile_field: profile_id})

    async def _once(
        self, profile_id: str, key: RequestKey | None, work: Callable[[Session], Awaitable[Document]], *, rule: str = ""
    ) -> tuple[Document, bool]:
        """Runs a transaction that inserts, once per request; its answer, and whether it is a replay's.

        Raises DuplicateKeyError only for the unique index with the field `rule`. Any other duplicate is a race (two
        first counters, two equal request_ids): what is there now decides.
        """
        async with self._turn(profile_id):
            for _ in range(_ATTEMPTS):
                try:
                    return await self._transactions.once(key, work)
                except DuplicateKeyError as error:
                    if rule in ((error.details or {}).get("keyPattern") or {}):
                        raise
        raise Aborted("other calls create below the same profile at the same time: try again")

    @asynccontextmanager
    async def _turn(self, profile_id: str) -> AsyncIterator[None]:
        """Keeps one process from getting in its own way; processes are kept apart by transactions."""
        async with self._locks.setdefault(profile_id, asyncio.Lock()), self._changing(profile_id):
            yield


class MongoCounters:
    """How many children each profile has, for exact limits.

    Every insert and delete changes the counter in the same transaction, so of two at the same time one is run again on
    what the other left: a limit is exact across processes.
    """

    def __init__(self, database: Database) -> None:
        self._counters = database[COUNTERS]

    async def ensure_indexes(self) -> None:
        """Transactions must not have to make a collection."""
        async with operation():
            await self._counters.create_index("count")

    async def add(self, profile_id: str, change: int, session: Session, *, most: int | None = None) -> bool:
        """Changes the counter; False, and nothing, when it would exceed `most`.

        `writes` makes a change of 0 a write too: two transactions on one profile always notice each other. A counter at
        0 is removed, so that nothing of a deleted profile stays.
        """
        if most is not None:
            present = await self._counters.find_one({"_id": profile_id}, session=session)
            if present is not None and present["count"] + change > most:
                return False
        counter = await self._counters.find_one_and_update(
            {"_id": profile_id},
            {"$inc": {"count": change, "writes": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if counter is not None and counter["count"] == 0:
            await self._counters.delete_one({"_id": profile_id}, session=session)
        return True


def mark(document: Document, key: RequestKey | None) -> Document:
    """A new child's document with what it carries until it is confirmed: what taking it back needs."""
    return document | {"unconfirmed": {"since": document["create_time"], "request": key and key.id}}
