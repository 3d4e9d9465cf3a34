"""One contract for the children of every service, in memory and on MongoDB: what guard and upkeep rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from blocks_in_memory import InMemoryBlocks
from preferences_in_memory import InMemoryPreferences
from tunevectors_in_memory import InMemoryTuneVectors
from variables_in_memory import InMemoryVariables

from rhythmiq_mesh.children import Child, ChildRepository
from rhythmiq_mesh.etag import new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_preference.model import Origin, Preference, Type
from rhythmiq_preference.mongo import MongoPreferences
from rhythmiq_recommender.blocks.model import Block
from rhythmiq_recommender.blocks.mongo import MongoBlocks
from rhythmiq_tunevector.model import Kind, Mode, TuneVector
from rhythmiq_tunevector.mongo import MongoTuneVectors
from rhythmiq_variable.model import Kind as VariableKind
from rhythmiq_variable.model import Variable
from rhythmiq_variable.mongo import MongoVariables

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
DAY = timedelta(days=1)
LIMIT = 5


def preference(child_id: str, profile_id: str, number: int) -> Preference:
    return Preference(child_id, profile_id, Type.GENRE, f"genre {number}", 0.5, Origin.SET, NOON, NOON, new_etag())


def variable(child_id: str, profile_id: str, number: int) -> Variable:
    return Variable(child_id, profile_id, list(VariableKind)[number], "v1", NOON, DAY, NOON, NOON, new_etag())


def tune_vector(child_id: str, profile_id: str, number: int) -> TuneVector:
    return TuneVector(child_id, profile_id, f"{number}", Kind.PLAYLIST, Mode.AI_DRIVEN, 5, NOON, NOON, new_etag())


def block(child_id: str, profile_id: str, number: int) -> Block:
    return Block(child_id, profile_id, "", f"artist {number}", NOON, NOON, new_etag())


KINDS: dict[str, tuple[Callable[..., Any], Callable[[], Any], Callable[..., Any]]] = {
    "preference": (preference, InMemoryPreferences, MongoPreferences),
    "block": (block, InMemoryBlocks, MongoBlocks),
    "variable": (variable, InMemoryVariables, MongoVariables),
    "tune vector": (
        tune_vector,
        lambda: InMemoryTuneVectors(limit=LIMIT),
        lambda store: MongoTuneVectors(store, limit=LIMIT),
    ),
}


@dataclass
class World:
    """A repository and a profile."""

    children: ChildRepository[Any]
    draft: Callable[[str, str, int], Any]
    profile_id: str

    def child(self, number: int = 0) -> Any:
        return self.draft(str(uuid4()), self.profile_id, number)


@pytest.fixture(params=[(kind, storage) for kind in KINDS for storage in ("memory", "mongo")], ids=" in ".join)
async def world(request: pytest.FixtureRequest, mongo_uri: str, mongo_database_name: str) -> AsyncIterator[World]:
    kind, storage = request.param
    draft, in_memory, on_mongo = KINDS[kind]
    if storage == "memory":
        yield World(in_memory(), draft, str(uuid4()))
        return
    client = connect(mongo_uri, app="test")
    repository = on_mongo(database(client, mongo_database_name))
    await repository.ensure_indexes()
    yield World(repository, draft, str(uuid4()))
    await client.close()


def key() -> RequestKey:
    return RequestKey("profiles/x#Create", "the id", b"a")


async def test_taken_back_leaves_nothing_and_frees_place_and_request_id(world: World) -> None:
    for _ in range(LIMIT + 1):
        made = world.child()
        assert await world.children.create(made, key()) == (made, False)
        assert await world.children.present([made.id])
        assert await world.children.take_back(world.profile_id, [made.id])
        assert not await world.children.present([made.id])
        assert await world.children.take_back(world.profile_id, [made.id])
    assert await world.children.count(world.profile_id) == 0


async def test_taking_back_what_never_was_leaves_the_record_of_another_create(world: World) -> None:
    made = world.child()
    await world.children.create(made, key())
    assert await world.children.take_back(world.profile_id, [str(uuid4())])
    assert await world.children.create(world.child(), key()) == (made, True)


async def test_confirmed_is_not_taken_back_and_neither_is_what_was_made_with_it(world: World) -> None:
    made, other = world.child(0), world.child(1)
    await world.children.create(made, key())
    await world.children.create(other, None)
    assert await world.children.unconfirmed(NOON, 5) == []
    assert {each.id for each in await world.children.unconfirmed(LATER, 5)} == {made.id, other.id}
    assert await world.children.confirm([made.id])
    assert await world.children.unconfirmed(LATER, 5) == [Child(world.profile_id, other.id)]
    assert not await world.children.take_back(world.profile_id, [made.id, other.id])
    assert await world.children.count(world.profile_id) == 2
    assert not await world.children.confirm([made.id, str(uuid4())])


async def test_equal_requests_at_once_create_one(world: World) -> None:
    answers = await asyncio.gather(*(world.children.create(world.child(), key()) for _ in range(8)))
    assert len({stored.id for stored, _ in answers}) == 1
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 7


async def test_a_change_does_not_confirm(world: World) -> None:
    if not hasattr(world.children, "replace"):
        pytest.skip("never changes")
    made = world.child()
    await world.children.create(made, None)
    changed = replace(made, etag=new_etag())
    assert await world.children.replace(changed, expected_etag=made.etag)
    assert await world.children.take_back(world.profile_id, [made.id])
