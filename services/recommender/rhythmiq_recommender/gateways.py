"""The other services of the mesh, behind recommend_ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import grpc

from rhythmiq.preference.v1 import preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.interceptors.errors import RemoteError
from rhythmiq_mesh.names import profile_name
from rhythmiq_recommender.environment_messages import value_of_reading
from rhythmiq_recommender.situation import DEFAULT_LEARNED_WEIGHT, Leaning, LeaningType, Listener, Reading

TIMEOUT: Final = 0.5
"""Seconds that an answer waits for one of these services before it goes without."""

PAGE_SIZE: Final = 200
"""At least as many as a profile can have preferences (100), so that one call lists them all."""

_NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND.value[0]


class ProfileListeners:
    """ProfileService as Listeners."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = TIMEOUT) -> None:
        self._stub = profile_pb2_grpc.ProfileServiceStub(channel)
        self._timeout = timeout

    async def listener(self, profile_id: str) -> Listener | None:
        request = profile_pb2.GetProfileRequest(name=profile_name(profile_id))
        try:
            profile = await invoke(self._stub.GetProfile, request, timeout=self._timeout, peer="profile")
        except RemoteError as error:
            if error.status.code == _NOT_FOUND:
                return None
            raise
        learned_weight = profile.learned_weight if profile.HasField("learned_weight") else DEFAULT_LEARNED_WEIGHT
        return Listener(profile.time_zone, learned_weight)


class PreferenceLeanings:
    """PreferenceService as Leanings."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = TIMEOUT) -> None:
        self._stub = preference_pb2_grpc.PreferenceServiceStub(channel)
        self._timeout = timeout

    async def leanings(self, profile_id: str) -> Sequence[Leaning]:
        request = preference_pb2.ListPreferencesRequest(parent=profile_name(profile_id), page_size=PAGE_SIZE)
        response = await invoke(self._stub.ListPreferences, request, timeout=self._timeout, peer="preference")
        return [
            Leaning(found.name, type_, found.value, found.weight, found.origin == _LEARNED)
            for found in response.preferences
            if (type_ := _TYPES.get(found.type)) is not None
        ]


_TYPES: Final[Mapping[int, LeaningType]] = {type_.value: type_ for type_ in LeaningType}
_LEARNED: Final = preference_pb2.Preference.LEARNED


class VariableReadings:
    """VariableService as Readings."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = TIMEOUT) -> None:
        self._stub = variable_pb2_grpc.VariableServiceStub(channel)
        self._timeout = timeout

    async def readings(self, profile_id: str) -> Sequence[Reading]:
        request = variable_pb2.GetEnvironmentRequest(name=f"{profile_name(profile_id)}/environment")
        response = await invoke(self._stub.GetEnvironment, request, timeout=self._timeout, peer="variable")
        readings: list[Reading] = []
        for value in response.values:
            found = value_of_reading(value.reading)
            if found is not None:
                age = value.age.seconds + value.age.nanos / 1e9
                readings.append(Reading(*found, age=age, lasts=_retention(value.reading) - age))
        return readings


def _retention(reading: variable_pb2.Reading) -> float:
    """Seconds from its observation to its expiry: both times are of the same clock."""
    expire, observe = reading.expire_time, reading.observe_time
    return expire.seconds - observe.seconds + (expire.nanos - observe.nanos) / 1e9
