"""Opt-outs erase, readings expire, and neither leaves anything behind, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import grpc
from google.protobuf.duration_pb2 import Duration
from harness import reason
from variable_calls import Kind, Listener, ProfileService, ago, noise, refused, variable_service

from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh.mongo import Database
from rhythmiq_variable.documents import ERASURES, READINGS, VARIABLES

Code = grpc.StatusCode
HOUR = 3600


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_opt_out_erases_the_readings_and_the_next_opt_in_starts_empty(
    listener: Listener, stored: Database
) -> None:
    variable = await listener.opt_in()
    await listener.batch([noise(n, ago(minutes=n)) for n in range(100)])
    await listener.opt_out(variable.name, variable.etag)
    assert await stored[READINGS].count_documents({}) == 0
    assert await stored[ERASURES].count_documents({}) == 0
    assert await refused(listener.get(variable.name)) == (Code.NOT_FOUND, "VARIABLE_NOT_FOUND")
    assert await refused(listener.record(noise(1))) == (Code.PERMISSION_DENIED, "VARIABLE_NOT_OPTED_IN")
    again = await listener.opt_in()
    assert again.uid != variable.uid
    assert await listener.readings(again.name) == []
    assert list((await listener.environment()).missing_kinds) == [Kind.AMBIENT_NOISE]


async def test_no_reading_survives_an_opt_out_that_races_recordings_from_two_processes(
    mongo_uri: str, mongo_database_name: str, profiles: ProfileService, stored: Database
) -> None:
    start = variable_service(mongo_uri, mongo_database_name, profiles.address)
    other = variable_service(mongo_uri, mongo_database_name, profiles.address)
    async with start as one, other as two:
        stubs = [variable_pb2_grpc.VariableServiceStub(channel) for channel in (one, two)]

        async def race(number: int) -> tuple[int, int]:
            listener = Listener(stubs[0])
            second = Listener(stubs[1])
            second.name, second.metadata = listener.name, listener.metadata
            variable = await listener.opt_in()
            results = {"recorded": 0, "denied": 0}

            async def record(by: Listener, offset: int) -> None:
                base = ago(minutes=offset)
                for n in range(0, 40, 4):
                    batch = [noise(1, base - timedelta(seconds=n + m)) for m in range(4)]
                    try:
                        await (by.batch(batch) if n % 8 else by.stream(batch))
                    except grpc.aio.AioRpcError as error:
                        if reason(error) != "VARIABLE_NOT_OPTED_IN":
                            raise
                        results["denied"] += 1
                        return
                    results["recorded"] += 1

            async def opt_out() -> None:
                await asyncio.sleep(random.Random(number).uniform(0, 0.3))
                await second.opt_out(variable.name)
                # The answer means: erased, and for good.
                assert await stored[READINGS].count_documents({"variable_id": variable.uid}) == 0

            await asyncio.gather(record(listener, 1), record(second, 5), opt_out())
            assert await stored[READINGS].count_documents({"variable_id": variable.uid}) == 0
            return results["recorded"], results["denied"]

        outcomes = [await asyncio.gather(*(race(n + m) for m in range(5))) for n in range(0, 40, 5)]
    recorded = sum(each[0] for group in outcomes for each in group)
    denied = sum(each[1] for group in outcomes for each in group)
    assert recorded
    assert denied, "every race was over before it began"
    assert await stored[READINGS].count_documents({}) == 0


async def test_erasure_interrupted_by_a_crash_is_finished_at_the_next_start(
    mongo_uri: str, mongo_database_name: str, profiles: ProfileService, stored: Database
) -> None:
    async with variable_service(mongo_uri, mongo_database_name, profiles.address) as channel:
        listener = Listener(variable_pb2_grpc.VariableServiceStub(channel))
        variable = await listener.opt_in()
        await listener.batch([noise(n, ago(minutes=n)) for n in range(10)])
    # As a process leaves it that dies right after the opt-out was committed.
    await stored[VARIABLES].delete_one({"_id": variable.uid})
    profile_id = listener.name.split("/")[1]
    await stored[ERASURES].insert_one(
        {"_id": variable.uid, "profile_id": profile_id, "kind": "AMBIENT_NOISE", "readings": True}
    )

    async def erased() -> bool:
        return not (await stored[READINGS].count_documents({}) or await stored[ERASURES].count_documents({}))

    assert not await erased()
    async with variable_service(mongo_uri, mongo_database_name, profiles.address):
        await until(erased)


async def test_expired_reading_leaves_database_list_and_environment(listener: Listener, stored: Database) -> None:
    variable = await listener.opt_in(retention=Duration(seconds=HOUR))
    await listener.record(noise(1, ago(seconds=HOUR - 3)))
    assert [value.reading.number for value in (await listener.environment()).values] == [1]

    async def gone() -> bool:
        found = await stored[VARIABLES].find_one({"_id": variable.uid})
        assert found is not None
        return "latest" not in found and await stored[READINGS].count_documents({}) == 0

    await until(gone)
    assert list((await listener.environment()).missing_kinds) == [Kind.AMBIENT_NOISE]
    assert await listener.readings(variable.name) == []


async def test_shorter_retention_applies_to_what_is_stored_and_a_longer_one_revives_nothing(
    listener: Listener, stored: Database
) -> None:
    variable = await listener.opt_in()
    old, recent = ago(hours=2), ago(minutes=30)
    await listener.batch([noise(1, old), noise(2, recent)])
    patch = variable_pb2.Variable(name=variable.name, retention=Duration(seconds=HOUR))
    await listener.update(patch)
    [left] = await listener.readings(variable.name)
    assert left.number == 2
    assert left.expire_time.ToDatetime(recent.tzinfo) == recent + timedelta(hours=1)
    patch.retention.seconds = 48 * HOUR
    await listener.update(patch)
    [left] = await listener.readings(variable.name)
    assert left.number == 2
    found = await stored[READINGS].find_one({"variable_id": variable.uid})
    assert found is not None
    assert found["expire_time"] == recent + timedelta(hours=48)
    assert await stored[READINGS].count_documents({}) == 1


async def test_change_of_retention_interrupted_by_a_crash_reaches_the_readings_later(
    listener: Listener, stored: Database
) -> None:
    variable = await listener.opt_in()
    at = ago(minutes=1)
    await listener.record(noise(1, at))
    # As a process leaves it that dies right after the change was stored.
    change = {"retention_ms": 7_200_000, "generation": 1, "rewriting": True}
    await stored[VARIABLES].update_one({"_id": variable.uid}, {"$set": change})

    async def rewritten() -> bool:
        found = await stored[READINGS].find_one({"variable_id": variable.uid})
        return found is not None and found["expire_time"] == at + timedelta(hours=2)

    await until(rewritten)
