"""The change stream of a real MongoDB, through quiet times, lost history and crashes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import grpc
import pytest
from drafts import draft, everything_known, track
from eventually import eventually
from harness import PAGE_TOKEN_KEY, metadata, serving, socket_address
from mongod import Mongod
from pydantic import SecretStr

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc
from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.mongo import Database, connect, database
from rhythmiq_mesh.principal import ADMIN_SCOPE
from rhythmiq_recommender.bootstrap import bootstrap
from rhythmiq_recommender.config import RecommenderSettings
from rhythmiq_recommender.follow import CatalogFollower
from rhythmiq_recommender.item_messages import draft_of, message_of
from rhythmiq_recommender.mongo import MongoItems
from rhythmiq_recommender.mongo_feed import MongoItemFeed

# The driver leaves the sockets of a killed server to the garbage collector.
KILLED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

ADMIN = metadata("operator", scope=ADMIN_SCOPE)


@pytest.fixture
async def store(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Database]:
    async with connect(mongo_uri, app="test") as client:
        yield database(client, mongo_database_name)
        await client.drop_database(mongo_database_name)


@asynccontextmanager
async def following(store: Database) -> AsyncIterator[CatalogFollower]:
    catalog = CatalogFollower(MongoItemFeed(store))
    await catalog.load()
    task = asyncio.create_task(catalog.follow())
    try:
        yield catalog
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def put(store: Database, *numbers: int, title: str = "") -> None:
    drafts = [draft(number, title=title or f"Track {number}") for number in numbers]
    await MongoItems(store).upsert(drafts, SystemClock().now())


def titles(catalog: CatalogFollower) -> set[str]:
    return {catalog.snapshot.item(row).title for row in range(len(catalog.snapshot))}


async def test_a_catalog_of_many_batches_is_loaded_whole(store: Database) -> None:
    await put(store, *range(5_000))
    catalog = CatalogFollower(MongoItemFeed(store))
    await catalog.load()
    assert titles(catalog) == {f"Track {number}" for number in range(5_000)}


async def test_created_updated_and_deleted_items_show_without_a_reload(store: Database) -> None:
    await put(store, 1, 2)
    async with following(store) as catalog:
        await put(store, 3)
        await put(store, 1, title="changed")
        stored = await MongoItems(store).get(draft(2).id)
        assert stored is not None
        await MongoItems(store).delete(stored.id, expected_etag=stored.etag)
        await eventually(lambda: titles(catalog) == {"changed", "Track 3"})


async def test_a_snapshot_holds_items_exactly_as_the_api_tells_them(store: Database) -> None:
    async with following(store) as catalog:
        sent = draft_of(everything_known())
        await MongoItems(store).upsert([sent], SystemClock().now())
        await eventually(lambda: len(catalog.snapshot) == 1)
        stored = await MongoItems(store).get(sent.id)
        assert stored is not None
        assert catalog.snapshot.item(0) == message_of(stored)


async def test_items_stored_without_their_message_or_with_another_one_load_the_same(store: Database) -> None:
    without, wrong, right = (draft_of(everything_known(number)) for number in range(3))
    await MongoItems(store).upsert([without, wrong, right], SystemClock().now())
    await store["items"].update_one({"_id": without.id}, {"$unset": {"message": ""}})
    await store["items"].update_one({"_id": wrong.id}, {"$set": {"message": draft(9).serialized}})
    catalog = CatalogFollower(MongoItemFeed(store))
    await catalog.load()
    loaded = {catalog.snapshot.item(row).uid: catalog.snapshot.item(row) for row in range(len(catalog.snapshot))}
    stored = [await MongoItems(store).get(item_id) for item_id in (without.id, wrong.id, right.id)]
    assert loaded == {item.id: message_of(item) for item in stored if item is not None}
    assert len(loaded) == 3


async def test_a_dropped_collection_is_lost_history_and_what_comes_after_is_followed(store: Database) -> None:
    await put(store, 1, 2)
    async with following(store) as catalog:
        await store["items"].drop()
        await eventually(lambda: titles(catalog) == set())
        await put(store, 3)
        await eventually(lambda: titles(catalog) == {"Track 3"})


async def test_feed_of_a_database_that_is_away_is_unavailable() -> None:
    async with connect("mongodb://127.0.0.1:1/?replicaSet=test&serverSelectionTimeoutMS=100", app="test") as client:
        feed = MongoItemFeed(database(client, "nowhere"))
        answers = await asyncio.gather(
            feed.position(),
            anext(feed.everything()),
            anext(feed.changes({"_data": "00"})),
            anext(feed.present(["x"])),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [Unavailable] * 4


@KILLED
async def test_following_goes_on_after_a_crash_of_the_database(mongod: Mongod) -> None:
    async with connect(mongod.uri, app="test") as client:
        store = database(client, "crash")
        await put(store, 1)
        async with following(store) as catalog:
            mongod.kill()
            with pytest.raises(Unavailable):
                await put(store, 2)
            assert titles(catalog) == {"Track 1"}
            await asyncio.to_thread(mongod.start)
            await put(store, 3)
            await eventually(lambda: titles(catalog) == {"Track 1", "Track 3"}, seconds=30)
    gc.collect()


@KILLED
async def test_an_import_cut_off_by_a_crash_is_unavailable_and_sending_it_again_completes_it(mongod: Mongod) -> None:
    settings = RecommenderSettings(
        listen=socket_address(),
        mongo_uri=SecretStr(mongod.uri),
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        profile_address=socket_address(),
        preference_address=socket_address(),
        variable_address=socket_address(),
    )
    requests = [
        item_pb2.ImportItemsRequest(items=[track(number) for number in range(start, start + 100)])
        for start in range(0, 1000, 100)
    ]

    def crashing() -> Iterator[item_pb2.ImportItemsRequest]:
        for number, request in enumerate(requests):
            if number == 5:
                mongod.kill()
            yield request

    async with serving(bootstrap(settings)) as channel:
        stub = item_pb2_grpc.CatalogServiceStub(channel)
        before = await stub.ImportItems(iter(requests[:2]), metadata=ADMIN)
        assert before.created_count == 200
        with pytest.raises(grpc.aio.AioRpcError) as cut_off:
            await stub.ImportItems(crashing(), metadata=ADMIN)
        assert cut_off.value.code() == grpc.StatusCode.UNAVAILABLE
        await asyncio.to_thread(mongod.start)
        again = await stub.ImportItems(iter(requests), metadata=ADMIN)
        # What was acknowledged is there: at least the first two messages.
        assert again.unchanged_count >= 200
        assert again.created_count + again.unchanged_count == 1000
        once_more = await stub.ImportItems(iter(requests), metadata=ADMIN)
        assert once_more.unchanged_count == 1000
    gc.collect()
