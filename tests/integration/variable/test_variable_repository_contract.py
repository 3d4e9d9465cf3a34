"""One contract, two implementations: the repositories on MongoDB, and those in memory that unit tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from variables_in_memory import InMemoryReadings, InMemoryVariables

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.etag import new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_variable.model import (
    Draft,
    Erasure,
    ExpiredReading,
    Kind,
    Span,
    ValueType,
    Variable,
    VariableExists,
    VariableNotOptedIn,
)
from rhythmiq_variable.mongo import MongoVariables
from rhythmiq_variable.mongo_readings import MongoReadings
from rhythmiq_variable.ports import ReadingRepository, VariableRepository

# The TTL index goes by the real clock: what these tests expect to stay has to be recent.
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class Repositories(NamedTuple):
    variables: VariableRepository
    readings: ReadingRepository


@pytest.fixture(params=["memory", "mongo"])
async def repositories(
    request: pytest.FixtureRequest, mongo_uri: str, mongo_database_name: str
) -> AsyncIterator[Repositories]:
    if request.param == "memory":
        store = InMemoryVariables()
        yield Repositories(store, InMemoryReadings(store))
        return
    client = connect(mongo_uri, app="test")
    variables = MongoVariables(database(client, mongo_database_name))
    await variables.ensure_indexes()
    yield Repositories(variables, MongoReadings(database(client, mongo_database_name)))
    await client.close()


@pytest.fixture
def profile_id() -> str:
    return str(uuid4())


def variable(profile_id: str, kind: Kind = Kind.AMBIENT_NOISE, **fields: Any) -> Variable:
    made = Variable(
        id=str(uuid4()),
        profile_id=profile_id,
        kind=kind,
        consent_version="v1",
        consent_time=NOW,
        retention=timedelta(days=30),
        create_time=NOW,
        update_time=NOW,
        etag=new_etag(),
    )
    return replace(made, **fields)


def noise(value: float, ago: timedelta = timedelta(0), source: str = "phone") -> Draft:
    return Draft("reading", Kind.AMBIENT_NOISE, ValueType.NUMBER, value, NOW - ago, source)


def activity(value: str, ago: timedelta = timedelta(0)) -> Draft:
    return Draft("reading", Kind.ACTIVITY, ValueType.ACTIVITY, value, NOW - ago, "phone")


def key(fingerprint: bytes = b"a", request: str = "1") -> RequestKey:
    return RequestKey("profiles/x#Method", request, fingerprint)


async def opt_in(repositories: Repositories, profile_id: str, kind: Kind = Kind.AMBIENT_NOISE, **more: Any) -> Variable:
    created, _ = await repositories.variables.create(variable(profile_id, kind, **more), None)
    return created


async def stored_values(repositories: Repositories, of: Variable) -> list[Any]:
    current = await repositories.variables.get(of.profile_id, of.id)
    assert current is not None
    return [reading.value for reading in await repositories.readings.page(current, Span(), NOW, None, 1000)]


async def latest_value(repositories: Repositories, of: Variable, at: datetime = NOW) -> Any:
    current = await repositories.variables.get(of.profile_id, of.id)
    assert current is not None
    latest = current.latest_at(at)
    return None if latest is None else latest.value


async def test_variable_is_read_back_as_it_was_made(repositories: Repositories, profile_id: str) -> None:
    made = variable(profile_id)
    assert await repositories.variables.create(made, None) == (made, False)
    assert await repositories.variables.get(profile_id, made.id) == made
    assert await repositories.variables.get(str(uuid4()), made.id) is None
    assert await repositories.variables.count(profile_id) == 1


async def test_second_variable_of_a_kind_is_refused_naming_the_first(
    repositories: Repositories, profile_id: str
) -> None:
    first = await opt_in(repositories, profile_id)
    with pytest.raises(VariableExists, match=first.id):
        await opt_in(repositories, profile_id)
    await opt_in(repositories, profile_id, Kind.ACTIVITY)
    await opt_in(repositories, str(uuid4()))


async def test_replayed_create_returns_the_first_answer(repositories: Repositories, profile_id: str) -> None:
    made = variable(profile_id)
    await repositories.variables.create(made, key())
    assert await repositories.variables.create(variable(profile_id), key()) == (made, True)
    with pytest.raises(RequestIdConflict):
        await repositories.variables.create(variable(profile_id), key(b"b"))


async def test_taken_back_takes_its_readings_with_it(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id)
    await repositories.readings.record(profile_id, [noise(1)], NOW, None)
    assert await repositories.variables.take_back(profile_id, [made.id])
    assert await repositories.readings.page(made, Span(), NOW, None, 10) == []
    assert await repositories.variables.unfinished_erasures(10) == []


async def test_variables_page_oldest_first_without_gaps_where_times_are_equal(
    repositories: Repositories, profile_id: str
) -> None:
    times = [NOW, NOW, NOW - HOUR, NOW]
    made = [
        await opt_in(repositories, profile_id, kind, create_time=time) for kind, time in zip(Kind, times, strict=False)
    ]
    seen: list[str] = []
    after = None
    while page := await repositories.variables.page(profile_id, after, 1):
        seen += [found.id for found in page]
        after = (page[-1].create_time, page[-1].id)
    assert seen == [found.id for found in sorted(made, key=lambda v: (v.create_time, v.id))]


async def test_reading_is_listed_and_is_the_latest(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id)
    recorded = await repositories.readings.record(profile_id, [noise(61.5)], NOW, None)
    assert (recorded.new, recorded.late) == (1, 0)
    [reading] = recorded.readings
    assert (reading.value, reading.expire_time, reading.variable_id) == (61.5, NOW + timedelta(days=30), made.id)
    assert await repositories.readings.page(made, Span(), NOW, None, 10) == [reading]
    current = await repositories.variables.get(profile_id, made.id)
    assert current is not None
    assert current.latest == reading
    assert await repositories.variables.all(profile_id) == [current]


async def test_same_reading_again_keeps_the_value_that_was_stored_first(
    repositories: Repositories, profile_id: str
) -> None:
    made = await opt_in(repositories, profile_id)
    first = await repositories.readings.record(profile_id, [noise(1)], NOW, None)
    second = await repositories.readings.record(profile_id, [noise(2), noise(3, MINUTE), noise(4, MINUTE)], NOW, None)
    assert (second.new, second.late) == (1, 1)
    assert second.readings[0] == first.readings[0]
    assert [reading.value for reading in second.readings] == [1, 3, 3]
    assert await stored_values(repositories, made) == [1, 3]
    assert await latest_value(repositories, made) == 1


async def test_late_reading_is_kept_and_never_the_latest(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id)
    await repositories.readings.record(profile_id, [noise(1)], NOW, None)
    late = await repositories.readings.record(profile_id, [noise(2, HOUR)], NOW, None)
    assert (late.new, late.late) == (1, 1)
    assert await latest_value(repositories, made) == 1
    assert await stored_values(repositories, made) == [1, 2]


async def test_sources_settle_a_tie_in_any_order(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id)
    for value, source in [(1, "b"), (2, "c"), (3, "a")]:
        await repositories.readings.record(profile_id, [noise(value, source=source)], NOW, None)
    assert await latest_value(repositories, made) == 2


async def test_kind_without_opt_in_stores_nothing_of_the_batch(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id)
    with pytest.raises(VariableNotOptedIn, match="ACTIVITY") as caught:
        await repositories.readings.record(profile_id, [noise(1), activity("WALKING")], NOW, None)
    assert caught.value.index == 1
    assert await stored_values(repositories, made) == []
    assert await latest_value(repositories, made) is None


async def test_batch_of_many_kinds_is_stored_in_the_order_of_the_request(
    repositories: Repositories, profile_id: str
) -> None:
    heard, moving = await opt_in(repositories, profile_id), await opt_in(repositories, profile_id, Kind.ACTIVITY)
    drafts = [activity("WALKING"), noise(1, MINUTE), activity("RUNNING", MINUTE), noise(2)]
    recorded = await repositories.readings.record(profile_id, drafts, NOW, None)
    assert [reading.value for reading in recorded.readings] == ["WALKING", 1, "RUNNING", 2]
    assert (recorded.new, recorded.late) == (4, 1)
    assert await latest_value(repositories, moving) == "WALKING"
    assert await latest_value(repositories, heard) == 2


async def test_reading_older_than_the_retention_is_refused_and_stores_nothing(
    repositories: Repositories, profile_id: str
) -> None:
    made = await opt_in(repositories, profile_id, retention=HOUR)
    with pytest.raises(ExpiredReading) as caught:
        await repositories.readings.record(profile_id, [noise(1), noise(2, HOUR)], NOW, None)
    assert caught.value.index == 1
    assert await stored_values(repositories, made) == []


async def test_replayed_recording_is_answered_again_and_a_conflicting_one_refused(
    repositories: Repositories, profile_id: str
) -> None:
    made = await opt_in(repositories, profile_id)
    drafts = [noise(1), noise(2, MINUTE)]
    first = await repositories.readings.record(profile_id, drafts, NOW, key())
    again = await repositories.readings.record(profile_id, drafts, NOW + MINUTE, key())
    assert (again.readings, again.new) == (first.readings, 2)
    with pytest.raises(RequestIdConflict):
        await repositories.readings.record(profile_id, [noise(3)], NOW, key(b"b"))
    assert await stored_values(repositories, made) == [1, 2]


async def test_recording_with_a_request_id_meets_readings_that_are_there(
    repositories: Repositories, profile_id: str
) -> None:
    await opt_in(repositories, profile_id)
    await repositories.readings.record(profile_id, [noise(1)], NOW, None)
    recorded = await repositories.readings.record(profile_id, [noise(1), noise(2, MINUTE)], NOW, key())
    assert recorded.new == 1
    assert (await repositories.readings.record(profile_id, [noise(1), noise(2, MINUTE)], NOW, key())).new == 1


async def test_replay_after_the_opt_out_tells_nothing_of_what_was_erased(
    repositories: Repositories, profile_id: str
) -> None:
    made = await opt_in(repositories, profile_id)
    await repositories.readings.record(profile_id, [noise(1)], NOW, key())
    assert await repositories.variables.remove(made, expected_etag=made.etag)
    await repositories.variables.erase(made.id)
    await opt_in(repositories, profile_id)
    with pytest.raises(VariableNotOptedIn):
        await repositories.readings.record(profile_id, [noise(1)], NOW, key())


async def test_replay_after_the_expiry_is_refused_as_expired(repositories: Repositories, profile_id: str) -> None:
    await opt_in(repositories, profile_id, retention=HOUR)
    await repositories.readings.record(profile_id, [noise(1)], NOW, key())
    with pytest.raises(ExpiredReading):
        await repositories.readings.record(profile_id, [noise(1)], NOW + HOUR, key())


async def test_removed_variable_is_erased_until_it_is_done(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id)
    await repositories.readings.record(profile_id, [noise(1)], NOW, None)
    assert not await repositories.variables.remove(made, expected_etag="stale")
    assert await repositories.variables.remove(made, expected_etag=made.etag)
    assert not await repositories.variables.remove(made, expected_etag=made.etag)
    erasure = Erasure(made.id, profile_id, made.kind)
    assert await repositories.variables.erasing(profile_id, made.id) == erasure
    assert not await repositories.variables.erasing(str(uuid4()), made.id)
    assert await repositories.variables.unfinished_erasures(10) == [made.id]
    assert await repositories.variables.unfinished_copies(10) == []
    with pytest.raises(VariableNotOptedIn):
        await repositories.readings.record(profile_id, [noise(2)], NOW, None)
    assert await repositories.variables.erase(made.id) == 1
    assert await repositories.variables.unfinished_erasures(10) == []
    assert await repositories.variables.unfinished_copies(10) == [erasure]
    await repositories.variables.finish(made.id)
    assert await repositories.variables.unfinished_copies(10) == []
    assert not await repositories.variables.erasing(profile_id, made.id)
    assert await repositories.readings.page(made, Span(), NOW, None, 10) == []


async def test_readings_page_newest_first_by_time_range_without_gaps(
    repositories: Repositories, profile_id: str
) -> None:
    made = await opt_in(repositories, profile_id)
    drafts = [noise(n, n // 3 * MINUTE, f"s{n}") for n in range(12)]
    recorded = await repositories.readings.record(profile_id, drafts, NOW, None)
    span = Span(NOW - 2 * MINUTE, NOW)
    wanted = [r for r in recorded.readings if NOW - 2 * MINUTE <= r.observe_time < NOW]
    seen: list[str] = []
    after = None
    while page := await repositories.readings.page(made, span, NOW, after, 2):
        seen += [found.id for found in page]
        after = (page[-1].observe_time, page[-1].id)
    assert seen == [r.id for r in sorted(wanted, key=lambda r: (r.observe_time, r.id), reverse=True)]
    assert len(seen) == 6


async def test_shorter_retention_hides_at_once_what_it_ends(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id)
    await repositories.readings.record(profile_id, [noise(1, 2 * HOUR), noise(2, 3 * HOUR)], NOW, None)
    shorter = replace(made, retention=HOUR, etag=new_etag(), generation=1)
    assert await repositories.variables.replace(shorter, expected_etag=made.etag)
    assert not await repositories.variables.replace(shorter, expected_etag=made.etag)
    assert await stored_values(repositories, made) == []
    assert await latest_value(repositories, made) is None


async def test_longer_retention_keeps_longer_but_revives_nothing(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id, retention=2 * HOUR)
    await repositories.readings.record(profile_id, [noise(1, HOUR), noise(2, MINUTE)], NOW, None)
    longer = replace(made, retention=24 * HOUR, etag=new_etag(), generation=1, update_time=NOW + HOUR)
    assert await repositories.variables.replace(longer, expected_etag=made.etag)
    await repositories.variables.rewrite(longer)
    current = await repositories.variables.get(profile_id, made.id)
    assert current is not None
    later = NOW + 20 * HOUR
    [kept] = await repositories.readings.page(current, Span(), later, None, 10)
    assert (kept.value, kept.expire_time) == (2, NOW - MINUTE + 24 * HOUR)
    assert current.latest_at(later) == kept
    assert await repositories.variables.unfinished_rewrites(10) == []


async def test_expired_latest_is_forgotten(repositories: Repositories, profile_id: str) -> None:
    made = await opt_in(repositories, profile_id, retention=HOUR)
    await repositories.readings.record(profile_id, [noise(1)], NOW, None)
    await repositories.variables.forget_expired(NOW + HOUR - MINUTE)
    assert await latest_value(repositories, made) == 1
    await repositories.variables.forget_expired(NOW + HOUR)
    current = await repositories.variables.get(profile_id, made.id)
    assert current is not None
    assert current.latest is None
    recorded = await repositories.readings.record(profile_id, [noise(2, -HOUR)], NOW + HOUR, None)
    assert recorded.new == 1
    assert await latest_value(repositories, made, NOW + HOUR) == 2
