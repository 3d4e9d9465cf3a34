from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tunevectors_in_memory import InMemoryTuneVectors

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.errors import (
    Aborted,
    EtagMismatch,
)
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.parents import ProfileState
from rhythmiq_tunevector.model import Candidate, Environment, Item, Kind, Mode, Pin, PinNotFound, TuneVector
from rhythmiq_tunevector.ports import Query, Recommendations
from rhythmiq_tunevector.search import MAX_EXCLUDED
from rhythmiq_tunevector.tuning import TuneTuneVector
from rhythmiq_tunevector.use_cases import CreateTuneVector, DeleteTuneVector, GetTuneVector, UpdateTuneVector

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROFILE = str(uuid4())
KEY = RequestKey("profiles/x#CreateTuneVector", "the id", b"a")


class StillClock:
    def now(self) -> datetime:
        return NOON


class ActiveProfiles:
    async def state(self, profile_id: str) -> ProfileState:
        return ProfileState.ACTIVE


class Contended(InMemoryTuneVectors):
    """Another call is always faster."""

    async def replace(self, vector: TuneVector, *, expected_etag: str) -> bool:
        return False

    async def delete(self, profile_id: str, tune_vector_id: str, *, expected_etag: str) -> bool:
        return False


@dataclass
class Shelf:
    """A recommender that offers its items in order, whatever is asked."""

    items: dict[str, Item]
    queries: list[Query] = field(default_factory=list)
    forgets_exclusions: bool = False

    async def recommend(self, query: Query) -> Recommendations:
        self.queries.append(replace(query, exclude=list(query.exclude)))
        excluded = () if self.forgets_exclusions else set(query.exclude)
        fitting = [item for item in self.items.values() if item.name not in excluded]
        return Recommendations([Candidate(item, 1.0) for item in fitting[: query.count]], (), (), "shelf", ())

    async def item(self, name: str) -> Item | None:
        return self.items.get(name)


def shelf(count: int, *, duration: timedelta | None = None) -> Shelf:
    return Shelf({f"items/{n}": Item(f"items/{n}", f"Title {n}", duration=duration) for n in range(count)})


def draft(**fields: object) -> TuneVector:
    made = TuneVector("", PROFILE, "", Kind.PLAYLIST, Mode.AI_DRIVEN, 5, NOON, NOON, "")
    return replace(made, **fields)  # type: ignore[arg-type]


def creator(vectors: InMemoryTuneVectors) -> CreateTuneVector:
    return CreateTuneVector(vectors, Guard(vectors, ActiveProfiles()), StillClock())


async def test_endless_contention_is_aborted() -> None:
    vectors = Contended()
    created = await creator(vectors)(draft(), None)
    with pytest.raises(Aborted):
        await UpdateTuneVector(vectors, StillClock())(PROFILE, created.id, "", lambda stored: stored)
    with pytest.raises(Aborted):
        await DeleteTuneVector(vectors)(PROFILE, created.id, "")
    with pytest.raises(EtagMismatch):
        await TuneTuneVector(vectors, shelf(9), StillClock())(PROFILE, created.id, "", Environment(), None)
    assert await GetTuneVector(vectors)(PROFILE, created.id) == created


async def tuned(recommender: Shelf, **fields: object) -> TuneVector:
    vectors = InMemoryTuneVectors()
    created = await creator(vectors)(draft(**fields), None)
    return await TuneTuneVector(vectors, recommender, StillClock())(PROFILE, created.id, "", Environment(), 7)


async def test_later_calls_leave_out_pins_and_what_earlier_ones_brought() -> None:
    recommender = shelf(600)
    vector = await tuned(recommender, length=450, pins=(Pin("items/3", 1),))
    assert [query.count for query in recommender.queries] == [200, 200, 49]
    assert recommender.queries[0].exclude == ["items/3"]
    assert len(set(recommender.queries[2].exclude)) == 401
    assert {query.seed for query in recommender.queries} == {7}
    assert len({item.item for item in vector.items}) == 450


async def test_a_recommender_that_repeats_itself_gives_a_short_list_and_not_an_endless_search() -> None:
    recommender = shelf(200)
    recommender.forgets_exclusions = True
    vector = await tuned(recommender, length=400)
    assert len(vector.items) == 200
    assert len(recommender.queries) == 2
    assert vector.last_tuning is not None
    assert [each.reason for each in vector.last_tuning.degradations] == ["NOT_ENOUGH_ITEMS"]


async def test_a_search_among_useless_items_ends_at_what_may_be_excluded() -> None:
    recommender = shelf(2 * MAX_EXCLUDED)
    vector = await tuned(recommender, length=timedelta(hours=10))
    assert vector.items == ()
    assert len(recommender.queries[-1].exclude) < MAX_EXCLUDED
    assert vector.last_tuning is not None
    assert [each.reason for each in vector.last_tuning.degradations] == ["NOT_ENOUGH_ITEMS"]


async def test_every_missing_pin_is_named() -> None:
    with pytest.raises(PinNotFound) as caught:
        await tuned(shelf(1), pins=(Pin("items/0", 1), Pin("items/8", 2), Pin("items/9", 3)))
    assert [violation.subject for violation in caught.value.violations] == ["items/8", "items/9"]
