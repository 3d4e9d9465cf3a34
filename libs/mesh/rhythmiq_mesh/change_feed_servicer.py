"""rhythmiq.mesh.v1.ChangeFeedService, for services of the mesh: what a service offers, and how another follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc

from rhythmiq.mesh.v1 import changes_pb2, changes_pb2_grpc
from rhythmiq_mesh.change_feed import SILENCE, ChangeFeed
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.server import Service


class ChangeFeedServicer(changes_pb2_grpc.ChangeFeedServiceServicer):
    """Any number of watchers share one feed."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed

    async def WatchChanges(
        self,
        request_iterator: AsyncIterator[changes_pb2.WatchChangesRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[changes_pb2.WatchChangesResponse]:
        async with aclosing(self._feed.watch()) as watch:
            async for profile_ids in watch:
                yield changes_pb2.WatchChangesResponse(profile_ids=profile_ids)
                if not await _acted_on(request_iterator):
                    return


async def _acted_on(requests: AsyncIterator[changes_pb2.WatchChangesRequest]) -> bool:
    """Whether the caller says so. Raises Unavailable where it says nothing for so long that its copies are void."""
    try:
        async with asyncio.timeout(SILENCE):
            return await anext(requests, None) is not None
    except TimeoutError:
        raise Unavailable("the watcher does not act on what it is told", reason="CHANGES_UNAVAILABLE") from None


def change_feed_service(feed: ChangeFeed) -> Service:
    """Offers the feed to other services. `feed.follow` belongs to the server's background."""
    return Service(
        changes_pb2.DESCRIPTOR.services_by_name["ChangeFeedService"],
        partial(changes_pb2_grpc.add_ChangeFeedServiceServicer_to_server, ChangeFeedServicer(feed)),
    )


def changes_at(channel: grpc.aio.Channel) -> Callable[[], AsyncGenerator[Sequence[str], None]]:
    """What begins a watch of the service behind the channel; see `ChangeFeed.watch`."""
    stub = changes_pb2_grpc.ChangeFeedServiceStub(channel)

    async def watch() -> AsyncGenerator[Sequence[str], None]:
        call = stub.WatchChanges()
        try:
            while isinstance(message := await call.read(), changes_pb2.WatchChangesResponse):
                yield message.profile_ids
                await call.write(changes_pb2.WatchChangesRequest())
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            # A call that has ended meanwhile is in no state to be written to.
            raise Unavailable("the service tells of no changes", reason="CHANGES_UNAVAILABLE") from error
        finally:
            call.cancel()

    return watch
