"""Blocks in MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pymongo.errors import DuplicateKeyError

from rhythmiq_mesh.change_feed import Changing, unwatched
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import Database, Document, Session, operation, read
from rhythmiq_mesh.mongo_children import COUNTERS, MongoChildren, MongoCounters, mark
from rhythmiq_recommender.blocks.model import COLLECTION, LIMIT, Block, Blocked, BlockExists, BlockLimitReached

NAMED_IN: Final = {COUNTERS: "_id"}
"""For ChangeFeed: what makes or deletes a block writes its profile's counter too, and none is ever changed."""

_KEY: Final = "key"
_READ_SECONDS: Final = 1.0
"""How long an answer waits for a listener's blocks."""


class MongoBlocks(MongoChildren[Block]):
    """BlockRepository on the collections `blocks` and `counters`."""

    def __init__(self, database: Database, *, changing: Changing = unwatched) -> None:
        super().__init__(database, COLLECTION, _block, changing=changing)
        self._counters = MongoCounters(database)

    async def ensure_indexes(self) -> None:
        await super().ensure_indexes()
        await self._counters.ensure_indexes()
        async with operation():
            # Also all that `blocked` reads, so that it never touches a document.
            await self._children.create_index([("profile_id", 1), (_KEY, 1)], unique=True)

    async def create(self, block: Block, key: RequestKey | None) -> tuple[Block, bool]:
        document = _document(block)

        async def insert(session: Session) -> Document:
            if not await self._counters.add(block.profile_id, 1, session, most=LIMIT):
                await self._refuse_second(block, session)
                raise BlockLimitReached(block.profile_id)
            await self._children.insert_one(mark(document, key), session=session)
            return document

        try:
            stored, replayed = await self._once(block.profile_id, key, insert, rule=_KEY)
        except DuplicateKeyError as error:
            raise await self._exists(block) from error
        return _block(stored), replayed

    async def first_answer(self, key: RequestKey) -> Block | None:
        async def refuse(_: Session) -> Document:
            raise _NotMade

        try:
            answer, _ = await self._transactions.once(key, refuse)
        except _NotMade:
            return None
        return _block(answer)

    async def delete(self, block: Block) -> bool:
        return await self._delete(block.profile_id, block.id, block.etag)

    async def blocked(self, profile_id: str) -> Blocked:
        async with operation(_READ_SECONDS):
            query, wanted = {"profile_id": profile_id}, {"_id": 0, _KEY: 1}
            found = await read(self._children, query, limit=LIMIT, projection=wanted)
        return Blocked.of_keys([document[_KEY] for document in found])

    async def _removed(self, profile_id: str, children: Sequence[Document], session: Session) -> None:
        await self._counters.add(profile_id, -len(children), session)

    async def _refuse_second(self, block: Block, session: Session) -> None:
        """Raises BlockExists at the limit too: it tells the caller more."""
        found = await self._children.find_one(_same(block), session=session)
        if found is not None:
            raise BlockExists(_block(found).name)

    async def _exists(self, block: Block) -> Exception:
        """What to raise for the second of an item or artist."""
        async with operation():
            found = await self._children.find_one(_same(block))
        if found is None:
            return Aborted("another call changed the same block at the same time: try again")
        return BlockExists(_block(found).name)


class _NotMade(Exception):
    """A request that was not made before."""


def _same(block: Block) -> Document:
    return {"profile_id": block.profile_id, _KEY: block.key}


def _document(block: Block) -> Document:
    return {
        "_id": block.id,
        **_same(block),
        "item_id": block.item_id,
        "artist": block.artist,
        "create_time": block.create_time,
        "update_time": block.update_time,
        "etag": block.etag,
    }


def _block(document: Document) -> Block:
    return Block(
        id=document["_id"],
        profile_id=document["profile_id"],
        item_id=document["item_id"],
        artist=document["artist"],
        create_time=document["create_time"],
        update_time=document["update_time"],
        etag=document["etag"],
    )
