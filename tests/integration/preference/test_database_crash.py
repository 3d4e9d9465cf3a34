from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import pytest
from harness import PAGE_TOKEN_KEY, metadata, profile_id, serving, socket_address, until_serving
from mongod import Mongod
from pydantic import SecretStr

from rhythmiq.preference.v1 import preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_preference.bootstrap import bootstrap
from rhythmiq_preference.config import PreferenceSettings

if TYPE_CHECKING:
    Stub = preference_pb2_grpc.PreferenceServiceAsyncStub

LISTENERS = 8
DATABASE = "crash"
AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
Preference = preference_pb2.Preference


class EveryProfileIsActive(internal_pb2_grpc.ProfileInternalServiceServicer):
    async def GetProfileState(
        self, request: internal_pb2.GetProfileStateRequest, context: object
    ) -> internal_pb2.GetProfileStateResponse:
        return internal_pb2.GetProfileStateResponse(state=profile_pb2.Profile.ACTIVE)


@pytest.fixture
async def profile_address() -> AsyncIterator[str]:
    address = socket_address()
    server = grpc.aio.server()
    internal_pb2_grpc.add_ProfileInternalServiceServicer_to_server(EveryProfileIsActive(), server)
    server.add_insecure_port(address)
    await server.start()
    yield address
    await server.stop(None)


@dataclass
class Writer:
    """Creates one listener's preferences one after another, each until it is acknowledged."""

    stub: Stub
    who: str = field(default_factory=lambda: f"user-{uuid.uuid4()}")
    acknowledged: dict[str, str] = field(default_factory=dict)
    refusals: set[grpc.StatusCode] = field(default_factory=set)

    async def run(self, count: int) -> None:
        for number in range(count):
            request = preference_pb2.CreatePreferenceRequest(
                parent=f"profiles/{profile_id(self.who)}",
                preference=Preference(type=Preference.GENRE, value=f"genre {number}", weight=0.5),
                request_id=str(uuid.uuid4()),
            )
            while request.preference.value not in self.acknowledged:
                try:
                    answer = await self.stub.CreatePreference(request, metadata=metadata(self.who), timeout=10)
                    self.acknowledged[answer.value] = answer.name
                except grpc.aio.AioRpcError as error:
                    self.refusals.add(error.code())
                    await asyncio.sleep(0.05)

    async def stored(self) -> dict[str, str]:
        request = preference_pb2.ListPreferencesRequest(parent=f"profiles/{profile_id(self.who)}", page_size=200)
        answer = await self.stub.ListPreferences(request, metadata=metadata(self.who), timeout=10)
        return {preference.value: preference.name for preference in answer.preferences}


async def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def test_database_killed_amid_creates_loses_nothing_acknowledged_and_retries_create_once(
    mongod: Mongod, profile_address: str
) -> None:
    settings = PreferenceSettings(
        listen=socket_address(),
        mongo_uri=SecretStr(mongod.uri),
        mongo_database=DATABASE,
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        profile_address=profile_address,
    )
    async with serving(bootstrap(settings)) as channel:
        writers = [Writer(preference_pb2_grpc.PreferenceServiceStub(channel)) for _ in range(LISTENERS)]
        writing = [asyncio.create_task(writer.run(100)) for writer in writers]
        await until(lambda: sum(len(writer.acknowledged) for writer in writers) > 200)
        mongod.kill()
        await until(lambda: any(writer.refusals for writer in writers))
        await asyncio.to_thread(mongod.start)
        async with asyncio.timeout(60):
            await asyncio.gather(*writing)
        await until_serving(channel)
        for writer in writers:
            assert await writer.stored() == writer.acknowledged
            assert len(writer.acknowledged) == 100
            assert writer.refusals <= AWAY
    client = connect(mongod.uri, app="test")
    counts = {counter["count"] async for counter in database(client, DATABASE)["counters"].find()}
    await client.close()
    assert counts == {100}
