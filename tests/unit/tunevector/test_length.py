from __future__ import annotations

from datetime import timedelta
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmiq_tunevector.length import CLOSING, POOL, ByCount, ByDuration, fullest, playing_time
from rhythmiq_tunevector.model import Candidate, Item

# How long an example takes says something about the machine only.
unhurried = settings(deadline=None)
few = settings(deadline=None, max_examples=25)
durations = st.none() | st.integers(1, 600_000_000).map(lambda microseconds: timedelta(microseconds=microseconds))
SECOND = timedelta(seconds=1)


def candidate(number: int, duration: timedelta | None = None) -> Candidate:
    return Candidate(Item(f"items/{number}", f"Title {number}", ("A",), duration), score=-float(number))


def lasting(*seconds: float) -> list[Candidate]:
    return [candidate(number, timedelta(seconds=each)) for number, each in enumerate(seconds)]


def candidates(*, max_size: int = 30) -> st.SearchStrategy[list[Candidate]]:
    return st.lists(durations, max_size=max_size).map(
        lambda parts: [candidate(number, part) for number, part in enumerate(parts)]
    )


def played(chosen: list[Candidate]) -> timedelta:
    return playing_time(one.item for one in chosen)


@unhurried
@given(candidates(), st.integers(0, 40))
def test_a_list_by_count_takes_the_best_and_says_whether_some_are_lacking(found: list[Candidate], count: int) -> None:
    demand = ByCount(count)
    assert demand.choose(found) == found[:count]
    assert demand.short(found) == (len(found) < count)
    assert demand.wanted(found) == max(0, count - len(found))


@unhurried
@given(candidates(max_size=100), st.integers(0, 3600), st.integers(0, 50))
def test_a_list_by_duration_never_exceeds_it_and_no_candidate_could_be_added(
    found: list[Candidate], seconds: int, limit: int
) -> None:
    budget = timedelta(seconds=seconds)
    demand = ByDuration(budget, limit)
    chosen = demand.choose(found)
    assert played(chosen) <= budget
    assert len(chosen) <= limit
    assert all(one.item.duration is not None for one in chosen)
    assert chosen == [one for one in found if one in chosen]
    left_out = [one for one in found if one not in chosen and one.item.duration is not None]
    if len(chosen) < limit:
        assert all(played(chosen) + (one.item.duration or timedelta()) > budget for one in left_out)
    assert demand.short(found) == (not left_out and len(chosen) < limit and played(chosen) <= budget - SECOND)


@unhurried
@given(st.lists(st.integers(0, 60), max_size=9), st.integers(0, 200), st.integers(0, 9))
def test_no_other_choice_fills_the_room_better_and_none_as_full_has_better_items(
    lengths: list[int], room: int, limit: int
) -> None:
    every = [
        choice
        for size in range(min(limit, len(lengths)) + 1)
        for choice in combinations(range(len(lengths)), size)
        if sum(lengths[index] for index in choice) <= room
    ]
    most = max(sum(lengths[index] for index in choice) for choice in every)
    chosen = fullest(lengths, room, limit)
    assert sum(lengths[index] for index in chosen) == most
    assert len(chosen) <= limit
    as_full = [choice for choice in every if sum(lengths[index] for index in choice) == most]
    assert [index in chosen for index in range(len(lengths))] == max(
        [index in choice for index in range(len(lengths))] for choice in as_full
    )


@few
@given(st.lists(st.integers(120, 360), min_size=120, max_size=120), st.integers(600, 7200))
def test_songs_fill_a_list_to_within_the_seconds_of_its_last_items(seconds: list[int], budget: int) -> None:
    chosen = ByDuration(timedelta(seconds=budget), 500).choose(lasting(*seconds))
    # Alike songs can only fill multiples of their length; those of several lengths can fill anything.
    if len(set(seconds)) >= 20:
        assert budget - played(chosen).total_seconds() <= CLOSING


@few
@given(st.lists(st.integers(120, 360), min_size=150, max_size=150))
def test_the_best_are_in_a_list_by_duration_and_only_its_last_items_are_chosen_for_their_length(
    seconds: list[int],
) -> None:
    found = lasting(*seconds)
    chosen = ByDuration(timedelta(hours=2), 500).choose(found)
    leading = next((rank for rank, one in enumerate(found) if one not in chosen), len(found))
    assert len(chosen) - leading <= CLOSING
    assert all(one in found[: leading + POOL + CLOSING] for one in chosen)


def test_a_better_item_is_left_out_only_where_the_time_is_then_filled_better() -> None:
    demand = ByDuration(timedelta(minutes=10), 500)
    found = lasting(200, 220, 210, 190, 200)
    assert demand.choose(found) == [found[0], found[2], found[3]]
    found = lasting(300, 290, 280, 300)
    assert demand.choose(found) == [found[0], found[3]]
    found = lasting(300, 290, 280, 270)
    assert demand.choose(found) == [found[0], found[1]]


def test_lengths_of_hours_are_fitted_too() -> None:
    hours = [3.9, 4.1, 2.2, 5.3, 1.7, 6.1] * 20
    chosen = ByDuration(timedelta(hours=24), 500).choose(lasting(*(3600 * each for each in hours)))
    assert played(chosen) == timedelta(hours=24)


def test_a_list_by_duration_looks_as_far_as_its_last_items_are_chosen_from_and_then_stops() -> None:
    demand = ByDuration(timedelta(minutes=10), 500)
    assert demand.wanted([]) == POOL
    assert ByDuration(timedelta(hours=1), 500).wanted([]) == 20 + POOL
    long = lasting(*[360] * (POOL - 1))
    assert demand.wanted(long) > 0
    assert demand.wanted([*long, candidate(POOL, timedelta(minutes=6))]) == 0
    assert not demand.short(long)
    assert demand.wanted(lasting(300, 300)) == 0
    assert demand.wanted([candidate(0)]) > 0
    assert ByDuration(timedelta(), 500).wanted([]) == 0
    assert ByDuration(timedelta(minutes=10), 2).wanted(lasting(*[60] * POOL)) == 0
