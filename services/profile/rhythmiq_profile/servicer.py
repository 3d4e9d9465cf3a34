"""Protobuf in, use case, protobuf out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2, profile_pb2_grpc
from rhythmiq_mesh.masks import merge
from rhythmiq_mesh.names import profile_id_of, profile_name
from rhythmiq_mesh.principal import current_principal
from rhythmiq_mesh.requests import request_key
from rhythmiq_mesh.times import set_timestamp
from rhythmiq_profile.model import Profile, State
from rhythmiq_profile.use_cases import CreateProfile, DeleteProfile, GetProfile, GetProfileState, UpdateProfile

Context = grpc.aio.ServicerContext[Any, Any]
_STATES = {State.ACTIVE: profile_pb2.Profile.ACTIVE, State.DELETING: profile_pb2.Profile.DELETING}
_EPOCH = datetime.fromtimestamp(0, UTC)


class ProfileServicer(profile_pb2_grpc.ProfileServiceServicer):
    """rhythmiq.profile.v1.ProfileService."""

    def __init__(self, create: CreateProfile, get: GetProfile, update: UpdateProfile, delete: DeleteProfile) -> None:
        self._create, self._get, self._update, self._delete = create, get, update, delete

    async def CreateProfile(self, request: profile_pb2.CreateProfileRequest, context: Context) -> profile_pb2.Profile:
        profile_id = current_principal().profile_id
        key = request_key(request, method="CreateProfile", parent=profile_name(profile_id))
        return to_proto(await self._create(from_proto(profile_id, request.profile), key))

    async def GetProfile(self, request: profile_pb2.GetProfileRequest, context: Context) -> profile_pb2.Profile:
        return to_proto(await self._get(current_principal().require_owner(request.name)))

    async def UpdateProfile(self, request: profile_pb2.UpdateProfileRequest, context: Context) -> profile_pb2.Profile:
        patch = request.profile
        profile_id = current_principal().require_owner(patch.name)

        def change(stored: Profile) -> Profile:
            merged = merge(to_proto(stored), patch, request.update_mask, field="profile")
            return replace(
                stored,
                display_name=merged.display_name,
                locale=merged.locale,
                time_zone=merged.time_zone,
                learned_weight=merged.learned_weight if merged.HasField("learned_weight") else None,
            )

        return to_proto(await self._update(profile_id, patch.etag, change))

    async def DeleteProfile(self, request: profile_pb2.DeleteProfileRequest, context: Context) -> Empty:
        await self._delete(current_principal().require_owner(request.name), request.etag)
        return Empty()


class ProfileInternalServicer(internal_pb2_grpc.ProfileInternalServiceServicer):
    """rhythmiq.profile.v1.ProfileInternalService, for the mesh only."""

    def __init__(self, state: GetProfileState) -> None:
        self._state = state

    async def GetProfileState(
        self, request: internal_pb2.GetProfileStateRequest, context: Context
    ) -> internal_pb2.GetProfileStateResponse:
        state = await self._state(profile_id_of(request.name))
        return internal_pb2.GetProfileStateResponse(
            state=_STATES[state] if state else profile_pb2.Profile.STATE_UNSPECIFIED
        )


def from_proto(profile_id: str, message: profile_pb2.Profile) -> Profile:
    """A draft: state, times and etag are the use case's."""
    return Profile(
        id=profile_id,
        email=message.email,
        display_name=message.display_name,
        locale=message.locale,
        time_zone=message.time_zone,
        learned_weight=message.learned_weight if message.HasField("learned_weight") else None,
        state=State.ACTIVE,
        create_time=_EPOCH,
        update_time=_EPOCH,
        etag="",
    )


def to_proto(profile: Profile) -> profile_pb2.Profile:
    """The API's view of a profile."""
    message = profile_pb2.Profile(
        name=profile.name,
        uid=profile.id,
        email=profile.email,
        display_name=profile.display_name,
        locale=profile.locale,
        time_zone=profile.time_zone,
        learned_weight=profile.learned_weight,
        state=_STATES[profile.state],
        etag=profile.etag,
    )
    set_timestamp(message.create_time, profile.create_time)
    set_timestamp(message.update_time, profile.update_time)
    return message
