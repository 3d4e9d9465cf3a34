"""Recording, listing and erasing interactions over real services and a real database."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from interaction_world import ITEMS, Interaction, Listener, World, event, events, item, time_of
from variable_calls import ago, refused, stamp

from rhythmiq.recommender.v1 import interaction_pb2, item_pb2, item_pb2_grpc
from rhythmiq.type.v1 import environment_pb2
from rhythmiq_mesh.mongo import Database

Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT


async def test_interaction_is_read_back_as_it_was_told(listener: Listener) -> None:
    at = ago(hours=2)
    told = event(
        3,
        at,
        type=Interaction.SKIP,
        list=f"{listener.name}/tuneVectors/{uuid.uuid4()}",
        position=7,
        propensity=0.125,
        played=Duration(seconds=12, nanos=500_000_000),
    )
    recorded = await listener.record(told)
    assert recorded.name == f"{listener.name}/interactions/{recorded.uid}"
    assert time_of(recorded.expire_time) == at + timedelta(days=400)
    assert ago(minutes=1) < time_of(recorded.create_time) <= ago(seconds=-1)
    bare = Interaction()
    bare.CopyFrom(recorded)
    for output in ("name", "uid", "create_time", "expire_time"):
        bare.ClearField(output)
    assert bare == told
    assert await listener.stored() == [recorded]


async def test_the_same_event_is_one_interaction_however_it_comes(listener: Listener) -> None:
    at = ago(minutes=3)
    first = await listener.record(event(0, at, position=1))
    again = await listener.batch([event(0, at, position=2), event(1, at), event(1, at)])
    assert (again.recorded_count, len(again.interactions)) == (1, 3)
    assert again.interactions[0] == first
    assert again.interactions[1] == again.interactions[2]
    streamed = await listener.stream([[event(0, at)], [event(1, at), event(0, at, source="watch")]])
    assert (streamed.recorded_count, streamed.duplicate_count) == (1, 2)
    within = stamp(at)
    within.nanos += 999
    assert await listener.record(event(0, event_time=within)) == first, "event times count to the millisecond"
    assert len(await listener.stored()) == 3


async def test_the_same_event_at_the_same_time_from_many_callers_is_recorded_once(
    world: World, listener: Listener
) -> None:
    at = ago(minutes=1)
    batches = [[event(number, at) for number in range(k, k + 10)] for k in range(10)]
    answers = await asyncio.gather(*(listener.batch(batch) for batch in batches * 2))
    assert sum(answer.recorded_count for answer in answers) == 19
    assert len(await listener.stored()) == 19


async def test_request_id_replays_the_first_answer_and_knows_another_request(listener: Listener) -> None:
    request_id, at = str(uuid.uuid4()), ago(minutes=1)
    batch = [event(0, at), event(1, at)]
    first = await listener.batch(batch, request_id=request_id)
    assert first.recorded_count == 2
    assert await listener.batch(batch, request_id=request_id) == first
    conflict = refused(listener.batch(batch[:1], request_id=request_id))
    assert await conflict == (Code.ALREADY_EXISTS, "REQUEST_ID_CONFLICT")


async def test_equal_requests_at_the_same_time_get_one_answer(listener: Listener) -> None:
    request_id, batch = str(uuid.uuid4()), events(5)
    answers = await asyncio.gather(*(listener.batch(batch, request_id=request_id) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].recorded_count == 5


async def test_replay_does_not_bring_back_what_was_erased(listener: Listener) -> None:
    request_id, message = str(uuid.uuid4()), event()
    await listener.record(message, request_id=request_id)
    await listener.erase()
    assert await refused(listener.record(message, request_id=request_id)) == (Code.NOT_FOUND, "INTERACTION_GONE")
    assert await listener.stored() == []


async def test_replay_answers_after_the_item_has_gone(world: World, listener: Listener) -> None:
    request_id, message = str(uuid.uuid4()), event(5)
    first = await listener.record(message, request_id=request_id)
    catalog = item_pb2_grpc.CatalogServiceStub(world.channels["recommender"])
    from harness import metadata

    await catalog.DeleteItem(
        item_pb2.DeleteItemRequest(name=item(5)), metadata=metadata("admin", scope="rhythmiq.admin")
    )
    assert await listener.record(message, request_id=request_id) == first


async def test_item_imported_a_moment_ago_is_known(world: World, listener: Listener) -> None:
    await world.fill_catalogue()
    answer = await listener.batch([event(number) for number in range(ITEMS)])
    assert answer.recorded_count == ITEMS


UNKNOWN = event(ITEMS)
FUTURE = event(0, ago(days=-1))  # far enough for the longest run of all tests
EXPIRED = event(0, ago(days=400, seconds=1))
OTHERS_LIST = event(0, list=f"profiles/{uuid.uuid4()}/tuneVectors/{uuid.uuid4()}")
BAD = [
    (UNKNOWN, (Code.NOT_FOUND, "ITEM_NOT_FOUND"), "item: items/"),
    (FUTURE, (INVALID, "EVENT_IN_FUTURE"), "event_time: "),
    (event(0, event_time=Timestamp(seconds=2**62)), (INVALID, "EVENT_IN_FUTURE"), "event_time: "),
    (event(0, event_time=Timestamp(seconds=253_402_300_799)), (INVALID, "EVENT_IN_FUTURE"), "event_time: "),
    (EXPIRED, (INVALID, "EVENT_EXPIRED"), "event_time: "),
    (OTHERS_LIST, (INVALID, "LIST_OF_ANOTHER"), "list: "),
    (event(0, propensity=float("nan")), (INVALID, "INVALID_ARGUMENT"), "propensity"),
    (event(0, position=0), (INVALID, "INVALID_ARGUMENT"), "position"),
    (event(0, type=99), (INVALID, "INVALID_ARGUMENT"), "type"),
    (event(0, source="a b"), (INVALID, "INVALID_ARGUMENT"), "source"),
    (event(0, item="items/x"), (INVALID, "INVALID_ARGUMENT"), "item"),
]


@pytest.mark.parametrize(("bad", "refusal", "place"), BAD)
async def test_bad_interaction_is_refused_by_name_and_nothing_of_its_call_is_stored(
    listener: Listener, bad: interaction_pb2.Interaction, refusal: tuple[grpc.StatusCode, str], place: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as alone:
        await listener.record(bad)
    assert f"interaction.{place}" in str(alone.value.details())
    good = events(3)
    with pytest.raises(grpc.aio.AioRpcError) as batch:
        await listener.batch([*good, bad, UNKNOWN, FUTURE])
    assert f"interactions[3].{place}" in str(batch.value.details())
    assert await refused(listener.record(bad)) == refusal
    assert await refused(listener.batch([*good, bad])) == refusal
    assert await listener.stored() == []


async def test_stream_stops_at_the_first_bad_one_and_keeps_those_before(listener: Listener) -> None:
    good = events(6)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listener.stream([good[:2], [good[2], good[3], UNKNOWN, good[4]], good[5:]])
    assert "interactions[2].item" in str(caught.value.details())
    assert "message 2 of the stream" in str(caught.value.details())
    assert [found.event_time for found in await listener.stored()] == [told.event_time for told in good[:4]]
    repeated = await listener.stream([good])
    assert (repeated.recorded_count, repeated.duplicate_count) == (2, 4)


@pytest.mark.parametrize("count", [0, 1001])
async def test_batch_has_1_to_1000(listener: Listener, count: int) -> None:
    assert await refused(listener.batch(events(count))) == (INVALID, "INVALID_ARGUMENT")
    assert await refused(listener.stream([events(count)])) == (INVALID, "INVALID_ARGUMENT")
    assert await listener.stored() == []


async def test_batch_of_1000_is_stored_in_order(listener: Listener) -> None:
    told = events(1000)
    answer = await listener.batch(told)
    assert answer.recorded_count == 1000
    assert [found.event_time for found in answer.interactions] == [message.event_time for message in told]
    assert list(answer.interactions) == await listener.stored()


async def test_nobody_reads_writes_or_erases_below_another_profile(world: World, listener: Listener) -> None:
    other = await world.listener().sign_up()
    await other.record(event())
    denied = (Code.PERMISSION_DENIED, "NOT_OWNER")
    assert await refused(listener.record(event(), parent=other.name)) == denied
    assert await refused(listener.batch([event()], parent=other.name)) == denied
    assert await refused(listener.stream([[event()]], parent=other.name)) == denied
    assert await refused(listener.page(parent=other.name)) == denied
    assert await refused(listener.erase(parent=other.name)) == denied
    assert len(await other.stored()) == 1


async def test_list_is_newest_first_in_pages_without_gaps_and_by_time(listener: Listener) -> None:
    start = ago(minutes=1)
    # Three sources at each moment: ids settle the order of equal times.
    told = [message for source in ("a", "b", "c") for message in events(30, start, source=source)]
    await listener.batch(told)
    whole = await listener.stored()
    assert len(whole) == 90
    assert await listener.stored(page_size=7) == whole
    times = [time_of(found.event_time) for found in whole]
    assert times == sorted(times, reverse=True)
    span: dict[str, Any] = {
        "start_time": stamp(start - timedelta(seconds=9)),
        "end_time": stamp(start - timedelta(seconds=4)),
    }
    assert await listener.stored(page_size=4, **span) == whole[15:30]
    token = (await listener.page(page_size=4)).next_page_token
    invalid = (INVALID, "PAGE_TOKEN_INVALID")
    assert await refused(listener.page(page_size=4, page_token=token, **span)) == invalid
    assert await refused(listener.page(page_token=token[:-2] + "AA")) == invalid
    assert (await refused(listener.page(page_size=-1)))[0] == INVALID


async def test_erasing_gives_a_receipt_and_spares_other_listeners(world: World, listener: Listener) -> None:
    other = await world.listener().sign_up()
    await other.record(event())
    await listener.batch(events(50))
    receipt = await listener.erase()
    assert (receipt.name, [(part.what, part.count) for part in receipt.erased]) == (
        listener.name,
        [("interactions", 50)],
    )
    assert ago(minutes=1) < time_of(receipt.erase_time) <= ago(seconds=-1)
    assert not receipt.pending
    assert await listener.stored() == []
    assert [part.count for part in (await listener.erase()).erased] == [0]
    assert len(await other.stored()) == 1


async def test_interactions_expire(listener: Listener, stored: Database) -> None:
    await listener.record(event(0, ago(days=400) + timedelta(seconds=3)))
    assert len(await listener.stored()) == 1
    async with asyncio.timeout(30):
        while await stored["interactions"].count_documents({}) or await listener.stored():
            await asyncio.sleep(0.05)


async def test_profile_goes_only_after_its_interactions_and_gets_none_without_one(listener: Listener) -> None:
    await listener.batch(events(3))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listener.leave()
    assert "interactions" in str(caught.value.details())
    await listener.record(event(4))
    await listener.erase()
    await listener.leave()
    absent = (Code.NOT_FOUND, "PROFILE_NOT_FOUND")
    assert await refused(listener.record(event())) == absent
    assert await refused(listener.batch(events(2))) == absent
    assert await refused(listener.stream([events(2)])) == absent
    await listener.sign_up()
    assert await listener.stored() == []
    await listener.record(event())


async def test_environment_told_is_kept_only_of_shared_kinds(listener: Listener) -> None:
    told = environment_pb2.Environment(ambient_noise_dba=61.5, activity=environment_pb2.Environment.RUNNING)
    assert not (await listener.record(event(0, environment=told))).HasField("environment")
    await listener.opt_in()
    recorded = await listener.record(event(1, environment=told))
    assert recorded.environment == environment_pb2.Environment(ambient_noise_dba=61.5)
    assert (await listener.stored())[0].environment == recorded.environment
