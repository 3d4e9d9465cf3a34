"""The use case: what to play for this listener, here and now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import DeadlineExceeded, MeshError, NotFound
from rhythmiq_mesh.names import profile_name
from rhythmiq_recommender.arranging.arrange import arrange, shuffled
from rhythmiq_recommender.environment import settle
from rhythmiq_recommender.explain import Because, reasons, rounded
from rhythmiq_recommender.plan import make_plan
from rhythmiq_recommender.ranking import Ranker
from rhythmiq_recommender.recommend_ports import Catalog, Leanings, Listeners, Readings
from rhythmiq_recommender.retrieval import allowed, retrieve
from rhythmiq_recommender.situation import Degradation, Leaning, Listener, Reading, Seeds, Situation, Surrounding, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot

Value = TypeVar("Value")


class SeedNotFound(NotFound):
    """A seed that the catalogue does not have. `field` is its path in the request."""

    def __init__(self, field: str, kind: str, value: str) -> None:
        super().__init__(
            f"{field}: the catalogue has no {kind} {value[:100]!r}: list items to see what there is",
            resource_type=f"rhythmiq.dev/{kind.capitalize()}",
            resource_name=value[:200],
            reason="SEED_NOT_FOUND",
        )


@dataclass(frozen=True, slots=True)
class Pick:
    """One recommended item: its row in the answer's snapshot, its score, and why."""

    row: int
    score: float
    reasons: Sequence[Because]


@dataclass(frozen=True, slots=True)
class Answer:
    """Picks, best first, and all that they rest on. Leanings have the weight that they counted with."""

    snapshot: CatalogSnapshot
    picks: Sequence[Pick]
    surroundings: Sequence[Surrounding]
    leanings: Sequence[Leaning]
    ranker: str
    degradations: Sequence[Degradation]


@dataclass(frozen=True, slots=True)
class _Gathered:
    listener: Listener
    leanings: Sequence[Leaning]
    surroundings: Mapping[str, Surrounding]
    degradations: list[Degradation]


@dataclass(frozen=True)
class Recommend:
    """Retrieves, ranks, arranges and explains.

    What a service does not answer in time is done without, and named in the answer. Raises NotFound (SEED_NOT_FOUND,
    and PROFILE_NOT_FOUND where the wish needs a profile).
    """

    catalog: Catalog
    listeners: Listeners
    leanings: Leanings
    readings: Readings
    ranker: Ranker
    clock: Clock

    async def __call__(self, wish: Wish, *, needs_profile: bool = True) -> Answer:
        snapshot = self.catalog.snapshot
        require_seeds(snapshot, wish.seeds)
        gathered = await self._gather(wish, needs_profile=needs_profile)
        situation = Situation(wish.kind, gathered.surroundings, gathered.leanings, wish.tuning, wish.seeds)
        picks = self._pick(snapshot, wish, situation)
        return Answer(
            snapshot,
            picks,
            list(gathered.surroundings.values()),
            gathered.leanings,
            self.ranker.name,
            [*gathered.degradations, *_shortage(snapshot, wish, len(picks))],
        )

    def _pick(self, snapshot: CatalogSnapshot, wish: Wish, situation: Situation) -> list[Pick]:
        # "More like these" does not mean these.
        excluded = [*wish.exclude_items, *wish.seeds.items]
        mask = allowed(snapshot, wish.kind, wish.tuning, wish.filter, excluded)
        plan = make_plan(snapshot, situation)
        rows = retrieve(snapshot, plan, mask, wish.count)
        ranked = shuffled(self.ranker.rank(snapshot, rows, situation, plan), snapshot, wish.seed)
        scores = ranked.scores
        positions = arrange(ranked, scores, snapshot, wish.count)
        if not positions:
            return []
        chosen = scores[positions].tolist()
        told = reasons(ranked, positions, chosen)
        return [
            Pick(row, rounded(score), why)
            for row, score, why in zip(rows[positions].tolist(), chosen, told, strict=True)
        ]

    async def _gather(self, wish: Wish, *, needs_profile: bool) -> _Gathered:
        """Asks everyone at once."""
        lacking: list[Degradation] = []
        nothing: Sequence[Reading] = ()
        asked_readings = (
            _or_without(self.readings.readings(wish.profile_id), nothing, "environment", lacking)
            if wish.uses_surroundings
            else _answered(nothing)
        )
        listener, leanings, readings = await asyncio.gather(
            _or_without(self.listeners.listener(wish.profile_id), Listener(), "profile", lacking),
            _or_without(self.leanings.leanings(wish.profile_id), (), "preferences", lacking),
            asked_readings,
        )
        if listener is None:
            if needs_profile:
                raise _profile_not_found(wish.profile_id)
            listener = Listener()
        surroundings: Mapping[str, Surrounding] = {}
        if wish.uses_surroundings:
            surroundings, stale = settle(readings, wish.environment, listener.time_zone, self.clock.now())
            lacking.extend(stale)
        return _Gathered(listener, effective(leanings, listener.learned_weight), surroundings, lacking)


def effective(leanings: Sequence[Leaning], learned_weight: float) -> list[Leaning]:
    """The leanings that count, with the weight that they count with: learned ones scaled by `learned_weight`."""
    scaled = (
        leaning._replace(weight=leaning.weight * learned_weight) if leaning.learned else leaning for leaning in leanings
    )
    return [leaning for leaning in scaled if leaning.weight != 0]


def require_seeds(snapshot: CatalogSnapshot, seeds: Seeds) -> None:
    """Raises SeedNotFound for the first seed that the catalogue does not have."""
    for index, name in enumerate(seeds.items):
        if snapshot.row_of_name(name) is None:
            raise SeedNotFound(f"seeds.items[{index}]", "item", name)
    for index, name in enumerate(seeds.artists):
        found = snapshot.names.artists.find(name)
        if found is None or not len(snapshot.by_artist[found]):
            raise SeedNotFound(f"seeds.artists[{index}]", "artist", name)
    for index, name in enumerate(seeds.genres):
        found = snapshot.names.genres.find(name)
        if found is None or not len(snapshot.by_genre[found]):
            raise SeedNotFound(f"seeds.genres[{index}]", "genre", name)


async def _answered(value: Value) -> Value:
    return value


async def _or_without(asked: Awaitable[Value], default: Value, subject: str, lacking: list[Degradation]) -> Value:
    """The answer, or `default` and a note in `lacking`. Only the caller's own deadline still counts as a failure."""
    try:
        return await asked
    except DeadlineExceeded:
        raise
    except MeshError:
        service = {"environment": "variable", "preferences": "preference"}.get(subject, subject)
        text = f"the {service} service did not answer in time: this answer does without your {subject}"
        lacking.append(Degradation(subject, "SERVICE_UNAVAILABLE", text))
        return default


def _profile_not_found(profile_id: str) -> NotFound:
    name = profile_name(profile_id)
    return NotFound(
        f"{name} does not exist: create the profile first",
        resource_type="rhythmiq.dev/Profile",
        resource_name=name,
        reason="PROFILE_NOT_FOUND",
    )


def _shortage(snapshot: CatalogSnapshot, wish: Wish, found: int) -> list[Degradation]:
    if not len(snapshot):
        return [Degradation("catalog", "CATALOG_EMPTY", "the catalogue is empty: import items first")]
    if found < wish.count:
        text = f"only {found} of {wish.count} items: what the request asks for leaves no more"
        return [Degradation("catalog", "NOT_ENOUGH_ITEMS", text)]
    return []
