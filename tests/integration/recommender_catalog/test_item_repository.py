"""What every ItemRepository promises, checked in memory and on MongoDB alike."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from drafts import Item, draft, everything_known
from items_in_memory import InMemoryItems

from rhythmiq_mesh.clocks import SystemClock
from rhythmiq_mesh.errors import EtagMismatch, InvalidArgument
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_mesh.paging import PageTokens
from rhythmiq_recommender.item_messages import draft_of
from rhythmiq_recommender.model import Draft, ImportSummary, ItemNotFound, ItemQuery, Kind
from rhythmiq_recommender.mongo import MongoItems
from rhythmiq_recommender.ports import ItemRepository
from rhythmiq_recommender.use_cases import DeleteItem, GetItem, ListItems, StoreItems

NOW = SystemClock().now()
TOKENS = PageTokens(b"a key for tests")


@pytest.fixture(params=["memory", "mongo"])
async def items(
    request: pytest.FixtureRequest, mongo_uri: str, mongo_database_name: str
) -> AsyncIterator[ItemRepository]:
    if request.param == "memory":
        yield InMemoryItems()
        return
    async with connect(mongo_uri, app="test") as client:
        repository = MongoItems(database(client, mongo_database_name))
        await repository.ensure_indexes()
        await repository.ensure_indexes()
        yield repository
        await client.drop_database(mongo_database_name)


async def store(items: ItemRepository, *drafts: Draft) -> ImportSummary:
    summary = ImportSummary()
    await StoreItems(items, SystemClock())(drafts, summary)
    return summary


def counts(summary: ImportSummary) -> tuple[int, int, int]:
    return summary.created, summary.updated, summary.unchanged


async def test_a_new_item_is_stored_whole(items: ItemRepository) -> None:
    sent = draft_of(everything_known())
    assert await items.upsert([sent], NOW) == [None]
    stored = await GetItem(items)(sent.id)
    assert (stored.create_time, stored.update_time) == (NOW, NOW)
    assert stored.content == sent.content


async def test_an_unchanged_item_keeps_its_etag_and_times(items: ItemRepository) -> None:
    sent = draft(1)
    await items.upsert([sent], NOW)
    first = await items.get(sent.id)
    assert await items.upsert([sent], NOW + timedelta(hours=1)) == [sent.digest]
    assert await items.get(sent.id) == first


async def test_a_changed_item_gets_a_new_etag_and_keeps_its_create_time(items: ItemRepository) -> None:
    old, new = draft(1, genres=["pop"]), draft(1)
    later = NOW + timedelta(hours=1)
    await items.upsert([old], NOW)
    first = await GetItem(items)(old.id)
    assert await items.upsert([new], later) == [old.digest]
    second = await GetItem(items)(old.id)
    assert (second.create_time, second.update_time) == (NOW, later)
    assert second.etag != first.etag
    assert second.content == new.content
    assert await items.page(ItemQuery(genre="pop"), after="", limit=10) == []


async def test_new_changed_and_unchanged_items_in_one_batch_are_each_counted_once(items: ItemRepository) -> None:
    await store(items, *(draft(number) for number in range(10)))
    batch = [draft(number) for number in range(4)]
    batch += [draft(number, title="changed") for number in range(4, 10)]
    batch += [draft(number) for number in range(10, 13)]
    assert counts(await store(items, *batch)) == (3, 6, 4)


async def test_of_two_versions_in_one_batch_the_last_wins_and_both_are_counted(items: ItemRepository) -> None:
    assert counts(await store(items, draft(1, title="a"), draft(2), draft(1, title="b"))) == (2, 1, 0)
    assert (await GetItem(items)(draft(1).id)).content.title == "b"
    assert counts(await store(items, draft(1, title="b"), draft(1, title="b"))) == (0, 0, 2)


async def test_imports_of_the_same_items_at_once_leave_one_of_each_and_exact_totals(items: ItemRepository) -> None:
    batch = [draft(number) for number in range(300)]
    halves = [batch, batch[::-1], batch[150:] + batch[:150]]
    totals = [counts(summary) for summary in await asyncio.gather(*(store(items, *half) for half in halves))]
    assert [sum(column) for column in zip(*totals, strict=True)] == [300, 0, 600]
    assert len(await items.page(ItemQuery(), after="", limit=1000)) == 300


async def test_concurrent_changes_of_the_same_items_are_all_counted(items: ItemRepository) -> None:
    await store(items, *(draft(number) for number in range(50)))
    rounds = [[draft(number, title=f"round {turn}") for number in range(50)] for turn in range(4)]
    totals = [counts(summary) for summary in await asyncio.gather(*(store(items, *batch) for batch in rounds))]
    assert [sum(column) for column in zip(*totals, strict=True)] == [0, 200, 0]
    titles = {item.content.title for item in await items.page(ItemQuery(), after="", limit=100)}
    assert titles <= {f"round {turn}" for turn in range(4)}


async def test_paging_reaches_each_item_exactly_once_in_order_of_id(items: ItemRepository) -> None:
    drafts = [draft(number) for number in range(25)]
    await store(items, *drafts)
    seen, token, pages = [], "", 0
    while True:
        page, token = await ListItems(items, TOKENS)(ItemQuery(), 7, token)
        seen += [item.id for item in page]
        pages += 1
        if not token:
            break
    assert seen == sorted(sent.id for sent in drafts)
    assert pages == 4


async def test_an_item_added_or_deleted_while_paging_disturbs_no_other(items: ItemRepository) -> None:
    drafts = sorted((draft(number) for number in range(20)), key=lambda sent: sent.id)
    await store(items, *drafts[:10], *drafts[11:])
    first, token = await ListItems(items, TOKENS)(ItemQuery(), 8, "")
    await DeleteItem(items)(first[-1].id, "")
    await store(items, drafts[10])
    rest, token = await ListItems(items, TOKENS)(ItemQuery(), 100, token)
    assert [item.id for item in (*first, *rest)] == [sent.id for sent in drafts]
    assert token == ""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ItemQuery(genre="ÉLECTRONIQUE"), {"test:a"}),
        (ItemQuery(genre="hip hop"), {"test:a", "test:b"}),
        (ItemQuery(artist="STRASSE"), {"test:b"}),
        (ItemQuery(artist="björk", genre="hip HOP"), {"test:a"}),
        (ItemQuery(kind=Kind.PODCAST_EPISODE), {"test:c"}),
        (ItemQuery(kind=Kind.TRACK, genre="none"), set()),
        (ItemQuery(kind=Kind.SOUNDSCAPE), set()),
    ],
)
async def test_filters_compare_without_regard_to_case(
    items: ItemRepository, query: ItemQuery, expected: set[str]
) -> None:
    await store(
        items,
        draft("a", artists=["Björk"], genres=["électronique", "Hip Hop"]),
        draft("b", artists=["Straße"], genres=["HIP HOP", "hip hop"]),
        draft("c", kind=Item.PODCAST_EPISODE),
    )
    found = Counter(item.content.external_id for item in await items.page(query, after="", limit=10))
    assert found == Counter(expected)


async def test_a_token_of_another_query_or_altered_is_refused(items: ItemRepository) -> None:
    await store(items, *(draft(number, genres=["pop"]) for number in range(3)))
    listed = ListItems(items, TOKENS)
    _, token = await listed(ItemQuery(genre="pop"), 1, "")
    altered = ("A" if token[0] != "A" else "B") + token[1:]
    for query, given in ((ItemQuery(), token), (ItemQuery(genre="rock"), token), (ItemQuery(genre="pop"), altered)):
        with pytest.raises(InvalidArgument) as refused:
            await listed(query, 1, given)
        assert refused.value.reason == "PAGE_TOKEN_INVALID"


async def test_delete_takes_only_the_version_it_was_asked_to(items: ItemRepository) -> None:
    sent = draft(1)
    await store(items, sent)
    with pytest.raises(EtagMismatch):
        await DeleteItem(items)(sent.id, "stale")
    await DeleteItem(items)(sent.id, (await GetItem(items)(sent.id)).etag)
    with pytest.raises(ItemNotFound):
        await DeleteItem(items)(sent.id, "")
    assert counts(await store(items, sent)) == (1, 0, 0)


async def test_imports_and_deletes_of_one_item_at_once_end_in_one_of_the_two(items: ItemRepository) -> None:
    sent = [draft(1, title=f"{turn}") for turn in range(10)]

    async def delete() -> None:
        for _ in range(10):
            stored = await items.get(sent[0].id)
            if stored is not None:
                await items.delete(stored.id, expected_etag=stored.etag)

    async def write() -> ImportSummary:
        summary = ImportSummary()
        for version in sent:
            await StoreItems(items, SystemClock())([version], summary)
        return summary

    summary, _ = await asyncio.gather(write(), delete())
    assert summary.created >= 1
    assert sum(counts(summary)) == len(sent)
    assert len(await items.page(ItemQuery(), after="", limit=10)) <= 1
