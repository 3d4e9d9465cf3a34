"""Tune vectors in MongoDB."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from weakref import WeakValueDictionary

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, Transactions, operation
from rhythmiq_tunevector.documents import document_of, vector_of
from rhythmiq_tunevector.model import LIMIT, TuneVector, TuneVectorLimitReached

_ATTEMPTS = 5


class MongoTuneVectors:
    """TuneVectorRepository on the collections `tune_vectors` and `counters`.

    A counter holds how many tune vectors its profile has. Every insert and delete changes it in the same transaction,
    so of two at the same time one is run again on what the other left: the limit is exact across processes. The lock
    only keeps one process from getting in its own way.
    """

    def __init__(self, database: Database, *, limit: int = LIMIT) -> None:
        self._vectors = database["tune_vectors"]
        self._counters = database["counters"]
        self._transactions = Transactions(database)
        self._limit = limit
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ensure_indexes(self) -> None:
        """Makes the indexes, idempotently."""
        await self._transactions.ensure_indexes()
        async with operation():
            await self._vectors.create_index(
                [("profile_id", pymongo.ASCENDING), ("create_time", pymongo.ASCENDING), ("_id", pymongo.ASCENDING)]
            )
            # Transactions must not have to make a collection.
            await self._counters.create_index("count")

    async def create(self, vector: TuneVector, key: RequestKey | None) -> tuple[TuneVector, bool]:
        async def insert(session: Session) -> Document:
            present = await self._counters.find_one({"_id": vector.profile_id}, session=session)
            if present is not None and present["count"] >= self._limit:
                raise TuneVectorLimitReached(vector.profile_id, self._limit)
            await self._add(vector.profile_id, 1, session)
            document = document_of(vector)
            await self._vectors.insert_one(document, session=session)
            return document

        async with self._lock(vector.profile_id):
            for _ in range(_ATTEMPTS):
                # A duplicate is a race (two first counters, two equal request_ids): what is there now decides.
                with contextlib.suppress(DuplicateKeyError):
                    document, replayed = await self._transactions.once(key, insert)
                    return vector_of(document), replayed
        raise Aborted("other calls create tune vectors below the same profile at the same time: try again")

    async def vouch(self, tune_vector_id: str) -> bool:
        async with operation():
            result = await self._vectors.update_one({"_id": tune_vector_id}, {"$set": {"vouched": True}})
        return result.matched_count == 1

    async def take_back(self, vector: TuneVector, key: RequestKey | None) -> bool:
        async def remove(session: Session) -> bool:
            found = await self._vectors.find_one_and_delete(
                {"_id": vector.id, "vouched": {"$ne": True}}, {"_id": True}, session=session
            )
            if found is None:
                return await self._vectors.find_one({"_id": vector.id}, {"_id": True}, session=session) is None
            await self._add(vector.profile_id, -1, session)
            # The record belongs to this create only where its insert took place.
            await self._transactions.forget(key, session)
            return True

        async with self._lock(vector.profile_id):
            return await self._transactions.run(remove)

    async def get(self, profile_id: str, tune_vector_id: str) -> TuneVector | None:
        async with operation():
            document = await self._vectors.find_one({"_id": tune_vector_id, "profile_id": profile_id})
        return None if document is None else vector_of(document)

    async def page(self, profile_id: str, *, after: tuple[datetime, str] | None, limit: int) -> list[TuneVector]:
        query: Document = {"profile_id": profile_id}
        if after is not None:
            time, last = after
            query["$or"] = [{"create_time": {"$gt": time}}, {"create_time": time, "_id": {"$gt": last}}]
        async with operation():
            cursor = self._vectors.find(query, {"items": False}).sort([("create_time", 1), ("_id", 1)]).limit(limit)
            documents = await cursor.to_list()
        return [vector_of(document) for document in documents]

    async def replace(self, vector: TuneVector, *, expected_etag: str) -> bool:
        document = document_of(vector)
        del document["_id"]
        async with operation():
            result = await self._vectors.update_one(
                {"_id": vector.id, "profile_id": vector.profile_id, "etag": expected_etag}, {"$set": document}
            )
        return result.matched_count == 1

    async def delete(self, profile_id: str, tune_vector_id: str, *, expected_etag: str) -> bool:
        async def remove(session: Session) -> bool:
            result = await self._vectors.delete_one(
                {"_id": tune_vector_id, "profile_id": profile_id, "etag": expected_etag}, session=session
            )
            if result.deleted_count:
                await self._add(profile_id, -1, session)
            return result.deleted_count == 1

        async with self._lock(profile_id):
            return await self._transactions.run(remove)

    async def count(self, profile_id: str) -> int:
        async with operation():
            return await self._vectors.count_documents({"profile_id": profile_id})

    async def _add(self, profile_id: str, change: int, session: Session) -> None:
        """Changes the counter; one at 0 is removed, so that nothing of a deleted profile stays."""
        counter = await self._counters.find_one_and_update(
            {"_id": profile_id},
            {"$inc": {"count": change}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if counter is not None and counter["count"] == 0:
            await self._counters.delete_one({"_id": profile_id}, session=session)

    def _lock(self, profile_id: str) -> asyncio.Lock:
        return self._locks.setdefault(profile_id, asyncio.Lock())
