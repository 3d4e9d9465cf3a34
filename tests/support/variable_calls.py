"""The variable service as its callers see it, beside a profile service whose answers the test sets."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from harness import PAGE_TOKEN_KEY, metadata, profile_id, reason, serving, socket_address
from pydantic import SecretStr

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2
from rhythmiq.type.v1.erasure_pb2 import ErasureReceipt
from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_variable.bootstrap import bootstrap
from rhythmiq_variable.config import VariableSettings

if TYPE_CHECKING:
    Stub = variable_pb2_grpc.VariableServiceAsyncStub

Kind = variable_pb2.Variable


class Profiles(internal_pb2_grpc.ProfileInternalServiceServicer):
    """A profile service in which every profile is ACTIVE unless the test says otherwise."""

    def __init__(self) -> None:
        self.states: dict[str, profile_pb2.Profile.State.ValueType] = {}

    async def GetProfileState(
        self, request: internal_pb2.GetProfileStateRequest, context: object
    ) -> internal_pb2.GetProfileStateResponse:
        state = self.states.get(request.name, profile_pb2.Profile.ACTIVE)
        return internal_pb2.GetProfileStateResponse(state=state)


@dataclass
class ProfileService:
    """The running profile service."""

    address: str
    answers: Profiles
    server: grpc.aio.Server


@asynccontextmanager
async def profile_service() -> AsyncIterator[ProfileService]:
    """Runs it on a socket of its own."""
    answers, server, address = Profiles(), grpc.aio.server(), socket_address()
    internal_pb2_grpc.add_ProfileInternalServiceServicer_to_server(answers, server)
    server.add_insecure_port(address)
    await server.start()
    yield ProfileService(address, answers, server)
    await server.stop(None)


@asynccontextmanager
async def variable_service(mongo_uri: str, database: str, profile_address: str) -> AsyncIterator[grpc.aio.Channel]:
    """Runs the real service; yields a channel to it."""
    settings = VariableSettings(
        listen=socket_address(),
        mongo_uri=SecretStr(mongo_uri),
        mongo_database=database,
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        profile_address=profile_address,
        upkeep_seconds=0.1,
    )
    async with serving(bootstrap(settings)) as channel:
        yield channel


def stamp(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def ago(**span: float) -> datetime:
    """A time before the present, to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000) - timedelta(**span)


def reading(
    kind: variable_pb2.Variable.Kind.ValueType, at: datetime | None = None, source: str = "phone", **value: Any
) -> variable_pb2.Reading:
    return variable_pb2.Reading(kind=kind, observe_time=stamp(at or ago()), source=source, **value)


def noise(number: float, at: datetime | None = None, source: str = "phone") -> variable_pb2.Reading:
    return reading(Kind.AMBIENT_NOISE, at, source, number=number)


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    """Status code and reason of a call that has to fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason(caught.value)


class Listener:
    """One listener's calls."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        subject = f"user-{uuid.uuid4()}"
        self.metadata = metadata(subject)
        self.name = f"profiles/{profile_id(subject)}"

    async def opt_in(
        self, kind: variable_pb2.Variable.Kind.ValueType = Kind.AMBIENT_NOISE, **fields: Any
    ) -> variable_pb2.Variable:
        request_id = fields.pop("request_id", "")
        variable = variable_pb2.Variable(**{"kind": kind, "consent_version": "2026-01", **fields})
        request = variable_pb2.CreateVariableRequest(parent=self.name, variable=variable, request_id=request_id)
        return await self.stub.CreateVariable(request, metadata=self.metadata, timeout=20)

    async def opt_out(self, name: str, etag: str = "") -> ErasureReceipt:
        request = variable_pb2.DeleteVariableRequest(name=name, etag=etag)
        return await self.stub.DeleteVariable(request, metadata=self.metadata, timeout=20)

    async def get(self, name: str) -> variable_pb2.Variable:
        return await self.stub.GetVariable(variable_pb2.GetVariableRequest(name=name), metadata=self.metadata)

    async def update(self, patch: variable_pb2.Variable, *paths: str) -> variable_pb2.Variable:
        request = variable_pb2.UpdateVariableRequest(variable=patch)
        request.update_mask.paths.extend(paths)
        return await self.stub.UpdateVariable(request, metadata=self.metadata, timeout=20)

    async def record(
        self, message: variable_pb2.Reading, *, request_id: str = "", seconds: float = 20
    ) -> variable_pb2.Reading:
        request = variable_pb2.RecordReadingRequest(parent=self.name, reading=message, request_id=request_id)
        return await self.stub.RecordReading(request, metadata=self.metadata, timeout=seconds)

    async def batch(
        self, messages: list[variable_pb2.Reading], *, request_id: str = "", seconds: float = 20
    ) -> variable_pb2.BatchRecordReadingsResponse:
        request = variable_pb2.BatchRecordReadingsRequest(parent=self.name, readings=messages, request_id=request_id)
        return await self.stub.BatchRecordReadings(request, metadata=self.metadata, timeout=seconds)

    async def stream(self, messages: list[variable_pb2.Reading]) -> variable_pb2.StreamReadingsResponse:
        async def requests() -> AsyncIterator[variable_pb2.StreamReadingsRequest]:
            for message in messages:
                yield variable_pb2.StreamReadingsRequest(parent=self.name, reading=message)

        return await self.stub.StreamReadings(requests(), metadata=self.metadata, timeout=60)

    async def page(self, parent: str, **fields: Any) -> variable_pb2.ListReadingsResponse:
        request = variable_pb2.ListReadingsRequest(parent=parent, **fields)
        return await self.stub.ListReadings(request, metadata=self.metadata, timeout=20)

    async def readings(self, parent: str, **fields: Any) -> list[variable_pb2.Reading]:
        """All pages."""
        found: list[variable_pb2.Reading] = []
        token = ""
        while True:
            page = await self.page(parent, page_token=token, **fields)
            found += page.readings
            token = page.next_page_token
            if not token:
                return found

    async def environment(self) -> variable_pb2.GetEnvironmentResponse:
        request = variable_pb2.GetEnvironmentRequest(name=f"{self.name}/environment")
        return await self.stub.GetEnvironment(request, metadata=self.metadata, timeout=20)
