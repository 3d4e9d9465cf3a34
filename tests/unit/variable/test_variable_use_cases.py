from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from variables_in_memory import InMemoryReadings, InMemoryVariables

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.errors import (
    Aborted,
    EtagMismatch,
    InvalidArgument,
    NotFound,
)
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_variable.model import (
    DEFAULT_RETENTION,
    Draft,
    Erased,
    Kind,
    Receipt,
    Span,
    ValueType,
    Variable,
    VariableNotOptedIn,
)
from rhythmiq_variable.recording import RecordReadings, RecordStream
from rhythmiq_variable.use_cases import (
    CopiesUpkeep,
    CreateVariable,
    DeleteVariable,
    GetEnvironment,
    ListReadings,
    UpdateVariable,
    Upkeep,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROFILE = "7d3c7e0a-0000-5000-8000-000000000001"
HOUR = timedelta(hours=1)


@dataclass
class StillClock:
    time: datetime = NOW

    def now(self) -> datetime:
        return self.time


class ActiveProfiles:
    async def state(self, profile_id: str) -> ProfileState:
        return ProfileState.ACTIVE


@dataclass
class OtherServices:
    """Where copies of readings are kept, which may be away."""

    away: bool = False
    copies: Counter[Kind] = field(default_factory=Counter)

    async def erase(self, profile_id: str, kind: Kind) -> tuple[list[Erased], bool]:
        if self.away:
            return [], False
        return [Erased(f"copies:{kind.value.lower()}", self.copies.pop(kind, 0))], True


@dataclass
class World:
    """The service without its network and its database."""

    store: InMemoryVariables = field(default_factory=InMemoryVariables)
    clock: StillClock = field(default_factory=StillClock)
    others: OtherServices = field(default_factory=OtherServices)

    def __post_init__(self) -> None:
        self.readings = InMemoryReadings(self.store)
        self.update = UpdateVariable(self.store, self.clock)
        self.delete = DeleteVariable(self.store, self.others, self.clock)
        self.record = RecordReadings(self.readings, self.clock)
        self.stream = RecordStream(self.readings, self.clock)
        self.environment = GetEnvironment(self.store, self.clock)
        self.copies_upkeep = CopiesUpkeep(self.store, self.others, 1)
        self.upkeep = Upkeep(self.store, self.clock, 1)

    async def opt_in(self, kind: Kind = Kind.AMBIENT_NOISE, retention: timedelta = DEFAULT_RETENTION) -> Variable:
        create = CreateVariable(self.store, Guard(self.store, ActiveProfiles()), self.clock)
        return await create(PROFILE, kind, "v1", retention, None)


def noise(value: float, ago: timedelta = timedelta(0), source: str = "phone") -> Draft:
    return Draft("reading", Kind.AMBIENT_NOISE, ValueType.NUMBER, value, NOW - ago, source)


def activity(value: str) -> Draft:
    return Draft("reading", Kind.ACTIVITY, ValueType.ACTIVITY, value, NOW, "phone")


async def one_by_one(drafts: Sequence[Draft | Exception]) -> AsyncIterator[Draft]:
    for draft in drafts:
        if isinstance(draft, Exception):
            raise draft
        yield draft


async def test_taken_back_variable_takes_its_readings_and_their_copies_with_it() -> None:
    world = World()
    variable = await world.opt_in()
    await world.record(PROFILE, [noise(1)])
    world.others.copies[Kind.AMBIENT_NOISE] = 1
    assert await world.store.take_back(PROFILE, [variable.id])
    assert (world.store.stored, world.store.readings) == ({}, {})
    await world.copies_upkeep.once()
    assert (world.others.copies, world.store.erasures) == ({}, {})


async def test_delete_repeated_after_an_interruption_finishes_the_erasure() -> None:
    world = World()
    variable = await world.opt_in()
    await world.record(PROFILE, [noise(1)])
    await world.store.remove(variable, expected_etag=variable.etag)
    assert world.store.readings
    await world.delete(PROFILE, variable.id, "")
    assert not world.store.readings
    with pytest.raises(NotFound):
        await world.delete(PROFILE, variable.id, "")


async def test_receipt_counts_readings_and_copies() -> None:
    world = World()
    variable = await world.opt_in()
    await world.record(PROFILE, [noise(1), noise(2, HOUR)])
    world.others.copies[Kind.AMBIENT_NOISE] = 7
    receipt = await world.delete(PROFILE, variable.id, "")
    assert receipt == Receipt([Erased("readings", 2), Erased("copies:ambient_noise", 7)], [], NOW)
    assert world.store.erasures == {}


async def test_opt_out_reaches_a_service_that_was_away_without_being_asked_again() -> None:
    world = World()
    world.others.away = True
    world.others.copies.update({Kind.AMBIENT_NOISE: 7, Kind.ACTIVITY: 1})
    variables = [await world.opt_in(), await world.opt_in(Kind.ACTIVITY)]
    receipts = [await world.delete(PROFILE, variable.id, "") for variable in variables]
    assert [receipt.pending for receipt in receipts] == [["copies:ambient_noise"], ["copies:activity"]]
    await world.copies_upkeep.once()
    assert len(world.store.erasures) == 2
    world.others.away = False
    await world.copies_upkeep.once()
    assert (world.others.copies, world.store.erasures) == ({}, {})


async def test_upkeep_finishes_an_interrupted_erasure() -> None:
    world = World()
    variable = await world.opt_in()
    await world.record(PROFILE, [noise(1)])
    await world.store.remove(variable, expected_etag=variable.etag)
    await world.upkeep.once()
    await world.copies_upkeep.once()
    assert (world.store.readings, world.store.erasures) == ({}, {})


class BusyVariables(InMemoryVariables):
    """Someone else always changes the variable first."""

    async def replace(self, variable: Variable, *, expected_etag: str) -> bool:
        return False

    async def remove(self, variable: Variable, *, expected_etag: str) -> bool:
        return False


async def test_change_that_always_loses_the_race_is_aborted() -> None:
    world = World()
    variable = await world.opt_in()
    busy = BusyVariables()
    busy.stored = world.store.stored
    with pytest.raises(Aborted):
        await UpdateVariable(busy, world.clock)(PROFILE, variable.id, "", lambda v: v)
    with pytest.raises(Aborted):
        await DeleteVariable(busy, world.others, world.clock)(PROFILE, variable.id, "")


async def test_stale_etag_is_refused() -> None:
    world = World()
    variable = await world.opt_in()
    with pytest.raises(EtagMismatch):
        await world.update(PROFILE, variable.id, "stale", lambda v: v)
    with pytest.raises(EtagMismatch):
        await world.delete(PROFILE, variable.id, "stale")


async def test_environment_has_the_latest_in_the_order_of_kinds_and_names_what_is_missing() -> None:
    world = World()
    for kind in (Kind.COMPANY, Kind.ACTIVITY, Kind.AMBIENT_NOISE, Kind.SPEED):
        await world.opt_in(kind)
    await world.record(PROFILE, [activity("WALKING"), noise(70, HOUR), noise(60)])
    environment = await world.environment(PROFILE)
    assert [reading.value for reading in environment.readings] == [60, "WALKING"]
    assert environment.missing == [Kind.SPEED, Kind.COMPANY]


async def test_environment_never_has_an_expired_reading() -> None:
    world = World()
    variable = await world.opt_in(retention=2 * HOUR)
    await world.record(PROFILE, [noise(60)])
    world.clock.time = NOW + 2 * HOUR
    environment = await world.environment(PROFILE)
    assert (environment.readings, environment.missing) == ([], [Kind.AMBIENT_NOISE])
    world.clock.time = NOW + HOUR
    await world.update(PROFILE, variable.id, "", lambda v: replace(v, retention=HOUR))
    assert (await world.environment(PROFILE)).readings == []
    await world.update(PROFILE, variable.id, "", lambda v: replace(v, retention=9 * HOUR))
    assert (await world.environment(PROFILE)).readings == []


async def test_stream_counts_new_duplicate_and_late() -> None:
    world = World()
    await world.opt_in()
    drafts = [noise(1, HOUR), noise(2), noise(3, HOUR), noise(4, 2 * HOUR)]
    tally = await world.stream(PROFILE, one_by_one(drafts))
    assert (tally.new, tally.duplicates, tally.late) == (3, 1, 1)


async def test_empty_stream_records_nothing() -> None:
    tally = await World().stream(PROFILE, one_by_one([]))
    assert (tally.new, tally.duplicates, tally.late) == (0, 0, 0)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (noise(141, source="x"), "reading.number"),
        (noise(1, timedelta(days=31)), "reading.observe_time"),
        (noise(1, -HOUR), "reading.observe_time"),
        (InvalidArgument.of("reading.source", "is bad"), "reading.source"),
    ],
)
async def test_stream_stops_at_the_first_bad_reading_keeps_those_before_and_says_which(
    bad: Draft | Exception, field: str
) -> None:
    world = World()
    await world.opt_in()
    good = [noise(n, n * timedelta(minutes=1)) for n in range(5)]
    with pytest.raises(InvalidArgument) as caught:
        await world.stream(PROFILE, one_by_one([*good, bad, noise(9, 9 * HOUR)]))
    assert caught.value.violations[0].field == field
    assert "reading 6 of the stream" in caught.value.violations[0].rule
    assert sorted(str(reading.value) for reading in world.store.readings.values()) == list("01234")


async def test_stream_stops_at_a_kind_without_opt_in() -> None:
    world = World()
    await world.opt_in()
    with pytest.raises(VariableNotOptedIn) as caught:
        await world.stream(PROFILE, one_by_one([noise(1), activity("WALKING"), noise(2, HOUR)]))
    assert "reading 2 of the stream" in caught.value.message
    assert len(world.store.readings) == 1


async def test_list_readings_of_an_unknown_variable_is_not_found() -> None:
    world = World()
    with pytest.raises(NotFound):
        await ListReadings(world.store, world.readings, world.clock)(PROFILE, "x", Span(), None, 10)


# One value for each time and source: what is sent again is the same reading.
readings = st.builds(
    lambda minutes, source: noise(minutes + len(source), timedelta(minutes=minutes), source),
    st.integers(0, 5),
    st.sampled_from(["a", "bb", "ccc"]),
)
sent = st.lists(readings, min_size=1, max_size=20)


@given(sent.flatmap(lambda drafts: st.tuples(st.just(drafts), st.permutations(drafts), st.integers(1, 20))))
async def test_latest_and_stored_set_are_the_same_for_every_order_and_every_split(
    example: tuple[list[Draft], list[Draft], int],
) -> None:
    drafts, shuffled, size = example
    outcomes = []
    for order, step in ((drafts, len(drafts)), (shuffled, size), (shuffled + drafts, size)):
        world = World()
        await world.opt_in()
        for start in range(0, len(order), step):
            await world.record(PROFILE, order[start : start + step])
        [latest] = (await world.environment(PROFILE)).readings
        stored = Counter((r.observe_time, r.source, r.value) for r in world.store.readings.values())
        outcomes.append((stored, latest.observe_time, latest.source, latest.value))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert set(outcomes[0][0].values()) == {1}
