"""Protobuf in, use case, protobuf out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from rhythmiq.tunevector.v1 import tunevector_pb2, tunevector_pb2_grpc
from rhythmiq_mesh.masks import merge
from rhythmiq_mesh.names import child_id_of
from rhythmiq_mesh.principal import current_principal
from rhythmiq_mesh.requests import request_key
from rhythmiq_tunevector.messages import draft_of, environment_of, vector_message
from rhythmiq_tunevector.model import TuneVector
from rhythmiq_tunevector.tuning import TuneTuneVector
from rhythmiq_tunevector.use_cases import (
    CreateTuneVector,
    DeleteTuneVector,
    GetTuneVector,
    ListTuneVectors,
    UpdateTuneVector,
)

Context = grpc.aio.ServicerContext[Any, Any]


class TuneVectorServicer(tunevector_pb2_grpc.TuneVectorServiceServicer):
    """rhythmiq.tunevector.v1.TuneVectorService."""

    def __init__(
        self,
        create: CreateTuneVector,
        get: GetTuneVector,
        page: ListTuneVectors,
        update: UpdateTuneVector,
        delete: DeleteTuneVector,
        tune: TuneTuneVector,
    ) -> None:
        self._create, self._get, self._list = create, get, page
        self._update, self._delete, self._tune = update, delete, tune

    async def CreateTuneVector(
        self, request: tunevector_pb2.CreateTuneVectorRequest, context: Context
    ) -> tunevector_pb2.TuneVector:
        profile_id = current_principal().require_owner(request.parent)
        key = request_key(request, method="CreateTuneVector", parent=request.parent)
        return vector_message(await self._create(draft_of(profile_id, request.tune_vector), key))

    async def GetTuneVector(
        self, request: tunevector_pb2.GetTuneVectorRequest, context: Context
    ) -> tunevector_pb2.TuneVector:
        return vector_message(await self._get(*_own(request.name)))

    async def ListTuneVectors(
        self, request: tunevector_pb2.ListTuneVectorsRequest, context: Context
    ) -> tunevector_pb2.ListTuneVectorsResponse:
        profile_id = current_principal().require_owner(request.parent)
        page, token = await self._list(profile_id, request.page_size, request.page_token)
        return tunevector_pb2.ListTuneVectorsResponse(
            tune_vectors=[vector_message(vector) for vector in page], next_page_token=token
        )

    async def UpdateTuneVector(
        self, request: tunevector_pb2.UpdateTuneVectorRequest, context: Context
    ) -> tunevector_pb2.TuneVector:
        patch = request.tune_vector

        def change(stored: TuneVector) -> TuneVector:
            merged = merge(vector_message(stored), patch, request.update_mask, field="tune_vector")
            return replace(
                draft_of(stored.profile_id, merged),
                id=stored.id,
                items=stored.items,
                last_tuning=stored.last_tuning,
                create_time=stored.create_time,
            )

        return vector_message(await self._update(*_own(patch.name), patch.etag, change))

    async def DeleteTuneVector(self, request: tunevector_pb2.DeleteTuneVectorRequest, context: Context) -> Empty:
        await self._delete(*_own(request.name), request.etag)
        return Empty()

    async def TuneTuneVector(
        self, request: tunevector_pb2.TuneTuneVectorRequest, context: Context
    ) -> tunevector_pb2.TuneVector:
        seed = request.seed if request.HasField("seed") else None
        environment = environment_of(request.environment)
        return vector_message(await self._tune(*_own(request.name), request.etag, environment, seed))


def _own(name: str) -> tuple[str, str]:
    """The ids of profile and tune vector in a name below the caller's profile."""
    return current_principal().require_owner(name), child_id_of(name)
