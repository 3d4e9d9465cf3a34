"""Fills a tune vector through the recommender for the present environment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import EtagMismatch
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_tunevector.arrangement import OFF_CURVE, Level, arrange, energy_at, free_places, levels, off_curve
from rhythmiq_tunevector.length import ByCount, ByDuration, playing_time
from rhythmiq_tunevector.model import (
    MAX_ITEMS,
    Candidate,
    Degradation,
    Environment,
    FeatureTarget,
    Item,
    Pin,
    PinNotFound,
    TunedItem,
    TuneVector,
    TuningRecord,
)
from rhythmiq_tunevector.ports import Query, Recommendations, Recommender, TuneVectorRepository
from rhythmiq_tunevector.search import Search, Strand
from rhythmiq_tunevector.use_cases import GetTuneVector

CURVE_WEIGHT = 3.0
"""Weight of the energy that the curve wants at a place: surroundings and preferences choose among what is near it."""
PINS_EXCEED_LENGTH = "PINS_EXCEED_LENGTH"
PIN_MOVED = "PIN_MOVED"
CURVE_NOT_REACHED = "CURVE_NOT_REACHED"
_DURATION = "duration_ms"
_ENERGY = "energy"
_MILLISECOND = timedelta(milliseconds=1)
Pinned = Sequence[tuple[Pin, Item]]
Tuning = Mapping[str, FeatureTarget]


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
        search = await self._search(stored, pinned, environment, seed)
        chosen = search.chosen()
        items = arrange(pinned, chosen, stored.energy_curve)
        now = self.clock.now()
        record = TuningRecord(
            tune_time=now,
            environment=tuple(search.first.environment),
            preferences=tuple(search.first.preferences),
            ranker=search.first.ranker,
            degradations=(
                *search.degradations(),
                *_pin_degradations(stored, pinned, items),
                *_curve_degradations(stored, chosen, items),
            ),
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

    async def _search(self, vector: TuneVector, pinned: Pinned, environment: Environment, seed: int | None) -> Search:
        """Asks, for all levels of the energy curve at once, until the list is full or there are no more candidates."""
        demand = _length(vector, pinned)
        strands = [Strand(level) for level in _levels(vector, pinned, demand.places)]
        search = Search(demand, strands, [pin.item for pin in vector.pins])
        tuning = _tuning(vector.tuning, demand)
        while tuning is not None and (asked := search.wanted()):
            answers = await self._ask(
                Query(
                    profile_id=vector.profile_id,
                    kind=vector.kind,
                    mode=vector.mode,
                    count=count,
                    tuning=_towards(tuning, strand.level.energy),
                    seeds=vector.seeds,
                    filter=vector.filter,
                    environment=environment,
                    seed=seed,
                    exclude=tuple(search.excluded),
                    # All are to have the energy of their place: variety would pull away from it.
                    varied=strand.level.energy is None,
                )
                for strand, count in asked
            )
            search.add(asked, answers)
        return search

    async def _ask(self, queries: Iterable[Query]) -> list[Recommendations]:
        """Everything at once; when one fails, the others are not waited for."""
        calls = [asyncio.ensure_future(self.recommender.recommend(query)) for query in queries]
        try:
            return await asyncio.gather(*calls)
        finally:
            for call in calls:
                call.cancel()


def _length(vector: TuneVector, pinned: Pinned) -> ByCount | ByDuration:
    """What is left for candidates once the pins, which are always in, have taken their part."""
    if isinstance(vector.length, int):
        return ByCount(max(0, vector.length - len(pinned)))
    taken = playing_time(item for _, item in pinned)
    return ByDuration(max(timedelta(), vector.length - taken), MAX_ITEMS - len(pinned))


def _levels(vector: TuneVector, pinned: Pinned, places: int) -> list[Level]:
    """The energies to look for, for about so many places besides the pins. Hard bounds on energy bound them too."""
    if not vector.energy_curve:
        return [Level(None, places)]
    size = len(pinned) + places
    wanted = (energy_at(vector.energy_curve, position, size) for position in free_places(pinned, places))
    own = vector.tuning.get(_ENERGY, FeatureTarget())
    return levels([_within(own, energy) for energy in wanted])


def _within(bounds: FeatureTarget, energy: float) -> float:
    """The energy nearest to it that the bounds admit."""
    return min(max(energy, bounds.min or 0.0), 1.0 if bounds.max is None else bounds.max)


def _towards(tuning: Tuning, energy: float | None) -> Tuning:
    """The same tuning with this energy for a target, in place of the listener's own, within the listener's bounds."""
    if energy is None:
        return tuning
    own = tuning.get(_ENERGY, FeatureTarget())
    return {**tuning, _ENERGY: replace(own, target=_within(own, energy), weight=CURVE_WEIGHT)}


def _tuning(tuning: Tuning, demand: ByCount | ByDuration) -> Tuning | None:
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


def _pin_degradations(vector: TuneVector, pinned: Pinned, items: Sequence[TunedItem]) -> Iterator[Degradation]:
    played = playing_time(item for _, item in pinned)
    if isinstance(vector.length, timedelta) and played > vector.length:
        text = f"the pins alone play {_clock(played)}, longer than the length, {_clock(vector.length)}"
        yield Degradation("pins", PINS_EXCEED_LENGTH, f"{text}: the list has only them")
    places = {item.item: item.position for item in items if item.pinned}
    moved = sorted((pin.position, places[pin.item]) for pin, _ in pinned if pin.position != places[pin.item])
    if moved:
        told = ", ".join(f"{wanted} is at {place}" for wanted, place in moved)
        text = f"the list ends before the place of some pins, so they come last: the pin for position {told}"
        yield Degradation("pins", PIN_MOVED, text)


def _curve_degradations(
    vector: TuneVector, chosen: Sequence[Candidate], items: Sequence[TunedItem]
) -> Iterator[Degradation]:
    energies = {candidate.item.name: candidate.item.energy for candidate in chosen}
    if vector.energy_curve and (off := off_curve(items, energies, vector.energy_curve)) > OFF_CURVE:
        text = f"the energies are {off:.2f} off the curve on average: too few items near it fit the tuning and filter"
        yield Degradation("energy_curve", CURVE_NOT_REACHED, text)


def _clock(time: timedelta) -> str:
    """Minutes and seconds, 12:40."""
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    return f"{minutes}:{seconds:02} min"
