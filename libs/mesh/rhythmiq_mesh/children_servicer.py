"""What a service with resources below profiles answers to the profile service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import grpc

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc
from rhythmiq_mesh.names import profile_id_of
from rhythmiq_mesh.server import Service

Counts = Mapping[str, Callable[[str], Awaitable[int]]]
"""By kind of children (their collection in names): how many a profile has."""


class ProfileChildrenServicer(internal_pb2_grpc.ProfileChildrenServiceServicer):
    """rhythmiq.profile.v1.ProfileChildrenService, for the profile service."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    async def CountProfileChildren(
        self, request: internal_pb2.CountProfileChildrenRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> internal_pb2.CountProfileChildrenResponse:
        profile_id = profile_id_of(request.parent)
        found = await asyncio.gather(*(count(profile_id) for count in self._counts.values()))
        make = internal_pb2.CountProfileChildrenResponse.KindCount
        kinds = [make(kind=kind, count=count) for kind, count in zip(self._counts, found, strict=True) if count]
        return internal_pb2.CountProfileChildrenResponse(kinds=kinds)


def children_service(counts: Counts) -> Service:
    """Answers the profile service how many children of each kind a profile has."""
    return Service(
        internal_pb2.DESCRIPTOR.services_by_name["ProfileChildrenService"],
        partial(internal_pb2_grpc.add_ProfileChildrenServiceServicer_to_server, ProfileChildrenServicer(counts)),
    )
