"""The catalogue in MongoDB: one readable document an item, its primary key made from the external id."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import Binary
from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.mongo import Collection, Database, Document, operation
from rhythmiq_recommender.model import Content, Draft, Item, ItemQuery, Kind, ReleaseDate
from rhythmiq_recommender.postings import fold

_ATTEMPTS = 10
_DUPLICATE_KEY = 11000
_FIELDS = {"message": 0, "digest": 0, "genre_keys": 0, "artist_keys": 0}
_KINDS = {kind.value: kind for kind in Kind}


class MongoItems:
    """ItemRepository on the collection `items`.

    Beside the item a document holds its content once more as `message`, the digest of that, and what lists compare:
    `genre_keys` and `artist_keys`. Documents are replaced as a whole, so that all of these stay in step.
    """

    def __init__(self, database: Database) -> None:
        self._items: Collection = database["items"]

    async def ensure_indexes(self) -> None:
        """Makes the indexes, idempotently. Each ends with the id, the order of lists."""
        for field in ("kind", "genre_keys", "artist_keys"):
            async with operation():
                await self._items.create_index([(field, 1), ("_id", 1)])

    async def upsert(self, drafts: Sequence[Draft], now: datetime) -> list[bytes | None]:
        before: dict[str, bytes | None] = {}
        left = {draft.id: draft for draft in drafts}
        for _ in range(_ATTEMPTS):
            async with operation():
                done = await self._attempt(left, now)
            before.update(done)
            for item_id in done:
                del left[item_id]
            if not left:
                return [before[draft.id] for draft in drafts]
        raise Aborted("other calls keep changing the same items: send the import again")

    async def _attempt(self, drafts: Mapping[str, Draft], now: datetime) -> dict[str, bytes | None]:
        """Stores what no other call gets in the way of; returns the digests that stood before, by item id."""
        known = {"digest": 1, "create_time": 1, "etag": 1}
        stored = {found["_id"]: found async for found in self._items.find({"_id": {"$in": list(drafts)}}, known)}
        new = [draft for draft in drafts.values() if draft.id not in stored]
        digests: dict[str, bytes] = {item_id: found["digest"] for item_id, found in stored.items()}
        changed = [draft for draft in drafts.values() if digests.get(draft.id, draft.digest) != draft.digest]
        lost = await self._insert(new, now) | await self._replace(changed, stored, now)
        return {item_id: digests.get(item_id) for item_id in drafts if item_id not in lost}

    async def _insert(self, drafts: Sequence[Draft], now: datetime) -> set[str]:
        """Stores new items; returns the ids of those that another call has made meanwhile."""
        if not drafts:
            return set()
        documents = [_document(draft, now, now, etag) for draft, etag in zip(drafts, _etags(len(drafts)), strict=True)]
        try:
            await self._items.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(failure["code"] != _DUPLICATE_KEY for failure in failures):
                raise
            return {drafts[failure["index"]].id for failure in failures}
        return set()

    async def _replace(self, drafts: Sequence[Draft], stored: Mapping[str, Document], now: datetime) -> set[str]:
        """Stores new versions; returns the ids of those that another call has changed or deleted meanwhile."""
        if not drafts:
            return set()
        etags = dict(zip((draft.id for draft in drafts), _etags(len(drafts)), strict=True))
        result = await self._items.bulk_write(
            [
                ReplaceOne(
                    {"_id": draft.id, "etag": stored[draft.id]["etag"]},
                    _document(draft, stored[draft.id]["create_time"], now, etags[draft.id]),
                )
                for draft in drafts
            ],
            ordered=False,
        )
        if result.matched_count == len(drafts):
            return set()
        # The result only counts; the etags tell which were written. Written and changed again counts as lost, too.
        present = self._items.find({"_id": {"$in": list(etags)}}, {"etag": 1})
        return set(etags) - {found["_id"] async for found in present if found["etag"] == etags[found["_id"]]}

    async def get(self, item_id: str) -> Item | None:
        async with operation():
            document = await self._items.find_one({"_id": item_id}, _FIELDS)
        return None if document is None else item_of(document)

    async def page(self, query: ItemQuery, *, after: str, limit: int) -> list[Item]:
        wanted: Document = {"_id": {"$gt": after}}
        if query.kind is not None:
            wanted["kind"] = query.kind.value
        if query.genre:
            wanted["genre_keys"] = fold(query.genre)
        if query.artist:
            wanted["artist_keys"] = fold(query.artist)
        async with operation():
            found = await self._items.find(wanted, _FIELDS).sort("_id", 1).limit(limit).to_list()
        return [item_of(document) for document in found]

    async def delete(self, item_id: str, *, expected_etag: str) -> bool:
        async with operation():
            result = await self._items.delete_one({"_id": item_id, "etag": expected_etag})
        return result.deleted_count == 1


def _etags(count: int) -> list[str]:
    """As `rhythmiq_mesh.etag.new_etag`, asking the system for randomness once a batch."""
    noise = secrets.token_hex(8 * count)
    return [noise[start : start + 16] for start in range(0, len(noise), 16)]


def _document(draft: Draft, create_time: datetime, update_time: datetime, etag: str) -> Document:
    """Fields that are empty or not known are left out."""
    content = draft.content
    document: dict[str, Any] = {
        "_id": draft.id,
        "external_id": content.external_id,
        "kind": content.kind.value,
        "title": content.title,
        "create_time": create_time,
        "update_time": update_time,
        "etag": etag,
        "digest": Binary(draft.digest),
        "message": Binary(draft.serialized),
    }
    if content.artists:
        document["artists"] = content.artists
        document["artist_keys"] = _keys(content.artists)
    if content.genres:
        document["genres"] = content.genres
        document["genre_keys"] = _keys(content.genres)
    if content.instruments:
        document["instruments"] = content.instruments
    if content.language:
        document["language"] = content.language
    if content.explicit is not None:
        document["explicit"] = content.explicit
    if content.release_date is not None:
        document["release_date"] = content.release_date._asdict()
    if content.popularity is not None:
        document["popularity"] = content.popularity
    if content.duration is not None:
        document["duration_seconds"] = content.duration
    if content.features:
        document["features"] = content.features
    if content.other_ids:
        document["other_ids"] = content.other_ids
    if content.links:
        document["links"] = content.links
    return document


def _keys(names: Sequence[str]) -> list[str]:
    return list({fold(name): None for name in names})


def item_of(document: Mapping[str, Any]) -> Item:
    """The item in a document."""
    get = document.get
    date = get("release_date")
    return Item(
        id=document["_id"],
        content=Content(
            external_id=document["external_id"],
            kind=_KINDS[document["kind"]],
            title=document["title"],
            artists=get("artists", []),
            genres=get("genres", []),
            instruments=get("instruments", []),
            language=get("language", ""),
            explicit=get("explicit"),
            release_date=ReleaseDate(date["year"], date["month"], date["day"]) if date else None,
            popularity=get("popularity"),
            duration=get("duration_seconds"),
            features=get("features", {}),
            other_ids=get("other_ids", {}),
            links=get("links", {}),
        ),
        create_time=document["create_time"],
        update_time=document["update_time"],
        etag=document["etag"],
    )
