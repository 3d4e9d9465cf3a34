"""Counts what other services keep below a profile, over gRPC.

The one call against the usual direction: the interface is profile's own (ProfileChildrenService), and the services that
have children implement it, so profile knows addresses but no other service's API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc
from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.names import profile_name
from rhythmiq_profile.model import ChildCount


class GrpcChildren:
    """Asks every service with second-level resources, all at once. `timeout` in seconds."""

    def __init__(self, channels: Sequence[grpc.aio.Channel], *, timeout: float = 3.0) -> None:
        self._stubs = [internal_pb2_grpc.ProfileChildrenServiceStub(channel) for channel in channels]
        self._timeout = timeout

    async def count(self, profile_id: str) -> list[ChildCount]:
        request = internal_pb2.CountProfileChildrenRequest(parent=profile_name(profile_id))
        answers = await asyncio.gather(
            *(invoke(stub.CountProfileChildren, request, timeout=self._timeout, peer="child") for stub in self._stubs)
        )
        return [ChildCount(kind.kind, kind.count) for answer in answers for kind in answer.kinds if kind.count]
