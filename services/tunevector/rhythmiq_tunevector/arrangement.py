"""From pins and candidates to a list: length and energy curve. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from rhythmiq_tunevector.model import Candidate, Item, Pin, TunedItem

SPARE = 20
"""Candidates beyond the estimate that a list by duration looks through to fill its last gap."""
_TYPICAL = timedelta(minutes=3)
"""Playing time of a track, for the first estimate only."""


@dataclass(frozen=True, slots=True)
class ByCount:
    """As many candidates as `count`, the best first."""

    count: int

    def wanted(self, found: Sequence[Candidate]) -> int:
        """How many more candidates to look for; 0 when there are enough."""
        return max(0, self.count - len(found))

    def choose(self, found: Sequence[Candidate]) -> list[Candidate]:
        """The candidates to take."""
        return list(found[: self.count])

    def short(self, found: Sequence[Candidate]) -> bool:
        """Whether the list stays shorter than asked for, were there no other candidates."""
        return len(found) < self.count


@dataclass(frozen=True, slots=True)
class ByDuration:
    """Candidates that play no longer than `budget` together, at most `limit`.

    The best are taken first; one that does not fit is passed over for the next that does. That makes a list to which
    none of the candidates looked at can be added. It is not the list with the most seconds of all (a knapsack), which
    would trade better items for a few seconds. Candidates without a known duration are not used.
    """

    budget: timedelta
    limit: int

    def wanted(self, found: Sequence[Candidate]) -> int:
        """How many more candidates to look for; 0 when there are enough."""
        chosen = self.choose(found)
        left = self.budget - playing_time(candidate.item for candidate in chosen)
        passed_over = _timed(found) - len(chosen)
        if left <= timedelta() or len(chosen) >= self.limit or passed_over >= SPARE:
            return 0
        return -(-left // _TYPICAL) + SPARE

    def choose(self, found: Sequence[Candidate]) -> list[Candidate]:
        """The candidates to take."""
        chosen: list[Candidate] = []
        left = self.budget
        for candidate in found:
            duration = candidate.item.duration
            if duration is not None and duration <= left and len(chosen) < self.limit:
                chosen.append(candidate)
                left -= duration
        return chosen

    def short(self, found: Sequence[Candidate]) -> bool:
        """Whether there is room left although every candidate was taken, were there no others."""
        chosen = self.choose(found)
        left = self.budget - playing_time(candidate.item for candidate in chosen)
        return left > timedelta() and len(chosen) < self.limit and len(chosen) == _timed(found)


def playing_time(items: Iterable[Item | TunedItem]) -> timedelta:
    """The sum of the durations that are known."""
    return sum((item.duration for item in items if item.duration is not None), timedelta())


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
    free = [position for position in range(1, size + 1) if position not in places]
    for position, (_, item) in zip(free[len(chosen) :], beyond, strict=True):
        places[position] = _pinned(item, position)
    free = free[: len(chosen)]
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


def _timed(found: Sequence[Candidate]) -> int:
    return sum(candidate.item.duration is not None for candidate in found)


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
