from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from drafts import draft
from eventually import eventually

from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_recommender.follow import CatalogFollower
from rhythmiq_recommender.item_messages import message_of
from rhythmiq_recommender.model import Item
from rhythmiq_recommender.ports import Changes, Entry, HistoryLost

NOW = SystemClock().now()


class ScriptedFeed:
    """An ItemFeed on a dictionary. Its history is a list; a position is a place in it."""

    def __init__(self, *items: Item) -> None:
        self.items = {item.id: item for item in items}
        self.history: list[str] = []
        self.forgotten = 0
        self.away = False
        self.attempts = 0
        self.loads = 0

    def put(self, item: Item) -> None:
        self.items[item.id] = item
        self.history.append(item.id)

    def remove(self, item: Item) -> None:
        del self.items[item.id]
        self.history.append(item.id)

    async def position(self) -> object:
        self._answer()
        return len(self.history)

    async def everything(self) -> AsyncGenerator[Sequence[Entry], None]:
        self._answer()
        self.loads += 1
        for item in list(self.items.values()):
            yield [entry(item)]

    async def changes(self, since: object) -> AsyncGenerator[Changes, None]:
        self.attempts += 1
        assert isinstance(since, int)
        while True:
            self._answer()
            if since < self.forgotten:
                raise HistoryLost
            ids, since = frozenset(self.history[since:]), len(self.history)
            yield Changes(ids, since, quiet=not ids)
            await asyncio.sleep(0.001)

    async def present(self, item_ids: Sequence[str]) -> AsyncGenerator[Sequence[Entry], None]:
        self._answer()
        for item_id in item_ids:
            if item_id in self.items:
                yield [entry(self.items[item_id])]

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("the database is away")


def item(number: int, **fields: object) -> Item:
    sent = draft(number, **fields)
    return Item(sent.id, sent.content, NOW, NOW, "etag")


def entry(item: Item) -> Entry:
    return Entry(item.id, message_of(item).SerializeToString())


@asynccontextmanager
async def following(feed: ScriptedFeed) -> AsyncIterator[CatalogFollower]:
    catalog = CatalogFollower(feed)
    await catalog.load()
    async with running(catalog):
        yield catalog


@asynccontextmanager
async def running(catalog: CatalogFollower) -> AsyncIterator[None]:
    task = asyncio.create_task(catalog.follow())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def titles(catalog: CatalogFollower) -> set[str]:
    return {catalog.snapshot.item(row).title for row in range(len(catalog.snapshot))}


async def test_before_the_first_load_the_catalog_is_empty_and_after_it_whole() -> None:
    catalog = CatalogFollower(ScriptedFeed(item(1), item(2)))
    assert len(catalog.snapshot) == 0
    await catalog.load()
    assert titles(catalog) == {"Track 1", "Track 2"}


async def test_load_while_the_database_is_away_is_unavailable() -> None:
    feed = ScriptedFeed(item(1))
    feed.away = True
    with pytest.raises(Unavailable):
        await CatalogFollower(feed).load()


async def test_new_changed_and_deleted_items_show() -> None:
    feed = ScriptedFeed(item(1), item(2))
    async with following(feed) as catalog:
        feed.put(item(3))
        feed.put(item(1, title="changed"))
        feed.remove(item(2))
        await eventually(lambda: titles(catalog) == {"changed", "Track 3"})
        assert feed.loads == 1


async def test_a_change_while_loading_is_not_missed() -> None:
    feed = ScriptedFeed(item(1))
    catalog = CatalogFollower(feed)
    whole = feed.everything

    async def everything() -> AsyncGenerator[Sequence[Entry], None]:
        async for batch in whole():
            yield batch
        feed.put(item(2))

    feed.everything = everything  # type: ignore[method-assign]
    await catalog.load()
    async with running(catalog):
        await eventually(lambda: titles(catalog) == {"Track 1", "Track 2"})


async def test_an_answer_keeps_the_snapshot_it_began_with() -> None:
    feed = ScriptedFeed(item(1))
    async with following(feed) as catalog:
        kept = catalog.snapshot
        feed.remove(item(1))
        await eventually(lambda: len(catalog.snapshot) == 0)
        assert kept.item(0).title == "Track 1"


async def test_lost_history_is_made_good_by_loading_everything() -> None:
    feed = ScriptedFeed(item(1), item(2))
    async with following(feed) as catalog:
        feed.remove(item(1))
        feed.put(item(3))
        feed.forgotten = len(feed.history)
        await eventually(lambda: titles(catalog) == {"Track 2", "Track 3"})
        feed.put(item(4))
        await eventually(lambda: titles(catalog) == {"Track 2", "Track 3", "Track 4"})


async def test_while_the_database_is_away_the_last_snapshot_stays_and_what_was_missed_shows_after() -> None:
    feed = ScriptedFeed(item(1))
    async with following(feed) as catalog:
        feed.away = True
        feed.put(item(2))
        feed.remove(item(1))
        before = feed.attempts
        await eventually(lambda: feed.attempts >= before + 3)
        assert titles(catalog) == {"Track 1"}
        feed.away = False
        await eventually(lambda: titles(catalog) == {"Track 2"})
        assert feed.loads == 1


async def test_attempts_to_follow_grow_rarer_while_the_database_is_away() -> None:
    feed = ScriptedFeed()
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    catalog = CatalogFollower(feed, pause=pause)
    await catalog.load()
    feed.away = True
    async with running(catalog):
        await eventually(lambda: len(pauses) >= 10)
        assert pauses[:10] == sorted(pauses[:10])
        assert (pauses[0], pauses[9]) == (0.1, 2.0)


async def test_a_large_import_is_taken_in_as_a_whole_once_it_is_quiet() -> None:
    feed = ScriptedFeed()
    sizes = set()
    async with following(feed) as catalog:
        await eventually(lambda: feed.attempts == 1)
        for number in range(3_000):
            feed.put(item(number))
            if number % 100 == 0:
                await asyncio.sleep(0)
            sizes.add(len(catalog.snapshot))
        await eventually(lambda: len(catalog.snapshot) == 3_000)
    assert len(sizes) <= 5
