from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmiq_tunevector.arrangement import (
    LEVELS,
    Level,
    along_curve,
    arrange,
    energy_at,
    free_places,
    levels,
    off_curve,
)
from rhythmiq_tunevector.model import Candidate, Item, Pin, TunedItem

# How long an example takes says something about the machine only.
unhurried = settings(deadline=None)
energies = st.none() | st.floats(0, 1)
durations = st.none() | st.integers(1, 600_000_000).map(lambda microseconds: timedelta(microseconds=microseconds))
no_curve: list[float] = []
curves = st.just(no_curve) | st.lists(st.floats(0, 1), min_size=2, max_size=50)


def candidate(number: int, energy: float | None = None, duration: timedelta | None = None) -> Candidate:
    return Candidate(Item(f"items/{number}", f"Title {number}", ("A",), duration, energy), score=-float(number))


@st.composite
def candidates(draw: st.DrawFn, *, max_size: int = 30) -> list[Candidate]:
    parts = draw(st.lists(st.tuples(energies, durations), max_size=max_size))
    return [candidate(number, *part) for number, part in enumerate(parts)]


@st.composite
def pins(draw: st.DrawFn) -> list[tuple[Pin, Item]]:
    positions = draw(st.lists(st.integers(1, 40), unique=True, max_size=10))
    return [
        (Pin(f"items/pin{position}", position), Item(f"items/pin{position}", "Pinned", (), draw(durations)))
        for position in positions
    ]


def deviation(ordered: Sequence[Candidate], targets: Sequence[float]) -> float:
    pairs = zip(ordered, targets, strict=True)
    return sum(abs(one.item.energy - target) for one, target in pairs if one.item.energy is not None)


def names(items: Sequence[TunedItem]) -> list[str]:
    return [item.item for item in items]


@unhurried
@given(pins(), candidates(), curves)
def test_pins_stand_at_their_positions_and_those_beyond_the_end_come_last(
    pinned: list[tuple[Pin, Item]], chosen: list[Candidate], curve: list[float]
) -> None:
    items = arrange(pinned, chosen, curve)
    at = {item.position: item for item in items}
    for pin, _ in pinned:
        if pin.position <= len(items):
            assert at[pin.position].item == pin.item
    beyond = sorted((pin for pin, _ in pinned if pin.position > len(items)), key=lambda pin: pin.position)
    places = [next(item.position for item in items if item.item == pin.item) for pin in beyond]
    assert places == sorted(places)
    free = [item.position for item in items if not item.pinned]
    assert all(place > position for place in places for position in free)


@unhurried
@given(pins(), candidates(), curves)
def test_every_pin_and_candidate_is_there_once_and_positions_have_no_gaps(
    pinned: list[tuple[Pin, Item]], chosen: list[Candidate], curve: list[float]
) -> None:
    items = arrange(pinned, chosen, curve)
    assert [item.position for item in items] == list(range(1, len(items) + 1))
    assert sorted(names(items)) == sorted([pin.item for pin, _ in pinned] + [one.item.name for one in chosen])
    assert {item.item for item in items if item.pinned} == {pin.item for pin, _ in pinned}
    assert all((item.score is None) == item.pinned for item in items)


@unhurried
@given(pins(), candidates())
def test_without_a_curve_candidates_keep_the_recommenders_order(
    pinned: list[tuple[Pin, Item]], chosen: list[Candidate]
) -> None:
    items = arrange(pinned, chosen, [])
    assert [item.item for item in items if not item.pinned] == [one.item.name for one in chosen]


@unhurried
@given(candidates(), st.data())
def test_the_curve_is_followed_no_worse_than_by_the_unarranged_order(
    chosen: list[Candidate], data: st.DataObject
) -> None:
    targets = data.draw(st.lists(st.floats(0, 1), min_size=len(chosen), max_size=len(chosen)))
    ordered = along_curve(chosen, targets)
    assert sorted(one.item.name for one in ordered) == sorted(one.item.name for one in chosen)
    assert deviation(ordered, targets) <= deviation(chosen, targets) + 1e-9


@unhurried
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6))
def test_no_other_order_follows_the_curve_better(pairs: list[tuple[float, float]]) -> None:
    chosen = [candidate(number, energy) for number, (energy, _) in enumerate(pairs)]
    targets = [target for _, target in pairs]
    best = min(deviation(order, targets) for order in permutations(chosen))
    assert deviation(along_curve(chosen, targets), targets) <= best + 1e-9


@unhurried
@given(candidates(), st.floats(0, 1))
def test_a_flat_curve_keeps_the_recommenders_order(chosen: list[Candidate], level: float) -> None:
    assert along_curve(chosen, [level] * len(chosen)) == chosen


@unhurried
@given(candidates(), st.data())
def test_candidates_of_unknown_energy_stay_where_their_rank_puts_them(
    chosen: list[Candidate], data: st.DataObject
) -> None:
    targets = data.draw(st.lists(st.floats(0, 1), min_size=len(chosen), max_size=len(chosen)))
    ordered = along_curve(chosen, targets)
    for place, one in enumerate(chosen):
        if one.item.energy is None:
            assert ordered[place] == one


@unhurried
@given(st.lists(st.floats(0, 1), min_size=2, max_size=50), st.integers(2, 500))
def test_the_curve_begins_and_ends_with_its_own_values_and_never_leaves_their_range(
    curve: list[float], size: int
) -> None:
    assert energy_at(curve, 1, size) == curve[0]
    assert energy_at(curve, size, size) == pytest.approx(curve[-1])
    values = [energy_at(curve, position, size) for position in range(1, size + 1)]
    assert min(curve) - 1e-9 <= min(values)
    assert max(values) <= max(curve) + 1e-9


def test_the_curve_is_linear_between_its_values() -> None:
    assert [energy_at([0, 1, 0], position, 5) for position in range(1, 6)] == [0, 0.5, 1, 0.5, 0]
    assert energy_at([0.3, 0.9], 1, 1) == 0.3


@given(st.lists(st.floats(0, 1), max_size=60))
def test_wanted_energies_fall_into_few_levels_that_reach_out_to_both_ends(targets: list[float]) -> None:
    found = levels(targets)
    assert len(found) <= LEVELS
    assert sum(level.places for level in found) == len(targets)
    wanted = [level.energy for level in found if level.energy is not None]
    assert wanted == sorted(wanted)
    step = (max(targets) - min(targets)) / (LEVELS - 1) if targets else 0
    for target in targets:
        assert min(abs(target - energy) for energy in wanted) <= max(step, 0.1) + 1e-9
    if targets:
        assert wanted[0] <= min(targets) + max(step, 0.1) / 2 + 1e-9
        assert wanted[-1] >= max(targets) - max(step, 0.1) / 2 - 1e-9


def test_places_that_want_one_energy_are_one_level() -> None:
    assert levels([0.4] * 7) == [Level(0.4, 7)]
    assert levels([]) == []
    assert [level.energy for level in levels([0.1, 0.9, 0.1])] == pytest.approx([0.1, 0.9])


@unhurried
@given(pins(), candidates())
def test_the_free_places_are_those_that_candidates_take(
    pinned: list[tuple[Pin, Item]], chosen: list[Candidate]
) -> None:
    items = arrange(pinned, chosen, [])
    assert free_places(pinned, len(chosen)) == [item.position for item in items if not item.pinned]


def test_the_distance_from_the_curve_leaves_pins_out_and_counts_an_unknown_energy_as_far_off() -> None:
    chosen = [candidate(1, 0.1), candidate(2, 0.7), candidate(3, None)]
    pinned = [(Pin("items/pin2", 2), Item("items/pin2", "Pinned", energy=0.0))]
    items = arrange(pinned, chosen, [0, 0.9])
    energies_of = {one.item.name: one.item.energy for one in chosen}
    # Wanted at 1, 3 and 4: 0, 0.6 and 0.9. There: 0.1, 0.7 and not known, which counts as 0.5 off.
    assert off_curve(items, energies_of, [0, 0.9]) == pytest.approx((0.1 + 0.1 + 0.5) / 3)
    assert off_curve(arrange(pinned, [], [0, 1]), {}, [0, 1]) == 0
