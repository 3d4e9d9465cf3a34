"""Variables in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, operation, read
from rhythmiq_mesh.mongo_children import MongoChildren, mark
from rhythmiq_variable.documents import (
    ERASURES,
    READINGS,
    VARIABLES,
    milliseconds,
    variable_document,
    variable_of,
)
from rhythmiq_variable.model import Erasure, Kind, Variable, VariableExists

_MANY_SECONDS = 60.0
"""Bound of one operation on all readings of a variable; what it did not reach, its repetition does."""


class MongoVariables(MongoChildren[Variable]):
    """VariableRepository on the collections `variables` and `erasures`; the latter is the outbox of opt-outs."""

    def __init__(self, database: Database, *, changing: Changing = unwatched) -> None:
        super().__init__(database, VARIABLES, variable_of, changing=changing)
        self._readings = database[READINGS]
        self._erasures = database[ERASURES]

    async def ensure_indexes(self) -> None:
        await super().ensure_indexes()
        async with operation():
            await self._children.create_index([("profile_id", ASCENDING), ("kind", ASCENDING)], unique=True)
            await self._children.create_index("latest.expire_time", sparse=True)
            await self._children.create_index("rewriting", sparse=True)
            await self._readings.create_index(
                [("variable_id", ASCENDING), ("observe_time", DESCENDING), ("_id", DESCENDING)]
            )
            await self._readings.create_index("expire_time", expireAfterSeconds=0)

    async def create(self, variable: Variable, key: RequestKey | None) -> tuple[Variable, bool]:
        async def insert(session: Session) -> Document:
            document = variable_document(variable)
            await self._children.insert_one(mark(document, key), session=session)
            return document

        try:
            document, replayed = await self._once(variable.profile_id, key, insert, rule="kind")
        except DuplicateKeyError as error:
            same_kind = (found for found in await self.all(variable.profile_id) if found.kind is variable.kind)
            raise VariableExists(variable.kind, next((found.name for found in same_kind), "")) from error
        return variable_of(document), replayed

    async def take_back(self, profile_id: str, ids: Sequence[str]) -> bool:
        if not await super().take_back(profile_id, ids):
            return False
        for variable_id in ids:
            await self.erase(variable_id)
        return True

    async def _removed(self, profile_id: str, children: Sequence[Document], session: Session) -> None:
        opt_outs = [
            {"_id": child["_id"], "profile_id": profile_id, "kind": child["kind"], "readings": True}
            for child in children
        ]
        await self._erasures.insert_many(opt_outs, session=session)

    async def all(self, profile_id: str) -> list[Variable]:
        found = await read(self._children, {"profile_id": profile_id}, limit=len(Kind))
        return [variable_of(document) for document in found]

    async def replace(self, variable: Variable, *, expected_etag: str) -> bool:
        async with operation():
            stored = await self._children.find_one({"_id": variable.id, "etag": expected_etag})
        if stored is None:
            return False
        old = variable_of(stored)
        expired = old.expired_until(variable.update_time)
        if variable.retention > old.retention:
            # What has expired must not come back to life by the longer retention, also where the TTL index is behind.
            async with operation(_MANY_SECONDS):
                await self._readings.delete_many({"variable_id": variable.id, "observe_time": {"$lte": expired}})
        fields: Document = {
            "retention_ms": milliseconds(variable.retention),
            "update_time": variable.update_time,
            "etag": variable.etag,
            "generation": variable.generation,
        }
        if variable.generation != old.generation:
            fields["rewriting"] = True
            fields["latest"] = _latest_after(variable, max(expired, variable.expired_until(variable.update_time)))
        async with self._changing(variable.profile_id), operation():
            this = {"_id": variable.id, "etag": expected_etag}
            result = await self._children.update_one(this, [{"$set": fields}])
        return result.matched_count == 1

    async def rewrite(self, variable: Variable) -> None:
        # The generation keeps a slow rewrite from undoing a later one, and lets an interrupted one go on.
        older = {"variable_id": variable.id, "generation": {"$lt": variable.generation}}
        expire_time = {"$add": ["$observe_time", milliseconds(variable.retention)]}
        async with operation(_MANY_SECONDS):
            await self._readings.update_many(
                older, [{"$set": {"expire_time": expire_time, "generation": variable.generation}}]
            )
            await self._children.update_one(
                {"_id": variable.id, "generation": variable.generation}, {"$unset": {"rewriting": ""}}
            )

    async def unfinished_rewrites(self, limit: int) -> list[Variable]:
        return await self._find({"rewriting": True}, limit)

    async def remove(self, variable: Variable, *, expected_etag: str) -> bool:
        return await self._delete(variable.profile_id, variable.id, expected_etag)

    async def erasing(self, profile_id: str, variable_id: str) -> Erasure | None:
        async with operation():
            found = await self._erasures.find_one({"_id": variable_id, "profile_id": profile_id})
        return None if found is None else _erasure(found)

    async def erase(self, variable_id: str) -> int:
        # Recordings write the variable's document, so none can commit any more, and all that did are seen here.
        async with operation(_MANY_SECONDS):
            result = await self._readings.delete_many({"variable_id": variable_id})
            await self._erasures.update_one({"_id": variable_id}, {"$set": {"readings": False}})
        return result.deleted_count

    async def finish(self, variable_id: str) -> None:
        async with operation():
            await self._erasures.delete_one({"_id": variable_id})

    async def unfinished_erasures(self, limit: int) -> list[str]:
        async with operation():
            found = await self._erasures.find({"readings": True}, {"_id": 1}).limit(limit).to_list()
        return [document["_id"] for document in found]

    async def unfinished_copies(self, limit: int) -> list[Erasure]:
        async with operation():
            found = await self._erasures.find({"readings": False}).limit(limit).to_list()
        return [_erasure(document) for document in found]

    async def forget_expired(self, now: datetime) -> None:
        async with operation(_MANY_SECONDS):
            await self._children.update_many({"latest.expire_time": {"$lte": now}}, {"$unset": {"latest": ""}})

    async def _find(self, query: Document, limit: int) -> list[Variable]:
        async with operation():
            found = self._children.find(query).sort([("create_time", ASCENDING), ("_id", ASCENDING)]).limit(limit)
            return [variable_of(document) for document in await found.to_list()]


def _erasure(document: Document) -> Erasure:
    return Erasure(document["_id"], document["profile_id"], Kind(document["kind"]))


def _latest_after(variable: Variable, expired: datetime) -> Document:
    """Keeps `latest` with its new expire_time, unless it was observed at `expired` or before."""
    expire_time = {"$add": ["$latest.observe_time", milliseconds(variable.retention)]}
    kept = {"$mergeObjects": ["$latest", {"expire_time": expire_time}]}
    return {"$cond": [{"$gt": ["$latest.observe_time", expired]}, kept, "$$REMOVE"]}
