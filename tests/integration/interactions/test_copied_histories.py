"""Histories from copies: what a listener did, and what was erased or scrubbed, counts at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from eventually import eventually

from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.copies import Follower
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_recommender.copied_ports import CopiedHistories
from rhythmiq_recommender.interactions.model import Draft, Shared, Type, interaction
from rhythmiq_recommender.interactions.mongo import MongoInteractions
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.mongo_histories import MongoHistories
from rhythmiq_recommender.sources_bootstrap import NAMED_IN

NOW = datetime.now(UTC).replace(microsecond=0)
RETENTION = timedelta(days=400)
WHO = str(uuid4())


@dataclass
class World:
    """Two replicas' interactions; the copies are the first one's."""

    here: MongoInteractions
    elsewhere: MongoInteractions
    histories: CopiedHistories
    asked: list[str]

    async def record(self, storage: MongoInteractions, minutes_ago: int, **environment: float) -> None:
        draft = Draft(str(uuid4()), Type.LIKE, NOW - timedelta(minutes=minutes_ago), "test", environment=environment)
        shared = Shared(frozenset(environment), {}, NOW)
        epoch = await storage.epoch(WHO, NOW)
        assert await storage.record(epoch, [interaction(WHO, draft, shared, NOW, RETENTION)], None, NOW)

    async def until_copied(self) -> None:
        async def copied() -> bool:
            self.asked.clear()
            await self.histories.history(WHO)
            return not self.asked

        await eventually(copied)

    async def known(self) -> int:
        return len(await self.histories.history(WHO))

    async def surroundings(self) -> int:
        """How many values of surroundings are known from then."""
        return int(((await self.histories.history(WHO)).codes >= 0).sum())


@pytest.fixture
async def world(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        stores = [
            database(await stack.enter_async_context(connect(mongo_uri, app="test")), mongo_database_name)
            for _ in range(2)
        ]
        feed = ChangeFeed(stores[0], NAMED_IN)
        stored, asked = MongoHistories(stores[0], SystemClock()), list[str]()

        class Counted:
            async def history(self, profile_id: str) -> History:
                asked.append(profile_id)
                return await stored.history(profile_id)

        histories = CopiedHistories(Counted(), most=100, retention=RETENTION, clock=SystemClock())
        here, elsewhere = MongoInteractions(stores[0], changing=feed.changing), MongoInteractions(stores[1])
        await here.ensure_indexes()
        follower = Follower(feed.watch, [histories.copies], of="interactions")
        tasks = [asyncio.create_task(work) for work in (feed.follow(), follower())]
        yield World(here, elsewhere, histories, asked)
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=0.1)


async def test_what_is_done_here_counts_at_once(world: World) -> None:
    await world.until_copied()
    for count in range(1, 30):
        await world.record(world.here, count)
        assert await world.known() == count
    await world.until_copied()
    assert await world.known() == 29
    assert await world.here.erase(WHO) == 29
    assert await world.known() == 0


async def test_a_scrub_here_counts_at_once(world: World) -> None:
    await world.record(world.here, 1, ambient_noise=50.0, heart_rate=90.0)
    await world.until_copied()
    assert await world.surroundings() == 2
    await world.here.scrub(WHO, "heart_rate")
    assert await world.surroundings() == 1


async def test_what_is_done_by_another_replica_counts_within_moments(world: World) -> None:
    async def known(count: int) -> bool:
        return await world.known() == count

    async def surroundings(count: int) -> bool:
        return await world.surroundings() == count

    await world.until_copied()
    await world.record(world.elsewhere, 1, ambient_noise=50.0)
    await eventually(lambda: known(1))
    await world.until_copied()
    await world.elsewhere.scrub(WHO, "ambient_noise")
    await eventually(lambda: surroundings(0))
    await world.until_copied()
    # Also of a listener who has been quiet, whose epoch is forgotten.
    await world.elsewhere.count(WHO)
    await world.until_copied()
    await world.elsewhere.erase(WHO)
    await eventually(lambda: known(0))
