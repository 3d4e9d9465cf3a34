"""rhythmiq.mesh.v1.ChangeFeedService, for services of the mesh: what a service offers, and how another follows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc

from rhythmiq.mesh.v1 import changes_pb2, changes_pb2_grpc
from rhythmiq_mesh.change_feed import ChangeFeed
from rhythmiq_mesh.errors import Unavailable
from rhythmiq_mesh.server import Service


class ChangeFeedServicer(changes_pb2_grpc.ChangeFeedServiceServicer):
    """Any number of watchers share one feed."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed

    async def WatchChanges(
        self, request: changes_pb2.WatchChangesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[changes_pb2.WatchChangesResponse]:
        async with aclosing(self._feed.watch()) as watch:
            async for profile_ids in watch:
                yield changes_pb2.WatchChangesResponse(profile_ids=profile_ids)


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
        call = stub.WatchChanges(changes_pb2.WatchChangesRequest())
        try:
            async for message in call:
                yield message.profile_ids
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"changes are not told: {error.code().name}", reason="CHANGES_UNAVAILABLE") from error
        finally:
            call.cancel()

    return watch
