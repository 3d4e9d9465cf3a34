"""Interactions in MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4
from weakref import WeakValueDictionary

from pymongo import DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.deadline import remaining
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import OPERATION_SECONDS, Collection, Database, Document, Session, Transactions, operation
from rhythmiq_mesh.names import child_name
from rhythmiq_recommender.interactions.model import COLLECTION, Interaction, InteractionGone, Recorded, Span, Type
from rhythmiq_recommender.interactions.ports import Position
from rhythmiq_recommender.situation import EnvironmentKind

INTERACTIONS: Final = "interactions"
EPOCHS: Final = "interaction_epochs"

_DUPLICATE_KEY: Final = 11000
_MANY_SECONDS: Final = 60.0
"""Bound of one operation on all interactions of a profile; what it did not reach, its repetition does."""
_EPOCH_SECONDS: Final = 24 * 3600
"""Epochs of listeners who have been quiet for this long are forgotten; the next recording begins another."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_TYPES: Final = {type_.value: type_ for type_ in Type}


class _EpochEnded(Exception):
    """The epoch ended before the recording."""


class _NotRecorded(Exception):
    """The request has not been made before."""


class MongoInteractions:
    """InteractionRepository on the collections `interactions` and `interaction_epochs`.

    The primary key makes recording idempotent. Every recording writes its profile's epoch in its transaction, and
    ending an epoch removes that document, so that the two conflict: a recording commits before the end, and is seen by
    what comes after it, or not at all. Epochs are random, so one that has ended never comes back.
    """

    def __init__(self, database: Database, *, changing: Changing = unwatched) -> None:
        """`changing` is wrapped around every write. Each also writes the profile's epoch, for whoever follows those."""
        self._changing = changing
        self._interactions: Collection = database[INTERACTIONS]
        # Of an epoch that has ended, or has just begun, the node itself knows before a majority does. It is safe to
        # go by what may still be undone, because a recording checks again.
        self._epochs: Collection = database.get_collection(EPOCHS, read_concern=ReadConcern("local"))
        self._transactions = Transactions(database)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ensure_indexes(self) -> None:
        """Makes the indexes, idempotently."""
        await self._transactions.ensure_indexes()
        async with operation():
            await self._interactions.create_index([("profile_id", 1), ("event_time", DESCENDING), ("_id", DESCENDING)])
            await self._interactions.create_index("expire_time", expireAfterSeconds=0)
            await self._epochs.create_index("used", expireAfterSeconds=_EPOCH_SECONDS)

    async def epoch(self, profile_id: str, now: datetime) -> str:
        async with operation():
            while (found := await self._epochs.find_one({"_id": profile_id})) is None:
                with suppress(DuplicateKeyError):  # another call has begun one meanwhile
                    await self._epochs.insert_one(
                        {"_id": profile_id, "epoch": str(uuid4()), "used": now, "recordings": 0}
                    )
        epoch: str = found["epoch"]
        return epoch

    async def record(
        self, epoch: str, interactions: Sequence[Interaction], key: RequestKey | None, now: datetime
    ) -> Recorded | None:
        profile_id = interactions[0].profile_id
        async with self._turn(profile_id):
            try:
                # All new is the common case, so the first attempt does not look for what is there.
                return await self._record(epoch, interactions, key, now, look=False)
            except (DuplicateKeyError, BulkWriteError) as error:
                if not _only_duplicates(error):
                    raise
            return await self._record(epoch, interactions, key, now, look=True)

    async def replay(self, key: RequestKey, profile_id: str, interaction_ids: Sequence[str]) -> Recorded | None:
        async def refuse(_: Session) -> Document:
            raise _NotRecorded

        try:
            answer, _ = await self._transactions.once(key, refuse)
        except _NotRecorded:
            return None
        return await self._again(answer, profile_id, interaction_ids)

    async def page(
        self, profile_id: str, span: Span, now: datetime, after: Position | None, limit: int
    ) -> list[Interaction]:
        query: Document = {"profile_id": profile_id, "expire_time": {"$gt": now}}
        happened: Document = {}
        if span.start is not None:
            happened["$gte"] = span.start
        if span.end is not None:
            happened["$lt"] = span.end
        if after is not None:
            time, last = after
            query["$or"] = [{"event_time": {"$lt": time}}, {"event_time": time, "_id": {"$lt": last}}]
            # The index can start at the page, which it cannot see in the $or.
            happened["$lte"] = time
        if happened:
            query["event_time"] = happened
        order = [("event_time", DESCENDING), ("_id", DESCENDING)]
        async with operation():
            found = await self._interactions.find(query).sort(order).limit(limit).to_list()
        return [interaction_of(document) for document in found]

    async def erase(self, profile_id: str) -> int:
        async with self._changing(profile_id):
            async with operation(_MANY_SECONDS):
                erased = (await self._interactions.delete_many({"profile_id": profile_id})).deleted_count
            await self._begin_epoch(profile_id)
        return erased

    async def scrub(self, profile_id: str, kind: EnvironmentKind) -> int:
        field = f"environment.{kind}"
        async with self._changing(profile_id):
            await self._end_epoch(profile_id)
            async with operation(_MANY_SECONDS):
                result = await self._interactions.update_many(
                    {"profile_id": profile_id, field: {"$exists": True}}, {"$unset": {field: ""}}
                )
            await self._begin_epoch(profile_id)
        return result.modified_count

    async def count(self, profile_id: str) -> int:
        await self._end_epoch(profile_id)
        async with operation():
            return await self._interactions.count_documents({"profile_id": profile_id})

    async def _end_epoch(self, profile_id: str) -> None:
        async with operation():
            await self._epochs.delete_one({"_id": profile_id})

    async def _begin_epoch(self, profile_id: str) -> None:
        """Ends the epoch, and tells whoever follows epochs that interactions are others than before.

        Those who follow miss the call that is cut short before this; its repetition tells them.
        """
        new = {"$set": {"epoch": str(uuid4())}, "$currentDate": {"used": True}, "$inc": {"recordings": 0}}
        async with operation():
            await self._epochs.update_one({"_id": profile_id}, new, upsert=True)

    @asynccontextmanager
    async def _turn(self, profile_id: str) -> AsyncIterator[None]:
        """Recordings of one listener would only get into each other's way in the database, so they take turns."""
        lock = self._turns.setdefault(profile_id, asyncio.Lock())
        try:
            async with asyncio.timeout(remaining(OPERATION_SECONDS)):
                await lock.acquire()
        except TimeoutError:
            remaining(OPERATION_SECONDS)
            raise Unavailable("too many recordings of this listener are waiting: try again") from None
        try:
            async with self._changing(profile_id):
                yield
        finally:
            lock.release()

    async def _record(
        self, epoch: str, interactions: Sequence[Interaction], key: RequestKey | None, now: datetime, *, look: bool
    ) -> Recorded | None:
        profile_id = interactions[0].profile_id
        stored: dict[str, Interaction] = {}

        async def write(session: Session) -> Document:
            # The counter makes it a write, however short after the last one.
            kept = await self._epochs.update_one(
                {"_id": profile_id, "epoch": epoch}, {"$set": {"used": now}, "$inc": {"recordings": 1}}, session=session
            )
            if kept.matched_count == 0:
                raise _EpochEnded
            new = {each.id: each for each in reversed(interactions)}  # of two alike the first is kept
            stored.clear()
            if look:
                stored.update(await self._stored(list(new), session))
            missing = [_document(each) for each in new.values() if each.id not in stored]
            if missing:
                await self._interactions.insert_many(missing, session=session)
            stored.update({id_: each for id_, each in new.items() if id_ not in stored})
            # No record keeps what was recorded, so that an erasure leaves none behind.
            return {"new": len(missing)}

        try:
            answer, replayed = await self._transactions.once(key, write)
        except _EpochEnded:
            return None
        if replayed:
            return await self._again(answer, profile_id, [each.id for each in interactions])
        return Recorded([stored[each.id] for each in interactions], answer["new"])

    async def _stored(self, interaction_ids: Sequence[str], session: Session | None = None) -> dict[str, Interaction]:
        found = await self._interactions.find({"_id": {"$in": list(interaction_ids)}}, session=session).to_list()
        return {document["_id"]: interaction_of(document) for document in found}

    async def _again(self, answer: Document, profile_id: str, interaction_ids: Sequence[str]) -> Recorded:
        async with operation():
            stored = await self._stored(interaction_ids)
        for interaction_id in interaction_ids:
            if interaction_id not in stored:
                raise InteractionGone(child_name(profile_id, COLLECTION, interaction_id))
        return Recorded([stored[interaction_id] for interaction_id in interaction_ids], answer["new"])


class MongoItemIds:
    """Which items are in storage."""

    def __init__(self, database: Database) -> None:
        self._items: Collection = database["items"]

    async def present(self, item_ids: Sequence[str]) -> set[str]:
        """Those of the items that exist. Raises Unavailable."""
        async with operation():
            found = await self._items.find({"_id": {"$in": list(item_ids)}}, {"_id": 1}).to_list()
        return {document["_id"] for document in found}


def _document(given: Interaction) -> Document:
    """What is not known is left out."""
    document: dict[str, Any] = {
        "_id": given.id,
        "profile_id": given.profile_id,
        "item_id": given.item_id,
        "type": given.type.value,
        "event_time": given.event_time,
        "source": given.source,
        "create_time": given.create_time,
        "expire_time": given.expire_time,
    }
    if given.environment:
        document["environment"] = dict(given.environment)
    if given.list_id:
        document["list_id"] = given.list_id
    if given.position is not None:
        document["position"] = given.position
    if given.propensity is not None:
        document["propensity"] = given.propensity
    if given.played is not None:
        document["played_ms"] = given.played // _MILLISECOND
    return document


def interaction_of(document: Document) -> Interaction:
    """The interaction in a document."""
    get = document.get
    played = get("played_ms")
    return Interaction(
        document["_id"],
        document["profile_id"],
        document["item_id"],
        _TYPES[document["type"]],
        document["event_time"],
        document["source"],
        get("environment", {}),
        get("list_id", ""),
        get("position"),
        get("propensity"),
        None if played is None else played * _MILLISECOND,
        document["create_time"],
        document["expire_time"],
    )


def _only_duplicates(error: DuplicateKeyError | BulkWriteError) -> bool:
    if isinstance(error, DuplicateKeyError):
        return True
    problems = (error.details or {}).get("writeErrors", [])
    return bool(problems) and all(problem.get("code") == _DUPLICATE_KEY for problem in problems)
