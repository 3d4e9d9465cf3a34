"""Erases what other services keep of readings, over gRPC.

A call against the usual direction: the interface is variable's own (VariableErasureService), and the services that keep
copies implement it, so variable knows addresses but no other service's API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc

from rhythmiq.variable.v1 import internal_pb2, internal_pb2_grpc
from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.errors import MeshError
from rhythmiq_mesh.names import profile_name
from rhythmiq_variable.messages import kind_number
from rhythmiq_variable.model import Erased, Kind

PATIENCE: Final = 60.0
"""Seconds that the largest erasure may take while nobody waits for its receipt."""


class GrpcCopies:
    """Asks every service that keeps copies, all at once. `timeout` in seconds."""

    def __init__(self, channels: Sequence[grpc.aio.Channel], *, timeout: float = 5.0) -> None:
        self._stubs = [internal_pb2_grpc.VariableErasureServiceStub(channel) for channel in channels]
        self._timeout = timeout

    async def erase(self, profile_id: str, kind: Kind) -> tuple[list[Erased], bool]:
        request = internal_pb2.EraseVariableKindRequest(parent=profile_name(profile_id), kind=kind_number(kind))
        answers = await asyncio.gather(
            *(
                invoke(stub.EraseVariableKind, request, timeout=self._timeout, peer="copy-keeping")
                for stub in self._stubs
            ),
            return_exceptions=True,
        )
        erased: list[Erased] = []
        for answer in answers:
            if isinstance(answer, internal_pb2.EraseVariableKindResponse):
                erased += [Erased(found.what, found.count) for found in answer.erased]
            elif not isinstance(answer, MeshError):
                raise answer
        return erased, not any(isinstance(answer, MeshError) for answer in answers)
