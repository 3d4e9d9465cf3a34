"""Protobuf in, use case, protobuf out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from rhythmiq.recommender.v1 import interaction_pb2, interaction_pb2_grpc
from rhythmiq.type.v1 import erasure_pb2
from rhythmiq.variable.v1 import internal_pb2 as erasure_service_pb2
from rhythmiq.variable.v1 import internal_pb2_grpc as erasure_service_pb2_grpc
from rhythmiq_mesh.names import profile_id_of
from rhythmiq_mesh.principal import Principal, current_principal
from rhythmiq_mesh.requests import request_key
from rhythmiq_recommender.interactions.messages import draft_of, kind_of, message_of, receipt, span_of
from rhythmiq_recommender.interactions.model import COLLECTION, Draft
from rhythmiq_recommender.interactions.use_cases import (
    EraseInteractions,
    ListInteractions,
    RecordInteractions,
    RecordStream,
    ScrubKind,
)

Context = grpc.aio.ServicerContext[Any, Any]


class InteractionServicer(interaction_pb2_grpc.InteractionServiceServicer):
    """rhythmiq.recommender.v1.InteractionService."""

    def __init__(
        self,
        *,
        record: RecordInteractions,
        record_stream: RecordStream,
        list_: ListInteractions,
        erase: EraseInteractions,
    ) -> None:
        self._record, self._record_stream, self._list, self._erase = record, record_stream, list_, erase

    async def RecordInteraction(
        self, request: interaction_pb2.RecordInteractionRequest, context: Context
    ) -> interaction_pb2.Interaction:
        profile_id = current_principal().require_owner(request.parent)
        key = request_key(request, method="RecordInteraction", parent=request.parent)
        recorded = await self._record(profile_id, [draft_of(request.interaction)], key, batch=False)
        return message_of(recorded.interactions[0])

    async def BatchRecordInteractions(
        self, request: interaction_pb2.BatchRecordInteractionsRequest, context: Context
    ) -> interaction_pb2.BatchRecordInteractionsResponse:
        profile_id = current_principal().require_owner(request.parent)
        key = request_key(request, method="BatchRecordInteractions", parent=request.parent)
        recorded = await self._record(profile_id, [draft_of(each) for each in request.interactions], key, batch=True)
        return interaction_pb2.BatchRecordInteractionsResponse(
            interactions=[message_of(each) for each in recorded.interactions], recorded_count=recorded.new
        )

    async def StreamInteractions(
        self, request_iterator: AsyncIterator[interaction_pb2.StreamInteractionsRequest], context: Context
    ) -> interaction_pb2.StreamInteractionsResponse:
        principal = current_principal()
        tally = await self._record_stream(principal.profile_id, _messages(principal, request_iterator))
        return interaction_pb2.StreamInteractionsResponse(recorded_count=tally.new, duplicate_count=tally.duplicates)

    async def ListInteractions(
        self, request: interaction_pb2.ListInteractionsRequest, context: Context
    ) -> interaction_pb2.ListInteractionsResponse:
        profile_id = current_principal().require_owner(request.parent)
        page, token = await self._list(profile_id, span_of(request), request.page_size, request.page_token)
        return interaction_pb2.ListInteractionsResponse(
            interactions=[message_of(each) for each in page], next_page_token=token
        )

    async def EraseInteractions(
        self, request: interaction_pb2.EraseInteractionsRequest, context: Context
    ) -> erasure_pb2.ErasureReceipt:
        profile_id = current_principal().require_owner(request.parent)
        return receipt(request.parent, COLLECTION, *await self._erase(profile_id))


class ErasureServicer(erasure_service_pb2_grpc.VariableErasureServiceServicer):
    """rhythmiq.variable.v1.VariableErasureService, for the variable service."""

    def __init__(self, scrub: ScrubKind) -> None:
        self._scrub = scrub

    async def EraseVariableKind(
        self, request: erasure_service_pb2.EraseVariableKindRequest, context: Context
    ) -> erasure_service_pb2.EraseVariableKindResponse:
        kind = kind_of(request.kind)
        count = await self._scrub(profile_id_of(request.parent), kind)
        erased = erasure_pb2.ErasureReceipt.Erased(what=f"{COLLECTION}.environment:{kind}", count=count)
        return erasure_service_pb2.EraseVariableKindResponse(erased=[erased])


async def _messages(
    principal: Principal, requests: AsyncIterator[interaction_pb2.StreamInteractionsRequest]
) -> AsyncIterator[Sequence[Draft]]:
    async for request in requests:
        principal.require_owner(request.parent)
        yield [draft_of(each) for each in request.interactions]
