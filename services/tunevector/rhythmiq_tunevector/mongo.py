"""Tune vectors in MongoDB."""

from __future__ import annotations

from datetime import datetime

import pymongo
from pymongo import ReturnDocument

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, Transactions, operation
from rhythmiq_tunevector.documents import document_of, vector_of
from rhythmiq_tunevector.model import LIMIT, TuneVector, TuneVectorLimitReached


class MongoTuneVectors:
    """TuneVectorRepository on the collection `tune_vectors`, with a counter for each profile in `counters`.

    A counter changes in the transaction that inserts or deletes, so transactions of one profile conflict and run one
    after another: that is what makes the limit exact.
    """

    def __init__(self, database: Database, *, limit: int = LIMIT) -> None:
        self._vectors = database["tune_vectors"]
        self._counters = database["counters"]
        self._transactions = Transactions(database)
        self._limit = limit

    async def ensure_indexes(self) -> None:
        """Makes the indexes, idempotently."""
        await self._transactions.ensure_indexes()
        async with operation():
            await self._vectors.create_index(
                [("profile_id", pymongo.ASCENDING), ("create_time", pymongo.ASCENDING), ("_id", pymongo.ASCENDING)]
            )

    async def create(self, vector: TuneVector, key: RequestKey | None) -> TuneVector:
        async def insert(session: Session) -> Document:
            if await self._add(vector.profile_id, 1, session) > self._limit:
                raise TuneVectorLimitReached(vector.profile_id, self._limit)
            document = document_of(vector)
            await self._vectors.insert_one(document, session=session)
            return document

        document, _ = await self._transactions.once(key, insert)
        return vector_of(document)

    async def take_back(self, vector: TuneVector, key: RequestKey | None) -> None:
        async def remove(session: Session) -> None:
            result = await self._vectors.delete_one({"_id": vector.id}, session=session)
            # The key belongs to this create only if its insert took place.
            if result.deleted_count:
                await self._add(vector.profile_id, -1, session)
                await self._transactions.forget(key, session)

        await self._transactions.run(remove)

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
        async with operation():
            result = await self._vectors.replace_one(
                {"_id": vector.id, "profile_id": vector.profile_id, "etag": expected_etag}, document_of(vector)
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

        return await self._transactions.run(remove)

    async def count(self, profile_id: str) -> int:
        async with operation():
            return await self._vectors.count_documents({"profile_id": profile_id})

    async def _add(self, profile_id: str, change: int, session: Session) -> int:
        """Changes the counter and returns it; one at 0 is removed, so that nothing of a deleted profile stays."""
        counter = await self._counters.find_one_and_update(
            {"_id": profile_id},
            {"$inc": {"count": change}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        assert counter is not None  # upsert: there is always a version after
        count: int = counter["count"]
        if count == 0:
            await self._counters.delete_one({"_id": profile_id}, session=session)
        return count
