"""The profile service as a parent's keeper (see `parents`), over gRPC."""

from __future__ import annotations

import grpc

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2
from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.names import profile_name
from rhythmiq_mesh.parents import ProfileState

RETRIED = ["rhythmiq.profile.v1.ProfileInternalService/GetProfileState"]
"""What a channel to the profile service may ask again."""

_STATES = {
    profile_pb2.Profile.ACTIVE: ProfileState.ACTIVE,
    profile_pb2.Profile.DELETING: ProfileState.DELETING,
}


class GrpcProfiles:
    """Asks the profile service. `timeout` in seconds."""

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
        return _STATES.get(response.state, ProfileState.ABSENT)
