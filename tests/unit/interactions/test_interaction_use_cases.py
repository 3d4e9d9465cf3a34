from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import small_catalogue
from hypothesis import given
from hypothesis import strategies as st
from interactions_in_memory import InMemoryInteractions

from rhythmiq_mesh.errors import Aborted, FailedPrecondition, InvalidArgument, MeshError, NotFound, Unavailable
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_recommender.interactions.catalog import CatalogItems
from rhythmiq_recommender.interactions.model import (
    NAMESPACE,
    Draft,
    Interaction,
    Recorded,
    Shared,
    Tally,
    Type,
    UnknownItem,
    interaction_id,
)
from rhythmiq_recommender.interactions.use_cases import KNOWN_FOR, Recorder, RecordInteractions, RecordStream
from rhythmiq_recommender.snapshot import CatalogSnapshot

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROFILE = "7d3c7e0a-0000-5000-8000-000000000001"
RETENTION = timedelta(days=400)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class BusyInteractions(InMemoryInteractions):
    """Something ends the epoch before every recording."""

    async def record(self, epoch: str, interactions: Sequence[Interaction], key: Any, now: datetime) -> Recorded | None:
        return await super().record("ended", interactions, key, now)


@dataclass
class World:
    """The service without its network and its database: a profile, what it shares, and a catalogue."""

    interactions: InMemoryInteractions = field(default_factory=InMemoryInteractions)
    time: datetime = NOW
    profile: ProfileState | MeshError = ProfileState.ACTIVE
    kinds: frozenset[str] | MeshError = frozenset()
    values: dict[str, Any] = field(default_factory=dict)
    missing_items: frozenset[str] = frozenset()
    asked: int = 0

    def now(self) -> datetime:
        return self.time

    async def state(self, profile_id: str) -> ProfileState:
        self.asked += 1
        if isinstance(self.profile, MeshError):
            raise self.profile
        return self.profile

    async def shared(self, profile_id: str, now: datetime) -> Shared:
        if isinstance(self.kinds, MeshError):
            raise self.kinds
        return Shared(self.kinds, {k: v for k, v in self.values.items() if k in self.kinds}, now)

    async def unknown(self, item_ids: Sequence[str]) -> set[str]:
        return set(item_ids) & self.missing_items

    @property
    def recorder(self) -> Recorder:
        return Recorder(self.interactions, self, self, self, RETENTION)

    async def record(self, *drafts: Draft) -> Recorded:
        return await RecordInteractions(self.recorder, self)(PROFILE, drafts, None, batch=True)

    async def stream(self, *messages: Sequence[Draft] | timedelta | Exception) -> Tally:
        """A timedelta lets time pass, an exception breaks the stream."""

        async def arriving() -> AsyncIterator[Sequence[Draft]]:
            for message in messages:
                if isinstance(message, Exception):
                    raise message
                if isinstance(message, timedelta):
                    self.time += message
                else:
                    yield message

        return await RecordStream(self.recorder, self)(PROFILE, arriving())


def play(number: int = 0, ago: timedelta = timedelta(0), **fields: Any) -> Draft:
    return Draft(f"item-{number}", Type.PLAY, NOW - ago - number * SECOND, "phone", **fields)


@given(item=st.uuids(), time=st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_id_is_the_uuid_of_what_makes_an_event_the_same(item: uuid.UUID, time: datetime) -> None:
    time = time.replace(tzinfo=UTC, microsecond=time.microsecond // 1000 * 1000)
    draft = Draft(str(item), Type.SKIP, time, "phone", position=1)
    milliseconds = (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    expected = str(uuid.uuid5(NAMESPACE, f"{PROFILE} {item} SKIP {milliseconds} phone"))
    assert interaction_id(PROFILE, draft) == expected
    assert interaction_id(PROFILE, draft._replace(position=2)) == expected
    assert interaction_id(PROFILE, draft._replace(type=Type.PLAY)) != expected


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (ProfileState.ABSENT, NotFound),
        (ProfileState.DELETING, FailedPrecondition),
        (Unavailable("away"), Unavailable),
    ],
)
async def test_nothing_is_stored_without_an_active_profile(
    state: ProfileState | MeshError, error: type[MeshError]
) -> None:
    world = World(profile=state)
    with pytest.raises(error):
        await world.record(play())
    with pytest.raises(error):
        await world.stream([play()])
    assert world.interactions.interactions == {}


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(minutes=5, milliseconds=1)])
async def test_event_may_be_five_minutes_ahead(ahead: timedelta) -> None:
    world = World()
    if ahead == timedelta(minutes=5):
        assert (await world.record(play(0, -ahead))).new == 1
    else:
        with pytest.raises(InvalidArgument, match=r"interactions\[0\].event_time"):
            await world.record(play(0, -ahead))


async def test_event_as_old_as_the_retention_is_refused_saying_how_long_that_is() -> None:
    world = World()
    assert (await world.record(play(0, RETENTION - SECOND))).new == 1
    with pytest.raises(InvalidArgument, match="400 days"):
        await world.record(play(0, RETENTION))


async def test_first_bad_one_is_named_whatever_is_wrong_with_it() -> None:
    world = World(missing_items=frozenset({"item-7"}))
    future, unknown = play(0, -10 * MINUTE), play(7)
    with pytest.raises(UnknownItem, match=r"interactions\[1\].item"):
        await world.record(play(), unknown, future)
    with pytest.raises(InvalidArgument, match=r"interactions\[1\].event_time"):
        await world.record(play(), future, unknown)
    with pytest.raises(UnknownItem, match=r"^interaction.item"):
        await RecordInteractions(world.recorder, world)(PROFILE, [unknown], None, batch=False)
    assert world.interactions.interactions == {}


async def test_broken_stream_keeps_what_came_before() -> None:
    world = World(missing_items=frozenset({"item-7"}))
    with pytest.raises(ConnectionError):
        await world.stream([play(0)], [play(1), play(2)], ConnectionError())
    assert len(world.interactions.interactions) == 3
    with pytest.raises(UnknownItem) as caught:
        await world.stream([play(3)], [play(4), play(7), play(5)])
    assert caught.value.message.endswith("(message 2 of the stream)")
    assert len(world.interactions.interactions) == 5
    assert await world.stream([play(5)], [play(4), play(4)]) == Tally(new=1, duplicates=2)


async def test_stream_asks_of_its_listener_as_seldom_as_it_may() -> None:
    world = World()
    await world.stream(*([play(number)] for number in range(50)))
    assert world.asked == 1
    await world.stream([play(60)], KNOWN_FOR + SECOND, [play(61)], [play(62)])
    assert world.asked == 3


async def test_stream_keeps_a_kind_from_the_opt_in_on_and_never_after_the_opt_out() -> None:
    world, told = World(kinds=frozenset({"activity"})), {"activity": "running", "speed": 3.0}
    kept: list[set[str]] = []

    async def arriving() -> AsyncIterator[Sequence[Draft]]:
        for number in range(4):
            if number == 1:
                world.kinds = frozenset({"activity", "speed"})
                world.time += KNOWN_FOR + SECOND
            if number == 2:
                world.kinds = frozenset({"speed"})
                await world.interactions.scrub(PROFILE, "activity")
            yield [play(number, environment=told)]
            kept.append(set(world.interactions.interactions[interaction_id(PROFILE, play(number))].environment))

    await RecordStream(world.recorder, world)(PROFILE, arriving())
    assert kept == [{"activity"}, {"activity", "speed"}, {"speed"}, {"speed"}]
    left = [set(each.environment) for each in world.interactions.interactions.values()]
    assert left == [set(), {"speed"}, {"speed"}, {"speed"}]


async def test_present_surroundings_are_those_of_events_up_to_five_minutes_old() -> None:
    world = World(kinds=frozenset({"ambient_noise", "local_time"}), values={"ambient_noise": 70.0, "local_time": 0.05})
    recorded = await world.record(play(0, 5 * MINUTE), play(1, 5 * MINUTE), play(2, 5 * MINUTE, environment={}))
    environments = [each.environment for each in recorded.interactions]
    assert environments[0] == {"ambient_noise": 70.0, "local_time": pytest.approx(0.05 - 5 / 60 + 24)}
    assert environments[1:] == [{}, {}]


async def test_where_it_cannot_be_told_what_is_shared_nothing_is_kept_of_it() -> None:
    world = World(kinds=Unavailable("away"), values={"ambient_noise": 70.0})
    recorded = await world.record(play(0, environment={"activity": "running"}), play(1))
    assert recorded.new == 2
    assert [each.environment for each in recorded.interactions] == [{}, {}]


async def test_recording_that_always_loses_the_race_is_aborted() -> None:
    world = World(interactions=BusyInteractions())
    with pytest.raises(Aborted):
        await world.record(play())


@dataclass
class Held:
    """A catalogue in memory, and what storage knows beyond it."""

    snapshot: CatalogSnapshot
    stored: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    async def present(self, item_ids: Sequence[str]) -> set[str]:
        self.asked += item_ids
        return set(item_ids) & self.stored


async def test_items_are_looked_up_in_memory_first_and_then_in_storage() -> None:
    snapshot = small_catalogue.snapshot()
    known = [item.uid for item in small_catalogue.items()]
    fresh, unknown = str(uuid.uuid4()), str(uuid.uuid4())
    held = Held(snapshot, frozenset({fresh}))
    assert await CatalogItems(held, held).unknown(known * 2) == set()
    assert held.asked == []
    edges = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    assert await CatalogItems(held, held).unknown([known[0], fresh, unknown, unknown, *edges]) == {unknown, *edges}
    assert held.asked == [fresh, unknown, *edges]
    empty = Held(CatalogSnapshot.empty(), frozenset({fresh}))
    assert await CatalogItems(empty, empty).unknown([fresh, known[0]]) == {known[0]}
