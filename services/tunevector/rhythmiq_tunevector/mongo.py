"""Tune vectors in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, operation
from rhythmiq_mesh.mongo_children import MongoChildren, MongoCounters, mark
from rhythmiq_tunevector.documents import document_of, vector_of
from rhythmiq_tunevector.model import LIMIT, TuneVector, TuneVectorLimitReached


class MongoTuneVectors(MongoChildren[TuneVector]):
    """TuneVectorRepository on the collections `tune_vectors` and `counters`."""

    def __init__(self, database: Database, *, limit: int = LIMIT) -> None:
        super().__init__(database, "tune_vectors", vector_of, unlisted={"items": False})
        self._counters = MongoCounters(database)
        self._limit = limit

    async def ensure_indexes(self) -> None:
        await super().ensure_indexes()
        await self._counters.ensure_indexes()

    async def create(self, vector: TuneVector, key: RequestKey | None) -> tuple[TuneVector, bool]:
        document = document_of(vector)

        async def insert(session: Session) -> Document:
            if not await self._counters.add(vector.profile_id, 1, session, most=self._limit):
                raise TuneVectorLimitReached(vector.profile_id, self._limit)
            await self._children.insert_one(mark(document, key), session=session)
            return document

        stored, replayed = await self._once(vector.profile_id, key, insert)
        return vector_of(stored), replayed

    async def _removed(self, profile_id: str, children: Sequence[Document], session: Session) -> None:
        await self._counters.add(profile_id, -len(children), session)

    async def replace(self, vector: TuneVector, *, expected_etag: str) -> bool:
        document = document_of(vector)
        del document["_id"]
        async with operation():
            result = await self._children.update_one(
                {"_id": vector.id, "profile_id": vector.profile_id, "etag": expected_etag}, {"$set": document}
            )
        return result.matched_count == 1

    async def delete(self, profile_id: str, tune_vector_id: str, *, expected_etag: str) -> bool:
        return await self._delete(profile_id, tune_vector_id, expected_etag)
