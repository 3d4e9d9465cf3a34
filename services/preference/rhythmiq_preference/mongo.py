"""Preferences in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, operation
from rhythmiq_mesh.mongo_children import MongoChildren, MongoCounters, mark
from rhythmiq_preference.model import (
    LIMIT,
    Origin,
    Preference,
    PreferenceExists,
    PreferenceLimitReached,
    Type,
    plan_learned,
)
from rhythmiq_preference.ports import LearnedWritten

_VALUE = "value_key"

NAMED_IN = {"preferences": "profile", "counters": "_id"}
"""For ChangeFeed: what deletes a preference changes its profile's counter too."""


class MongoPreferences(MongoChildren[Preference]):
    """PreferenceRepository on the collections `preferences` and `counters`."""

    def __init__(self, database: Database, *, changing: Changing = unwatched) -> None:
        super().__init__(database, "preferences", _preference, profile_field="profile", changing=changing)
        self._counters = MongoCounters(database)

    async def ensure_indexes(self) -> None:
        await super().ensure_indexes()
        await self._counters.ensure_indexes()
        async with operation():
            await self._children.create_index([("profile", 1), ("type", 1), (_VALUE, 1)], unique=True)

    async def create(self, preference: Preference, key: RequestKey | None) -> tuple[Preference, bool]:
        document = _document(preference)

        async def insert(session: Session) -> Document:
            if not await self._counters.add(preference.profile_id, 1, session, most=LIMIT):
                await self._refuse_second(preference, session)
                raise PreferenceLimitReached(preference.profile_id)
            await self._children.insert_one(mark(document, key), session=session)
            return document

        try:
            stored, replayed = await self._once(preference.profile_id, key, insert, rule=_VALUE)
        except DuplicateKeyError as error:
            raise await self._exists(preference) from error
        return _preference(stored), replayed

    async def _removed(self, profile_id: str, children: Sequence[Document], session: Session) -> None:
        await self._counters.add(profile_id, -len(children), session)

    async def replace(self, preference: Preference, *, expected_etag: str) -> bool:
        fields = _document(preference)
        for kept in ("_id", "profile", "type", "create_time"):
            del fields[kept]
        try:
            with self._changing(preference.profile_id):
                async with operation():
                    result = await self._children.update_one(
                        {"_id": preference.id, "etag": expected_etag}, {"$set": fields}
                    )
        except DuplicateKeyError as error:
            raise await self._exists(preference) from error
        return result.matched_count == 1

    async def delete(self, preference: Preference) -> bool:
        return await self._delete(preference.profile_id, preference.id, preference.etag)

    async def write_learned(
        self, profile_id: str, batch: Sequence[Preference], key: RequestKey | None
    ) -> tuple[LearnedWritten, bool]:
        async def write(session: Session) -> Document:
            found = self._children.find({"profile": profile_id}, session=session)
            plan = plan_learned([_preference(document) async for document in found.sort("create_time", 1)], batch)
            await self._counters.add(profile_id, len(plan.created) - len(plan.evicted), session)
            if plan.evicted:
                evicted = [preference.id for preference in plan.evicted]
                await self._children.delete_many({"_id": {"$in": evicted}}, session=session)
            for changed in plan.updated:
                await self._children.update_one({"_id": changed.id}, {"$set": _document(changed)}, session=session)
            if plan.created:
                created = [mark(_document(new), key) for new in plan.created]
                await self._children.insert_many(created, session=session)
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

    async def _refuse_second(self, preference: Preference, session: Session) -> None:
        """Raises PreferenceExists at the limit too: it tells the caller more."""
        found = await self._children.find_one(_same_value(preference), session=session)
        if found is not None:
            raise PreferenceExists(_preference(found).name)

    async def _exists(self, preference: Preference) -> Exception:
        """What to raise for the second of a value."""
        async with operation():
            found = await self._children.find_one(_same_value(preference))
        if found is None:
            return Aborted("another call changed the same preference at the same time: try again")
        return PreferenceExists(_preference(found).name)


def _same_value(preference: Preference) -> Document:
    type_, value = preference.key
    return {"profile": preference.profile_id, "type": type_.value, _VALUE: value}


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
