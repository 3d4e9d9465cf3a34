"""Preferences in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Collection, Database, Document, Session, operation
from rhythmiq_mesh.mongo_children import COUNTERS, MongoChildren, MongoCounters, mark
from rhythmiq_preference.model import (
    LIMIT,
    Evidence,
    Key,
    Origin,
    Preference,
    PreferenceExists,
    PreferenceLimitReached,
    Type,
    plan_learned,
    weakest,
)
from rhythmiq_preference.ports import LearnedWritten

_VALUE = "value_key"

NAMED_IN = {"preferences": "profile", COUNTERS: "_id"}
"""For ChangeFeed: what deletes a preference writes its profile's counter too."""


class MongoPreferences(MongoChildren[Preference]):
    """PreferenceRepository on the collections `preferences`, `counters` and `dismissals`."""

    def __init__(self, database: Database, *, changing: Changing = unwatched) -> None:
        super().__init__(database, "preferences", _preference, profile_field="profile", changing=changing)
        self._counters = MongoCounters(database)
        self._dismissals: Collection = database["dismissals"]

    async def ensure_indexes(self) -> None:
        await super().ensure_indexes()
        await self._counters.ensure_indexes()
        async with operation():
            await self._children.create_index([("profile", 1), ("type", 1), (_VALUE, 1)], unique=True)
            await self._dismissals.create_index([("profile", 1), ("type", 1), (_VALUE, 1)], unique=True)
            await self._dismissals.create_index("doubted", sparse=True)

    async def create(self, preference: Preference, key: RequestKey | None) -> tuple[Preference, bool]:
        document = _document(preference)

        async def insert(session: Session) -> Document:
            if not await self._counters.add(preference.profile_id, 1, session, most=LIMIT):
                await self._refuse_second(preference, session)
                await self._make_room(preference.profile_id, session)
            await self._children.insert_one(mark(document, key), session=session)
            await self._dismissals.delete_one(_same_value(preference), session=session)
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

        async def change(session: Session) -> bool:
            before = await self._children.find_one_and_update(
                {"_id": preference.id, "etag": expected_etag}, {"$set": fields}, session=session
            )
            if before is None:
                return False
            if before[_VALUE] != fields[_VALUE]:
                await self._dismiss(before, session)
            await self._dismissals.delete_one(_same_value(preference), session=session)
            return True

        try:
            async with self._turn(preference.profile_id):
                return await self._transactions.run(change)
        except DuplicateKeyError as error:
            raise await self._exists(preference) from error

    async def delete(self, preference: Preference) -> bool:
        return await self._delete(preference.profile_id, preference.id, preference.etag)

    async def _deleted(self, child: Document, session: Session) -> None:
        await self._dismiss(child, session)

    async def write_learned(
        self, profile_id: str, batch: Sequence[Preference], key: RequestKey | None, *, replace: bool
    ) -> tuple[LearnedWritten, bool]:
        async def write(session: Session) -> Document:
            found = self._children.find({"profile": profile_id}, session=session)
            stored = [_preference(document) async for document in found.sort("create_time", 1)]
            plan = plan_learned(stored, batch, await self._dismissed(profile_id, session), replace=replace)
            # Also where it changes nothing: a write of each, so that of two at once one looks again.
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
                "deleted_by_listener_count": plan.deleted_by_listener_count,
                "removed_count": len(plan.evicted),
            }

        answer, replayed = await self._once(profile_id, key, write)
        written = LearnedWritten(
            preferences=tuple(_preference(document) for document in answer["preferences"]),
            created_ids=tuple(answer["created_ids"]),
            kept_set_count=answer["kept_set_count"],
            left_out_count=answer["left_out_count"],
            deleted_by_listener_count=answer["deleted_by_listener_count"],
            removed_count=answer["removed_count"],
        )
        return written, replayed

    async def doubt(self, profile_id: str) -> None:
        async with operation():
            await self._dismissals.update_many({"profile": profile_id}, {"$set": {"doubted": True}})

    async def doubted(self, limit: int) -> list[str]:
        profiles: list[Document] = [
            {"$match": {"doubted": True}},
            {"$group": {"_id": "$profile"}},
            {"$limit": limit},
        ]
        async with operation(), await self._dismissals.aggregate(profiles) as found:
            return [document["_id"] async for document in found]

    async def settle(self, profile_id: str, *, gone: bool) -> None:
        async with operation():
            if gone:
                await self._dismissals.delete_many({"profile": profile_id})
            else:
                await self._dismissals.update_many({"profile": profile_id}, {"$unset": {"doubted": ""}})

    async def _make_room(self, profile_id: str, session: Session) -> None:
        """Removes the weakest learned preference. Raises PreferenceLimitReached where there is none.

        Taking back what it made room for does not bring it back: the next derivation does, if it is still borne out.
        """
        found = self._children.find({"profile": profile_id, "origin": Origin.LEARNED.value}, session=session)
        leaving = weakest([_preference(document) async for document in found])
        if leaving is None:
            raise PreferenceLimitReached(profile_id)
        await self._children.delete_one({"_id": leaving.id}, session=session)
        # The count stays, but it is written, so that two that make room at once do not do so for each other.
        await self._counters.add(profile_id, 0, session)

    async def _dismiss(self, child: Document, session: Session) -> None:
        """Remembers that a learned preference is not wanted."""
        if child["origin"] == Origin.LEARNED.value:
            this = {field: child[field] for field in ("profile", "type", _VALUE)}
            await self._dismissals.replace_one(this, this, upsert=True, session=session)

    async def _dismissed(self, profile_id: str, session: Session) -> set[Key]:
        found = self._dismissals.find({"profile": profile_id}, session=session)
        return {(_TYPES[document["type"]], document[_VALUE]) async for document in found}

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
        "confidence": preference.evidence.confidence,
        "evidence_count": preference.evidence.count,
        "evidence_time": preference.evidence.time,
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
        # Of one that was stored by a version that kept no evidence there is none.
        evidence=Evidence(
            document.get("confidence", 0.0), document.get("evidence_count", 0), document.get("evidence_time")
        ),
    )
