"""Blocks from copies: what is blocked counts at once, what is no longer blocked too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from eventually import eventually

from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.copies import Follower
from rhythmiq_mesh.etag import new_etag
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_recommender.blocks.model import Block, Blocked
from rhythmiq_recommender.blocks.mongo import NAMED_IN, MongoBlocks
from rhythmiq_recommender.copied_ports import CopiedBlocks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHO = str(uuid4())


@dataclass
class World:
    """Two replicas' blocks; the copies are the first one's."""

    here: MongoBlocks
    elsewhere: MongoBlocks
    copied: CopiedBlocks
    asked: list[str]

    async def block(self, storage: MongoBlocks, artist: str) -> Block:
        made = Block(str(uuid4()), WHO, "", artist, NOON, NOON, new_etag())
        await storage.create(made, None)
        return made

    async def known(self) -> set[str]:
        return set((await self.copied.blocked(WHO)).artists)

    async def until_copied(self) -> None:
        async def copied() -> bool:
            self.asked.clear()
            await self.copied.blocked(WHO)
            return not self.asked

        await eventually(copied)


@pytest.fixture
async def world(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        stores = [
            database(await stack.enter_async_context(connect(mongo_uri, app="test")), mongo_database_name)
            for _ in range(2)
        ]
        feed, asked = ChangeFeed(stores[0], NAMED_IN), list[str]()
        here, elsewhere = MongoBlocks(stores[0], changing=feed.changing), MongoBlocks(stores[1])

        class Counted:
            async def blocked(self, profile_id: str) -> Blocked:
                asked.append(profile_id)
                return await here.blocked(profile_id)

        copied = CopiedBlocks(Counted(), most=100)
        await here.ensure_indexes()
        follower = Follower(feed.watch, [copied.copies], of="blocks")
        tasks = [asyncio.create_task(work) for work in (feed.follow(), follower())]
        yield World(here, elsewhere, copied, asked)
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=0.1)


async def test_what_is_blocked_or_no_longer_blocked_here_counts_at_once(world: World) -> None:
    await world.until_copied()
    made = [await world.block(world.here, "a")]
    assert await world.known() == {"a"}
    made.append(await world.block(world.here, "b"))
    assert await world.known() == {"a", "b"}
    await world.until_copied()
    assert await world.here.delete(made[0])
    assert await world.known() == {"b"}
    await world.until_copied()
    assert await world.here.take_back(WHO, [made[1].id])
    assert await world.known() == set()


async def test_what_another_replica_blocks_or_no_longer_blocks_counts_within_moments(world: World) -> None:
    async def known(*artists: str) -> bool:
        return await world.known() == set(artists)

    await world.until_copied()
    made = await world.block(world.elsewhere, "a")
    await eventually(lambda: known("a"))
    await world.until_copied()
    await world.elsewhere.delete(made)
    await eventually(lambda: known())
