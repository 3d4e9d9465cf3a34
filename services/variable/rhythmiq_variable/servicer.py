"""Protobuf in, use case, protobuf out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import grpc

from rhythmiq.type.v1.erasure_pb2 import ErasureReceipt
from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh.masks import merge
from rhythmiq_mesh.names import child_id_of
from rhythmiq_mesh.paging import PageTokens, Place
from rhythmiq_mesh.principal import Principal, current_principal
from rhythmiq_mesh.requests import request_key
from rhythmiq_variable.messages import (
    draft_of,
    environment_message,
    kind_of,
    reading_message,
    receipt_message,
    retention_of,
    time_of,
    variable_message,
)
from rhythmiq_variable.model import Draft, Reading, Span, Variable
from rhythmiq_variable.recording import RecordReadings, RecordStream
from rhythmiq_variable.use_cases import (
    CreateVariable,
    DeleteVariable,
    GetEnvironment,
    GetVariable,
    ListReadings,
    ListVariables,
    UpdateVariable,
)

Context = grpc.aio.ServicerContext[Any, Any]


class VariableServicer(variable_pb2_grpc.VariableServiceServicer):
    """rhythmiq.variable.v1.VariableService."""

    def __init__(
        self,
        *,
        create: CreateVariable,
        get: GetVariable,
        list_: ListVariables,
        update: UpdateVariable,
        delete: DeleteVariable,
        record: RecordReadings,
        record_stream: RecordStream,
        list_readings: ListReadings,
        environment: GetEnvironment,
        tokens: PageTokens,
    ) -> None:
        self._create, self._get, self._list, self._update, self._delete = create, get, list_, update, delete
        self._record, self._record_stream, self._list_readings = record, record_stream, list_readings
        self._environment, self._tokens = environment, tokens

    async def CreateVariable(
        self, request: variable_pb2.CreateVariableRequest, context: Context
    ) -> variable_pb2.Variable:
        profile_id = current_principal().require_owner(request.parent)
        draft = request.variable
        key = request_key(request, method="CreateVariable", parent=request.parent)
        created = await self._create(profile_id, kind_of(draft.kind), draft.consent_version, retention_of(draft), key)
        return variable_message(created)

    async def GetVariable(self, request: variable_pb2.GetVariableRequest, context: Context) -> variable_pb2.Variable:
        profile_id = current_principal().require_owner(request.name)
        return variable_message(await self._get(profile_id, child_id_of(request.name)))

    async def ListVariables(
        self, request: variable_pb2.ListVariablesRequest, context: Context
    ) -> variable_pb2.ListVariablesResponse:
        profile_id = current_principal().require_owner(request.parent)
        query, fetch = ("ListVariables", request.parent), partial(self._list, profile_id)
        page, token = await self._tokens.page(query, request.page_size, request.page_token, fetch, _variable_place)
        return variable_pb2.ListVariablesResponse(
            variables=[variable_message(variable) for variable in page], next_page_token=token
        )

    async def UpdateVariable(
        self, request: variable_pb2.UpdateVariableRequest, context: Context
    ) -> variable_pb2.Variable:
        patch = request.variable
        profile_id = current_principal().require_owner(patch.name)

        def change(stored: Variable) -> Variable:
            merged = merge(variable_message(stored), patch, request.update_mask, field="variable")
            return replace(stored, retention=retention_of(merged))

        return variable_message(await self._update(profile_id, child_id_of(patch.name), patch.etag, change))

    async def DeleteVariable(self, request: variable_pb2.DeleteVariableRequest, context: Context) -> ErasureReceipt:
        profile_id = current_principal().require_owner(request.name)
        receipt = await self._delete(profile_id, child_id_of(request.name), request.etag)
        return receipt_message(request.name, receipt)

    async def RecordReading(self, request: variable_pb2.RecordReadingRequest, context: Context) -> variable_pb2.Reading:
        profile_id = current_principal().require_owner(request.parent)
        key = request_key(request, method="RecordReading", parent=request.parent)
        recorded = await self._record(profile_id, [draft_of(request.reading, "reading")], key)
        return reading_message(recorded.readings[0])

    async def BatchRecordReadings(
        self, request: variable_pb2.BatchRecordReadingsRequest, context: Context
    ) -> variable_pb2.BatchRecordReadingsResponse:
        profile_id = current_principal().require_owner(request.parent)
        key = request_key(request, method="BatchRecordReadings", parent=request.parent)
        drafts = [draft_of(reading, f"readings[{index}]") for index, reading in enumerate(request.readings)]
        recorded = await self._record(profile_id, drafts, key)
        return variable_pb2.BatchRecordReadingsResponse(
            readings=[reading_message(reading) for reading in recorded.readings], recorded_count=recorded.new
        )

    async def StreamReadings(
        self, request_iterator: AsyncIterator[variable_pb2.StreamReadingsRequest], context: Context
    ) -> variable_pb2.StreamReadingsResponse:
        principal = current_principal()
        tally = await self._record_stream(principal.profile_id, _drafts(principal, request_iterator))
        return variable_pb2.StreamReadingsResponse(
            recorded_count=tally.new, duplicate_count=tally.duplicates, late_count=tally.late
        )

    async def ListReadings(
        self, request: variable_pb2.ListReadingsRequest, context: Context
    ) -> variable_pb2.ListReadingsResponse:
        profile_id = current_principal().require_owner(request.parent)
        span = _span(request)
        query = ("ListReadings", request.parent, span.start, span.end)
        fetch = partial(self._list_readings, profile_id, child_id_of(request.parent), span)
        page, token = await self._tokens.page(query, request.page_size, request.page_token, fetch, _reading_place)
        return variable_pb2.ListReadingsResponse(
            readings=[reading_message(reading) for reading in page], next_page_token=token
        )

    async def GetEnvironment(
        self, request: variable_pb2.GetEnvironmentRequest, context: Context
    ) -> variable_pb2.GetEnvironmentResponse:
        profile_id = current_principal().require_owner(request.name)
        return environment_message(request.name, await self._environment(profile_id))


def _variable_place(variable: Variable) -> Place:
    return variable.create_time, variable.id


def _reading_place(reading: Reading) -> Place:
    return reading.observe_time, reading.id


async def _drafts(
    principal: Principal, requests: AsyncIterator[variable_pb2.StreamReadingsRequest]
) -> AsyncIterator[Draft]:
    async for request in requests:
        principal.require_owner(request.parent)
        yield draft_of(request.reading, "reading")


def _span(request: variable_pb2.ListReadingsRequest) -> Span:
    # Readings are kept to the millisecond, so bounds between two milliseconds mean the next one.
    start = time_of(request.start_time, "start_time", up=True) if request.HasField("start_time") else None
    end = time_of(request.end_time, "end_time", up=True) if request.HasField("end_time") else None
    return Span(start, end)
