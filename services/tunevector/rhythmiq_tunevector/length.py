"""How many candidates make a list: by count, or by playing time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rhythmiq_tunevector.model import Candidate, Item, TunedItem

POOL = 60
"""Candidates among which the last items of a list by duration are chosen."""
CLOSING = 8
"""How many these last items are at most."""
_ROOM = 4
"""Items of mean length for which room is left to the last ones; at least half of it, so that there is a choice."""
_FEWEST = 20
"""Candidates to ask for at least, so that a pool of which little fits does not fill by ones."""
_TYPICAL = timedelta(minutes=3)
"""Playing time of a track, for the first estimate only."""
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ByCount:
    """As many candidates as `count`, the best first."""

    count: int

    @property
    def places(self) -> int:
        """How many candidates the list will have."""
        return self.count

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

    The best are taken until there is room for about four more. These last ones, at most CLOSING, are chosen among the
    best POOL that remain: those that together come nearest to the budget, to a second for each, and of several such
    choices the one with the better candidates. Then no candidate looked at can be added. To choose all items for their
    length (a knapsack) would gain nothing, for the last few nearly always reach the budget, and would trade away better
    items. Candidates without a known duration are not used.
    """

    budget: timedelta
    limit: int

    @property
    def places(self) -> int:
        """About how many candidates the list will have."""
        return min(self.limit, -(-self.budget // _TYPICAL))

    def wanted(self, found: Sequence[Candidate]) -> int:
        """How many more candidates to look for; 0 when there are enough."""
        durations = _durations(found)
        if self._left(found) < _SECOND:
            return 0
        certain, left = self._certain(durations)
        pool = sum(duration <= left for rank, duration in durations.items() if rank not in certain)
        if left <= timedelta() or len(certain) >= self.limit or pool >= POOL:
            return 0
        unfilled = -(-left // _TYPICAL) if left > _ROOM * self._mean(durations) else 0
        return max(_FEWEST, unfilled + POOL - pool)

    def choose(self, found: Sequence[Candidate]) -> list[Candidate]:
        """The candidates to take, in their order."""
        durations = _durations(found)
        taken, left = self._certain(durations)
        rest = {rank: duration for rank, duration in durations.items() if rank not in taken and duration <= left}
        taken |= _closing(dict(list(rest.items())[:POOL]), left, min(CLOSING, self.limit - len(taken)))
        left = self.budget - sum((durations[rank] for rank in taken), timedelta())
        for rank, duration in rest.items():
            if rank not in taken and duration <= left and len(taken) < self.limit:
                taken.add(rank)
                left -= duration
        return [found[rank] for rank in sorted(taken)]

    def short(self, found: Sequence[Candidate]) -> bool:
        """Whether a second or more is left although every candidate was taken, were there no others."""
        chosen = self.choose(found)
        left = self.budget - playing_time(candidate.item for candidate in chosen)
        return left >= _SECOND and len(chosen) < self.limit and len(chosen) == len(_durations(found))

    def _left(self, found: Sequence[Candidate]) -> timedelta:
        return self.budget - playing_time(candidate.item for candidate in self.choose(found))

    def _mean(self, durations: dict[int, timedelta]) -> timedelta:
        fitting = [duration for duration in durations.values() if duration <= self.budget]
        return sum(fitting, timedelta()) / len(fitting) if fitting else _TYPICAL

    def _certain(self, durations: dict[int, timedelta]) -> tuple[set[int], timedelta]:
        """The ranks that are taken because they are the best, and the time that is left for the last ones."""
        taken: set[int] = set()
        left, mean = self.budget, self._mean(durations)
        for rank, duration in durations.items():
            if left <= _ROOM * mean or len(taken) >= self.limit:
                break
            if left - duration >= _ROOM * mean / 2:
                taken.add(rank)
                left -= duration
        return taken, left


def playing_time(items: Iterable[Item | TunedItem]) -> timedelta:
    """The sum of the durations that are known."""
    return sum((item.duration for item in items if item.duration is not None), timedelta())


def fullest(lengths: Sequence[int], room: int, limit: int) -> list[int]:
    """Indices, ascending, of at most `limit` lengths whose sum is the largest that does not exceed `room`.

    Of several such choices the one that comes first: where two differ, it has the lower index. Subset sum, exact: bit
    `s` of `reach[i][k]` says whether at most `k` of `lengths[i:]` can sum to `s`.
    """
    within = (1 << (room + 1)) - 1
    reach = [[1] * (limit + 1)]
    for length in reversed(lengths):
        without = reach[-1]
        reach.append([1, *((without[k] | without[k - 1] << length) & within for k in range(1, limit + 1))])
    reach.reverse()
    left = reach[0][limit].bit_length() - 1
    chosen: list[int] = []
    for index, length in enumerate(lengths):
        after = limit - len(chosen) - 1
        if after >= 0 and length <= left and reach[index + 1][after] >> (left - length) & 1:
            chosen.append(index)
            left -= length
    return chosen


def _closing(pool: dict[int, timedelta], room: timedelta, limit: int) -> set[int]:
    """The ranks of the pool to fill the room with. In seconds, lengths rounded up, so that it is never exceeded."""
    if not pool or limit <= 0:
        return set()
    ranks = list(pool)
    return {ranks[index] for index in fullest([-(-pool[rank] // _SECOND) for rank in ranks], room // _SECOND, limit)}


def _durations(found: Sequence[Candidate]) -> dict[int, timedelta]:
    """By rank, where known."""
    return {rank: one.item.duration for rank, one in enumerate(found) if one.item.duration is not None}
