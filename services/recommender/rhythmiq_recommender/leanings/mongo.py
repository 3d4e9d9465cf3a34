"""The worker's own records in MongoDB: what is due, the bookmark, the lease."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.mongo import Collection, Database, operation
from rhythmiq_recommender.leanings.ports import Bookmark, Task

DUE: Final = "leanings_due"
STATE: Final = "leanings_state"
_BOOKMARK: Final = "bookmark"
_LEASE: Final = "lease"
_LEASE_SECONDS: Final = 2.0
"""Bound of taking the lease: well within the time that it lasts."""


class MongoDueLeanings:
    """DueLeanings on the collection `leanings_due`: one document a profile, with nothing in it but when."""

    def __init__(self, database: Database) -> None:
        self._due: Collection = database[DUE]

    async def ensure_indexes(self) -> None:
        """Makes the index, idempotently."""
        async with operation():
            await self._due.create_index("due")

    async def mark(self, profile_ids: Sequence[str], due: datetime) -> None:
        change = {"$min": {"due": due}, "$inc": {"revision": 1}}
        updates: list[UpdateOne] = [UpdateOne({"_id": profile}, change, upsert=True) for profile in profile_ids]
        if updates:
            async with operation():
                await self._due.bulk_write(updates, ordered=False)

    async def due(self, now: datetime, limit: int) -> list[Task]:
        async with operation():
            found = self._due.find({"due": {"$lte": now}}).sort("due", 1).limit(limit)
            return [Task(document["_id"], document["revision"]) async for document in found]

    async def done(self, task: Task, again: datetime | None, *, changed: datetime) -> None:
        unchanged = {"_id": task.profile_id, "revision": task.revision}
        async with operation():
            if again is None:
                kept = (await self._due.delete_one(unchanged)).deleted_count
            else:
                kept = (await self._due.update_one(unchanged, {"$set": {"due": again}})).matched_count
            if not kept:
                # Marked meanwhile; or another worker, which did not know better, was at it too.
                await self._due.update_one({"_id": task.profile_id}, {"$set": {"due": changed}})


class MongoBookmarks:
    """Bookmarks in the collection `leanings_state`."""

    def __init__(self, database: Database) -> None:
        self._state: Collection = database[STATE]

    async def load(self) -> Bookmark | None:
        async with operation():
            found = await self._state.find_one({"_id": _BOOKMARK})
        return None if found is None else Bookmark(found["position"], found.get("scanned"))

    async def save(self, bookmark: Bookmark) -> None:
        document: dict[str, Any] = {"position": bookmark.position}
        if bookmark.scanned is not None:
            document["scanned"] = bookmark.scanned
        async with operation():
            await self._state.replace_one({"_id": _BOOKMARK}, document, upsert=True)


class MongoLease:
    """Lease in the collection `leanings_state`, by the database's clock: those of workers need not agree."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._state: Collection = database[STATE]
        self._holder = str(uuid4())
        self._seconds = seconds

    @property
    def seconds(self) -> float:
        return self._seconds

    async def take(self) -> bool:
        # A lease that is not there ends before now: nothing is less than any date.
        free = {"$or": [{"$eq": ["$holder", self._holder]}, {"$lt": ["$ends", "$$NOW"]}]}
        ends = {"$add": ["$$NOW", int(self._seconds * 1000)]}
        mine = {"holder": {"$cond": [free, self._holder, "$holder"]}, "ends": {"$cond": [free, ends, "$ends"]}}
        try:
            async with operation(min(_LEASE_SECONDS, self._seconds / 2)):
                lease = await self._state.find_one_and_update(
                    {"_id": _LEASE}, [{"$set": mine}], upsert=True, return_document=ReturnDocument.AFTER
                )
        except DuplicateKeyError:
            return False  # another has just made it
        return lease is not None and lease["holder"] == self._holder

    async def release(self) -> None:
        try:
            async with operation(_LEASE_SECONDS / 2):
                await self._state.delete_one({"_id": _LEASE, "holder": self._holder})
        except Unavailable:
            return  # it ends by itself
