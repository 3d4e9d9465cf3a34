"""The variable service as Surroundings."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import grpc

from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.names import profile_name
from rhythmiq_recommender.environment import settle
from rhythmiq_recommender.environment_messages import value_of_reading
from rhythmiq_recommender.interactions.messages import kind_of
from rhythmiq_recommender.interactions.model import Shared
from rhythmiq_recommender.situation import Reading

TIMEOUT: Final = 0.5
"""Seconds that a recording waits for it before it goes without surroundings."""


class VariableSurroundings:
    """GetEnvironment tells both: the kinds that are shared, with or without a reading, and the readings."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = TIMEOUT) -> None:
        self._stub = variable_pb2_grpc.VariableServiceStub(channel)
        self._timeout = timeout

    async def shared(self, profile_id: str, now: datetime) -> Shared:
        request = variable_pb2.GetEnvironmentRequest(name=f"{profile_name(profile_id)}/environment")
        response = await invoke(self._stub.GetEnvironment, request, timeout=self._timeout, peer="variable")
        kinds = {kind_of(number) for number in response.missing_kinds}
        readings: list[Reading] = []
        for value in response.values:
            kinds.add(kind_of(value.reading.kind))
            if (found := value_of_reading(value.reading)) is not None:
                readings.append(Reading(*found, age=value.age.seconds + value.age.nanos / 1e9))
        # What is too old to recommend by is too old to learn from.
        used, _ = settle(readings, {}, "", now)
        return Shared(frozenset(kinds), {kind: found.value for kind, found in used.items()}, now)
