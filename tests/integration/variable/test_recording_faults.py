"""Recording while the database dies, and with little time: nothing acknowledged is lost, nobody waits too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from mongod import Mongod
from variable_calls import Listener, ProfileService, ago, noise, refused, variable_service

from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc

Code = grpc.StatusCode
RECORDINGS = 1000
ALLOWED = {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
# PyMongo forgets to close a socket on which it was just connecting when the database was killed.
pytestmark = pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning")


async def test_nothing_acknowledged_is_lost_when_mongod_is_killed_in_the_middle_of_1000_recordings(
    mongod: Mongod, mongo_database_name: str, profiles: ProfileService
) -> None:
    async with variable_service(mongod.uri, mongo_database_name, profiles.address) as channel:
        stub = variable_pb2_grpc.VariableServiceStub(channel)
        listeners = [Listener(stub) for _ in range(4)]
        variables = [await listener.opt_in() for listener in listeners]
        start, half = ago(), asyncio.Event()
        acknowledged: list[set[str]] = [set() for _ in listeners]
        failures: list[grpc.StatusCode] = []

        async def record_all(number: int) -> None:
            for n in range(RECORDINGS // len(listeners)):
                while True:  # a repeat is the same reading, so it is safe
                    try:
                        message = noise(n % 100, start - timedelta(seconds=n))
                        found = await listeners[number].record(message, seconds=3)
                    except grpc.aio.AioRpcError as error:
                        failures.append(error.code())
                    else:
                        acknowledged[number].add(found.name)
                        break
                if sum(map(len, acknowledged)) >= RECORDINGS // 2:
                    half.set()

        async def crash() -> None:
            await half.wait()
            await asyncio.to_thread(mongod.kill)
            async with asyncio.timeout(30):
                while not failures:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(mongod.start)

        await asyncio.gather(crash(), *(record_all(number) for number in range(len(listeners))))
        assert failures
        assert set(failures) <= ALLOWED
        for listener, variable, names in zip(listeners, variables, acknowledged, strict=True):
            found = {reading.name for reading in await listener.readings(variable.name, page_size=200)}
            assert len(names) == RECORDINGS // len(listeners)
            assert found == names


async def test_every_way_to_record_is_unavailable_while_mongod_is_away(
    mongod: Mongod, mongo_database_name: str, profiles: ProfileService
) -> None:
    async with variable_service(mongod.uri, mongo_database_name, profiles.address) as channel:
        listener = Listener(variable_pb2_grpc.VariableServiceStub(channel))
        variable = await listener.opt_in()
        mongod.kill()
        calls = [listener.record(noise(1)), listener.batch([noise(2)]), listener.stream([noise(3)] * 2000)]
        codes = {code for code, _ in await asyncio.gather(*(refused(call) for call in calls))}
        assert codes == {Code.UNAVAILABLE}
        assert (await refused(listener.environment()))[0] == Code.UNAVAILABLE
        mongod.start()
        assert await listener.readings(variable.name) == []
        await listener.record(noise(1))


async def test_deadline_ends_a_batch_and_a_recording_that_have_no_time(listener: Listener) -> None:
    await listener.opt_in()
    many = [noise(n % 100, ago(seconds=n)) for n in range(1000)]
    for call in (listener.batch(many, seconds=0.005), listener.record(noise(1), seconds=0.0005)):
        assert (await refused(call))[0] == Code.DEADLINE_EXCEEDED
    answer = await listener.batch(many)
    assert len(answer.readings) == 1000


async def test_deadline_ends_a_stream_whose_client_has_fallen_silent_and_what_came_is_stored(
    listener: Listener,
) -> None:
    variable = await listener.opt_in()
    silence = asyncio.Event()

    async def requests() -> AsyncIterator[variable_pb2.StreamReadingsRequest]:
        yield variable_pb2.StreamReadingsRequest(parent=listener.name, reading=noise(1))
        await silence.wait()

    call = listener.stub.StreamReadings(requests(), metadata=listener.metadata, timeout=1)
    async with asyncio.timeout(10):
        assert (await refused(call))[0] == Code.DEADLINE_EXCEEDED
    assert len(await listener.readings(variable.name)) == 1


@pytest.mark.parametrize("size", [1, 40])
async def test_long_stream_is_visible_while_it_runs(listener: Listener, size: int) -> None:
    variable = await listener.opt_in()
    go_on = asyncio.Event()
    start = ago()

    async def requests() -> AsyncIterator[variable_pb2.StreamReadingsRequest]:
        for n in range(size):
            message = noise(n, start - timedelta(seconds=n))
            yield variable_pb2.StreamReadingsRequest(parent=listener.name, reading=message)
        await go_on.wait()

    call = asyncio.ensure_future(listener.stub.StreamReadings(requests(), metadata=listener.metadata, timeout=30))
    async with asyncio.timeout(10):
        while len(await listener.readings(variable.name)) < size:
            await asyncio.sleep(0.01)
    go_on.set()
    assert (await call).recorded_count == size
