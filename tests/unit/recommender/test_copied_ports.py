"""What copies of each kind do besides being copies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from rhythmiq_mesh.copies import Copies
from rhythmiq_recommender.copied_ports import CopiedHistories, CopiedLeanings, CopiedListeners, CopiedReadings
from rhythmiq_recommender.learning.history import EMPTY, Deed, History, history_of
from rhythmiq_recommender.situation import Leaning, LeaningType, Listener, Reading

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Others:
    """Every port at once; `asked` counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.absent = False
        self.found: Sequence[Reading] = ()
        self.past = EMPTY
        self.likes = 1

    async def listener(self, profile_id: str) -> Listener | None:
        self.asked += 1
        return None if self.absent else Listener("UTC")

    async def readings(self, profile_id: str) -> Sequence[Reading]:
        self.asked += 1
        return self.found

    async def leanings(self, profile_id: str) -> Sequence[Leaning]:
        self.asked += 1
        return [Leaning(f"{profile_id}/{n}", LeaningType.GENRE, str(n), 0.5) for n in range(self.likes)]

    async def history(self, profile_id: str) -> History:
        self.asked += 1
        return self.past

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def others() -> Others:
    return Others()


async def test_that_there_is_no_profile_is_asked_every_time(others: Others) -> None:
    listeners = CopiedListeners(others, most=10)
    listeners.copies.begin()
    others.absent = True
    assert [await listeners.listener("a") for _ in range(2)] == [None, None]
    others.absent = False
    assert [await listeners.listener("a") for _ in range(2)] == [Listener("UTC")] * 2
    assert others.asked == 3


async def test_readings_are_told_as_they_came_where_nobody_vouches(others: Others) -> None:
    readings = CopiedReadings(others, most=10)
    others.found = [Reading("ambient_noise", 50.0, age=3.0, lasts=60.0)]
    assert await readings.readings("a") is others.found


async def test_a_reading_that_is_about_to_expire_takes_its_copy_with_it(others: Others) -> None:
    readings = CopiedReadings(others, most=10)
    readings.copies.begin()
    others.found = [Reading("ambient_noise", 50.0, age=3.0, lasts=60.0), Reading("speed", 1.0, age=9.0, lasts=0.0)]
    for _ in range(2):
        await readings.readings("a")
    assert others.asked == 2
    assert len(readings.copies) == 0


async def test_a_copied_reading_is_the_older_the_later_it_is_looked_at(others: Others) -> None:
    readings, now = CopiedReadings(others, most=10), 0.0
    readings.copies = Copies(others.readings, most=10, clock=lambda: now)
    readings.copies.begin()
    others.found = [Reading("ambient_noise", 50.0, age=3.0)]
    await readings.readings("a")
    now = 2.5
    assert await readings.readings("a") == [Reading("ambient_noise", 50.0, age=5.5)]
    assert others.asked == 1


@pytest.mark.parametrize(("left", "kept"), [(timedelta(seconds=60), True), (timedelta(seconds=-1), False)])
async def test_a_history_is_no_copy_once_its_oldest_event_is_past_its_retention(
    others: Others, left: timedelta, kept: bool
) -> None:
    retention = timedelta(days=30)
    oldest = NOW - retention + left
    others.past = history_of([Deed(b"1" * 16, "LIKE", time.timestamp(), {}) for time in (oldest, NOW)])
    histories = CopiedHistories(others, most=10, retention=retention, clock=others)
    histories.copies.begin()
    for _ in range(2):
        await histories.history("a")
    assert others.asked == (1 if kept else 2)


async def test_listeners_who_like_many_things_do_not_take_more_memory_than_they_may(others: Others) -> None:
    leanings = CopiedLeanings(others, most=20)
    leanings.copies.begin()
    for likes, kept in ((1, 50), (100, 2)):
        others.likes = likes
        for number in range(50):
            await leanings.leanings(f"{likes}-{number}")
        assert len(leanings.copies) == kept
