"""Profiles in MongoDB."""

from __future__ import annotations

from typing import Any

from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, Transactions, operation, read
from rhythmiq_profile.model import EmailTaken, Profile, ProfileExists, State, email_key

DELETE_LEASE_SECONDS = 30

NAMED_IN = {"profiles": "_id"}
"""For ChangeFeed."""

# A deletion whose process died holds its profile only until the lease ends. The database's own clock decides, for the
# deleting call and for children alike, so the two cannot disagree.
_DELETING = {"$and": [{"$eq": ["$state", "DELETING"]}, {"$gt": ["$delete_expire_time", "$$NOW"]}]}
_STATE = {"$cond": [_DELETING, "DELETING", "ACTIVE"]}


class MongoProfiles:
    """ProfileRepository on the collection `profiles`; the primary key is the profile id."""

    def __init__(self, database: Database, *, changing: Changing = unwatched) -> None:
        self._profiles = database["profiles"]
        self._changing = changing
        self._transactions = Transactions(database)

    async def ensure_indexes(self) -> None:
        """Makes the indexes, idempotently."""
        await self._transactions.ensure_indexes()
        async with operation():
            await self._profiles.create_index("email_key", unique=True)

    async def create(self, profile: Profile, key: RequestKey | None) -> Profile:
        async def insert(session: Session) -> Document:
            document = _document(profile)
            await self._profiles.insert_one(document, session=session)
            return document

        try:
            document, _ = await self._transactions.once(key, insert)
        except DuplicateKeyError as error:
            if await self.get(profile.id) is not None:
                raise ProfileExists(profile.name) from error
            raise EmailTaken from error
        return _profile(document)

    async def get(self, profile_id: str) -> Profile | None:
        found = await read(self._profiles, {"_id": profile_id}, limit=1)
        return _profile(found[0]) if found else None

    async def state(self, profile_id: str) -> State | None:
        async with operation():
            document = await self._profiles.find_one({"_id": profile_id}, {"state": _STATE})
        return None if document is None else State(document["state"])

    async def replace(self, profile: Profile, *, expected_etag: str) -> bool:
        fields = _document(profile)
        # The state belongs to the deletion, the rest to the listener.
        for kept in ("_id", "state", "email", "email_key", "create_time"):
            del fields[kept]
        async with self._changing(profile.id), operation():
            result = await self._profiles.update_one({"_id": profile.id, "etag": expected_etag}, {"$set": fields})
        return result.matched_count == 1

    async def begin_delete(self, profile_id: str, *, expected_etag: str, token: str) -> bool:
        lease = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": DELETE_LEASE_SECONDS}}
        async with operation():
            result = await self._profiles.update_one(
                {"_id": profile_id, "etag": expected_etag, "$expr": {"$not": _DELETING}},
                [{"$set": {"state": "DELETING", "delete_token": token, "delete_expire_time": lease}}],
            )
        return result.modified_count == 1

    async def cancel_delete(self, profile_id: str, *, token: str) -> None:
        async with operation():
            await self._profiles.update_one(
                {"_id": profile_id, "delete_token": token},
                {"$set": {"state": "ACTIVE"}, "$unset": {"delete_token": "", "delete_expire_time": ""}},
            )

    async def finish_delete(self, profile_id: str, *, token: str) -> bool:
        this = {"_id": profile_id, "delete_token": token, "$expr": _DELETING}
        async with self._changing(profile_id), operation():
            result = await self._profiles.delete_one(this)
        return result.deleted_count == 1


def _document(profile: Profile) -> Document:
    document: dict[str, Any] = {
        "_id": profile.id,
        "email": profile.email,
        "email_key": email_key(profile.email),
        "display_name": profile.display_name,
        "locale": profile.locale,
        "time_zone": profile.time_zone,
        "learned_weight": profile.learned_weight,
        "state": profile.state.value,
        "create_time": profile.create_time,
        "update_time": profile.update_time,
        "etag": profile.etag,
    }
    return document


def _profile(document: Document) -> Profile:
    return Profile(
        id=document["_id"],
        email=document["email"],
        display_name=document["display_name"],
        locale=document["locale"],
        time_zone=document["time_zone"],
        learned_weight=document["learned_weight"],
        state=State(document["state"]),
        create_time=document["create_time"],
        update_time=document["update_time"],
        etag=document["etag"],
    )
