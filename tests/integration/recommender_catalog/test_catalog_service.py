from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from drafts import Item, everything_known, track
from eventually import eventually
from harness import metadata, profile_id, reason

from rhythmiq.recommender.v1 import item_pb2, item_pb2_grpc, recommender_pb2, recommender_pb2_grpc
from rhythmiq_mesh.principal import ADMIN_SCOPE
from rhythmiq_recommender.model import MAX_REJECTIONS, item_id

if TYPE_CHECKING:
    Stub = item_pb2_grpc.CatalogServiceAsyncStub

Code = grpc.StatusCode
ADMIN = metadata("operator", scope=ADMIN_SCOPE)
LISTENER = metadata("listener")


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return item_pb2_grpc.CatalogServiceStub(channel)


def batches(items: Iterable[item_pb2.Item], size: int = 1000, first: int = 0) -> list[item_pb2.ImportItemsRequest]:
    whole = list(items)
    return [
        item_pb2.ImportItemsRequest(items=whole[start : start + size], first_position=first + start if first else 0)
        for start in range(0, len(whole), size)
    ]


async def send(stub: Stub, *requests: item_pb2.ImportItemsRequest) -> item_pb2.ImportItemsResponse:
    return await stub.ImportItems(iter(requests), metadata=ADMIN, timeout=60)


def counts(response: item_pb2.ImportItemsResponse) -> tuple[int, int, int, int]:
    return response.created_count, response.updated_count, response.unchanged_count, response.rejected_count


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason(caught.value)


async def every_item(stub: Stub, **query: Any) -> list[item_pb2.Item]:
    items: list[item_pb2.Item] = []
    token = ""
    while True:
        request = item_pb2.ListItemsRequest(page_size=200, page_token=token, **query)
        page = await stub.ListItems(request, metadata=LISTENER)
        items += page.items
        token = page.next_page_token
        if not token:
            return items


async def recommended(channel: grpc.aio.Channel) -> set[str]:
    """Titles that a listener could be recommended, at most 200."""
    request = recommender_pb2.RecommendRequest(parent=f"profiles/{profile_id('listener')}", count=200)
    recommender = recommender_pb2_grpc.RecommenderServiceStub(channel)
    answer = await recommender.Recommend(request, metadata=LISTENER, timeout=10)
    return {recommendation.item.title for recommendation in answer.recommendations}


async def test_an_imported_item_is_told_as_it_was_sent(stub: Stub) -> None:
    sent = everything_known()
    assert counts(await send(stub, *batches([sent]))) == (1, 0, 0, 0)
    name = f"items/{item_id(sent.external_id)}"
    told = await stub.GetItem(item_pb2.GetItemRequest(name=name), metadata=LISTENER)
    assert (told.name, told.uid) == (name, item_id(sent.external_id))
    assert told.etag
    assert told.create_time.seconds > 0
    assert told.update_time == told.create_time
    for own in ("name", "uid", "create_time", "update_time", "etag"):
        told.ClearField(own)
    assert told == sent


async def test_importing_twice_changes_nothing_and_a_change_makes_a_new_version(stub: Stub) -> None:
    everything = [track(number, genres=["pop"]) for number in range(1500)]
    assert counts(await send(stub, *batches(everything))) == (1500, 0, 0, 0)
    before = await every_item(stub)
    assert counts(await send(stub, *batches(everything))) == (0, 0, 1500, 0)
    assert await every_item(stub) == before
    everything[7].title = "another"
    assert counts(await send(stub, *batches(everything))) == (0, 1, 1499, 0)
    [(old, new)] = [pair for pair in zip(before, await every_item(stub), strict=True) if pair[0] != pair[1]]
    assert (new.external_id, new.title) == ("test:7", "another")
    assert new.etag != old.etag
    assert new.create_time == old.create_time


async def test_sending_back_what_was_read_is_unchanged(stub: Stub) -> None:
    await send(stub, *batches([everything_known(), track(1)]))
    assert counts(await send(stub, *batches(await every_item(stub)))) == (0, 0, 2, 0)


async def test_bad_items_are_reported_by_position_and_the_others_stored(stub: Stub) -> None:
    bad_tempo = track("tempo")
    bad_tempo.features.tempo = 0
    nul = track("nul", links={"a\0": "https://example.org"})
    items = [track(1), track("untitled", title=""), track(2), bad_tempo, nul, track(3), Item(external_id="No Source")]
    answer = await send(stub, *batches(items, size=4, first=10))
    assert counts(answer) == (3, 0, 0, 4)
    assert [(found.position, found.external_id, found.field) for found in answer.rejections] == [
        (11, "test:untitled", "title"),
        (13, "test:tempo", "features.tempo"),
        (14, "test:nul", "links"),
        (16, "No Source", "external_id"),
    ]
    assert all(found.rule for found in answer.rejections)
    assert {item.external_id for item in await every_item(stub)} == {"test:1", "test:2", "test:3"}


async def test_positions_are_counted_over_the_stream_where_none_are_given(stub: Stub) -> None:
    answer = await send(stub, *batches([*(track(number) for number in range(1200)), track("x", title="")], size=500))
    assert [found.position for found in answer.rejections] == [1200]
    assert counts(answer) == (1200, 0, 0, 1)


async def test_only_the_first_rejections_are_named_and_a_long_id_is_cut(stub: Stub) -> None:
    answer = await send(stub, *batches([track("y" * 2000)] * (MAX_REJECTIONS + 20)))
    assert answer.rejected_count == MAX_REJECTIONS + 20
    assert len(answer.rejections) == MAX_REJECTIONS
    assert max(len(found.external_id) for found in answer.rejections) == 200


async def test_an_external_id_twice_in_one_batch_is_one_item_and_the_last_wins(stub: Stub) -> None:
    items = [track(1, title="first"), track(2), track(1, title="last"), track(1, title="")]
    answer = await send(stub, *batches(items))
    assert counts(answer) == (2, 1, 0, 1)
    assert {item.title for item in await every_item(stub)} == {"last", "Track 2"}


async def test_two_imports_of_the_same_file_at_once_leave_one_of_each_and_exact_totals(stub: Stub) -> None:
    everything = [track(number) for number in range(3000)]
    answers = await asyncio.gather(send(stub, *batches(everything)), send(stub, *batches(everything)))
    assert [sum(column) for column in zip(*map(counts, answers), strict=True)] == [3000, 0, 3000, 0]
    assert len(await every_item(stub)) == 3000


async def test_a_stream_that_breaks_off_keeps_what_came_before_and_can_be_sent_again(stub: Stub) -> None:
    good = batches([track(number) for number in range(1000)], size=500)
    broken = send(stub, good[0], item_pb2.ImportItemsRequest(), good[1])
    assert await refused(broken) == (Code.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert len(await every_item(stub)) == 500
    assert counts(await send(stub, *good)) == (500, 0, 500, 0)


async def test_more_than_a_thousand_items_in_one_message_are_refused(stub: Stub) -> None:
    request = item_pb2.ImportItemsRequest(items=[track(number) for number in range(1001)])
    assert await refused(send(stub, request)) == (Code.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert await every_item(stub) == []


async def test_an_import_of_nothing_counts_nothing(stub: Stub) -> None:
    assert counts(await send(stub)) == (0, 0, 0, 0)


async def test_only_an_administrator_writes_and_any_verified_caller_reads(stub: Stub) -> None:
    await send(stub, *batches([track(1)]))
    name = f"items/{item_id('test:1')}"
    denied = (Code.PERMISSION_DENIED, "ADMIN_REQUIRED")
    assert await refused(stub.ImportItems(iter(batches([track(2)])), metadata=LISTENER)) == denied
    assert await refused(stub.DeleteItem(item_pb2.DeleteItemRequest(name=name), metadata=LISTENER)) == denied
    absent = item_pb2.DeleteItemRequest(name=f"items/{item_id('test:none')}")
    assert await refused(stub.DeleteItem(absent, metadata=LISTENER)) == denied
    assert (await stub.GetItem(item_pb2.GetItemRequest(name=name), metadata=LISTENER)).title == "Track 1"
    for call in (
        stub.GetItem(item_pb2.GetItemRequest(name=name)),
        stub.ListItems(item_pb2.ListItemsRequest()),
        stub.DeleteItem(item_pb2.DeleteItemRequest(name=name)),
        stub.ImportItems(iter(batches([track(2)]))),
    ):
        assert (await refused(call))[0] == Code.UNAUTHENTICATED
    assert len(await every_item(stub)) == 1


async def test_delete_needs_the_present_etag_and_takes_the_item_away(stub: Stub) -> None:
    await send(stub, *batches([track(1), track(2)]))
    name = f"items/{item_id('test:1')}"
    stale = item_pb2.DeleteItemRequest(name=name, etag="stale")
    assert await refused(stub.DeleteItem(stale, metadata=ADMIN)) == (Code.ABORTED, "ETAG_MISMATCH")
    etag = (await stub.GetItem(item_pb2.GetItemRequest(name=name), metadata=ADMIN)).etag
    await stub.DeleteItem(item_pb2.DeleteItemRequest(name=name, etag=etag), metadata=ADMIN)
    gone = (Code.NOT_FOUND, "ITEM_NOT_FOUND")
    assert await refused(stub.GetItem(item_pb2.GetItemRequest(name=name), metadata=ADMIN)) == gone
    assert await refused(stub.DeleteItem(item_pb2.DeleteItemRequest(name=name), metadata=ADMIN)) == gone
    assert [item.title for item in await every_item(stub)] == ["Track 2"]


@pytest.mark.parametrize("name", ["items/1", "items/../x", "items/" + item_id("a:b").upper(), "tracks/x", ""])
async def test_a_malformed_name_is_refused(stub: Stub, name: str) -> None:
    assert (await refused(stub.GetItem(item_pb2.GetItemRequest(name=name), metadata=LISTENER)))[
        0
    ] == Code.INVALID_ARGUMENT


async def test_lists_page_through_a_filter_exactly_once_each(stub: Stub) -> None:
    pop = [track(number, genres=["Pop"], artists=["Ö"]) for number in range(450)]
    await send(stub, *batches([*pop, *(track(f"r{number}", genres=["rock"]) for number in range(50))]))
    found = await every_item(stub, genre="POP", artist="ö", kind=Item.TRACK)
    assert sorted(item.external_id for item in found) == sorted(item.external_id for item in pop)
    assert [item.uid for item in found] == sorted(item.uid for item in found)
    assert await every_item(stub, kind=Item.SOUNDSCAPE) == []


async def test_page_sizes_and_tokens_keep_their_rules(stub: Stub) -> None:
    await send(stub, *batches([track(number) for number in range(210)]))

    async def page(**fields: Any) -> item_pb2.ListItemsResponse:
        return await stub.ListItems(item_pb2.ListItemsRequest(**fields), metadata=LISTENER)

    assert len((await page()).items) == 50
    assert len((await page(page_size=100_000)).items) == 200
    token = (await page()).next_page_token
    assert (await refused(page(page_size=-1)))[0] == Code.INVALID_ARGUMENT
    for altered in ({"page_token": token[:-1]}, {"page_token": token, "genre": "pop"}, {"page_token": "nonsense"}):
        assert await refused(page(**altered)) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_both_replicas_recommend_what_one_imported_and_forget_what_one_deleted(
    two_replicas: tuple[grpc.aio.Channel, grpc.aio.Channel],
) -> None:
    one, other = two_replicas
    stub = item_pb2_grpc.CatalogServiceStub(one)
    await send(stub, *batches([track(1), track(2)]))
    for replica in (one, other):

        async def shown(replica: grpc.aio.Channel = replica) -> bool:
            return await recommended(replica) == {"Track 1", "Track 2"}

        await eventually(shown)
    await stub.DeleteItem(item_pb2.DeleteItemRequest(name=f"items/{item_id('test:1')}"), metadata=ADMIN)
    for replica in (one, other):

        async def forgotten(replica: grpc.aio.Channel = replica) -> bool:
            return await recommended(replica) == {"Track 2"}

        await eventually(forgotten)
