"""Recommending without a network: the ports of the recommend use case, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import small_catalogue

from rhythmiq_mesh.errors import Unavailable
from rhythmiq_recommender.blocks.model import NOTHING_BLOCKED, Blocked
from rhythmiq_recommender.gather import Sources
from rhythmiq_recommender.learning.history import EMPTY, History
from rhythmiq_recommender.recommend import Answer, PriorAlone, Recommend
from rhythmiq_recommender.recommend_ports import Rankers
from rhythmiq_recommender.situation import EnvironmentValue, Leaning, LeaningType, Listener, Reading, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot

PROFILE = "0d9f7c1e-5b1a-5b5e-9f57-4f2f6a3f8f10"
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

LOUD_RUN: Mapping[str, EnvironmentValue] = {"ambient_noise": 78.0, "activity": "running", "local_time": 18.0}
QUIET_BED: Mapping[str, EnvironmentValue] = {"ambient_noise": 30.0, "activity": "lying", "local_time": 23.5}


@dataclass
class World:
    """Everything that a recommendation asks for. Services named in `away` do not answer."""

    snapshot: CatalogSnapshot = field(default_factory=small_catalogue.snapshot)
    profile: Listener | None = field(default_factory=Listener)
    preferences: Sequence[Leaning] = ()
    observed: Sequence[Reading] = ()
    past: History = EMPTY
    never: Blocked = NOTHING_BLOCKED
    exploration: float = 0.0
    rankers: Rankers = field(default_factory=PriorAlone)
    away: frozenset[str] = frozenset()
    moment: datetime = NOON
    asked: list[str] = field(default_factory=list)

    async def listener(self, profile_id: str) -> Listener | None:
        self._answer("profile")
        return self.profile

    async def leanings(self, profile_id: str) -> Sequence[Leaning]:
        self._answer("preference")
        return self.preferences

    async def readings(self, profile_id: str) -> Sequence[Reading]:
        self._answer("variable")
        return self.observed

    async def history(self, profile_id: str) -> History:
        self._answer("history")
        return self.past

    async def blocked(self, profile_id: str) -> Blocked:
        self._answer("blocks")
        return self.never

    def now(self) -> datetime:
        return self.moment

    def _answer(self, service: str) -> None:
        self.asked.append(service)
        if service in self.away:
            raise Unavailable(f"the {service} service is away", reason="SERVICE_UNAVAILABLE")

    @property
    def recommend(self) -> Recommend:
        return Recommend(self, Sources(self, self, self, self, self, self), self.rankers, self.exploration)

    async def ask(self, wish: Wish | None = None) -> Answer:
        return await self.recommend(wish or Wish(PROFILE))


def leaning(type_: LeaningType, value: str, weight: float, *, learned: bool = False) -> Leaning:
    """A preference with a name of its own."""
    return Leaning(f"profiles/{PROFILE}/preferences/{type_.name}-{value}", type_, value, weight, learned)


def mean(answer: Answer, feature: str) -> float:
    """Mean of a feature over the items that have it."""
    items = [answer.snapshot.item(pick.row) for pick in answer.picks]
    values: list[float] = [
        getattr(item.features, feature)
        for item in items
        if item.features.HasField(feature)  # type: ignore[arg-type]
    ]
    return sum(values) / len(values)


def share(answer: Answer, genre: str) -> float:
    """Share of the items that have a genre."""
    items = [answer.snapshot.item(pick.row) for pick in answer.picks]
    return sum(genre in {found.casefold() for found in item.genres} for item in items) / len(items)


def titles(answer: Answer) -> list[str]:
    """Titles, best first."""
    return [answer.snapshot.item(pick.row).title for pick in answer.picks]
