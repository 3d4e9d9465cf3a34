from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from google.type.timeofday_pb2 import TimeOfDay
from variable_calls import Kind, Listener, ago, noise, reading, refused, stamp

from rhythmiq.type.v1.environment_pb2 import Environment
from rhythmiq.variable.v1 import variable_pb2

Code = grpc.StatusCode
VALUES: dict[variable_pb2.Variable.Kind.ValueType, dict[str, Any]] = {
    Kind.AMBIENT_NOISE: {"number": 61.25},
    Kind.ILLUMINANCE: {"number": 200_000},
    Kind.TEMPERATURE: {"number": -12.5},
    Kind.HUMIDITY: {"number": 0},
    Kind.WEATHER: {"weather": Environment.STORM},
    Kind.ACTIVITY: {"activity": Environment.RUNNING},
    Kind.HEART_RATE: {"number": 250},
    Kind.PLACE_TYPE: {"place_type": Environment.CAFE},
    Kind.SPEED: {"number": 3.2},
    Kind.LOCAL_TIME: {"local_time": TimeOfDay(hours=23, minutes=59, seconds=59, nanos=999_999_999)},
    Kind.AUDIO_OUTPUT: {"audio_output": Environment.NOISE_CANCELLING_HEADPHONES},
    Kind.COMPANY: {"company": Environment.WITH_GROUP},
}


async def violation(call: Any) -> BadRequest.FieldViolation:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == Code.INVALID_ARGUMENT
    details = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    for detail in Status.FromString(details).details:
        if detail.Is(BadRequest.DESCRIPTOR):
            found = BadRequest()
            detail.Unpack(found)
            return found.field_violations[0]
    raise AssertionError("no field is named")


async def test_value_of_every_kind_comes_back_as_it_was_recorded_and_in_the_environment(listener: Listener) -> None:
    assert len(VALUES) == len(Kind.Kind.values()) - 1
    variables = {kind: await listener.opt_in(kind) for kind in VALUES}
    for kind, value in VALUES.items():
        at = ago(minutes=1)
        recorded = await listener.record(reading(kind, at, **value))
        assert recorded.name == f"{variables[kind].name}/readings/{recorded.uid}"
        assert (recorded.kind, recorded.source, recorded.observe_time) == (kind, "phone", stamp(at))
        assert recorded.expire_time == stamp(at + timedelta(days=30))
        [(field, found)] = value.items()
        assert recorded.WhichOneof("value") == field
        assert getattr(recorded, field) == found
        assert await listener.readings(variables[kind].name) == [recorded]
    environment = await listener.environment()
    assert [value.reading.kind for value in environment.values] == list(VALUES)
    assert not environment.missing_kinds
    assert {value.unit for value in environment.values} == {"dB[A]", "lx", "Cel", "%", "/min", "m/s", ""}
    for each in environment.values:
        assert timedelta(seconds=59) < each.age.ToTimedelta() < timedelta(minutes=3)


async def test_environment_names_kinds_without_a_reading_and_ages_are_never_negative(listener: Listener) -> None:
    await listener.opt_in()
    await listener.opt_in(Kind.SPEED)
    await listener.record(noise(50, ago(minutes=-4)))
    environment = await listener.environment()
    assert environment.name == f"{listener.name}/environment"
    [value] = environment.values
    assert value.age == Duration()
    assert list(environment.missing_kinds) == [Kind.SPEED]
    assert not (await Listener(listener.stub).environment()).values


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (noise(140.1), "reading.number"),
        (noise(-0.1), "reading.number"),
        (noise(float("nan")), "reading.number"),
        (noise(float("inf")), "reading.number"),
        (reading(Kind.AMBIENT_NOISE, weather=Environment.RAIN), "reading.weather"),
        (reading(Kind.WEATHER, number=1), "reading.number"),
        (reading(Kind.WEATHER, weather=Environment.WEATHER_UNSPECIFIED), "reading.weather"),
        (reading(Kind.WEATHER, weather=99), "reading.weather"),
        (reading(Kind.LOCAL_TIME, local_time=TimeOfDay(hours=24)), "reading.local_time"),
        (reading(Kind.AMBIENT_NOISE), "reading.value"),
        (reading(Kind.KIND_UNSPECIFIED, number=1), "reading.kind"),
        (noise(1, source=""), "reading.source"),
        (noise(1, source="a b"), "reading.source"),
        (noise(1, ago(days=-1)), "reading.observe_time"),
        (noise(1, ago(days=31)), "reading.observe_time"),
        (variable_pb2.Reading(kind=Kind.AMBIENT_NOISE, number=1, source="a"), "reading.observe_time"),
        (
            variable_pb2.Reading(kind=Kind.SPEED, number=1, source="a", observe_time=Timestamp(seconds=2**60)),
            "reading.observe_time",
        ),
        (
            variable_pb2.Reading(kind=Kind.SPEED, number=1, source="a", observe_time=Timestamp(seconds=9, nanos=-1)),
            "reading.observe_time",
        ),
    ],
)
async def test_bad_reading_is_refused_naming_the_field_and_stores_nothing(
    listener: Listener, message: variable_pb2.Reading, field: str
) -> None:
    variable = await listener.opt_in()
    await listener.opt_in(Kind.WEATHER)
    found = await violation(listener.record(message))
    assert (found.field, bool(found.description)) == (field, True)
    batch = await violation(listener.batch([noise(1), message]))
    assert batch.field == field.replace("reading.", "readings[1].")
    assert await listener.readings(variable.name) == []
    streamed = await violation(listener.stream([noise(1), message]))
    assert streamed.field == field
    assert "reading 2 of the stream" in streamed.description
    assert len(await listener.readings(variable.name)) == 1


async def test_reasons_tell_the_rules_apart(listener: Listener) -> None:
    await listener.opt_in()
    for message, reason in [
        (noise(141), "VALUE_OUT_OF_RANGE"),
        (reading(Kind.AMBIENT_NOISE, weather=Environment.RAIN), "WRONG_VALUE_TYPE"),
        (noise(1, ago(days=-1)), "OBSERVED_IN_FUTURE"),
        (noise(1, ago(days=31)), "EXPIRED_READING"),
    ]:
        assert await refused(listener.record(message)) == (Code.INVALID_ARGUMENT, reason)


async def test_recording_a_kind_without_opt_in_is_denied_and_stores_nothing(listener: Listener) -> None:
    variable = await listener.opt_in()
    heart = reading(Kind.HEART_RATE, number=80)
    denied = (Code.PERMISSION_DENIED, "VARIABLE_NOT_OPTED_IN")
    assert await refused(listener.record(heart)) == denied
    assert await refused(listener.batch([noise(1), heart])) == denied
    assert await listener.readings(variable.name) == []
    assert await refused(listener.stream([heart])) == denied
    opted_in = await listener.opt_in(Kind.HEART_RATE)
    assert await listener.readings(opted_in.name) == []


async def test_same_time_and_source_is_the_same_reading_to_the_millisecond(listener: Listener) -> None:
    variable = await listener.opt_in()
    at = ago(minutes=1)
    first = await listener.record(noise(50, at + timedelta(microseconds=100)))
    assert await listener.record(noise(50, at + timedelta(microseconds=900))) == first
    assert await listener.record(noise(99, at)) == first
    assert await listener.record(noise(99, at, source="watch")) != first
    assert len(await listener.readings(variable.name)) == 2


async def test_concurrent_repeats_of_a_reading_store_one_and_all_get_it(listener: Listener) -> None:
    variable = await listener.opt_in()
    at = ago()
    answers = await asyncio.gather(*(listener.record(noise(n, at)) for n in range(30)))
    assert await listener.readings(variable.name) == [answers[0]]
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1


async def test_replayed_request_ids_return_the_first_answer_and_conflicts_are_refused(listener: Listener) -> None:
    await listener.opt_in()
    single, batch = str(uuid.uuid4()), str(uuid.uuid4())
    message = noise(1)
    first = await listener.record(message, request_id=single)
    assert await listener.record(message, request_id=single) == first
    conflict = (Code.ALREADY_EXISTS, "REQUEST_ID_CONFLICT")
    assert await refused(listener.record(noise(2), request_id=single)) == conflict
    messages = [noise(n, ago(minutes=n)) for n in range(1, 6)]
    answer = await listener.batch(messages, request_id=batch)
    assert answer.recorded_count == 5
    assert await listener.batch(messages, request_id=batch) == answer
    assert await refused(listener.batch(messages[1:], request_id=batch)) == conflict
    assert (await listener.batch(messages)).recorded_count == 0


async def test_batch_of_a_thousand_is_stored_and_one_more_is_refused(listener: Listener) -> None:
    variable = await listener.opt_in()
    start = ago()
    messages = [noise(n % 100, start - timedelta(seconds=n)) for n in range(1001)]
    assert (await refused(listener.batch(messages)))[0] == Code.INVALID_ARGUMENT
    assert (await refused(listener.batch([])))[0] == Code.INVALID_ARGUMENT
    answer = await listener.batch(messages[:1000])
    assert answer.recorded_count == 1000
    assert [found.number for found in answer.readings] == [message.number for message in messages[:1000]]
    assert await listener.readings(variable.name, page_size=200) == list(answer.readings)


async def test_stream_counts_new_duplicate_and_late_and_late_ones_are_never_the_latest(listener: Listener) -> None:
    variable = await listener.opt_in()
    start = ago()
    messages = [noise(n % 100, start - timedelta(seconds=n)) for n in range(2500)]
    answer = await listener.stream(messages)
    assert (answer.recorded_count, answer.duplicate_count, answer.late_count) == (2500, 0, 2499)
    again = await listener.stream(messages)
    assert (again.recorded_count, again.duplicate_count, again.late_count) == (0, 2500, 0)
    [value] = (await listener.environment()).values
    assert value.reading.number == 0
    assert len(await listener.readings(variable.name, page_size=200)) == 2500


async def test_readings_are_listed_in_their_time_range_and_tokens_are_bound_to_it(listener: Listener) -> None:
    variable = await listener.opt_in()
    start = ago(hours=1)
    times = [start + timedelta(seconds=n) for n in range(10)]
    await listener.batch([noise(n, time) for n, time in enumerate(times)])

    async def numbers(**fields: datetime) -> list[float]:
        span = {name: stamp(time) for name, time in fields.items()}
        return [found.number for found in await listener.readings(variable.name, page_size=2, **span)]

    microsecond = timedelta(microseconds=1)
    assert await numbers(start_time=times[2], end_time=times[5]) == [4, 3, 2]
    assert await numbers(start_time=times[2] + microsecond, end_time=times[5] + microsecond) == [5, 4, 3]
    assert await numbers(start_time=times[7]) == [9, 8, 7]
    assert await numbers(end_time=times[1]) == [0]
    page = await listener.page(variable.name, page_size=2, start_time=stamp(times[0]))
    bound = (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
    assert await refused(listener.page(variable.name, page_token=page.next_page_token)) == bound
    other = listener.page(variable.name, page_token=page.next_page_token, start_time=stamp(times[1]))
    assert await refused(other) == bound
    bigger = await listener.page(
        variable.name, page_size=50, page_token=page.next_page_token, start_time=stamp(times[0])
    )
    assert len(bigger.readings) == 8


async def test_bad_list_requests_are_refused(listener: Listener) -> None:
    variable = await listener.opt_in()
    for fields in (
        {"page_size": -1},
        {"page_token": "x"},
        {"start_time": stamp(ago()), "end_time": stamp(ago(hours=1))},
        {"start_time": Timestamp(seconds=2**60)},
        {"end_time": Timestamp(seconds=-(2**60))},
        {"start_time": Timestamp(seconds=2**60), "end_time": Timestamp(seconds=2**61)},
    ):
        assert (await refused(listener.page(variable.name, **fields)))[0] == Code.INVALID_ARGUMENT
