"""How a service with resources below a profile keeps their parent: the guard against orphans.

A child is inserted first and its profile read afterwards: unless that is ACTIVE, the child is taken back. Profile's delete
turns DELETING before it counts children, so one of the two always sees the other.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import grpc
from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2

from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.errors import FailedPrecondition, NotFound
from rhythmiq_mesh.names import profile_name


class ProfileState(Enum):
    """What a parent's state means for its children."""

    ABSENT = 0
    ACTIVE = 1
    DELETING = 2


class Profiles(Protocol):
    """Tells a profile's state."""

    async def state(self, profile_id: str) -> ProfileState:
        """Raises Unavailable when it cannot be told."""
        ...


class GrpcProfiles:
    """Asks the profile service."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = 2.0) -> None:
        self._stub = internal_pb2_grpc.ProfileInternalServiceStub(channel)
        self._timeout = timeout

    async def state(self, profile_id: str) -> ProfileState:
        response = await invoke(
            self._stub.GetProfileState,
            internal_pb2.GetProfileStateRequest(name=profile_name(profile_id)),
            timeout=self._timeout,
            peer="profile",
        )
        match response.state:
            case profile_pb2.Profile.ACTIVE:
                return ProfileState.ACTIVE
            case profile_pb2.Profile.DELETING:
                return ProfileState.DELETING
            case _:
                return ProfileState.ABSENT


def refuse_unless_active(state: ProfileState, profile_id: str) -> None:
    """Raises NotFound (PROFILE_NOT_FOUND) or FailedPrecondition (PROFILE_NOT_ACTIVE)."""
    name = profile_name(profile_id)
    if state is ProfileState.ABSENT:
        raise NotFound(
            f"{name} does not exist: create the profile first",
            resource_type="rhythmiq.dev/Profile",
            resource_name=name,
            reason="PROFILE_NOT_FOUND",
        )
    if state is ProfileState.DELETING:
        raise FailedPrecondition(
            f"{name} is being deleted: nothing can be created below it", reason="PROFILE_NOT_ACTIVE"
        )
