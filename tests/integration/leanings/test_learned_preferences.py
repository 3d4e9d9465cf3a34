"""From what listeners do to the preferences that they see, over the real services and the worker."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from eventually import eventually
from interaction_world import Interaction
from leanings_world import Fan, LeaningsWorld, Preference, leanings_world, recommender_database
from variable_calls import ago

from rhythmiq_mesh.mongo import Database
from rhythmiq_mesh.server import Server
from rhythmiq_recommender.leanings.use_cases import Worker


@pytest.fixture
async def world(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[LeaningsWorld]:
    async with leanings_world(mongo_uri, mongo_database_name) as running:
        yield running


@pytest.fixture
async def stored(world: LeaningsWorld) -> AsyncIterator[Database]:
    async with recommender_database(world) as found:
        yield found


def has(fan: Fan, *values: str) -> Callable[[], Awaitable[bool]]:
    """Whether exactly these genres are learned."""

    async def holds() -> bool:
        learned = await fan.learned()
        return {value for value, each in learned.items() if each.type == Preference.GENRE} == set(values)

    return holds


async def test_what_is_heard_becomes_a_learned_preference_with_its_evidence(world: LeaningsWorld) -> None:
    async with world.working():
        fan = await world.fan("jazz")
        await eventually(has(fan, "Jazz"))
        (jazz,) = [each for each in await fan.listed() if each.value == "Jazz"]
        assert (jazz.origin, jazz.type) == (Preference.LEARNED, Preference.GENRE)
        assert 0.5 < jazz.weight <= 1
        assert 0.5 < jazz.confidence <= 1
        assert jazz.evidence_count == 20
        newest = max(each.event_time.ToDatetime() for each in await fan.stored())
        assert jazz.evidence_time.ToDatetime() == newest


async def test_what_was_recorded_before_the_worker_first_ran_counts(world: LeaningsWorld) -> None:
    fan = await world.fan("folk")
    async with world.working():
        await eventually(has(fan, "Folk"))


async def test_deleted_stays_deleted_whatever_is_heard_and_adopted_stays_as_it_was_set(world: LeaningsWorld) -> None:
    async with world.working():
        fan = await world.fan("jazz")
        await eventually(has(fan, "Jazz"))
        await fan.delete((await fan.learned())["Jazz"])
        await fan.hear("jazz", 30)
        await fan.hear("folk", 30)
        await eventually(has(fan, "Folk"))
        adopted = await fan.set_weight((await fan.learned())["Folk"], 0.125)
        await fan.hear("folk", 40)
        await fan.hear("techno", 40)
        await eventually(has(fan, "Techno"))
        assert adopted in await fan.listed()
        assert "Jazz" not in {each.value for each in await fan.listed()}


async def test_erasing_the_interactions_takes_what_was_learned_of_them(world: LeaningsWorld, stored: Database) -> None:
    async with world.working():
        fan, other = await world.fan("jazz"), await world.fan("jazz")
        await eventually(has(fan, "Jazz"))
        await eventually(has(other, "Jazz"))
        await fan.erase()

        async def nothing() -> bool:
            return not await fan.listed()

        await eventually(nothing)
        assert await other.has_learned("Jazz")

        async def forgotten() -> bool:
            return await stored["leanings_due"].count_documents({"_id": fan.profile_id}) == 0

        await eventually(forgotten)
        await fan.leave()


async def test_nothing_is_kept_of_a_profile_that_is_gone(world: LeaningsWorld, stored: Database) -> None:
    fan = await world.fan("jazz")
    await fan.erase()
    await fan.leave()
    # As if somebody had marked it while it went.
    await stored["leanings_due"].insert_one({"_id": fan.profile_id, "due": ago(), "revision": 1})
    async with world.working():

        async def forgotten() -> bool:
            return await stored["leanings_due"].count_documents({}) == 0

        await eventually(forgotten)


async def test_disliked_genre_is_learned_as_one_to_avoid(world: LeaningsWorld) -> None:
    async with world.working():
        fan = await world.fan("jazz")
        await fan.hear("metal", 8, days=2, type_=Interaction.DISLIKE)
        await fan.hear("pop", 30, days=4)

        async def avoids() -> bool:
            learned = await fan.learned()
            return "Metal" in learned and learned["Metal"].weight < -0.5

        await eventually(avoids)


async def test_with_the_preference_service_away_nothing_is_lost(world: LeaningsWorld) -> None:
    async with world.working():
        fan = await world.fan("jazz")
        await eventually(has(fan, "Jazz"))
        await world.stop("preference")
        await fan.hear("folk", 30)
        await world.start("preference")
        await eventually(has(fan, "Folk", "Jazz"))


LOST = "the history of recordings is lost: all profiles are due"


async def test_lost_history_makes_all_profiles_due(
    world: LeaningsWorld, stored: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.working():
        fan = await world.fan("jazz")
        await eventually(has(fan, "Jazz"))
    # While no worker runs, the history goes on beyond what the database keeps of it.
    await fan.hear("folk", 30)
    late = await world.fan("techno")
    fail: dict[str, object] = {"configureFailPoint": "failCommand"}
    data = {"failCommands": ["aggregate"], "errorCode": 286, "appName": "rhythmiq-leanings"}
    # Until it has been told: nothing else is aggregated before.
    await stored.client.admin.command({**fail, "mode": "alwaysOn", "data": data})
    async with world.working():
        await eventually(lambda: LOST in caplog.text)
        await stored.client.admin.command({**fail, "mode": "off"})
        await eventually(has(fan, "Folk", "Jazz"))
        await eventually(has(late, "Techno"))
        # And goes on from there.
        await late.hear("blues", 30)
        await eventually(has(late, "Blues", "Techno"))


@pytest.mark.parametrize("token", [{"_data": "nonsense"}, {"_data": "82FFFFFFFF0000000129295A1004"}, {"other": 1}])
async def test_token_that_the_database_cannot_use_is_a_lost_history(
    world: LeaningsWorld, stored: Database, caplog: pytest.LogCaptureFixture, token: dict[str, object]
) -> None:
    async with world.working():
        await eventually(has(await world.fan("jazz"), "Jazz"))
    forged = {"$set": {"position": token}}
    assert (await stored["leanings_state"].update_one({"_id": "bookmark"}, forged)).modified_count == 1
    fan = await world.fan("folk")
    async with world.working():
        await eventually(has(fan, "Folk"))
        assert LOST in caplog.text


async def test_worker_that_is_killed_again_and_again_loses_nothing(world: LeaningsWorld, tmp_path: Path) -> None:
    dice, fans = random.Random(6), []
    for _ in range(5):
        process = await world.worker_process(tmp_path / "log")
        # From before its first step to after its last: starting takes about a second.
        await asyncio.sleep(dice.uniform(0.5, 1.2))
        fans.append(await world.fan("jazz"))
        await asyncio.sleep(dice.uniform(0, 0.8))
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    process = await world.worker_process(tmp_path / "log")
    try:
        for fan in fans:
            await eventually(has(fan, "Jazz"))
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


def is_active(server: Server) -> bool:
    (worker,) = server.background
    assert isinstance(worker, Worker)
    return worker.active


async def test_of_two_workers_one_works_and_the_other_takes_over(world: LeaningsWorld) -> None:
    first, second = world.working(), world.working()
    servers = [await first.__aenter__(), await second.__aenter__()]
    try:
        await eventually(lambda: any(map(is_active, servers)))
        seen = set()
        fan = await world.fan("jazz")

        async def learned() -> bool:
            seen.add(tuple(map(is_active, servers)))
            return await fan.has_learned("Jazz")

        await eventually(learned)
        assert len(seen) == 1
        assert sum(seen.pop()) == 1
        stopped = servers.index(next(filter(is_active, servers)))
        await (first, second)[stopped].__aexit__(None, None, None)
        await eventually(lambda: is_active(servers[1 - stopped]))
        await fan.hear("folk", 30)
        await eventually(has(fan, "Folk", "Jazz"))
    finally:
        await (first, second)[1 - stopped].__aexit__(None, None, None)
