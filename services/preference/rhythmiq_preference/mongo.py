"""Preferences in MongoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, Transactions, operation, read
from rhythmiq_preference.model import (
    LIMIT,
    Origin,
    Preference,
    PreferenceExists,
    PreferenceLimitReached,
    Type,
    plan_learned,
)
from rhythmiq_preference.ports import LearnedWritten, Position

_ATTEMPTS = 5


class MongoPreferences:
    """PreferenceRepository on the collections `preferences` and `counters`.

    A counter holds how many preferences its profile has. Every insert and delete changes it in the same transaction, so
    of two at the same time one is run again on what the other left: the limit is exact across processes. The lock only
    keeps one process from getting in its own way.
    """

    def __init__(self, database: Database) -> None:
        self._preferences = database["preferences"]
        self._counters = database["counters"]
        self._transactions = Transactions(database)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ensure_indexes(self) -> None:
        """Makes the indexes, idempotently."""
        await self._transactions.ensure_indexes()
        async with operation():
            await self._preferences.create_index([("profile", 1), ("type", 1), ("value_key", 1)], unique=True)
            await self._preferences.create_index([("profile", 1), ("create_time", 1), ("_id", 1)])
            await self._preferences.create_index("unconfirmed.since", sparse=True)
            # Transactions must not have to make a collection.
            await self._counters.create_index("count")

    async def create(self, preference: Preference, key: RequestKey | None) -> tuple[Preference, bool]:
        document = _document(preference)

        async def insert(session: Session) -> Document:
            if not await self._add(preference.profile_id, 1, session, most=LIMIT):
                await self._refuse_second(preference, session)
                raise PreferenceLimitReached(preference.profile_id)
            await self._preferences.insert_one(document | _mark(preference, key), session=session)
            return document

        stored, replayed = await self._once(preference.profile_id, key, insert, twin=preference)
        return _preference(stored), replayed

    async def confirm(self, preference_ids: Sequence[str]) -> bool:
        async with operation():
            result = await self._preferences.update_many(
                {"_id": {"$in": list(preference_ids)}}, {"$unset": {"unconfirmed": ""}}
            )
        return result.matched_count == len(preference_ids)

    async def take_back(self, profile_id: str, preference_ids: Sequence[str]) -> bool:
        these = {"_id": {"$in": list(preference_ids)}, "profile": profile_id}

        async def remove(session: Session) -> bool:
            found = await self._preferences.find(these, session=session).to_list()
            if not all("unconfirmed" in document for document in found):
                return False
            if found:
                await self._preferences.delete_many(these, session=session)
                await self._add(profile_id, -len(found), session)
            for scope, request_id in {tuple(document["unconfirmed"]["request"]) for document in found} - {()}:
                await self._transactions.forget(RequestKey(scope, request_id, b""), session)
            return True

        async with self._lock(profile_id):
            return await self._transactions.run(remove)

    async def unconfirmed(self, created_before: datetime, limit: int) -> list[Preference]:
        query: Document = {"unconfirmed.since": {"$lt": created_before}}
        async with operation():
            found = self._preferences.find(query).sort("unconfirmed.since", 1).limit(limit)
            return [_preference(document) async for document in found]

    async def get(self, profile_id: str, preference_id: str) -> Preference | None:
        async with operation():
            document = await self._preferences.find_one({"_id": preference_id, "profile": profile_id})
        return None if document is None else _preference(document)

    async def page(self, profile_id: str, after: Position | None, size: int) -> list[Preference]:
        query: Document = {"profile": profile_id}
        if after is not None:
            create_time, preference_id = after
            query["$or"] = [
                {"create_time": {"$gt": create_time}},
                {"create_time": create_time, "_id": {"$gt": preference_id}},
            ]
        documents = await read(self._preferences, query, limit=size, sort={"create_time": 1, "_id": 1})
        return [_preference(document) for document in documents]

    async def replace(self, preference: Preference, *, expected_etag: str) -> bool:
        fields = _document(preference)
        for kept in ("_id", "profile", "type", "create_time"):
            del fields[kept]
        try:
            async with operation():
                result = await self._preferences.update_one(
                    {"_id": preference.id, "etag": expected_etag}, {"$set": fields}
                )
        except DuplicateKeyError as error:
            raise await self._exists(preference, error) from error
        return result.matched_count == 1

    async def delete(self, preference: Preference) -> bool:
        async def remove(session: Session) -> bool:
            result = await self._preferences.delete_one(
                {"_id": preference.id, "etag": preference.etag}, session=session
            )
            if result.deleted_count:
                await self._add(preference.profile_id, -1, session)
            return result.deleted_count == 1

        async with self._lock(preference.profile_id):
            return await self._transactions.run(remove)

    async def write_learned(
        self, profile_id: str, batch: Sequence[Preference], key: RequestKey | None
    ) -> tuple[LearnedWritten, bool]:
        async def write(session: Session) -> Document:
            found = self._preferences.find({"profile": profile_id}, session=session)
            plan = plan_learned([_preference(document) async for document in found.sort("create_time", 1)], batch)
            await self._add(profile_id, len(plan.created) - len(plan.evicted), session)
            if plan.evicted:
                evicted = [preference.id for preference in plan.evicted]
                await self._preferences.delete_many({"_id": {"$in": evicted}}, session=session)
            for changed in plan.updated:
                await self._preferences.update_one({"_id": changed.id}, {"$set": _document(changed)}, session=session)
            if plan.created:
                created = [_document(new) | _mark(new, key) for new in plan.created]
                await self._preferences.insert_many(created, session=session)
            return {
                "preferences": [_document(preference) for preference in plan.kept],
                "created_ids": [preference.id for preference in plan.created],
                "kept_set_count": plan.kept_set_count,
                "left_out_count": plan.left_out_count,
            }

        answer, replayed = await self._once(profile_id, key, write)
        written = LearnedWritten(
            preferences=tuple(_preference(document) for document in answer["preferences"]),
            created_ids=tuple(answer["created_ids"]),
            kept_set_count=answer["kept_set_count"],
            left_out_count=answer["left_out_count"],
        )
        return written, replayed

    async def count(self, profile_id: str) -> int:
        async with operation():
            return await self._preferences.count_documents({"profile": profile_id})

    async def _once(
        self,
        profile_id: str,
        key: RequestKey | None,
        work: Callable[[Session], Awaitable[Document]],
        *,
        twin: Preference | None = None,
    ) -> tuple[Document, bool]:
        """Runs a transaction that inserts. `twin` is the preference that would be the second of its value."""
        async with self._lock(profile_id):
            for _ in range(_ATTEMPTS):
                try:
                    return await self._transactions.once(key, work)
                except DuplicateKeyError as error:
                    # Any other duplicate is a race (two first counters, two equal request_ids): what is now decides.
                    if twin is not None and _second_of_value(error):
                        raise await self._exists(twin, error) from error
        raise Aborted("other calls change the same preferences at the same time: try again")

    async def _add(self, profile_id: str, change: int, session: Session, *, most: int | None = None) -> bool:
        """Changes the counter; False, and nothing, when it would exceed `most`.

        `writes` makes a change of 0 a write too: two transactions on one profile always notice each other.
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

    async def _refuse_second(self, preference: Preference, session: Session) -> None:
        """Raises PreferenceExists at the limit too: it tells the caller more."""
        found = await self._preferences.find_one(_same_value(preference), session=session)
        if found is not None:
            raise PreferenceExists(_preference(found).name)

    async def _exists(self, preference: Preference, error: DuplicateKeyError) -> Exception:
        """What to raise for the second of a value."""
        if not _second_of_value(error):
            return error
        async with operation():
            found = await self._preferences.find_one(_same_value(preference))
        if found is None:
            return Aborted("another call changed the same preference at the same time: try again")
        return PreferenceExists(_preference(found).name)

    def _lock(self, profile_id: str) -> asyncio.Lock:
        return self._locks.setdefault(profile_id, asyncio.Lock())


def _second_of_value(error: DuplicateKeyError) -> bool:
    return "value_key" in ((error.details or {}).get("keyPattern") or {})


def _same_value(preference: Preference) -> Document:
    type_, value = preference.key
    return {"profile": preference.profile_id, "type": type_.value, "value_key": value}


def _mark(preference: Preference, key: RequestKey | None) -> Document:
    """What a new preference carries until it is confirmed: what taking it back needs."""
    request = [] if key is None else [key.scope, key.request_id]
    return {"unconfirmed": {"since": preference.create_time, "request": request}}


def _document(preference: Preference) -> Document:
    document: dict[str, Any] = {
        "_id": preference.id,
        **_same_value(preference),
        "value": preference.value,
        "weight": preference.weight,
        "origin": preference.origin.value,
        "create_time": preference.create_time,
        "update_time": preference.update_time,
        "etag": preference.etag,
    }
    return document


_TYPES = {type_.value: type_ for type_ in Type}
_ORIGINS = {origin.value: origin for origin in Origin}


def _preference(document: Document) -> Preference:
    return Preference(
        id=document["_id"],
        profile_id=document["profile"],
        type=_TYPES[document["type"]],
        value=document["value"],
        weight=document["weight"],
        origin=_ORIGINS[document["origin"]],
        create_time=document["create_time"],
        update_time=document["update_time"],
        etag=document["etag"],
    )
