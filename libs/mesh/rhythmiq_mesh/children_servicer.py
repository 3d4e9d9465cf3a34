"""What a service with resources below profiles answers to the profile service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc
from rhythmiq_mesh.names import profile_id_of
from rhythmiq_mesh.server import Service


class ProfileChildrenServicer(internal_pb2_grpc.ProfileChildrenServiceServicer):
    """rhythmiq.profile.v1.ProfileChildrenService, for the profile service."""

    def __init__(self, kind: str, count: Callable[[str], Awaitable[int]]) -> None:
        self._kind, self._count = kind, count

    async def CountProfileChildren(
        self, request: internal_pb2.CountProfileChildrenRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> internal_pb2.CountProfileChildrenResponse:
        count = await self._count(profile_id_of(request.parent))
        kind = internal_pb2.CountProfileChildrenResponse.KindCount(kind=self._kind, count=count)
        return internal_pb2.CountProfileChildrenResponse(kinds=[kind] if count else [])


def children_service(kind: str, count: Callable[[str], Awaitable[int]]) -> Service:
    """Answers the profile service how many children of a kind (their collection in names) a profile has."""
    return Service(
        internal_pb2.DESCRIPTOR.services_by_name["ProfileChildrenService"],
        partial(internal_pb2_grpc.add_ProfileChildrenServiceServicer_to_server, ProfileChildrenServicer(kind, count)),
    )
