"""The preference service as LearnedPreferences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import grpc

from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc, preference_pb2
from rhythmiq_mesh.channels import invoke
from rhythmiq_mesh.interceptors.errors import RemoteError
from rhythmiq_mesh.names import profile_name
from rhythmiq_mesh.times import timestamp
from rhythmiq_recommender.leanings.model import Learned
from rhythmiq_recommender.leanings.ports import Outcome

TIMEOUT: Final = 5.0
WRITE: Final = "rhythmiq.preference.v1.PreferenceInternalService/BatchWriteLearnedPreferences"
_NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND.value[0]
_NOT_ACTIVE: Final = grpc.StatusCode.FAILED_PRECONDITION.value[0]


class PreferenceService:
    """BatchWriteLearnedPreferences.

    Without a request_id: a batch that replaces everything may be repeated, and the record of a request would keep for
    a day what its listener may delete in that time.
    """

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = TIMEOUT) -> None:
        self._stub = internal_pb2_grpc.PreferenceInternalServiceStub(channel)
        self._timeout = timeout

    async def replace(self, profile_id: str, learned: Sequence[Learned]) -> Outcome:
        request = internal_pb2.BatchWriteLearnedPreferencesRequest(
            parent=profile_name(profile_id), preferences=map(_message, learned), replace=True
        )
        try:
            await invoke(self._stub.BatchWriteLearnedPreferences, request, timeout=self._timeout, peer="preference")
        except RemoteError as error:
            if error.status.code == _NOT_FOUND:
                return Outcome(exists=False, written=False)
            if error.status.code == _NOT_ACTIVE:
                return Outcome(exists=True, written=False)
            raise
        return Outcome(exists=True, written=True)


def _message(learned: Learned) -> preference_pb2.Preference:
    return preference_pb2.Preference(
        type=preference_pb2.Preference.Type.Value(learned.value.type.name),
        value=learned.value.name,
        weight=learned.weight,
        confidence=learned.confidence,
        evidence_count=learned.evidence,
        evidence_time=timestamp(datetime.fromtimestamp(learned.time, UTC)),
    )
