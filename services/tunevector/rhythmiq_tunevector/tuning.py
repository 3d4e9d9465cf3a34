"""Fills a tune vector through the recommender for the present environment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import EtagMismatch
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_tunevector.arrangement import ByCount, ByDuration, arrange, playing_time
from rhythmiq_tunevector.model import (
    MAX_ITEMS,
    Candidate,
    Degradation,
    Environment,
    FeatureTarget,
    Item,
    Pin,
    PinNotFound,
    TuneVector,
    TuningRecord,
)
from rhythmiq_tunevector.ports import Query, Recommendations, Recommender, TuneVectorRepository
from rhythmiq_tunevector.use_cases import GetTuneVector

PER_CALL = 200
"""Items that the recommender returns at most in one call."""
MAX_EXCLUDED = 1_000
"""Items that the recommender accepts as excluded."""
NOT_ENOUGH_ITEMS = "NOT_ENOUGH_ITEMS"
_DURATION = "duration_ms"
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class TuneTuneVector:
    """Replaces the items of a tune vector, its pins apart, by those that fit now, and records what was used.

    Nothing is stored unless everything succeeds and the vector is the one that was read at the start. Raises
    TuneVectorNotFound, EtagMismatch, PinNotFound, Unavailable, DeadlineExceeded, or what the recommender refused.
    """

    vectors: TuneVectorRepository
    recommender: Recommender
    clock: Clock

    async def __call__(
        self, profile_id: str, tune_vector_id: str, etag: str, environment: Environment, seed: int | None
    ) -> TuneVector:
        get = GetTuneVector(self.vectors)
        stored = await get(profile_id, tune_vector_id)
        check_etag(etag, stored.etag, stored.name)
        pinned = await self._pinned(stored)
        search = await self._search(stored, _length(stored, pinned), environment, seed)
        items = arrange(pinned, search.demand.choose(search.found), stored.energy_curve)
        now = self.clock.now()
        record = TuningRecord(
            tune_time=now,
            environment=tuple(search.first.environment),
            preferences=tuple(search.first.preferences),
            ranker=search.first.ranker,
            degradations=search.degradations(),
            total_duration=playing_time(items),
        )
        tuned = replace(stored, items=items, last_tuning=record, update_time=now, etag=new_etag())
        if not await self.vectors.replace(tuned, expected_etag=stored.etag):
            await get(profile_id, tune_vector_id)  # deleted meanwhile: NOT_FOUND
            raise EtagMismatch(stored.name)
        return tuned

    async def _pinned(self, vector: TuneVector) -> list[tuple[Pin, Item]]:
        items = await asyncio.gather(*(self.recommender.item(pin.item) for pin in vector.pins))
        pairs = list(zip(vector.pins, items, strict=True))
        if missing := [pin for pin, item in pairs if item is None]:
            raise PinNotFound(vector.name, missing)
        return [(pin, item) for pin, item in pairs if item is not None]

    async def _search(
        self, vector: TuneVector, demand: ByCount | ByDuration, environment: Environment, seed: int | None
    ) -> _Search:
        """Asks until the demand is met or there are no more candidates."""
        search = _Search(demand, [pin.item for pin in vector.pins])
        tuning = _tuning(vector.tuning, demand)
        while tuning is not None and (count := search.wanted()):
            answer = await self.recommender.recommend(
                Query(
                    profile_id=vector.profile_id,
                    kind=vector.kind,
                    mode=vector.mode,
                    count=count,
                    tuning=tuning,
                    seeds=vector.seeds,
                    filter=vector.filter,
                    environment=environment,
                    seed=seed,
                    exclude=search.excluded,
                )
            )
            if not search.add(answer, asked=count):
                break
        return search


@dataclass
class _Search:
    """What the calls of one tuning have brought so far."""

    demand: ByCount | ByDuration
    excluded: list[str]
    found: list[Candidate] = field(default_factory=list)
    answers: list[Recommendations] = field(default_factory=list)

    @property
    def first(self) -> Recommendations:
        """The first answer: its environment and preferences stand for the tuning. Empty when no call was needed."""
        return self.answers[0] if self.answers else Recommendations((), (), (), "", ())

    def wanted(self) -> int:
        """How many to ask for in the next call; 0 when there are enough, or no more may be excluded."""
        return min(self.demand.wanted(self.found), PER_CALL, MAX_EXCLUDED - len(self.excluded))

    def add(self, answer: Recommendations, *, asked: int) -> bool:
        """Takes what is new in an answer; whether another call may bring more."""
        self.answers.append(answer)
        known = set(self.excluded)
        fresh: list[Candidate] = []
        for candidate in answer.candidates:
            if candidate.item.name not in known:
                known.add(candidate.item.name)
                fresh.append(candidate)
        self.found += fresh
        self.excluded += [candidate.item.name for candidate in fresh]
        return bool(fresh) and len(answer.candidates) >= asked

    def degradations(self) -> tuple[Degradation, ...]:
        """Each once. Whether items were lacking is decided here: one call may run dry although the list is full."""
        told: Iterable[Degradation] = (one for answer in self.answers for one in answer.degradations)
        unique = {(one.subject, one.reason): one for one in told if one.reason != NOT_ENOUGH_ITEMS}
        if self.demand.short(self.found):
            text = "the catalogue has no more items that fit the length, tuning and filter"
            unique["catalog", NOT_ENOUGH_ITEMS] = Degradation("catalog", NOT_ENOUGH_ITEMS, text)
        return tuple(unique.values())


def _length(vector: TuneVector, pinned: Sequence[tuple[Pin, Item]]) -> ByCount | ByDuration:
    """What is left for candidates once the pins, which are always in, have taken their part."""
    if isinstance(vector.length, int):
        return ByCount(max(0, vector.length - len(pinned)))
    taken = playing_time(item for _, item in pinned)
    return ByDuration(max(timedelta(), vector.length - taken), MAX_ITEMS - len(pinned))


def _tuning(tuning: Mapping[str, FeatureTarget], demand: ByCount | ByDuration) -> Mapping[str, FeatureTarget] | None:
    """The tuning to ask with; None when no item can fit.

    For a list by duration, items longer than all the time there is cannot be used: not asking for them leaves the
    recommender's answers to those that can.
    """
    if isinstance(demand, ByCount):
        return tuning
    own = tuning.get(_DURATION, FeatureTarget())
    longest = float(demand.budget // _MILLISECOND)
    if own.min is not None and own.min > longest:
        return None
    bounded = replace(
        own,
        max=longest if own.max is None else min(own.max, longest),
        target=None if own.target is None else min(own.target, longest),
    )
    return {**tuning, _DURATION: bounded}
