"""The worker loses nothing, whenever it ends, and does not let one listener's trouble hold up the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from eventually import eventually
from leanings_in_memory import Crash, InMemoryLease, Storage
from planted_leanings import NOW, catalogue, heard, history, of_genre

from rhythmiq_mesh.errors import InvalidArgument, Unavailable
from rhythmiq_recommender.leanings.ports import Bookmark, Outcome
from rhythmiq_recommender.leanings.shelf import shelf_of
from rhythmiq_recommender.leanings.use_cases import DeriveDue, FollowRecordings, Worker
from rhythmiq_recommender.learning.history import EMPTY

JAZZ, FOLK = history(heard(of_genre("jazz"))), history(heard(of_genre("folk")))
SHELF = shelf_of(catalogue())
DAY = timedelta(days=1)
START = datetime.fromtimestamp(NOW, UTC)


@dataclass
class Clock:
    """Stands still unless moved."""

    time: datetime = START

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def storage() -> Storage:
    return Storage(SHELF)


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


def works(storage: Storage, clock: Clock) -> tuple[FollowRecordings, DeriveDue]:
    none = timedelta(0)
    return (
        FollowRecordings(storage, storage, storage, storage, clock, none, pause=no_pause),
        DeriveDue(storage, storage, storage, clock, none, DAY, pause=no_pause),
    )


@contextlib.asynccontextmanager
async def running(storage: Storage, clock: Clock | None = None) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(work()) for work in works(storage, clock or Clock())]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def names(storage: Storage, profile_id: str) -> set[str]:
    return {each.value.name for each in storage.preferences.get(profile_id, ())}


def learned(storage: Storage, profile_id: str, *wanted: str) -> Callable[[], bool]:
    return lambda: names(storage, profile_id) == set(wanted)


async def crashed_at(storage: Storage, step: int, *, after: bool) -> bool:
    """Runs a worker until it crashes at that step, or has nothing left to do."""
    storage.crash_at, storage.steps = (step, after), 0

    def over() -> bool:
        return storage.crash_at is None or storage.steps > step

    async with running(storage) as tasks:
        await eventually(lambda: over() or any(task.done() for task in tasks))
    return storage.crash_at is None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 31))
async def test_first_run_that_dies_at_any_step_loses_no_profile(storage: Storage, step: int, after: bool) -> None:
    for number in range(5):
        storage.record(f"p{number}", JAZZ)
    assert await crashed_at(storage, step, after=after)
    async with running(storage):
        for number in range(5):
            await eventually(learned(storage, f"p{number}", "Jazz"))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(1, 25))
async def test_worker_that_dies_at_any_step_of_following_loses_no_recording(
    storage: Storage, step: int, after: bool
) -> None:
    async with running(storage):
        storage.record("a", JAZZ)
        await eventually(learned(storage, "a", "Jazz"))
        await eventually(lambda: storage.saved == Bookmark(len(storage.log)))
    for profile in ("a", "b", "c"):
        storage.record(profile, FOLK)
    assert await crashed_at(storage, step, after=after)
    async with running(storage):
        for profile in ("a", "b", "c"):
            await eventually(learned(storage, profile, "Folk"), seconds=5)


async def test_lost_history_makes_every_profile_due_from_where_the_scan_stopped(storage: Storage) -> None:
    async with running(storage):
        storage.record("a", JAZZ)
        await eventually(learned(storage, "a", "Jazz"))
    for number in range(5):
        storage.record(f"b{number}", FOLK)
    storage.first = len(storage.log)
    async with running(storage):
        for number in range(5):
            await eventually(learned(storage, f"b{number}", "Folk"))
        await eventually(lambda: storage.saved == Bookmark(len(storage.log)))
    storage.saved = Bookmark(len(storage.log), scanned="b3")
    storage.writes.clear()
    async with running(storage):
        await eventually(lambda: storage.saved == Bookmark(len(storage.log)))
        await eventually(lambda: bool(storage.writes))
    assert set(storage.writes) == {"b4"}


async def test_recorded_while_it_was_derived_is_derived_again(storage: Storage) -> None:
    def meanwhile(profile_id: str) -> None:
        storage.on_write = None
        storage.histories[profile_id] = FOLK
        due, revision = storage.tasks[profile_id]
        storage.tasks[profile_id] = (due, revision + 1)

    storage.on_write = meanwhile
    storage.record("a", JAZZ)
    async with running(storage):
        await eventually(learned(storage, "a", "Folk"))


async def test_leanings_are_derived_again_after_a_day_and_fade(storage: Storage) -> None:
    clock = Clock()
    storage.record("a", JAZZ)
    async with running(storage, clock):
        await eventually(learned(storage, "a", "Jazz"))
        fresh = storage.preferences["a"][0]
        clock.time += DAY * 90
        await eventually(lambda: storage.preferences["a"][0].confidence < fresh.confidence)
        clock.time += DAY * 700
        await eventually(learned(storage, "a"))
    assert storage.tasks["a"][0] == clock.time + DAY


async def test_profile_without_interactions_is_emptied_and_forgotten(storage: Storage) -> None:
    storage.record("a", JAZZ)
    async with running(storage):
        await eventually(learned(storage, "a", "Jazz"))
        storage.record("a", EMPTY)
        await eventually(lambda: "a" not in storage.tasks)
    assert names(storage, "a") == set()


async def test_profile_that_is_gone_is_forgotten_and_one_that_is_being_deleted_is_tried_again(storage: Storage) -> None:
    storage.outcomes = {"gone": Outcome(exists=False, written=False), "going": Outcome(exists=True, written=False)}
    clock = Clock()
    storage.record("gone", JAZZ)
    storage.record("going", JAZZ)
    async with running(storage, clock):
        await eventually(lambda: "gone" not in storage.tasks and storage.writes.count("going") == 1)
        await eventually(lambda: storage.tasks["going"][0] > clock.time)
        storage.outcomes.clear()
        clock.time += timedelta(minutes=2)
        await eventually(learned(storage, "going", "Jazz"))


async def test_one_refused_profile_does_not_hold_up_the_others(storage: Storage) -> None:
    storage.outcomes["a"] = InvalidArgument.of("value", "is refused")
    for profile in "abc":
        storage.record(profile, JAZZ)
    clock = Clock()
    async with running(storage, clock):
        await eventually(learned(storage, "b", "Jazz"))
        await eventually(learned(storage, "c", "Jazz"))
        await eventually(lambda: storage.tasks["a"][0] > clock.time)
    assert names(storage, "a") == set()


async def test_profile_that_fails_unexpectedly_is_put_off_further_each_time_and_the_others_have_their_turn(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    # The first that is due, whenever anything is.
    storage.broken["a"] = KeyError("a type of interaction that this version does not know")
    for profile in "abc":
        storage.record(profile, JAZZ)
    clock, waits = Clock(), []
    async with running(storage, clock) as tasks:
        await eventually(learned(storage, "b", "Jazz"))
        await eventually(learned(storage, "c", "Jazz"))
        for failures in range(1, 15):
            await eventually(lambda times=failures: storage.read.count("a") == times)  # type: ignore[misc]
            await eventually(lambda: storage.tasks["a"][0] > clock.time)
            waits.append(storage.tasks["a"][0] - clock.time)
            clock.time = storage.tasks["a"][0]
        assert not any(task.done() for task in tasks)
        assert waits[:4] == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8)]
        assert timedelta(hours=8) < waits[-1] == waits[-2] < DAY
        assert "a type of interaction" in caplog.text

        storage.broken.clear()
        await eventually(learned(storage, "a", "Jazz"))
        await eventually(lambda: storage.tasks["a"][0] == clock.time + DAY)
        storage.broken["a"] = KeyError("again")
        clock.time += DAY
        await eventually(lambda: storage.tasks["a"][0] == clock.time + timedelta(minutes=1))


async def test_what_is_recorded_of_a_profile_that_was_put_off_is_tried_at_once(storage: Storage) -> None:
    storage.broken["a"] = ValueError("this history")
    storage.record("a", JAZZ)
    clock = Clock()
    async with running(storage, clock):
        await eventually(lambda: "a" in storage.tasks and storage.tasks["a"][0] > clock.time)
        storage.broken.clear()
        storage.record("a", FOLK)
        await eventually(learned(storage, "a", "Folk"))


async def test_what_is_away_is_waited_for_and_nothing_is_lost(storage: Storage) -> None:
    storage.outcomes["a"] = Unavailable("away")
    storage.record("a", JAZZ)
    worker = Worker(InMemoryLease(), works(storage, Clock()), pause=no_pause)
    task = asyncio.create_task(worker())
    try:
        await eventually(lambda: storage.writes.count("a") > 2)
        storage.outcomes.clear()
        await eventually(learned(storage, "a", "Jazz"))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not worker.active


@pytest.mark.parametrize("lost", [False, Unavailable("away")])
async def test_worker_stops_when_its_lease_is_gone_and_goes_on_when_it_has_it_again(
    storage: Storage, lost: bool | Unavailable
) -> None:
    lease = InMemoryLease()
    lease.mine = lost
    worker = Worker(lease, works(storage, Clock()))
    task = asyncio.create_task(worker())
    try:
        lease.mine = True
        await eventually(lambda: worker.active)
        lease.mine = lost
        await eventually(lambda: not worker.active)
        storage.record("a", JAZZ)
        steps = storage.steps
        lease.mine = True
        await eventually(learned(storage, "a", "Jazz"))
        assert storage.steps > steps
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_crash_in_a_test_is_nothing_that_the_worker_could_catch() -> None:
    assert not issubclass(Crash, Exception)
