"""A recommender whose other services are away, and what an administrator needs to fill it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from harness import PAGE_TOKEN_KEY, serving, socket_address
from pydantic import SecretStr

from rhythmiq_mesh.server import Server
from rhythmiq_recommender.bootstrap import bootstrap
from rhythmiq_recommender.config import RecommenderSettings


def recommender(mongo_uri: str, database: str) -> Server:
    return bootstrap(
        RecommenderSettings(
            listen=socket_address(),
            mongo_uri=SecretStr(mongo_uri),
            mongo_database=database,
            page_token_key=SecretStr(PAGE_TOKEN_KEY),
            profile_address=socket_address(),
            preference_address=socket_address(),
            variable_address=socket_address(),
        )
    )


@pytest.fixture
async def channel(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(recommender(mongo_uri, mongo_database_name)) as channel:
        yield channel


@pytest.fixture
async def two_replicas(
    mongo_uri: str, mongo_database_name: str
) -> AsyncIterator[tuple[grpc.aio.Channel, grpc.aio.Channel]]:
    async with (
        serving(recommender(mongo_uri, mongo_database_name)) as one,
        serving(recommender(mongo_uri, mongo_database_name)) as other,
    ):
        yield one, other
