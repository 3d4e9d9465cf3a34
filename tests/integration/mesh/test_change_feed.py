"""A change feed over a real MongoDB: what it names, when it vouches, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import grpc
import pytest
from eventually import eventually
from harness import PAGE_TOKEN_KEY, serving, socket_address
from mongod import Mongod
from pydantic import SecretStr
from pymongo.read_concern import ReadConcern

from rhythmiq.mesh.v1 import changes_pb2, changes_pb2_grpc
from rhythmiq_mesh.change_feed import HEARTBEAT, ChangeFeed
from rhythmiq_mesh.change_feed_servicer import change_feed_service, changes_at
from rhythmiq_mesh.config import ServiceSettings
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.mongo import Client, Database, connect, database
from rhythmiq_mesh.server import Server

NAMED_IN = {"things": "owner", "counters": "_id"}
Watch = AsyncGenerator[Sequence[str], None]


@pytest.fixture
async def client(mongo_uri: str) -> AsyncIterator[Client]:
    async with connect(mongo_uri, app="test") as found:
        yield found


@pytest.fixture
async def store(client: Client, mongo_database_name: str) -> AsyncIterator[Database]:
    store = database(client, mongo_database_name)
    await store["things"].insert_one({"_id": "old", "owner": "ada", "n": 0})
    yield store
    await client.drop_database(mongo_database_name)


@asynccontextmanager
async def following(feed: ChangeFeed) -> AsyncIterator[asyncio.Task[None]]:
    """Runs the feed as a server does: whoever cancels it, cancels until it obeys."""
    task = asyncio.create_task(feed.follow())
    try:
        yield task
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)


@asynccontextmanager
async def watching(feed: ChangeFeed) -> AsyncIterator[Watch]:
    """A watch that has begun."""
    async with asyncio.timeout(60), aclosing(feed.watch()) as watch:
        assert await anext(watch) == []
        yield watch


async def named(watch: Watch) -> list[str]:
    """The next item that is not a heartbeat."""
    while not (ids := await anext(watch)):
        pass
    return sorted(ids)


async def end(watch: Watch) -> None:
    """Hears it all."""
    async for _ in watch:
        pass


async def change_streams(client: Client, name: str) -> int:
    """How many change streams of that database are open in the server."""
    admin = client.get_database("admin", read_concern=ReadConcern("local"))
    operations = await admin.aggregate([{"$currentOp": {"allUsers": True, "idleCursors": True}}])
    found = [operation async for operation in operations]
    cursors = [operation.get("cursor", {}).get("originatingCommand", {}) for operation in found]
    return sum("$changeStream" in str(command) and command.get("$db") == name for command in cursors)


async def test_every_way_to_change_names_the_profile(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    things, counters = store["things"], store["counters"]
    async with following(feed), watching(feed) as watch:
        await things.insert_one({"_id": "new", "owner": "bob"})
        assert await named(watch) == ["bob"]
        await things.update_one({"_id": "old"}, {"$set": {"n": 1}})  # says nothing of the owner
        assert await named(watch) == ["ada"]
        await things.replace_one({"_id": "old"}, {"owner": "ada", "n": 2})
        assert await named(watch) == ["ada"]
        # A deletion says nothing of the owner either: the counter does.
        await things.delete_one({"_id": "new"})
        await counters.insert_one({"_id": "bob", "count": 0})
        assert await named(watch) == ["bob"]
        await counters.update_one({"_id": "bob"}, {"$inc": {"count": 1}})
        assert await named(watch) == ["bob"]
        await counters.delete_one({"_id": "bob"})
        assert await named(watch) == ["bob"]


async def test_a_transaction_that_deletes_names_the_profile_by_what_else_it_writes(
    client: Client, store: Database
) -> None:
    await store["counters"].insert_one({"_id": "ada", "count": 1})
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as watch:
        async with client.start_session() as session, await session.start_transaction():
            await store["things"].delete_one({"_id": "old"}, session=session)
            await store["counters"].delete_one({"_id": "ada"}, session=session)
        assert await named(watch) == ["ada"]


async def test_a_document_that_is_gone_again_before_anyone_looked_ends_no_watch(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as watch:
        for _ in range(20):
            await store["things"].insert_one({"_id": "brief", "owner": "eve"})
            await store["things"].update_one({"_id": "brief"}, {"$set": {"n": 1}})
            await store["things"].delete_one({"_id": "brief"})
        await store["counters"].insert_one({"_id": "last"})
        seen: set[str] = set()
        while "last" not in seen:
            seen.update(await named(watch))
        assert seen == {"eve", "last"}


async def test_other_collections_are_not_told(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as watch:
        await store["elsewhere"].insert_one({"_id": "x", "owner": "ada"})
        await store["counters"].insert_one({"_id": "last"})
        assert await named(watch) == ["last"]


async def test_quiet_is_told_again_and_again(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as watch:
        for _ in range(2):
            async with asyncio.timeout(10 * HEARTBEAT):
                assert await anext(watch) == []


async def test_a_write_names_its_profile_first_and_ends_when_the_watcher_has_acted_on_it(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as watch:
        written = asyncio.Event()

        async def write() -> None:
            async with feed.changing("ada"):
                await written.wait()

        writing = asyncio.create_task(write())
        assert await named(watch) == ["ada"]
        written.set()
        # Who asks for the next item has acted on the last one.
        after = asyncio.create_task(named(watch))
        await writing
        assert not after.done()
        with suppress(RuntimeError):
            async with feed.changing("bob"):
                assert await after == ["bob"]
                raise RuntimeError


async def test_a_write_that_takes_long_names_its_profile_again(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rhythmiq_mesh.change_feed.HOLD", 0.0)
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as watch:
        async with feed.changing("ada"):
            assert await named(watch) == ["ada"]
        assert await named(watch) == ["ada"]


async def test_who_begins_to_watch_during_a_write_is_told_of_it(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as early:
        writing = feed.changing("ada")
        await writing.__aenter__()
        assert await named(early) == ["ada"]
        async with watching(feed) as late:
            told = asyncio.gather(named(late), anext(early))
            await writing.__aexit__(None, None, None)
            assert (await told)[0] == ["ada"]


async def test_a_watcher_that_dawdles_holds_writes_up_once_and_not_for_long(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as watch:
        async with feed.changing("ada"):
            pass
        monkeypatch.setattr("rhythmiq_mesh.change_feed.ACKNOWLEDGED", 3600.0)
        async with feed.changing("bob"):
            pass
        assert await named(watch) == ["ada", "bob"]


async def test_any_number_of_watchers_share_one_change_stream_that_ends_with_the_last(
    client: Client, store: Database
) -> None:
    feed = ChangeFeed(store, NAMED_IN)

    async def streams(count: int) -> bool:
        return await change_streams(client, store.name) == count

    async with following(feed):
        assert await streams(0)
        async with watching(feed) as one, watching(feed) as two:
            await store["counters"].insert_one({"_id": "ada"})
            assert [await named(one), await named(two)] == [["ada"], ["ada"]]
            assert await streams(1)
        await eventually(lambda: streams(0))
        async with watching(feed):
            assert await streams(1)


async def test_a_watcher_that_falls_far_behind_is_sent_away_and_the_others_are_not(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed), watching(feed) as slow, watching(feed) as quick:
        feed.tell([f"a{number}" for number in range(6_000)])
        assert len(await named(quick)) == 6_000
        feed.tell([f"b{number}" for number in range(6_000)])
        assert len(await named(quick)) == 6_000
        with pytest.raises(Unavailable):
            await named(slow)


async def test_dropping_what_is_watched_ends_the_watch_and_the_next_one_works(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with following(feed):
        async with watching(feed) as watch:
            await store["things"].drop()
            with pytest.raises(Unavailable):
                await named(watch)
        async with watching(feed) as watch:
            await store["counters"].insert_one({"_id": "ada"})
            assert await named(watch) == ["ada"]


async def test_nobody_is_left_waiting_when_the_feed_is_over(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with asyncio.timeout(60), aclosing(feed.watch()) as watch:
        async with following(feed):
            assert await anext(watch) == []
        with pytest.raises(Unavailable):
            await anext(watch)
    with pytest.raises(Unavailable):
        await anext(feed.watch())


async def test_while_the_database_is_away_nobody_vouches_and_afterwards_someone_does(mongod: Mongod) -> None:
    async with connect(mongod.uri, app="test") as client:
        store = database(client, "test")
        feed = ChangeFeed(store, NAMED_IN)
        async with following(feed):
            async with watching(feed) as watch:
                mongod.kill()
                with pytest.raises(Unavailable):
                    await end(watch)
            with pytest.raises(Unavailable):
                await anext(feed.watch())
            mongod.start()

            async def begins() -> bool:
                with suppress(Unavailable):
                    async with watching(feed) as again:
                        await store["counters"].insert_one({})
                        return bool(await named(again))
                return False

            await eventually(begins, seconds=60)


def server(feed: ChangeFeed, **parts: Any) -> Server:
    settings = ServiceSettings(
        listen=socket_address(),
        mongo_uri=SecretStr("mongodb://unused"),
        mongo_database="unused",
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        grace_seconds=60,
    )
    return Server(settings, [change_feed_service(feed)], background=[feed.follow], **parts)


async def test_another_service_is_told_over_the_wire_and_a_stop_does_not_wait_for_it(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    # A stop that waited for the watch would take the whole grace of 60 s, and `serving` fails after 30.
    async with serving(server(feed)) as channel, aclosing(changes_at(channel)()) as watch:
        assert list(await anext(watch)) == []
        await store["counters"].insert_one({"_id": "ada"})
        while not (ids := await anext(watch)):
            pass
        assert list(ids) == ["ada"]
        await channel.close()


async def test_one_message_is_under_way_and_what_comes_meanwhile_is_told_together(
    store: Database,
) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with serving(server(feed)) as channel, aclosing(changes_at(channel)()) as watch:
        assert list(await anext(watch)) == []
        feed.tell(["first"])
        names: list[list[str]] = []
        while not names:
            names += [sorted(ids) for ids in [await anext(watch)] if ids]
        # The generator stands still here: nothing is acted on, nothing else may come.
        for number in range(50):
            feed.tell([f"n{number:02}"])
            await asyncio.sleep(0)
        while len(names) < 2:
            names += [sorted(ids) for ids in [await anext(watch)] if ids]
        assert names == [["first"], [f"n{number:02}" for number in range(50)]]


async def test_a_watcher_that_never_acts_on_what_it_is_told_is_sent_away(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    async with serving(server(feed)) as channel:
        call = changes_pb2_grpc.ChangeFeedServiceStub(channel).WatchChanges()
        assert await call.read() == changes_pb2.WatchChangesResponse()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_service_that_stops_ends_the_watches_of_others(store: Database) -> None:
    feed = ChangeFeed(store, NAMED_IN)
    running = server(feed)
    async with serving(running) as channel, aclosing(changes_at(channel)()) as watch:
        assert list(await anext(watch)) == []
        running.stop()
        with pytest.raises(Unavailable):
            await end(watch)
