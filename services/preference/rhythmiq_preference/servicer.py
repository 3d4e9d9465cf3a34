"""Protobuf in, use case, protobuf out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc, preference_pb2, preference_pb2_grpc
from rhythmiq_mesh.errors import InvalidArgument
from rhythmiq_mesh.masks import merge
from rhythmiq_mesh.names import child_id_of, profile_id_of
from rhythmiq_mesh.principal import current_principal
from rhythmiq_mesh.requests import request_key
from rhythmiq_mesh.times import set_timestamp
from rhythmiq_preference.model import Evidence, Origin, Preference, Type
from rhythmiq_preference.use_cases import (
    CreatePreference,
    DeletePreference,
    GetPreference,
    ListPreferences,
    UpdatePreference,
    WriteLearnedPreferences,
)

Context = grpc.aio.ServicerContext[Any, Any]
_TYPE_NUMBERS = {type_: preference_pb2.Preference.Type.Value(type_.name) for type_ in Type}
_ORIGIN_NUMBERS = {origin: preference_pb2.Preference.Origin.Value(origin.name) for origin in Origin}
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class PreferenceServicer(preference_pb2_grpc.PreferenceServiceServicer):
    """rhythmiq.preference.v1.PreferenceService."""

    create: CreatePreference
    get: GetPreference
    list: ListPreferences
    update: UpdatePreference
    delete: DeletePreference

    async def CreatePreference(
        self, request: preference_pb2.CreatePreferenceRequest, context: Context
    ) -> preference_pb2.Preference:
        profile_id = current_principal().require_owner(request.parent)
        key = request_key(request, method="CreatePreference", parent=request.parent)
        return to_proto(await self.create(from_proto(profile_id, request.preference), key))

    async def GetPreference(
        self, request: preference_pb2.GetPreferenceRequest, context: Context
    ) -> preference_pb2.Preference:
        profile_id = current_principal().require_owner(request.name)
        return to_proto(await self.get(profile_id, child_id_of(request.name)))

    async def ListPreferences(
        self, request: preference_pb2.ListPreferencesRequest, context: Context
    ) -> preference_pb2.ListPreferencesResponse:
        profile_id = current_principal().require_owner(request.parent)
        page, token = await self.list(profile_id, request.page_size, request.page_token)
        return preference_pb2.ListPreferencesResponse(
            preferences=[to_proto(preference) for preference in page], next_page_token=token
        )

    async def UpdatePreference(
        self, request: preference_pb2.UpdatePreferenceRequest, context: Context
    ) -> preference_pb2.Preference:
        patch = request.preference
        profile_id = current_principal().require_owner(patch.name)

        def change(stored: Preference) -> Preference:
            merged = merge(to_proto(stored), patch, request.update_mask, field="preference")
            return replace(stored, value=merged.value, weight=merged.weight)

        return to_proto(await self.update(profile_id, child_id_of(patch.name), patch.etag, change))

    async def DeletePreference(self, request: preference_pb2.DeletePreferenceRequest, context: Context) -> Empty:
        profile_id = current_principal().require_owner(request.name)
        await self.delete(profile_id, child_id_of(request.name), request.etag)
        return Empty()


@dataclass(frozen=True)
class PreferenceInternalServicer(internal_pb2_grpc.PreferenceInternalServiceServicer):
    """rhythmiq.preference.v1.PreferenceInternalService, for the mesh only."""

    write_learned: WriteLearnedPreferences

    async def BatchWriteLearnedPreferences(
        self, request: internal_pb2.BatchWriteLearnedPreferencesRequest, context: Context
    ) -> internal_pb2.BatchWriteLearnedPreferencesResponse:
        profile_id = profile_id_of(request.parent)
        drafts = [
            replace(from_proto(profile_id, preference), evidence=evidence_of(preference, f"preferences[{index}]"))
            for index, preference in enumerate(request.preferences)
        ]
        key = request_key(request, method="BatchWriteLearnedPreferences", parent=request.parent)
        written = await self.write_learned(profile_id, drafts, key, replace=request.replace)
        return internal_pb2.BatchWriteLearnedPreferencesResponse(
            preferences=[to_proto(preference) for preference in written.preferences],
            kept_set_count=written.kept_set_count,
            left_out_count=written.left_out_count,
            deleted_by_listener_count=written.deleted_by_listener_count,
            removed_count=written.removed_count,
        )


def from_proto(profile_id: str, message: preference_pb2.Preference) -> Preference:
    """A draft: id, origin, times and etag are the use case's, and a listener's words are no evidence."""
    return Preference(
        id="",
        profile_id=profile_id,
        type=Type[preference_pb2.Preference.Type.Name(message.type)],
        value=message.value,
        weight=message.weight,
        origin=Origin.SET,
        create_time=_EPOCH,
        update_time=_EPOCH,
        etag="",
    )


def evidence_of(message: preference_pb2.Preference, field: str) -> Evidence:
    """What a learned preference rests on, as the mesh tells it; kept to the millisecond. Raises InvalidArgument."""
    time = None
    if message.HasField("evidence_time"):
        seconds, nanos = message.evidence_time.seconds, message.evidence_time.nanos
        try:
            time = _EPOCH + timedelta(seconds=seconds, milliseconds=nanos // 1_000_000)
        except OverflowError:
            raise InvalidArgument.of(f"{field}.evidence_time", "must be a time in the years 1 to 9999") from None
    return Evidence(message.confidence, message.evidence_count, time)


def to_proto(preference: Preference) -> preference_pb2.Preference:
    """The API's view of a preference."""
    message = preference_pb2.Preference(
        name=preference.name,
        uid=preference.id,
        type=_TYPE_NUMBERS[preference.type],
        value=preference.value,
        weight=preference.weight,
        origin=_ORIGIN_NUMBERS[preference.origin],
        etag=preference.etag,
        confidence=preference.evidence.confidence,
        evidence_count=preference.evidence.count,
    )
    if preference.evidence.time is not None:
        set_timestamp(message.evidence_time, preference.evidence.time)
    set_timestamp(message.create_time, preference.create_time)
    set_timestamp(message.update_time, preference.update_time)
    return message
