"""Interactions while their profile goes, and while the database dies."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
from harness import reason, serving, socket_address
from interaction_world import Listener, World, event, events, interaction_world, time_of
from mongod import Mongod
from variable_calls import ago, refused

from rhythmiq.recommender.v1 import interaction_pb2
from rhythmiq_mesh.mongo import Database

Code = grpc.StatusCode
GONE = {"PROFILE_NOT_FOUND", "PROFILE_NOT_ACTIVE"}
ROUNDS = 100
MESSAGES, SIZE = 60, 25
SENT_TO_ITS_END = "Internal error from Core"
"""grpc.aio's words, in place of the service's status, where a message is being sent when the service ends the call."""


async def refusal(call: object) -> str:
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return reason(error) or error.details() or str(error.code())
    return ""


async def test_deletion_of_a_profile_racing_recordings_leaves_no_orphan_and_loses_no_profile(
    world: World, stored: Database
) -> None:
    outcomes: list[tuple[str, str]] = []
    async with serving(world.server("recommender", listen=socket_address())) as second:

        async def race(number: int) -> None:
            listener = await world.listener().sign_up()
            twin, dice = listener.on(second), random.Random(number)

            async def stream() -> AsyncIterator[interaction_pb2.StreamInteractionsRequest]:
                for n in range(3):
                    await asyncio.sleep(dice.uniform(0, 0.02))
                    messages = events(2, ago(hours=1 + n))
                    yield interaction_pb2.StreamInteractionsRequest(parent=listener.name, interactions=messages)

            async def leave() -> str:
                await asyncio.sleep(dice.uniform(0, 0.03))
                return await refusal(listener.leave())

            streamed, single, left = await asyncio.gather(
                refusal(twin.stub.StreamInteractions(stream(), **listener.call)),
                refusal(listener.record(event())),
                leave(),
            )
            count = await stored["interactions"].count_documents({"profile_id": listener.profile_id})
            assert single in {"", *GONE}
            assert streamed in {"", SENT_TO_ITS_END, *GONE}
            assert left in {"", "PROFILE_HAS_CHILDREN"}
            assert not count or left, "an orphan"
            outcomes.append((left, "some" if count else "none"))

        for start in range(0, ROUNDS, 5):
            await asyncio.gather(*(race(start + n) for n in range(5)))
    # Both must have won some, or it was no race.
    assert {("", "none"), ("PROFILE_HAS_CHILDREN", "some")} <= set(outcomes)


async def test_stream_learns_at_once_that_its_profile_has_gone(listener: Listener) -> None:
    gone = asyncio.Event()

    async def requests() -> AsyncIterator[interaction_pb2.StreamInteractionsRequest]:
        yield interaction_pb2.StreamInteractionsRequest(parent=listener.name, interactions=[event()])
        await gone.wait()
        yield interaction_pb2.StreamInteractionsRequest(parent=listener.name, interactions=[event(1)])

    call = asyncio.ensure_future(listener.stub.StreamInteractions(requests(), **listener.call))
    async with asyncio.timeout(20):
        while not await listener.stored():
            await asyncio.sleep(0.01)
    await listener.erase()
    await listener.leave()
    gone.set()
    assert await refused(call) == (Code.NOT_FOUND, "PROFILE_NOT_FOUND")
    assert await listener.stored() == []


async def test_without_the_profile_service_nothing_is_recorded(world: World, listener: Listener) -> None:
    await world.stop("profile")
    assert await refused(listener.record(event())) == (Code.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    assert await listener.stored() == []


async def test_nothing_acknowledged_is_lost_when_mongod_is_killed_in_the_middle_of_streams(
    mongod: Mongod, mongo_database_name: str
) -> None:
    async with interaction_world(mongod.uri, mongo_database_name) as world:
        listeners = [await world.listener().sign_up() for _ in range(3)]
        start, half = ago(minutes=10), asyncio.Event()
        failures: list[grpc.StatusCode] = []
        acknowledged: list[set[float]] = [set() for _ in listeners]

        async def send(number: int) -> None:
            for n in range(MESSAGES // 3):
                # Three messages a stream; after a failure all of them again, as the API says.
                batches = [events(SIZE, start - timedelta(seconds=SIZE * (3 * n + part))) for part in range(3)]
                while True:
                    try:
                        await listeners[number].stream(batches)
                    except grpc.aio.AioRpcError as error:
                        failures.append(error.code())
                    else:
                        acknowledged[number] |= {time_of(m.event_time).timestamp() for b in batches for m in b}
                        break
                if sum(map(len, acknowledged)) >= SIZE * MESSAGES * len(listeners) // 4:
                    half.set()

        async def crash() -> None:
            await half.wait()
            await asyncio.to_thread(mongod.kill)
            async with asyncio.timeout(30):
                while not failures:
                    await asyncio.sleep(0.01)
            assert await refused(listeners[0].record(event(0))) == (Code.UNAVAILABLE, "STORAGE_UNAVAILABLE")
            await asyncio.to_thread(mongod.start)

        await asyncio.gather(crash(), *(send(number) for number in range(len(listeners))))
        assert set(failures) <= {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED}
        for number, listener in enumerate(listeners):
            found = [time_of(message.event_time).timestamp() for message in await listener.stored()]
            assert len(found) == MESSAGES * SIZE
            assert set(found) == acknowledged[number]
