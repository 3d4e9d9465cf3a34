"""One contract, two repositories: the one on MongoDB, and the one in memory that unit tests use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from blocks_in_memory import InMemoryBlocks

from rhythmiq_mesh.errors import RequestIdConflict
from rhythmiq_mesh.etag import new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_recommender.blocks.model import LIMIT, Block, Blocked, BlockExists, BlockLimitReached
from rhythmiq_recommender.blocks.mongo import MongoBlocks
from rhythmiq_recommender.blocks.ports import BlockRepository

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["memory", "mongo"])
async def repository(
    request: pytest.FixtureRequest, mongo_uri: str, mongo_database_name: str
) -> AsyncIterator[BlockRepository]:
    if request.param == "memory":
        yield InMemoryBlocks()
        return
    client = connect(mongo_uri, app="test")
    blocks = MongoBlocks(database(client, mongo_database_name))
    await blocks.ensure_indexes()
    yield blocks
    await client.close()


@pytest.fixture
def profile_id() -> str:
    return str(uuid4())


def block(profile_id: str, artist: str = "", item_id: str = "", **fields: Any) -> Block:
    return replace(Block(str(uuid4()), profile_id, item_id, artist, NOON, NOON, new_etag()), **fields)


def key(fingerprint: bytes = b"a") -> RequestKey:
    return RequestKey("profiles/x#CreateBlock", "the id", fingerprint)


async def test_created_is_read_back_as_it_was(repository: BlockRepository, profile_id: str) -> None:
    for made in (block(profile_id, "Björk"), block(profile_id, item_id=str(uuid4()))):
        assert await repository.create(made, None) == (made, False)
        assert await repository.get(profile_id, made.id) == made
        assert await repository.get(str(uuid4()), made.id) is None
    assert await repository.count(profile_id) == 2


async def test_all_that_is_blocked_is_read_at_once(repository: BlockRepository, profile_id: str) -> None:
    item_id = str(uuid4())
    assert await repository.blocked(profile_id) == Blocked()
    artist = block(profile_id, "Björk")
    await repository.create(artist, None)
    await repository.create(block(profile_id, item_id=item_id), None)
    await repository.create(block(str(uuid4()), "Another's"), None)
    assert await repository.blocked(profile_id) == Blocked((item_id,), ("björk",))
    assert await repository.delete(artist)
    assert await repository.blocked(profile_id) == Blocked((item_id,))


async def test_second_of_an_artist_is_refused_however_it_is_spelt(repository: BlockRepository, profile_id: str) -> None:
    first = block(profile_id, "Café Straße")
    await repository.create(first, None)
    with pytest.raises(BlockExists, match=first.id):
        await repository.create(block(profile_id, "CAFE\u0301 STRASSE"), None)
    await repository.create(block(str(uuid4()), "Café Straße"), None)
    item = block(profile_id, item_id=str(uuid4()))
    await repository.create(item, None)
    with pytest.raises(BlockExists, match=item.id):
        await repository.create(block(profile_id, item_id=item.item_id), None)
    assert await repository.count(profile_id) == 2


async def test_a_name_of_an_artist_is_never_taken_for_an_item(repository: BlockRepository, profile_id: str) -> None:
    item_id = str(uuid4())
    await repository.create(block(profile_id, f"item:{item_id}"), None)
    await repository.create(block(profile_id, item_id=item_id), None)
    assert await repository.blocked(profile_id) == Blocked((item_id,), (f"item:{item_id}",))


async def test_replay_returns_the_first_answer_after_delete(repository: BlockRepository, profile_id: str) -> None:
    first = block(profile_id, "A")
    assert await repository.first_answer(key()) is None
    await repository.create(first, key())
    assert await repository.create(block(profile_id, "A"), key()) == (first, True)
    assert await repository.first_answer(key()) == first
    assert await repository.delete(first)
    assert not await repository.delete(first)
    assert await repository.create(block(profile_id, "A"), key()) == (first, True)
    assert await repository.count(profile_id) == 0
    with pytest.raises(RequestIdConflict):
        await repository.first_answer(key(b"b"))


async def test_delete_removes_the_version_it_was_given_only(repository: BlockRepository, profile_id: str) -> None:
    made = block(profile_id, "A")
    await repository.create(made, None)
    assert not await repository.delete(replace(made, etag="stale"))
    assert await repository.count(profile_id) == 1


async def test_taken_back_makes_room_and_forgets_its_request(repository: BlockRepository, profile_id: str) -> None:
    made = block(profile_id, "A")
    await repository.create(made, key())
    assert await repository.take_back(profile_id, [made.id])
    assert await repository.blocked(profile_id) == Blocked()
    assert await repository.create(made, key()) == (made, False)


async def test_pages_are_in_the_order_of_create_time_and_id(repository: BlockRepository, profile_id: str) -> None:
    many = [block(profile_id, f"artist {n}", create_time=NOON + timedelta(seconds=n // 3)) for n in range(10)]
    for each in reversed(many):
        await repository.create(each, None)
    ordered = sorted(many, key=lambda each: (each.create_time, each.id))
    assert await repository.page(profile_id, None, 4) == ordered[:4]
    assert await repository.page(profile_id, (ordered[3].create_time, ordered[3].id), 20) == ordered[4:]


async def test_of_many_creates_at_once_near_the_limit_exactly_as_many_as_there_is_room_for_stay(
    mongo_uri: str, mongo_database_name: str, profile_id: str
) -> None:
    """Two processes, as far as the database can tell: each has connections and locks of its own."""
    clients = [connect(mongo_uri, app=f"test-{number}") for number in range(2)]
    stores = [database(client, mongo_database_name) for client in clients]
    repositories = [MongoBlocks(store) for store in stores]
    await repositories[0].ensure_indexes()
    await stores[0]["counters"].insert_one({"_id": profile_id, "count": LIMIT - 7, "writes": 1})
    results = await asyncio.gather(
        *(repositories[n % 2].create(block(profile_id, f"artist {n}"), None) for n in range(20)),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert {type(result) for result in refused} == {BlockLimitReached}
    assert len(refused) == 13
    assert await repositories[0].count(profile_id) == 7
    present = (await repositories[0].page(profile_id, None, 1))[0]
    with pytest.raises(BlockExists):
        await repositories[1].create(block(profile_id, present.artist), None)
    assert await repositories[1].delete(present)
    await repositories[0].create(block(profile_id, "one more"), None)
    for client in clients:
        await client.close()


async def test_what_every_answer_reads_is_read_from_an_index_alone(
    mongo_uri: str, mongo_database_name: str, profile_id: str
) -> None:
    client = connect(mongo_uri, app="test")
    store = database(client, mongo_database_name)
    blocks = MongoBlocks(store)
    await blocks.ensure_indexes()
    for number in range(20):
        await blocks.create(block(profile_id, f"artist {number}"), None)
    sent = {"find": "blocks", "filter": {"profile_id": profile_id}, "projection": {"_id": 0, "key": 1}, "limit": LIMIT}
    plan = await store.command({"explain": sent, "verbosity": "executionStats"})
    assert plan["executionStats"]["nReturned"] == 20
    assert plan["executionStats"]["totalDocsExamined"] == 0
    await client.close()
