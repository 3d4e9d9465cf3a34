"""Surroundings are kept with an interaction only by consent, and leave with it, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from eventually import eventually
from harness import serving, socket_address
from interaction_world import Listener, Variable, World, event, events
from variable_calls import ago

from rhythmiq.recommender.v1 import interaction_pb2
from rhythmiq.type.v1 import environment_pb2
from rhythmiq_mesh.mongo import Database

Environment = environment_pb2.Environment
LOUD_RUN = Environment(ambient_noise_dba=61.5, activity=Environment.RUNNING)
HAS_NOISE = {"environment.ambient_noise": {"$exists": True}}


async def share(listener: Listener) -> dict[str, str]:
    """Noise, activity and local time, each read 2 minutes ago, and speed never; names of the variables."""
    kinds = {"noise": Variable.AMBIENT_NOISE, "activity": Variable.ACTIVITY, "time": Variable.LOCAL_TIME}
    names = {name: await listener.opt_in(kind) for name, kind in kinds.items()}
    names["speed"] = await listener.opt_in(Variable.SPEED)
    at = ago(minutes=2)
    await listener.observe(Variable.AMBIENT_NOISE, at, number=70.0)
    await listener.observe(Variable.ACTIVITY, at, activity=Environment.WALKING)
    await listener.observe(Variable.LOCAL_TIME, at, local_time={"hours": 20})
    return names


async def test_recent_event_without_surroundings_gets_those_of_the_readings(listener: Listener) -> None:
    await share(listener)
    captured = (await listener.record(event(0, ago(minutes=4)))).environment
    assert (captured.ambient_noise_dba, captured.activity) == (70.0, Environment.WALKING)
    # It was 20:00 two minutes ago, so it was 19:58 at the event.
    assert (captured.local_time.hours, captured.local_time.minutes) in {(19, 57), (19, 58)}
    assert not captured.HasField("speed_mps")
    streamed = events(3, ago(seconds=10))
    await listener.stream([streamed])
    assert all(found.environment.ambient_noise_dba == 70.0 for found in await listener.stored())


async def test_old_event_and_one_that_tells_of_nothing_get_none(listener: Listener) -> None:
    await share(listener)
    assert not (await listener.record(event(0, ago(minutes=6)))).HasField("environment")
    assert not (await listener.record(event(1, environment=Environment()))).HasField("environment")


async def test_stale_reading_is_not_the_present(listener: Listener) -> None:
    await listener.opt_in()
    await listener.observe(Variable.AMBIENT_NOISE, ago(hours=1), number=70.0)
    assert not (await listener.record(event(0))).HasField("environment")


async def test_kinds_told_are_kept_where_shared_with_or_without_a_reading(listener: Listener) -> None:
    await share(listener)
    told = Environment(speed_mps=1.5, company=Environment.ALONE, ambient_noise_dba=10)
    kept = (await listener.record(event(0, ago(days=3), environment=told))).environment
    assert kept == Environment(speed_mps=1.5, ambient_noise_dba=10)


async def test_without_the_variable_service_events_count_and_surroundings_do_not(
    world: World, listener: Listener
) -> None:
    await share(listener)
    await world.stop("variable")
    assert not (await listener.record(event(0, environment=LOUD_RUN))).HasField("environment")
    answer = await listener.stream([events(5, environment=LOUD_RUN), events(5, ago(minutes=2))])
    assert answer.recorded_count == 10
    assert not any(found.HasField("environment") for found in await listener.stored())


async def test_opt_out_scrubs_the_kind_alone_and_its_receipt_counts(
    world: World, listener: Listener, stored: Database
) -> None:
    other = await world.listener().sign_up()
    names = [await share(one) for one in (listener, other)]
    for one in (listener, other):
        await one.batch(events(30, environment=LOUD_RUN))
        await one.batch(events(5, ago(hours=1)))
    receipt = await listener.opt_out(names[0]["noise"])
    assert {part.what: part.count for part in receipt.erased} == {
        "readings": 1,
        "interactions.environment:ambient_noise": 30,
    }
    assert list(receipt.pending) == []
    found = await listener.stored()
    assert len(found) == 35
    assert {message.environment.SerializeToString() for message in found[:30]} == {
        Environment(activity=Environment.RUNNING).SerializeToString()
    }
    assert await stored["interactions"].count_documents({"profile_id": listener.profile_id, **HAS_NOISE}) == 0
    assert await stored["interactions"].count_documents({"profile_id": other.profile_id, **HAS_NOISE}) == 30


async def test_opt_out_reaches_interactions_after_the_recommender_was_away(
    world: World, listener: Listener, stored: Database
) -> None:
    names = await share(listener)
    await listener.batch(events(30, environment=LOUD_RUN))
    await world.stop("recommender")
    receipt = await listener.opt_out(names["noise"])
    assert [part.what for part in receipt.erased] == ["readings"]
    assert list(receipt.pending) == ["copies:ambient_noise"]
    assert await stored["interactions"].count_documents(HAS_NOISE) == 30
    await world.start("recommender")

    async def scrubbed() -> bool:
        return await stored["interactions"].count_documents(HAS_NOISE) == 0

    await eventually(scrubbed)


async def test_opt_out_reaches_a_stream_that_is_open(listener: Listener) -> None:
    names = await share(listener)
    go_on, at = asyncio.Event(), ago(minutes=1)

    async def requests() -> AsyncIterator[interaction_pb2.StreamInteractionsRequest]:
        yield interaction_pb2.StreamInteractionsRequest(parent=listener.name, interactions=events(5, at))
        await go_on.wait()
        told = events(5, at - timedelta(minutes=1), environment=LOUD_RUN)
        yield interaction_pb2.StreamInteractionsRequest(parent=listener.name, interactions=told)

    call = asyncio.ensure_future(listener.stub.StreamInteractions(requests(), **listener.call))

    async def half() -> bool:
        return len(await listener.stored()) == 5

    await eventually(half)
    receipt = await listener.opt_out(names["noise"])
    assert [part.count for part in receipt.erased] == [1, 5]
    go_on.set()
    assert (await call).recorded_count == 10
    found = await listener.stored()
    assert not any(message.environment.HasField("ambient_noise_dba") for message in found)
    assert {message.environment.activity for message in found} == {Environment.RUNNING, Environment.WALKING}


@pytest.mark.parametrize("rounds", [24])
async def test_no_kind_survives_an_opt_out_that_races_recordings_in_two_processes(
    world: World, stored: Database, rounds: int
) -> None:
    with_kind = without_kind = 0
    async with serving(world.server("recommender", listen=socket_address())) as second:
        channels = [world.channels["recommender"], second]

        async def race(number: int) -> tuple[int, int]:
            listener = await world.listener().sign_up()
            variable = await listener.opt_in()
            kept: list[bool] = []

            async def record(by: Listener, offset: int, *, stream: bool) -> None:
                start = ago(hours=offset)
                batches = [events(4, start - timedelta(minutes=n), environment=LOUD_RUN) for n in range(12)]
                if stream:
                    await by.stream(batches)
                    return
                for batch in batches:
                    answer = await by.batch(batch)
                    kept.append(answer.interactions[0].HasField("environment"))

            async def opt_out() -> None:
                await asyncio.sleep(random.Random(number).uniform(0, 0.15))
                receipt = await listener.opt_out(variable)
                assert list(receipt.pending) == []
                # The receipt means: scrubbed, and for good.
                query = {"profile_id": listener.profile_id, **HAS_NOISE}
                assert await stored["interactions"].count_documents(query) == 0

            await asyncio.gather(
                record(listener, 1, stream=False),
                record(listener.on(channels[1]), 2, stream=False),
                record(listener.on(channels[number % 2]), 3, stream=True),
                opt_out(),
            )
            assert len(await listener.stored()) == 3 * 48
            return kept.count(True), kept.count(False)

        for start in range(0, rounds, 4):
            for yes, no in await asyncio.gather(*(race(start + n) for n in range(4))):
                with_kind, without_kind = with_kind + yes, without_kind + no
    assert await stored["interactions"].count_documents(HAS_NOISE) == 0
    # Both must have happened, or it was no race.
    assert with_kind
    assert without_kind


async def test_two_processes_serve_one_listener(world: World, listener: Listener) -> None:
    async with serving(world.server("recommender", listen=socket_address())) as second:
        twin, batch = listener.on(second), events(200)
        answers = await asyncio.gather(
            *(one.batch(batch[n : n + 50]) for one in (listener, twin) for n in (0, 50, 100, 150))
        )
        assert sum(answer.recorded_count for answer in answers) == 200
    assert len(await listener.stored()) == 200
