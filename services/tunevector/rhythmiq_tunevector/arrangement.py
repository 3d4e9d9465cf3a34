"""From pins and candidates to a list along its energy curve. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

from rhythmiq_tunevector.model import Candidate, Item, Pin, TunedItem

LEVELS = 5
"""Groups at most that the wanted energies of a list fall into; each is looked for by itself."""
_SPREAD = 0.1
"""Wanted energies nearer than that need no group of their own."""
OFF_CURVE = 0.1
"""Mean distance of a list's energies from its curve up to which it counts as following it."""
_UNKNOWN = 0.5
"""Distance from the curve that an item of unknown energy counts with."""


@dataclass(frozen=True, slots=True)
class Level:
    """An energy that `places` places of a list want, about; None when any will do."""

    energy: float | None
    places: int


def levels(targets: Sequence[float]) -> list[Level]:
    """The energies that the places of a list want, grouped by nearness: ascending, each group with its mean."""
    if not targets:
        return []
    lowest, spread = min(targets), max(targets) - min(targets)
    # Steps from the lowest to the highest, both included, so that groups of their own reach out to the ends.
    steps = min(LEVELS - 1, math.ceil(spread / _SPREAD))
    groups: dict[int, list[float]] = {}
    for target in sorted(targets):
        groups.setdefault(round((target - lowest) / spread * steps) if steps else 0, []).append(target)
    return [Level(fmean(group), len(group)) for group in groups.values()]


def energy_at(curve: Sequence[float], position: int, size: int) -> float:
    """The curve (2 or more values) at a position (1 for the first) of a list of `size` items, linear between values."""
    if size == 1:
        return curve[0]
    at = (position - 1) * (len(curve) - 1) / (size - 1)
    left = min(int(at), len(curve) - 2)
    share = at - left
    return curve[left] * (1 - share) + curve[left + 1] * share


def arrange(
    pinned: Sequence[tuple[Pin, Item]], chosen: Sequence[Candidate], curve: Sequence[float]
) -> tuple[TunedItem, ...]:
    """The list of all pins and all chosen candidates (best first), without gaps.

    Each pin stands at its position; one beyond the end of a list that came out shorter comes last. The candidates fill
    the other places: along the energy curve where there is one, else in their order.
    """
    size = len(pinned) + len(chosen)
    places: dict[int, TunedItem] = {}
    beyond: list[tuple[Pin, Item]] = []
    for pin, item in sorted(pinned, key=lambda one: one[0].position):
        if pin.position <= size:
            places[pin.position] = _pinned(item, pin.position)
        else:
            beyond.append((pin, item))
    free = free_places(pinned, len(chosen))
    last = (position for position in range(1, size + 1) if position not in places and position not in free)
    for position, (_, item) in zip(last, beyond, strict=True):
        places[position] = _pinned(item, position)
    ordered = along_curve(chosen, [energy_at(curve, position, size) for position in free]) if curve else chosen
    for position, candidate in zip(free, ordered, strict=True):
        places[position] = _tuned(candidate, position)
    return tuple(places[position] for position in range(1, size + 1))


def along_curve(candidates: Sequence[Candidate], targets: Sequence[float]) -> list[Candidate]:
    """The candidates in the order in which their energies lie nearest to the targets (one for each place).

    Which energy goes to which target is an assignment problem, but one on a line with a convex cost, |energy - target|:
    where a lower energy has the higher of two targets, swapping the two never costs more. So giving the k-th lowest
    energy to the k-th lowest target has the least sum of all assignments, and sorting replaces a solver. Candidates
    without a known energy stay where their rank puts them; places with equal targets are filled by rank, at equal cost.
    """
    known = [rank for rank, candidate in enumerate(candidates) if candidate.item.energy is not None]
    places = sorted(known, key=lambda place: targets[place])
    by_energy = sorted(known, key=lambda rank: candidates[rank].item.energy or 0.0)
    ordered = list(candidates)
    done = 0
    for _, group in groupby(places, key=lambda place: targets[place]):
        same = list(group)
        ranks = sorted(by_energy[done : done + len(same)])
        for place, rank in zip(same, ranks, strict=True):
            ordered[place] = candidates[rank]
        done += len(same)
    return ordered


def free_places(pinned: Sequence[tuple[Pin, Item]], candidates: int) -> list[int]:
    """The positions that so many candidates take in a list with these pins, ascending."""
    taken = {pin.position for pin, _ in pinned}
    return [position for position in range(1, len(pinned) + candidates + 1) if position not in taken][:candidates]


def off_curve(items: Sequence[TunedItem], energies: Mapping[str, float | None], curve: Sequence[float]) -> float:
    """The mean distance from the curve of those items, of a whole list, whose `energies` are given by name."""
    distances = [
        _UNKNOWN if energy is None else abs(energy - energy_at(curve, item.position, len(items)))
        for item in items
        if item.item in energies
        for energy in (energies[item.item],)
    ]
    return fmean(distances) if distances else 0.0


def _pinned(item: Item, position: int) -> TunedItem:
    return TunedItem(item.name, item.title, item.artists, item.duration, position, pinned=True, score=None, reasons=())


def _tuned(candidate: Candidate, position: int) -> TunedItem:
    item = candidate.item
    return TunedItem(
        item.name,
        item.title,
        item.artists,
        item.duration,
        position,
        pinned=False,
        score=candidate.score,
        reasons=candidate.reasons,
    )
