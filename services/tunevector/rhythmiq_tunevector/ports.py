"""What the use cases need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_tunevector.model import (
    Candidate,
    Degradation,
    Environment,
    EnvironmentUse,
    FeatureTarget,
    Filter,
    Item,
    Kind,
    Mode,
    PreferenceUse,
    Seeds,
    TuneVector,
)


class TuneVectorRepository(Protocol):
    """Tune vectors in storage."""

    async def create(self, vector: TuneVector, key: RequestKey | None) -> tuple[TuneVector, bool]:
        """Stores a new tune vector, or returns the first answer of a replay, and whether it is one.

        Raises RequestIdConflict and TuneVectorLimitReached, exactly, under any concurrency.
        """
        ...

    async def vouch(self, tune_vector_id: str) -> bool:
        """Keeps a tune vector from being taken back; False when it is gone."""
        ...

    async def take_back(self, vector: TuneVector, key: RequestKey | None) -> bool:
        """Undoes a create, if it took place; False when the tune vector is vouched for, and stays."""
        ...

    async def get(self, profile_id: str, tune_vector_id: str) -> TuneVector | None:
        """The tune vector with its items."""
        ...

    async def page(self, profile_id: str, *, after: tuple[datetime, str] | None, limit: int) -> list[TuneVector]:
        """The first `limit` tune vectors after (create_time, id), oldest first, without their items."""
        ...

    async def replace(self, vector: TuneVector, *, expected_etag: str) -> bool:
        """Stores a new version unless it is gone or the stored etag is another one."""
        ...

    async def delete(self, profile_id: str, tune_vector_id: str, *, expected_etag: str) -> bool:
        """Removes it unless it is gone or the stored etag is another one."""
        ...

    async def count(self, profile_id: str) -> int:
        """How many a profile has."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the recommender: `count` (1 to 200) items for a profile, none of `exclude` (resource names)."""

    profile_id: str
    kind: Kind
    mode: Mode
    count: int
    tuning: Mapping[str, FeatureTarget]
    seeds: Seeds
    filter: Filter
    environment: Environment
    seed: int | None
    exclude: Sequence[str]


@dataclass(frozen=True, slots=True)
class Recommendations:
    """The recommender's answer, best first; fewer than asked for when there are no more."""

    candidates: Sequence[Candidate]
    environment: Sequence[EnvironmentUse]
    preferences: Sequence[PreferenceUse]
    ranker: str
    degradations: Sequence[Degradation]


class Recommender(Protocol):
    """The recommender service: recommendations and its catalogue."""

    async def recommend(self, query: Query) -> Recommendations:
        """Raises Unavailable, DeadlineExceeded, or what the recommender refused."""
        ...

    async def item(self, name: str) -> Item | None:
        """An item of the catalogue. Raises Unavailable, DeadlineExceeded."""
        ...
