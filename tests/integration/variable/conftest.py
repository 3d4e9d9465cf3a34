from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from variable_calls import Listener, ProfileService, profile_service, variable_service

from rhythmiq.variable.v1 import variable_pb2_grpc
from rhythmiq_mesh.mongo import Database, connect, database


@pytest.fixture
async def profiles() -> AsyncIterator[ProfileService]:
    async with profile_service() as running:
        yield running


@pytest.fixture
async def channel(
    mongo_uri: str, mongo_database_name: str, profiles: ProfileService
) -> AsyncIterator[grpc.aio.Channel]:
    async with variable_service(mongo_uri, mongo_database_name, profiles.address) as channel:
        yield channel


@pytest.fixture
def listener(channel: grpc.aio.Channel) -> Listener:
    return Listener(variable_pb2_grpc.VariableServiceStub(channel))


@pytest.fixture
async def stored(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Database]:
    """The service's database."""
    client = connect(mongo_uri, app="test")
    yield database(client, mongo_database_name)
    await client.close()
