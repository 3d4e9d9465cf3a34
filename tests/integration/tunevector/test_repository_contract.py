"""One contract, two repositories: the one on MongoDB, and the one in memory that unit tests use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tunevectors_in_memory import InMemoryTuneVectors

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.etag import new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_tunevector.model import (
    Degradation,
    Environment,
    EnvironmentUse,
    Explicit,
    FeatureTarget,
    Filter,
    Kind,
    Mode,
    Pin,
    PreferenceUse,
    Reason,
    Seeds,
    TunedItem,
    TuneVector,
    TuneVectorLimitReached,
    TuningRecord,
)
from rhythmiq_tunevector.mongo import MongoTuneVectors
from rhythmiq_tunevector.ports import TuneVectorRepository

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LIMIT = 5


@pytest.fixture(params=["memory", "mongo"])
async def repository(
    request: pytest.FixtureRequest, mongo_uri: str, mongo_database_name: str
) -> AsyncIterator[TuneVectorRepository]:
    if request.param == "memory":
        yield InMemoryTuneVectors(limit=LIMIT)
        return
    client = connect(mongo_uri, app="test")
    vectors = MongoTuneVectors(database(client, mongo_database_name), limit=LIMIT)
    await vectors.ensure_indexes()
    yield vectors
    await client.close()


@pytest.fixture
def profile_id() -> str:
    return str(uuid4())


def vector(profile_id: str, **fields: Any) -> TuneVector:
    made = TuneVector(
        id=str(uuid4()),
        profile_id=profile_id,
        display_name="",
        kind=Kind.PLAYLIST,
        mode=Mode.AI_DRIVEN,
        length=5,
        create_time=NOON,
        update_time=NOON,
        etag=new_etag(),
    )
    return replace(made, **fields)


def full(profile_id: str) -> TuneVector:
    """A tune vector in which every field is set."""
    reason = Reason("TUNING", "tempo", -0.5, "slower")
    tuned = TunedItem(
        "items/a", "A", ("X", "Y"), timedelta(seconds=200.5), 1, pinned=False, score=0.5, reasons=(reason,)
    )
    pinned = TunedItem("items/b", "B", (), None, 2, pinned=True, score=None, reasons=())
    surroundings = Environment(
        0.0, 1.0, -2.0, 3.0, "RAIN", "LYING", 60.0, "HOME", 0.0, time(23, 30, 0, 5), "HEADPHONES"
    )
    record = TuningRecord(
        tune_time=NOON,
        environment=(
            EnvironmentUse("WEATHER", "READING", surroundings, timedelta(milliseconds=1500)),
            EnvironmentUse("LOCAL_TIME", "REQUEST", Environment(), None),
        ),
        preferences=(PreferenceUse("profiles/p/preferences/q", "GENRE", "jazz", 0.5),),
        ranker="prior/1",
        degradations=(Degradation("catalog", "NOT_ENOUGH_ITEMS", "few"),),
        total_duration=timedelta(seconds=200.5),
    )
    return vector(
        profile_id,
        display_name="Evening",
        kind=Kind.PODCAST,
        mode=Mode.USER_GUIDED,
        length=timedelta(minutes=90, microseconds=1),
        tuning={"tempo": FeatureTarget(60.0, 120.0, 90.0, 0.0), "energy": FeatureTarget(max=0.0)},
        seeds=Seeds(("items/a",), ("X",), ("jazz",)),
        filter=Filter(("jazz",), ("metal",), Explicit.EXCLUDE, ("de",), 1990, 2000, ("Z",)),
        energy_curve=(0.0, 1.0),
        pins=(Pin("items/b", 2),),
        items=(tuned, pinned),
        last_tuning=record,
    )


def key(fingerprint: bytes = b"a") -> RequestKey:
    return RequestKey("profiles/x#CreateTuneVector", "the id", fingerprint)


async def test_created_is_read_back_as_it_was(repository: TuneVectorRepository, profile_id: str) -> None:
    for made in (vector(profile_id), full(profile_id)):
        assert await repository.create(made, None) == (made, False)
        assert await repository.get(profile_id, made.id) == made


async def test_another_profiles_is_not_there(repository: TuneVectorRepository, profile_id: str) -> None:
    made, other = vector(profile_id), str(uuid4())
    await repository.create(made, None)
    assert await repository.get(other, made.id) is None
    assert not await repository.delete(other, made.id, expected_etag=made.etag)
    assert not await repository.replace(replace(made, profile_id=other), expected_etag=made.etag)
    assert await repository.page(other, after=None, limit=10) == []
    assert (await repository.count(other), await repository.count(profile_id)) == (0, 1)


async def test_a_replay_returns_the_first_answer_and_another_request_is_a_conflict(
    repository: TuneVectorRepository, profile_id: str
) -> None:
    first = full(profile_id)
    await repository.create(first, key())
    assert await repository.create(vector(profile_id), key()) == (first, True)
    with pytest.raises(RequestIdConflict):
        await repository.create(vector(profile_id), key(b"b"))
    assert await repository.count(profile_id) == 1


async def test_equal_requests_at_once_create_one(repository: TuneVectorRepository, profile_id: str) -> None:
    answers = await asyncio.gather(*(repository.create(vector(profile_id), key()) for _ in range(8)))
    assert len({stored.id for stored, _ in answers}) == 1
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 7


async def test_the_limit_is_exact_when_creates_and_deletes_run_at_once(
    repository: TuneVectorRepository, profile_id: str
) -> None:
    results = await asyncio.gather(
        *(repository.create(vector(profile_id), None) for _ in range(4 * LIMIT)), return_exceptions=True
    )
    created = [result[0] for result in results if isinstance(result, tuple)]
    assert len(created) == LIMIT
    assert sum(isinstance(result, TuneVectorLimitReached) for result in results) == 3 * LIMIT
    gone, *kept = created
    deletions = (repository.delete(profile_id, gone.id, expected_etag=gone.etag) for _ in range(3))
    assert sorted(await asyncio.gather(*deletions)) == [False, False, True]
    await repository.create(vector(profile_id), None)
    with pytest.raises(TuneVectorLimitReached):
        await repository.create(vector(profile_id), None)
    assert await repository.count(profile_id) == LIMIT
    for each in kept:
        await repository.delete(profile_id, each.id, expected_etag=each.etag)
    assert await repository.count(profile_id) == 1


async def test_the_limit_is_exact_across_replicas(mongo_uri: str, mongo_database_name: str, profile_id: str) -> None:
    clients = [connect(mongo_uri, app=f"replica-{number}") for number in range(3)]
    replicas = [MongoTuneVectors(database(client, mongo_database_name), limit=50) for client in clients]
    for replica in replicas:
        await replica.ensure_indexes()
    results = await asyncio.gather(
        *(replicas[number % 3].create(vector(profile_id), None) for number in range(150)), return_exceptions=True
    )
    assert sum(isinstance(result, tuple) for result in results) == 50
    assert sum(isinstance(result, TuneVectorLimitReached) for result in results) == 100
    assert {await replica.count(profile_id) for replica in replicas} == {50}
    for client in clients:
        await client.close()


async def test_pages_go_from_old_to_new_without_items(repository: TuneVectorRepository, profile_id: str) -> None:
    made = [replace(full(profile_id), create_time=NOON + timedelta(seconds=number // 2)) for number in range(LIMIT)]
    for each in reversed(made):
        await repository.create(each, None)
    ordered = sorted(made, key=lambda each: (each.create_time, each.id))
    seen: list[TuneVector] = []
    while page := await repository.page(
        profile_id, after=(seen[-1].create_time, seen[-1].id) if seen else None, limit=2
    ):
        seen += page
    assert seen == [replace(each, items=()) for each in ordered]


async def test_a_version_replaces_only_the_one_it_was_made_from(
    repository: TuneVectorRepository, profile_id: str
) -> None:
    made = full(profile_id)
    await repository.create(made, None)
    changed = replace(vector(profile_id), id=made.id)
    assert not await repository.replace(changed, expected_etag="another")
    assert await repository.get(profile_id, made.id) == made
    assert await repository.replace(changed, expected_etag=made.etag)
    assert await repository.get(profile_id, made.id) == changed
    assert not await repository.delete(profile_id, made.id, expected_etag=made.etag)
    assert await repository.delete(profile_id, made.id, expected_etag=changed.etag)
    assert not await repository.replace(changed, expected_etag=changed.etag)
