"""What the use cases need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rhythmiq_mesh.children import ChildRepository
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


class TuneVectorRepository(ChildRepository[TuneVector], Protocol):
    """Tune vectors in storage.

    `create` raises TuneVectorLimitReached, exactly, under any concurrency; pages have no items.
    """

    async def replace(self, vector: TuneVector, *, expected_etag: str) -> bool:
        """Stores a new version unless it is gone or the stored etag is another one."""
        ...

    async def delete(self, profile_id: str, tune_vector_id: str, *, expected_etag: str) -> bool:
        """Removes it unless it is gone or the stored etag is another one."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the recommender: `count` (1 to 200) items for a profile, none of `exclude` (resource names).

    `varied`: whether variety counts, as it does by default.
    """

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
    varied: bool = True


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
